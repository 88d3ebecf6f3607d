//! What a piece of work took: wall time, the CPU time of every process that it started and waited for, and the
//! server's.

use std::time::Instant;

use crate::outcome::Failure;

/// Seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spent {
    pub(super) wall: f64,
    /// User and system time of all processes together.
    pub(super) cpu: f64,
    /// The same of the server and the processes it had for this work.
    pub(super) server: f64,
}

impl Spent {
    /// Measures work that is done by processes. They have to be waited for before it returns, or they do not count.
    pub(super) fn on(
        work: impl FnOnce() -> Result<(), Failure>,
        server: impl Fn() -> Result<f64, Failure>,
    ) -> Result<Self, Failure> {
        let (of_server, cpu, started) = (server()?, cpu_of_children()?, Instant::now());
        work()?;
        let wall = started.elapsed().as_secs_f64();
        let cpu = cpu_of_children()? - cpu;
        Ok(Self { wall, cpu, server: server()? - of_server })
    }

    /// As if so much more had been done.
    pub(super) fn times(self, factor: f64) -> Self {
        let times = |seconds| seconds * factor;
        Self { wall: times(self.wall), cpu: times(self.cpu), server: times(self.server) }
    }
}

#[cfg(unix)]
fn cpu_of_children() -> Result<f64, Failure> {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeVal;

    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)
        .map_err(|error| Failure::new(format!("cannot read the CPU time of processes: {error}")))?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

#[cfg(not(unix))]
fn cpu_of_children() -> Result<f64, Failure> {
    Err(Failure::new("the CPU time of processes is read on Unix only"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::shell;

    #[test]
    fn the_cpu_time_of_a_process_and_of_its_own_is_counted() {
        let busy = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";
        let work =
            || shell::capture_ok(Command::new("sh").args(["-c", &format!("sh -c '{busy}'; true")])).map(drop);
        let ticks = std::cell::Cell::new(1.0);
        let spent = Spent::on(work, || Ok(ticks.replace(4.0))).unwrap();
        assert!(spent.cpu > 0.005 && spent.wall > 0.005, "{spent:?}");
        assert_eq!(spent.server, 3.0);
    }

    #[test]
    fn work_that_fails_is_not_measured() {
        assert!(Spent::on(|| Err(Failure::new("no")), || Ok(0.0)).is_err());
    }

    #[test]
    fn a_tenth_of_the_work_counts_ten_times() {
        let tenth = Spent { wall: 0.5, cpu: 0.25, server: 1.0 };
        assert_eq!(tenth.times(10.0), Spent { wall: 5.0, cpu: 2.5, server: 10.0 });
    }
}
