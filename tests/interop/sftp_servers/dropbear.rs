//! dropbear, which has the `sftp-server` of OpenSSH serve SFTP.

use std::path::Path;
use std::process::Command;

use rustle_tests::run;

use super::daemon::Daemon;
use super::{Running, Site};

/// What it says when it listens.
const LISTENS: &str = "Not backgrounding";

/// It looks for keys in the account's home alone, so it lets in by password.
pub(super) fn start(site: &Site, dropbear: &Path) -> (u16, Running) {
    let host_key = site.folder.join("dropbear_host_key");
    run(Command::new("dropbearconvert")
        .args(["openssh", "dropbear"])
        .arg(site.host_key.path())
        .arg(&host_key));
    site.daemon_on_a_port(LISTENS, |port| {
        let mut command = Daemon::command(dropbear);
        command.args(["-F", "-E", "-p", &format!("127.0.0.1:{port}")]);
        command.arg("-r").arg(&host_key).arg("-P").arg(site.folder.join("pid"));
        command
    })
}
