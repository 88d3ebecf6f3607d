//! One try: an operation, a stall, a number of polls, and then the question what is left.

use std::fmt;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use rustle_session::Session;
use rustle_testserver::TestServer;
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep, timeout};

use super::operations::{After, Clock, Expected, Operation};
use super::poll::{Moment, Polled, poll_times};
use super::stage::Stage;
use super::stall::Stall;

/// What is left has to be gone within this long: a process that nothing ends takes a few seconds to give up.
const GONE_WITHIN: Duration = Duration::from_secs(20);

/// A peer that was silent for less than a keepalive interval has done nothing that would end a session.
const SURVIVED: Duration = Duration::from_secs(25);

/// An operation to be dropped, where, and what becomes of its session then.
#[derive(Clone, Copy)]
pub(super) struct Cell<'a> {
    pub(super) operation: &'a Operation,
    pub(super) stall: Stall,
    pub(super) polls: usize,
    pub(super) moment: Moment,
    pub(super) farewell: Farewell,
}

/// How a session ends that outlived the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Farewell {
    pub(super) means: Means,
    pub(super) stage: When,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    Drop,
    Abort,
    Close,
}

/// Whether the session has to work first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// While the server still stalls.
    Stalled,
    /// When it goes on again, and the session was seen to work.
    Resumed,
}

/// What a try has shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// The operation has come to where the server stalls.
    pub(super) met: bool,
    /// How often it suspended, where it was not dropped before its end.
    pub(super) suspensions: Option<usize>,
}

impl Cell<'_> {
    /// Plays it in a runtime of its own, in which nothing may be left.
    pub(super) fn play(&self) -> Result<Seen, String> {
        let paused = self.operation.clock == Clock::Paused;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .start_paused(paused)
            .build()
            .map_err(|e| e.to_string())?;
        let metrics = runtime.metrics();
        let seen = runtime.block_on(self.perform());
        let no_tasks = runtime.block_on(comes_true(|| metrics.num_alive_tasks() == 0));
        match (seen, no_tasks) {
            (Ok(seen), true) => Ok(seen),
            (Ok(_), false) => Err(format!("{self}: {} tasks are left", metrics.num_alive_tasks())),
            (Err(problem), _) => Err(format!("{self}: {problem}")),
        }
    }

    async fn perform(&self) -> Result<Seen, String> {
        let mut stage = Stage::set(self.operation.needs, self.stall).await;
        let began = Instant::now();
        let server = Arc::clone(&stage.server);
        let operation = (self.operation.begin)(&mut stage);
        let polled = poll_times(operation, self.polls, self.moment, self.patience(&server)).await;
        drop(server);
        let stalled_for = began.elapsed();
        let met = self.stall.was_met(&stage.server);
        // What has not struck by now would strike the questions that follow.
        stage.server.expect_unfired();
        let suspensions = self.judge(&polled)?;
        stage.release_handles();
        if self.operation.name == "KnownHosts::remember" {
            the_file_is_whole(&stage).await?;
        }
        self.end_session(&mut stage, stalled_for).await?;
        if !comes_true(|| stage.stream_is_closed()).await {
            return Err("its stream to the server is still open".to_owned());
        }
        stage.server.resume();
        let idle = stage.server.wait_until_idle(GONE_WITHIN).await;
        idle.map_err(|error| format!("something is left on the server: {error}"))?;
        let server = Arc::into_inner(stage.server).ok_or("somebody else has the server")?;
        server.stop().await.map_err(|error| error.to_string())?;
        Ok(Seen { met, suspensions })
    }

    /// Ends when the operation has had its time. By paused time it is to reach its own deadline; by real time nobody
    /// waits for that, but a busy machine gets as long as it needs to come to the stall.
    async fn patience(&self, server: &TestServer) {
        match (self.operation.clock, self.stall) {
            (Clock::Paused, _) => sleep(Duration::from_secs(3600)).await,
            (Clock::Real, Stall::None) => sleep(Duration::from_secs(60)).await,
            (Clock::Real, stall) => {
                // One that never comes to it is judged by what `met` says.
                let _ = comes_true(|| stall.was_met(server)).await;
                sleep(Duration::from_millis(250)).await;
            }
        }
    }

    /// How often it suspended, if it came to its end, and whether that was the right one.
    fn judge(&self, polled: &Polled<Result<(), String>>) -> Result<Option<usize>, String> {
        let undisturbed = self.stall == Stall::None;
        match (polled, self.operation.result) {
            (Polled::Finished { value: Err(error), .. }, Expected::Done) if undisturbed => {
                Err(format!("it failed: {error}"))
            }
            (Polled::Finished { value: Ok(()), .. }, Expected::Refused) if undisturbed => {
                Err("it should have been refused".to_owned())
            }
            (Polled::NeverWoken { suspensions }, _)
                if undisturbed || self.operation.clock == Clock::Paused =>
            {
                Err(format!("after {suspensions} suspensions nothing wakes it any more"))
            }
            (Polled::Finished { suspensions, .. } | Polled::NeverWoken { suspensions }, _) => {
                Ok(Some(*suspensions))
            }
            (Polled::Dropped, _) => Ok(None),
        }
    }

    /// Sees that the session works where it should, and ends it.
    async fn end_session(&self, stage: &mut Stage, stalled_for: Duration) -> Result<(), String> {
        let Some(session) = stage.session.take() else { return Ok(()) };
        let ended = match self.operation.after {
            After::Session => false,
            After::NothingOncePolled => self.polls > 0,
            After::Nothing => true,
        };
        if ended {
            let gone = timeout(GONE_WITHIN, session.closed()).await;
            return gone.map(drop).map_err(|_| "the session is still there".to_owned());
        }
        if self.farewell.stage == When::Resumed || self.stall.spares_the_connection() {
            stage.server.resume();
            if session.is_open() {
                it_works(stage, &session).await?;
            } else if self.stall.spares_the_connection() || stalled_for < SURVIVED {
                return Err(format!("the session was lost: {}", session.closed().await));
            }
        }
        self.farewell.means.end(session).await
    }
}

