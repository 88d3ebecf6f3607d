//! The server, the files and the user of the demo. Nothing of whoever runs it is read or written.

use std::path::PathBuf;
use std::time::Duration;

use rustle_session::{AgentSource, HostSetup};
use rustle_testserver::{Call, Cut, Exit, HostKeyKind, TestServer, User};
use tempfile::TempDir;

use crate::failure::Failure;
use crate::test_server::{random_password, refused};

const USER: &str = "demo";

/// A command of this server that says this and then goes on until it is told to end.
pub(super) const WORK: &str = "work";
pub(super) const PARTIAL: &str = "step 1 of 3 done\n";

pub(super) struct Scene {
    server: TestServer,
    directory: TempDir,
    password: String,
}

impl Scene {
    /// # Errors
    /// The server or its directory cannot be had.
    pub(super) async fn set() -> Result<Self, Failure> {
        let password = random_password()?;
        let server = TestServer::builder()
            .user(User::new(USER).password(password.as_str()))
            .builtins()
            .command_fn(WORK, work)
            .start()
            .await
            .map_err(|error| refused(&error))?;
        let directory =
            tempfile::tempdir().map_err(|error| Failure::io("no temporary directory can be made", &error))?;
        Ok(Self { server, directory, password })
    }

    pub(super) fn address(&self) -> String {
        self.server.addr().to_string()
    }

    /// The connection as a user would set it up, with a `known_hosts` of its own.
    ///
    /// # Errors
    /// As [`rustle_session::HostSetupBuilder::resolve`].
    pub(super) fn setup(&self) -> Result<HostSetup, Failure> {
        // ssh_config reads a backslash as an escape.
        let known_hosts = self.known_hosts().display().to_string().replace('\\', "/");
        let setup = HostSetup::builder(format!("{USER}@127.0.0.1"))
            .port(self.server.port())
            .without_config_files()
            .option(format!("UserKnownHostsFile=\"{known_hosts}\""))
            .option("GlobalKnownHostsFile=none")
            .option("IdentityFile=none")
            .agent(AgentSource::None)
            .password(self.password.as_str().into())
            .connect_timeout(Duration::from_secs(10))
            .resolve()?;
        Ok(setup)
    }

    /// Writes the server's key down as a known host's.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn trust_host(&self) -> Result<(), Failure> {
        std::fs::write(self.known_hosts(), self.server.known_hosts_line())
            .map_err(|error| Failure::io("the demo's known_hosts cannot be written", &error))
    }

    /// The fingerprint of the key that the server shows now.
    pub(super) fn fingerprint(&self) -> String {
        rustle_session::HostKeyOffer::from_wire("127.0.0.1", self.server.port(), &self.server.host_key_wire())
            .map(|offer| offer.fingerprint())
            .unwrap_or_default()
    }

    /// Cuts every connection, as a firewall or a crash would.
    pub(super) fn cut(&self) {
        self.server.cut_all(Cut::Rst);
    }

    /// Another key from now on, as of a host that was installed anew or is another one.
    ///
    /// # Errors
    /// No key can be made.
    pub(super) fn change_host_key(&self) -> Result<(), Failure> {
        self.server.swap_host_key(HostKeyKind::Ed25519).map_err(|error| refused(&error))
    }

    /// Ends the server.
    ///
    /// # Errors
    /// Something of it is left.
    pub(super) async fn clear(self) -> Result<(), Failure> {
        self.server.stop().await.map_err(|error| refused(&error))
    }

    fn known_hosts(&self) -> PathBuf {
        self.directory.path().join("known_hosts")
    }
}

async fn work(mut call: Call) -> Exit {
    if call.stdout().send(PARTIAL).await.is_err() {
        return Exit::Silent;
    }
    let signal = call.signal().await;
    Exit::signal(signal)
}
