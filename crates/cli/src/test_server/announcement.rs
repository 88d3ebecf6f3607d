//! The line of JSON that tells how to reach the server.

use rustle_testserver::TestServer;
use serde::Serialize;

use super::control::Control;

/// Everything that a test in another language needs to begin.
#[derive(Serialize)]
pub(super) struct Announcement {
    address: String,
    host: String,
    port: u16,
    /// As in a `.pub` file, one line per key.
    host_key: String,
    known_hosts: String,
    /// Instead, for clients that trust who signed the host's certificate; null where it has none.
    known_hosts_authority: Option<String>,
    users: Vec<Login>,
    /// What SFTP and the shell show as their root.
    directory: String,
    /// A text: JavaScript's numbers do not reach so far.
    seed: String,
    control: Access,
}

/// Someone who may log in.
#[derive(Serialize)]
pub(super) struct Login {
    name: String,
    /// Left out where the caller has it already.
    password: Option<String>,
}

#[derive(Serialize)]
struct Access {
    url: String,
    token: String,
}

impl Announcement {
    pub(super) fn new(server: &TestServer, control: &Control, users: Vec<Login>) -> Self {
        let address = server.addr();
        Self {
            address: address.to_string(),
            host: address.ip().to_string(),
            port: address.port(),
            host_key: server.host_key_openssh(),
            known_hosts: server.known_hosts_line().trim_end().to_owned(),
            known_hosts_authority: server.host_ca_known_hosts_line().map(|line| line.trim_end().to_owned()),
            users,
            directory: server.directory().display().to_string(),
            seed: server.seed().to_string(),
            control: Access { url: control.url(), token: control.token().to_owned() },
        }
    }
}

impl Login {
    /// Whose password the caller has chosen.
    pub(super) fn known(name: String) -> Self {
        Self { name, password: None }
    }

    /// Whose password was made here.
    pub(super) fn made(name: String, password: String) -> Self {
        Self { name, password: Some(password) }
    }
}