impl Means {
    async fn end(self, session: Session) -> Result<(), String> {
        match self {
            Self::Drop => {}
            Self::Abort => session.abort(),
            Self::Close => {
                let closed = timeout(GONE_WITHIN, session.close(Duration::from_millis(200))).await;
                closed.map_err(|_| "closing the session does not end".to_owned())?;
            }
        }
        Ok(())
    }
}

/// Nothing of the operation is left on the connection, and the session runs another command.
async fn it_works(stage: &Stage, session: &Session) -> Result<(), String> {
    let clear = |record: &rustle_testserver::Record| {
        record.channels_open() == 0 && record.processes_running() == 0 && record.forwards_open() == 0
    };
    let cleared = stage.server.wait_until(clear, GONE_WITHIN).await;
    cleared.map_err(|error| format!("channels, processes or listeners are left: {error}"))?;
    if !comes_true(|| session.stats().channels_open == 0).await {
        return Err(format!("the client still counts channels: {:?}", session.stats()));
    }
    match timeout(GONE_WITHIN, session.output("true")).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => Err(format!("the next command ended so: {}", output.status)),
        Ok(Err(error)) => Err(format!("the next command failed: {error}")),
        Err(_) => Err("the next command never ends".to_owned()),
    }
}

/// The file holds whole lines, nobody keeps it locked, and the host can still be written down, once.
async fn the_file_is_whole(stage: &Stage) -> Result<(), String> {
    let file = stage.known_hosts_file();
    let before = fs::read_to_string(&file).unwrap_or_default();
    if !before.is_empty() && !before.ends_with('\n') {
        return Err(format!("a part of a line was written: {before:?}"));
    }
    let remembered = timeout(GONE_WITHIN, stage.known_hosts.remember(&stage.offer)).await;
    remembered.map_err(|_| "the file stays locked".to_owned())?.map_err(|error| error.to_string())?;
    let after = fs::read_to_string(&file).unwrap_or_default();
    if after.lines().count() == 1 { Ok(()) } else { Err(format!("the host is not there once: {after:?}")) }
}

/// Asks again and again, for as long as anything may take to be gone.
async fn comes_true(mut shown: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + GONE_WITHIN;
    while !shown() {
        if Instant::now() >= deadline {
            return false;
        }
        sleep(Duration::from_millis(2)).await;
    }
    true
}

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, stall, polls, moment, farewell } = self;
        write!(f, "{operation}")?;
        match polls {
            &usize::MAX => write!(f, ", {stall}, run to its end")?,
            polls => write!(f, ", {stall}, polled {polls} times, dropped when {moment:?}")?,
        }
        write!(f, ", then {:?} while {:?}", farewell.means, farewell.stage)
    }
}
