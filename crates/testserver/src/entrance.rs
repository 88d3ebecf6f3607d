//! Each attempt to authenticate on one connection, whichever personality hears it: faults, delays, limits, the record.

use std::sync::Arc;

use russh::server::Auth;

use crate::{
    auth::{Progress, Proof, certificate::Restrictions},
    connection::{Connection, Reached},
    fault::{Action, DisconnectReason, Farewell, Phase, Trigger},
    handler::HandlerError,
    record::AuthOutcome,
    user::{Method, PasswordCheck},
};

/// How far the login on one connection has got.
pub(crate) struct Entrance {
    connection: Arc<Connection>,
    progress: Progress,
    user: String,
    /// Requests to be authenticated so far, and how many of them failed as `max_auth_tries` counts.
    attempts: usize,
    failures: usize,
}

impl Entrance {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, progress: Progress::default(), user: String::new(), attempts: 0, failures: 0 }
    }

    /// Who has been let in.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// What they must leave alone, by the certificate shown.
    pub(crate) fn restrictions(&self) -> &Restrictions {
        self.progress.restrictions()
    }

    /// What this password is worth here and now, without an attempt being made by it.
    pub(crate) fn look_at_password(&self, user: &str, shown: &str) -> PasswordCheck {
        self.progress.look_at_password(&self.connection.shared.accounts, user, shown)
    }

    pub(crate) async fn authenticate(&mut self, user: &str, proof: Proof<'_>) -> Result<Auth, HandlerError> {
        match self.connection.reach(Phase::Authentication) {
            Reached::Lost => return Err(HandlerError::Cut),
            // The base cannot leave an attempt unanswered.
            Reached::Leaving => return Ok(self.progress.turn_away(&self.connection.shared.accounts, None)),
            Reached::Go | Reached::Withhold(_) | Reached::Refuse { .. } => {}
        }
        let shared = Arc::clone(&self.connection.shared);
        // The goodbye after the last try takes its way through the engine; what the client has sent meanwhile comes first.
        if self.has_no_tries_left() {
            self.count(user, proof.method(), AuthOutcome::Refused);
            return Ok(self.progress.turn_away(&shared.accounts, None));
        }
        let connection = Arc::clone(&self.connection);
        let lost = async {
            tokio::select! {
                () = connection.gone.cancelled() => {}
                () = connection.link.cut_off() => {}
            }
        };
        tokio::pin!(lost);
        let delay = shared.accounts.delay(user).unwrap_or(shared.settings.auth_delay);
        if !delay.is_zero() {
            tokio::select! {
                biased;
                () = &mut lost => return Err(HandlerError::Cut),
                () = tokio::time::sleep(delay) => {}
            }
        }
        let (auth, outcome) = tokio::select! {
            biased;
            () = lost => return Err(HandlerError::Cut),
            decided = self.decide(user, &proof) => decided,
        };
        self.count(user, proof.method(), outcome);
        if auth == Auth::Accept {
            user.clone_into(&mut self.user);
        }
        Ok(auth)
    }

    /// Records what came of an attempt, and ends the connection if it was one too many.
    pub(crate) fn count(&mut self, user: &str, method: Method, outcome: AuthOutcome) {
        let shared = &self.connection.shared;
        shared.keeper.auth(self.connection.number, user, method, outcome);
        self.attempts += 1;
        // As sshd counts: a first attempt by `none` is free.
        if outcome.is_refusal() && (self.attempts > 1 || method != Method::None) {
            self.fail();
        }
    }

    /// Counts an attempt by a method that there is not here. The record has none of them: the base tells nobody.
    pub(crate) fn count_unknown(&mut self) {
        self.attempts += 1;
        self.fail();
    }

    fn fail(&mut self) {
        self.failures += 1;
        if self.has_no_tries_left() {
            self.connection.leave(Farewell {
                reason: DisconnectReason::ProtocolError,
                text: "Too many authentication failures".to_owned(),
            });
        }
    }

    fn has_no_tries_left(&self) -> bool {
        let most = self.connection.shared.settings.limits.max_auth_tries;
        most.is_some_and(|most| self.failures >= most)
    }

    async fn decide(&mut self, user: &str, proof: &Proof<'_>) -> (Auth, AuthOutcome) {
        let accounts = &self.connection.shared.accounts;
        let (auth, outcome) = self.progress.decide(accounts, user, proof).await;
        if outcome != AuthOutcome::Accepted {
            return (auth, outcome);
        }
        let refused = self.connection.strike(&Trigger::Login).into_iter().find_map(|action| match action {
            Action::RefuseLogin(methods) => Some(methods),
            _ => None,
        });
        match refused {
            Some(methods) => (self.progress.turn_away(accounts, methods.as_deref()), AuthOutcome::Refused),
            None => (auth, outcome),
        }
    }
}
