//! A copy of the policy, which builds alone, in a folder below `target`.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::outcome::Failure;
use crate::shell;

/// What the tests may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How many cases each property has, times four (`policy/tests.rs`), and from which seed: the same mutants are caught
/// each time.
const PROPERTIES: [(&str, &str); 3] =
    [("PROPTEST_CASES", "64"), ("PROPTEST_RNG_SEED", "20"), ("PROPTEST_MAX_SHRINK_ITERS", "0")];

/// The folder.
pub(super) struct Copy {
    from: PathBuf,
    folder: PathBuf,
}

/// How the tests ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tests {
    Passed,
    Failed {
        first: String,
    },
    /// They were killed at the limit.
    Hung,
    /// They ended without saying which test failed.
    Broke {
        how: String,
    },
}

impl Copy {
    /// Copies the policy anew; what was built before is kept.
    pub(super) fn make() -> Result<Self, Failure> {
        let root = shell::root();
        let copy = Self { from: root.join("crates/pool/src"), folder: root.join("target/mutants") };
        let sources = copy.folder.join("src");
        if sources.exists() {
            fs::remove_dir_all(&sources).map_err(|error| cannot("remove", &sources, &error))?;
        }
        copy_tree(&copy.from.join("policy"), &sources.join("policy"))?;
        copy.restore("policy.rs")?;
        write(&sources.join("lib.rs"), "//! The policy alone.\n#![allow(dead_code)]\n\nmod policy;\n")?;
        write(&copy.folder.join("Cargo.toml"), &manifest(&shell::read(&root.join("Cargo.toml"))?)?)?;
        write(&copy.folder.join("Cargo.lock"), &shell::read(&root.join("Cargo.lock"))?)?;
        Ok(copy)
    }

    /// What stands in the file without any mistake.
    pub(super) fn original(&self, file: &str) -> Result<String, Failure> {
        shell::read(&self.from.join(file))
    }

    pub(super) fn write(&self, file: &str, text: &str) -> Result<(), Failure> {
        write(&self.folder.join("src").join(file), text)
    }

    pub(super) fn restore(&self, file: &str) -> Result<(), Failure> {
        self.write(file, &self.original(file)?)
    }

    /// Builds the tests into a program; or hands on what the compiler says against it.
    pub(super) fn build(&self) -> Result<Result<PathBuf, String>, Failure> {
        let out = shell::capture(&mut self.cargo())?;
        if !out.status.success() {
            return Ok(Err(String::from_utf8_lossy(&out.stderr).trim_end().to_owned()));
        }
        let program = program(&String::from_utf8_lossy(&out.stdout));
        program.map(Ok).ok_or_else(|| Failure::new("cargo names no program with the tests of the policy"))
    }

    /// Runs the tests that were built, for as long as they may take.
    pub(super) fn test(&self, program: &Path) -> Result<Tests, Failure> {
        let printed = self.folder.join("printed.txt");
        let file = File::create(&printed).map_err(|error| cannot("write", &printed, &error))?;
        let mut command = Command::new(program);
        command.envs(PROPERTIES).env("RUST_BACKTRACE", "0");
        command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| cannot("start", program, &error))?;
        let until = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(|error| cannot("wait for", program, &error))? {
                break status;
            }
            if Instant::now() >= until {
                child.kill().map_err(|error| cannot("kill", program, &error))?;
                child.wait().map_err(|error| cannot("wait for", program, &error))?;
                return Ok(Tests::Hung);
            }
            thread::sleep(Duration::from_millis(10));
        };
        Ok(ended(status.success(), &status.to_string(), &shell::read(&printed)?))
    }

    fn cargo(&self) -> Command {
        let mut command = shell::cargo();
        command.args([
            "test",
            "--no-run",
            "--quiet",
            "--lib",
            "--message-format=json-render-diagnostics",
            "--manifest-path",
        ]);
        command.arg(self.folder.join("Cargo.toml")).env("CARGO_TARGET_DIR", self.folder.join("target"));
        command
    }
}

