//! What the far side does wrong: each is a clear error with its code, none a panic, none a hang.

use std::time::{Duration, Instant};

use rustle_session::{
    BufferLimits, CloseReason, Connector, Error, ErrorKind, PinnedHostKey, Target, Terminal, TransportOptions,
};
use rustle_testserver::{Cut, Exit, Fault, Network, Phase, RawScript, RawServer, Reply, RequestKind};
use tokio::io::AsyncReadExt;

use crate::support::{
    close_and_check, connector, credentials, drop_when_struck, login, login_in_memory, login_with, server,
    server_shows,
};

/// What a script whose end is to be seen has for it, on however busy a machine.
const PATIENT: Duration = Duration::from_secs(30);

/// What connecting to this script ends in; bounded, whatever the script does.
async fn connect_to(script: RawScript, connect_timeout: Duration) -> Error {
    let raw = RawServer::start(script).await.unwrap();
    let target = Target::parse("alice@127.0.0.1").unwrap().with_port(raw.addr().port()).unwrap();
    let options = TransportOptions::builder().connect_timeout(connect_timeout).build().unwrap();
    let any_key = PinnedHostKey::new("SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap();
    let connecting = async {
        Connector::new(target).transport(options).host_trust(any_key).connect().await.map(drop).unwrap_err()
    };
    let error = tokio::time::timeout(2 * PATIENT, connecting).await.expect("no hang");
    assert!(error.hint().is_some(), "no hint: {error}");
    assert!(error.target().is_some(), "no target: {error}");
    raw.stop().await.unwrap();
    error
}

#[tokio::test]
async fn a_server_that_is_none_is_named_with_what_it_said() {
    let error = connect_to(RawScript::garbage_banner(), PATIENT).await;
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("HTTP/1.1 400 Bad Request"), "{error}");
}

