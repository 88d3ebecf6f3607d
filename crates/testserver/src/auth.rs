//! The decision at each attempt to authenticate, over the rounds and steps of one connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use russh::{
    MethodKind, MethodSet,
    keys::{Certificate, PublicKey},
    server::Auth,
};

use crate::{
    record::AuthOutcome,
    user::{Account, Method},
};

/// How far the user of one connection has got.
#[derive(Default)]
pub(crate) struct Progress {
    user: Option<String>,
    steps_passed: usize,
    round: usize,
}

/// What the server knows about those who may log in. A running server may be told of more.
pub(crate) struct Accounts {
    accounts: Mutex<Vec<Arc<Account>>>,
}

impl Accounts {
    pub(crate) fn new(accounts: Vec<Account>) -> Self {
        Self { accounts: Mutex::new(accounts.into_iter().map(Arc::new).collect()) }
    }

    /// One more, in the place of whoever had this name.
    pub(crate) fn add(&self, account: Account) {
        let mut accounts = self.lock();
        accounts.retain(|known| known.name != account.name);
        accounts.push(Arc::new(account));
    }

    fn find(&self, name: &str) -> Option<Arc<Account>> {
        self.lock().iter().find(|account| account.name == name).map(Arc::clone)
    }

    /// What this user's start-up files print.
    pub(crate) fn startup_noise(&self, name: &str) -> Bytes {
        self.find(name).map_or_else(Bytes::new, |account| account.startup_noise.clone())
    }

    /// Every method some user has: what a server offers to a user it does not know, so that names cannot be guessed.
    pub(crate) fn methods(&self) -> Vec<Method> {
        let accounts = self.lock();
        [Method::PublicKey, Method::Password, Method::KeyboardInteractive]
            .into_iter()
            .filter(|method| accounts.iter().any(|account| account.has(*method)))
            .collect()
    }

