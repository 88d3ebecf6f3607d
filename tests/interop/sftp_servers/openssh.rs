//! OpenSSH's `sshd`, with its `sftp-server` or without.

use std::path::Path;

use rustle_tests::{Interop, Sshd};

use super::{Running, Site};

/// What serves SFTP.
pub(super) enum Sftp<'a> {
    Program(&'a Path),
    Internal,
    Nothing,
}

pub(super) fn start(site: &Site, interop: &Interop, sftp: &Sftp<'_>) -> (u16, Running) {
    let sshd =
        Sshd::builder(interop.sshd()).host_key(site.host_key.clone()).authorize(site.login_key.public_line());
    let sshd = match sftp {
        Sftp::Program(program) => sshd.sftp_by(program),
        Sftp::Internal => sshd,
        Sftp::Nothing => sshd.without_sftp(),
    };
    let sshd = sshd.start();
    (sshd.port(), Running::Sshd { _sshd: sshd })
}
