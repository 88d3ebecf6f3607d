//! The steps of CI that are one command each.

use std::process::Command;

use crate::outcome::{Failure, Outcome};
use crate::shell;
use crate::tidy::version::Version;

/// `rust-version` is the oldest toolchain that CI really builds with, or it is a guess.
pub(super) fn toolchain() -> Result<Outcome, Failure> {
    let text = shell::capture_ok(Command::new("rustc").arg("--version").current_dir(shell::root()))?;
    let running = text.split(' ').nth(1).and_then(Version::parse);
    let running = running.ok_or_else(|| Failure::new(format!("`rustc --version` printed `{text}`")))?;
    let promised = Version::of_workspace()?;
    println!("rust-version {promised}, building with {running}");
    if running < promised {
        return Err(Failure::new(format!("this workspace needs Rust {promised}: `rustup update` gives it")));
    }
    if shell::on_ci() && running.minor() > promised.minor() {
        return Err(Failure::new(format!(
            "CI builds with {running}, so nothing shows that {promised} still works: build with {promised}, or raise \
             rust-version in Cargo.toml"
        )));
    }
    Ok(Outcome::Done)
}

pub(super) fn format() -> Result<Outcome, Failure> {
    shell::run(shell::cargo().args(["fmt", "--all", "--check"]))?;
    Ok(Outcome::Done)
}

pub(super) fn clippy() -> Result<Outcome, Failure> {
    shell::run(shell::cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    Ok(Outcome::Done)
}

pub(super) fn docs() -> Result<Outcome, Failure> {
    shell::run(shell::cargo().args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Outcome::Done)
}

/// A second opinion on deny.toml, by the tool it is written for. Tidy checks the same file always.
pub(super) fn deny() -> Result<Outcome, Failure> {
    if shell::find_program("cargo-deny").is_none() {
        let why =
            "cargo-deny is not installed (`cargo install cargo-deny`); tidy has checked deny.toml's rules";
        return Ok(Outcome::Skipped(why.into()));
    }
    shell::run(shell::cargo().args(["deny", "check", "licenses", "bans", "sources"]))?;
    Ok(Outcome::Done)
}
