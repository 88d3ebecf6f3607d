//! The raw peer doing everything right: real clients take it for a server.

use std::{sync::Arc, task::Poll, time::Duration};

use russh::{
    MethodKind,
    client::{AuthResult, KeyboardInteractiveAuthResponse},
    keys::{
        Algorithm, EcdsaCurve, HashAlg, PrivateKey, PrivateKeyWithHashAlg, ssh_key::rand_core::UnwrapErr,
    },
};
use russh_sftp::client::SftpSession;
use rustle_testserver::{
    Algorithms, AuthOutcome, Builder, Cut, End, ErrorKind, Exit, Fault, HostKeyKind, Method, Network, Phase,
    RawPeer, Reply, Round, Signal, TestServer, User, message,
};

use crate::client::{Client, LIMIT, alice, collect};

fn builder() -> Builder {
    TestServer::builder().user(alice()).builtins().raw_peer(RawPeer::new())
}

fn new_key(algorithm: Algorithm) -> PrivateKey {
    PrivateKey::random(&mut UnwrapErr(getrandom::SysRng), algorithm).unwrap()
}

/// Bytes without a short period.
fn data(count: u32) -> Vec<u8> {
    (0..count / 4).flat_map(u32::to_le_bytes).collect()
}

#[tokio::test]
async fn commands_run_and_the_record_is_the_same() {
    let server = builder()
        .command("killed", Reply::stderr("oops\n").signal(Signal::new("SEGV")))
        .command("mute", Reply::stdout("x").ends(Exit::Silent))
        .start()
        .await
        .unwrap();
    let client = Client::alice(&server).await;
    assert_eq!(client.output("echo hello").await.text(), "hello\n");
    assert_eq!(client.output("exit 42").await.code, Some(42));
    let killed = client.output("killed").await;
    assert_eq!((killed.errors(), killed.signal.as_deref(), killed.code), ("oops\n", Some("SEGV"), None));
    let mute = client.output("mute").await;
    assert_eq!((mute.text(), mute.code, mute.signal.as_deref()), ("x", None, None));
    assert_eq!(client.output("nothing-here").await.code, Some(127));
    server.assert_logged_in("alice", Method::Password);
    server.assert_command_ran("echo hello");
    server.wait_until(|record| record.channels_open() == 0, LIMIT).await.unwrap();
    assert_eq!(server.record().command("exit 42").unwrap().exit(), Some(&Exit::Code(42)));
    drop(client);
    server.wait_until_idle(LIMIT).await.unwrap();
    assert_eq!(server.record().connections()[0].ended(), Some(&End::Client));
    assert!(server.record().connections()[0].client().unwrap().contains("russh"));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn megabytes_go_both_ways_with_each_cipher_and_mac_through_rekeys() {
    let sent = data(3_000_000);
    for (cipher, mac) in [
        ("aes256-gcm@openssh.com", "hmac-sha2-256"),
        ("aes256-ctr", "hmac-sha2-256-etm@openssh.com"),
        ("aes128-ctr", "hmac-sha2-256"),
    ] {
        let server = builder()
            .algorithms(Algorithms::new().ciphers([cipher]).macs([mac]))
            .rekey_after(500_000)
            .start()
            .await
            .unwrap();
        let client = Client::alice(&server).await;
        assert!(client.echoed(sent.clone()).await == sent, "{cipher}");
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn key_exchange_after_every_message_loses_nothing() {
    let server = builder().raw_peer(RawPeer::new().rekey_every(1)).start().await.unwrap();
    let client = Client::alice(&server).await;
    let sent = data(400_000);
    assert!(client.echoed(sent.clone()).await == sent);
    assert_eq!(client.output("exit 3").await.code, Some(3));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn every_sort_of_key_logs_in_and_a_wrong_one_does_not() {
    for kind in [HostKeyKind::Ed25519, HostKeyKind::EcdsaP256, HostKeyKind::EcdsaP384, HostKeyKind::Rsa] {
        let ed25519 = new_key(Algorithm::Ed25519);
        let ecdsa = new_key(Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 });
        let mut bob = User::new("bob");
        for key in [&ed25519, &ecdsa] {
            bob = bob.public_key(key.public_key().to_openssh().unwrap());
        }
        let server = builder().user(bob).host_key(kind).start().await.unwrap();
        for key in [&ed25519, &ecdsa] {
            let mut client = Client::connect(&server).await.unwrap();
            assert!(!client.key("bob", &new_key(Algorithm::Ed25519)).await.success());
            assert!(client.key("bob", key).await.success(), "{kind}");
            assert_eq!(client.output("true").await.code, Some(0));
        }
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn rsa_keys_sign_with_sha2() {
    let host = TestServer::builder().host_key(HostKeyKind::Rsa).start().await.unwrap();
    let key = PrivateKey::from_openssh(host.host_private_key_openssh().unwrap()).unwrap();
    host.stop().await.unwrap();
    let bob = User::new("bob").public_key(key.public_key().to_openssh().unwrap());
    let server = builder().user(bob).start().await.unwrap();
    for hash in [HashAlg::Sha256, HashAlg::Sha512] {
        let mut client = Client::connect(&server).await.unwrap();
        let key = PrivateKeyWithHashAlg::new(Arc::new(key.clone()), Some(hash));
        assert!(client.handle.authenticate_publickey("bob", key).await.unwrap().success(), "{hash:?}");
    }
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn rsa_key_logs_in_where_no_extensions_are_told() {
    let host = TestServer::builder().host_key(HostKeyKind::Rsa).start().await.unwrap();
    let key = PrivateKey::from_openssh(host.host_private_key_openssh().unwrap()).unwrap();
    host.stop().await.unwrap();
    let bob = User::new("bob").public_key(key.public_key().to_openssh().unwrap());
    for (algorithms, told) in [
        (Algorithms::new(), Some(Some(HashAlg::Sha512))),
        (Algorithms::new().without_ext_info(), None),
        (Algorithms::new().without_ext_info().without_strict_kex(), None),
    ] {
        let server = builder().user(bob.clone()).algorithms(algorithms).start().await.unwrap();
        let mut client = Client::over(server.duplex()).await.unwrap();
        assert_eq!(client.handle.best_supported_rsa_hash().await.unwrap(), told);
        // A client that is told nothing has to try.
        let key = PrivateKeyWithHashAlg::new(Arc::new(key.clone()), Some(HashAlg::Sha512));
        assert!(client.handle.authenticate_publickey("bob", key).await.unwrap().success(), "{told:?}");
        assert_eq!(client.output("echo in").await.text(), "in\n");
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn steps_and_rounds_lead_in_as_they_do_at_the_first_personality() {
    let dave = User::new("dave")
        .password("first")
        .keyboard_interactive([
            Round::new().instruction("Two.").prompt("Name: ", "dave").hidden_prompt("Code: ", "second"),
            Round::new().instruction("Welcome."),
        ])
        .steps([Method::Password, Method::KeyboardInteractive]);
    let server = builder().user(dave).banner("Authorised people only\n").start().await.unwrap();
    let mut client = Client::connect(&server).await.unwrap();
    match client.password("dave", "first").await {
        AuthResult::Failure { remaining_methods, partial_success: true } => {
            assert_eq!(remaining_methods[..], [MethodKind::KeyboardInteractive]);
        }
        other => panic!("{other:?}"),
    }
    let asked = client.handle.authenticate_keyboard_interactive_start("dave", None).await.unwrap();
    let KeyboardInteractiveAuthResponse::InfoRequest { instructions, prompts, .. } = asked else {
        panic!("{asked:?}")
    };
    assert_eq!((instructions.as_str(), prompts.len(), prompts[0].echo), ("Two.", 2, true));
    let answers = vec!["dave".to_owned(), "second".to_owned()];
    let asked = client.handle.authenticate_keyboard_interactive_respond(answers).await.unwrap();
    assert!(matches!(asked, KeyboardInteractiveAuthResponse::InfoRequest { .. }), "{asked:?}");
    let over = client.handle.authenticate_keyboard_interactive_respond(Vec::new()).await.unwrap();
    assert!(matches!(over, KeyboardInteractiveAuthResponse::Success), "{over:?}");
    let outcomes: Vec<AuthOutcome> =
        server.record().auth_attempts().iter().map(|attempt| attempt.outcome()).collect();
    let asked = AuthOutcome::Asked;
    assert_eq!(outcomes, [AuthOutcome::Partial, asked, asked, AuthOutcome::Accepted]);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn attempts_environment_sessions_and_terminals_are_held_to_the_settings() {
    let server = builder().auth_attempts(2).accept_env(["LANG"]).max_sessions(1).start().await.unwrap();
    let mut client = Client::connect(&server).await.unwrap();
    for _ in 0..2 {
        assert!(!client.password("alice", "wrong").await.success());
    }
    let third = client.handle.authenticate_password("alice", "wonderland").await;
    assert!(!third.is_ok_and(|result| result.success()));

    let client = Client::alice(&server).await;
    let channel = client.open().await;
    let second = client.handle.channel_open_session().await.unwrap_err();
    assert!(matches!(second, russh::Error::ChannelOpenFailure(_)), "{second:?}");
    channel.set_env(false, "LANG", "C").await.unwrap();
    channel.set_env(false, "SECRET", "x").await.unwrap();
    channel.request_pty(false, "xterm", 80, 24, 0, 0, &[(russh::Pty::ECHO, 0)]).await.unwrap();
    channel.window_change(100, 50, 0, 0).await.unwrap();
    channel.exec(true, "env").await.unwrap();
    assert_eq!(collect(channel).await.text(), "LANG=C\n");
    let record = server.record();
    assert_eq!(record.commands()[0].pty().unwrap().term(), "xterm");
    assert_eq!(record.channels()[0].window_changes().len(), 1);
    assert_eq!(record.channels()[0].refused_requests(), ["env"]);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn sftp_is_served_over_it() {
    let server = builder().sftp_temp_dir().start().await.unwrap();
    let client = Client::alice(&server).await;
    let channel = client.open().await;
    channel.request_subsystem(true, "sftp").await.unwrap();
    let sftp = SftpSession::new(channel.into_stream()).await.unwrap();
    sftp.write("/file", b"").await.unwrap_err();
    sftp.create("/file").await.unwrap();
    sftp.write("/file", b"content").await.unwrap();
    assert_eq!(std::fs::read(server.directory().join("file")).unwrap(), b"content");
    sftp.close().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn it_works_in_memory_under_paused_time_and_behind_a_network() {
    let server = builder()
        .network(Network::new().round_trip(Duration::from_millis(50)))
        .seed(1)
        .start()
        .await
        .unwrap();
    let before = tokio::time::Instant::now();
    let client = Client::alice_in_memory(&server).await;
    assert_eq!(client.output("sleep 30").await.code, Some(0));
    assert!(before.elapsed() > Duration::from_millis(30_200));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn faults_of_the_first_personality_strike_here_too() {
    let server = builder()
        .fault(Fault::refuse_channel_with(4, "no room").nth(2))
        .fault(Fault::withhold_request().nth(2))
        .fault(Fault::cut(Phase::Request, Cut::Fin).nth(3))
        .start()
        .await
        .unwrap();
    let client = Client::alice(&server).await;
    assert_eq!(client.output("true").await.code, Some(0));
    let refused = client.handle.channel_open_session().await.unwrap_err();
    assert!(matches!(refused, russh::Error::ChannelOpenFailure(_)), "{refused:?}");
    let mut unanswered = client.exec("true").await;
    // What is answered later has been answered, and this has not.
    let lost = client.open().await;
    let mut waiting = std::pin::pin!(unanswered.wait());
    assert!(std::future::poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await);
    lost.exec(true, "true").await.unwrap();
    assert_eq!(collect(lost).await.code, None);
    server.wait_until_idle(LIMIT).await.unwrap();
    assert_eq!(server.record().connections()[0].ended(), Some(&End::Cut(Cut::Fin)));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn script_speaks_for_the_server_and_ends_it() {
    let peer = RawPeer::new().script(async |mut peer| {
        assert_eq!(peer.accept_login().await.as_deref(), Some("alice"));
        peer.rekey().await.unwrap();
        while let Some(payload) = peer.next().await {
            if payload.first() == Some(&message::CHANNEL_OPEN) {
                peer.send(message::ignore("so long")).await.unwrap();
                peer.rekey().await.unwrap();
                peer.disconnect(11, "enough").await.unwrap();
                return;
            }
        }
    });
    let server = builder().raw_peer(peer).start().await.unwrap();
    let client = Client::alice(&server).await;
    assert!(client.handle.channel_open_session().await.is_err());
    server.wait_until_idle(LIMIT).await.unwrap();
    assert_eq!(server.record().connections()[0].user(), None);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn settings_that_do_not_fit_the_personality_are_refused_by_name() {
    let fault = Fault::message(message::CHANNEL_DATA, rustle_testserver::Damage::dropped());
    let error = TestServer::builder().fault(fault).start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("raw_peer(RawPeer::new())"), "{error}");
    assert!(error.to_string().contains("loss of message 94"), "{error}");
    for wrong in [
        builder().direct_tcpip(),
        builder().agent_forwarding(),
        builder().client_alive(Duration::from_secs(1), 1),
        builder().algorithms(Algorithms::new().ciphers(["chacha20-poly1305@openssh.com"])),
        builder().algorithms(Algorithms::new().host_keys(["ssh-ed25519"])),
        // What the other personality has no way to leave out, and says so.
        TestServer::builder().algorithms(Algorithms::new().without_ext_info()),
    ] {
        let error = wrong.start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("raw peer"), "{error}");
    }
}
