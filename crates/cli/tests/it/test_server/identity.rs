//! How a server of a script shows itself: the algorithms of old servers, and certificates for its host keys.

use rustle_session::{ErrorKind, Session};
use tempfile::TempDir;

use super::served::{Served, hello, output};

const ALICE: &str = "[[users]]\nname = \"alice\"\npassword = \"wonderland\"\n";

#[tokio::test]
async fn old_servers_can_be_had_by_their_names() {
    for (preset, has, has_not) in [
        ("old_ctr_hmac", "aes192-ctr", "chacha20-poly1305@openssh.com"),
        ("group14_only", "diffie-hellman-group14-sha256", "curve25519-sha256"),
        ("rsa_sha2_only", "rsa-sha2-512", "ssh-ed25519"),
    ] {
        let script = format!("host_keys = [{{ kind = \"rsa\" }}]\n[algorithms]\npreset = \"{preset}\"\n");
        let server = Served::script(&script).await;
        let (_, offered) = hello(&server).await;
        assert!(offered.contains(has) && !offered.contains(has_not), "{preset}: {offered}");
        assert_eq!(offered.contains("kex-strict"), preset != "old_ctr_hmac", "{preset}: {offered}");
        server.stop().await;
    }
    // What is said beside a preset goes over it.
    let server =
        Served::script("[algorithms]\npreset = \"group14_only\"\nciphers = [\"aes128-ctr\"]\n").await;
    let (_, offered) = hello(&server).await;
    assert!(offered.contains("aes128-ctr") && !offered.contains("aes256"), "{offered}");
    assert_eq!(output(&server.own_session().await, "echo in").await, "in\n");
    server.stop().await;
}

/// A client that trusts the authority alone.
async fn by_authority(server: &Served) -> Result<Session, rustle_session::Error> {
    let setup = server.setup("alice").password("wonderland".into()).resolve().unwrap();
    let line = format!("{}\n", server.told("known_hosts_authority"));
    assert!(line.starts_with("@cert-authority [127.0.0.1]:"), "{line}");
    std::fs::write(server.directory.path().join("known_hosts"), line).unwrap();
    setup.connect().await
}

fn with_keys() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("authority", include_str!("keys/host-authority")),
        ("host", include_str!("keys/user")),
        ("host-cert.pub", include_str!("keys/host-cert.pub")),
    ] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

#[tokio::test]
async fn host_keys_come_with_the_certificate_of_the_script() {
    let authority = include_str!("keys/host-authority.pub").split(' ').nth(1).unwrap();
    for (certificate, is_named) in [
        ("principals = [\"127.0.0.1\"]", false),
        ("principals = [\"127.0.0.1\"]\nauthority_file = \"authority\"", true),
        ("principals = [\"127.0.0.1\"]\nvalid_from = 1000000000\nvalid_until = 4000000000", false),
        ("file = \"host-cert.pub\"", true),
    ] {
        let script =
            format!("host_keys = [{{ file = \"host\" }}]\n{ALICE}[host_certificate]\n{certificate}\n");
        let server = Served::script_in(with_keys(), &script, &[]).await;
        assert_eq!(server.told("known_hosts_authority").contains(authority), is_named, "{certificate}");
        let session = by_authority(&server).await;
        assert!(session.is_ok(), "{certificate}: {:?}", session.err());
        drop(session);
        server.stop().await;
    }
    for (certificate, what) in [
        ("principals = [\"db.example\"]", "another host's"),
        // For any host: this client wants its name in it.
        ("principals = []", "nobody's"),
        ("principals = [\"127.0.0.1\"]\nvalid_until = 1000000000", "expired"),
        ("principals = [\"127.0.0.1\"]\nvalid_from = 4000000000", "not valid yet"),
    ] {
        let server = Served::script(&format!("{ALICE}[host_certificate]\n{certificate}\n")).await;
        let refused = by_authority(&server).await.err().unwrap_or_else(|| panic!("{what}"));
        assert!(
            !matches!(refused.kind(), ErrorKind::AuthenticationFailed | ErrorKind::Disconnected),
            "{what}: {refused}"
        );
        assert!(server.record().await["auth_attempts"].as_array().unwrap().is_empty(), "{what}");
        server.stop().await;
    }
    let server = Served::start(&[]).await;
    assert!(server.announced["known_hosts_authority"].is_null());
    server.stop().await;
}
