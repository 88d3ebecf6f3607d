//! Servers with SFTP that others wrote: which of them are here. The suite starts them itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::outcome::Failure;
use crate::{apt, libraries, shell};

const PACKAGES: [&str; 4] = ["openssh-sftp-server", "dropbear-bin", "proftpd-core", "proftpd-mod-crypto"];
/// Where systems have OpenSSH's `sftp-server`, which is in nobody's `PATH`.
const SFTP_SERVERS: [&str; 4] = [
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/lib/ssh/sftp-server",
    "/usr/libexec/sftp-server",
];
/// What the configuration of the suite loads.
const MOD_SFTP: &str = "/usr/lib/proftpd/mod_sftp.so";

/// Those that were found.
pub(super) struct SftpServers {
    variables: Vec<(&'static str, PathBuf)>,
}

impl SftpServers {
    /// Installs them on CI, where none may be missing. Elsewhere names those that are not here.
    pub(super) fn find() -> Result<Self, Failure> {
        apt::ensure(&PACKAGES)?;
        let sftp_server = SFTP_SERVERS.iter().map(PathBuf::from).find(|path| path.is_file());
        let proftpd = shell::find_program("proftpd").filter(|_| Path::new(MOD_SFTP).is_file());
        let mut variables = Vec::new();
        for (variable, what, found) in [
            ("RUSTLE_INTEROP_SFTP_SERVER", "sftp-server of OpenSSH's", sftp_server),
            ("RUSTLE_INTEROP_DROPBEAR", "dropbear", shell::find_program("dropbear")),
            ("RUSTLE_INTEROP_PROFTPD", "ProFTPD with mod_sftp", proftpd),
        ] {
            match found {
                Some(path) => variables.push((variable, path)),
                None if shell::on_ci() => return Err(Failure::new(format!("no {what}"))),
                None => println!("no {what}: tests that need it skip themselves"),
            }
        }
        // These two say themselves what is missing.
        variables.extend(libraries::python()?.map(|python| ("RUSTLE_INTEROP_PYTHON", python)));
        variables.extend(libraries::node_modules()?.map(|folder| ("RUSTLE_INTEROP_NODE_MODULES", folder)));
        Ok(Self { variables })
    }

    /// Tells the suite where they are.
    pub(super) fn tell(&self, suite: &mut Command) {
        suite.envs(self.variables.iter().map(|(name, path)| (name, path)));
    }
}
