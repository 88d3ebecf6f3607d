//! OpenSSH's `sshd`, with its `sftp-server` or without.

use std::path::Path;

use rustle_tests::{Interop, Sshd};

use super::{Running, Site};

/// Has `program` serve SFTP, or `sshd` itself.
pub(super) fn start(site: &Site, interop: &Interop, program: Option<&Path>) -> (u16, Running) {
    let sshd =
        Sshd::builder(interop.sshd()).host_key(site.host_key.clone()).authorize(site.login_key.public_line());
    let sshd = match program {
        Some(program) => sshd.sftp_by(program),
        None => sshd,
    };
    let sshd = sshd.start();
    (sshd.port(), Running::Sshd { _sshd: sshd })
}
