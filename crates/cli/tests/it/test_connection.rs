//! `test-connection`: each step, and where it stops.

use rustle_testserver::{Fault, TestServer};

use crate::host::{Host, finish, snapshot};

#[tokio::test(flavor = "multi_thread")]
async fn every_step_is_shown_with_what_it_found() {
    let host = Host::start().await;
    let ran = host.run(&["test-connection", "web"]).await;
    snapshot!("test_connection", host.told(&ran));
    let ran = host.run(&["test", "--format", "json", "web"]).await;
    snapshot!("test_connection_json", host.told(&ran));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_that_fails_is_marked_and_those_after_it_are_not_done() {
    let host = Host::start().await;
    host.write("known_hosts", "");
    let ran = host.run(&["test", "web"]).await;
    snapshot!("test_connection_host_key", host.told(&ran));
    host.write("known_hosts", &host.server.known_hosts_line());
    host.write("password", "wrong\n");
    let ran = host.run(&["test", "web"]).await;
    snapshot!("test_connection_authentication", host.told(&ran));
    let ran = host.run(&["test", "--format", "json", "web"]).await;
    snapshot!("test_connection_authentication_json", host.told(&ran));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_opens_no_channel_fails_in_the_last_step() {
    let host = Host::with(TestServer::builder().builtins().fault(Fault::refuse_channel())).await;
    let ran = host.run(&["test", "web"]).await;
    snapshot!("test_connection_channel", host.told(&ran));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_nobody_has_fails_in_the_first_step() {
    let host = Host::start().await;
    // RFC 6761 section 6.4: no resolver knows it.
    let ran = finish(host.command(&["test", "--connection-timeout", "5", "nowhere.invalid"]), b"").await;
    assert_eq!(ran.code, Some(255));
    assert!(ran.stdout().contains("failed  name look-up"), "{}", ran.stdout());
    assert!(ran.stderr.contains("error: ") && ran.stderr.contains("hint: "), "{}", ran.stderr);
    host.server.stop().await.unwrap();
}
