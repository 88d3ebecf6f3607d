//! `exec`: streams, exit codes and quoting.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustle_testserver::{Call, Exit, Reply, Signal, TestServer};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::Notify;

use crate::host::{Host, snapshot, spawned, wait};

const MANY: Duration = Duration::from_secs(20);

/// Bytes that no text has.
fn binary(length: usize) -> Vec<u8> {
    (0..length).map(|index| u8::try_from((index * 7 + index / 256) % 256).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn output_error_and_exit_code_are_the_commands_own() {
    let server =
        TestServer::builder().command("deploy", Reply::stdout("done\n").and_stderr("careful\n").exit(7));
    let host = Host::with(server).await;
    let ran = host.run(&["exec", "--raw", "web", "--", "deploy"]).await;
    assert_eq!((ran.code, ran.stdout(), ran.stderr.as_str()), (Some(7), "done\n", "careful\n"));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_pass_through_unchanged_in_both_directions() {
    let host = Host::start().await;
    let data = binary(3 * 1024 * 1024 + 1);
    let ran = host.run_with_input(&["exec", "--raw", "web", "--", "cat"], &data).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(ran.stdout == data, "{} bytes came back of {}", ran.stdout.len(), data.len());
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_as_standard_streams_are_read_and_written_whole() {
    let host = Host::start().await;
    let data = binary(1024 * 1024 + 3);
    let (from, to) = (host.path("from"), host.path("to"));
    std::fs::write(&from, &data).unwrap();
    let password = host.path("password");
    let mut command = host.command(&["exec", "--password-file", &password, "--raw", "web", "--", "cat"]);
    command.stdin(std::fs::File::open(&from).unwrap()).stdout(std::fs::File::create(&to).unwrap());
    let ran = wait(spawned(command.stderr(Stdio::piped()))).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(std::fs::read(&to).unwrap() == data);
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_standard_input_after_the_password_is_the_commands() {
    let host = Host::start().await;
    let input = format!("{}\nrest of it\n", crate::host::PASSWORD);
    let command = host.command(&["exec", "--password-file", "-", "--raw", "web", "--", "cat"]);
    let ran = crate::host::finish(command, input.as_bytes()).await;
    assert_eq!((ran.code, ran.stdout()), (Some(0), "rest of it\n"));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_input_the_command_sees_its_end_at_once() {
    let host = Host::start().await;
    let password = host.path("password");
    let mut command =
        host.command(&["exec", "-n", "--password-file", &password, "--raw", "web", "--", "wc -c"]);
    // Held open and never written to.
    let mut child = spawned(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let held = child.stdin.take();
    let ran = wait(child).await;
    drop(held);
    assert_eq!((ran.code, ran.stdout()), (Some(0), "0\n"));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_ends_when_nobody_reads_its_output_any_more() {
    let host = Host::start().await;
    let password = host.path("password");
    let mut command =
        host.command(&["exec", "-n", "--password-file", &password, "--raw", "web", "--", "yes"]);
    let mut child = spawned(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("y"));
    drop(lines);
    let ran = wait(child).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(255), ""));
    host.server
        .wait_until(|record| record.commands().iter().all(|command| !command.is_running()), MANY)
        .await
        .unwrap();
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_says_nothing_more_may_finish_without_a_reader() {
    let told = Arc::new(Notify::new());
    let gone = Arc::clone(&told);
    let server = TestServer::builder().command_fn("work", move |mut call: Call| {
        let gone = Arc::clone(&gone);
        async move {
            if call.stdout().send("first\n").await.is_err() {
                return Exit::Silent;
            }
            gone.notified().await;
            Exit::Code(3)
        }
    });
    let host = Host::with(server).await;
    let password = host.path("password");
    let mut command =
        host.command(&["exec", "-n", "--password-file", &password, "--raw", "web", "--", "work"]);
    let mut child = spawned(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("first"));
    drop(lines);
    told.notify_one();
    let ran = wait(child).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(3), ""));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ended_by_a_signal_is_a_failure_that_names_it() {
    let server =
        TestServer::builder().command("crash", Reply::stdout("so far\n").signal(Signal::new("SEGV")));
    let host = Host::with(server).await;
    let ran = host.run(&["exec", "--raw", "web", "--", "crash"]).await;
    snapshot!("exec_ended_by_a_signal", host.told(&ran));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_code_that_does_not_fit_is_no_success() {
    let host = Host::start().await;
    for (line, code) in [("exit 255", 255), ("exit 256", 255), ("exit 1", 1)] {
        let ran = host.run(&["exec", "--raw", "web", "--", line]).await;
        assert_eq!(ran.code, Some(code), "{line}");
    }
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_result_as_json_holds_text_and_other_bytes() {
    let server =
        TestServer::builder().command("mixed", Reply::stdout("text\n").and_stderr(vec![0xff, 0x00]).exit(3));
    let host = Host::with(server).await;
    let ran = host.run(&["exec", "--format", "json", "--raw", "web", "--", "mixed"]).await;
    snapshot!("exec_json", host.told(&ran));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configurations_variables_reach_the_command() {
    let host = Host::start().await;
    let ran = host.run(&["-o", "SetEnv=GREETING=hello", "exec", "--raw", "web", "--", "env"]).await;
    assert_eq!((ran.code, ran.stdout(), ran.stderr.as_str()), (Some(0), "GREETING=hello\n", ""));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_of_the_configuration_that_is_not_accepted_is_named_and_changes_no_command_line() {
    let host = Host::with(TestServer::builder().builtins().accept_env(["OTHER"])).await;
    let options = ["-o", "SetEnv=GREETING=hello OTHER=x", "-o", "SendEnv=PATH", "exec"];
    for form in [&["--raw"][..], &[]] {
        let ran = host.run(&[&options[..], form, &["web", "--", "env"]].concat()).await;
        assert_eq!((ran.code, ran.stdout()), (Some(0), "OTHER=x\n"), "{}", ran.stderr);
        assert!(
            ran.stderr.starts_with("warning: the server does not accept GREETING (SetEnv)"),
            "{}",
            ran.stderr
        );
        assert!(!ran.stderr.contains("hello") && !ran.stderr.contains("PATH"), "{}", ran.stderr);
    }
    let record = host.server.record();
    assert!(record.commands().iter().all(|command| command.text() == "env"), "{record:?}");
    host.server.stop().await.unwrap();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn words_go_to_the_shell_as_with_ssh_or_each_to_the_program() {
    let host = Host::with(TestServer::builder().shell()).await;
    let shell = host.run(&["exec", "web", "--", "printf", "%s,", "a  b", "$((1+1))"]).await;
    assert_eq!(shell.stdout(), "a,b,2,");
    let argv = host.run(&["exec", "--argv", "web", "--", "printf", "%s,", "a  b", "$((1+1))", "it's"]).await;
    assert_eq!(argv.stdout(), "a  b,$((1+1)),it's,");
    assert_eq!((shell.stderr.as_str(), argv.stderr.as_str()), ("", ""));
    host.server.stop().await.unwrap();
}
