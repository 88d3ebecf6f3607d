//! Scripted commands: which text is answered, and with what.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;

use crate::{call::Call, exit::Exit};

/// What a scripted command answers.
///
/// ```
/// use std::time::Duration;
/// use rustle_testserver::{Exit, Reply, Signal};
///
/// let hostname = Reply::stdout("web-1\n");
/// let failing = Reply::stderr("no such unit\n").exit(5);
/// let killed = Reply::stdout("partial").signal(Signal::new("SEGV"));
/// let slow = Reply::stdout("done\n").after(Duration::from_secs(3));
/// let mute = Reply::new().ends(Exit::Silent);
/// ```
#[derive(Debug, Clone)]
pub struct Reply {
    stdout: Bytes,
    stderr: Bytes,
    delay: Duration,
    exit: Option<Exit>,
}

impl Reply {
    /// No output, exit code 0.
    #[must_use]
    pub fn new() -> Self {
        Self { stdout: Bytes::new(), stderr: Bytes::new(), delay: Duration::ZERO, exit: Some(Exit::SUCCESS) }
    }

    /// This on standard output, exit code 0.
    #[must_use]
    pub fn stdout(data: impl Into<Bytes>) -> Self {
        Self { stdout: data.into(), ..Self::new() }
    }

    /// This on standard error, exit code 0.
    #[must_use]
    pub fn stderr(data: impl Into<Bytes>) -> Self {
        Self { stderr: data.into(), ..Self::new() }
    }

    /// This on standard output too, before standard error.
    #[must_use]
    pub fn and_stdout(mut self, data: impl Into<Bytes>) -> Self {
        self.stdout = data.into();
        self
    }

    /// This on standard error too, after standard output.
    ///
    /// ```
    /// use rustle_testserver::{Reply};
    ///
    /// let both = Reply::new().and_stdout("one\n").and_stderr("a warning\n");
    /// ```
    #[must_use]
    pub fn and_stderr(mut self, data: impl Into<Bytes>) -> Self {
        self.stderr = data.into();
        self
    }

    /// Ends with this exit code.
    #[must_use]
    pub fn exit(self, code: u32) -> Self {
        self.ends(Exit::Code(code))
    }

    /// Ends by this signal.
    #[must_use]
    pub fn signal(self, signal: crate::Signal) -> Self {
        self.ends(Exit::signal(signal))
    }

    /// Ends in this way.
    #[must_use]
    pub fn ends(mut self, exit: Exit) -> Self {
        self.exit = Some(exit);
        self
    }

    /// Gives its output and then runs on until the client closes the channel.
    ///
    /// ```
    /// use rustle_testserver::{Reply};
    ///
    /// let tail = Reply::stdout("first line\n").never_ends();
    /// ```
    #[must_use]
    pub fn never_ends(mut self) -> Self {
        self.exit = None;
        self
    }

    /// Waits this long before the output.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    async fn play(self, mut call: Call) -> Exit {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let sent = async {
            call.stdout.send(self.stdout).await?;
            call.stderr.send(self.stderr).await
        };
        if sent.await.is_err() {
            return Exit::Silent;
        }
        match self.exit {
            Some(exit) => exit,
            None => std::future::pending().await,
        }
    }
}

impl Default for Reply {
    fn default() -> Self {
        Self::new()
    }
}

/// The commands a server was told to answer, in the order given; the last that matches wins. A running server may be
/// told more.
#[derive(Default)]
pub(crate) struct Script {
    entries: Mutex<Vec<Entry>>,
}

struct Entry {
    pattern: Pattern,
    answer: Answer,
    asked: Asked,
}

/// Whether a client has asked for it, or need not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    NotYet,
    Settled,
}

/// What a text is compared with.
#[derive(PartialEq, Eq)]
pub(crate) enum Pattern {
    Exact(Vec<u8>),
    /// Literal pieces that must follow each other, anything between them.
    Wildcard(Vec<Vec<u8>>),
}

type Closure = dyn Fn(Call) -> Pin<Box<dyn Future<Output = Exit> + Send>> + Send + Sync;

