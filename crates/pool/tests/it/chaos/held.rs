//! What this process holds, which could be left over.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

/// Tasks, and files and sockets where the system tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    tasks: usize,
    descriptors: Option<usize>,
}

impl Held {
    pub(super) fn now() -> Self {
        let tasks = Handle::current().metrics().num_alive_tasks();
        // Under wine the same names lead to what wine's process holds.
        let is_told = cfg!(target_os = "linux");
        let descriptors = is_told.then(|| std::fs::read_dir("/proc/self/fd").unwrap().count());
        Self { tasks, descriptors }
    }

    /// Returns when no more than this is held again.
    pub(super) async fn come_back(self, limit: Duration) {
        let by = Instant::now() + limit;
        loop {
            let now = Self::now();
            if now.tasks <= self.tasks && now.descriptors <= self.descriptors {
                return;
            }
            assert!(Instant::now() < by, "{now:?} is held, and {self:?} was before");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// What the process held after each round, in KiB.
#[derive(Debug, Default)]
pub(super) struct Memory(Vec<u64>);

/// The first rounds make what is kept: threads, caches, the allocator's arenas.
const FIRST: usize = 2;

/// What the allocator's arenas may be apart after the same work, and what a round may add for ever: a server that the pool has
/// met is kept as a line in what it shows.
const NOISE: u64 = 8 * 1024;
const A_ROUND: u64 = 32;

impl Memory {
    /// Looks at it, where the system tells.
    pub(super) fn look(&mut self, round: u64) {
        if !cfg!(target_os = "linux") {
            return;
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        if let Some(kib) = line.and_then(|line| line.split_whitespace().next()?.parse().ok()) {
            eprintln!("after round {round}: {kib} KiB");
            self.0.push(kib);
        }
    }

    pub(super) fn check(&self) {
        let Some((first, later)) = self.0.split_at_checked(FIRST) else { return };
        let (Some(first), Some(last)) = (first.iter().max(), later.last()) else { return };
        let most = first + NOISE + A_ROUND * later.len() as u64;
        assert!(*last <= most, "memory has grown beyond {most} KiB: {:?}", self.0);
    }
}
