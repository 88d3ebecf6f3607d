//! A process that may have fewer files open than it wants connections.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustle_pool::Pool;
use rustle_session::{ErrorKind, HostSetup, HostSetupBuilder, SecretString, Session};
use rustle_testserver::Reply;
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::support::{server, server_shows};

const PORT: &str = "RUSTLE_TEST_PORT";

/// Files that the process may have open, and hosts that it wants a connection to.
const FILES: u64 = 256;
const HOSTS: usize = 1000;

/// The limit is one of the whole process, so the pool has one of its own. The server is here.
async fn in_a_process_with_few_files(child: &str) {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", child, "--ignored", "--nocapture"]).env(PORT, server.port().to_string());
    command.stdin(Stdio::null()).kill_on_drop(true);
    assert!(command.status().await.unwrap().success());
    server_shows(&server, "no connection left", |record| record.connections_open() == 0).await;
    println!("{} logins", server.record().connections_accepted());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn who_comes_when_no_file_is_left_waits_for_those_who_go() {
    in_a_process_with_few_files("shortage::child_runs_a_command_on_each").await;
}

#[tokio::test]
async fn who_waits_for_a_file_in_vain_is_told_which_limit_it_was() {
    in_a_process_with_few_files("shortage::child_waits_for_each_in_vain").await;
}

fn name(host: usize) -> String {
    format!("host-{host}")
}

/// A pool that would make a connection to each host, if there were files.
fn pool(patience: Duration) -> Pool {
    setrlimit(Resource::Nofile, Rlimit { current: Some(FILES), ..getrlimit(Resource::Nofile) }).unwrap();
    let pool = Pool::builder().only_registered().patience(patience).build().unwrap();
    let port = std::env::var(PORT).expect("the test that runs this says where the server is");
    let way: HostSetupBuilder = crate::support::way_to(port.parse().unwrap());
    let setup: HostSetup = way.password(SecretString::from("wonderland")).resolve().unwrap();
    for host in 0..HOSTS {
        pool.register(&name(host), setup.clone());
    }
    pool
}

#[tokio::test]
#[ignore = "run as a child process by a test above, since it has few files"]
async fn child_runs_a_command_on_each() {
    let pool = pool(Duration::from_secs(300));
    let mut callers = JoinSet::new();
    for host in 0..HOSTS {
        let pool = pool.clone();
        callers.spawn(async move {
            let session = pool.get(&name(host)).await.unwrap();
            session.output("hello").await.unwrap().stdout_text().into_owned()
        });
    }
    assert_eq!(callers.join_all().await, vec!["hello\n"; HOSTS]);
    pool.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test]
#[ignore = "run as a child process by a test above, since it has few files"]
async fn child_waits_for_each_in_vain() {
    // Made before, they are none the worse for what comes.
    let patient = pool(Duration::from_secs(300));
    let mut held = Vec::new();
    for host in 0..4 {
        let session: Session = patient.get(&name(host)).await.unwrap();
        held.push((session.line("sleep 1000").spawn().await.unwrap(), session));
    }
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    let pool = pool(Duration::from_secs(2));
    let mut callers = JoinSet::new();
    for host in 0..HOSTS {
        let pool = pool.clone();
        callers.spawn(async move { pool.get(&name(host)).await.unwrap_err() });
    }
    for error in callers.join_all().await {
        assert_eq!(error.code(), "POOL_EXHAUSTED", "{error:?}");
        assert_eq!(error.kind(), rustle_pool::ErrorKind::Session(ErrorKind::NoPlace));
        assert!(error.hint().unwrap().contains("RLIMIT_NOFILE"), "{error:?}");
    }
    drop(files);
    // Each has its patience anew.
    let mut last = None;
    for _ in 0..10 {
        match pool.get(&name(0)).await {
            Ok(session) => {
                last = Some(session.output("hello").await.unwrap());
                break;
            }
            Err(error) => assert_eq!(error.code(), "POOL_EXHAUSTED", "{error:?}"),
        }
    }
    assert!(last.expect("there are files again").status.success());
    for (_, session) in &held {
        assert!(session.output("hello").await.unwrap().status.success());
    }
    drop(held);
    pool.shutdown(Duration::from_secs(5)).await;
    patient.shutdown(Duration::from_secs(5)).await;
}
