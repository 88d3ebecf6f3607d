//! `cargo xtask soak`: every test at its full length, those against a real `sshd` too.
//!
//! The long matrices (each suspension of each operation under each stall) and the long waits (a reader asleep for a
//! minute) run as a seeded tenth, or shorter, everywhere else.

use std::process::Command;

use crate::outcome::{Failure, Outcome};
use crate::{interop, test};

/// How much of the long tests is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// What fits into CI.
    Short,
    /// All of it.
    Whole,
}

impl Scale {
    /// Tells the tests that this command runs.
    pub(crate) fn tell(self, command: &mut Command) -> &mut Command {
        match self {
            Self::Short => command.env_remove("RUSTLE_SOAK"),
            Self::Whole => command.env("RUSTLE_SOAK", "1"),
        }
    }
}

/// Runs both suites whole.
pub(crate) fn run() -> Result<Outcome, Failure> {
    test::run(Scale::Whole)?;
    interop::run(Scale::Whole)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn told(scale: Scale) -> Option<String> {
        let mut command = Command::new("true");
        let told = scale.tell(&mut command).get_envs().find(|(name, _)| *name == OsStr::new("RUSTLE_SOAK"));
        told.and_then(|(_, value)| value?.to_str().map(str::to_owned))
    }

    #[test]
    fn only_a_whole_run_says_so_whatever_the_environment_says() {
        assert_eq!(told(Scale::Whole).as_deref(), Some("1"));
        assert_eq!(told(Scale::Short), None);
    }
}
