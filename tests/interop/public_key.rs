//! Logging in by key: files in every format that people have, certificates, agents.

use std::path::Path;
use std::time::{Duration, Instant};

use rustle_session::{AgentSource, Credentials, ErrorKind, SecretString, Session};
use rustle_tests::{Agent, KeyFile, KeyKind, Scratch, Server, interop, interop_within, no_credentials};

/// Made by ssh-keygen for this test alone; its private number has 31 bytes.
const SHORT_P256: &str = "\
-----BEGIN OPENSSH PRIVATE KEY-----\n\
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAaAAAABNlY2RzYS\n\
1zaGEyLW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQS46bBkv+zOfhI9iFQ1r3mwYGORUyL6\n\
HkBCs3vyHXyV60PiPHXL7nlTtMmpOMUA1XFpotQt07cWT50Ssl8cC8eqAAAAqHxhof58Ya\n\
H+AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBLjpsGS/7M5+Ej2I\n\
VDWvebBgY5FTIvoeQEKze/IdfJXrQ+I8dcvueVO0yak4xQDVcWmi1C3TtxZPnRKyXxwLx6\n\
oAAAAfRx2hf6aoP5Hsjto8u0iVocoFKgorE7MLujEwz6RmugAAAAxFY2RzYVAyNTYxMDcB\n\
AgMEBQ==\n\
-----END OPENSSH PRIVATE KEY-----\n\
";

/// Made for this test alone; its private seed begins with one zero byte and ends with two.
const ZEROS_ED25519: &str = "\
-----BEGIN OPENSSH PRIVATE KEY-----\n\
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n\
QyNTUxOQAAACB0d4Z3HMaoyskuH6s9+3KtLfQNorfN45rnIKnTGN2uNQAAAIgSEmFGEhJh\n\
RgAAAAtzc2gtZWQyNTUxOQAAACB0d4Z3HMaoyskuH6s9+3KtLfQNorfN45rnIKnTGN2uNQ\n\
AAAEAAEThIn2SLtgzZXQwctKNefvq1RmeWNSkeHHOYW24AAHR3hnccxqjKyS4fqz37cq0t\n\
9A2it83jmucgqdMY3a41AAAABGJvdGgB\n\
-----END OPENSSH PRIVATE KEY-----\n\
";

/// Made by `openssl ec -des3` for this test alone, under the passphrase `correct horse`.
const TRIPLE_DES: &str = "\
-----BEGIN EC PRIVATE KEY-----\n\
Proc-Type: 4,ENCRYPTED\n\
DEK-Info: DES-EDE3-CBC,974A9559E183F2A7\n\
\n\
LOuUuXrjSOdSn/tGp+ZocRHSGD3D4FMYSQPPSUu515hl5rBx0jtuiq7QMxpJg5tA\n\
/QAHSZhqo8nZsT5TqU4O/wuog+9VNba3WSmIVeMDEAgzQBurabvCw6Zh3B3zTsyu\n\
vdsKjJIy9+y7cXxu5Xn471mTt4i4xhgT4C+NSsKO1O8=\n\
-----END EC PRIVATE KEY-----\n\
";

const PASSPHRASE: &str = "correct \"horse\" bättery";

#[test]
fn every_type_of_key_in_openssh_s_format_logs_in_also_encrypted() {
    interop(|interop| async move {
        let (server, folder) = (Server::start(&interop), Scratch::new());
        for kind in KeyKind::ALL {
            for passphrase in ["", PASSPHRASE] {
                let name = format!("{kind:?}{}", passphrase.len());
                let key = KeyFile::generate_as(&folder, &name, kind, &[], passphrase);
                assert_logs_in(&server, &key, key.path(), passphrase).await;
            }
        }
    });
}

#[test]
fn a_p256_key_with_a_short_number_logs_in() {
    interop(|interop| async move {
        let (server, folder) = (Server::start(&interop), Scratch::new());
        let key = KeyFile::of_text(&folder, "short", SHORT_P256);
        assert_logs_in(&server, &key, key.path(), "").await;
        let mut before = "";
        for cipher in ["aes256-ctr", "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"] {
            let mut keygen = std::process::Command::new("ssh-keygen");
            keygen.args(["-q", "-p", "-a", "4", "-Z", cipher, "-P", before, "-N", PASSPHRASE, "-f"]);
            rustle_tests::run(keygen.arg(key.path()));
            assert_logs_in(&server, &key, key.path(), PASSPHRASE).await;
            before = PASSPHRASE;
        }
    });
}

