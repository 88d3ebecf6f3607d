//! dropbear, which has the `sftp-server` of OpenSSH serve SFTP.

use std::path::Path;
use std::process::Command;

use rustle_tests::run;

use super::daemon::Daemon;
use super::{Running, Site};

/// What it says when it listens.
const LISTENS: &str = "Not backgrounding";

/// What a host without `sftp-server` makes of the command that dropbear starts for the subsystem, and of every other.
const WITHOUT_SFTP: &str = "case $SSH_ORIGINAL_COMMAND in */sftp-server) exit 127;; esac\n\
                            exec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"\n";

pub(super) fn start(site: &Site, dropbear: &Path) -> (u16, Running) {
    start_with(site, dropbear, &[])
}

/// As on a host that has no `sftp-server`.
pub(super) fn start_without_sftp(site: &Site, dropbear: &Path) -> (u16, Running) {
    let forced = site.folder.write("forced", WITHOUT_SFTP);
    start_with(site, dropbear, &["-c", &format!("/bin/sh {}", forced.display())])
}

/// It looks for keys in the account's home alone, so it lets in by password.
fn start_with(site: &Site, dropbear: &Path, more: &[&str]) -> (u16, Running) {
    let host_key = site.folder.join("dropbear_host_key");
    run(Command::new("dropbearconvert")
        .args(["openssh", "dropbear"])
        .arg(site.host_key.path())
        .arg(&host_key));
    site.daemon_on_a_port(LISTENS, |port| {
        let mut command = Daemon::command(dropbear);
        command.args(["-F", "-E", "-p", &format!("127.0.0.1:{port}")]);
        command.arg("-r").arg(&host_key).arg("-P").arg(site.folder.join("pid")).args(more);
        command
    })
}