    fn methods_for(&self, account: Option<&Account>, progress: &Progress) -> Vec<Method> {
        match account {
            Some(account) if !account.steps.is_empty() => {
                account.steps.get(progress.steps_passed).copied().into_iter().collect()
            }
            Some(account) => [Method::PublicKey, Method::Password, Method::KeyboardInteractive]
                .into_iter()
                .filter(|method| account.has(*method))
                .collect(),
            None => self.methods(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Account>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client shows.
pub(crate) enum Proof<'a> {
    None,
    Password(&'a str),
    KeyOffer(&'a PublicKey),
    Key(&'a PublicKey),
    Certificate(&'a Certificate),
    /// The answers to the last round; none at the start.
    Answers(Option<Vec<Bytes>>),
}

impl Proof<'_> {
    pub(crate) fn method(&self) -> Method {
        match self {
            Self::None => Method::None,
            Self::Password(_) => Method::Password,
            Self::KeyOffer(_) | Self::Key(_) | Self::Certificate(_) => Method::PublicKey,
            Self::Answers(_) => Method::KeyboardInteractive,
        }
    }
}

impl Progress {
    /// Decides, and says what to record.
    pub(crate) fn decide(
        &mut self,
        accounts: &Accounts,
        name: &str,
        proof: &Proof<'_>,
    ) -> (Auth, AuthOutcome) {
        // RFC 4252 section 5: a change of the user name flushes what was reached so far.
        if self.user.as_deref() != Some(name) {
            *self = Self { user: Some(name.to_owned()), ..Self::default() };
        }
        let account = accounts.find(name);
        let method = proof.method();
        let verdict = match account.as_deref() {
            Some(account) if self.may_use(account, method) => self.check(account, proof),
            _ => Verdict::Wrong,
        };
        match verdict {
            Verdict::Welcome => (Auth::Accept, AuthOutcome::KeyWelcome),
            Verdict::Ask(auth) => (auth, AuthOutcome::Asked),
            Verdict::Wrong => {
                self.round = 0;
                (self.refusal(accounts, account.as_deref(), Partial::No), AuthOutcome::Refused)
            }
            Verdict::Right => {
                self.round = 0;
                self.steps_passed += 1;
                if account.as_deref().is_some_and(|account| self.steps_passed < account.steps.len()) {
                    (self.refusal(accounts, account.as_deref(), Partial::Yes), AuthOutcome::Partial)
                } else {
                    (Auth::Accept, AuthOutcome::Accepted)
                }
            }
        }
    }

    /// Turns away somebody who has shown all there is to show, and begins anew.
    pub(crate) fn turn_away(&mut self, accounts: &Accounts, methods: Option<&[Method]>) -> Auth {
        let account = self.user.as_deref().and_then(|name| accounts.find(name));
        *self = Self { user: self.user.take(), ..Self::default() };
        match methods {
            Some(methods) => {
                let kinds: Vec<MethodKind> = methods.iter().copied().map(kind).collect();
                let methods = MethodSet::from(kinds.as_slice());
                Auth::Reject { proceed_with_methods: Some(methods), partial_success: false }
            }
            None => self.refusal(accounts, account.as_deref(), Partial::No),
        }
    }

    fn may_use(&self, account: &Account, method: Method) -> bool {
        account.has(method)
            && (account.steps.is_empty() || account.steps.get(self.steps_passed) == Some(&method))
    }

    fn check(&mut self, account: &Account, proof: &Proof<'_>) -> Verdict {
        match proof {
            Proof::None => Verdict::Right,
            Proof::Password(password) => Verdict::right_if(account.accepts_password(password)),
            Proof::KeyOffer(key) if account.accepts_key(key) || !account.authorities.is_empty() => {
                Verdict::Welcome
            }
            Proof::KeyOffer(_) => Verdict::Wrong,
            Proof::Key(key) => Verdict::right_if(account.accepts_key(key)),
            Proof::Certificate(certificate) => Verdict::right_if(accepts_certificate(account, certificate)),
            Proof::Answers(answers) => self.next_round(account, answers.as_deref()),
        }
    }

    fn next_round(&mut self, account: &Account, answers: Option<&[Bytes]>) -> Verdict {
        match answers {
            None => self.round = 0,
            Some(answers) => {
                if !account.rounds.get(self.round).is_some_and(|round| round.accepts(answers)) {
                    return Verdict::Wrong;
                }
                self.round += 1;
            }
        }
        match account.rounds.get(self.round) {
            Some(round) => Verdict::Ask(round.to_auth()),
            None => Verdict::Right,
        }
    }

    fn refusal(&self, accounts: &Accounts, account: Option<&Account>, partial: Partial) -> Auth {
        let kinds: Vec<MethodKind> = accounts.methods_for(account, self).into_iter().map(kind).collect();
        Auth::Reject {
            // Always said: left out, the base would take the method just tried off the list.
            proceed_with_methods: Some(MethodSet::from(kinds.as_slice())),
            partial_success: partial == Partial::Yes,
        }
    }
}

enum Verdict {
    Right,
    Wrong,
    Welcome,
    Ask(Auth),
}

impl Verdict {
    fn right_if(right: bool) -> Self {
        if right { Self::Right } else { Self::Wrong }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Partial {
    Yes,
    No,
}

pub(crate) fn kind(method: Method) -> MethodKind {
    match method {
        Method::None => MethodKind::None,
        Method::Password => MethodKind::Password,
        Method::PublicKey => MethodKind::PublicKey,
        Method::KeyboardInteractive => MethodKind::KeyboardInteractive,
    }
}

/// The base has checked the certificate's own signature and its dates; this checks who signed it, for whom and as what.
fn accepts_certificate(account: &Account, certificate: &Certificate) -> bool {
    certificate.cert_type().is_user()
        && account.authorities.iter().any(|authority| authority.key_data() == certificate.signature_key())
        // PROTOCOL.certkeys: no principals at all means any; sshd asks for one by default, and so does this.
        && certificate.valid_principals().contains(&account.name)
        && certificate.critical_options().iter().next().is_none()
}
