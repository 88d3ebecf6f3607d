//! Ending a remote process, and saying no more about it than is known.
//!
//! SSH has a request for signals (RFC 4254 section 6.9), and servers may ignore it without an answer:
//! OpenSSH does for root and for forced commands. So a command started here reports the id of its process
//! group first (see [`ProcessGroup`]), and where the signal alone does not end it, a second channel runs
//! `kill` for that group. Closing the channel alone would leave the process running, and its session slot
//! taken.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::base::{Channel, Connection, End, NotOpened, Open, Request, Stream};
use crate::driver::{Task, Tasks};
use crate::quote::Shell;
use crate::session::OpenInBackground;

/// How long a process has to end after a signal before the next means is tried.
const AFTER_SIGNAL: Duration = Duration::from_millis(150);

/// How long it has after `kill -s TERM` before `kill -s KILL`, and after that before it counts as running.
const AFTER_KILL: Duration = Duration::from_millis(400);

/// How long the report of a process group may take after the command was started.
const REPORT_WITHIN: Duration = Duration::from_millis(500);

/// How long one channel that runs `kill` may take, its wait for a free session slot included.
const KILL_WITHIN: Duration = Duration::from_secs(5);

/// How long the peer has to close a channel over which everything was said.
const ENDED_BY_ITSELF: Duration = Duration::from_secs(1);

/// How many channels run `kill` at once: each needs a session slot, of which OpenSSH has ten.
const KILLS_AT_ONCE: usize = 2;

/// What became of a remote process that this side ended.
///
/// ```
/// assert_eq!(rustle_session::Ended::Confirmed.to_string(), "ended");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// The server closed its channel, as it does when the process has ended and nobody holds its output any more.
    Confirmed,
    /// A signal was sent, and no such end was seen in time; servers do not say whether they delivered it. The process itself may have ended, while
    /// what it started goes on and holds its output.
    Signalled,
    /// Nothing that could be tried reached it, as far as can be known: it may still run.
    LeftRunning,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Confirmed => "ended",
            Self::Signalled => "signalled, end not confirmed",
            Self::LeftRunning => "possibly left running",
        })
    }
}

/// How to end what runs on a channel.
#[derive(Clone)]
pub(crate) enum Ending {
    /// A command: by signal, then by its process group where that is known.
    Process(Option<Arc<ProcessGroup>>),
    /// A terminal's session: closing it hangs up on its processes (`SIGHUP`).
    HangUp,
    /// A subsystem: it ends with its input, and signals do not reach it.
    EndOfInput,
    /// No process: a forward, or a channel on which nothing was started.
    Close,
    /// A forward over which both sides have said all: the peer closes it by itself, and the base keeps some memory of a
    /// channel that this side closes first.
    Ended,
}

/// Ends channels for one connection.
#[derive(Clone)]
pub(crate) struct Orphans {
    connection: Arc<Connection>,
    /// Takes over what a `kill` that is given up leaves.
    tasks: Tasks,
    kills: Arc<Semaphore>,
    /// Learned: this server takes signals without an effect.
    signals_ignored: Arc<AtomicBool>,
}

impl Orphans {
    pub(crate) fn new(connection: Arc<Connection>, tasks: Tasks) -> Self {
        let kills = Arc::new(Semaphore::new(KILLS_AT_ONCE));
        Self { connection, tasks, kills, signals_ignored: Arc::default() }
    }

    /// Ends a channel whose output nobody wants any more.
    ///
    /// # Cancel safety
    /// Dropped, the process may stay as it is and the channel open.
    pub(crate) async fn end(&self, channel: &Arc<Channel>, ending: &Ending) -> Ended {
        channel.intake().discard_output();
        let ended = match ending {
            Ending::Process(group) => {
                if group.is_none() {
                    channel.intake().drop_stream(Stream::Err);
                }
                self.end_process(channel, group.as_deref(), Reading::ForReport).await
            }
            Ending::EndOfInput => {
                channel.intake().drop_stream(Stream::Err);
                let _ = channel.eof().await;
                ended_within(
                    channel,
                    AFTER_KILL + self.connection.round_trip() * 2,
                    None,
                    Reading::ForReport,
                )
                .await;
                Ended::Confirmed
            }
            Ending::Ended => {
                let by_itself = ENDED_BY_ITSELF + self.connection.round_trip() * 2;
                let _ = timeout(by_itself, channel.ended()).await;
                Ended::Confirmed
            }
            Ending::HangUp | Ending::Close => Ended::Confirmed,
        };
        if channel.intake().end_seen().is_none() {
            let _ = channel.close().await;
        }
        ended
    }

