//! A user whose keys have been read, and what changes as clients try to be that user.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use russh::keys::PublicKey;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    auth::{dialog::Conversation, scripts::Interactive},
    user::Method,
};

/// A [`User`](crate::User) as the server keeps them.
pub(crate) struct Account {
    pub(crate) settings: Settings,
    passwords: Mutex<Vec<Password>>,
    refusals: AtomicU32,
}

/// What does not change about an account.
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) none: bool,
    pub(crate) keys: Vec<PublicKey>,
    pub(crate) authorities: Vec<PublicKey>,
    pub(crate) steps: Vec<Method>,
    pub(crate) startup_noise: Bytes,
    pub(crate) methods: Vec<Method>,
    pub(crate) delay: Option<Duration>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) interactive: Option<Interactive>,
    pub(crate) lock_after: Option<u32>,
    pub(crate) sftp: bool,
}

/// A password, and when it is good.
#[derive(Clone)]
pub(crate) struct Password {
    secret: SecretString,
    validity: Validity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Validity {
    Good,
    /// Good after it has been shown so many times.
    After(u32),
    Expired,
}

/// What came of looking at a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PasswordCheck {
    Right,
    Wrong,
    Expired,
}

impl Password {
    pub(crate) fn good(secret: String) -> Self {
        Self { secret: secret.into(), validity: Validity::Good }
    }

    /// Good from the n-th time it is shown.
    pub(crate) fn from_attempt(secret: String, n: u32) -> Self {
        Self { secret: secret.into(), validity: Validity::After(n.saturating_sub(1)) }
    }

    pub(crate) fn expired(secret: String) -> Self {
        Self { secret: secret.into(), validity: Validity::Expired }
    }

    fn is(&self, shown: &str) -> bool {
        self.secret.expose_secret() == shown
    }
}

impl Account {
    pub(crate) fn new(settings: Settings, passwords: Vec<Password>) -> Self {
        Self { settings, passwords: Mutex::new(passwords), refusals: AtomicU32::new(0) }
    }

    pub(crate) fn has(&self, method: Method) -> bool {
        let has = match method {
            Method::None => self.settings.none,
            Method::Password => !self.passwords().is_empty(),
            Method::PublicKey => !self.settings.keys.is_empty() || !self.settings.authorities.is_empty(),
            Method::KeyboardInteractive => self.settings.interactive.is_some(),
        };
        has && (self.settings.methods.is_empty() || self.settings.methods.contains(&method))
    }

    /// Whether this may be tried by whoever has passed so many steps.
    pub(crate) fn asks_for(&self, method: Method, passed: usize) -> bool {
        self.has(method)
            && (self.settings.steps.is_empty() || self.settings.steps.get(passed) == Some(&method))
    }

    /// The methods that a client is told of, in order.
    pub(crate) fn offered(&self) -> Vec<Method> {
        let all = [Method::PublicKey, Method::Password, Method::KeyboardInteractive];
        let listed = if self.settings.methods.is_empty() { all.as_slice() } else { &self.settings.methods };
        listed.iter().copied().filter(|method| *method != Method::None && self.has(*method)).collect()
    }

    /// How many keys there are, each counted once.
    pub(crate) fn different_keys(&self) -> usize {
        let keys = &self.settings.keys;
        let seen =
            |n: usize, key: &PublicKey| keys.iter().take(n).any(|before| before.key_data() == key.key_data());
        keys.iter().enumerate().filter(|(n, key)| !seen(*n, key)).count()
    }

    pub(crate) fn accepts_key(&self, key: &PublicKey) -> bool {
        self.settings.keys.iter().any(|known| known.key_data() == key.key_data())
    }

    pub(crate) fn check_password(&self, shown: &str) -> PasswordCheck {
        let mut passwords = self.passwords();
        let Some(password) = passwords.iter_mut().find(|password| password.is(shown)) else {
            return PasswordCheck::Wrong;
        };
        match password.validity {
            Validity::Good | Validity::After(0) => PasswordCheck::Right,
            Validity::After(n) => {
                password.validity = Validity::After(n - 1);
                PasswordCheck::Wrong
            }
            Validity::Expired => PasswordCheck::Expired,
        }
    }

    /// The same, without counting how often it was shown.
    pub(crate) fn look_at_password(&self, shown: &str) -> PasswordCheck {
        let passwords = self.passwords();
        match passwords.iter().find(|password| password.is(shown)).map(|password| &password.validity) {
            Some(Validity::Good | Validity::After(0)) => PasswordCheck::Right,
            Some(Validity::Expired) => PasswordCheck::Expired,
            Some(Validity::After(_)) | None => PasswordCheck::Wrong,
        }
    }

    /// Puts a new password, good from now on, in the place of one.
    pub(crate) fn change_password(&self, current: &str, new: &str) {
        for password in self.passwords().iter_mut().filter(|password| password.is(current)) {
            *password = Password::good(new.to_owned());
        }
    }

    pub(crate) fn converse(self: &Arc<Self>) -> Option<Conversation> {
        self.settings.interactive.as_ref().map(|interactive| interactive.begin(self))
    }

    pub(crate) fn is_locked(&self) -> bool {
        self.settings.lock_after.is_some_and(|limit| self.refusals.load(Ordering::Acquire) >= limit)
    }

    pub(crate) fn count_refusal(&self) {
        self.refusals.fetch_add(1, Ordering::AcqRel);
    }

    /// Lets somebody in and forgets the refusals before, unless the user is locked: in one step, so that no refusal of
    /// another connection comes in between.
    pub(crate) fn let_in(&self) -> bool {
        let most = self.settings.lock_after;
        let open = |refusals| most.is_none_or(|most| refusals < most).then_some(0);
        self.refusals.fetch_update(Ordering::AcqRel, Ordering::Acquire, open).is_ok()
    }

    fn passwords(&self) -> MutexGuard<'_, Vec<Password>> {
        self.passwords.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
