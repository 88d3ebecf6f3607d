//! `cargo xtask interop config`: what `ssh_config` and `known_hosts` files mean here, against OpenSSH's own reading.
//!
//! The suite (`tests/`, the test binary `config`) runs whole and skips nothing: `RUSTLE_CONFIG=1` tells it so. It needs
//! `ssh`, `ssh-keygen`, and `unshare`, which keeps ssh from this machine's own files and from the network.

use std::process::Command;

use crate::outcome::{Failure, Outcome};
use crate::{apt, shell, test};

const PROGRAMS: [&str; 3] = ["ssh", "ssh-keygen", "unshare"];

/// From which seed configurations are generated.
#[derive(Clone, Copy)]
pub(crate) enum Seed {
    /// Always the same, so that what passed on one machine passes on another.
    Fixed,
    /// A new one each time, unless `RUSTLE_TEST_SEED` says otherwise: to look further.
    New,
}

/// The seed of CI; any other would do.
const FIXED: &str = "20";

/// Runs the suite whole.
pub(crate) fn run(seed: Seed) -> Result<Outcome, Failure> {
    if !cfg!(target_os = "linux") {
        return Outcome::skip_unless_ci("ssh can be kept from the machine's own files on Linux only");
    }
    if PROGRAMS.iter().any(|program| shell::find_program(program).is_none()) {
        apt::ensure(&["openssh-client", "util-linux"])?;
    }
    if let Some(missing) = PROGRAMS.iter().find(|program| shell::find_program(program).is_none()) {
        return Outcome::skip_unless_ci(format!("no `{missing}` on this machine"));
    }
    if !can_unshare()? {
        return Outcome::skip_unless_ci(
            "this machine allows no namespaces with mounts (`unshare -rmn true`)",
        );
    }
    let mut suite = shell::cargo();
    suite.args(["test", "--workspace", "--test", "config"]).env("RUSTLE_CONFIG", "1");
    if let Seed::Fixed = seed {
        suite.env("RUSTLE_TEST_SEED", FIXED);
    }
    // What was generated, compared and listed is printed by the tests themselves.
    suite.args(["--", "--nocapture"]);
    match test::passed(&mut suite)? {
        0 => Err(Failure::new("there is no test in `cargo test -p rustle-tests --test config`")),
        _ => Ok(Outcome::Done),
    }
}

/// As root, or as the root of a namespace of one's own.
fn can_unshare() -> Result<bool, Failure> {
    for flags in [&["-m", "-n"][..], &["-r", "-m", "-n"]] {
        if shell::capture(Command::new("unshare").args(flags).arg("true"))?.status.success() {
            return Ok(true);
        }
    }
    Ok(false)
}
