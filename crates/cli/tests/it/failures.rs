//! Every failure has a message, a code and what to do next.

use std::time::Duration;

use rustle_testserver::{Cut, Fault, HostKeyKind, Phase, TestServer};

use crate::host::{Host, finish, snapshot};

const TRUE: [&str; 5] = ["exec", "--raw", "web", "--", "true"];

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_known_is_refused() {
    let host = Host::start().await;
    host.write("known_hosts", "");
    let ran = host.run(&TRUE).await;
    snapshot!("failure_host_unknown", host.told(&ran));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_host_key_is_refused_whatever_is_asked_for() {
    let host = Host::start().await;
    host.server.swap_host_key(HostKeyKind::Ed25519).unwrap();
    let ran = host.run(&["exec", "-o", "StrictHostKeyChecking=no", "--raw", "web", "--", "true"]).await;
    snapshot!("failure_host_key_changed", host.told(&ran));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_once() {
    let host = Host::start().await;
    host.write("password", "wrong\n");
    let ran = host.run(&TRUE).await;
    snapshot!("failure_wrong_password", host.told(&ran));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_json_where_json_is_asked_for() {
    let host = Host::start().await;
    host.write("password", "wrong\n");
    let ran = host.run(&["--format", "json", "exec", "--raw", "web", "--", "true"]).await;
    snapshot!("failure_as_json", host.told(&ran));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_was_begun_when_the_connection_was_lost_is_told_as_that() {
    let host = Host::start().await;
    let arguments = ["--format", "json", "exec", "--raw", "web", "--", "sleep 1000"];
    let cutting = async {
        let runs = host.server.wait_until(|record| record.processes_running() == 1, Duration::from_secs(60));
        runs.await.expect("it runs");
        host.server.cut_all(Cut::Rst);
    };
    let (ran, ()) = tokio::join!(host.run(&arguments), cutting);
    assert_eq!(ran.code, Some(255));
    let told: serde_json::Value = serde_json::from_str(ran.stderr.trim()).unwrap();
    let error = &told["error"];
    assert_eq!((&error["retryable"], &error["outcome_unknown"]), (&false.into(), &true.into()), "{told}");
    assert!(error["hint"].as_str().unwrap().starts_with("it may have run"), "{told}");
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_wrote_too_much_for_json_is_ended_and_told_to_have_run() {
    let host = Host::start().await;
    let ran = host.run(&["--format", "json", "exec", "--raw", "web", "--", "yes"]).await;
    assert_eq!((ran.code, &*ran.stdout), (Some(255), &b""[..]));
    let told: serde_json::Value = serde_json::from_str(ran.stderr.trim()).unwrap();
    let error = &told["error"];
    assert_eq!((&error["retryable"], &error["outcome_unknown"]), (&false.into(), &true.into()), "{told}");
    assert!(error["message"].as_str().unwrap().contains("more than 268435456 bytes"), "{told}");
    host.server.wait_until(|record| record.processes_running() == 0, Duration::from_secs(60)).await.unwrap();
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_where_nobody_listens_is_told() {
    let host = Host::start().await;
    // Bound and kept. One that has listened would not do: a process that is just being started may hold a copy of it.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let free = held.local_addr().unwrap().port();
    let ran = host.run(&["exec", "-p", &free.to_string(), "--raw", "web", "--", "true"]).await;
    // The cause is in the system's own words.
    let told: String = host
        .told(&ran)
        .replace(&free.to_string(), "FREE")
        .lines()
        .filter(|line| !line.starts_with("caused by:"))
        .flat_map(|line| [line, "\n"])
        .collect();
    snapshot!("failure_nobody_listens", told);
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_is_given_up_in_time() {
    let host = Host::with(TestServer::builder().fault(Fault::stall(Phase::KeyExchange))).await;
    let ran = host.run(&["exec", "--connection-timeout", "3", "--raw", "web", "--", "true"]).await;
    snapshot!("failure_silent_server", host.told(&ran));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_cannot_be_followed_is_told_with_its_place() {
    let host = Host::start().await;
    host.write("bad", "Host web\n  HostNam 127.0.0.1\n");
    let bad = host.path("bad");
    let ran = host.run(&["exec", "--config", &bad, "--raw", "web", "--", "true"]).await;
    snapshot!("failure_configuration", host.told(&ran));
    let ran = host.run(&["exec", "-o", "Ciphers=rot13", "--raw", "web", "--", "true"]).await;
    snapshot!("failure_cipher", host.told(&ran));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_file_is_read_only_where_it_is_one() {
    let host = Host::start().await;
    let missing = host.path("missing");
    let ran = finish(host.command(&["exec", "--password-file", &missing, "web", "--", "true"]), b"").await;
    assert!(ran.stderr.contains("cannot be opened"), "{}", ran.stderr);
    host.write("password", "\n");
    let ran = host.run(&TRUE).await;
    snapshot!("failure_password_file_empty", host.told(&ran));
    host.server.stop().await.unwrap();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_password_file_that_others_can_read_is_refused() {
    let host = Host::start().await;
    host.set_mode("password", 0o644);
    let ran = host.run(&TRUE).await;
    snapshot!("failure_password_file_open", host.told(&ran));
    assert_eq!(host.server.record().connections().len(), 0);
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_wrong_is_told_with_the_right_way() {
    let host = Host::start().await;
    for (name, typed) in [
        ("usage_two_hosts", &["exec", "web", "uname", "--", "-a"][..]),
        ("usage_no_command", &["exec", "web"]),
        ("usage_demo_with_port", &["-p", "22", "demo"]),
        ("usage_port_after_colon", &["test", "web:22"]),
        ("usage_password_in_url", &["test", "ssh://user:secret@web"]),
    ] {
        let ran = finish(host.command(typed), b"").await;
        assert!(!ran.told().contains("secret"));
        insta::with_settings!({ filters => crate::host::FILTERS.to_vec() }, {
            insta::assert_snapshot!(name, host.told(&ran));
        });
    }
    let mut command = host.command(&["test", "web"]);
    command.env("RUSTLE_CONNECTION_TIMEOUT", "soon");
    let ran = finish(command, b"").await;
    snapshot!("usage_timeout_in_the_environment", host.told(&ran));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_leaves_errors_and_verbose_adds_notes() {
    let host = Host::start().await;
    let option = ["exec", "-o", "ForkAfterAuthentication=yes", "--raw", "web", "--", "true"];
    let normal = host.run(&option).await;
    assert_eq!(normal.stderr, "");
    let verbose = host.run(&[&["-v"], &option[..]].concat()).await;
    assert!(verbose.stderr.contains("note: command line: ForkAfterAuthentication"), "{}", verbose.stderr);
    host.write("password", "wrong\n");
    let quiet = host.run(&[&["-q"], &option[..]].concat()).await;
    assert!(quiet.stderr.starts_with("error: "), "{}", quiet.stderr);
    host.server.stop().await.unwrap();
}
