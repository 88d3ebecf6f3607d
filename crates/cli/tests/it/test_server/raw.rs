//! The raw personality by a script: what it alone does wrong, each kind by its name, seen at a client.

use std::time::Duration;

use rustle_session::{ErrorKind, Session};

use super::served::{LIMIT, Served, output};

const ALICE: &str = "[[users]]\nname = \"alice\"\npassword = \"wonderland\"\n";

async fn with(fault: &str) -> (Served, Session) {
    let fault = if fault.is_empty() { String::new() } else { format!("[[faults]]\n{fault}\n") };
    let server = Served::script(&format!("personality = \"raw\"\n{ALICE}{fault}")).await;
    let session = server.session("alice", "wonderland").await;
    (server, session)
}

/// What `echo a` gives, or `None` where it fails.
async fn echo(session: &Session) -> Option<String> {
    let ran = tokio::time::timeout(LIMIT, session.raw("echo a").output()).await.expect("the client hangs");
    ran.ok().map(|output| output.stdout_text().into_owned())
}

#[tokio::test]
async fn the_raw_personality_serves_as_the_other_does() {
    let (server, session) = with("").await;
    assert_eq!(output(&session, "echo a").await, "a\n");
    assert!(session.subsystem("sftp").spawn().await.is_ok());
    // It forwards nothing, and the script has not asked for anything.
    assert!(session.direct_tcpip("127.0.0.1", server.port()).await.is_err());
    server.stop().await;

    // Nor does it tell clients of extensions, where it is to be as old as that.
    let mut sent = Vec::new();
    for algorithms in ["", "[algorithms]\next_info = false\n"] {
        let server = Served::script(&format!("personality = \"raw\"\n{ALICE}{algorithms}")).await;
        server.session("alice", "wonderland").await;
        sent.push(server.record().await["bytes_out"].as_u64().unwrap());
        server.stop().await;
    }
    // A message with two names and a list of a dozen others.
    assert!(sent[1] + 100 < sent[0], "{sent:?}");

    // With new keys after each message there is more to say for the same.
    let mut sent = Vec::new();
    for limits in ["", "[limits]\nrekey_messages = 1\n"] {
        let server = Served::script(&format!("personality = \"raw\"\n{ALICE}{limits}")).await;
        let session = server.session("alice", "wonderland").await;
        assert_eq!(output(&session, "echo a").await, "a\n", "{limits}");
        sent.push(server.record().await["bytes_out"].as_u64().unwrap());
        server.stop().await;
    }
    assert!(sent[1] > sent[0] + 1000, "{sent:?}");
}

#[tokio::test]
async fn messages_are_lost_doubled_and_out_of_order() {
    let (server, session) =
        with("kind = \"message_dropped\"\nmessage = \"channel_open_confirmation\"\nonce = true").await;
    let waiting = session.raw("true").output();
    assert!(tokio::time::timeout(Duration::from_millis(300), waiting).await.is_err());
    assert_eq!(echo(&session).await.as_deref(), Some("a\n"));
    server.stop().await;
    let (server, session) = with("kind = \"message_duplicated\"\nmessage = 94").await;
    assert_eq!(echo(&session).await.as_deref(), Some("a\na\n"));
    server.stop().await;
    // The data come before the answer to the request. Whether the client minds is its own affair.
    let (server, session) =
        with("kind = \"message_swapped\"\nmessage = \"channel_success\"\nonce = true").await;
    drop(tokio::time::timeout(Duration::from_millis(500), session.raw("echo a").output()).await);
    server.stop().await;
}

#[tokio::test]
async fn malformed_messages_end_a_client_and_do_not_hang_it() {
    for damage in [
        "kind = \"message_truncated\"\nbytes = 6",
        "kind = \"message_string_length\"\noffset = 5\nlength = 4294967295",
        "kind = \"message_packet_length\"\nlength = \"1MiB\"",
        "kind = \"message_corrupt_tag\"",
        "kind = \"message_replaced\"\npayload = { base64 = \"Ww==\" }",
    ] {
        let (server, session) = with(&format!("{damage}\nmessage = \"channel_data\"\nnth = 1")).await;
        assert_ne!(echo(&session).await.as_deref(), Some("a\n"), "{damage}");
        server.stop().await;
    }
}

