//! Servers made of libraries, each by a program of the suite's own (`programs/`).

use std::path::Path;
use std::process::Command;

use super::daemon::Daemon;
use super::{Running, Site, program};

/// What stands before the port.
const LISTENS: &str = "listening on ";

pub(super) fn start_python(site: &Site, name: &str, python: &Path) -> (u16, Running) {
    start(site, name, Daemon::command(python), ("PYTHONDONTWRITEBYTECODE", Path::new("1")))
}

pub(super) fn start_node(site: &Site, name: &str, modules: &Path) -> (u16, Running) {
    start(site, name, Daemon::command("node"), ("NODE_PATH", modules))
}

fn start(site: &Site, name: &str, mut command: Command, (variable, value): (&str, &Path)) -> (u16, Running) {
    command.arg(program(name)).arg(site.host_key.path()).arg(site.login_key.public_path());
    let mut daemon = Daemon::start(command.arg(site.account.name()).env(variable, value), site.log());
    let port = daemon.wait_for(|log| {
        // The whole line has come.
        let (port, _) = log.split_once(LISTENS)?.1.split_once('\n')?;
        Some(port.parse().unwrap())
    });
    (port.expect("it ended"), Running::Daemon { _daemon: daemon })
}
