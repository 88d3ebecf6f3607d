//! What was tried and what came of it, and the error that tells it.

use std::time::Duration;

use super::problem::KeyProblem;
use crate::base::CloseReason;
use crate::error::{Error, ErrorKind};

/// RFC 4253 section 11.1: OpenSSH's server gives reason 2 with this text after too many refusals.
const TOO_MANY: &str = "too many authentication failures";

/// RFC 4253 section 11.1, SSH_DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE.
const NO_MORE_METHODS: u32 = 14;

/// So many refused keys make it likely that an agent full of keys is the trouble: OpenSSH's server hangs up
/// at six attempts (`MaxAuthTries`).
const MANY_KEYS: usize = 5;

/// The account of one authentication.
#[derive(Debug, Default)]
pub(crate) struct Report {
    tried: Vec<Tried>,
    problems: Vec<KeyProblem>,
    notes: Vec<String>,
    agent_problem: Option<String>,
    accepted: Vec<String>,
}

#[derive(Debug)]
struct Tried {
    method: &'static str,
    what: String,
    outcome: Outcome,
}

/// What the server said to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Refused,
    Partial,
    /// The key would have been taken, but did not sign.
    NotSigned,
}

/// Why authentication ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// There is nothing left to try.
    Exhausted { offered: Vec<String> },
    /// The connection is gone.
    Lost(CloseReason),
    /// The network took too long.
    Deadline { limit: Duration, waiting_for: &'static str },
    /// A person declined.
    Cancelled(String),
}

impl Report {
    pub(crate) fn tried(&mut self, method: &'static str, what: impl Into<String>, outcome: Outcome) {
        if outcome == Outcome::Partial {
            self.accepted.push(method.to_owned());
        }
        let what = what.into();
        tracing::debug!(method, what, ?outcome, "authentication attempt");
        self.tried.push(Tried { method, what, outcome });
    }

