//! `cargo xtask cross musl` and `cargo xtask cross windows`: the workspace for another target, and its tests there.
//!
//! The toolchain is rustup's where its target is installed; else the one under `RUST_CROSS_PREFIX` (default
//! `/opt/rust-cross`). On CI the latter is set up first, wine with it, by the script that `RUSTLE_CROSS_SETUP` names,
//! or by `../shared/cross/setup-cross.sh` when that is present; without a script, rustup is asked for its target.
//! The builds have a target folder of their own, so that two compilers never rebuild each other's work.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum;

use crate::outcome::{Failure, Outcome};
use crate::{apt, elf, shell, test};

/// A target that is not this machine's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// x86_64-unknown-linux-musl: static binaries for any Linux; the tests run natively.
    Musl,
    /// x86_64-pc-windows-gnu; the tests run under wine.
    Windows,
}

impl Target {
    fn triple(self) -> &'static str {
        match self {
            Self::Musl => "x86_64-unknown-linux-musl",
            Self::Windows => "x86_64-pc-windows-gnu",
        }
    }

    /// Whether this machine runs the target's programs by itself.
    fn is_native(self) -> bool {
        cfg!(target_arch = "x86_64")
            && match self {
                Self::Musl => cfg!(target_os = "linux"),
                Self::Windows => cfg!(windows),
            }
    }
}

/// Builds the workspace, or the packages named, for the target and runs their tests there.
pub(crate) fn run(target: Target, packages: &[String]) -> Result<Outcome, Failure> {
    let Some(toolchain) = Toolchain::find_or_set_up(target)? else {
        return Outcome::skip_unless_ci(format!(
            "no toolchain for {0}: `rustup target add {0}`, or one under {1}",
            target.triple(),
            prefix().display()
        ));
    };
    println!("toolchain for {}: {}", target.triple(), toolchain.name());
    if target == Target::Windows {
        // Without what only tests depend on, which may bring in features of crates that are for this system alone; for
        // Unix, the build without a C compiler shows the same.
        shell::run(toolchain.cargo(target, "check").args(selection(packages)))?;
    }
    // Doc tests are compiled one program each, and `xtask test` runs them natively.
    let tests = ["--lib", "--bins", "--tests", "--no-fail-fast"];
    shell::run(toolchain.cargo(target, "test").args(selection(packages)).args(tests).arg("--no-run"))?;
    if target == Target::Musl && packages.is_empty() {
        expect_static(&target_folder().join(target.triple()).join("debug/rustle-connect"))?;
    }
    let Some(runner) = Runner::find(target) else {
        return Outcome::skip_unless_ci(format!(
            "built for {}; its tests need wine to run here",
            target.triple()
        ));
    };
    let runner = runner.rested()?;
    let mut run = toolchain.cargo(target, "test");
    run.args(selection(packages)).args(tests).env(test::THREADS, test::threads());
    shell::run(runner.apply(&mut run)).map_err(|failure| runner.explain(&failure))?;
    Ok(Outcome::Done)
}

/// All but the chores, which serve the machine that develops and no other.
fn selection(packages: &[String]) -> Vec<&str> {
    if packages.is_empty() {
        return vec!["--workspace", "--exclude", "xtask", "--exclude", "bench-base"];
    }
    packages.iter().flat_map(|package| ["--package", package]).collect()
}

/// A cargo that can build for the target.
enum Toolchain {
    Rustup,
    Prefix(PathBuf),
}

impl Toolchain {
    fn find_or_set_up(target: Target) -> Result<Option<Self>, Failure> {
        if !shell::on_ci() {
            return Ok(Self::find(target));
        }
        if let Some(script) = setup_script()? {
            shell::run(Command::new("bash").arg(script).env("PREFIX", prefix()))?;
        } else if !rustup_has(target) && shell::find_program("rustup").is_some() {
            shell::run(
                Command::new("rustup").args(["target", "add", target.triple()]).current_dir(shell::root()),
            )?;
        }
        if target == Target::Windows {
            apt::ensure(&["gcc-mingw-w64-x86-64-posix", "wine64"])?;
        }
        Ok(Self::find(target))
    }

    fn find(target: Target) -> Option<Self> {
        if rustup_has(target) {
            return Some(Self::Rustup);
        }
        let prefix = prefix();
        let has_std = prefix.join("lib/rustlib").join(target.triple()).join("lib").is_dir();
        (has_std && prefix.join("bin/cargo").is_file()).then_some(Self::Prefix(prefix))
    }

    fn name(&self) -> String {
        match self {
            Self::Rustup => "rustup's".into(),
            Self::Prefix(prefix) => prefix.display().to_string(),
        }
    }