    /// Ends the process of a channel, which stays open for what it still says.
    ///
    /// # Cancel safety
    /// Dropped, it may have sent a signal or not.
    pub(crate) async fn end_process(
        &self,
        channel: &Arc<Channel>,
        group: Option<&ProcessGroup>,
        reading: Reading,
    ) -> Ended {
        if channel.intake().end_seen() == Some(End::Closed) {
            return Ended::Confirmed;
        }
        if channel.signal("TERM").await.is_err() {
            return Ended::LeftRunning;
        }
        let by_signal =
            if self.signals_ignored.load(Ordering::Relaxed) { Duration::ZERO } else { AFTER_SIGNAL };
        let answered = self.connection.round_trip() * 2;
        if ended_within(channel, by_signal + answered, group, reading).await {
            return Ended::Confirmed;
        }
        let group_id = match group {
            Some(group) => group.report(channel, reading).await,
            None => None,
        };
        for signal in ["TERM", "KILL"] {
            // Whatever `kill` says, only the channel's own end confirms anything.
            if let Some(id) = group_id {
                let _ = timeout(KILL_WITHIN, self.kill(id, signal)).await;
            }
            if signal == "KILL" {
                let _ = channel.signal(signal).await;
            }
            if ended_within(channel, AFTER_KILL + answered, group, reading).await {
                // With a group it was `kill` that worked, after the signal had been given its time.
                self.signals_ignored.fetch_or(group_id.is_some(), Ordering::Relaxed);
                return Ended::Confirmed;
            }
        }
        self.unconfirmed(channel)
    }

    /// What is known when no end was seen.
    fn unconfirmed(&self, channel: &Channel) -> Ended {
        match channel.intake().end_seen() {
            Some(End::Closed) => Ended::Confirmed,
            _ if self.connection.is_gone() => Ended::LeftRunning,
            _ => Ended::Signalled,
        }
    }

