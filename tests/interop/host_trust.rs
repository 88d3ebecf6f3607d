//! Trust in host keys, against what OpenSSH's own programs write and read.

use std::path::Path;
use std::process::Command;

use rustle_session::{Connector, ErrorKind, HostHashing, KnownHosts};
use rustle_tests::{KeyFile, KeyKind, Scratch, Server, interop, output_of, run, trust};

#[test]
fn hosts_collected_by_ssh_keyscan_are_known_plain_and_hashed() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        for hashed in [&[][..], &["-H"][..]] {
            let mut scan = Command::new("ssh-keyscan");
            scan.args(hashed).args(["-p", &server.sshd().port().to_string(), "127.0.0.1"]);
            let file = server.sshd().folder().write("known_hosts", run(&mut scan).stdout);
            connector(&server, trust(&file).strict()).connect().await.unwrap();
        }
    });
}

#[test]
fn a_host_that_ssh_wrote_down_is_known() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        for hashed in ["yes", "no"] {
            let file = server.sshd().folder().join(format!("known_hosts_{hashed}"));
            let mut ssh = ssh(&server, &file);
            run(ssh
                .args(["-o", "StrictHostKeyChecking=accept-new", "-o", &format!("HashKnownHosts={hashed}")])
                .args(["127.0.0.1", "true"]));
            connector(&server, trust(&file).strict()).connect().await.unwrap();
        }
    });
}

#[test]
fn a_host_that_was_written_down_here_is_known_to_ssh() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        for hashing in [HostHashing::Plain, HostHashing::Hashed] {
            let file = server.sshd().folder().join(format!("known_hosts_{hashing:?}"));
            let error = connector(&server, trust(&file).strict()).connect().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::HostKeyUnknown, "{error:?}");
            assert!(error.to_string().contains(&server.sshd().host_key().fingerprint()), "{error}");
            assert!(!file.exists(), "strict writes nothing");

            connector(&server, trust(&file).accept_new().hash_new(hashing)).connect().await.unwrap();
            let written = std::fs::read_to_string(&file).unwrap();
            assert_eq!(written.starts_with("|1|"), hashing == HostHashing::Hashed, "{written}");
            run(ssh(&server, &file).args(["-o", "StrictHostKeyChecking=yes", "127.0.0.1", "true"]));
        }
    });
}

#[test]
fn a_changed_key_is_refused_with_both_fingerprints_and_the_line() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let folder = Scratch::new();
        let former = KeyFile::generate(&folder, "former", KeyKind::Ed25519);
        let port = server.sshd().port();
        let file = folder
            .write("known_hosts", format!("# a comment\n[127.0.0.1]:{port} {}\n", former.public_line()));
        for trust in [trust(&file).strict(), trust(&file).accept_new()] {
            let error = connector(&server, trust).connect().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::HostKeyChanged);
            let shown = error.to_string();
            for part in [
                former.fingerprint(),
                server.sshd().host_key().fingerprint(),
                format!("{}:2", file.display()),
            ] {
                assert!(shown.contains(&part), "{part} is missing in {shown}");
            }
        }
        let refused =
            output_of(ssh(&server, &file).args(["-o", "StrictHostKeyChecking=yes", "127.0.0.1", "true"]));
        assert!(!refused.status.success(), "ssh agrees");
    });
}

#[test]
fn a_host_certificate_is_trusted_by_its_authority_for_its_names_alone() {
    interop(|interop| async move {
        let folder = Scratch::new();
        let authority = KeyFile::generate(&folder, "authority", KeyKind::EcdsaP256);
        let host_key = KeyFile::generate(&folder, "host", KeyKind::Ed25519);
        for (names, is_right) in [("127.0.0.1", true), ("somewhere.else", false)] {
            let certificate = authority.sign(&host_key, &["-h", "-n", names, "-V", "+1h"]);
            let server = Server::start_with(&interop, |sshd| {
                sshd.host_key(host_key.clone()).config(format!("HostCertificate {}", certificate.display()))
            });
            let port = server.sshd().port();
            let line = format!("@cert-authority [127.0.0.1]:{port} {}\n", authority.public_line());
            let file = folder.write("known_hosts", &line);
            let ssh =
                output_of(ssh(&server, &file).args(["-o", "StrictHostKeyChecking=yes", "127.0.0.1", "true"]));
            assert_eq!(ssh.status.success(), is_right, "what ssh says of {names}");
            let connected = connector(&server, trust(&file).strict()).connect().await;
            match connected {
                Ok(connected) if is_right => {
                    let agreed = connected.negotiated().unwrap();
                    assert_eq!(agreed.host_key(), "ssh-ed25519-cert-v01@openssh.com");
                }
                Err(error) if !is_right => {
                    assert_eq!(error.kind(), ErrorKind::HostCertificateName, "{error:?}")
                }
                other => panic!("a certificate for {names}: {other:?}"),
            }
        }
    });
}

#[test]
fn a_revoked_key_is_refused_though_it_is_known() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let (port, key) = (server.sshd().port(), server.sshd().host_key().public_line());
        let lines = format!("[127.0.0.1]:{port} {key}\n@revoked * {key}\n");
        let file = server.sshd().folder().write("known_hosts", lines);
        let error = connector(&server, trust(&file).accept_new()).connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyRevoked, "{error:?}");
    });
}

#[test]
fn a_server_with_several_keys_shows_the_one_that_is_on_record() {
    interop(|interop| async move {
        let folder = Scratch::new();
        let rsa = KeyFile::generate(&folder, "host_rsa", KeyKind::Rsa);
        let server = Server::configured(&interop, &format!("HostKey {}", rsa.path().display()));
        let port = server.sshd().port();
        let file = folder.write("known_hosts", format!("[127.0.0.1]:{port} {}\n", rsa.public_line()));
        let connected = connector(&server, trust(&file).strict()).connect().await.unwrap();
        assert_eq!(connected.host_key().unwrap().fingerprint(), rsa.fingerprint());
    });
}

#[test]
fn a_host_known_without_its_port_is_known_as_far_as_ssh_takes_it() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let folder = Scratch::new();
        let other = KeyFile::generate(&folder, "other", KeyKind::Ed25519);
        for (key, is_right) in [(server.sshd().host_key(), true), (&other, false)] {
            let file = folder.write("known_hosts", format!("127.0.0.1 {}\n", key.public_line()));
            let mut ssh = ssh(&server, &file);
            let ssh = output_of(ssh.args(["-o", "StrictHostKeyChecking=yes", "127.0.0.1", "true"]));
            assert_eq!(ssh.status.success(), is_right, "what ssh says");
            let connected = connector(&server, trust(&file).strict()).connect().await;
            let kind = connected.err().map(|error| error.kind());
            assert_eq!(
                kind,
                (!is_right).then_some(ErrorKind::HostKeyUnknown),
                "another port is another host"
            );
        }
    });
}

fn connector(server: &Server, trust: KnownHosts) -> Connector {
    Connector::new(server.target()).host_trust(trust)
}

/// OpenSSH's client with the server's key, this file of hosts and nothing of the machine's own.
fn ssh(server: &Server, known_hosts: &Path) -> Command {
    let mut ssh = Command::new("ssh");
    ssh.args(["-F", "/dev/null", "-o", "BatchMode=yes", "-o", "GlobalKnownHostsFile=/dev/null"]);
    ssh.args(["-o", &format!("UserKnownHostsFile={}", known_hosts.display()), "-o", "IdentitiesOnly=yes"]);
    ssh.args(["-p", &server.sshd().port().to_string(), "-l", server.user(), "-i"]).arg(server.key().path());
    ssh
}
