//! Hosts that a real sshd serves and that must not be trusted: each refusal has a code and a text of its own.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use rustle_session::{Connector, Error, ErrorKind, KnownHosts};
use rustle_tests::{Interop, KeyFile, KeyKind, Scratch, Server, interop, run, trust};

/// A host key and its certificate by an authority, and what a server with them is met with.
struct Site {
    folder: Scratch,
    authority: KeyFile,
    host_key: KeyFile,
}

impl Site {
    fn new() -> Self {
        let folder = Scratch::new();
        let authority = KeyFile::generate(&folder, "authority", KeyKind::Ed25519);
        let host_key = KeyFile::generate(&folder, "host", KeyKind::Ed25519);
        Self { folder, authority, host_key }
    }

    /// A server with a certificate that `ssh-keygen` signs by these arguments.
    fn certified(&self, interop: &Interop, arguments: &[&str]) -> Server {
        let certificate = self.authority.sign(&self.host_key, arguments);
        let line = format!("HostCertificate {}", certificate.display());
        Server::start_with(interop, |sshd| sshd.host_key(self.host_key.clone()).config(line))
    }

    fn trusting(&self, server: &Server, authority: &KeyFile) -> KnownHosts {
        let port = server.sshd().port();
        let line = format!("@cert-authority [127.0.0.1]:{port} {}\n", authority.public_line());
        trust(&self.folder.write("known_hosts", line))
    }

    /// A list that `ssh-keygen -k` makes.
    fn list(&self, specification: &str) -> PathBuf {
        let (list, spec) = (self.folder.join("krl"), self.folder.write("spec", specification));
        run(Command::new("ssh-keygen")
            .args(["-q", "-k", "-f"])
            .arg(&list)
            .arg("-s")
            .arg(self.authority.path())
            .arg(spec));
        list
    }
}

async fn refused(server: &Server, trust: KnownHosts, kind: ErrorKind, parts: &[&str]) -> Error {
    let error = Connector::new(server.target()).host_trust(trust).connect().await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error:?}");
    for part in parts {
        assert!(error.to_string().contains(part), "{part} is missing in: {error}");
    }
    assert!(error.hint().is_some(), "{error:?}");
    assert!(!error.is_retryable());
    error
}

#[test]
fn each_refusal_has_a_code_and_a_text_of_its_own() {
    interop(|interop| async move {
        let site = Site::new();
        let mut refusals = Vec::new();

        let plain = Server::start(&interop);
        let (port, key) = (plain.sshd().port(), plain.sshd().host_key().public_line());
        let other = KeyFile::generate(&site.folder, "other", KeyKind::Ed25519);
        let file = |text: String| site.folder.write("hosts", text);
        let new = trust(&file(String::new()));
        refusals.push(refused(&plain, new, ErrorKind::HostKeyUnknown, &["not known"]).await);
        let changed = trust(&file(format!("[127.0.0.1]:{port} {}\n", other.public_line())));
        refusals.push(refused(&plain, changed, ErrorKind::HostKeyChanged, &["changed", "hosts:1"]).await);
        let known = format!("[127.0.0.1]:{port} {key}\n");
        let marked = trust(&file(format!("{known}@revoked * {key}\n")));
        refusals.push(refused(&plain, marked, ErrorKind::HostKeyRevoked, &["revoked", "hosts:2"]).await);

        let good = ["-h", "-n", "127.0.0.1", "-z", "7", "-V", "+1h"];
        let expired = site.certified(&interop, &["-h", "-n", "127.0.0.1", "-V", "20200101:20200102"]);
        let trusting = site.trusting(&expired, &site.authority);
        refusals.push(refused(&expired, trusting, ErrorKind::HostCertificateExpired, &["expired"]).await);
        let misnamed = site.certified(&interop, &["-h", "-n", "web-1", "-V", "+1h"]);
        let trusting = site.trusting(&misnamed, &site.authority);
        refusals.push(refused(&misnamed, trusting, ErrorKind::HostCertificateName, &["web-1"]).await);
        let foreign = site.certified(&interop, &good);
        let trusting = site.trusting(&foreign, &other);
        let parts = ["authority", &site.authority.fingerprint()];
        refusals.push(refused(&foreign, trusting, ErrorKind::HostAuthorityUnknown, &parts).await);

        let codes: BTreeSet<&str> = refusals.iter().map(Error::code).collect();
        let texts: BTreeSet<String> = refusals.iter().map(ToString::to_string).collect();
        assert_eq!((codes.len(), texts.len()), (refusals.len(), refusals.len()), "{codes:?}");
        assert!(codes.iter().all(|code| code.starts_with("SSH_HOST_KEY")), "{codes:?}");
    });
}

#[test]
fn lists_of_ssh_keygen_revoke_keys_serial_numbers_ids_and_authorities() {
    interop(|interop| async move {
        let site = Site::new();
        let server = site.certified(&interop, &["-h", "-n", "127.0.0.1", "-z", "7", "-V", "+1h"]);
        let public = |key: &KeyFile| key.public_line();
        for (specification, part) in [
            ("serial: 5-9\n".to_owned(), "serial number 7"),
            ("id: signed by the suite\n".to_owned(), "key id"),
            (format!("sha256: {}\n", public(&site.host_key)), "host key"),
            (format!("key: {}\n", public(&site.authority)), "authority"),
        ] {
            let trusting = site.trusting(&server, &site.authority).revoked_keys(site.list(&specification));
            refused(&server, trusting, ErrorKind::HostKeyRevoked, &["revoked", part]).await;
        }
        let lines = site.folder.write("lines", format!("# stolen\n{}\n", public(&site.host_key)));
        let trusting = site.trusting(&server, &site.authority).revoked_keys(lines);
        refused(&server, trusting, ErrorKind::HostKeyRevoked, &["lines:2"]).await;
        let missing = site.trusting(&server, &site.authority).revoked_keys(site.folder.join("missing"));
        refused(&server, missing, ErrorKind::HostKeyRejected, &["missing"]).await;

        let others = site.list("serial: 8-9\nserial: 1-6\nid: another\n");
        let trusting = site.trusting(&server, &site.authority).revoked_keys(others);
        Connector::new(server.target()).host_trust(trusting).connect().await.unwrap();
    });
}

#[test]
fn a_command_knows_hosts_that_no_file_does() {
    interop(|interop| async move {
        let (site, server) = (Site::new(), Server::start(&interop));
        let key = server.sshd().host_key().public_line();
        let script = site.folder.write("script", format!("echo \"$1 {key}\"\n"));
        let none = site.folder.join("none");
        let line = |exit: &str| format!("/bin/sh -c '. {}; {exit}' sh %H", script.display());
        let command = |exit: &str| rustle_session::KnownHostsCommand::parse(&line(exit)).unwrap();
        let trusting = trust(&none).command(command("true"));
        Connector::new(server.target()).host_trust(trusting).connect().await.unwrap();
        let failing = trust(&none).accept_new().command(command("exit 1"));
        refused(&server, failing, ErrorKind::HostKeyRejected, &["KnownHostsCommand"]).await;
        assert!(!none.exists());
    });
}