#[tokio::test]
async fn a_banner_without_end_is_not_read_for_ever() {
    for script in [RawScript::endless_banner(), RawScript::endless_line()] {
        let error = connect_to(script, PATIENT).await;
        assert!(
            matches!(error.kind(), ErrorKind::Protocol | ErrorKind::ConnectTimeout | ErrorKind::Disconnected),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_turns_connections_away_is_busy_and_worth_another_try() {
    let error = connect_to(RawScript::max_startups(), PATIENT).await;
    assert_eq!(error.kind(), ErrorKind::ServerBusy);
    assert!(error.is_retryable());
    assert!(error.hint().unwrap().contains("MaxStartups"));
}

#[tokio::test]
async fn an_ssh_1_server_is_refused_in_words() {
    let error = connect_to(RawScript::ssh1(), PATIENT).await;
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("SSH-1.5-OpenSSH_3.4"), "{error}");
}

#[tokio::test]
async fn a_packet_of_four_gibibytes_is_refused_and_not_allocated() {
    let error = connect_to(RawScript::huge_packet(), PATIENT).await;
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
}

#[tokio::test]
async fn silence_ends_at_the_connect_timeout() {
    for script in [RawScript::silent(), RawScript::silent_after_banner()] {
        let start = Instant::now();
        let error = connect_to(script, Duration::from_millis(800)).await;
        assert_eq!(error.kind(), ErrorKind::ConnectTimeout, "{error}");
        assert!(error.is_retryable());
        // No default is so short.
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn a_server_that_closes_at_once_is_worth_another_try() {
    let error = connect_to(RawScript::new(), PATIENT).await;
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert!(error.is_retryable());
}

#[tokio::test]
async fn nothing_is_left_of_a_handshake_that_was_dropped() {
    let server = server().fault(Fault::stall(Phase::KeyExchange)).start().await.unwrap();
    drop_when_struck(&server, connector(&server).connect()).await;
    // Only a server that reads again can see that the client went away.
    server.resume();
    server_shows(&server, "no connection left", |record| {
        record.connections_accepted() == 1 && record.connections_open() == 0
    })
    .await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_connection_lost_while_logging_in_is_no_refusal() {
    for cut in [Cut::Fin, Cut::Rst] {
        let server = server().fault(Fault::cut(Phase::Authentication, cut)).start().await.unwrap();
        let rejected =
            connector(&server).connect().await.unwrap().authenticate(&credentials()).await.unwrap_err();
        assert_eq!(rejected.error().kind(), ErrorKind::Disconnected, "{rejected:?}");
        assert!(rejected.error().is_retryable());
        assert!(rejected.into_unauthenticated().is_none());
        server.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_never_answered_ends_at_the_connect_timeout() {
    let server = server().fault(Fault::stall(Phase::Authentication)).start().await.unwrap();
    let options = TransportOptions::builder().connect_timeout(Duration::from_millis(700)).build().unwrap();
    let connector = connector(&server).transport(options);
    let unauthenticated = connector.connect_over(server.duplex()).await.unwrap();
    let start = tokio::time::Instant::now();
    let rejected = unauthenticated.authenticate(&credentials()).await.unwrap_err();
    assert_eq!(rejected.error().kind(), ErrorKind::ConnectTimeout, "{rejected:?}");
    assert!(start.elapsed() <= Duration::from_millis(700), "{:?}", start.elapsed());
    drop(rejected);
    server.resume();
    server_shows(&server, "no connection left", |record| record.connections_open() == 0).await;
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_vanished_server_is_noticed_by_its_silence() {
    let server = server().start().await.unwrap();
    let options =
        TransportOptions::builder().keepalive_interval(Some(Duration::from_millis(100))).build().unwrap();
    let session = login_in_memory(&server, options).await;
    server.stall();
    let reason = tokio::time::timeout(Duration::from_secs(5), session.closed()).await.expect("noticed");
    assert_eq!(reason, CloseReason::KeepaliveTimeout);
    server.resume();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_stops_reading_is_noticed_while_a_write_is_blocked() {
    // A window so large that the socket fills first.
    let server = server().window(1 << 30).start().await.unwrap();
    let options = TransportOptions::builder()
        .keepalive_interval(None)
        .write_deadline(Duration::from_millis(500))
        .build()
        .unwrap();
    let session = login_with(&server, options).await;
    let mut child = session.line("sleep 1000").spawn().await.unwrap();
    let mut stdin = child.take_stdin().unwrap();
    server.stall();
    let writing = async {
        loop {
            if let Err(error) = stdin.write_bytes(vec![0; 1 << 20].into()).await {
                return error;
            }
        }
    };
    let error = tokio::time::timeout(Duration::from_secs(60), writing).await.expect("noticed");
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    let reason = session.closed().await;
    assert!(matches!(reason, CloseReason::WriteDeadline(_)), "{reason:?}");
    drop((child, stdin));
    server.resume();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_became_of_a_command_is_unknown_once_it_was_asked_for_and_not_before() {
    let server = server()
        .sftp(rustle_testserver::Sftp::memory())
        .command("hangs", Reply::stdout("partial").never_ends())
        .fault(Fault::refuse_request(RequestKind::Exec).nth(1))
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    let refused = session.output("hangs").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::RequestRefused);
    assert!(!refused.is_outcome_unknown(), "{refused:?}");
    server.add_fault(Fault::refuse_request(RequestKind::Pty).once());
    let no_terminal =
        session.line("hangs").terminal(Terminal::new("xterm", 80, 24)).spawn().await.unwrap_err();
    assert_eq!(no_terminal.kind(), ErrorKind::RequestRefused);
    assert!(no_terminal.is_outcome_unknown(), "the command was asked for behind it: {no_terminal:?}");
    server_shows(&server, "it ran", |record| record.commands().len() == 1).await;
    server_shows(&server, "no process left", |record| record.processes_running() == 0).await;
    let mut running = session.line("hangs").spawn().await.unwrap();
    let mut subsystem = session.subsystem("sftp").spawn().await.unwrap();
    let collecting = session.output("hangs");
    let cutting = async {
        server_shows(&server, "all three", |record| record.commands().len() == 1 + 3).await;
        server.cut_all(Cut::Rst);
    };
    let (collected, ()) = tokio::join!(collecting, cutting);
    for error in [running.wait().await.unwrap_err(), collected.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Disconnected);
        assert!(error.is_outcome_unknown() && !error.is_retryable(), "{error:?}");
        let hint = error.hint().unwrap();
        assert!(hint.starts_with("it may have run") && hint.contains("; then connect again"), "{hint}");
    }
    // A subsystem has done nothing by itself.
    let not_begun = session.output("true").await.unwrap_err();
    for error in [subsystem.wait().await.unwrap_err(), not_begun, session.lost().await] {
        assert_eq!(error.kind(), ErrorKind::Disconnected);
        assert!(!error.is_outcome_unknown() && error.is_retryable(), "{error:?}");
    }
    drop((running, subsystem, session));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_reader_that_sleeps_loses_nothing_and_stops_nobody() {
    let server = server()
        .command_fn("numbers", |mut call| async move {
            for number in 0..6_000_000u32 / 1000 {
                let block: Vec<u8> =
                    (number * 1000..(number + 1) * 1000).flat_map(u32::to_be_bytes).collect();
                if call.stdout().send(block).await.is_err() {
                    break;
                }
            }
            Exit::Code(0)
        })
        .start()
        .await
        .unwrap();
    // 24 MB with 1 MiB of memory: most of it goes through the temporary file.
    let buffers = BufferLimits::default().memory(1 << 20);
    let session = login_with(&server, TransportOptions::builder().buffers(buffers).build().unwrap()).await;
    let mut child = session.line("numbers").spawn().await.unwrap();
    let mut stdout = child.take_stdout().unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(1) {
        let others = tokio::time::timeout(Duration::from_secs(30), session.output("true")).await;
        assert!(others.expect("the others go on").unwrap().status.success());
    }
    let mut all = Vec::new();
    stdout.read_to_end(&mut all).await.unwrap();
    assert_eq!(all.len(), 24_000_000);
    for (at, four) in all.chunks_exact(4).enumerate() {
        assert_eq!(u32::from_be_bytes(four.try_into().unwrap()) as usize, at);
    }
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    let stalls = session.stats().stalls;
    assert!(stalls.spills >= 1 && stalls.overruns == 0, "{stalls:?}");
    drop((child, stdout));
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_reader_that_never_comes_back_ends_by_name_and_the_others_go_on() {
    let server = server().start().await.unwrap();
    let buffers = BufferLimits::default().memory(256 * 1024).disk(1 << 20).pause(Duration::from_millis(300));
    let session = login_with(&server, TransportOptions::builder().buffers(buffers).build().unwrap()).await;
    let mut child = session.line("yes").spawn().await.unwrap();
    let mut stdout = child.take_stdout().unwrap();
    let error = tokio::time::timeout(Duration::from_secs(60), child.wait()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overrun);
    assert!(error.hint().unwrap().contains("BufferLimits"));
    assert!(session.output("true").await.unwrap().status.success());
    // Nothing is kept for those who have it, and the server is told.
    let mut kept = Vec::new();
    let error = stdout.read_to_end(&mut kept).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
    assert!(kept.is_empty(), "{}", kept.len());
    server_shows(&server, "yes ended", |record| {
        record.processes_running() == 0 && record.channels_open() == 0
    })
    .await;
    assert_eq!(child.wait().await.unwrap_err().kind(), ErrorKind::Overrun, "again");
    drop((child, stdout));
    close_and_check(session, server).await;
}

#[tokio::test]
async fn new_keys_by_us_in_the_middle_of_eight_full_windows_lose_nothing() {
    eight_downloads(server(), true).await;
}

#[tokio::test]
async fn new_keys_by_the_server_in_the_middle_of_eight_full_windows_lose_nothing() {
    eight_downloads(server().rekey_after(10_000_000), false).await;
}

/// Eight downloads that each keep a full window in flight at 100 ms, while keys are exchanged.
async fn eight_downloads(builder: rustle_testserver::Builder, ours: bool) {
    const EACH: usize = 16_000_000;
    let server = builder
        .network(Network::new().round_trip(Duration::from_millis(100)))
        .command_fn("flood", |mut call| async move {
            let block = vec![b'x'; 32 * 1024];
            let mut left = EACH;
            while left > 0 {
                let part = left.min(block.len());
                if call.stdout().send(block[..part].to_vec()).await.is_err() {
                    break;
                }
                left -= part;
            }
            Exit::Code(0)
        })
        .start()
        .await
        .unwrap();
    // 2 MiB each, the smallest window there is: the eight together exceed what the base takes while it waits.
    let options = TransportOptions::builder().window(2 << 20).build().unwrap();
    let session = login_with(&server, options).await;
    let mut downloads = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let session = session.clone();
        downloads.spawn(async move { session.output("flood").await.unwrap().stdout.len() });
    }
    tokio::time::sleep(Duration::from_millis(350)).await;
    if ours {
        session.rekey().await.unwrap();
        session.rekey().await.unwrap();
    }
    let sizes = tokio::time::timeout(Duration::from_secs(120), downloads.join_all()).await.expect("no hang");
    assert_eq!(sizes, [EACH; 8]);
    assert!(session.stats().rekeys >= 2, "{:?}", session.stats());
    assert!(session.is_open());
    close_and_check(session, server).await;
}

#[tokio::test]
async fn bytes_that_are_not_utf8_reach_a_person_and_a_program_alike() {
    let server = server()
        .command_fn("bytes", |mut call| async move {
            let _ = call.stdout().send(&b"caf\xe9\n"[..]).await;
            Exit::Code(0)
        })
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    let output = session.output("bytes").await.unwrap();
    assert_eq!(&output.stdout[..], b"caf\xe9\n");
    assert_eq!(output.stdout_text(), "caf\u{fffd}\n");
    close_and_check(session, server).await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_trickles_delays_the_others_by_its_pause_and_no_more() {
    let server = server().start().await.unwrap();
    let pause = Duration::from_millis(400);
    let buffers = BufferLimits::default().memory(256 * 1024).disk(1 << 20).pause(pause);
    let options = TransportOptions::builder().buffers(buffers).build().unwrap();
    let session = login_in_memory(&server, options).await;
    let mut child = session.line("yes").spawn().await.unwrap();
    let mut stdout = child.take_stdout().unwrap();
    let trickle = async {
        let mut some = [0; 1000];
        while stdout.read_exact(&mut some).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Its end is no word about the others.
        std::future::pending().await
    };
    let others = async {
        let mut slowest = Duration::ZERO;
        loop {
            let asked = tokio::time::Instant::now();
            assert!(session.output("true").await.unwrap().status.success());
            slowest = slowest.max(asked.elapsed());
            if server.record().processes_running() == 0 {
                return slowest;
            }
        }
    };
    let slowest = tokio::select! {
        () = trickle => unreachable!("it waits for ever"),
        slowest = others => slowest,
        () = tokio::time::sleep(Duration::from_secs(20)) => panic!("nobody was ended"),
    };
    assert!(slowest < pause * 4, "others waited {slowest:?}");
    assert_eq!(child.wait().await.unwrap_err().kind(), ErrorKind::Overrun);
    drop((child, stdout));
    close_and_check(session, server).await;
}
