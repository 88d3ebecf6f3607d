//! Ending a process on a real server, by each way a caller has: soon nothing of it is left.

use std::time::{Duration, Instant};

use rustle_session::{Ended, Interruption, Reporting, Session};
use rustle_tests::processes::{assert_none_left, with_text};
use rustle_tests::{KeyFile, KeyKind, Scratch, Server, interop, no_credentials, processes, unique_number};

/// Until a timeout strikes, sshd has to have started the shell, and that to have reported and written.
const SHELL_RUNS: Duration = Duration::from_secs(3);

/// The lines of shell that are ended, and what each is.
fn lines(marker: &str) -> [(&'static str, String); 3] {
    [
        ("a process", format!("sleep {marker}")),
        ("a process with children", format!("sleep {marker} & sleep {marker} & sleep {marker}; true")),
        ("one that ignores SIGTERM", format!("trap '' TERM; sleep {marker}; sleep {marker}; true")),
    ]
}

#[test]
fn a_timeout_ends_the_process_and_keeps_what_it_wrote() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let marker = marker();
        for (what, line) in lines(&marker) {
            let command = session.line(format!("echo partial; echo noise >&2; {line}"));
            let output = command.timeout(SHELL_RUNS).output().await.unwrap();
            assert_eq!(
                (&output.stdout[..], &output.stderr[..]),
                (&b"partial\n"[..], &b"noise\n"[..]),
                "{what}"
            );
            assert_eq!(output.interruption, Some(Interruption::Timeout(Ended::Confirmed)), "{what}");
            assert!(!output.status.success(), "{what}: {output:?}");
            assert_none_left(&marker).await;
        }
        assert_usable(&session).await;
    });
}

#[test]
fn ending_says_that_the_process_is_gone() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let marker = marker();
        for (what, line) in lines(&marker) {
            let child = session.line(line).spawn().await.unwrap();
            assert_eq!(child.end().await, Ended::Confirmed, "{what}");
            assert_none_left(&marker).await;
        }
        assert_usable(&session).await;
    });
}

#[test]
fn a_dropped_child_is_ended() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let marker = marker();
        for (_, line) in lines(&marker) {
            let child = session.line(line).spawn().await.unwrap();
            await_some(&marker).await;
            drop(child);
            assert_none_left(&marker).await;
        }
        assert_usable(&session).await;
    });
}

#[test]
fn children_that_outlive_their_shell_are_ended_by_the_group_it_reported() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let marker = marker();
        // SIGTERM ends the shell, after which sshd takes no signals for what it left.
        let line = format!("sh -c 'trap \"\" TERM; sleep {marker}; true' & wait");
        let command = session.line(line).reporting(Reporting::ProcessGroup);
        let child = command.clone().spawn().await.unwrap();
        await_some(&marker).await;
        assert_eq!(child.end().await, Ended::Confirmed);
        assert_none_left(&marker).await;

        let child = command.clone().spawn().await.unwrap();
        await_some(&marker).await;
        drop(child);
        assert_none_left(&marker).await;

        let output = command.timeout(SHELL_RUNS).output().await.unwrap();
        assert_eq!(output.interruption, Some(Interruption::Timeout(Ended::Confirmed)));
        assert_none_left(&marker).await;
    });
}

#[test]
fn children_that_outlive_their_shell_are_not_said_to_have_ended_without_the_report() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let marker = marker();
        let line = format!("sh -c 'trap \"\" TERM; echo $$; exec sleep {marker}' & wait");
        let mut child = session.line(line).reporting(Reporting::Nothing).spawn().await.unwrap();
        let id = child.take_stdout().unwrap().chunk().await.unwrap().unwrap();
        await_some(&marker).await;
        assert_eq!(child.end().await, Ended::Signalled);
        let id = String::from_utf8_lossy(&id);
        assert!(session.output(format!("kill -s KILL {}", id.trim())).await.unwrap().status.success());
        assert_none_left(&marker).await;
    });
}

#[test]
fn a_dropped_future_of_output_ends_its_process() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let marker = marker();
        let running = session.output(format!("sleep {marker}"));
        tokio::select! {
            output = running => panic!("it ended by itself: {output:?}"),
            () = await_some(&marker) => {}
        }
        assert_none_left(&marker).await;
        assert_usable(&session).await;
    });
}