impl fmt::Display for Tests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("the tests pass"),
            Self::Failed { first } => f.write_str(first),
            Self::Hung => write!(f, "the tests do not end within {} s", LIMIT.as_secs()),
            Self::Broke { how } => write!(f, "the tests end without naming one that failed: {how}"),
        }
    }
}

fn ended(is_success: bool, status: &str, printed: &str) -> Tests {
    if is_success && printed.contains("test result: ok. 0 passed") {
        return Tests::Broke { how: "no test ran".to_owned() };
    }
    if is_success {
        return Tests::Passed;
    }
    let failed = printed.lines().find_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    match failed {
        Some(name) => Tests::Failed { first: name.rsplit("::").next().unwrap_or(name).to_owned() },
        None => Tests::Broke { how: status.to_owned() },
    }
}

/// The program that cargo built, from what it says in JSON.
fn program(said: &str) -> Option<PathBuf> {
    let messages = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs = messages.filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from));
    programs.next()
}

/// A package of its own, with the versions and the lints of the workspace.
fn manifest(workspace: &str) -> Result<String, Failure> {
    let read: toml::Table =
        toml::from_str(workspace).map_err(|error| Failure::new(format!("Cargo.toml: {error}")))?;
    let at = |path: &[&str]| {
        let found = path.iter().skip(1).try_fold(read.get(path[0])?, |value, key| value.get(key));
        found.map(ToString::to_string)
    };
    let (Some(proptest), Some(edition)) =
        (at(&["workspace", "dependencies", "proptest"]), at(&["workspace", "package", "edition"]))
    else {
        return Err(Failure::new("Cargo.toml names no version of proptest, or no edition"));
    };
    Ok(format!(
        "[workspace]\n\n[package]\nname = \"policy\"\nversion = \"0.0.0\"\nedition = {edition}\npublish = false\n\n\
         [dev-dependencies]\nproptest = {proptest}\n\n\
         [profile.dev]\ndebug = false\n\n[profile.dev.package.\"*\"]\nopt-level = 2\n"
    ))
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), Failure> {
    fs::create_dir_all(to).map_err(|error| cannot("make", to, &error))?;
    for entry in fs::read_dir(from).map_err(|error| cannot("list", from, &error))? {
        let path = entry.map_err(|error| cannot("list", from, &error))?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_tree(&path, &target)?;
        } else {
            write(&target, &shell::read(&path)?)?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| cannot("write", path, &error))
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("cannot {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_test_that_failed_is_named() {
        let printed = "running 2 tests\ntest a::b::works ... ok\ntest a::b::does_not ... FAILED\n\ntest result: FAILED.";
        assert_eq!(ended(false, "exit status: 101", printed), Tests::Failed { first: "does_not".into() });
        assert_eq!(ended(true, "exit status: 0", "test result: ok. 2 passed"), Tests::Passed);
    }

    #[test]
    fn tests_that_end_without_a_verdict_are_no_failed_tests() {
        assert_eq!(ended(false, "signal: 9", "running 2 tests\n"), Tests::Broke { how: "signal: 9".into() });
        assert!(matches!(ended(true, "exit status: 0", "test result: ok. 0 passed"), Tests::Broke { .. }));
    }

    #[test]
    fn the_copy_takes_its_versions_from_the_workspace() {
        let text = manifest(
            "[workspace.package]\nedition = \"2024\"\n[workspace.dependencies]\nproptest = \"9.9\"\n",
        );
        let text = text.unwrap();
        assert!(text.contains("proptest = \"9.9\"") && text.contains("edition = \"2024\""), "{text}");
        assert!(manifest("[workspace]\n").is_err());
    }

    #[test]
    fn the_program_is_the_one_that_cargo_names() {
        let said = "{\"executable\":null}\n{\"executable\":\"/t/policy-1\"}\n{\"reason\":\"build-finished\"}";
        assert_eq!(program(said), Some(PathBuf::from("/t/policy-1")));
    }
}
