//! A `ProxyCommand` below `exec`: who gets the terminal's keys, and what is left at the end.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use rustle_testserver::{Call, Exit, Fault, Record, TestServer};

use crate::host::{Host, is_ignored, wait};
use crate::prompts::Terminal;
use crate::relay;

/// How somebody at a terminal interrupts what runs there.
#[derive(Debug, Clone, Copy)]
enum Interruption {
    Key(&'static str),
    /// The terminal is closed.
    HangUp,
}

/// Runs until it gets a signal.
async fn until_told(mut call: Call) -> Exit {
    drop(call.stdout().send("it runs\n").await);
    call.signal().await;
    Exit::Code(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_interrupts_at_the_terminal_ends_the_remote_process_before_what_carries_the_connection() {
    for (how, signal, code) in [
        (Interruption::Key("\u{3}"), Signal::INT, 130),
        (Interruption::Key("\u{1c}"), Signal::QUIT, 131),
        (Interruption::HangUp, Signal::HUP, 129),
    ] {
        if is_ignored(signal) {
            continue;
        }
        let host = Host::with(TestServer::builder().command_fn("wait", until_told)).await;
        let terminal = Terminal::open();
        let proxy = format!("ProxyCommand={}", relay::line_to(host.server.port()));
        let password = host.path("password");
        let options = ["exec", "-v", "--password-file", &password, "-o", &proxy];
        let child = terminal.start_showing(&host, &[&options[..], &["--raw", "web", "--", "wait"]].concat());
        let group = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        terminal.shows("it runs").await;
        match how {
            Interruption::Key(key) => terminal.types(key),
            // It leads its session, and what it started is in its group.
            Interruption::HangUp => kill_process_group(group, signal).unwrap(),
        }
        let ran = wait(child).await;
        assert_eq!(ran.code, Some(code), "{how:?}: {}", ran.stderr);
        // By the server's own word, which came through the command.
        assert!(ran.stderr.contains("note: the remote process: ended\n"), "{how:?}: {}", ran.stderr);
        host.server.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stubborn_command_at_the_terminal_does_not_outlive_the_connection() {
    let host = Host::start().await;
    let terminal = Terminal::open();
    let file = host.path("itself");
    let relay = relay::line_to(host.server.port()).replace('\'', "");
    let proxy = format!("ProxyCommand=sh -c 'trap \"\" TERM; echo $$ >{file}; {relay}; exec sleep 1000'");
    let password = host.path("password");
    let options = ["exec", "--password-file", &password, "-o", &proxy];
    let child = terminal.start(&host, &[&options[..], &["--raw", "web", "--", "echo through"]].concat());
    let ran = wait(child).await;
    assert_eq!((ran.code, ran.stdout()), (Some(0), "through\n"), "{}", ran.stderr);
    relay::is_gone(file.as_ref()).await;
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_start_is_not_answered_yet_is_ended_as_well() {
    if is_ignored(Signal::TERM) {
        return;
    }
    // Longer than anybody waits; all else on the connection goes on.
    let late = Fault::withhold_request().for_time(std::time::Duration::from_secs(600));
    let host = Host::with(TestServer::builder().command_fn("wait", until_told).fault(late)).await;
    let password = host.path("password");
    let arguments = ["exec", "-n", "--password-file", &password, "--raw", "web", "--", "wait"];
    let mut command = host.command(&arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let own = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    host.is_struck().await;
    kill_process(own, Signal::TERM).unwrap();
    assert_eq!(wait(child).await.code, Some(143));
    // Not by the connection's end: its channel was closed, and where it ran it had been told.
    let closed = |record: &Record| record.closes() == 1 && record.connections_open() == 0;
    host.server.wait_until(closed, std::time::Duration::from_secs(60)).await.unwrap();
    let record = host.server.record();
    let ended = |exit: Option<&Exit>| matches!(exit, None | Some(Exit::Code(0)));
    assert!(record.commands().iter().all(|command| ended(command.exit())), "{record:?}");
    host.server.stop().await.unwrap();
}
