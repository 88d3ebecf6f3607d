//! Commands: scripted, built in, and run by a shell.

use std::{future::poll_fn, pin::Pin, task::Poll, time::Duration};

use rustle_testserver::{Call, Exit, Fault, Phase, Reply, Signal, TestServer};
use tokio::io::AsyncWrite;

use crate::client::{Client, alice, collect};

#[tokio::test]
async fn scripted_command_gives_its_output_and_exit_code() {
    let server = TestServer::builder()
        .user(alice())
        .command("deploy", Reply::stdout("out").and_stderr("err").exit(7))
        .start()
        .await
        .unwrap();
    let client = Client::alice(&server).await;
    let output = client.output("deploy").await;
    assert_eq!((output.text(), output.errors(), output.code, output.eof), ("out", "err", Some(7), true));
    assert_eq!(server.record().command("deploy").unwrap().exit(), Some(&Exit::Code(7)));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn unknown_command_is_not_found() {
    let server = TestServer::builder().user(alice()).start().await.unwrap();
    let output = Client::alice(&server).await.output("uname -a").await;
    assert_eq!(output.code, Some(127));
    assert!(output.errors().contains("uname -a"), "{}", output.errors());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn exit_signal_and_silence_are_told_apart() {
    let server = TestServer::builder()
        .user(alice())
        .command("crash", Reply::new().signal(Signal::new("SEGV")))
        .command("mute", Reply::new().ends(Exit::Silent))
        .start()
        .await
        .unwrap();
    let client = Client::alice(&server).await;
    let crash = client.output("crash").await;
    assert_eq!((crash.code, crash.signal.as_deref()), (None, Some("SEGV")));
    let mute = client.output("mute").await;
    assert_eq!((mute.code, mute.signal), (None, None));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn closure_answers_with_the_input_it_read() {
    let server = TestServer::builder()
        .user(alice())
        .command_fn("shout *", async |mut call: Call| {
            let mut text = call.command()[6..].to_vec();
            while let Some(chunk) = call.stdin().chunk().await {
                text.extend_from_slice(&chunk);
            }
            text.make_ascii_uppercase();
            call.stdout().send(text).await.map_or(Exit::Silent, |()| Exit::SUCCESS)
        })
        .start()
        .await
        .unwrap();
    let client = Client::alice(&server).await;
    let channel = client.exec("shout hello ").await;
    channel.data_bytes(&b"world"[..]).await.unwrap();
    channel.eof().await.unwrap();
    assert_eq!(collect(channel).await.text(), "HELLO WORLD");
    server.stop().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn shell_runs_in_the_servers_directory() {
    let server = TestServer::builder().user(alice()).shell().start().await.unwrap();
    std::fs::write(server.directory().join("note"), "here").unwrap();
    let client = Client::alice(&server).await;
    let output = client.output("cat note; echo \" $USER\"; echo oops >&2; exit 3").await;
    assert_eq!((output.text(), output.errors(), output.code), ("here alice\n", "oops\n", Some(3)));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn refused_request_leaves_the_channel_for_another() {
    let server = TestServer::builder().user(alice()).builtins().start().await.unwrap();
    let client = Client::alice(&server).await;
    let channel = client.open().await;
    channel.request_subsystem(true, "no such subsystem").await.unwrap();
    channel.exec(true, "echo instead").await.unwrap();
    assert_eq!(collect(channel).await.text(), "instead\n");
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn closure_is_told_of_the_terminal_its_sizes_and_signals() {
    let server = TestServer::builder()
        .user(alice())
        .command_fn("watch", async |mut call: Call| {
            let term = call.pty().map(|pty| pty.term().to_owned()).unwrap_or_default();
            let (first, second) = (call.resized().await, call.resized().await);
            let signal = call.signal().await;
            let told = format!("{} {term} {} {} {}", call.user(), first.columns, second.rows, signal.name());
            call.stdout().send(told).await.unwrap();
            Exit::Code(3)
        })
        .start()
        .await
        .unwrap();
    let client = Client::alice_in_memory(&server).await;
    let channel = client.open().await;
    channel.request_pty(true, "vt100", 80, 24, 0, 0, &[]).await.unwrap();
    channel.exec(true, "watch").await.unwrap();
    channel.window_change(100, 30, 0, 0).await.unwrap();
    channel.window_change(120, 40, 0, 0).await.unwrap();
    channel.signal(russh::Sig::USR1).await.unwrap();
    let output = collect(channel).await;
    assert_eq!((output.text(), output.code), ("alice vt100 100 40 USR1", Some(3)));
    server.stop().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn shell_has_the_terminal_the_environment_and_the_signals_of_the_client() {
    let server = TestServer::builder().user(alice()).shell().start().await.unwrap();
    let client = Client::alice(&server).await;
    let mut channel = client.open().await;
    channel.request_pty(true, "vt100", 100, 30, 0, 0, &[]).await.unwrap();
    channel.set_env(true, "LANG", "C").await.unwrap();
    let line = "trap 'echo caught; exit 7' TERM; echo $TERM $COLUMNS $LANG $USER; echo err >&2; while :; do sleep 0.01; done";
    channel.exec(true, line).await.unwrap();
    // The trap is set once something is said. A terminal has one output, to which two pipes lead.
    let mut said = String::new();
    while said.lines().count() < 2 || !said.ends_with('\n') {
        if let Some(russh::ChannelMsg::Data { data }) = channel.wait().await {
            said.push_str(std::str::from_utf8(&data).unwrap());
        }
    }
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["err", "vt100 100 C alice"]);
    channel.signal(russh::Sig::TERM).await.unwrap();
    let output = collect(channel).await;
    assert!(output.text().contains("caught\n"), "{output:?}");
    assert_eq!(output.code, Some(7));
    server.stop().await.unwrap();
}

/// Not a zombie either: nobody may be there to reap it.
#[cfg(target_os = "linux")]
fn runs(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X'])))
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn close_of_the_channel_kills_the_shell_its_children_and_theirs() {
    use std::time::Duration;

    use crate::client::LIMIT;

    let server = TestServer::builder().user(alice()).shell().start().await.unwrap();
    let client = Client::alice(&server).await;
    let line = "trap '' TERM HUP; sh -c '(sleep 1000 & echo $!; wait) & echo $!; wait' & echo $!; wait";
    let mut channel = client.exec(line).await;
    let mut said = String::new();
    while said.lines().count() < 3 || !said.ends_with('\n') {
        if let Some(russh::ChannelMsg::Data { data }) = channel.wait().await {
            said.push_str(std::str::from_utf8(&data).unwrap());
        }
    }
    let shell = server.record().commands()[0].pid().unwrap().to_string();
    let pids: Vec<&str> = said.split_whitespace().chain([shell.as_str()]).collect();
    assert!(pids.len() == 4 && pids.iter().all(|pid| runs(pid)), "{pids:?}");
    channel.close().await.unwrap();
    server.wait_until(|record| record.processes_running() == 0, LIMIT).await.unwrap();
    // They were killed before the record said so; the kernel takes them down in its own time.
    let ended = async {
        while pids.iter().any(|pid| runs(pid)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LIMIT, ended).await.expect("somebody lives on");
    assert_eq!(server.record().commands()[0].exit(), None);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn write_that_waits_is_one_piece_of_data_to_a_fault() {
    let server = TestServer::builder()
        .user(alice())
        .fault(Fault::stall(Phase::Data).for_time(Duration::ZERO))
        .command_fn("fill", async |mut call: Call| {
            let stdout = call.stdout();
            let written = poll_fn(|cx| {
                let mut written = 0;
                while Pin::new(&mut *stdout).poll_write(cx, &[7; 32_768]).is_ready() {
                    written += 1;
                }
                for _ in 0..100 {
                    assert!(Pin::new(&mut *stdout).poll_write(cx, &[7; 32_768]).is_pending());
                }
                Poll::Ready(written)
            });
            Exit::Code(written.await)
        })
        .start()
        .await
        .unwrap();
    let client = Client::alice_in_memory(&server).await;
    let code = client.output("fill").await.code.unwrap();
    // Those that were done, and the one that waited.
    assert_eq!(server.faults()[0].fired(), code as usize + 1);
    server.stop().await.unwrap();
}
