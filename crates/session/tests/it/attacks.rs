//! What servers, and whoever sits in between, have done to clients: each known class of it, tried on this one.
//!
//! docs/security.md lists them with the names they are known by.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustle_session::{
    Algorithms, BoxFuture, Connector, Credentials, Error, ErrorKind, PromptError, PromptRequest, Prompter,
    SecretString, Session, TransportOptions,
};
use rustle_testserver::{self as testserver, Duplex, RawPeer, RawSession, TestServer, User, message};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};

use super::auth::bare;
use super::support::{connector, server};

const USERAUTH_FAILURE: u8 = 51;
const USERAUTH_SUCCESS: u8 = 52;
const USERAUTH_INFO_REQUEST: u8 = 60;
const CHANNEL_OPEN_CONFIRMATION: u8 = 91;
/// The ping of OpenSSH's PROTOCOL section 1.9.
const PING: u8 = 192;

/// A server of which this code is all there is after the key exchange.
async fn scripted<F, Fut>(script: F) -> TestServer
where
    F: Fn(RawSession) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    TestServer::builder().raw_peer(RawPeer::new().script(script)).start().await.unwrap()
}

async fn log_in(
    connector: Connector,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    credentials: &Credentials,
) -> Result<Session, Error> {
    Ok(connector.connect_over(stream).await?.authenticate(credentials).await?)
}

fn hasty(server: &TestServer) -> Connector {
    let options = TransportOptions::builder().connect_timeout(Duration::from_secs(10)).build().unwrap();
    connector(server).transport(options)
}

fn with_password() -> Credentials {
    bare().password(SecretString::from("hunter2"))
}

/// Puts one message into the stream from the server, behind the first packet, as nobody but an attacker would: before
/// there are keys. Everything else passes.
fn with_a_message_slipped_in(server: Duplex) -> DuplexStream {
    // SSH_MSG_IGNORE with no data, in a packet of 16 bytes (RFC 4253 section 6).
    const IGNORE: [u8; 16] = [0, 0, 0, 12, 6, 2, 0, 0, 0, 0, 9, 9, 9, 9, 9, 9];
    let (client, middle) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move {
        let (mut from_server, mut to_server) = tokio::io::split(server);
        let (mut from_client, mut to_client) = tokio::io::split(middle);
        let up = async {
            let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        };
        let down = async {
            // The identification line, then the key exchange's first packet.
            let mut byte = [0];
            while byte != *b"\n" {
                from_server.read_exact(&mut byte).await?;
                to_client.write_all(&byte).await?;
            }
            let mut length = [0; 4];
            from_server.read_exact(&mut length).await?;
            let mut packet = vec![0; u32::from_be_bytes(length) as usize];
            from_server.read_exact(&mut packet).await?;
            for part in [&length[..], &packet, &IGNORE] {
                to_client.write_all(part).await?;
            }
            tokio::io::copy(&mut from_server, &mut to_client).await
        };
        tokio::join!(up, async { drop(down.await) });
    });
    client
}

#[tokio::test]
async fn cve_2023_48795_a_message_slipped_in_before_the_keys_ends_the_connection() {
    // The message is one that would pass unseen otherwise: without strict key exchange it does.
    let lax = testserver::Algorithms::new().without_strict_kex();
    let server = server().algorithms(lax).start().await.unwrap();
    let algorithms = Algorithms::default().with_ciphers("aes256-gcm@openssh.com").unwrap();
    let lax = connector(&server).algorithms(algorithms.clone());
    let session = log_in(lax, with_a_message_slipped_in(server.duplex()), &super::support::credentials())
        .await
        .unwrap();
    assert!(!session.negotiated().unwrap().strict_kex());

    let server = super::support::server().start().await.unwrap();
    let strict = connector(&server).algorithms(algorithms);
    let error = strict.connect_over(with_a_message_slipped_in(server.duplex())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
}

#[tokio::test]
async fn nobody_is_let_in_by_a_success_that_answers_nothing() {
    // Before the service, in place of its acceptance, and instead of a first answer to another service.
    for before in [&[][..], &[message::SERVICE_ACCEPT]] {
        let server = scripted(move |mut peer| async move {
            if before.is_empty() {
                drop(peer.send(vec![USERAUTH_SUCCESS]).await);
                drop(peer.next().await);
            } else {
                drop(peer.next().await);
                drop(peer.send([&[message::SERVICE_ACCEPT][..], &[0, 0, 0, 3], b"ssh"].concat()).await);
                drop(peer.send(vec![USERAUTH_SUCCESS]).await);
            }
            while peer.next().await.is_some() {}
        })
        .await;
        let refused = log_in(hasty(&server), server.duplex(), &with_password()).await;
        assert!(refused.is_err(), "{refused:?}");
    }
}

#[tokio::test]
async fn channels_and_their_data_before_a_login_end_the_connection() {
    let server = scripted(|mut peer| async move {
        drop(peer.next().await);
        let confirmation =
            [&[CHANNEL_OPEN_CONFIRMATION][..], &[0, 0, 0, 0], &[0, 0, 0, 0], &[0, 0, 1, 0], &[0, 0, 1, 0]];
        drop(peer.send(confirmation.concat()).await);
        drop(peer.send(vec![94, 0, 0, 0, 0, 0, 0, 0, 1, b'x']).await);
        while peer.next().await.is_some() {}
    })
    .await;
    let refused = log_in(hasty(&server), server.duplex(), &with_password()).await;
    assert!(refused.is_err(), "{refused:?}");
}

#[tokio::test]
async fn cve_2021_36367_who_was_let_in_without_proof_is_told_so() {
    struct Nobody;
    impl Prompter for Nobody {
        fn ask(&self, request: PromptRequest) -> BoxFuture<'_, Result<Vec<SecretString>, PromptError>> {
            panic!("nothing was to be asked: {request:?}")
        }
    }
    let server = TestServer::builder().user(User::new("alice").none()).start().await.unwrap();
    let credentials = with_password().prompter(Arc::new(Nobody));
    let session = log_in(connector(&server), server.duplex(), &credentials).await.unwrap();
    // Whoever counts on a password or key having been asked for can see that none was.
    assert_eq!(session.method(), "none");
}