#[tokio::test]
async fn storms_come_before_and_after() {
    for payload in [
        "ignore = \"noise\"",
        "debug = \"nothing to see\"",
        "global_request = \"hostkeys-prove-00@openssh.com\"",
        "window_adjust = { channel = 0, bytes = 1 }",
    ] {
        for kind in ["message_before", "message_after"] {
            let fault = format!(
                "kind = \"{kind}\"\nmessage = \"channel_success\"\npayload = {{ {payload} }}\ncount = 50"
            );
            let (server, session) = with(&fault).await;
            assert_eq!(echo(&session).await.as_deref(), Some("a\n"), "{fault}");
            server.stop().await;
        }
    }
    // A key exchange in which nothing is offered, in place of the answer.
    let (server, session) = with(
        "kind = \"message_replaced\"\nmessage = \"channel_success\"\npayload = { empty_kexinit = true }",
    )
    .await;
    assert_eq!(echo(&session).await, None);
    server.stop().await;
    let (server, session) =
        with("kind = \"message_appended\"\nmessage = \"channel_success\"\npayload = { base64 = \"AAAA\" }")
            .await;
    drop(tokio::time::timeout(LIMIT, session.raw("echo a").output()).await.expect("the client hangs"));
    server.stop().await;
}

#[tokio::test]
async fn windows_and_packets_are_as_small_as_the_script_says() {
    let upload = |session: &Session| session.raw("wc -c").stdin(vec![0; 5000]).output();
    let (server, session) = with("kind = \"frozen_window\"\nbytes = \"1KiB\"").await;
    assert!(tokio::time::timeout(Duration::from_millis(500), upload(&session)).await.is_err());
    server.stop().await;
    for fault in [
        "kind = \"tiny_window\"\nbytes = 100",
        "kind = \"max_packet\"\nbytes = 64",
        "kind = \"data_packets\"\nbytes = 1",
    ] {
        let (server, session) = with(fault).await;
        assert_eq!(upload(&session).await.unwrap().stdout_text(), "5000\n", "{fault}");
        server.stop().await;
    }
}

#[tokio::test]
async fn channels_requests_and_passwords_are_answered_as_no_other_server_does() {
    let fault = "kind = \"refuse_channel_in_language\"\ncode = 1\ntext = \"Heute nicht\"\nlanguage = \"de\"";
    let (server, session) = with(fault).await;
    let refused = session.raw("true").output().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ChannelProhibited, "{refused}");
    assert!(format!("{refused} {refused:?}").contains("Heute nicht"), "{refused:?}");
    server.stop().await;
    let (server, session) = with("kind = \"answer_request\"\nanswer = \"failure\"\nonce = true").await;
    assert!(session.raw("true").output().await.is_err());
    assert_eq!(echo(&session).await.as_deref(), Some("a\n"));
    server.stop().await;
    // Who has shown the right password is asked for a new one.
    let script = format!(
        "personality = \"raw\"\n{ALICE}[[faults]]\nkind = \"change_password\"\ntext = \"New password: \"\nonce = true\n"
    );
    let server = Served::script(&script).await;
    let setup = server.setup("alice").password("wonderland".into()).resolve().unwrap();
    assert!(setup.connect().await.is_err());
    assert_eq!(echo(&server.session("alice", "wonderland").await).await.as_deref(), Some("a\n"));
    server.stop().await;
}

#[tokio::test]
async fn a_proper_server_takes_no_faults_of_the_raw_one() {
    let fault = "{\"kind\": \"frozen_window\", \"bytes\": 1}";
    let server = Served::start(&[]).await;
    let answer = server.post("/faults", fault).await;
    assert_eq!((answer.status, answer.json["error"]["code"].as_str()), (409, Some("NOT_WITH_THIS_SERVER")));
    assert!(answer.json["error"]["hint"].as_str().unwrap().contains("personality"), "{answer:?}");
    server.stop().await;
    let (server, session) = with("").await;
    assert_eq!(server.post("/faults", fault).await.status, 200);
    let stuck = session.raw("wc -c").stdin(vec![0; 100]).output();
    assert!(tokio::time::timeout(Duration::from_millis(300), stuck).await.is_err());
    server.stop().await;
}
