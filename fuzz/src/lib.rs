//! What is fuzzed: the readers of the user's files, and of what comes from a server of names or of files. Each function
//! takes any bytes and must come back without a panic, whatever they are; what it asserts besides must hold of all that is
//! read.
//!
//! The targets in `fuzz_targets/` hand them to libFuzzer. The tests hand them the seeds and mutations of these, so that
//! they are run where there is no fuzzer too.

mod sftp;

use rustle_session::fuzzing;
use rustle_ssh_config::{ConfigFile, Defaults, MemorySource, Query, resolve};
use rustle_trust::{HostCertificate, HostName, KnownHosts, PresentedKey, PublicKey, RevokedKeys};

pub use sftp::{sftp_answers, sftp_client, sftp_requests};

/// Some day in 2026, for certificates.
const NOW: u64 = 1_790_000_000;
const HOME: &str = "/home/alice";

/// A configuration that may include itself under three names.
pub fn ssh_config(data: &[u8]) {
    let source = MemorySource::new("alice", HOME)
        .file(format!("{HOME}/.ssh/config"), data)
        .file(format!("{HOME}/.ssh/a"), data)
        .file(format!("{HOME}/.ssh/b.conf"), data)
        .file("/etc/ssh/ssh_config", data)
        .variable("HOME", HOME);
    let Ok(files) = ConfigFile::defaults(&source) else { unreachable!("the home is known") };
    for host in ["web", "db.example.com"] {
        if let Ok(settings) = resolve(&Query::new(host), &files, &source) {
            for line in settings.lines(&Defaults::openssh()) {
                assert!(!line.contains(['\n', '\r', '\0']), "a value ends its line: {line:?}");
            }
        }
    }
}

/// A file of known hosts, and what it says of a few hosts.
pub fn known_hosts(data: &[u8]) {
    let Ok(known) = KnownHosts::parse("known_hosts", data) else { return };
    let lines = data.split(|byte| *byte == b'\n').count();
    for (name, port) in [("web-1", 22), ("web-1", 2222), ("10.0.0.7", 22), ("::1", 22)] {
        let Ok(host) = HostName::new(name) else { unreachable!("{name} is a name") };
        let entries = known.entries(&host, port);
        assert!(entries.len() <= lines, "more entries than lines");
        assert!(entries.iter().all(|entry| (1..=lines).contains(&entry.place().line())));
        for entry in entries.into_iter().take(2) {
            let presented = PresentedKey::Key(entry.key().clone());
            let _ = known.verdict(&host, port, &presented, NOW).to_string();
        }
    }
    assert!(known.problems().len() <= 100);
}

/// A host certificate or a key, as a server sends it.
pub fn host_certificate(data: &[u8]) {
    let _ = PublicKey::from_wire(data).map(|key| key.fingerprint_sha256());
    if let Ok(certificate) = HostCertificate::from_wire(data) {
        if let Ok(host) = HostName::new("web-1") {
            let _ = certificate.check(&host, NOW);
        }
        let _ = certificate.authority().fingerprint_sha256();
    }
}

/// A list of revoked keys, binary or text, asked about a key.
pub fn revoked_keys(data: &[u8]) {
    let Ok(revoked) = RevokedKeys::parse("revoked", data) else { return };
    if let (Ok(known), Ok(host)) = (KnownHosts::parse("known_hosts", LINE), HostName::new("web-1")) {
        for entry in known.entries(&host, 22) {
            let _ = revoked.revokes(&PresentedKey::Key(entry.key().clone()));
        }
    }
    let _ = (revoked.version(), revoked.generated(), revoked.comment().map(str::len));
}

/// A file of a private key, of every format, without a passphrase and with one.
pub fn private_key(data: &[u8]) {
    let _ = fuzzing::private_key(data);
}

/// A message of a DNS server.
pub fn dns_answer(data: &[u8]) {
    /// The least that a record takes, its name a pointer.
    const RECORD: usize = 12;
    let records = fuzzing::dns_answer(data).unwrap_or_default();
    assert!(records <= data.len() / RECORD, "{records} records in {} bytes", data.len());
}

const LINE: &[u8] = b"web-1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
