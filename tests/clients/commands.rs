//! Commands: their input and output byte for byte, their environment, and each way in which they end.

use rustle_testserver::{Builder, Exit, Reply, Signal, TestServer, User};
use serde_json::{Value, json};

use crate::frame::{LIMIT, Prepared, clients, finish};
use crate::library::{Library, assert_let_in, bytes, hex};
use crate::openssh::{self, Home};

/// No text in any encoding, and no end of a line at its end.
const INPUT: &[u8] = b"\x00\x01\xff\xfe\r\n\x7f end";

async fn server() -> TestServer {
    server_of(TestServer::builder()).await
}

async fn server_of(builder: Builder) -> TestServer {
    builder
        .user(User::new("alice").none())
        .shell()
        .command("crash", Reply::stdout("so far").signal(Signal::new("SEGV")))
        .command("mute", Reply::stdout("so far").ends(Exit::Silent))
        .start()
        .await
        .unwrap()
}

#[test]
fn openssh_runs_commands() {
    clients(LIMIT, async |_| {
        let home = Home::new();
        let server = server().await;
        let ssh = |command: &str| {
            let mut ssh = home.command("ssh", &server, &["-oSetEnv=WORD=\"a 'b'\"", "-T"]);
            ssh.args(["alice@127.0.0.1", command]);
            ssh
        };
        let output = openssh::run_with(&mut ssh("cat; printf 'on err' >&2; exit 42"), INPUT).await;
        assert_eq!(output.status.code(), Some(42), "{}", openssh::said(&output));
        assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (INPUT, b"on err".as_slice()));
        assert_eq!(openssh::succeed(&mut ssh("echo \"$WORD\"")).await, "a 'b'\n");
        // ssh has one answer to a signal and to no word at all.
        for command in ["crash", "mute"] {
            let output = openssh::run(&mut ssh(command)).await;
            assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(255), b"so far".as_slice()));
        }
        // A login shell: commands on standard input.
        let mut shell = home.command("ssh", &server, &["-T"]);
        let output = openssh::run_with(shell.arg("alice@127.0.0.1"), b"echo one; exit 3\n").await;
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(3), b"one\n".as_slice()));
        finish(server).await;
    });
}

#[test]
fn asyncssh_runs_commands() {
    clients(LIMIT, async |prepared| {
        let ends = [("crash", json!(null), json!("SEGV")), ("mute", json!(null), json!(null))];
        library_runs(Library::Asyncssh, &prepared, &ends).await;
        library_signals(Library::Asyncssh, &prepared).await;
    });
}

/// paramiko knows of no exit signal, and has one number, -1, for whatever is no exit code.
#[test]
fn paramiko_runs_commands() {
    clients(LIMIT, async |prepared| {
        let none = json!(null);
        let ends = [("crash", json!(-1), none.clone()), ("mute", json!(-1), none)];
        library_runs(Library::Paramiko, &prepared, &ends).await;
    });
}

#[test]
fn ssh2_runs_commands() {
    clients(LIMIT, async |prepared| {
        let ends = [("crash", json!(null), json!("SIGSEGV")), ("mute", json!(null), json!(null))];
        library_runs(Library::Ssh2, &prepared, &ends).await;
        library_signals(Library::Ssh2, &prepared).await;
    });
}

/// `ends` are commands without an exit code, with what the library makes of each.
async fn library_runs(library: Library, prepared: &Prepared, ends: &[(&str, Value, Value)]) {
    let server = server().await;
    let mut steps = vec![
        json!({"do": "run", "command": "cat; printf 'on err' >&2; exit 42", "input": hex(INPUT)}),
        json!({"do": "run", "command": "echo \"$WORD\"", "env": {"WORD": "a 'b'"}}),
    ];
    steps.extend(ends.iter().map(|(command, ..)| json!({"do": "run", "command": command})));
    let Some(answers) = library.ask(prepared, &server, "alice", &json!({"by": ["none"]}), &steps).await
    else {
        return;
    };
    assert_let_in(&answers);
    assert_eq!(answers.len(), 1 + steps.len(), "{answers:#?}");
    let (echoed, told) = (&answers[1], &answers[2]);
    assert_eq!((bytes(&echoed["stdout"]), bytes(&echoed["stderr"])), (INPUT.to_vec(), b"on err".to_vec()));
    assert_eq!(echoed["exit"], 42, "{library:?}");
    assert_eq!((bytes(&told["stdout"]), &told["exit"]), (b"a 'b'\n".to_vec(), &json!(0)), "{library:?}");
    for ((command, exit, signal), answer) in ends.iter().zip(&answers[3..]) {
        assert_eq!((&answer["exit"], &answer["signal"]), (exit, signal), "{library:?}, {command}: {answer}");
        assert_eq!(bytes(&answer["stdout"]), b"so far");
    }
    finish(server).await;
}

/// A command that is sent a signal dies by it, and the client hears so.
async fn library_signals(library: Library, prepared: &Prepared) {
    let server = server().await;
    let step = json!({"do": "signal", "command": "echo ready; exec sleep 100", "signal": "TERM"});
    let Some(answers) = library.ask(prepared, &server, "alice", &json!({"by": ["none"]}), &[step]).await
    else {
        return;
    };
    assert_let_in(&answers);
    assert_eq!((bytes(&answers[1]["first"]), &answers[1]["signal"]), (b"ready\n".to_vec(), &json!("TERM")));
    assert_eq!(server.record().signals(), [Signal::term()]);
    finish(server).await;
}
