//! The task beside a command: it reads what the command says on standard error, and ends it with the connection.

use std::convert::Infallible;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::auth::{Lines as OneOrMore, sanitised};
use crate::connect::proxy_command::shell::Group;
use crate::connect::proxy_command::{Exit, Listener};

/// What the command gets to end by itself when its input has ended; most do at once.
const BY_ITSELF: Duration = Duration::from_millis(500);

/// What it gets after a signal that asks it to end.
const AFTER_ASKING: Duration = Duration::from_millis(500);

/// What is still read of standard error when the command has ended: others may hold it open for ever.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What it takes to end one that does not want to and whose last words nobody hears, and as much again for a busy machine.
pub(super) const BY_FORCE: Duration = Duration::from_millis(2500);

/// How long a line may stand unfinished before it is told as it is: a question does not end in a new line.
const SILENCE: Duration = Duration::from_millis(200);

/// The longest line, in bytes.
const LONGEST: usize = 4096;

/// Starts the keeper of a command; the receiver learns how the command ended.
pub(super) fn start(
    child: Child,
    group: Group,
    stderr: ChildStderr,
    listener: Arc<Listener>,
    ending: CancellationToken,
) -> watch::Receiver<Option<Exit>> {
    let (tell, exit) = watch::channel(None);
    // Owner: the connection that the command carries, by its stream. Ends: when the command has ended, at the latest
    // a second and a half after the stream was dropped. Waited for: by `Session::close`, through the exit that it tells.
    tokio::spawn(async move {
        let how = keep(child, group, Said::new(stderr, listener), &ending).await;
        tell.send_replace(Some(how));
    });
    exit
}

async fn keep(mut child: Child, mut group: Group, mut said: Said, ending: &CancellationToken) -> Exit {
    let mut reading = true;
    let status = loop {
        tokio::select! {
            // First what ends it: a command that never stops talking is ended like any other.
            biased;
            () = ending.cancelled() => {
                let status = tokio::select! {
                    biased;
                    status = end(&mut child, &group) => status,
                    // With nobody to read it, what it says on its way out would hold it up.
                    never = said.read_on(reading) => match never {},
                };
                // With its own group, what it left there goes as well. The number is still the group's: the system gives
                // out all others before it gives one again, and it was waited for just now.
                group.kill();
                match status {
                    Some(status) => break Some(status),
                    None => return Exit::Ended,
                }
            }
            status = child.wait() => break status.ok(),
            more = said.read(), if reading => reading = more,
        }
    };
    group.forget();
    // What it said last is the reason more often than not.
    let rest = async { while reading && said.read().await {} };
    let _ = tokio::time::timeout(LAST_WORDS, rest).await;
    Exit::ByItself { status, last_line: said.last_line().await }
}

/// Ends the command; gives its status where that came without force.
async fn end(child: &mut Child, group: &Group) -> Option<ExitStatus> {
    if let Ok(status) = tokio::time::timeout(BY_ITSELF, child.wait()).await {
        return status.ok();
    }
    group.ask_to_end();
    if tokio::time::timeout(AFTER_ASKING, child.wait()).await.is_err() {
        // An error is that of a process that is gone.
        let _ = child.kill().await;
    }
    None
}

/// What the command says on standard error, cut into lines.
struct Said {
    stderr: ChildStderr,
    listener: Arc<Listener>,
    lines: Lines,
    /// Lines that are on their way to the listener.
    telling: Option<JoinHandle<()>>,
}

impl Said {
    fn new(stderr: ChildStderr, listener: Arc<Listener>) -> Self {
        Self { stderr, listener, lines: Lines::default(), telling: None }
    }

    /// Reads a piece, and tells the lines that it ends; `false` at the end.
    ///
    /// # Cancel safety
    /// Safe: nothing read is lost, and lines that are being told are told to the last.
    async fn read(&mut self) -> bool {
        self.told().await;
        let mut piece = [0; 1024];
        let lines = tokio::select! {
            biased;
            count = self.stderr.read(&mut piece) => match count {
                Ok(count) if count > 0 => self.lines.take(piece.get(..count).unwrap_or_default()),
                _ => return false,
            },
            () = tokio::time::sleep(SILENCE), if self.lines.is_unfinished() => self.lines.rest(),
        };
        self.tell(lines);
        self.told().await;
        true
    }

    /// Reads to the end, if it has not come yet, and never returns.
    async fn read_on(&mut self, reading: bool) -> Infallible {
        while reading && self.read().await {}
        std::future::pending().await
    }

    /// Has the listener told, where it may block: whoever shows the lines may have to wait for a terminal or a pipe. So
    /// long nothing more is read, and the command waits as it would with that terminal as its own.
    fn tell(&mut self, lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        let listener = Arc::clone(&self.listener);
        let logging = tracing::dispatcher::get_default(Clone::clone);
        // Owner: the keeper of this command. Ends: when the listener returns. Waited for: before anything more is read.
        self.telling = Some(tokio::task::spawn_blocking(move || {
            tracing::dispatcher::with_default(&logging, || lines.iter().for_each(|line| listener(line)));
        }));
    }

    /// Waits until the listener has been told.
    async fn told(&mut self) {
        if let Some(telling) = &mut self.telling {
            // An error is a panic of the listener's, which is no reason to stop.
            let _ = telling.await;
            self.telling = None;
        }
    }

    /// The last line that says anything, when all are told.
    async fn last_line(mut self) -> String {
        let rest = self.lines.rest();
        self.tell(rest);
        let _ = tokio::time::timeout(LAST_WORDS, self.told()).await;
        self.lines.last
    }
}

/// Bytes on their way to be lines.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    /// The line's beginning has been told already.
    begun: bool,
    /// The last line that says anything.
    last: String,
}

impl Lines {
    /// The lines that end with these bytes.
    fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for &byte in bytes {
            if byte != b'\n' {
                if self.line.len() < LONGEST {
                    self.line.push(byte);
                }
                continue;
            }
            // A question that was told, and answered with a new line, is no line once more.
            if !(self.begun && self.line.iter().all(|&byte| byte == b'\r')) {
                lines.push(self.cut());
            }
            self.line.clear();
            self.begun = false;
        }
        lines
    }

    fn is_unfinished(&self) -> bool {
        !self.line.is_empty()
    }

    /// What there is of a line that has not ended.
    fn rest(&mut self) -> Vec<String> {
        if self.line.is_empty() {
            return Vec::new();
        }
        self.begun = true;
        vec![self.cut()]
    }

    fn cut(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.line);
        let text = sanitised(text.trim_end_matches('\r'), OneOrMore::One);
        self.line.clear();
        if !text.trim().is_empty() {
            self.last.clone_from(&text);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_told_once_however_it_comes() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"one\r\ntw"), ["one"]);
        assert!(lines.is_unfinished());
        assert_eq!(lines.take(b"o\n\n"), ["two", ""]);
        assert!(!lines.is_unfinished() && lines.rest().is_empty());
        assert_eq!(lines.take(b"code: "), [""; 0]);
        assert_eq!(lines.rest(), ["code: "]);
        // The new line that answers it.
        assert_eq!(lines.take(b"\r\nthanks\n\n"), ["thanks", ""]);
        assert_eq!(lines.take(b"again: "), [""; 0]);
        assert_eq!(lines.rest(), ["again: "]);
        assert_eq!(lines.take(b"and more\n"), ["and more"]);
        assert_eq!(lines.last, "and more");
        assert_eq!(lines.take(&[b'x'; 3 * LONGEST]), [""; 0]);
        assert_eq!(lines.rest()[0].len(), LONGEST);
    }
}