#[test]
fn a_process_whose_reader_went_away_is_ended_as_head_would() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let marker = marker();
        let mut child = session.line(format!("yes {marker}")).spawn().await.unwrap();
        let mut output = child.take_stdout().unwrap();
        let first = output.chunk().await.unwrap().unwrap();
        assert!(first.starts_with(marker.as_bytes()));
        drop(output);
        let start = Instant::now();
        let status = child.wait().await.unwrap();
        // `yes` never ends by itself.
        assert!(
            !status.success() && start.elapsed() < Duration::from_secs(15),
            "{status}, {:?}",
            start.elapsed()
        );
        assert_none_left(&marker).await;
        assert_usable(&session).await;
    });
}

#[test]
fn closing_the_session_ends_what_was_dropped_on_it() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let marker = marker();
        for (_, line) in lines(&marker) {
            drop(session.line(line).spawn().await.unwrap());
        }
        session.close(Duration::from_secs(5)).await;
        assert!(!session.is_open());
        assert_none_left(&marker).await;
        server.sshd().wait_until_idle().await;
    });
}

#[test]
fn dropping_all_that_is_held_ends_the_process_and_the_connection() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let marker = marker();
        let session = server.session().await;
        let child = session.line(format!("sleep {marker}")).spawn().await.unwrap();
        await_some(&marker).await;
        drop(session);
        drop(child);
        assert_none_left(&marker).await;
        server.sshd().wait_until_idle().await;
    });
}

#[test]
fn a_terminal_that_is_dropped_hangs_up_on_its_processes() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let marker = marker();
        let terminal = rustle_session::Terminal::new("xterm", 80, 24);
        let child = session.line(format!("sleep {marker}; true")).terminal(terminal).spawn().await.unwrap();
        await_some(&marker).await;
        drop(child);
        assert_none_left(&marker).await;
        assert_usable(&session).await;
    });
}

#[test]
fn a_forced_command_that_hides_the_process_is_not_claimed_to_have_ended() {
    interop(|interop| async move {
        let folder = Scratch::new();
        let key = KeyFile::generate(&folder, "forced", KeyKind::Ed25519);
        let marker = marker();
        let server = Server::start(&interop);
        // Whatever is asked for, this runs: no report of a process group, and no `kill`.
        server.sshd().authorize(&format!("command=\"exec sleep {marker}\" {}", key.public_line()));
        let connected = server.connector().connect().await.unwrap();
        let session = connected.authenticate(&no_credentials().key_file(key.path())).await.unwrap();
        let child = session.line("anything").spawn().await.unwrap();
        await_some(&marker).await;
        let ended = child.end().await;
        let alive = !with_text(&marker).is_empty();
        assert!(alive, "OpenSSH takes no signals for forced commands; if it does now, expect Confirmed");
        assert_eq!(ended, Ended::Signalled, "it is alive, and nothing was seen of its end");
        session.abort();
        with_text(&marker).into_iter().for_each(processes::kill);
    });
}

#[test]
fn a_forced_command_that_runs_what_was_asked_for_is_ended() {
    interop(|interop| async move {
        let folder = Scratch::new();
        let key = KeyFile::generate(&folder, "forced", KeyKind::Ed25519);
        let server = Server::start(&interop);
        let line = "command=\"exec sh -c \\\"$SSH_ORIGINAL_COMMAND\\\"\"";
        server.sshd().authorize(&format!("{line} {}", key.public_line()));
        let connected = server.connector().connect().await.unwrap();
        let session = connected.authenticate(&no_credentials().key_file(key.path())).await.unwrap();
        let marker = marker();
        let child = session
            .line(format!("sleep {marker}; true"))
            .reporting(Reporting::ProcessGroup)
            .spawn()
            .await
            .unwrap();
        await_some(&marker).await;
        assert_eq!(child.end().await, Ended::Confirmed);
        assert_none_left(&marker).await;
    });
}

/// A number of seconds that nothing else on this machine sleeps.
fn marker() -> String {
    format!("1000.{}", unique_number())
}

async fn await_some(marker: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while with_text(&format!("sleep {marker}")).is_empty() {
        assert!(Instant::now() < deadline, "nothing runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Its shell counts too, and may be ahead of it.
    tokio::time::sleep(Duration::from_millis(20)).await;
}

async fn assert_usable(session: &Session) {
    let output = session.output("echo still here").await.unwrap();
    assert_eq!(output.stdout, "still here\n");
}
