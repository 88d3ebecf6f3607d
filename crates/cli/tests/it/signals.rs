//! Signals end the remote process before they end the program.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

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
