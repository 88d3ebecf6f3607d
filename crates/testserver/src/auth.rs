//! The decision at each attempt to authenticate, over the rounds and steps of one connection.

pub(crate) mod certificate;
pub(crate) mod codes;
pub(crate) mod dialog;
pub(crate) mod scripts;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use russh::{
    MethodKind, MethodSet,
    keys::{Certificate, PublicKey, ssh_key::public::KeyData},
    server::Auth,
};

use crate::{
    auth::{
        certificate::Restrictions,
        dialog::{Conversation, Turn, Verdict},
    },
    panics::Panics,
    record::AuthOutcome,
    user::{Account, Method, PasswordCheck},
};

/// How far the user of one connection has got.
#[derive(Default)]
pub(crate) struct Progress {
    user: Option<String>,
    steps_passed: usize,
    /// The keys that steps were passed with.
    keys: Vec<KeyData>,
    /// In a lock that nobody else takes: the code in it need not be shareable between threads.
    conversation: Mutex<Option<Conversation>>,
    restrictions: Restrictions,
}

/// What the server knows about those who may log in. A running server may be told of more.
pub(crate) struct Accounts {
    accounts: Mutex<Vec<Arc<Account>>>,
    panics: Arc<Panics>,
}

impl Accounts {
    pub(crate) fn new(accounts: Vec<Account>) -> Self {
        let accounts = accounts.into_iter().map(Arc::new).collect();
        Self { accounts: Mutex::new(accounts), panics: Arc::default() }
    }

    /// Where panics of the code in dialogues are kept.
    pub(crate) fn panics(&self) -> Arc<Panics> {
        Arc::clone(&self.panics)
    }

    /// One more, in the place of whoever had this name.
    pub(crate) fn add(&self, account: Account) {
        let mut accounts = self.lock();
        accounts.retain(|known| known.settings.name != account.settings.name);
        accounts.push(Arc::new(account));
    }

    fn find(&self, name: &str) -> Option<Arc<Account>> {
        self.lock().iter().find(|account| account.settings.name == name).map(Arc::clone)
    }

    /// What this user's start-up files print.
    pub(crate) fn startup_noise(&self, name: &str) -> Bytes {
        self.find(name).map_or_else(Bytes::new, |account| account.settings.startup_noise.clone())
    }

    /// Whether this user may ask for SFTP. Who logged in without an account may.
    pub(crate) fn has_sftp(&self, name: &str) -> bool {
        self.find(name).is_none_or(|account| account.settings.sftp)
    }

    /// Every method some user has: what a server offers to a user it does not know, so that names cannot be guessed.
    pub(crate) fn methods(&self) -> Vec<Method> {
        let accounts = self.lock();
        [Method::PublicKey, Method::Password, Method::KeyboardInteractive]
            .into_iter()
            .filter(|method| accounts.iter().any(|account| account.has(*method)))
            .collect()
    }

    /// How long this user waits for an answer, if that is said.
    pub(crate) fn delay(&self, name: &str) -> Option<Duration> {
        self.find(name)?.settings.delay
    }

    /// What the server sets for this user's commands.
    pub(crate) fn env(&self, name: &str) -> Vec<(String, String)> {
        self.find(name).map(|account| account.settings.env.clone()).unwrap_or_default()
    }

    fn methods_for(&self, account: Option<&Account>, progress: &Progress) -> Vec<Method> {
        match account {
            Some(account) if !account.settings.steps.is_empty() => {
                account.settings.steps.get(progress.steps_passed).copied().into_iter().collect()
            }
            Some(account) => account.offered(),
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
    /// A password, good or expired, and the one to be put in its place (RFC 4252 section 8).
    NewPassword {
        current: &'a str,
        new: &'a str,
    },
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
            Self::Password(_) | Self::NewPassword { .. } => Method::Password,
            Self::KeyOffer(_) | Self::Key(_) | Self::Certificate(_) => Method::PublicKey,
            Self::Answers(_) => Method::KeyboardInteractive,
        }
    }

    /// The key that it is about; of a certificate, the one that was certified.
    fn key(&self) -> Option<&KeyData> {
        match self {
            Self::KeyOffer(key) | Self::Key(key) => Some(key.key_data()),
            Self::Certificate(certificate) => Some(certificate.public_key()),
            _ => None,
        }
    }

    /// Whether something was shown that might have been guessed or stolen.
    fn is_guess(&self) -> bool {
        !matches!(self, Self::None | Self::KeyOffer(_))
    }
}

impl Progress {
    /// Decides, and says what to record.
    ///
    /// # Cancel safety
    /// The attempt is lost when this future is dropped, and the conversation it belongs to.
    pub(crate) async fn decide(
        &mut self,
        accounts: &Accounts,
        name: &str,
        proof: &Proof<'_>,
    ) -> (Auth, AuthOutcome) {
        // RFC 4252 section 5: a change of the user name flushes what was reached so far.
        if self.user.as_deref() != Some(name) {
            *self = Self { user: Some(name.to_owned()), ..Self::default() };
        }
        // RFC 4256 section 3.1: another request ends the conversation, whatever becomes of it.
        if !matches!(proof, Proof::Answers(Some(_))) {
            *self.conversation.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        }
        let account = accounts.find(name);
        let finding = match &account {
            Some(account) if account.is_locked() => Finding::Wrong(AuthOutcome::Locked),
            Some(account) if account.asks_for(proof.method(), self.steps_passed) => {
                self.check(&accounts.panics, account, proof).await
            }
            _ => Finding::Wrong(AuthOutcome::Refused),
        };
        match finding {
            Finding::Welcome => (Auth::Accept, AuthOutcome::KeyWelcome),
            Finding::Ask(auth) => (auth, AuthOutcome::Asked),
            Finding::Wrong(outcome) => self.turn_down(accounts, account.as_deref(), proof, outcome),
            Finding::Right => self.advance(accounts, account.as_deref(), proof),
        }
    }