    /// Something that kept an attempt from being made.
    pub(crate) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        tracing::debug!(note, "authentication");
        self.notes.push(note);
    }

    pub(crate) fn problem(&mut self, problem: KeyProblem) {
        tracing::debug!(%problem, "authentication");
        self.problems.push(problem);
    }

    pub(crate) fn agent_problem(&mut self, problem: String) {
        tracing::debug!(problem, "authentication");
        self.agent_problem = Some(problem);
    }

    /// The methods that each gave a partial success, and the last one: `publickey,password`.
    pub(crate) fn chain(&self, last: &str) -> String {
        let mut chain = self.accepted.clone();
        chain.push(last.to_owned());
        chain.join(",")
    }

    /// The error that tells all this.
    pub(crate) fn into_error(self, ending: Ending, user: &str, target: &str) -> Error {
        let error = match ending {
            Ending::Exhausted { offered } => self.exhausted(user, &offered),
            Ending::Lost(reason) => self.lost(&reason),
            Ending::Deadline { limit, waiting_for } => deadline(limit, waiting_for),
            Ending::Cancelled(why) => Error::new(
                ErrorKind::AuthenticationFailed,
                "authenticate",
                format!("logging in was given up: {why}"),
            )
            .with_hint("answer the question within 120 s, or give the secret beforehand"),
        };
        error.at(target)
    }

    fn exhausted(mut self, user: &str, offered: &[String]) -> Error {
        let refused = self.tried.iter().any(|tried| tried.outcome == Outcome::Refused);
        // Nothing was refused and a key could not be used: the key is the trouble, not the server.
        if !refused && !self.problems.is_empty() {
            let mut problems = std::mem::take(&mut self.problems).into_iter();
            if let Some(first) = problems.next() {
                let rest: Vec<_> = problems.map(|problem| problem.to_string()).collect();
                for other in rest {
                    tracing::debug!(problem = other, "another key");
                }
                return first.into_error();
            }
        }
        if !refused
            && self.tried.is_empty()
            && let Some(problem) = &self.agent_problem
        {
            return Error::new(ErrorKind::Agent, "authenticate", problem.clone())
                .with_hint("check SSH_AUTH_SOCK and that the agent runs (ssh-add -l), or name a key file");
        }
        let hint = self.hint(offered);
        let tried = self.account();
        let offers = if offered.is_empty() {
            "the server offers no other way".to_owned()
        } else {
            format!("the server offers {}", offered.join(", "))
        };
        let message = format!("the server did not let {user} in: {tried}; {offers}");
        Error::new(ErrorKind::AuthenticationFailed, "authenticate", message).with_hint(hint)
    }

    fn lost(self, reason: &CloseReason) -> Error {
        let refused_at_last = match reason {
            CloseReason::Disconnected { code, message } => {
                *code == NO_MORE_METHODS || message.to_ascii_lowercase().contains(TOO_MANY)
            }
            _ => false,
        };
        if refused_at_last {
            let message = format!("{reason}; {}", self.account());
            return Error::new(ErrorKind::AuthenticationFailed, "authenticate", message)
                .with_hint(self.too_many_hint());
        }
        Error::new(
            ErrorKind::Disconnected,
            "authenticate",
            format!("the connection was lost while logging in: {reason}"),
        )
        .with_hint("try again; if it happens each time, look into the server's log")
    }

    /// What was tried, in one sentence.
    fn account(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        for tried in &self.tried {
            let outcome = match tried.outcome {
                Outcome::Refused => "refused",
                Outcome::Partial => "accepted, but more is wanted",
                Outcome::NotSigned => "accepted, but it could not sign",
            };
            let part = if tried.what.is_empty() {
                format!("{} {outcome}", tried.method)
            } else {
                format!("{} {} {outcome}", tried.method, tried.what)
            };
            if parts.last() != Some(&part) {
                parts.push(part);
            }
        }
        if self.tried.is_empty() {
            parts.push("there was nothing to try".to_owned());
        }
        parts.extend(self.problems.iter().map(ToString::to_string));
        parts.extend(self.agent_problem.clone());
        parts.extend(self.notes.iter().cloned());
        parts.join("; ")
    }

    fn refused_keys(&self) -> usize {
        let refused = |tried: &&Tried| tried.method == "publickey" && tried.outcome == Outcome::Refused;
        self.tried.iter().filter(refused).count()
    }

    fn too_many_hint(&self) -> &'static str {
        if self.refused_keys() > 1 {
            "offer the right key alone: name it with -i and set IdentitiesOnly=yes"
        } else {
            "wait a while before trying again: the server counts failures"
        }
    }

    fn hint(&self, offered: &[String]) -> String {
        let has = |name: &str| offered.iter().any(|method| method == name);
        let sent = |name: &str| self.tried.iter().any(|tried| tried.method == name);
        if self.refused_keys() >= MANY_KEYS {
            return self.too_many_hint().to_owned();
        }
        if (has("password") && !sent("password"))
            || (has("keyboard-interactive") && !sent("keyboard-interactive"))
        {
            return "the server takes a password: give one beforehand, or connect where a person can be asked"
                .to_owned();
        }
        if has("publickey") && self.refused_keys() == 0 {
            return "the server takes keys: name one with -i, or add it to an agent with ssh-add".to_owned();
        }
        "check the user name, and that the server knows this key (authorized_keys) or password".to_owned()
    }
}

fn deadline(limit: Duration, waiting_for: &'static str) -> Error {
    let error = Error::new(
        ErrorKind::ConnectTimeout,
        "authenticate",
        format!(
            "the server did not answer within {} s while logging in ({waiting_for})",
            limit.as_secs_f32()
        ),
    );
    match waiting_for {
        // The base drops SSH_MSG_USERAUTH_PASSWD_CHANGEREQ (RFC 4252 section 8), so it looks like silence.
        "password" => error.with_hint(
            "the password may have expired: log in once with ssh, change it, and try again; or raise the \
             connection timeout",
        ),
        _ => error.with_hint("raise the connection timeout, or look into the server's log"),
    }
}

#[cfg(test)]
mod tests;