#[derive(Clone)]
pub(crate) enum Answer {
    Reply(Reply),
    Closure(Arc<Closure>),
}

impl Script {
    pub(crate) fn exact(&self, command: &str, answer: Answer) {
        self.push(Pattern::Exact(command.as_bytes().to_vec()), answer);
    }

    pub(crate) fn matching(&self, pattern: &str, answer: Answer) {
        self.push(Pattern::wildcard(pattern), answer);
    }

    pub(crate) fn find(&self, command: &[u8]) -> Option<Answer> {
        self.lock().iter_mut().rev().find(|entry| entry.pattern.matches(command)).map(|entry| {
            entry.asked = Asked::Settled;
            entry.answer.clone()
        })
    }

    /// The texts and patterns that no client has asked for.
    pub(crate) fn unasked(&self) -> Vec<String> {
        let entries = self.lock();
        entries
            .iter()
            .filter(|entry| entry.asked == Asked::NotYet)
            .map(|entry| entry.pattern.to_string())
            .collect()
    }

    /// Nobody need ask for those that nobody has asked for.
    pub(crate) fn forgive(&self) {
        for entry in self.lock().iter_mut() {
            entry.asked = Asked::Settled;
        }
    }

    fn push(&self, pattern: Pattern, answer: Answer) {
        let mut entries = self.lock();
        // What can never be found again.
        entries.retain(|entry| entry.pattern != pattern);
        entries.push(Entry { pattern, answer, asked: Asked::NotYet });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    pub(crate) fn closure<F, Fut>(answer: F) -> Self
    where
        F: Fn(Call) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Exit> + Send + 'static,
    {
        Self::Closure(Arc::new(move |call| Box::pin(answer(call))))
    }

    pub(crate) async fn play(self, call: Call) -> Exit {
        match self {
            Self::Reply(reply) => reply.play(call).await,
            Self::Closure(closure) => closure(call).await,
        }
    }
}

impl Pattern {
    /// `*` stands for any run of bytes.
    pub(crate) fn wildcard(pattern: &str) -> Self {
        Self::Wildcard(pattern.split('*').map(|piece| piece.as_bytes().to_vec()).collect())
    }

    pub(crate) fn matches(&self, command: &[u8]) -> bool {
        match self {
            Self::Exact(text) => text == command,
            Self::Wildcard(pieces) => matches_pieces(pieces, command),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = match self {
            Self::Exact(text) => text.clone(),
            Self::Wildcard(pieces) => pieces.join(&b'*'),
        };
        f.write_str(&String::from_utf8_lossy(&bytes))
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Script({} commands)", self.lock().len())
    }
}

fn matches_pieces(pieces: &[Vec<u8>], text: &[u8]) -> bool {
    let [first, middle @ .., last] = pieces else {
        return pieces.first().is_some_and(|only| only == text);
    };
    let Some(mut rest) = text.strip_prefix(first.as_slice()) else { return false };
    for piece in middle {
        match rest.windows(piece.len().max(1)).position(|window| window.starts_with(piece)) {
            _ if piece.is_empty() => {}
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, command: &str) -> bool {
        let script = Script::default();
        script.matching(pattern, Answer::Reply(Reply::new()));
        script.find(command.as_bytes()).is_some()
    }

    #[test]
    fn wildcards_match_any_run_of_bytes() {
        assert!(matches("systemctl * nginx", "systemctl restart nginx"));
        assert!(matches("*", ""));
        assert!(matches("a*b*c", "a-b-b-c"));
        assert!(matches("a**c", "abc"));
        assert!(!matches("systemctl * nginx", "systemctl restart apache"));
        assert!(!matches("ab*ba", "aba"));
        assert!(!matches("exact", "exactly"));
    }

    #[test]
    fn last_matching_entry_wins() {
        let script = Script::default();
        script.matching("*", Answer::Reply(Reply::new().exit(1)));
        script.exact("id", Answer::Reply(Reply::new().exit(2)));
        let Some(Answer::Reply(reply)) = script.find(b"id") else { panic!("not found") };
        assert_eq!(reply.exit, Some(Exit::Code(2)));
    }
}