#[tokio::test]
async fn a_server_that_changes_its_mind_in_the_middle_of_a_question_asks_for_nothing_more() {
    // Lets in while its question stands open: the answer is not sent after that, nor taken for a command.
    let server = scripted(|mut peer| async move {
        let Some(_service) = peer.next().await else { return };
        drop(peer.send([&[message::SERVICE_ACCEPT][..], &[0, 0, 0, 12], b"ssh-userauth"].concat()).await);
        drop(peer.next().await);
        let methods = b"keyboard-interactive";
        drop(peer.send([&[USERAUTH_FAILURE][..], &[0, 0, 0, 20], methods, &[0]].concat()).await);
        drop(peer.next().await);
        let question = [&[USERAUTH_INFO_REQUEST][..], &[0; 12], &[0, 0, 0, 1], &[0, 0, 0, 5], b"Code:", &[0]];
        drop(peer.send(question.concat()).await);
        drop(peer.send(vec![USERAUTH_SUCCESS]).await);
        while let Some(answer) = peer.next().await {
            assert_ne!(answer.first(), Some(&message::CHANNEL_OPEN), "it took itself for logged in twice");
        }
    })
    .await;
    let result = log_in(hasty(&server), server.duplex(), &with_password()).await;
    // Either end is sound; what must not be is a wait without end or a panic.
    if let Ok(session) = result {
        session.abort();
    }
    server.stop().await.unwrap();
}

/// In a process of its own, so that what it holds is its own too.
#[test]
fn cve_2025_26466_a_flood_before_the_login_is_not_kept() {
    const NAME: &str = "attacks::cve_2025_26466_a_flood_before_the_login_is_not_kept";
    const ALONE: &str = "RUSTLE_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(floods_before_the_login());
    }
    let ran = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let (said, complained) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && said.contains("1 passed"), "{}\n{said}\n{complained}", ran.status);
}

async fn floods_before_the_login() {
    const FLOOD: u64 = 256 << 20;
    for number in [PING, message::IGNORE, 77] {
        let sent = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&sent);
        let server = scripted(move |mut peer| {
            let count = Arc::clone(&count);
            async move {
                let mut payload = vec![number, 0, 0, 0x3f, 0xfb];
                payload.resize(16 * 1024, 0);
                // What it is answered it does not read, so that the answers would have to be kept.
                while count.load(Ordering::Relaxed) < FLOOD && peer.send(payload.clone()).await.is_ok() {
                    count.fetch_add(payload.len() as u64, Ordering::Relaxed);
                }
                while peer.next().await.is_some() {}
            }
        })
        .await;
        let options = TransportOptions::builder().connect_timeout(Duration::from_secs(5)).build().unwrap();
        let before = resident();
        let refused = log_in(connector(&server).transport(options), server.duplex(), &with_password()).await;
        assert!(refused.is_err(), "{number}: {refused:?}");
        let grown = resident().saturating_sub(before);
        assert!(
            grown < 64 << 20,
            "message {number}: {} bytes sent, {grown} kept",
            sent.load(Ordering::Relaxed)
        );
    }
}

/// What this process has in memory; 0 where that cannot be asked.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or_default() * 4096
}
