//! Questions by keyboard-interactive as a conversation: the code that asks runs on from answer to answer.

use std::{fmt, pin::Pin};

use bytes::Bytes;
use russh::server::Auth;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{mpsc, oneshot};

use crate::user::Round;

/// What code given to [`keyboard_interactive_fn`](crate::User::keyboard_interactive_fn) asks with.
///
/// One goes with each attempt; when the client tries something else instead of answering, the code's future is dropped
/// where it waits.
pub struct Dialog {
    user: String,
    questions: mpsc::Sender<Asked>,
}

/// What a client answered to a round of questions. Never printed.
pub struct Answers {
    texts: Vec<SecretString>,
    right: Match,
}

/// What comes of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// The answers are right.
    Right,
    /// They are not.
    Wrong,
    /// They would be right, had they not been used before.
    Replayed,
}

struct Asked {
    round: Round,
    answer: oneshot::Sender<Answers>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Match {
    Yes,
    No,
}

impl Dialog {
    /// The user name given.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Asks a round of questions. A client that answers more or fewer than were asked is refused, and does not come
    /// back here.
    ///
    /// # Cancel safety
    /// The client sees the questions, and its answers are lost, when this future is dropped.
    pub async fn ask(&mut self, round: Round) -> Answers {
        let (answer, answered) = oneshot::channel();
        if self.questions.send(Asked { round, answer }).await.is_ok()
            && let Ok(answers) = answered.await
        {
            return answers;
        }
        // The conversation is being dropped, and this future with it.
        std::future::pending().await
    }
}

impl Answers {
    /// The answer to the n-th question, counted from 0; empty if there was none such.
    #[must_use]
    pub fn text(&self, n: usize) -> &str {
        self.texts.get(n).map_or("", |text| text.expose_secret())
    }

    /// Whether every question that was given with its answer has been answered so.
    #[must_use]
    pub fn are_right(&self) -> bool {
        self.right == Match::Yes
    }
}

/// How many answers, never which.
impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answers({})", self.texts.len())
    }
}

/// One conversation, between the rounds of which the server does other things.
pub(crate) struct Conversation {
    code: Pin<Box<dyn Future<Output = Verdict> + Send>>,
    questions: mpsc::Receiver<Asked>,
    open: Option<Asked>,
}

/// What the client is told next.
pub(crate) enum Turn {
    Ask(Auth),
    Done(Verdict),
}

impl Conversation {
    pub(crate) fn begin<F>(user: &str, code: impl FnOnce(Dialog) -> F) -> Self
    where
        F: Future<Output = Verdict> + Send + 'static,
    {
        let (asker, questions) = mpsc::channel(1);
        let dialog = Dialog { user: user.to_owned(), questions: asker };
        Self { code: Box::pin(code(dialog)), questions, open: None }
    }

    /// Goes on with these answers, or begins, to the next questions or the end.
    pub(crate) async fn next(&mut self, answers: Option<&[Bytes]>) -> Turn {
        if let Some(answers) = answers {
            let Some(Asked { round, answer }) = self.open.take() else { return Turn::Done(Verdict::Wrong) };
            // RFC 4256 section 3.4: as many answers as questions.
            if answers.len() != round.len() {
                return Turn::Done(Verdict::Wrong);
            }
            let right = if round.accepts(answers) { Match::Yes } else { Match::No };
            let texts =
                answers.iter().map(|text| String::from_utf8_lossy(text).into_owned().into()).collect();
            // Code that no longer listens goes on by itself.
            drop(answer.send(Answers { texts, right }));
        }
        tokio::select! {
            biased;
            verdict = &mut self.code => Turn::Done(verdict),
            Some(asked) = self.questions.recv() => {
                let auth = asked.round.to_auth();
                self.open = Some(asked);
                Turn::Ask(auth)
            }
        }
    }
}
