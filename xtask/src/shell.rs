//! Running other programs: cargo above all, always from the repository's root, always echoed before it runs.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::outcome::Failure;

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Whether this is CI: it installs what it needs, and never skips.
pub(crate) fn on_ci() -> bool {
    env::var_os("CI").is_some_and(|value| value != "false" && !value.is_empty())
}

/// Whether this process may add accounts and install packages.
pub(crate) fn is_root() -> bool {
    cfg!(unix)
        && capture(Command::new("id").arg("-u"))
            .is_ok_and(|out| String::from_utf8_lossy(&out.stdout).trim() == "0")
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Echoes the command, runs it on our own terminal, and fails unless it exits with 0.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    println!("$ {}", shown(command));
    let status = command
        .stdin(Stdio::null())
        .status()
        .map_err(|error| Failure::new(format!("cannot start `{}`: {error}", program(command))))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("`{}` ended with {status}", shown(command))))
}

/// Runs the command in silence and returns what it printed, whatever its exit status.
pub(crate) fn capture(command: &mut Command) -> Result<Output, Failure> {
    command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Failure::new(format!("cannot start `{}`: {error}", program(command))))
}

/// Runs the command in silence; fails, with its standard error, unless it exits with 0.
pub(crate) fn capture_ok(command: &mut Command) -> Result<String, Failure> {
    let out = capture(command)?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    Err(Failure::new(format!(
        "`{}` ended with {}:\n{}",
        shown(command),
        out.status,
        String::from_utf8_lossy(&out.stderr).trim_end()
    )))
}

/// Where a program is: in `PATH`, or in the system folders that an ordinary `PATH` leaves out.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/lib/wine"].map(PathBuf::from))
        .flat_map(|folder| [folder.join(name), folder.join(format!("{name}{}", env::consts::EXE_SUFFIX))])
        .find(|candidate| candidate.is_file())
}

/// Reads a text file; the failure names it.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}

/// The command as a person would type it, with the environment that was set for it.
pub(crate) fn shown(command: &Command) -> String {
    let mut words: Vec<String> = command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_string_lossy(), value?.to_string_lossy())))
        .map(|(name, value)| match name.contains("PASSWORD") || name.contains("SECRET") {
            true => format!("{name}=(hidden)"),
            false => format!("{name}={}", quoted(&value)),
        })
        .collect();
    words.push(program(command));
    words.extend(command.get_args().map(|argument| quoted(&argument.to_string_lossy())));
    words.join(" ")
}

fn program(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = if program.file_stem() == Some(OsStr::new("cargo")) && program.starts_with(cargo_home()) {
        "cargo".into()
    } else {
        program.to_string_lossy()
    };
    quoted(&name)
}

fn cargo_home() -> PathBuf {
    env::var_os("CARGO")
        .map(PathBuf::from)
        .and_then(|cargo| cargo.parent().map(Path::to_path_buf))
        .unwrap_or_default()
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%*".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let mut command = Command::new("tool");
        command.args(["a b", "c"]).env("CC", "/bin/false");
        assert_eq!(shown(&command), "CC=/bin/false tool 'a b' c");
    }

    #[test]
    fn a_password_is_not_shown() {
        let mut command = Command::new("tool");
        command.env("RUSTLE_INTEROP_PASSWORD", "hunter2").env("AN_OATH_SECRET", "3132");
        let text = shown(&command);
        assert!(!text.contains("hunter2") && !text.contains("3132"), "{text}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let failure = run(&mut Command::new("no-such-program-here")).unwrap_err();
        assert!(failure.to_string().contains("no-such-program-here"));
    }
}