    /// Runs `kill` for a process group on a channel of its own; `None` when the connection ended.
    ///
    /// # Cancel safety
    /// Dropped, its channel is ended in the background, also where the server opens it later.
    async fn kill(&self, group: u32, signal: &str) -> Option<()> {
        let _permit = self.kills.acquire().await.ok()?;
        let killer = loop {
            match self.open_session().await {
                Ok(channel) => break Killer { channel: Arc::new(channel), tasks: self.tasks.clone() },
                Err(NotOpened::Gone) => return None,
                // All session slots are taken; one comes free when another process ends.
                Err(NotOpened::Refused(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        // No character in here means anything to any shell, and `--` keeps the group from being an option.
        let line = format!("sh -c 'kill -s {signal} -- -{group}'");
        killer.channel.request(Request::Exec { command: line.as_bytes() }).await.ok()?;
        killer.channel.ended().await;
        Some(())
    }

    /// Opens a session channel, once.
    ///
    /// # Cancel safety
    /// Dropped, what the server opens later is closed.
    async fn open_session(&self) -> Result<Channel, NotOpened> {
        let connection = Arc::clone(&self.connection);
        let opening = Box::pin(async move { connection.open(&Open::Session).await });
        let (opened, _) = OpenInBackground::new(Open::Session, None, opening, self.tasks.clone()).await;
        opened
    }
}

/// A channel that runs `kill`; dropped before its end, it is ended in the background, so that its slot comes free.
struct Killer {
    channel: Arc<Channel>,
    tasks: Tasks,
}

impl Drop for Killer {
    fn drop(&mut self) {
        if self.channel.intake().end_seen().is_none() {
            self.tasks.send(Task::End(Arc::clone(&self.channel), Ending::Process(None), None));
        }
    }
}

/// Who reads a channel's streams while its process is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Nobody: standard error is read here, for the report of the process group.
    ForReport,
    /// Somebody else, at the same time.
    Elsewhere,
}

/// Waits for the channel's end. Where nobody reads, the report is taken on the way.
async fn ended_within(
    channel: &Arc<Channel>,
    time: Duration,
    group: Option<&ProcessGroup>,
    reading: Reading,
) -> bool {
    let ended = async {
        tokio::select! {
            _ = channel.ended() => {}
            () = drain(channel, group), if reading == Reading::ForReport => { channel.ended().await; }
        }
    };
    timeout(time, ended).await.is_ok() && channel.intake().end_seen() == Some(End::Closed)
}

/// Reads standard error away, through the group's filter.
async fn drain(channel: &Arc<Channel>, group: Option<&ProcessGroup>) {
    let Some(group) = group else { return };
    while let Ok(Some(_)) = group.stderr(channel).await {}
}

/// The report of a command's process group: a line on its standard error, taken out again here.
///
/// OpenSSH's server makes the login shell the leader of a process group of its own, so that shell's process id
/// names the group of all it starts. The line carries a random mark, so that no output can be taken for it.
pub(crate) struct ProcessGroup {
    mark: String,
    state: Mutex<Scan>,
}

#[derive(Default)]
struct Scan {
    id: Option<u32>,
    done: bool,
    held: BytesMut,
}

/// The report comes first; behind this much other output it is no longer looked for.
const REPORT_BEFORE: usize = 256 * 1024;

impl ProcessGroup {
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        let mut random = [0u8; 12];
        getrandom::fill(&mut random)?;
        let mark = random.iter().fold(String::from("rustle:"), |mark, byte| mark + &format!("{byte:02x}"));
        Ok(Self { mark, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, Scan> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the command line begins with so that the shell reports; `None` for shells that have no groups.
    pub(crate) fn prologue(&self, shell: Shell) -> Option<String> {
        let mark = &self.mark;
        match shell {
            // A built-in of every such shell: no process more than without it.
            Shell::Posix => Some(format!("printf '{mark} %s\\n' \"$$\" >&2; ")),
            Shell::Fish => Some(format!("printf '{mark} %s\\n' $fish_pid >&2; ")),
            // csh cannot write to standard error by itself; the helper's parent is the shell that leads.
            Shell::Csh => Some(format!("sh -c 'echo {mark} $PPID >&2'; ")),
            _ => None,
        }
    }

    /// The next bytes of standard error, without the report.
    ///
    /// # Cancel safety
    /// Safe: no bytes are lost.
    pub(crate) async fn stderr(&self, channel: &Channel) -> io::Result<Option<Bytes>> {
        poll_fn(|cx| self.poll_stderr(channel, cx)).await
    }

    pub(crate) fn poll_stderr(
        &self,
        channel: &Channel,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            let bytes = std::task::ready!(channel.intake().poll_data(Stream::Err, cx))?;
            let mut scan = self.state();
            let Some(bytes) = bytes else {
                scan.done = true;
                let rest = scan.held.split().freeze();
                return Poll::Ready(Ok((!rest.is_empty()).then_some(rest)));
            };
            if scan.done {
                return Poll::Ready(Ok(Some(bytes)));
            }
            let passed = scan.pass(&self.mark, &bytes);
            if !passed.is_empty() {
                return Poll::Ready(Ok(Some(passed)));
            }
        }
    }

    /// The group's id, once reported.
    pub(crate) fn id(&self) -> Option<u32> {
        self.state().id
    }

    /// Says that nobody will read standard error. What may hold the report stays.
    pub(crate) fn drop_stderr(&self, channel: &Channel) {
        self.look_ahead(channel);
        let is_awaited = {
            let scan = self.state();
            !scan.done && scan.id.is_none()
        };
        if is_awaited {
            channel.intake().keep_errors(REPORT_BEFORE);
        } else {
            channel.intake().drop_stream(Stream::Err);
        }
    }

    /// Looks for the report in what its reader has not come for yet, and leaves it there.
    fn look_ahead(&self, channel: &Channel) {
        let mut scan = self.state();
        if scan.done || scan.id.is_some() {
            return;
        }
        let mut bytes = scan.held.clone();
        let room = REPORT_BEFORE.saturating_sub(bytes.len());
        bytes.extend_from_slice(&channel.intake().peek_errors(room));
        if let Some((_, id)) = find_report(&bytes, &self.mark) {
            scan.id = id;
        }
    }

    /// Waits a moment for the group's id.
    async fn report(&self, channel: &Arc<Channel>, reading: Reading) -> Option<u32> {
        let reported = async {
            while self.id().is_none() {
                match reading {
                    Reading::ForReport => match self.stderr(channel).await {
                        Ok(Some(_)) => {}
                        Ok(None) | Err(_) => break,
                    },
                    Reading::Elsewhere => {
                        self.look_ahead(channel);
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
            }
        };
        let _ = timeout(REPORT_WITHIN, reported).await;
        self.id()
    }
}

impl Scan {
    /// Takes bytes in and gives back those that are not part of a report.
    fn pass(&mut self, mark: &str, bytes: &[u8]) -> Bytes {
        self.held.extend_from_slice(bytes);
        if let Some((line, id)) = find_report(&self.held, mark) {
            self.id = id;
            self.done = true;
            let mut passed = self.held.split_to(line.start);
            let _ = self.held.split_to(line.end - line.start);
            passed.unsplit(self.held.split());
            return passed.freeze();
        }
        // Keep back only what may be the beginning of the report: from the last line start that fits it.
        let keep_from = possible_start(&self.held, mark);
        let passed = self.held.split_to(keep_from);
        if self.held.len() > REPORT_BEFORE {
            self.done = true;
        }
        passed.freeze()
    }
}

/// The report line in these bytes, and the id in it.
fn find_report(bytes: &[u8], mark: &str) -> Option<(std::ops::Range<usize>, Option<u32>)> {
    let mark = mark.as_bytes();
    let start = bytes.windows(mark.len()).position(|window| window == mark)?;
    let length = bytes.get(start..)?.iter().position(|&byte| byte == b'\n')? + 1;
    let number = bytes.get(start + mark.len()..start + length)?;
    let id = std::str::from_utf8(number).ok().and_then(|text| text.trim().parse().ok());
    // Group 0 and 1 would be our own and everybody's.
    Some((start..start + length, id.filter(|id| *id > 1)))
}

/// Where a report may begin whose rest has not come yet.
fn possible_start(bytes: &[u8], mark: &str) -> usize {
    let mark = mark.as_bytes();
    if let Some(start) = bytes.windows(mark.len()).position(|window| window == mark) {
        return start;
    }
    let longest = bytes.len().min(mark.len().saturating_sub(1));
    (bytes.len() - longest..bytes.len())
        .find(|&start| mark.starts_with(bytes.get(start..).unwrap_or_default()))
        .unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(pieces: &[&[u8]]) -> (Vec<u8>, Option<u32>) {
        let mut scan = Scan::default();
        let mut passed = Vec::new();
        for piece in pieces {
            passed.extend_from_slice(&scan.pass("rustle:abc", piece));
        }
        passed.extend_from_slice(&scan.held);
        (passed, scan.id)
    }

    #[test]
    fn the_report_is_found_and_taken_out_wherever_it_is_split() {
        let text = b"profile noise\nrustle:abc 4711\nreal error rustle:abc\n";
        for split in 0..text.len() {
            let (head, tail) = text.split_at(split);
            let mut scanner = Scan::default();
            let mut passed = scanner.pass("rustle:abc", head).to_vec();
            if scanner.done {
                passed.extend_from_slice(tail);
            } else {
                passed.extend_from_slice(&scanner.pass("rustle:abc", tail));
            }
            assert_eq!(scanner.id, Some(4711), "split at {split}");
            assert_eq!(passed, b"profile noise\nreal error rustle:abc\n", "split at {split}");
        }
    }

    #[test]
    fn other_output_passes_untouched_and_at_once() {
        assert_eq!(scan(&[b"error: rustle"]), (b"error: rustle".to_vec(), None));
        let mut scanner = Scan::default();
        assert_eq!(&scanner.pass("rustle:abc", b"no such file\n")[..], b"no such file\n");
    }

    #[test]
    fn an_id_that_would_kill_everybody_is_no_id() {
        assert_eq!(scan(&[b"rustle:abc 1\n"]).1, None);
        assert_eq!(scan(&[b"rustle:abc -1\n"]).1, None);
        assert_eq!(scan(&[b"rustle:abc 0\n"]).1, None);
    }
}
