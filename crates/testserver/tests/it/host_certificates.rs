//! Host keys with certificates, and servers with few algorithms.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use russh::{
    Preferred,
    client::{self, Config},
    kex,
    keys::{Algorithm, Certificate, HashAlg, PublicKeyOrCertificate},
};
use rustle_testserver::{Algorithms, Error, ErrorKind, HostCertificate, HostKeyKind, TestServer};

use crate::client::alice;

/// Takes certificates, and keeps the one it was shown.
#[derive(Clone, Default)]
struct Looking(Arc<Mutex<Option<Certificate>>>);

impl client::Handler for Looking {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        *self.0.lock().unwrap() = match shown {
            PublicKeyOrCertificate::Certificate(certificate) => Some(certificate.clone()),
            PublicKeyOrCertificate::PublicKey { .. } => None,
        };
        Ok(true)
    }
}

/// The certificate that a server shows to who would take one of this sort.
async fn shown(server: &TestServer, algorithm: Algorithm) -> Option<Certificate> {
    let looking = Looking::default();
    let preferred = Preferred { host_key_certificates: Cow::Owned(vec![algorithm]), ..Preferred::default() };
    let config = Arc::new(Config { preferred, ..Config::default() });
    client::connect_stream(config, server.duplex(), looking.clone()).await.unwrap();
    looking.0.lock().unwrap().take()
}

fn authority_line(server: &TestServer) -> String {
    server.host_ca_known_hosts_line().unwrap()
}

#[tokio::test]
async fn each_host_key_has_a_certificate_by_the_authority() {
    let server = TestServer::builder()
        .host_key(HostKeyKind::Ed25519)
        .host_key(HostKeyKind::Rsa)
        .host_certificate(HostCertificate::signed(["web-1", "127.0.0.1"]))
        .start()
        .await
        .unwrap();
    for algorithm in [Algorithm::Ed25519, Algorithm::Rsa { hash: Some(HashAlg::Sha512) }] {
        let certificate = shown(&server, algorithm.clone()).await.unwrap();
        assert!(certificate.cert_type().is_host() && certificate.verify_signature().is_ok());
        assert_eq!(certificate.valid_principals(), ["web-1", "127.0.0.1"]);
        let authority = russh::keys::PublicKey::new(certificate.signature_key().clone(), "");
        let line = authority_line(&server);
        assert!(line.ends_with(&format!(" {}\n", authority.to_openssh().unwrap())), "{line}");
    }
    // A key that comes later has one too, for that key.
    let before = shown(&server, Algorithm::Ed25519).await.unwrap();
    server.swap_host_key(HostKeyKind::Ed25519).unwrap();
    let after = shown(&server, Algorithm::Ed25519).await.unwrap();
    assert_ne!(before.public_key(), after.public_key());
    assert_eq!(before.signature_key(), after.signature_key());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn authority_dates_and_certificate_can_be_given() -> Result<(), Error> {
    let from = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
    let other = TestServer::builder().fresh_host_key(HostKeyKind::Ed25519).start().await?;
    let theirs = HostCertificate::signed(["web-1"])
        .authority(other.host_private_key_openssh()?)
        .valid(from, from + Duration::from_secs(60));
    let server = TestServer::builder().host_certificate(theirs).start().await?;
    assert!(authority_line(&server).contains(other.host_key_openssh().trim()));
    let certificate = shown(&server, Algorithm::Ed25519).await.unwrap();
    assert_eq!((certificate.valid_after(), certificate.valid_before()), (1000, 1060));

    let copy = TestServer::builder()
        .host_key_openssh(server.host_private_key_openssh()?)
        .host_certificate(HostCertificate::given(certificate.to_openssh().unwrap()))
        .start()
        .await?;
    assert_eq!(shown(&copy, Algorithm::Ed25519).await.unwrap(), certificate);
    // One for another key would never be shown.
    let stray = TestServer::builder()
        .fresh_host_key(HostKeyKind::Ed25519)
        .host_certificate(HostCertificate::given(certificate.to_openssh().unwrap()));
    let error = stray.start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostKey);
    assert!(error.to_string().contains("is for none of the host keys"), "{error}");
    // One that came to fit no more is left aside.
    copy.swap_host_key(HostKeyKind::Ed25519)?;
    assert!(shown(&copy, Algorithm::Ed25519).await.is_none());

    let plain = TestServer::builder().start().await?;
    assert!(shown(&plain, Algorithm::Ed25519).await.is_none() && plain.host_ca_known_hosts_line().is_none());
    let unread =
        TestServer::builder().host_certificate(HostCertificate::given("no")).start().await.unwrap_err();
    assert_eq!(unread.kind(), ErrorKind::HostKey);
    for server in [other, server, copy, plain] {
        server.stop().await?;
    }
    Ok(())
}

/// What a client with one choice of each comes to.
async fn agrees(server: &TestServer, preferred: Preferred) -> Result<(), russh::Error> {
    let config = Arc::new(Config { preferred, ..Config::default() });
    client::connect_stream(config, server.duplex(), Looking::default()).await.map(drop)
}

#[tokio::test]
async fn old_servers_agree_with_old_choices_only() {
    let new = Preferred::default();
    let exchange = |name| Preferred { kex: Cow::Owned(vec![name]), ..new.clone() };
    let cipher = |name| Preferred { cipher: Cow::Owned(vec![name]), ..new.clone() };
    let mac = |name| Preferred {
        mac: Cow::Owned(vec![name]),
        cipher: Cow::Owned(vec![russh::cipher::AES_128_CTR]),
        ..new.clone()
    };
    let key = |name| Preferred { key: Cow::Owned(vec![name]), ..new.clone() };
    let rsa = |hash| key(Algorithm::Rsa { hash });
    let cases = [
        (Algorithms::group14_only(), exchange(kex::DH_G14_SHA256), true),
        (Algorithms::group14_only(), exchange(kex::DH_G14_SHA1), true),
        (Algorithms::group14_only(), exchange(kex::CURVE25519), false),
        (Algorithms::old_ctr_hmac(), exchange(kex::CURVE25519_PRE_RFC_8731), true),
        (Algorithms::old_ctr_hmac(), exchange(kex::DH_G14_SHA1), true),
        (Algorithms::old_ctr_hmac(), exchange(kex::MLKEM768X25519_SHA256), false),
        (Algorithms::old_ctr_hmac(), cipher(russh::cipher::AES_256_CTR), true),
        (Algorithms::old_ctr_hmac(), cipher(russh::cipher::AES_256_GCM), false),
        (Algorithms::old_ctr_hmac(), mac(russh::mac::HMAC_SHA1), true),
        (Algorithms::old_ctr_hmac(), mac(russh::mac::HMAC_SHA256_ETM), false),
        (Algorithms::rsa_sha2_only(), rsa(Some(HashAlg::Sha256)), true),
        (Algorithms::rsa_sha2_only(), rsa(None), false),
        (Algorithms::rsa_sha2_only(), key(Algorithm::Ed25519), false),
    ];
    for (n, (algorithms, preferred, agreed)) in cases.into_iter().enumerate() {
        let server = TestServer::builder()
            .user(alice())
            .host_key(HostKeyKind::Ed25519)
            .host_key(HostKeyKind::Rsa)
            .algorithms(algorithms)
            .start()
            .await
            .unwrap();
        let came = agrees(&server, preferred).await;
        assert_eq!(came.is_ok(), agreed, "case {n}: {came:?}");
        if let Err(error) = came {
            assert!(matches!(error, russh::Error::NoCommonAlgo { .. }), "case {n}: {error:?}");
        }
        server.stop().await.unwrap();
    }
}
