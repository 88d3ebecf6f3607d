//! Whatever is dropped ends its process and closes its channel; nothing is left on the server.

use std::future::poll_fn;
use std::time::Duration;

#[cfg(unix)]
use rustle_session::BufferLimits;
use rustle_session::{Ended, ErrorKind, Interruption, Reporting, Terminal, TransportOptions, Until};
use rustle_testserver::{Exit, Fault, Network, Phase, Reply, RequestKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{close_and_check, drop_when_struck, login, login_in_memory, server, server_shows};
#[cfg(unix)]
use crate::support::{in_slow_motion, login_with};

#[tokio::test]
async fn a_dropped_child_is_ended_and_its_channel_closed() {
    let server = server().start().await.unwrap();
    let session = login(&server).await;
    let child = session.line("sleep 1000").spawn().await.unwrap();
    server_shows(&server, "a sleep", |record| record.processes_running() == 1).await;
    drop(child);
    server_shows(&server, "no process and no channel", |record| {
        record.processes_running() == 0 && record.channels_open() == 0
    })
    .await;
    close_and_check(session, server).await;
}

#[tokio::test]
async fn dropping_standard_output_ends_a_process_that_goes_on_writing() {
    let server = server().start().await.unwrap();
    let session = login(&server).await;
    let mut child = session.line("yes").spawn().await.unwrap();
    let mut stdout = child.take_stdout().unwrap();
    let mut first = [0; 2];
    stdout.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"y\n");
    drop(stdout);
    server_shows(&server, "yes ended", |record| record.processes_running() == 0).await;
    drop(child);
    close_and_check(session, server).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_ended_by_hand_is_confirmed_by_the_server() {
    let server = server().start().await.unwrap();
    let session = login_in_memory(&server, TransportOptions::default()).await;
    let child = session.line("sleep 1000").spawn().await.unwrap();
    assert_eq!(child.end().await, Ended::Confirmed);
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_process_that_no_signal_ends_is_not_said_to_have_ended() {
    let server = server()
        .command_fn("stubborn", |mut call| async move {
            loop {
                // Takes every signal and goes on, until the channel is gone.
                let _ = call.signal().await;
            }
        })
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    let child = session.line("stubborn").spawn().await.unwrap();
    assert_eq!(child.end().await, Ended::Signalled);
    let output = session.line("stubborn").timeout(Duration::from_millis(50)).output().await.unwrap();
    assert_eq!(output.interruption, Some(Interruption::Timeout(Ended::Signalled)));
    session.abort();
    server_shows(&server, "no connection left", |record| record.connections_open() == 0).await;
    server.stop().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_reported_process_group_is_killed_where_signals_are_ignored() {
    let server = server().shell().start().await.unwrap();
    let session = login(&server).await;
    // The shell's child ignores TERM, so the request for a signal does nothing.
    let mut child = session
        .line("trap '' TERM; echo up; sleep 1000 & sleep 1000")
        .reporting(Reporting::ProcessGroup)
        .spawn()
        .await
        .unwrap();
    let mut output = child.take_stdout().unwrap();
    assert_eq!(output.chunk().await.unwrap().unwrap(), "up\n");
    assert_eq!(server.record().processes_running(), 1);
    assert_eq!(in_slow_motion(child.end()).await, Ended::Confirmed);
    drop(output);
    close_and_check(session, server).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_reported_process_group_is_killed_whoever_has_its_standard_error() {
    let server = server().shell().start().await.unwrap();
    let session = login(&server).await;
    let command = session.line("trap '' TERM; echo noise >&2; echo up; sleep 1000 & sleep 1000");
    let mut child = command.reporting(Reporting::ProcessGroup).spawn().await.unwrap();
    // Taken, and not read until the process has ended.
    let mut errors = child.take_stderr().unwrap();
    let mut output = child.take_stdout().unwrap();
    assert_eq!(output.chunk().await.unwrap().unwrap(), "up\n");
    assert_eq!(in_slow_motion(child.end()).await, Ended::Confirmed);
    let mut read = String::new();
    errors.read_to_string(&mut read).await.unwrap();
    assert_eq!(read, "noise\n");
    drop((errors, output));
    close_and_check(session, server).await;
}

#[tokio::test(start_paused = true)]
async fn a_kill_that_is_given_up_leaves_no_channel() {
    // It is given up after 5 s: its channel is opened later, or what it asks for there is never answered.
    let late = Fault::withhold_channel_open().nth(2).for_time(Duration::from_secs(10));
    for fault in [late, Fault::withhold_request().nth(2)] {
        let server = server()
            .command_fn("printf 'rustle:*stubborn", |mut call| async move {
                let line = String::from_utf8_lossy(call.command()).into_owned();
                let mark = line.split(['\'', ' ']).find(|word| word.starts_with("rustle:")).unwrap();
                call.stderr().send(format!("{mark} 4711\n")).await.unwrap();
                std::future::pending::<Exit>().await
            })
            .command_matching("sh -c 'kill -s * -- -4711'", Reply::new())
            .fault(fault)
            .start()
            .await
            .unwrap();
        let session = login_in_memory(&server, TransportOptions::default()).await;
        let child = session.line("stubborn").reporting(Reporting::ProcessGroup).spawn().await.unwrap();
        assert_eq!(child.end().await, Ended::Signalled);
        server_shows(&server, "no channel left", |record| record.channels_open() == 0).await;
        // Its own, and one for each of two signals, by hand and then in the background.
        assert_eq!(server.record().channels_opened_total(), 5);
        close_and_check(session, server).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn errors_that_nobody_reads_are_thrown_away_and_the_report_among_them_is_found() {
    let server = server().shell().start().await.unwrap();
    let buffers = BufferLimits::default().memory(512 * 1024).disk(1 << 20).pause(Duration::from_millis(300));
    let session = login_with(&server, TransportOptions::builder().buffers(buffers).build().unwrap()).await;
    let noisy = |line: &str| {
        let line = format!("head -c 8000000 /dev/zero >&2; {line}");
        session.line(line).reporting(Reporting::ProcessGroup)
    };
    let mut child = noisy("exit 3").spawn().await.unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(3), "never taken");

    let mut child = noisy("exit 4").spawn().await.unwrap();
    drop(child.take_stderr());
    assert_eq!(child.wait().await.unwrap().code(), Some(4), "taken and dropped");

    let mut child = noisy("trap '' TERM; echo up; sleep 1000 & sleep 1000").spawn().await.unwrap();
    drop(child.take_stderr());
    let mut output = child.take_stdout().unwrap();
    assert_eq!(output.chunk().await.unwrap().unwrap(), "up\n");
    assert_eq!(in_slow_motion(child.end()).await, Ended::Confirmed);
    drop(output);
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_channel_closed_here_is_no_end_of_the_process() {
    let server = server()
        .command_fn("stubborn", |mut call| async move {
            while call.stdout().send("more\n").await.is_ok() {}
            Exit::Code(0)
        })
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    let mut child = session.line("stubborn").spawn().await.unwrap();
    drop(child.take_stdout());
    let error = child.wait().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ChannelClosed, "{error}");
    drop(child);
    close_and_check(session, server).await;
}

#[cfg(unix)]
#[tokio::test]
async fn the_report_of_the_process_group_is_not_seen_in_standard_error() {
    let server = server().shell().start().await.unwrap();
    let session = login(&server).await;
    let output = session
        .line("echo noise >&2; echo out; exit 4")
        .reporting(Reporting::ProcessGroup)
        .output()
        .await
        .unwrap();
    assert_eq!(output.stderr_text(), "noise\n");
    assert_eq!(output.stdout_text(), "out\n");
    assert_eq!(output.status.code(), Some(4));
    close_and_check(session, server).await;
}

#[tokio::test(start_paused = true)]
async fn dropped_channels_free_their_slots_for_the_next() {
    let server = server().max_sessions(10).start().await.unwrap();
    let session = login_in_memory(&server, TransportOptions::default()).await;
    for _ in 0..200 {
        drop(session.line("sleep 1000").spawn().await.unwrap());
    }
    let next = tokio::time::timeout(Duration::from_secs(1), session.output("true")).await;
    assert!(next.expect("within a second").unwrap().status.success());
    close_and_check(session, server).await;
}

#[tokio::test(start_paused = true)]
async fn channels_that_the_server_does_not_close_hold_up_no_other() {
    let server = server().fault(Fault::omit_close().times(4)).start().await.unwrap();
    let session = login_in_memory(&server, TransportOptions::default()).await;
    for _ in 0..4 {
        let mut child = session.line("true").until(Until::ExitStatus).spawn().await.unwrap();
        assert!(child.wait().await.unwrap().success());
    }
    let asked = tokio::time::Instant::now();
    assert!(session.output("true").await.unwrap().status.success());
    assert!(asked.elapsed() < Duration::from_millis(100), "{:?}", asked.elapsed());
    close_and_check(session, server).await;
}

#[tokio::test(start_paused = true)]
async fn an_open_that_was_dropped_is_closed_when_the_server_confirms_it() {
    let late = Fault::withhold_channel_open().nth(1).for_time(Duration::from_secs(1));
    let server = server().max_sessions(1).fault(late).start().await.unwrap();
    let session = login_in_memory(&server, TransportOptions::default()).await;
    drop_when_struck(&server, session.line("sleep 1000").spawn()).await;
    server_shows(&server, "the late channel", |record| record.channels_opened_total() == 1).await;
    assert!(session.output("true").await.unwrap().status.success(), "the only slot is free again");
    close_and_check(session, server).await;
}

#[tokio::test(start_paused = true)]
async fn a_place_that_never_comes_free_ends_in_the_server_s_refusal() {
    let server = server().max_sessions(1).fault(Fault::withhold_channel_open().nth(2)).start().await.unwrap();
    let session = login_in_memory(&server, TransportOptions::default()).await;
    let child = session.line("sleep 1000").spawn().await.unwrap();
    // The server never says what became of this one, so a place may come free any time.
    drop_when_struck(&server, session.line("sleep 1000").spawn()).await;
    let error = session.output("true").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ChannelLimit, "{error}");
    server.resume();
    drop(child);
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_refused_forward_is_refused_at_once_whatever_is_still_ending() {
    let server = server()
        .max_sessions(1)
        .direct_tcpip()
        .fault(Fault::withhold_channel_open().nth(1))
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    drop_when_struck(&server, session.line("sleep 1000").spawn()).await;
    // The place of that session comes free some day; a forward has no use for it.
    let error = session.direct_tcpip("127.0.0.1", 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ChannelTarget);
    server.resume();
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_session_over_the_limit_says_so() {
    let server = server().max_sessions(1).start().await.unwrap();
    let session = login(&server).await;
    let child = session.line("sleep 1000").spawn().await.unwrap();
    let error = session.output("true").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ChannelLimit);
    assert!(error.is_retryable());
    assert!(error.hint().unwrap().contains("MaxSessions"));
    drop(child);
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_refused_channel_carries_the_servers_own_words() {
    let server =
        server().fault(Fault::refuse_channel_with(1, "not on my watch").once()).start().await.unwrap();
    let session = login(&server).await;
    let prohibited = session.output("true").await.unwrap_err();
    assert_eq!(prohibited.kind(), ErrorKind::ChannelProhibited);
    assert!(prohibited.to_string().contains("not on my watch"), "{prohibited}");
    server.add_fault(Fault::refuse_channel_with(4, "out of memory").once());
    let shortage = session.output("true").await.unwrap_err();
    assert_eq!(shortage.kind(), ErrorKind::ChannelShortage);
    assert!(shortage.to_string().contains("out of memory"), "{shortage}");
    close_and_check(session, server).await;
}

#[tokio::test]
async fn dropping_the_last_session_ends_its_processes_and_the_connection() {
    let server = server().start().await.unwrap();
    let session = login(&server).await;
    let child = session.line("sleep 1000").spawn().await.unwrap();
    drop((child, session));
    server_shows(&server, "nothing left", |record| {
        record.connections_open() == 0 && record.processes_running() == 0
    })
    .await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_child_keeps_its_connection_when_the_session_is_dropped() {
    let server = server()
        .command("late", Reply::stdout("done").after(Duration::from_millis(200)).exit(0))
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    let mut child = session.line("late").spawn().await.unwrap();
    drop(session);
    let mut text = String::new();
    child.take_stdout().unwrap().read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "done");
    assert_eq!(child.wait().await.unwrap().code(), Some(0));
    drop(child);
    server_shows(&server, "no connection left", |record| record.connections_open() == 0).await;
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_never_answered_ends_at_its_deadline() {
    let server = server().fault(Fault::withhold_request().nth(1)).start().await.unwrap();
    let options = TransportOptions::builder().request_timeout(Duration::from_secs(2)).build().unwrap();
    let session = login_in_memory(&server, options).await;
    let error = session.output("true").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ChannelTimeout);
    assert!(error.is_outcome_unknown(), "{error:?}");
    assert!(session.output("true").await.unwrap().status.success(), "the connection is as good as before");
    close_and_check(session, server).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_ended_in_time_reports_its_signal() {
    let server = server()
        .command_fn("polite", |mut call| async move {
            let signal = call.signal().await;
            let _ = call.stdout().send("cleaning up\n").await;
            Exit::signal(signal)
        })
        .start()
        .await
        .unwrap();
    let session = login_in_memory(&server, TransportOptions::default()).await;
    let output = session.line("polite").timeout(Duration::from_millis(100)).output().await.unwrap();
    assert_eq!(output.interruption, Some(Interruption::Timeout(Ended::Confirmed)));
    assert_eq!(output.status.signal(), Some("TERM"));
    assert_eq!(output.stdout_text(), "cleaning up\n");
    close_and_check(session, server).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_server_says_of_a_signal_is_one_line_that_no_terminal_obeys() {
    let message = "killed\u{1b}[2J\u{9b}1m\nroot@web:~# ".to_owned();
    let server = server()
        .command_fn("hostile", move |_call| {
            let message = message.clone();
            async move { Exit::Signal { signal: rustle_testserver::Signal::term(), message } }
        })
        .start()
        .await
        .unwrap();
    let session = login_in_memory(&server, TransportOptions::default()).await;
    let output = session.line("hostile").output().await.unwrap();
    let text = output.status.to_string();
    assert!(text.starts_with("signal TERM") && text.contains("killed"), "{text:?}");
    assert!(!text.chars().any(char::is_control), "{text:?}");
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_close_that_the_server_never_answers_is_cut_after_its_grace() {
    let server = server().start().await.unwrap();
    let session = login(&server).await;
    let child = session.line("sleep 1000").spawn().await.unwrap();
    server.stall();
    let close = tokio::time::timeout(Duration::from_secs(5), session.close(Duration::from_millis(300)));
    close.await.expect("bounded by its grace");
    assert!(!session.is_open());
    drop(child);
    server.resume();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_open_that_is_never_answered_holds_up_no_close() {
    let server = server().fault(Fault::withhold_channel_open().nth(1)).start().await.unwrap();
    let session = login(&server).await;
    Box::pin(drop_when_struck(&server, session.output("sleep 1000"))).await;
    let close = tokio::time::timeout(Duration::from_secs(20), session.close(Duration::from_secs(600)));
    close.await.expect("nothing runs on a channel that nobody has");
    server_shows(&server, "no connection", |record| record.connections_open() == 0).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_command_that_runs_without_the_terminal_that_was_refused_is_ended_by_a_signal() {
    let server = server().start().await.unwrap();
    let session = login(&server).await;
    server.add_fault(Fault::refuse_request(RequestKind::Pty).once());
    let terminal = Terminal::new("xterm", 80, 24);
    let error = session.line("sleep 1000").terminal(terminal).spawn().await.unwrap_err();
    assert!(error.kind() == ErrorKind::RequestRefused && error.is_outcome_unknown(), "{error:?}");
    server_shows(&server, "the signal", |record| !record.signals().is_empty()).await;
    server_shows(&server, "no process", |record| record.processes_running() == 0).await;
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_command_whose_terminal_nobody_knows_of_is_ended_by_a_signal() {
    let server = server().network(Network::new()).start().await.unwrap();
    let session = login(&server).await;
    server.add_fault(Fault::refuse_request(RequestKind::Pty).once());
    // Dropped when it runs, long before the answers are here.
    server.set_network(Network::new().round_trip(Duration::from_secs(1))).unwrap();
    let terminal = Terminal::new("xterm", 80, 24);
    let running =
        async { server_shows(&server, "a process", |record| record.processes_running() == 1).await };
    tokio::select! {
        biased;
        () = running => {}
        _ = session.line("sleep 1000").terminal(terminal).spawn() => panic!("answered at once"),
    }
    server.set_network(Network::new()).unwrap();
    server_shows(&server, "the signal", |record| !record.signals().is_empty()).await;
    server_shows(&server, "no process", |record| record.processes_running() == 0).await;
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_fault_in_the_middle_of_a_command_is_a_lost_connection_and_no_end_of_file() {
    let server = server().start().await.unwrap();
    let session = login(&server).await;
    let mut child = session.line("yes").spawn().await.unwrap();
    let mut stdout = child.take_stdout().unwrap();
    let mut some = [0; 1000];
    stdout.read_exact(&mut some).await.unwrap();
    server.add_fault(Fault::cut(Phase::Data, rustle_testserver::Cut::Rst).once());
    let mut rest = Vec::new();
    let error = stdout.read_to_end(&mut rest).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
    let error = child.wait().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert!(error.is_outcome_unknown() && !error.is_retryable());
    drop((child, stdout, session));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_stream_whose_end_came_before_the_loss_of_the_connection_is_whole() {
    for is_whole in [true, false] {
        let says = rustle_testserver::Target::closure(move |mut stream| async move {
            stream.write_all(b"said").await.unwrap();
            if is_whole {
                stream.shutdown().await.unwrap();
            }
            // It listens on.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        let server = server().forward_target("there", None, says).start().await.unwrap();
        let session = login(&server).await;
        let mut stream = session.direct_tcpip("there", 80).await.unwrap();
        assert_eq!(stream.chunk().await.unwrap().unwrap(), "said");
        if is_whole {
            assert_eq!(stream.chunk().await.unwrap(), None);
        }
        let broken = tokio::time::timeout(Duration::from_millis(50), poll_fn(|cx| stream.poll_broken(cx)));
        assert!(broken.await.is_err(), "it is not yet");
        server.cut_all(rustle_testserver::Cut::Fin);
        poll_fn(|cx| stream.poll_closed(cx)).await;
        let read = stream.read_to_end(&mut Vec::new()).await;
        if is_whole {
            assert_eq!(read.unwrap(), 0, "it has ended before");
            let broken =
                tokio::time::timeout(Duration::from_millis(50), poll_fn(|cx| stream.poll_broken(cx)));
            assert!(broken.await.is_err(), "it never will be");
        } else {
            assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::ConnectionAborted);
            assert_eq!(poll_fn(|cx| stream.poll_broken(cx)).await, ErrorKind::Disconnected);
        }
        drop((stream, session));
        server.stop().await.unwrap();
    }
}
