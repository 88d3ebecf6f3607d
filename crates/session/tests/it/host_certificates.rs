//! Host certificates: as `ssh-keygen` makes them, and as a server shows them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use rustle_session::{Error, ErrorKind, HostKeyOffer, HostTrust, KnownHosts, Session};
use rustle_testserver::{HostCertificate, HostKeyKind, TestServer};

use crate::known_hosts_file::Files;
use crate::support::{connector, credentials, server};

/// A host certificate made by ssh-keygen for `principal`, and the line of its authority.
fn signed(directory: &Path, principal: &str, validity: &str) -> Option<(Vec<u8>, String)> {
    let keygen = |arguments: &[&str]| -> Option<()> {
        match Command::new("ssh-keygen").current_dir(directory).arg("-q").args(arguments).output() {
            Ok(output) => {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                Some(())
            }
            Err(error) => {
                eprintln!("skipped: certificates by ssh-keygen: {error}");
                None
            }
        }
    };
    keygen(&["-t", "ed25519", "-N", "", "-C", "", "-f", "authority"])?;
    keygen(&["-t", "ed25519", "-N", "", "-C", "", "-f", "host"])?;
    keygen(&["-h", "-s", "authority", "-I", "test", "-n", principal, "-V", validity, "host.pub"])?;
    let certificate = fs::read_to_string(directory.join("host-cert.pub")).unwrap();
    let authority = fs::read_to_string(directory.join("authority.pub")).unwrap();
    let wire = ssh_key::Certificate::from_openssh(&certificate).unwrap().to_bytes().unwrap();
    Some((wire, format!("@cert-authority *.example {authority}")))
}

#[tokio::test]
async fn a_certificate_by_a_known_authority_is_trusted_for_its_name_alone() {
    let files = Files::new();
    let Some((wire, line)) = signed(files.directory.path(), "web-1.example", "always:forever") else {
        return;
    };
    fs::write(&files.path, line).unwrap();
    let offered = |host: &str| HostKeyOffer::from_wire(host, 22, &wire).unwrap();
    assert_eq!(offered("web-1.example").certificate_wire(), Some(&*wire));
    assert_eq!(offered("web-1.example").algorithm(), "ssh-ed25519");
    files.trust().check(&offered("web-1.example")).await.unwrap();
    let known = files.trust().known_algorithms("web-1.example", 22).await;
    assert_eq!(known[0], "ssh-ed25519-cert-v01@openssh.com", "{known:?}");

    let error = files.trust().accept_new().check(&offered("web-2.example")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostCertificateName, "another host's certificate: {error}");
    let error = files.trust().check(&offered("web-1.other")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostKeyUnknown, "an authority for other hosts: {error}");
}

#[tokio::test]
async fn an_expired_certificate_is_rejected_by_the_clock() {
    let files = Files::new();
    let validity = "20200101000000:20200102000000";
    let Some((wire, line)) = signed(files.directory.path(), "web-1.example", validity) else { return };
    fs::write(&files.path, line).unwrap();
    let offered = HostKeyOffer::from_wire("web-1.example", 22, &wire).unwrap();
    let error = files.trust().accept_new().check(&offered).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostCertificateExpired);
    assert!(error.to_string().contains("expired"), "{error}");
}

#[test]
fn a_certificate_with_a_bent_byte_is_no_certificate() {
    let files = Files::new();
    let Some((wire, _)) = signed(files.directory.path(), "web-1.example", "always:forever") else {
        return;
    };
    for index in [40, wire.len() / 2, wire.len() - 1] {
        let mut bent = wire.clone();
        bent[index] ^= 1;
        let error = HostKeyOffer::from_wire("web-1.example", 22, &bent).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyRejected, "byte {index}");
    }
}

async fn certified(certificate: HostCertificate) -> TestServer {
    server().host_certificate(certificate).start().await.unwrap()
}

fn authority_of(server: &TestServer) -> String {
    server.host_ca_known_hosts_line().unwrap()
}

/// The key in a line with a marker and a name.
fn key_of(line: &str) -> String {
    line.splitn(3, ' ').nth(2).unwrap().trim_end().to_owned()
}

async fn logged_in(server: &TestServer, trust: KnownHosts) -> Result<Session, Error> {
    let connected = connector(server).host_trust(trust).connect_over(server.duplex()).await?;
    Ok(connected.authenticate(&credentials()).await.unwrap())
}

