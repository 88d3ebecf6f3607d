//! Logins, and what becomes of one that goes wrong.

use russh::keys::{Algorithm, PrivateKey, ssh_key::rand_core::UnwrapErr};

use super::{Probe, Told, builder, login, with};
use crate::{
    Algorithms, Fault, Method, RawPeer, Round, TestServer, User,
    raw::{message, wire::Writer},
};

#[tokio::test(start_paused = true)]
async fn expired_password_is_changed_before_the_login() {
    let server = with(Fault::change_password("Expired. New: ").once()).await;
    let mut probe = Probe::connect(&server).await;
    probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
    let show = |old: &str| login("password").boolean(false).string(old);
    let change = |old: &str, new: &str| login("password").boolean(true).string(old).string(new);
    probe.send(show("wrong")).await;
    probe.until(message::USERAUTH_FAILURE).await;
    probe.send(show("old")).await;
    let asked = Writer::message(message::USERAUTH_PASSWD_CHANGEREQ).string("Expired. New: ").string("");
    assert_eq!(probe.message().await, asked.finish());
    probe.send(change("old", "old")).await;
    assert_eq!(probe.message().await[0], message::USERAUTH_PASSWD_CHANGEREQ);
    probe.send(change("wrong", "new")).await;
    assert_eq!(probe.message().await[0], message::USERAUTH_FAILURE);
    probe.send(change("old", "new")).await;
    assert_eq!(probe.message().await, [message::USERAUTH_SUCCESS]);
    // The new one holds from now on.
    for (password, answer) in [("old", message::USERAUTH_FAILURE), ("new", message::USERAUTH_SUCCESS)] {
        let mut probe = Probe::connect(&server).await;
        probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
        probe.send(show(password)).await;
        probe.until(answer).await;
    }
    server.stop().await.unwrap();

    // One that has expired by itself needs no fault.
    let eve = User::new("eve").expired_password("old");
    let server = TestServer::builder().user(eve).raw_peer(RawPeer::new()).start().await.unwrap();
    let mut probe = Probe::connect(&server).await;
    probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
    probe.send(show("old")).await;
    probe.until(message::USERAUTH_PASSWD_CHANGEREQ).await;
    probe.send(change("old", "new")).await;
    probe.until(message::USERAUTH_SUCCESS).await;
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn login_needs_its_service() {
    let server = builder().start().await.unwrap();
    let mut probe = Probe::connect(&server).await;
    probe.send(login("none")).await;
    probe.until(message::DISCONNECT).await;
    assert_eq!(probe.next().await, Told::End);
    assert!(server.record().auth_attempts().is_empty());
    server.stop().await.unwrap();
}

/// As clients do that ask before each attempt: every request is answered, and the login goes on.
#[tokio::test(start_paused = true)]
async fn service_is_accepted_as_often_as_it_is_asked_for() {
    let server = builder().start().await.unwrap();
    let mut probe = Probe::connect(&server).await;
    for (method, answer) in [("hostbased", message::USERAUTH_FAILURE), ("none", message::USERAUTH_SUCCESS)] {
        probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
        probe.until(message::SERVICE_ACCEPT).await;
        probe.send(login(method)).await;
        probe.until(answer).await;
    }
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn attempts_after_the_last_try_are_not_judged_and_change_no_password() {
    for personality in [Some(RawPeer::new()), None] {
        let base = personality.is_none();
        let eve = User::new("eve").password("old");
        let mut builder = TestServer::builder().user(eve).max_auth_tries(1);
        if let Some(peer) = personality {
            builder = builder.raw_peer(peer);
        }
        let server = builder.start().await.unwrap();
        let mut probe = Probe::connect(&server).await;
        let show = |password: &str| login("password").boolean(false).string(password);
        for message in [
            Writer::message(message::SERVICE_REQUEST).string("ssh-userauth"),
            show("wrong"),
            login("password").boolean(true).string("old").string("new"),
            show("old"),
        ] {
            probe.transport.send(message.finish());
        }
        probe.flush().await;
        let heard = probe.numbers().await;
        assert!(!heard.contains(&message::USERAUTH_SUCCESS), "base {base}: {heard:?}");
        let mut probe = Probe::connect(&server).await;
        probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
        probe.send(show("old")).await;
        probe.until(message::USERAUTH_SUCCESS).await;
        server.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn another_request_ends_a_conversation_even_one_that_is_not_understood() {
    for personality in [Some(RawPeer::new()), None] {
        let base = personality.is_none();
        let eve = User::new("eve").keyboard_interactive([Round::new().prompt("Code: ", "1")]);
        let mut builder = TestServer::builder().user(eve);
        if let Some(peer) = personality {
            builder = builder.raw_peer(peer);
        }
        let server = builder.start().await.unwrap();
        let mut probe = Probe::connect(&server).await;
        probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
        probe.send(login("keyboard-interactive").string("").string("")).await;
        probe.until(message::USERAUTH_INFO_REQUEST).await;
        probe.send(login("password").boolean(false).string("guess")).await;
        probe.until(message::USERAUTH_FAILURE).await;
        probe.send(Writer::message(message::USERAUTH_INFO_RESPONSE).u32(1).string("1")).await;
        let heard = probe.numbers().await;
        assert!(!heard.contains(&message::USERAUTH_SUCCESS), "base {base}: {heard:?}");
        server.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn conversation_ends_with_a_method_that_is_unknown_and_a_key_that_cannot_be_read() {
    let key = login("publickey").boolean(true).string("ssh-ed25519").string("no key").string("");
    for between in [login("hostbased"), key] {
        let eve = User::new("eve").keyboard_interactive([Round::new().prompt("Code: ", "1")]);
        let server = TestServer::builder().user(eve).raw_peer(RawPeer::new()).start().await.unwrap();
        let mut probe = Probe::connect(&server).await;
        probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
        probe.send(login("keyboard-interactive").string("").string("")).await;
        probe.until(message::USERAUTH_INFO_REQUEST).await;
        probe.send(between).await;
        probe.until(message::USERAUTH_FAILURE).await;
        probe.send(Writer::message(message::USERAUTH_INFO_RESPONSE).u32(1).string("1")).await;
        let heard = probe.numbers().await;
        assert!(!heard.contains(&message::USERAUTH_SUCCESS), "{heard:?}");
        server.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn password_is_changed_only_where_one_is_asked_for() {
    let eve = User::new("eve").password("old").keyboard_interactive([Round::new().prompt("Code: ", "1")]);
    let eve = eve.steps([Method::KeyboardInteractive, Method::Password]);
    let server = TestServer::builder().user(eve).raw_peer(RawPeer::new()).start().await.unwrap();
    let mut probe = Probe::connect(&server).await;
    probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
    probe.send(login("password").boolean(true).string("old").string("new")).await;
    probe.until(message::USERAUTH_FAILURE).await;
    probe.send(login("keyboard-interactive").string("").string("")).await;
    probe.until(message::USERAUTH_INFO_REQUEST).await;
    probe.send(Writer::message(message::USERAUTH_INFO_RESPONSE).u32(1).string("1")).await;
    probe.until(message::USERAUTH_FAILURE).await;
    probe.send(login("password").boolean(false).string("old")).await;
    probe.until(message::USERAUTH_SUCCESS).await;
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn service_is_accepted_each_time_it_is_asked_for() {
    let server = builder().start().await.unwrap();
    let mut probe = Probe::connect(&server).await;
    let service = || Writer::message(message::SERVICE_REQUEST).string("ssh-userauth");
    let accepted = Writer::message(message::SERVICE_ACCEPT).string("ssh-userauth").finish();
    assert_eq!(probe.message().await[0], message::EXT_INFO);
    // As paramiko asks before each attempt.
    for password in ["wrong", "wrong again"] {
        probe.send(service()).await;
        assert_eq!(probe.message().await, accepted);
        probe.send(login("password").boolean(false).string(password)).await;
        assert_eq!(probe.message().await[0], message::USERAUTH_FAILURE);
    }
    probe.send(service()).await;
    assert_eq!(probe.message().await, accepted);
    probe.send(login("password").boolean(false).string("old")).await;
    assert_eq!(probe.message().await, [message::USERAUTH_SUCCESS]);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn methods_that_nobody_knows_are_tries_as_well() {
    let limited =
        [builder().auth_attempts(2), builder().max_auth_tries(2), TestServer::builder().auth_attempts(2)];
    for (turn, limited) in limited.into_iter().enumerate() {
        let eve = User::new("eve").password("old");
        let limited = if turn == 2 { limited.user(eve) } else { limited };
        let server = limited.start().await.unwrap();
        let mut probe = Probe::connect(&server).await;
        probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
        for _ in 0..2 {
            probe.send(login("hostbased")).await;
        }
        probe.until(message::USERAUTH_FAILURE).await;
        probe.until(message::USERAUTH_FAILURE).await;
        probe.send(login("password").boolean(false).string("old")).await;
        let heard = probe.numbers().await;
        assert_eq!(heard, [message::DISCONNECT], "{turn}");
        // Neither personality has them in its record: the other is told of none.
        let attempts = server.record().auth_attempts().len();
        assert_eq!(attempts, 0, "{turn}");
        server.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn key_is_refused_at_once_for_an_algorithm_it_does_not_sign_by_or_nobody_verifies() {
    let key = PrivateKey::random(&mut UnwrapErr(getrandom::SysRng), Algorithm::Ed25519).unwrap();
    let blob = key.public_key().to_bytes().unwrap();
    let eve = User::new("eve").public_key(key.public_key().to_openssh().unwrap());
    let server = TestServer::builder().user(eve).raw_peer(RawPeer::new()).start().await.unwrap();
    let mut probe = Probe::connect(&server).await;
    probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
    let offer = |algorithm: &str| login("publickey").boolean(false).string(algorithm).string(&blob);
    for algorithm in
        ["ssh-rsa", "rsa-sha2-512", "ecdsa-sha2-nistp256", "ssh-dss", "", "ssh-ed25519-cert-v01@openssh.com"]
    {
        probe.send(offer(algorithm)).await;
        assert_eq!(probe.until(message::USERAUTH_FAILURE).await[0], message::USERAUTH_FAILURE, "{algorithm}");
    }
    probe.send(offer("ssh-ed25519")).await;
    assert_eq!(probe.message().await[0], message::USERAUTH_PK_OK);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn extensions_are_told_unless_they_are_left_out() {
    for (algorithms, told) in [(Algorithms::new(), 1), (Algorithms::new().without_ext_info(), 0)] {
        let server = builder().algorithms(algorithms).start().await.unwrap();
        let mut probe = Probe::connect(&server).await;
        probe.send(Writer::message(message::SERVICE_REQUEST).string("ssh-userauth")).await;
        probe.send(login("none")).await;
        let mut numbers = Vec::new();
        while numbers.last() != Some(&message::USERAUTH_SUCCESS) {
            numbers.push(probe.message().await[0]);
        }
        assert_eq!(numbers.iter().filter(|number| **number == message::EXT_INFO).count(), told);
        server.stop().await.unwrap();
    }
}
