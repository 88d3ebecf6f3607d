//! A command in place of a socket: what it carries, what it says, and how it ends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustle_session::{Connector, ErrorKind, ProxyCommand};
use rustle_testserver::TestServer;

use crate::relay;
use crate::support::{connector, credentials, server, server_shows};

fn through(server: &TestServer, command: ProxyCommand) -> Connector {
    connector(server).proxy_command(command)
}

/// A hook and what it was told.
fn heard() -> (Arc<Mutex<Vec<String>>>, impl Fn(&str) + Send + Sync + 'static) {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let told = Arc::clone(&lines);
    (lines, move |line: &str| told.lock().unwrap().push(line.to_owned()))
}

/// Waits until the hook has been told these lines. Windows' `echo` adds blanks.
async fn told(lines: &Mutex<Vec<String>>, wanted: &[&str]) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let told = lines.lock().unwrap().clone();
        let shown: Vec<&str> =
            told.iter().map(|line| if cfg!(windows) { line.trim() } else { line }).collect();
        if shown.len() >= wanted.len() || std::time::Instant::now() > deadline {
            return assert_eq!(shown, wanted);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_command_carries_the_connection_and_ends_with_it() {
    let server = server().start().await.unwrap();
    let connected =
        through(&server, ProxyCommand::new(relay::line_to(server.port()))).connect().await.unwrap();
    assert_eq!(connected.peer(), None);
    let session = connected.authenticate(&credentials()).await.unwrap();
    let bulk = vec![7; 3_000_000];
    let output = session.line("cat").stdin(bulk.clone()).output().await.unwrap();
    assert!(output.stdout == bulk);
    session.close(Duration::from_secs(20)).await;
    server_shows(&server, "no connection left", |record| record.connections_open() == 0).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_dropped_connection_ends_its_command() {
    let server = server().start().await.unwrap();
    let connector = through(&server, ProxyCommand::new(relay::line_to(server.port())));
    drop(connector.connect().await.unwrap());
    drop(connector.connect().await.unwrap().authenticate(&credentials()).await.unwrap());
    server_shows(&server, "no connection left", |record| record.connections_open() == 0).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_it_says_is_told_at_once_and_moves_no_cursor() {
    let server = server().start().await.unwrap();
    let (lines, hook) = heard();
    let relay = relay::line_to(server.port());
    let line = if cfg!(windows) {
        format!("echo first 1>&2& echo second 1>&2& {relay}")
    } else {
        // `exec` stands in front of the line.
        format!("sh -c \"printf 'first\\033[2J\\r\\n\\n%s\\n' second >&2; exec \\$0 \\\"\\$@\\\"\" {relay}")
    };
    let session = through(&server, ProxyCommand::new(line).on_error_line(hook));
    let session = session.connect().await.unwrap().authenticate(&credentials()).await.unwrap();
    told(&lines, if cfg!(windows) { &["first", "second"] } else { &["first\\u{1b}[2J", "", "second"] }).await;
    session.close(Duration::from_secs(20)).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_early_end_is_told_with_status_and_last_line() {
    let server = server().start().await.unwrap();
    let (lines, hook) = heard();
    let line = if cfg!(windows) {
        "echo no route 1>&2& exit 3"
    } else {
        "sh -c 'echo trying >&2; echo \"no route\" >&2; exit 3'"
    };
    let error = through(&server, ProxyCommand::new(line).on_error_line(hook)).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostUnreachable);
    let shown = error.to_string();
    assert!(shown.contains("ProxyCommand") && shown.contains("no route"), "{shown}");
    assert!(shown.contains(if cfg!(windows) { "exit code: 3" } else { "exit status: 3" }), "{shown}");
    assert!(shown.starts_with(&format!("127.0.0.1:{}: ", server.port())), "{shown}");
    assert!(error.hint().is_some() && lines.lock().unwrap().iter().any(|line| line.trim() == "no route"));
    server.stop().await.unwrap();
}

#[cfg(unix)]
mod on_unix {
    use std::path::Path;

    use rustle_session::{Session, TransportOptions};

    use super::*;

    #[tokio::test]
    async fn a_command_that_is_not_there_is_not_worth_another_try() {
        let server = server().start().await.unwrap();
        let command = ProxyCommand::new("/nowhere/relay").on_error_line(|_| {});
        let error = through(&server, command).connect().await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Configuration, false));
        assert!(error.to_string().contains("127"), "{error}");
        server.stop().await.unwrap();
    }

    /// A session over a command that does not end by its input's end, nor by being asked to.
    async fn over_a_stubborn_one(server: &TestServer, folder: &Path) -> Session {
        let script = format!(
            "trap \"\" HUP TERM; sleep 1000 & echo $! >{}; echo $$ >{}; {}; sleep 1000",
            folder.join("child").display(),
            folder.join("itself").display(),
            relay::line_to(server.port()).replace('\'', ""),
        );
        let connector = through(server, ProxyCommand::new(format!("sh -c '{script}'")));
        connector.connect().await.unwrap().authenticate(&credentials()).await.unwrap()
    }

    #[tokio::test]
    async fn nothing_that_it_started_outlives_the_connection() {
        let server = server().start().await.unwrap();
        for how in ["closed", "aborted", "dropped"] {
            let folder = tempfile::tempdir().unwrap();
            let session = over_a_stubborn_one(&server, folder.path()).await;
            match how {
                "closed" => drop(session.close(Duration::from_secs(20)).await),
                "aborted" => session.abort(),
                _ => drop(session),
            }
            for name in ["child", "itself"] {
                relay::is_gone(&folder.path().join(name)).await;
            }
        }
        server.stop().await.unwrap();
    }

    #[tokio::test]
    async fn one_that_never_stops_talking_is_ended_like_any_other() {
        let server = server().start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("itself");
        let script = format!(
            "trap \"\" HUP TERM; echo $$ >{}; yes >&2 & {}; exec sleep 1000",
            file.display(),
            relay::line_to(server.port()).replace('\'', ""),
        );
        let command = ProxyCommand::new(format!("sh -c '{script}'")).on_error_line(|_| {});
        let session = through(&server, command).connect().await.unwrap();
        let session = session.authenticate(&credentials()).await.unwrap();
        let closing = session.close(Duration::from_secs(20));
        tokio::time::timeout(Duration::from_secs(60), closing).await.expect("it does not end");
        relay::is_gone(&file).await;
        server.stop().await.unwrap();
    }

    #[tokio::test]
    async fn a_question_is_told_while_its_line_has_no_end() {
        let server = server().start().await.unwrap();
        let (lines, hook) = heard();
        let relay = relay::line_to(server.port());
        let line = format!("sh -c \"printf 'one\\ncode: ' >&2; exec \\$0 \\\"\\$@\\\"\" {relay}");
        let command = ProxyCommand::new(line).on_error_line(hook);
        let session = through(&server, command).connect().await.unwrap();
        let session = session.authenticate(&credentials()).await.unwrap();
        told(&lines, &["one", "code: "]).await;
        session.close(Duration::from_secs(20)).await;
        server.stop().await.unwrap();
    }

    #[tokio::test]
    async fn whoever_listens_may_block_and_the_connection_goes_on() {
        let server = server().start().await.unwrap();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (seen, saw) = std::sync::mpsc::channel();
        let (released, seen) = (Mutex::new(released), Mutex::new(seen));
        let hook = move |_: &str| {
            let in_time = released.lock().unwrap().recv_timeout(Duration::from_secs(60)).is_ok();
            seen.lock().unwrap().send(in_time).unwrap();
        };
        let relay = relay::line_to(server.port());
        let line = format!("sh -c \"echo one >&2; exec \\$0 \\\"\\$@\\\"\" {relay}");
        let session = through(&server, ProxyCommand::new(line).on_error_line(hook)).connect().await.unwrap();
        let session = session.authenticate(&credentials()).await.unwrap();
        let output = session.line("cat").stdin("through").output().await.unwrap();
        assert_eq!(output.stdout_text(), "through");
        release.send(()).unwrap();
        let in_time = tokio::task::spawn_blocking(move || saw.recv_timeout(Duration::from_secs(60)));
        assert_eq!(in_time.await.unwrap(), Ok(true));
        session.close(Duration::from_secs(20)).await;
        server.stop().await.unwrap();
    }

    #[tokio::test]
    async fn a_command_that_says_nothing_is_a_timeout_and_is_ended() {
        let server = server().start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("itself");
        let line = format!("sh -c 'echo $$ >{}; exec sleep 1000'", file.display());
        let options = TransportOptions::builder().connect_timeout(Duration::from_secs(3)).build().unwrap();
        let connector = through(&server, ProxyCommand::new(line)).transport(options);
        let error = connector.connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectTimeout);
        relay::is_gone(&file).await;
        server.stop().await.unwrap();
    }

    #[tokio::test]
    async fn a_command_that_ends_is_the_reason_of_the_end_above_it() {
        let server = server().start().await.unwrap();
        let relay = relay::line_to(server.port()).replace('\'', "");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("relay");
        // An asynchronous command has no standard input of its own accord.
        let script = format!(
            "exec 3<&0; {relay} <&3 & echo $! >{}; wait $!; echo \"the tunnel broke\" >&2; exit 7",
            file.display()
        );
        let command = ProxyCommand::new(format!("sh -c '{script}'")).on_error_line(|_| {});
        let session = through(&server, command).connect().await.unwrap();
        let session = session.authenticate(&credentials()).await.unwrap();
        let mut running = session.line("sleep 1000").spawn().await.unwrap();
        let number = std::fs::read_to_string(&file).unwrap();
        let killed = std::process::Command::new("kill").args(["-KILL", number.trim()]).status().unwrap();
        assert!(killed.success());
        let error = running.wait().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disconnected);
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("exit status: 7") && cause.contains("the tunnel broke"), "{cause}");
        drop((running, session));
        server_shows(&server, "no connection left", |record| record.connections_open() == 0).await;
        server.stop().await.unwrap();
    }
}
