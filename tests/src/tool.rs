//! Other programs, run to their end.

use std::process::{Command, Output, Stdio};

/// Runs a program and gives back what it left, whatever its exit code.
///
/// # Panics
/// Where it cannot be started.
#[must_use]
pub fn output_of(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// Runs a program that has to succeed.
///
/// # Panics
/// Where it does not, with what it wrote.
pub fn run(command: &mut Command) -> Output {
    let output = output_of(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs a program that has to succeed, and gives back its standard output without blanks around it.
///
/// # Panics
/// Where it does not succeed.
#[must_use]
pub fn text_of(command: &mut Command) -> String {
    String::from_utf8_lossy(&run(command).stdout).trim().to_owned()
}
