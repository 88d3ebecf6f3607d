//! The examples of `docs/test-server.md`, run as their readers would run them: each where its client is installed.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::host::program;

use super::served::LIMIT;

/// Runs it beside a copy of the example, and expects that all went well.
async fn run(mut command: Command, example: &str, folder: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/test-server").join(example);
    std::fs::copy(source, folder.join(example)).unwrap();
    let program = program(&[]).as_std().get_program().to_owned();
    command.current_dir(folder).env("RUSTLE_CONNECT", program).env("PYTHONDONTWRITEBYTECODE", "1");
    command.stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(4 * LIMIT, command.output()).await.expect("it hangs").unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{example}: {}\n{stdout}\n{stderr}", output.status);
}

/// Whether this goes well, which says that what it needs is there.
async fn works(command: &mut Command) -> bool {
    command.output().await.is_ok_and(|output| output.status.success())
}

#[expect(clippy::print_stdout, reason = "a test that skips itself says so")]
fn skipped(what: &str) {
    println!("skipped: {what} is not installed");
}

#[tokio::test]
async fn the_python_example_passes() {
    let python = std::env::var_os("RUSTLE_CLIENTS_PYTHON");
    let prepared = python.is_some();
    let python = python.unwrap_or_else(|| "python3".into());
    if !works(Command::new(&python).args(["-c", "import asyncssh, pytest"])).await {
        assert!(!prepared, "RUSTLE_CLIENTS_PYTHON has no asyncssh and pytest");
        return skipped("asyncssh or pytest");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(&python);
    command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_deploy.py"]);
    run(command, "test_deploy.py", folder.path()).await;
}

#[tokio::test]
async fn the_node_example_passes() {
    let Some(modules) = std::env::var_os("RUSTLE_CLIENTS_NODE_MODULES").map(PathBuf::from) else {
        return skipped("ssh2, in a folder that RUSTLE_CLIENTS_NODE_MODULES names,");
    };
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).unwrap();
    let mut command = Command::new("node");
    command.args(["--test", "deploy.test.mjs"]);
    run(command, "deploy.test.mjs", folder.path()).await;
}

#[tokio::test]
async fn the_shell_example_passes() {
    for (tool, flag) in [("ssh", "-V"), ("curl", "--version")] {
        if !works(Command::new(tool).arg(flag)).await {
            return skipped(tool);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("/bin/sh");
    command.arg("openssh.sh");
    run(command, "openssh.sh", folder.path()).await;
}