#[test]
fn every_cipher_of_openssh_s_format_is_read() {
    interop(|interop| async move {
        let (server, folder) = (Server::start(&interop), Scratch::new());
        for cipher in [
            "aes256-ctr",
            "aes128-ctr",
            "aes256-cbc",
            "aes256-gcm@openssh.com",
            "chacha20-poly1305@openssh.com",
        ] {
            let key = KeyFile::generate_as(&folder, cipher, KeyKind::Ed25519, &["-Z", cipher], PASSPHRASE);
            assert_logs_in(&server, &key, key.path(), PASSPHRASE).await;
        }
    });
}

#[test]
fn pem_and_pkcs8_files_of_ssh_keygen_log_in_also_encrypted() {
    interop_within(Duration::from_secs(120), |interop| async move {
        let (server, folder) = (Server::start(&interop), Scratch::new());
        // ssh-keygen writes ed25519 in its own format alone.
        for kind in [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::EcdsaP521, KeyKind::Rsa] {
            for (format, head) in [("PEM", " PRIVATE KEY-----"), ("PKCS8", "PRIVATE KEY-----")] {
                for passphrase in ["", PASSPHRASE] {
                    let name = format!("{kind:?}{format}{}", passphrase.len());
                    let key = KeyFile::generate_as(&folder, &name, kind, &["-m", format], passphrase);
                    let text = std::fs::read_to_string(key.path()).unwrap();
                    assert!(text.lines().next().unwrap().ends_with(head), "{text}");
                    assert!(!text.contains("OPENSSH"), "{name}: {text}");
                    assert_logs_in(&server, &key, key.path(), passphrase).await;
                }
            }
        }
    });
}

#[test]
fn a_key_in_triple_des_is_refused_with_the_way_to_rewrite_it() {
    interop(|interop| async move {
        let (server, folder) = (Server::start(&interop), Scratch::new());
        let path = folder.write("old", TRIPLE_DES);
        rustle_tests::run(std::process::Command::new("chmod").arg("600").arg(&path));
        let credentials = no_credentials().key_file(&path).passphrase(SecretString::from("correct horse"));
        let error = server.login(&credentials).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Key, "{error:?}");
        assert!(error.hint().unwrap().contains("ssh-keygen -p"), "{error:?}");
        // What the hint says helps.
        let mut keygen = std::process::Command::new("ssh-keygen");
        rustle_tests::run(keygen.args(["-q", "-p", "-P", "correct horse", "-N", "", "-f"]).arg(&path));
        let key = KeyFile::of_text(&folder, "old", &std::fs::read_to_string(&path).unwrap());
        assert_logs_in(&server, &key, key.path(), "").await;
    });
}

#[test]
fn putty_files_of_both_versions_log_in_also_encrypted() {
    interop_within(Duration::from_secs(120), |interop| async move {
        let (server, folder) = (Server::start(&interop), Scratch::new());
        for kind in KeyKind::ALL {
            let key = KeyFile::generate(&folder, &format!("{kind:?}"), kind);
            for version in [2, 3] {
                // PuTTY's tools take a passphrase as the bytes of the locale.
                for passphrase in ["", "correct \"horse\" battery"] {
                    let name = format!("{kind:?}{version}{}.ppk", passphrase.len());
                    let file = key.to_putty(&folder, &name, version, passphrase);
                    let text = std::fs::read_to_string(&file).unwrap();
                    assert!(text.starts_with(&format!("PuTTY-User-Key-File-{version}: ")), "{text}");
                    assert_eq!(text.contains("Encryption: none"), passphrase.is_empty(), "{text}");
                    assert_logs_in(&server, &key, &file, passphrase).await;
                }
            }
        }
    });
}