    /// One step further, or in: unless another connection has had the user locked while this attempt was looked at.
    fn advance(
        &mut self,
        accounts: &Accounts,
        account: Option<&Account>,
        proof: &Proof<'_>,
    ) -> (Auth, AuthOutcome) {
        let steps = account.map_or(0, |account| account.settings.steps.len());
        let is_last = self.steps_passed + 1 >= steps;
        let may = account.is_none_or(|account| if is_last { account.let_in() } else { !account.is_locked() });
        if !may {
            return self.turn_down(accounts, account, proof, AuthOutcome::Locked);
        }
        self.steps_passed += 1;
        self.keys.extend(proof.key().cloned());
        if is_last {
            (Auth::Accept, AuthOutcome::Accepted)
        } else {
            (self.refusal(accounts, account, Partial::Yes), AuthOutcome::Partial)
        }
    }

    fn turn_down(
        &self,
        accounts: &Accounts,
        account: Option<&Account>,
        proof: &Proof<'_>,
        outcome: AuthOutcome,
    ) -> (Auth, AuthOutcome) {
        if let Some(account) = account.filter(|_| proof.is_guess()) {
            account.count_refusal();
        }
        (self.refusal(accounts, account, Partial::No), outcome)
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

    /// What the user must leave alone, by the certificate shown.
    pub(crate) fn restrictions(&self) -> &Restrictions {
        &self.restrictions
    }

    /// What this password is worth here and now, without an attempt being made by it: nothing, where no password is
    /// asked for.
    pub(crate) fn look_at_password(&self, accounts: &Accounts, name: &str, shown: &str) -> PasswordCheck {
        let same = self.user.as_deref() == Some(name);
        let passed = if same { self.steps_passed } else { 0 };
        accounts
            .find(name)
            .filter(|account| !account.is_locked() && account.asks_for(Method::Password, passed))
            .map_or(PasswordCheck::Wrong, |account| account.look_at_password(shown))
    }

    async fn check(&mut self, panics: &Panics, account: &Arc<Account>, proof: &Proof<'_>) -> Finding {
        // As OpenSSH: each step by a key takes another one.
        if proof.key().is_some_and(|key| self.keys.contains(key)) {
            return Finding::Wrong(AuthOutcome::Refused);
        }
        let conversation = self.conversation.get_mut().unwrap_or_else(PoisonError::into_inner);
        match proof {
            Proof::Answers(answers) => converse(conversation, account, answers.as_deref(), panics).await,
            Proof::None => Finding::Right,
            Proof::NewPassword { current, new } => match account.look_at_password(current) {
                PasswordCheck::Wrong => Finding::Wrong(AuthOutcome::Refused),
                PasswordCheck::Right | PasswordCheck::Expired => {
                    account.change_password(current, new);
                    Finding::Right
                }
            },
            Proof::Password(password) => match account.check_password(password) {
                PasswordCheck::Right => Finding::Right,
                PasswordCheck::Wrong => Finding::Wrong(AuthOutcome::Refused),
                PasswordCheck::Expired => Finding::Wrong(AuthOutcome::Expired),
            },
            Proof::KeyOffer(key) if account.accepts_key(key) || !account.settings.authorities.is_empty() => {
                Finding::Welcome
            }
            Proof::Key(key) if account.accepts_key(key) => Finding::Right,
            Proof::Certificate(certificate) => match certificate::admit(account, certificate) {
                Some(restrictions) => {
                    self.restrictions = restrictions;
                    Finding::Right
                }
                None => Finding::Wrong(AuthOutcome::Refused),
            },
            Proof::KeyOffer(_) | Proof::Key(_) => Finding::Wrong(AuthOutcome::Refused),
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

enum Finding {
    Right,
    Wrong(AuthOutcome),
    Welcome,
    Ask(Auth),
}

/// Begins a conversation, or goes on with it.
async fn converse(
    conversation: &mut Option<Conversation>,
    account: &Arc<Account>,
    answers: Option<&[Bytes]>,
    panics: &Panics,
) -> Finding {
    let turn = async {
        if answers.is_none() {
            *conversation = account.converse();
        }
        match conversation {
            Some(going_on) => going_on.next(answers).await,
            None => Turn::Done(Verdict::Wrong),
        }
    };
    let verdict = match panics.caught("a dialogue of keyboard-interactive", turn).await {
        Some(Turn::Ask(auth)) => return Finding::Ask(auth),
        Some(Turn::Done(verdict)) => verdict,
        None => Verdict::Wrong,
    };
    *conversation = None;
    match verdict {
        Verdict::Right => Finding::Right,
        Verdict::Wrong => Finding::Wrong(AuthOutcome::Refused),
        Verdict::Replayed => Finding::Wrong(AuthOutcome::Replayed),
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
