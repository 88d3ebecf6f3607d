//! What is negotiated with OpenSSH, and that commands run over it.

use rustle_session::{Algorithms, Negotiated, Session};
use rustle_tests::{Bulk, Server, Tally, interop};

#[test]
fn both_aes_gcm_ciphers_carry_commands() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        for cipher in ["aes256-gcm@openssh.com", "aes128-gcm@openssh.com"] {
            let agreed = carried(&server, Algorithms::default().with_ciphers(cipher).unwrap()).await;
            assert_eq!(agreed.cipher(), cipher);
            assert_eq!(agreed.mac(), None, "an AEAD needs no code of its own");
        }
    });
}

#[test]
fn chacha20_poly1305_carries_commands() {
    const CIPHER: &str = "chacha20-poly1305@openssh.com";
    interop(|interop| async move {
        let server = Server::start(&interop);
        let agreed = carried(&server, Algorithms::default().with_ciphers(CIPHER).unwrap()).await;
        assert_eq!(agreed.cipher(), CIPHER);
    });
}

#[test]
fn aes_ctr_with_encrypt_then_mac_carries_commands() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        for (cipher, mac) in [
            ("aes256-ctr", "hmac-sha2-256-etm@openssh.com"),
            ("aes192-ctr", "hmac-sha2-256-etm@openssh.com"),
            ("aes128-ctr", "hmac-sha2-512-etm@openssh.com"),
            ("aes256-ctr", "hmac-sha2-512-etm@openssh.com"),
        ] {
            let algorithms = Algorithms::default().with_ciphers(cipher).unwrap().with_macs(mac).unwrap();
            let agreed = carried(&server, algorithms).await;
            assert_eq!((agreed.cipher(), agreed.mac()), (cipher, Some(mac)));
        }
    });
}

#[test]
fn every_key_exchange_that_openssh_shares_carries_commands() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        for kex in [
            "curve25519-sha256",
            "curve25519-sha256@libssh.org",
            "ecdh-sha2-nistp256",
            "ecdh-sha2-nistp384",
            "ecdh-sha2-nistp521",
            "diffie-hellman-group16-sha512",
        ] {
            let session = server.session_with(Algorithms::default().with_kex(kex).unwrap()).await;
            assert_eq!(session.negotiated().unwrap().kex(), kex);
            assert!(session.output("true").await.unwrap().status.success(), "{kex}");
        }
    });
}

#[test]
fn strict_key_exchange_and_curve25519_are_what_openssh_and_the_defaults_agree_on() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let agreed = server.session().await.negotiated().unwrap();
        assert!(agreed.strict_kex(), "{agreed}");
        // Newer servers have the post-quantum exchange too, and then it comes first.
        assert!(["curve25519-sha256", "mlkem768x25519-sha256"].contains(&agreed.kex()), "{agreed}");
        assert_eq!(agreed.compression(), "none");
    });
}

#[test]
fn every_type_of_host_key_is_verified() {
    use rustle_tests::{KeyFile, KeyKind, Scratch};

    interop(|interop| async move {
        let folder = Scratch::new();
        for kind in KeyKind::ALL {
            let key = KeyFile::generate(&folder, &format!("host_{kind:?}"), kind);
            let server = Server::start_with(&interop, |sshd| sshd.host_key(key.clone()));
            let session = server.session().await;
            assert_eq!(session.host_key().unwrap().fingerprint(), key.fingerprint(), "{kind:?}");
        }
    });
}

/// Sends 10 MiB there and back over these algorithms, and gives back what was agreed on.
async fn carried(server: &Server, algorithms: Algorithms) -> Negotiated {
    let session = server.session_with(algorithms).await;
    echo(&session).await;
    session.negotiated().unwrap()
}

async fn echo(session: &Session) {
    let input = bytes::Bytes::from(std::io::read_to_string(Bulk::MIB_10.local().stdout.unwrap()).unwrap());
    let output = session.command("cat").stdin(input).output().await.unwrap();
    assert!(output.status.success());
    let mut tally = Tally::new();
    tally.add(&output.stdout);
    tally.assert_is(&Bulk::MIB_10);
}
