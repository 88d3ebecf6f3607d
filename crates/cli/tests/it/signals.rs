//! Signals end the remote process, and remove what a transfer made, before they end the program.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustle_testserver::{Direction, Fault, Moment, Sftp, TestServer};

use crate::host::{Host, is_ignored, wait};

const MANY: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn the_remote_process_is_ended_first() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::QUIT, 131), (Signal::HUP, 129)] {
        if is_ignored(signal) {
            continue;
        }
        let host = Host::start().await;
        let password = host.path("password");
        let mut command =
            host.command(&["exec", "-n", "--password-file", &password, "--raw", "web", "--", "sleep 1000"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let id = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        host.server
            .wait_until(
                |record| record.commands().iter().any(rustle_testserver::CommandRecord::is_running),
                MANY,
            )
            .await
            .unwrap();
        kill_process(id, signal).unwrap();
        let ran = wait(child).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(code), ""));
        host.server
            .wait_until(|record| record.commands().iter().all(|command| !command.is_running()), MANY)
            .await
            .unwrap();
        host.server.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_is_ended_leaves_no_temporary_file_on_either_side() {
    let folder = |path: &str| -> Vec<String> {
        let entries = std::fs::read_dir(path).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        if is_ignored(signal) {
            continue;
        }
        for way in ["put", "get"] {
            let served = tempfile::tempdir().unwrap();
            let slow = Fault::drip(Moment::sent(200_000), Direction::Sent, 8192, Duration::from_millis(5));
            let slow = match way {
                "put" => Fault::drip(
                    Moment::received(200_000),
                    Direction::Received,
                    8192,
                    Duration::from_millis(5),
                ),
                _ => slow,
            };
            let files = Sftp::directory(served.path());
            let host = Host::with(TestServer::builder().sftp(files).fault(slow)).await;
            let (here, password) = (host.path("here"), host.path("password"));
            let there = served.path().display().to_string();
            std::fs::create_dir(&here).unwrap();
            // It would take twenty seconds.
            let (from, to, typed) = match way {
                "put" => (&here, &there, [format!("{here}/big"), "web:/big".to_owned()]),
                _ => (&there, &here, ["web:/big".to_owned(), format!("{here}/big")]),
            };
            std::fs::write(format!("{from}/big"), vec![7; 32 << 20]).unwrap();
            std::fs::write(format!("{to}/big"), "old").unwrap();
            let options = [way, "--atomic", "--password-file", &password, &typed[0], &typed[1]];
            let child = host.command(&options).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let id = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
            let deadline = std::time::Instant::now() + MANY;
            while folder(to).len() == 1 || host.server.faults_fired() == 0 {
                assert!(std::time::Instant::now() < deadline, "{way}: no temporary file was made");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            kill_process(id, signal).unwrap();
            let ran = wait(child).await;
            assert_eq!((ran.code, ran.stdout(), ran.stderr.as_str()), (Some(code), "", ""), "{way}");
            assert_eq!(folder(to), ["big"], "{way}");
            assert_eq!(std::fs::read(format!("{to}/big")).unwrap(), b"old", "{way}");
            host.server.stop().await.unwrap();
        }
    }
}
