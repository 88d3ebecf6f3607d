//! A process that has no file left for another client.

use std::fs::File;
use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::{LIMIT, connect, echoes, rest, targets, to, until};
use crate::support::{pool, shut_down_and_check};

const CHILD: &str = "forwards::shortage::child_has_no_file_left";

/// The limit is one of the whole process, so this is one of its own.
#[tokio::test]
async fn who_comes_when_there_is_no_file_left_waits_and_gets_through() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", CHILD, "--ignored", "--nocapture"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut printed = BufReader::new(child.stdout.take().unwrap()).lines();
    let port: u16 = loop {
        let line = printed.next_line().await.unwrap().expect("the child says where it listens");
        if let Some((_, port)) = line.split_once("port: ") {
            break port.parse().unwrap();
        }
    };
    let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    echoes(&mut client, "in the end").await;
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut client).await.unwrap(), b"");
    while printed.next_line().await.unwrap().is_some() {}
    assert!(child.wait().await.unwrap().success());
}

#[tokio::test]
#[ignore = "run as a child process by the test above, since it has no file left for others"]
async fn child_has_no_file_left() {
    let server = targets().start().await.unwrap();
    let pool = pool(&server);
    let forward = pool.forward("web", to("echo")).await.unwrap();
    // From here on there is a connection, which takes no other file.
    let mut first = connect(&forward).await;
    echoes(&mut first, "first").await;
    drop(first);
    until(&forward, "it has ended", |stats| stats.ended == 1).await;

    setrlimit(Resource::Nofile, Rlimit { current: Some(128), ..getrlimit(Resource::Nofile) }).unwrap();
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    println!("port: {}", forward.port().unwrap());
    std::io::stdout().flush().unwrap();
    until(&forward, "one cannot be accepted", |stats| stats.accept_errors > 0).await;
    let begun = Instant::now();
    let stats = until(&forward, "it is tried again", |stats| stats.accept_errors > 3).await;
    assert!(begun.elapsed() > Duration::from_millis(200), "it does not wait in between");
    assert!(stats.last_error.unwrap().to_string().contains("could not be accepted"));
    assert_eq!(stats.accepted, 1);
    drop(files);
    let stats = until(&forward, "the client has gone", |stats| stats.ended == 2).await;
    assert_eq!((stats.accepted, stats.failed), (2, 0));
    tokio::time::timeout(LIMIT, forward.close()).await.unwrap();
    shut_down_and_check(pool, server).await;
}
