//! A command on a terminal: what of ours it gets, and ours as it was when the command has ended. And the bar of a transfer.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use rustle_testserver::{Call, Exit, Fault, Phase, Record, Sftp, TestServer};
use tokio::io::AsyncReadExt;

use crate::host::{Host, is_ignored, wait};
use crate::prompts::Terminal;

/// Answers with how it was started, then each piece of input, until `q`.
async fn talk(mut call: Call) -> Exit {
    let pty = call.pty().map(|pty| format!("{} {:?}", pty.term(), pty.size()));
    drop(call.stdout().send(format!("on {}\r\n", pty.unwrap_or_else(|| "nothing".to_owned()))).await);
    let mut piece = [0; 64];
    while let Ok(count @ 1..) = call.stdin().read(&mut piece).await {
        let piece = &piece[..count];
        drop(call.stdout().send(format!("<{}>", String::from_utf8_lossy(piece))).await);
        if piece.contains(&b'q') {
            return Exit::Code(7);
        }
    }
    Exit::Code(0)
}

impl Terminal {
    fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.far).unwrap().local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ISIG | LocalModes::ECHO)
    }

    fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.near, size).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_on_a_terminal_gets_each_key_and_every_size() {
    let host = Host::with(TestServer::builder().command_fn("talk", talk)).await;
    let password = host.path("password");
    let terminal = Terminal::open();
    terminal.resize(101, 42);
    let arguments = ["exec", "-t", "--password-file", &password, "--raw", "web", "--", "talk"];
    let child = terminal.start_showing(&host, &arguments);
    terminal.shows("on xterm-test ").await;
    assert!(!terminal.is_cooked());
    // Ctrl-C is a key like any other, and none waits for the end of a line.
    terminal.types("\u{3}");
    terminal.shows("<\u{3}>").await;
    terminal.resize(90, 30);
    let resized = |record: &Record| !record.window_changes().is_empty();
    host.server.wait_until(resized, Duration::from_secs(60)).await.unwrap();
    terminal.types("q");
    terminal.shows("<q>").await;
    let ran = wait(child).await;
    assert_eq!(ran.code, Some(7), "{}", ran.stderr);
    assert!(terminal.is_cooked());
    let record = host.server.record();
    let pty = record.commands()[0].pty().unwrap();
    assert_eq!((pty.size().columns, pty.size().rows), (101, 42));
    // VINTR is Ctrl-C, ECHO is on (RFC 4254 section 8).
    assert!(pty.modes().contains(&(1, 3)) && pty.modes().contains(&(53, 1)), "{:?}", pty.modes());
    let size = record.window_changes()[0];
    assert_eq!((size.columns, size.rows), (90, 30));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_terminal_is_as_it_was_when_the_connection_is_lost_and_when_a_signal_comes() {
    for signal in [None, Some((Signal::TERM, 143)), Some((Signal::QUIT, 131))] {
        if signal.is_some_and(|(signal, _)| is_ignored(signal)) {
            continue;
        }
        let host = Host::with(TestServer::builder().command_fn("talk", talk)).await;
        let password = host.path("password");
        let terminal = Terminal::open();
        let options =
            ["exec", "-v", "-o", "RequestTTY=yes", "-o", "RemoteCommand=talk", "--password-file", &password];
        let child = terminal.start_showing(&host, &[&options[..], &["web"]].concat());
        terminal.shows("on xterm-test ").await;
        assert!(!terminal.is_cooked());
        if let Some((signal, _)) = signal {
            let own = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
            kill_process(own, signal).unwrap();
        } else {
            host.server.cut_all(rustle_testserver::Cut::Rst);
        }
        let ran = wait(child).await;
        assert_eq!(ran.code, Some(signal.map_or(255, |(_, code)| code)), "{}", ran.stderr);
        assert!(signal.is_none() || ran.stderr.contains("note: the remote process: "), "{}", ran.stderr);
        assert!(terminal.is_cooked());
        drop(host.server.stop().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_asked_for_where_there_is_one_or_in_any_case() {
    let host = Host::with(TestServer::builder().command_fn("talk", talk)).await;
    let shown = |ran: &crate::host::Ran| ran.stdout().starts_with("on nothing");
    let plain = host.run(&["exec", "-t", "--raw", "web", "--", "talk"]).await;
    assert!(shown(&plain) && plain.stderr.contains("no terminal is asked for"), "{}", plain.told());
    let force = host.run(&["exec", "-tt", "--raw", "web", "--", "talk"]).await;
    assert!(!shown(&force) && force.stderr.is_empty(), "{}", force.told());
    let configured = host.run(&["exec", "-o", "RequestTTY=force", "--raw", "web", "--", "talk"]).await;
    assert!(!shown(&configured), "{}", configured.told());
    let off = host.run(&["exec", "-T", "-o", "RequestTTY=force", "--raw", "web", "--", "talk"]).await;
    assert!(shown(&off) && off.stderr.is_empty(), "{}", off.told());
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_size_that_changes_before_the_terminal_is_handed_over_is_told() {
    // The terminal has been asked for, with its size, and the command's start is answered later.
    let late = Fault::stall(Phase::Request);
    let host = Host::with(TestServer::builder().command_fn("talk", talk).fault(late)).await;
    let password = host.path("password");
    let terminal = Terminal::open();
    terminal.resize(101, 42);
    let arguments = ["exec", "-t", "--password-file", &password, "--raw", "web", "--", "talk"];
    let child = terminal.start_showing(&host, &arguments);
    host.is_struck().await;
    terminal.resize(90, 30);
    host.server.resume();
    let resized =
        |record: &Record| record.window_changes().iter().any(|size| (size.columns, size.rows) == (90, 30));
    host.server.wait_until(resized, Duration::from_secs(60)).await.unwrap();
    terminal.types("q");
    assert_eq!(wait(child).await.code, Some(7));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_on_a_terminal_that_was_handed_over_begins_at_its_left_edge() {
    let host = Host::with(TestServer::builder().command_fn("talk", talk)).await;
    let password = host.path("password");
    let terminal = Terminal::open();
    let arguments = ["exec", "-t", "-vvv", "--password-file", &password, "--raw", "web", "--", "talk"];
    let mut command = terminal.command(&host, &arguments);
    command.env("TERM", "xterm-test").stdout(terminal.far.try_clone().unwrap());
    let child = command.stderr(terminal.far.try_clone().unwrap()).spawn().unwrap();
    terminal.shows("on xterm-test ").await;
    terminal.types("a");
    let shown = terminal.shows("<a>").await;
    terminal.types("b");
    let shown = shown + &terminal.shows("<b>").await;
    assert!(shown.contains('\n'), "nothing was logged: {shown:?}");
    assert!(!shown.replace("\r\n", "").contains('\n'), "{shown:?}");
    terminal.types("q");
    terminal.shows("<q>").await;
    // What comes after that would fill the terminal.
    let rest = terminal.near.try_clone().unwrap();
    std::thread::spawn(move || std::io::copy(&mut { rest }, &mut std::io::sink()));
    assert_eq!(wait(child).await.code, Some(7));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn how_far_a_transfer_is_stands_on_a_terminal_and_is_wiped_at_its_end() {
    let files = Sftp::memory().file("/first", vec![1; 1 << 20]).file("/second\u{202e}", vec![2; 1 << 20]);
    let host = Host::with(TestServer::builder().sftp(files)).await;
    let password = host.path("password");
    let terminal = Terminal::open();
    terminal.resize(120, 30);
    let here = host.path("");
    let options = ["get", "--limit", "1M", "--password-file", &password];
    let mut command =
        terminal.command(&host, &[&options[..], &["web:/first", "web:/second\u{202e}", &here]].concat());
    command.env("TERM", "xterm").stderr(terminal.far.try_clone().unwrap());
    let child = command.spawn().unwrap();
    let shown = terminal.shows(" in ").await;
    let ran = wait(child).await;
    assert_eq!((ran.code, ran.stdout()), (Some(0), ""));
    assert!(shown.contains("1/2 first ") && shown.contains("2/2 \"second\\u{202e}\""), "{shown:?}");
    assert!(shown.contains(" of 1.0 MiB  ") && shown.contains("=>"), "{shown:?}");
    // The line is wiped before what stays is written.
    let (_, last) = shown.rsplit_once("\u{1b}[2K").unwrap();
    assert!(last.trim_start().starts_with("2 files, 2.0 MiB in "), "{last:?}");
    host.server.stop().await.unwrap();
}
