//! 256 MiB each way through a command's streams, by each client, whole by their hash.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use rustle_tests::{Bulk, Tally, unique_number};
use rustle_testserver::{TestServer, User};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::process::Child;

use crate::frame::{LONG_LIMIT, Prepared, clients, finish};
use crate::library::{Library, assert_let_in, text};
use crate::openssh::{self, Home};

/// One read.
const PIECE: usize = 1 << 20;

pub(crate) const BULK: Bulk = Bulk::MIB_256;

/// The bulk as a file, which is made once and stays with the build.
pub(crate) fn file(bulk: &Bulk) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bulk-{}", bulk.bytes()));
    if !path.exists() {
        // Another run may be making it too: whole or not at all.
        let draft = path.with_extension(unique_number().to_string());
        let output = File::create(&draft).unwrap();
        let made = Command::new("sh").args(["-c", &bulk.line()]).stdin(Stdio::null()).stdout(output).status();
        assert!(made.unwrap().success());
        std::fs::rename(draft, &path).unwrap();
    }
    path
}

/// That a file holds all of it.
pub(crate) fn assert_whole(path: &Path, bulk: &Bulk) {
    let mut file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (mut tally, mut piece) = (Tally::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece).unwrap() {
            0 => break,
            read => tally.add(&piece[..read]),
        }
    }
    tally.assert_is(bulk);
}

/// That a process writes all of it to its standard output, and ends well.
pub(crate) async fn assert_writes(process: &mut Child, bulk: &Bulk) {
    let mut stdout = process.stdout.take().unwrap();
    let (mut tally, mut piece) = (Tally::new(), vec![0; PIECE]);
    loop {
        match stdout.read(&mut piece).await.unwrap() {
            0 => break,
            read => tally.add(&piece[..read]),
        }
    }
    tally.assert_is(bulk);
    assert!(process.wait().await.unwrap().success());
}

/// The line of shell that writes it on the server's side.
pub(crate) fn download(bulk: &Bulk) -> String {
    format!("cat '{}'", file(bulk).display())
}

/// What `sha256sum` says of it.
pub(crate) fn checksum(bulk: &Bulk) -> String {
    format!("{}  -\n", bulk.sha256())
}

async fn server() -> TestServer {
    TestServer::builder().user(User::new("alice").none()).shell().start().await.unwrap()
}

#[test]
fn openssh_moves_bulk_through_commands() {
    clients(LONG_LIMIT, async |_| {
        let home = Home::new();
        let server = server().await;
        let mut ssh = home.command("ssh", &server, &["-T"]);
        let mut process = openssh::spawn(ssh.args(["alice@127.0.0.1", &download(&BULK)]));
        assert_writes(&mut process, &BULK).await;

        let mut ssh = home.command("ssh", &server, &["-T"]);
        let ssh = ssh.args(["alice@127.0.0.1", "sha256sum"]).stdin(File::open(file(&BULK)).unwrap());
        assert_eq!(openssh::succeed(ssh).await, checksum(&BULK));
        finish(server).await;
    });
}

#[test]
fn asyncssh_moves_bulk_through_commands() {
    clients(LONG_LIMIT, async |prepared| library_moves(Library::Asyncssh, &prepared).await);
}

#[test]
fn paramiko_moves_bulk_through_commands() {
    clients(LONG_LIMIT, async |prepared| library_moves(Library::Paramiko, &prepared).await);
}

#[test]
fn ssh2_moves_bulk_through_commands() {
    clients(LONG_LIMIT, async |prepared| library_moves(Library::Ssh2, &prepared).await);
}

async fn library_moves(library: Library, prepared: &Prepared) {
    let server = server().await;
    let steps = [
        json!({"do": "download", "command": download(&BULK)}),
        json!({"do": "upload", "command": "sha256sum", "file": file(&BULK)}),
    ];
    let Some(answers) = library.ask(prepared, &server, "alice", &json!({"by": ["none"]}), &steps).await
    else {
        return;
    };
    assert_let_in(&answers);
    let down = json!({"bytes": BULK.bytes(), "sha256": BULK.sha256(), "exit": 0});
    assert_eq!(answers[1], down, "{library:?}");
    assert_eq!(answers[2]["exit"], 0, "{library:?}");
    assert_eq!(text(&answers[2]["stdout"]), checksum(&BULK), "{library:?}");
    finish(server).await;
}