#[tokio::test]
async fn a_server_with_a_certificate_is_trusted_by_its_authority_alone() {
    let server = certified(HostCertificate::signed(["web-1", "127.0.0.1"])).await;
    let files = Files::holding(&authority_of(&server));
    logged_in(&server, files.trust()).await.unwrap().close(Duration::from_secs(20)).await;
    // Its key may be another the next time: the authority answers for it.
    server.swap_host_key(HostKeyKind::Ed25519).unwrap();
    logged_in(&server, files.trust()).await.unwrap().close(Duration::from_secs(20)).await;
    assert_eq!(files.text(), authority_of(&server));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn each_certificate_that_does_not_hold_is_refused_by_a_code_of_its_own_and_nobody_logs_in() {
    const DAY: Duration = Duration::from_secs(86_400);
    let now = SystemTime::now();
    let here = || HostCertificate::signed(["127.0.0.1"]);
    let stranger = certified(HostCertificate::signed(["127.0.0.1"]).authority({
        let other = TestServer::builder().fresh_host_key(HostKeyKind::Ed25519).start().await.unwrap();
        let key = other.host_private_key_openssh().unwrap();
        other.stop().await.unwrap();
        key
    }))
    .await;
    let mut codes = BTreeSet::new();
    for (why, certificate, kind, part) in [
        (
            "expired",
            here().valid(SystemTime::UNIX_EPOCH, now - DAY),
            ErrorKind::HostCertificateExpired,
            "expired",
        ),
        (
            "not yet valid",
            here().valid(now + DAY, now + 2 * DAY),
            ErrorKind::HostCertificateExpired,
            "not valid",
        ),
        ("another host's", HostCertificate::signed(["web-1"]), ErrorKind::HostCertificateName, "web-1"),
        ("nobody's", HostCertificate::signed(Vec::<String>::new()), ErrorKind::HostCertificateName, "name"),
        ("of an unknown authority", here(), ErrorKind::HostAuthorityUnknown, "authority"),
        ("of a revoked key", here(), ErrorKind::HostKeyRevoked, "revoked"),
        ("on a list", here(), ErrorKind::HostKeyRevoked, "revoked"),
    ] {
        let server = certified(certificate).await;
        let line = authority_of(&server);
        let authority = &key_of(&line);
        let files = Files::holding(&match why {
            // The same name, with the key of another authority.
            "of an unknown authority" => line.replace(authority, &key_of(&authority_of(&stranger))),
            "of a revoked key" => format!("{line}@revoked * {}\n", server.host_key_openssh().trim()),
            _ => line.clone(),
        });
        let before = files.text();
        let mut trust = files.trust();
        if why == "on a list" {
            let list = files.directory.path().join("revoked");
            fs::write(&list, format!("{authority}\n")).unwrap();
            trust = trust.revoked_keys(list);
        }
        // An unknown authority makes a host new, as with ssh; all else is refused by every policy.
        let policies = match kind {
            ErrorKind::HostAuthorityUnknown => vec![trust],
            _ => vec![trust.clone(), trust.accept_new()],
        };
        for trust in policies {
            let error = logged_in(&server, trust).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{why}: {error}");
            assert!(error.to_string().contains(part), "{why}: {error}");
            assert!(error.hint().is_some() && !error.is_retryable(), "{why}: {error:?}");
            codes.insert(error.code());
        }
        assert_eq!(files.text(), before, "{why}");
        assert!(
            server.record().auth_attempts().is_empty(),
            "{why}: nothing is sent to a host that is refused"
        );
        server.stop().await.unwrap();
    }
    assert_eq!(codes.len(), 4, "{codes:?}");
    stranger.stop().await.unwrap();
}

#[tokio::test]
async fn an_authority_that_is_revoked_vouches_for_nobody() {
    let server = certified(HostCertificate::signed(["127.0.0.1"])).await;
    let line = authority_of(&server);
    let files = Files::holding(&format!("{line}@revoked * {}\n", key_of(&line)));
    // The certificate is asked for all the same: it alone shows who vouches for the host, whose plain key is new.
    for trust in [files.trust(), files.trust().accept_new()] {
        let error = logged_in(&server, trust).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyRevoked, "{error}");
    }
    server.stop().await.unwrap();
}
