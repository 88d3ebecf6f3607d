//! Attempts to authenticate, without what was shown.

use crate::user::Method;

/// One attempt to authenticate. What was shown is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthAttempt {
    pub(super) connection: usize,
    pub(super) user: String,
    pub(super) method: Method,
    pub(super) outcome: AuthOutcome,
}

/// What came of an attempt to authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthOutcome {
    /// The user is in.
    Accepted,
    /// Right, and another method must follow.
    Partial,
    /// A key was offered without a signature, and the server would accept it.
    KeyWelcome,
    /// The next round of questions was asked.
    Asked,
    /// Wrong, unknown, or not this user's way in.
    Refused,
    /// A code that was right once, and had been used.
    Replayed,
    /// A password that was right, and had expired.
    Expired,
    /// Refused whatever it was, after too many refusals.
    Locked,
}

impl AuthOutcome {
    /// Whether the client was told that it failed, and may not even go on with another step.
    pub(crate) fn is_refusal(self) -> bool {
        matches!(self, Self::Refused | Self::Replayed | Self::Expired | Self::Locked)
    }
}

impl AuthAttempt {
    /// The connection, counted from 1.
    #[must_use]
    pub fn connection(&self) -> usize {
        self.connection
    }

    /// The user name given.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The method tried.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// What came of it.
    #[must_use]
    pub fn outcome(&self) -> AuthOutcome {
        self.outcome
    }
}
