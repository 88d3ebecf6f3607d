//! Commands: output, streams, environment, terminal, exit, quoting, limits.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use rustle_session::{EnvFallback, ErrorKind, Interruption, Terminal, Until};
use rustle_testserver::{Exit, Reply, Signal, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{close_and_check, login, server, server_shows};

#[tokio::test]
async fn output_has_status_streams_and_duration() {
    let server =
        server().command("both", Reply::stdout("out\n").and_stderr("err\n").exit(3)).start().await.unwrap();
    let session = login(&server).await;
    let output = session.output("both").await.unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(!output.status.success());
    assert_eq!(&output.stdout[..], b"out\n");
    assert_eq!(&output.stderr[..], b"err\n");
    assert_eq!(output.interruption, None);
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_signal_and_a_missing_exit_status_are_told_apart() {
    let server = server()
        .command("killed", Reply::new().signal(Signal::kill()))
        .command("silent", Reply::new().ends(Exit::Silent))
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    let killed = session.output("killed").await.unwrap().status;
    assert_eq!((killed.code(), killed.signal()), (None, Some("KILL")));
    let silent = session.output("silent").await.unwrap().status;
    assert_eq!((silent.code(), silent.signal()), (None, None));
    assert_eq!(silent.to_string(), "no exit status");
    close_and_check(session, server).await;
}

#[tokio::test]
async fn every_byte_passes_through_standard_input_and_output() {
    let server = server().start().await.unwrap();
    let session = login(&server).await;
    let bytes: Vec<u8> = (0..=255).cycle().take(3_000_001).collect();
    let output = session.output_of_cat(&bytes).await;
    assert_eq!(output.len(), bytes.len());
    assert!(output == bytes, "bytes were changed on the way");
    close_and_check(session, server).await;
}

trait Cat {
    async fn output_of_cat(&self, bytes: &[u8]) -> Vec<u8>;
}

impl Cat for rustle_session::Session {
    async fn output_of_cat(&self, bytes: &[u8]) -> Vec<u8> {
        let output = self.line("cat").stdin(Bytes::copy_from_slice(bytes)).output().await.unwrap();
        assert!(output.status.success(), "{}", output.status);
        output.stdout.to_vec()
    }
}

#[tokio::test]
async fn streams_are_read_and_written_while_the_command_runs() {
    let server = server().start().await.unwrap();
    let session = login(&server).await;
    let mut child = session.line("cat").spawn().await.unwrap();
    let mut stdin = child.take_stdin().unwrap();
    let mut stdout = child.take_stdout().unwrap();
    for round in 0..20u8 {
        stdin.write_all(&[round; 100]).await.unwrap();
        let mut back = [0; 100];
        stdout.read_exact(&mut back).await.unwrap();
        assert_eq!(back, [round; 100]);
    }
    stdin.shutdown().await.unwrap();
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
    assert!(child.wait().await.unwrap().success());
    drop((child, stdin, stdout));
    close_and_check(session, server).await;
}

#[tokio::test]
async fn without_standard_input_its_end_comes_with_the_command_and_only_once() {
    let server = server().start().await.unwrap();
    let session = login(&server).await;
    let mut child = session.line("cat").no_stdin().spawn().await.unwrap();
    assert!(child.take_stdin().is_none());
    assert!(child.wait().await.unwrap().success());
    drop(child);
    assert!(session.output("cat").await.unwrap().status.success());
    assert_eq!(session.line("cat").no_stdin().stdin("said").output().await.unwrap().stdout_text(), "said");
    assert_eq!(server.record().eofs(), 3);
    close_and_check(session, server).await;
}

#[tokio::test]
async fn arguments_are_quoted_for_the_remote_shell() {
    let server = server().command("cat 'it'\\''s' here", Reply::stdout("quoted")).start().await.unwrap();
    let session = login(&server).await;
    let output = session.command("cat").arg("it's").arg("here").output().await.unwrap();
    assert_eq!(output.stdout_text(), "quoted");
    let refused = session.command("cat").arg(b"nul\0byte").output().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Configuration);
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_refused_variable_goes_into_the_command_line_and_is_said() {
    let server = server()
        .accept_env(["LANG"])
        .command("show", Reply::stdout("plain"))
        .command("export RUST_LOG=info || exit; show", Reply::stdout("in line"))
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    let accepted = session.line("show").env("LANG", "C").output().await.unwrap();
    assert_eq!(accepted.stdout_text(), "plain");
    assert!(accepted.variables_in_command_line.is_empty());
    for _ in 0..2 {
        let output = session.line("show").env("LANG", "C").env("RUST_LOG", "info").output().await.unwrap();
        assert_eq!(output.stdout_text(), "in line");
        assert_eq!(output.variables_in_command_line, ["RUST_LOG"]);
    }
    let error =
        session.line("show").env("RUST_LOG", "x").env_fallback(EnvFallback::Fail).output().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RequestRefused);
    assert!(error.to_string().contains("RUST_LOG"), "{error}");
    let record = server.record();
    let (_, value) = &record.commands()[0].env()[0];
    assert_eq!(value, "C");
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_terminal_has_its_type_size_and_modes_and_can_be_resized() {
    let server = server().start().await.unwrap();
    let session = login(&server).await;
    let terminal = Terminal::new("xterm", 120, 40).mode(53, 0);
    let child = session.line("cat").terminal(terminal).spawn().await.unwrap();
    child.resize(80, 24).await.unwrap();
    server_shows(&server, "the new size", |record| record.window_changes().len() == 1).await;
    let record = server.record();
    let pty = record.commands()[0].pty().unwrap();
    assert_eq!(pty.term(), "xterm");
    assert!(pty.modes().contains(&(53, 0)), "{:?}", pty.modes());
    drop(child);
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_timeout_keeps_the_partial_output_and_says_what_became_of_the_process() {
    let server = server().command("slow", Reply::stdout("partial").never_ends()).start().await.unwrap();
    let session = login(&server).await;
    let output = session.line("slow").timeout(Duration::from_millis(200)).output().await.unwrap();
    assert_eq!(output.stdout_text(), "partial");
    assert!(matches!(output.interruption, Some(Interruption::Timeout(_))), "{:?}", output.interruption);
    assert!(!output.status.success());
    close_and_check(session, server).await;
}

#[tokio::test]
async fn until_exit_status_returns_although_the_channel_stays_open() {
    let server = server()
        .command_fn("daemonize", |mut call| async move {
            let _ = call.stdout().send("started\n").await;
            Exit::Code(0)
        })
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    let output = session.line("daemonize").until(Until::ExitStatus).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout_text(), "started\n");
    close_and_check(session, server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn until_exit_status_returns_all_that_came_before_it() {
    let server = server().command("quick", Reply::stdout("all of it\n").exit(3)).start().await.unwrap();
    let session = login(&server).await;
    for _ in 0..300 {
        let output = session.line("quick").until(Until::ExitStatus).output().await.unwrap();
        assert_eq!((output.status.code(), &*output.stdout_text()), (Some(3), "all of it\n"));
    }
    close_and_check(session, server).await;
}

#[tokio::test]
async fn until_exit_status_does_not_listen_for_ever_to_what_goes_on_writing() {
    let server = server()
        .command_fn("chatty", |mut call| async move {
            tokio::spawn(async move { while call.stdout().send("more\n").await.is_ok() {} });
            Exit::Code(0)
        })
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    let output = session.line("chatty").until(Until::ExitStatus).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    session.abort();
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_ends_no_process_for_the_output_that_comes_meanwhile() {
    let server =
        server().command("chatty", Reply::stdout(vec![b'x'; 500_000]).exit(7)).start().await.unwrap();
    let session = login(&server).await;
    for pause in 0..60 {
        let mut child = session.line("chatty").spawn().await.unwrap();
        tokio::time::sleep(Duration::from_micros(pause * 50)).await;
        assert_eq!(child.wait().await.unwrap().code(), Some(7));
    }
    close_and_check(session, server).await;
}

#[tokio::test]
async fn more_output_than_the_limit_is_an_error_and_ends_the_process() {
    let server = server().start().await.unwrap();
    let session = login(&server).await;
    let error = session.line("yes").output_limit(100_000).output().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overrun);
    assert!(error.hint().is_some());
    server_shows(&server, "yes ended", |record| record.processes_running() == 0).await;
    close_and_check(session, server).await;
}

#[tokio::test]
async fn waiting_without_reading_throws_the_output_away_and_lets_the_process_finish() {
    let server =
        server().command("chatty", Reply::stdout(vec![b'x'; 300_000]).exit(7)).start().await.unwrap();
    let session = login(&server).await;
    let mut child = session.line("chatty").spawn().await.unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(7));
    drop(child);
    close_and_check(session, server).await;
}

#[tokio::test]
async fn writing_to_a_process_that_is_gone_is_a_broken_pipe() {
    let server = server().command("gone", Reply::new().exit(0)).start().await.unwrap();
    let session = login(&server).await;
    let mut child = session.line("gone").spawn().await.unwrap();
    let mut stdin = child.take_stdin().unwrap();
    let written = async {
        loop {
            if let Err(error) = stdin.write_all(&[0; 32 * 1024]).await {
                return error;
            }
        }
    };
    let error = tokio::time::timeout(Duration::from_secs(60), written).await.unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    drop((child, stdin));
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_subsystem_speaks_over_the_childs_streams() {
    let server = server().sftp_temp_dir().start().await.unwrap();
    let session = login(&server).await;
    let mut child = session.subsystem("sftp").spawn().await.unwrap();
    // SSH_FXP_INIT, version 3.
    child.take_stdin().unwrap().write_all(&[0, 0, 0, 5, 1, 0, 0, 0, 3]).await.unwrap();
    let mut reply = [0; 9];
    child.take_stdout().unwrap().read_exact(&mut reply).await.unwrap();
    assert_eq!((reply[4], reply[8]), (2, 3), "SSH_FXP_VERSION 3");
    drop(child);
    let refused = session.subsystem("no-such").spawn().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::RequestRefused);
    assert!(!refused.is_outcome_unknown(), "{refused:?}");
    assert!(refused.to_string().contains("no-such"), "{refused}");
    close_and_check(session, server).await;
}

#[tokio::test]
async fn both_streams_at_once_arrive_whole() {
    const EACH: usize = 3_000_000;
    let server = server()
        .command_fn("flood", |mut call| async move {
            let (_, out, err, _) = call.streams();
            let (a, b) = (vec![b'o'; EACH], vec![b'e'; EACH]);
            let _ = tokio::join!(out.send(a), err.send(b));
            Exit::Code(0)
        })
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    let output = session.output("flood").await.unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len()), (EACH, EACH));
    assert!(output.stdout.iter().all(|&byte| byte == b'o') && output.stderr.iter().all(|&byte| byte == b'e'));
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_forward_carries_bytes_both_ways_and_half_closes() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let echo = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut all = Vec::new();
        socket.read_to_end(&mut all).await.unwrap();
        socket.write_all(&all).await.unwrap();
    });
    let server = server().direct_tcpip().start().await.unwrap();
    let session = login(&server).await;
    let mut stream = session.direct_tcpip("127.0.0.1", port).await.unwrap();
    let sent: Vec<u8> = (0..200_000u32).flat_map(u32::to_be_bytes).collect();
    stream.write_all(&sent).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.unwrap();
    assert!(back == sent);
    echo.await.unwrap();
    drop(stream);
    let unreachable = session.direct_tcpip("127.0.0.1", 1).await.unwrap_err();
    assert_eq!(unreachable.kind(), ErrorKind::ChannelTarget);
    assert!(unreachable.is_retryable());
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_forward_that_ends_its_data_is_not_closed_before_it_hangs_up() {
    let greets = Target::closure(async |mut stream| {
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    });
    let server = server().forward_target("greets", None, greets).start().await.unwrap();
    let session = login(&server).await;
    let mut stream = session.direct_tcpip("greets", 1).await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, b"hello");
    assert!(poll_fn(|cx| Poll::Ready(stream.poll_closed(cx).is_pending())).await, "it still listens");
    stream.shutdown().await.unwrap();
    let closed = poll_fn(|cx| stream.poll_closed(cx));
    tokio::time::timeout(Duration::from_secs(60), closed).await.expect("it hangs up");
    drop(stream);
    close_and_check(session, server).await;
}
