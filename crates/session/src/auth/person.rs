//! Asking a person: one question at a time, each with its own time limit, none where nobody is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use ssh_key::PrivateKey;

use super::credentials::Credentials;
use super::deadline::for_a_person;
use super::driver::blocking;
use super::keys::KeyFile;
use super::problem::{Fault, KeyProblem};
use super::prompt::{Echo, PromptError, PromptKind, PromptRequest};
use crate::base::keys;

/// The person at one authentication, present or not.
pub(crate) struct Person<'a> {
    credentials: &'a Credentials,
    host: &'a str,
    user: &'a str,
    limit: Duration,
    was_asked: AtomicBool,
}

/// What a question came to.
#[derive(Debug)]
pub(crate) enum Answered {
    Yes(Vec<SecretString>),
    Nobody,
    /// The person declined, or did not answer in time; the text says which.
    Cancelled(String),
}

/// Why a key file stays locked.
#[derive(Debug)]
pub(crate) enum Locked {
    Problem(KeyProblem),
    Cancelled(String),
}

impl<'a> Person<'a> {
    /// `limit` is the time there is for each question.
    pub(crate) fn new(credentials: &'a Credentials, host: &'a str, user: &'a str, limit: Duration) -> Self {
        Self { credentials, host, user, limit, was_asked: AtomicBool::new(false) }
    }

    /// Whether there was an answer to anything.
    pub(crate) fn was_asked(&self) -> bool {
        self.was_asked.load(Ordering::Relaxed)
    }

    /// The time there is for each question, and for each touch of a key.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// `user@host`, as questions name it.
    pub(crate) fn account(&self) -> String {
        format!("{}@{}", self.user, self.host)
    }

    pub(crate) fn request(&self, kind: PromptKind) -> PromptRequest {
        PromptRequest::new(kind, self.host, self.user)
    }

    /// # Cancel safety
    /// Dropping the future drops the question.
    pub(crate) async fn ask(&self, request: PromptRequest) -> Answered {
        let Some(prompter) = self.credentials.person() else { return Answered::Nobody };
        let wanted = request.prompts().len();
        match for_a_person(self.limit, prompter.ask(request)).await {
            Some(Ok(answers)) if answers.len() == wanted => {
                self.was_asked.store(true, Ordering::Relaxed);
                Answered::Yes(answers)
            }
            Some(Ok(answers)) => {
                Answered::Cancelled(format!("{wanted} questions got {} answers", answers.len()))
            }
            Some(Err(PromptError::Unavailable)) => Answered::Nobody,
            Some(Err(error @ PromptError::Cancelled)) => Answered::Cancelled(error.to_string()),
            None => Answered::Cancelled(format!("nobody answered within {} s", self.limit.as_secs())),
        }
    }

    /// Gets at a private key: without a passphrase, with the one given, or by asking.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the key locked, or unlocked for the next call.
    pub(crate) async fn unlock(&self, file: Arc<KeyFile>) -> Result<Arc<PrivateKey>, Locked> {
        let mut last = match try_unlock(&file, None).await {
            Ok(key) => return Ok(key),
            Err(problem) if problem.needs_passphrase() => problem,
            Err(problem) => return Err(Locked::Problem(problem)),
        };
        if let Some(passphrase) = &self.credentials.passphrase {
            last = match try_unlock(&file, Some(passphrase)).await {
                Ok(key) => return Ok(key),
                Err(problem) if problem.is_wrong_passphrase() => problem,
                Err(problem) => return Err(Locked::Problem(problem)),
            };
        }
        for _ in 0..self.credentials.prompts.get() {
            let text = format!("Enter passphrase for key '{}': ", file.label());
            let request = self.request(PromptKind::Passphrase).with_prompt(&text, Echo::Hidden);
            let passphrase = match self.ask(request).await {
                Answered::Yes(answers) => answers.into_iter().next(),
                Answered::Cancelled(why) => return Err(Locked::Cancelled(why)),
                Answered::Nobody if last.is_wrong_passphrase() => break,
                Answered::Nobody => {
                    return Err(Locked::Problem(KeyProblem::new(file.label(), Fault::NobodyToAsk)));
                }
            };
            // As ssh: no passphrase means that the next key is to be tried.
            let Some(passphrase) = passphrase.filter(|given| !given.expose_secret().is_empty()) else {
                return Err(Locked::Problem(KeyProblem::new(file.label(), Fault::NoPassphrase)));
            };
            last = match try_unlock(&file, Some(&passphrase)).await {
                Ok(key) => return Ok(key),
                Err(problem) if problem.is_wrong_passphrase() => problem,
                Err(problem) => return Err(Locked::Problem(problem)),
            };
        }
        Err(Locked::Problem(last))
    }
}

async fn try_unlock(
    file: &Arc<KeyFile>,
    passphrase: Option<&SecretString>,
) -> Result<Arc<PrivateKey>, KeyProblem> {
    if let Some(key) = file.unlocked() {
        return Ok(key);
    }
    if passphrase.is_none() && file.public().is_some_and(|public| keys::is_quick(&public.algorithm())) {
        // Microseconds, less than it takes to hand the work to another thread.
        return file.unlock(None);
    }
    let (locked, passphrase) = (Arc::clone(file), passphrase.cloned());
    blocking(move || locked.unlock(passphrase.as_ref()))
        .await
        .unwrap_or_else(|_| Err(KeyProblem::new(file.label(), Fault::TooSlow)))
}
