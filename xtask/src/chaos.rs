//! `cargo xtask chaos`: servers that are cut, silent, down, slow and exchanged, while a pool uses them, for as long as is wanted.

use std::env;

use crate::outcome::{Failure, Outcome};
use crate::{shell, test};

/// What CI takes for it.
pub(crate) const SHORT: u64 = 60;

/// What a person takes for it who says nothing else.
const LONG: u64 = 600;

const LENGTH: &str = "RUSTLE_CHAOS_SECONDS";

/// Runs it for so many seconds; not given, for as many as the environment says. The seed is printed, and `RUSTLE_TEST_SEED`
/// repeats one.
pub(crate) fn run(seconds: Option<u64>) -> Result<Outcome, Failure> {
    let seconds = match (seconds, env::var(LENGTH)) {
        (Some(seconds), _) => seconds,
        (None, Ok(text)) => {
            text.parse().map_err(|error| Failure::new(format!("{LENGTH}={text:?}: {error}")))?
        }
        (None, Err(_)) => LONG,
    };
    let mut tests = shell::cargo();
    // The suite alone would be built with other features of its dependencies than all tests together are.
    tests.args(["test", "--workspace", "--test", "it", "chaos::", "--", "--nocapture"]);
    tests.env(LENGTH, seconds.to_string());
    match test::passed(&mut tests)? {
        0 => Err(Failure::new("there is no test of chaos")),
        _ => Ok(Outcome::Done),
    }
}
