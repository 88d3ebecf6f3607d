//! The tasks of work on many hosts: one each.

use std::collections::HashMap;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout};

use crate::error::{Error, ErrorKind};
use crate::fan_out::stop::Stop;
use crate::fan_out::{HostResult, Job, OnFailure};

/// The hosts that are worked on, and those whose results nobody has taken yet.
pub(super) struct Running<T, E> {
    job: Arc<Job<T, E>>,
    tasks: JoinSet<HostResult<T, E>>,
    hosts: HashMap<Id, (String, Instant)>,
}

impl<T: Send + 'static, E: From<Error> + Send + 'static> Running<T, E> {
    pub(super) fn new(job: Job<T, E>) -> Self {
        Self { job: Arc::new(job), tasks: JoinSet::new(), hosts: HashMap::new() }
    }

    pub(super) fn begin(&mut self, host: String) {
        let (job, name) = (Arc::clone(&self.job), host.clone());
        // Owner: the `Results`. Ends: with the work on the host, its timeout, or the stop of all; dropped with its owner. Waited
        // for: by whoever asks for results.
        let task = self.tasks.spawn(async move { job.done_on(name).await });
        self.hosts.insert(task.id(), (host, Instant::now()));
    }

    /// The next that is done; `None` where nothing is under way.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<HostResult<T, E>>> {
        match self.tasks.poll_join_next_with_id(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Ok((id, result)))) => {
                self.hosts.remove(&id);
                Poll::Ready(Some(result))
            }
            Poll::Ready(Some(Err(error))) => {
                let known = self.hosts.remove(&error.id());
                match error.try_into_panic() {
                    Ok(panic) => panic::resume_unwind(panic),
                    Err(_cancelled) => Poll::Ready(known.map(|(host, begun)| {
                        let outcome = Err(self.job.stop.broken_off(&host).into());
                        HostResult { host, outcome, duration: begun.elapsed() }
                    })),
                }
            }
        }
    }
}

impl<T, E> Running<T, E> {
    pub(super) fn stop(&self) -> &Stop {
        &self.job.stop
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(super) fn hosts(&self) -> Vec<&str> {
        self.hosts.values().map(|(host, _)| host.as_str()).collect()
    }
}

impl<T: Send + 'static, E: From<Error> + Send + 'static> Job<T, E> {
    /// What became of one host, and what follows for the others.
    async fn done_on(&self, host: String) -> HostResult<T, E> {
        let (begun, is_at_work) = (Instant::now(), AtomicBool::new(false));
        let outcome = tokio::select! {
            // What is done is told, whatever came after.
            biased;
            outcome = self.in_time(&host, &is_at_work) => outcome,
            () = self.stop.ended() => {
                let outcome = Err(match is_at_work.into_inner() {
                    true => self.stop.broken_off(&host),
                    false => self.stop.not_begun(&host),
                }.into());
                return HostResult { host, outcome, duration: begun.elapsed() };
            }
        };
        if (self.is_failure)(&outcome) {
            let cause = format!("it failed on {host}");
            match self.on_failure {
                OnFailure::GoOn => {}
                OnFailure::BeginNoMore => self.stop.begin_no_more(&cause),
                OnFailure::EndAll => self.stop.end_all(&cause),
            }
        }
        HostResult { host, outcome, duration: begun.elapsed() }
    }

    async fn in_time(&self, host: &str, is_at_work: &AtomicBool) -> Result<T, E> {
        let working = self.work_on(host, is_at_work);
        let Some(most) = self.timeout else { return working.await };
        let late = |_elapsed| Err(late(host, most, is_at_work.load(Ordering::Relaxed)).into());
        timeout(most, working).await.unwrap_or_else(late)
    }

    async fn work_on(&self, host: &str, is_at_work: &AtomicBool) -> Result<T, E> {
        let session = self.pool.get(host).await?;
        is_at_work.store(true, Ordering::Relaxed);
        (self.work)(host.to_owned(), session).await
    }
}

fn late(host: &str, most: Duration, was_at_work: bool) -> Error {
    let most = most.as_secs_f64();
    if was_at_work {
        let message = format!("{host}: not done within {most} s");
        let hint = "it may have been done there, or in part; allow more time, or see why the host is slow";
        Error::new(ErrorKind::TimedOut, message, hint).with_outcome_unknown()
    } else {
        let message = format!("{host}: not connected within {most} s");
        let hint = "nothing was done there; allow more time, or see why the host is slow to reach";
        Error::new(ErrorKind::TimedOut, message, hint)
    }
}
