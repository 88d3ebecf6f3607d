//! New keys in the middle of a transfer each way, begun by the server and begun by each client.

use std::fs::File;

use rustle_tests::Bulk;
use rustle_testserver::{TestServer, User};
use serde_json::json;

use crate::bulk::{assert_writes, checksum, download, file};
use crate::frame::{LIMIT, Prepared, clients, finish};
use crate::library::{Library, assert_let_in, text};
use crate::openssh::{self, Home};

/// What is moved each way under changing keys.
const MOVED: Bulk = Bulk::MIB_10;
/// An exchange each time so many bytes have gone one way.
const EACH: usize = 1 << 20;
/// How many exchanges that makes at the least, each way: the two sides count a little differently.
const EXCHANGES: usize = 3;

/// Who begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begins {
    Server,
    Client,
}

impl Begins {
    const BOTH: [Self; 2] = [Self::Server, Self::Client];

    async fn server(self) -> TestServer {
        let builder = TestServer::builder().user(User::new("alice").none()).shell();
        let builder = match self {
            Self::Server => builder.rekey_after(EACH),
            Self::Client => builder,
        };
        builder.start().await.unwrap()
    }
}

#[test]
fn openssh_rekeys() {
    clients(LIMIT, async |_| {
        let home = Home::new();
        for begins in Begins::BOTH {
            let server = begins.server().await;
            let limit = if begins == Begins::Client { EACH } else { 1 << 30 };
            let ssh = |log: &str, command: &str| {
                let mut ssh = home.command("ssh", &server, &["-T", "-vv", &format!("-oRekeyLimit={limit}")]);
                ssh.arg("-E").arg(home.path(log)).args(["alice@127.0.0.1", command]);
                ssh
            };
            let exchanges = |log: &str| {
                let log = std::fs::read_to_string(home.path(log)).unwrap();
                log.matches("SSH2_MSG_NEWKEYS received").count() - 1
            };
            assert_writes(&mut openssh::spawn(&mut ssh("down", &download(&MOVED))), &MOVED).await;
            assert!(exchanges("down") >= EXCHANGES, "{begins:?}: {}", exchanges("down"));

            let mut up = ssh("up", "sha256sum");
            let input = File::open(file(&MOVED)).unwrap();
            assert_eq!(openssh::succeed(up.stdin(input)).await, checksum(&MOVED), "{begins:?}");
            assert!(exchanges("up") >= EXCHANGES, "{begins:?}: {}", exchanges("up"));
            finish(server).await;
        }
    });
}

#[test]
fn asyncssh_rekeys() {
    clients(LIMIT, async |prepared| library_rekeys(Library::Asyncssh, &prepared).await);
}

#[test]
fn paramiko_rekeys() {
    clients(LIMIT, async |prepared| library_rekeys(Library::Paramiko, &prepared).await);
}

#[test]
fn ssh2_rekeys() {
    clients(LIMIT, async |prepared| library_rekeys(Library::Ssh2, &prepared).await);
}

async fn library_rekeys(library: Library, prepared: &Prepared) {
    for begins in Begins::BOTH {
        let server = begins.server().await;
        let mut steps = [
            json!({"do": "download", "command": download(&MOVED)}),
            json!({"do": "rekeys"}),
            json!({"do": "upload", "command": "sha256sum", "file": file(&MOVED)}),
            json!({"do": "rekeys"}),
        ];
        if begins == Begins::Client {
            for step in &mut steps {
                step["rekey_each"] = json!(EACH);
                step["rekey_times"] = json!(EXCHANGES);
            }
        }
        let Some(answers) = library.ask(prepared, &server, "alice", &json!({"by": ["none"]}), &steps).await
        else {
            return;
        };
        assert_let_in(&answers);
        let down = json!({"bytes": MOVED.bytes(), "sha256": MOVED.sha256(), "exit": 0});
        assert_eq!(answers[1], down, "{library:?}, {begins:?}");
        assert_eq!(text(&answers[3]["stdout"]), checksum(&MOVED), "{library:?}, {begins:?}");
        let count = |answer: &serde_json::Value| usize::try_from(answer["rekeys"].as_u64().unwrap()).unwrap();
        let (down, both) = (count(&answers[2]), count(&answers[4]));
        // asyncssh counts what it sends, and begins nothing on the way down.
        if (library, begins) != (Library::Asyncssh, Begins::Client) {
            assert!(down >= EXCHANGES, "{library:?}, {begins:?}: {down} on the way down");
        }
        assert!(both - down >= EXCHANGES, "{library:?}, {begins:?}: {} on the way up", both - down);
        finish(server).await;
    }
}