    fn cargo(&self, target: Target, verb: &str) -> Command {
        let mut command = match self {
            Self::Rustup => shell::cargo(),
            Self::Prefix(prefix) => {
                let mut command = Command::new(prefix.join("bin/cargo"));
                // Those of the toolchain that runs us would put its compiler in.
                for name in ["RUSTC", "RUSTDOC", "CARGO", "RUSTUP_TOOLCHAIN", "RUSTC_WRAPPER"] {
                    command.env_remove(name);
                }
                command.current_dir(shell::root());
                command
            }
        };
        command.env("CARGO_TARGET_DIR", target_folder()).env("CARGO_BUILD_TARGET", target.triple());
        // Backtraces with line numbers are for the native ones.
        command.arg(verb).args(["--config", "profile.dev.debug=false"]);
        command
    }
}

/// What runs the target's programs.
enum Runner {
    /// This machine itself.
    Native,
    /// The cross toolchain's wrapper round wine where that is there, else the wine of this machine.
    Wine(PathBuf),
}

/// Where Debian and others keep it, outside of the path.
const WINE_SERVERS: [&str; 3] =
    ["/usr/lib/wine/wineserver64", "/usr/lib/wine/wineserver", "/usr/bin/wineserver"];

impl Runner {
    fn find(target: Target) -> Option<Self> {
        if target.is_native() {
            return Some(Self::Native);
        }
        if target != Target::Windows {
            return None;
        }
        let wrapper = Some(prefix().join("bin/wine-run")).filter(|wrapper| wrapper.is_file());
        wrapper
            .or_else(|| ["wine", "wine64"].iter().find_map(|name| shell::find_program(name)))
            .map(Self::Wine)
    }

    fn apply<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        match self {
            Self::Native => command,
            // Wine differs from Windows in a few places; a test of one of those skips itself when it sees this.
            Self::Wine(wine) => command
                .env("RUSTLE_WINE", "1")
                // Snapshots are compared natively: here the programs only have to run as the tests ask, since wine
                // cannot run cargo to find the workspace, and the system's own texts differ.
                .env("INSTA_FORCE_PASS", "1")
                .env("INSTA_UPDATE", "no")
                .env("WINEDEBUG", "-all")
                .env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", wine),
        }
    }

    /// Wine after a wait for its own server of the program before: one that is met as it ends, seconds later, fails the
    /// next before its first test.
    fn rested(self) -> Result<Self, Failure> {
        let Self::Wine(wine) = self else { return Ok(self) };
        let Some(server) = WINE_SERVERS.map(Path::new).into_iter().find(|server| server.is_file()) else {
            return Ok(Self::Wine(wine));
        };
        // Where the wrapper has its prefix; any other wine has its own.
        let place = if wine.starts_with(prefix()) {
            format!("WINEPREFIX=${{WINEPREFIX:-{}}} ", prefix().join("wineprefix").display())
        } else {
            String::new()
        };
        let script = target_folder().join("wine-rested");
        let text =
            format!("#!/bin/sh\n{place}timeout 30 {} -w\nexec {} \"$@\"\n", server.display(), wine.display());
        fs::write(&script, text)
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", script.display())))?;
        shell::run(Command::new("chmod").arg("+x").arg(&script))?;
        Ok(Self::Wine(script))
    }

    fn explain(&self, failure: &Failure) -> Failure {
        let hint = match self {
            Self::Native => "",
            Self::Wine(_) => {
                "\nhint: where every program ends with status 53, this wine has no bcryptprimitives.dll: take a newer one"
            }
        };
        Failure::new(format!("{failure}{hint}"))
    }
}

fn rustup_has(target: Target) -> bool {
    let mut rustup = Command::new("rustup");
    shell::capture_ok(rustup.args(["target", "list", "--installed"]).current_dir(shell::root()))
        .is_ok_and(|installed| installed.lines().any(|line| line.trim() == target.triple()))
}

fn prefix() -> PathBuf {
    env::var_os("RUST_CROSS_PREFIX").map_or_else(|| PathBuf::from("/opt/rust-cross"), PathBuf::from)
}

fn setup_script() -> Result<Option<PathBuf>, Failure> {
    if let Some(named) = env::var_os("RUSTLE_CROSS_SETUP").map(PathBuf::from) {
        return match named.is_file() {
            true => Ok(Some(named)),
            false => {
                Err(Failure::new(format!("RUSTLE_CROSS_SETUP names {}, which is no file", named.display())))
            }
        };
    }
    let beside = shell::root().join("../shared/cross/setup-cross.sh");
    Ok(beside.is_file().then_some(beside))
}

fn target_folder() -> PathBuf {
    shell::root().join("target/cross")
}

fn expect_static(program: &Path) -> Result<(), Failure> {
    let bytes = fs::read(program)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", program.display())))?;
    match elf::is_static(&bytes) {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(Failure::new(format!("{} is not static: it asks for an interpreter", program.display())))
        }
        Err(failure) => Err(Failure::new(format!("{}: {failure}", program.display()))),
    }
}
