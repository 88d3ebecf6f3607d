//! Whatever is dropped, and wherever it stood, leaves nothing behind: no task, no socket, nothing on the server.
//!
//! Each public asynchronous operation is polled n times, n = 0, 1, 2 … until it completes, and then dropped: as
//! soon as it suspends, and again when it was woken and what it waited for is there. That is done with a server
//! that answers and with one that stalls wherever the operation passes. Then its session has to work on, where it
//! is to outlive the operation, and to end; and nothing may be left.
//!
//! By default a seeded tenth of all that is tried; `RUSTLE_TEST_SEED` repeats one, `RUSTLE_SOAK=1` tries all.

mod cell;
mod operations;
mod poll;
mod stage;
mod stall;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use self::cell::{Cell, Farewell, Means, When};
use self::operations::{Clock, Operation};
use self::poll::Moment;
use self::stage::Needs;
use self::stall::Stall;

const LIST: &str = include_str!("drop_safety.list");

#[test]
fn the_list_and_the_operations_tried_are_the_same() {
    let listed: BTreeSet<&str> = LIST.lines().filter(|line| !line.starts_with('#')).collect();
    let operations =
        [operations::connecting(), operations::connecting_from_home(), operations::on_session()].concat();
    let tried: BTreeSet<&str> = operations.iter().map(|operation| operation.name).collect();
    assert_eq!(listed, tried);
}

#[test]
fn operations_that_connect_leave_nothing_when_dropped() {
    try_all(&operations::connecting(), &Stall::CONNECTING);
}

#[test]
fn operations_on_a_session_leave_nothing_when_dropped() {
    try_all(&operations::on_session(), &Stall::ON_SESSION);
}

/// In a process whose home directory is its own, for nothing can be set in this one that other tests would not see.
#[test]
fn connecting_by_the_users_own_files_leaves_nothing_when_dropped() {
    const NAME: &str = "drop_safety::connecting_by_the_users_own_files_leaves_nothing_when_dropped";
    const AT_HOME: &str = "RUSTLE_TEST_AT_HOME";
    if std::env::var_os(AT_HOME).is_some() {
        return try_all(&operations::connecting_from_home(), &Stall::CONNECTING);
    }
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join(".ssh")).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([NAME, "--exact", "--nocapture"])
        .env(AT_HOME, "1")
        .env("HOME", home.path())
        .env("USERPROFILE", home.path())
        .env_remove("SSH_AUTH_SOCK")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    eprintln!("{said}");
    assert!(output.status.success() && said.contains("Session::connect"), "{output:?}");
}

/// Tries the operations under each stall that they meet, and fails with all that was found.
fn try_all(operations: &[Operation], stalls: &[Stall]) {
    let mut trial = Trial::new();
    for operation in operations {
        trial.operation(operation, stalls);
    }
    assert!(
        trial.problems.is_empty(),
        "{} of {} tries found something (RUSTLE_TEST_SEED={}):\n{}",
        trial.problems.len(),
        trial.tries,
        trial.seed,
        trial.problems.join("\n")
    );
}

/// So many suspensions of an operation are tried one by one. Only waiting for a lock has more, a thousand in a second.
const EACH: usize = 64;

struct Trial {
    seed: u64,
    draws: u64,
    whole: bool,
    tries: usize,
    problems: Vec<String>,
}

impl Trial {
    fn new() -> Self {
        let seed = match std::env::var("RUSTLE_TEST_SEED") {
            Ok(seed) => seed.parse().expect("RUSTLE_TEST_SEED is a number"),
            Err(_) => getrandom::u64().unwrap(),
        };
        let whole = std::env::var_os("RUSTLE_SOAK").is_some();
        Self { seed, draws: 0, whole, tries: 0, problems: Vec::new() }
    }

    /// Lets it complete under each stall, and drops it at each suspension on the way there.
    fn operation(&mut self, operation: &Operation, stalls: &[Stall]) {
        let mut row = Vec::new();
        let mut everywhere = 0;
        let tries = self.tries;
        let stalls = if operation.needs == Needs::Nothing { &[Stall::None][..] } else { stalls };
        for &stall in stalls {
            let farewell = self.farewell(operation);
            let to_its_end =
                Cell { operation, stall, polls: usize::MAX, moment: Moment::Suspended, farewell };
            let Some(seen) = self.play(&to_its_end) else { continue };
            if !seen.met {
                continue;
            }
            let suspensions = seen.suspensions.unwrap_or_default();
            if stall == Stall::None && suspensions < operation.recorded.undisturbed {
                self.too_few(operation, "when nothing stalls", suspensions);
            }
            everywhere += suspensions;
            row.push(format!("{suspensions} {stall}"));
            self.drops(&to_its_end, suspensions);
        }
        if everywhere < operation.recorded.everywhere {
            self.too_few(operation, "under all stalls", everywhere);
        }
        let tries = self.tries - tries;
        eprintln!("{operation}: {everywhere} suspensions ({}), {tries} tries", row.join(", "));
    }

    fn too_few(&mut self, operation: &Operation, circumstances: &str, suspensions: usize) {
        let recorded = operation.recorded;
        let problem =
            format!("{operation} suspended {suspensions} times {circumstances}; on record are {recorded:?}");
        self.problems.push(problem);
    }

    fn drops(&mut self, to_its_end: &Cell<'_>, suspensions: usize) {
        for polls in self.points(suspensions) {
            for moment in [Moment::Suspended, Moment::Woken] {
                // Never polled, it is not woken either.
                let same = polls == 0 && moment == Moment::Woken;
                if same || !(self.whole || self.draw(10) == 0) {
                    continue;
                }
                let farewell = self.farewell(to_its_end.operation);
                self.play(&Cell { polls, moment, farewell, ..*to_its_end });
            }
        }
    }

    /// After how many polls to drop: each of the first suspensions, and of a wait that polls on and on some.
    fn points(&mut self, suspensions: usize) -> Vec<usize> {
        let mut points: Vec<usize> = (0..=suspensions.min(EACH)).collect();
        if suspensions > EACH {
            let rest = u64::try_from(suspensions - EACH).unwrap();
            points.extend((0..EACH).map(|_| EACH + 1 + usize::try_from(self.draw(rest)).unwrap()));
        }
        points
    }

    fn play(&mut self, cell: &Cell<'_>) -> Option<cell::Seen> {
        self.tries += 1;
        match cell.play() {
            Ok(seen) => Some(seen),
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }

    fn farewell(&mut self, operation: &Operation) -> Farewell {
        let means = match self.draw(3) {
            0 => Means::Abort,
            // A dropped session may take seconds to end its processes, which paused time does not.
            1 if operation.clock == Clock::Paused => Means::Drop,
            _ => Means::Close,
        };
        let stage = if self.draw(3) == 0 { When::Stalled } else { When::Resumed };
        Farewell { means, stage }
    }

    /// A number below `limit` (SplitMix64).
    fn draw(&mut self, limit: u64) -> u64 {
        self.draws += 1;
        let mut mixed = self.seed.wrapping_add(self.draws.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
