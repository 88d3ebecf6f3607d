//! ProFTPD with `mod_sftp`.

use std::path::Path;
use std::process::Command;

use rustle_tests::text_of;

use super::daemon::Daemon;
use super::{Running, Site};

/// What it says when it listens.
const LISTENS: &str = "standalone mode STARTUP";

pub(super) fn start(site: &Site, proftpd: &Path) -> (u16, Running) {
    // It reads keys in the format of RFC 4716 alone.
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-e", "-m", "RFC4716", "-f"]).arg(site.login_key.public_path());
    let authorized = site.folder.write("authorized_keys", format!("{}\n", text_of(&mut keygen)));
    site.daemon_on_a_port(LISTENS, |port| {
        let config = site.folder.write("proftpd.conf", config(site, &authorized, port));
        let mut command = Daemon::command(proftpd);
        command.args(["--nodaemon", "--quiet", "--config"]).arg(config);
        command
    })
}

fn config(site: &Site, authorized: &Path, port: u16) -> String {
    let (folder, log) = (site.folder.path().display(), site.log());
    let (host_key, log, authorized) = (site.host_key.path().display(), log.display(), authorized.display());
    format!(
        "ServerName interop\n\
         ServerType standalone\n\
         DefaultServer on\n\
         DefaultAddress 127.0.0.1\n\
         UseIPv6 off\n\
         Port {port}\n\
         ModulePath /usr/lib/proftpd\n\
         LoadModule mod_sftp.c\n\
         User nobody\n\
         Group nogroup\n\
         AuthOrder mod_auth_unix.c\n\
         AllowOverwrite on\n\
         AllowStoreRestart on\n\
         RequireValidShell off\n\
         WtmpLog off\n\
         TransferLog none\n\
         SystemLog {log}\n\
         PidFile {folder}/pid\n\
         ScoreboardFile {folder}/scoreboard\n\
         SFTPEngine on\n\
         SFTPLog {log}\n\
         SFTPHostKey {host_key}\n\
         SFTPAuthMethods publickey\n\
         SFTPAuthorizedUserKeys file:{authorized}\n"
    )
}
