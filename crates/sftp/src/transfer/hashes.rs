//! The SHA-256 of files of the server, asked for by many transfers at once and answered by few commands.
//!
//! A command takes a channel and some round trips, whatever it does. While one runs, questions gather, and the next one is
//! for all of them: a single file is answered at once, and hundreds that are under way together by some ten commands.

use std::convert::Infallible;
use std::future::{Future, pending};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::{mpsc, oneshot};

use crate::transfer::remote_command::{Account, Seen};

/// Where transfers ask. Clones ask at the same place.
#[derive(Debug, Clone)]
pub(crate) struct Hashes {
    questions: mpsc::UnboundedSender<Question>,
}

/// What was asked, to be answered beside the transfers.
pub(crate) struct Questions {
    asked: mpsc::UnboundedReceiver<Question>,
}

#[derive(Debug)]
struct Question {
    account: Account,
    path: Bytes,
    length: u64,
    answer: oneshot::Sender<Result<Seen, String>>,
}

impl Hashes {
    pub(crate) fn new() -> (Self, Questions) {
        let (questions, asked) = mpsc::unbounded_channel();
        (Self { questions }, Questions { asked })
    }

    /// The SHA-256 of the first `length` bytes of a file, by its absolute path, or why there is none.
    ///
    /// It is asked with the call, and the answer waited for in what is returned.
    pub(crate) fn ask(
        &self,
        account: &Account,
        path: Bytes,
        length: u64,
    ) -> impl Future<Output = Result<Seen, String>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        let asked = self.questions.send(Question { account: account.clone(), path, length, answer });
        async move {
            let over = || "the transfer that it belongs to is over".to_owned();
            asked.map_err(|_| over())?;
            answered.await.map_err(|_| over())?
        }
    }
}

impl Questions {
    /// Answers what is asked, as long as it is polled.
    pub(crate) async fn answer(mut self) -> Infallible {
        let (mut waiting, mut commands) = (Vec::new(), FuturesUnordered::new());
        let mut may_be_asked = true;
        loop {
            while !waiting.is_empty()
                && (commands.is_empty() || commands.len() < AT_ONCE && waiting.len() >= TOGETHER)
            {
                let batch = waiting.drain(..waiting.len().min(TOGETHER)).collect();
                commands.push(answer(batch));
            }
            tokio::select! {
                // Whoever has asked by now is in the next command.
                biased;
                asked = self.asked.recv_many(&mut waiting, TOGETHER), if may_be_asked => may_be_asked = asked > 0,
                Some(()) = commands.next() => {}
                else => pending().await,
            }
        }
    }
}

/// Runs a command for all of them.
async fn answer(questions: Vec<Question>) {
    let questions: Vec<_> = questions.into_iter().filter(|asked| !asked.answer.is_closed()).collect();
    // Those of a transfer lead to the same files, and one that is lost says nothing any more.
    let living = questions.iter().find(|asked| asked.account.session().is_open()).or(questions.first());
    let Some(account) = living.map(|asked| asked.account.clone()) else { return };
    let files: Vec<_> = questions.iter().map(|asked| (asked.path.clone(), asked.length)).collect();
    for (asked, seen) in questions.into_iter().zip(account.sha256_of_each(&files).await) {
        // Whoever asked may have been dropped meanwhile.
        let _ = asked.answer.send(seen);
    }
}

/// Files that are answered with one command, and how many such commands there are at once: OpenSSH grants ten channels,
/// and a disk is busy with less.
const TOGETHER: usize = 64;
const AT_ONCE: usize = 2;