#[test]
fn a_putty_file_whose_seed_begins_and_ends_with_zero_bytes_logs_in() {
    interop(|interop| async move {
        let (server, folder) = (Server::start(&interop), Scratch::new());
        let key = KeyFile::of_text(&folder, "zeros", ZEROS_ED25519);
        for (version, passphrase) in [(2, ""), (2, "correct horse"), (3, ""), (3, "correct horse")] {
            let file =
                key.to_putty(&folder, &format!("{version}{}.ppk", passphrase.len()), version, passphrase);
            assert_logs_in(&server, &key, &file, passphrase).await;
        }
    });
}

#[test]
fn a_wrong_passphrase_is_an_error_of_the_key_and_names_the_file() {
    interop(|interop| async move {
        let (server, folder) = (Server::start(&interop), Scratch::new());
        let key = KeyFile::generate_as(&folder, "encrypted", KeyKind::Ed25519, &[], PASSPHRASE);
        server.sshd().authorize(&key.public_line());
        let credentials = no_credentials().key_file(key.path()).passphrase(SecretString::from("wrong"));
        let error = server.login(&credentials).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Key, "{error:?}");
        assert!(error.to_string().contains(key.path().to_str().unwrap()), "{error}");
    });
}

#[test]
fn rsa_keys_sign_with_sha2_and_never_with_sha1() {
    interop(|interop| async move {
        let folder = Scratch::new();
        let key = KeyFile::generate(&folder, "rsa", KeyKind::Rsa);
        let credentials = no_credentials().key_file(key.path());
        for (algorithm, is_taken) in [("rsa-sha2-512", true), ("ssh-rsa", false)] {
            let server = Server::configured(&interop, &format!("PubkeyAcceptedAlgorithms {algorithm}"));
            server.sshd().authorize(&key.public_line());
            let error = server.login(&credentials).await.err().map(|error| error.kind());
            assert_eq!(error, (!is_taken).then_some(ErrorKind::AuthenticationFailed), "{algorithm}");
        }
    });
}

#[test]
fn a_certificate_signed_by_ssh_keygen_logs_in_where_its_key_alone_does_not() {
    interop(|interop| async move {
        let folder = Scratch::new();
        let authority = KeyFile::generate(&folder, "authority", KeyKind::Ed25519);
        let server = trusting(&interop, &authority);
        for kind in KeyKind::ALL {
            let key = KeyFile::generate(&folder, &format!("{kind:?}"), kind);
            let credentials = no_credentials().key_file(key.path());
            let error = server.login(&credentials).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AuthenticationFailed, "{error:?}");

            let certificate = authority.sign(&key, &["-n", interop.user(), "-V", "+1h"]);
            let session = server.login(&credentials).await.unwrap();
            assert_runs(&session).await;

            // Elsewhere, and named.
            let moved = folder.join(format!("{kind:?}.certificate"));
            std::fs::rename(&certificate, &moved).unwrap();
            let session = server.login(&credentials.certificate_file(&moved)).await.unwrap();
            assert_runs(&session).await;
        }
        let log = server.sshd().log();
        assert!(log.contains("Accepted publickey") && log.contains("ID signed by the suite"), "{log}");
    });
}

#[test]
fn a_certificate_for_another_user_or_time_is_refused() {
    interop(|interop| async move {
        let folder = Scratch::new();
        let authority = KeyFile::generate(&folder, "authority", KeyKind::Ed25519);
        let server = trusting(&interop, &authority);
        for (number, arguments) in
            [["-n", "somebody-else", "-V", "+1h"], ["-n", interop.user(), "-V", "20200101:20200102"]]
                .iter()
                .enumerate()
        {
            let key = KeyFile::generate(&folder, &format!("key{number}"), KeyKind::Ed25519);
            authority.sign(&key, arguments);
            let error = server.login(&no_credentials().key_file(key.path())).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AuthenticationFailed, "{error:?}");
        }
    });
}

#[test]
fn every_type_of_key_in_an_agent_logs_in() {
    interop(|interop| async move {
        let (server, folder) = (Server::start(&interop), Scratch::new());
        for kind in KeyKind::ALL {
            let agent = Agent::start();
            let key = KeyFile::generate(&folder, &format!("{kind:?}"), kind);
            agent.add(&key);
            server.sshd().authorize(&key.public_line());
            let session = server.login(&with_agent(&agent)).await.unwrap();
            assert_accepted(&server, &session, &key).await;
            assert_runs(&session).await;
        }
    });
}

#[test]
fn a_certificate_in_an_agent_logs_in() {
    interop(|interop| async move {
        let (folder, agent) = (Scratch::new(), Agent::start());
        let authority = KeyFile::generate(&folder, "authority", KeyKind::EcdsaP256);
        let server = trusting(&interop, &authority);
        let key = KeyFile::generate(&folder, "key", KeyKind::Ed25519);
        authority.sign(&key, &["-n", interop.user(), "-V", "+1h"]);
        agent.add(&key);
        assert_runs(&server.login(&with_agent(&agent)).await.unwrap()).await;
    });
}

#[test]
fn an_agent_full_of_keys_needs_to_be_told_which_one() {
    interop(|interop| async move {
        let (folder, agent) = (Scratch::new(), Agent::start());
        let server = Server::configured(&interop, "MaxAuthTries 6");
        for number in 0..8 {
            agent.add(&KeyFile::generate(&folder, &format!("other{number}"), KeyKind::Ed25519));
        }
        let key = KeyFile::generate(&folder, "right", KeyKind::Ed25519);
        agent.add(&key);
        server.sshd().authorize(&key.public_line());
        let error = server.login(&with_agent(&agent)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AuthenticationFailed, "{error:?}");
        assert!(format!("{error} {}", error.hint().unwrap()).contains("IdentitiesOnly"), "{error:?}");

        // Its public half is enough to pick it from the agent.
        let credentials = with_agent(&agent).identities_only().key_file(key.public_path());
        assert_accepted(&server, &server.login(&credentials).await.unwrap(), &key).await;
    });
}

#[test]
fn a_refusal_lists_what_was_tried_and_what_is_still_offered() {
    interop(|interop| async move {
        let (server, folder) = (Server::start(&interop), Scratch::new());
        let key = KeyFile::generate(&folder, "unknown", KeyKind::Ed25519);
        let connected = server.connector().connect().await.unwrap();
        let rejected = connected.authenticate(&no_credentials().key_file(key.path())).await.unwrap_err();
        assert_eq!(rejected.error().kind(), ErrorKind::AuthenticationFailed);
        assert_eq!(rejected.error().code(), "SSH_AUTH_FAILED");
        let shown = rejected.to_string();
        assert!(shown.contains("publickey") && shown.contains(key.path().to_str().unwrap()), "{shown}");
        assert_eq!(rejected.may_continue(), ["publickey"]);
        // The same connection takes the right key.
        let connected = rejected.into_unauthenticated().expect("the server takes more attempts");
        let session = connected.authenticate(&server.credentials()).await.unwrap();
        assert_runs(&session).await;
    });
}

/// A server that trusts this authority for every account, and no key by itself.
fn trusting(interop: &rustle_tests::Interop, authority: &KeyFile) -> Server {
    Server::configured(interop, &format!("TrustedUserCAKeys {}", authority.public_path().display()))
}

fn with_agent(agent: &Agent) -> Credentials {
    no_credentials().agent(AgentSource::Path(agent.socket().to_owned()))
}

async fn assert_logs_in(server: &Server, key: &KeyFile, file: &Path, passphrase: &str) {
    server.sshd().authorize(&key.public_line());
    let mut credentials = no_credentials().key_file(file);
    if !passphrase.is_empty() {
        credentials = credentials.passphrase(SecretString::from(passphrase));
    }
    let session = server.login(&credentials).await;
    let session = session.unwrap_or_else(|error| panic!("{}: {error:?}", file.display()));
    assert_accepted(server, &session, key).await;
}

/// It was this key that opened the door, as the server tells it, which may be a moment after it let us in.
async fn assert_accepted(server: &Server, session: &Session, key: &KeyFile) {
    assert_eq!(session.method(), "publickey");
    let fingerprint = key.fingerprint();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let log = server.sshd().log();
        let mut accepted = log.lines().filter(|line| line.starts_with("Accepted publickey"));
        let last = accepted.next_back().unwrap_or_default();
        if last.ends_with(&fingerprint) {
            return;
        }
        assert!(Instant::now() < deadline, "not {fingerprint}: {last}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn assert_runs(session: &Session) {
    assert!(session.output("true").await.unwrap().status.success());
}
