//! Keys, certificates and the way to `ssh-keygen`.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use rustle_trust::{HostCertificate, HostName, KnownHosts, PresentedKey, PublicKey, Verdict};
use signature::Signer;
use ssh_key::private::Ed25519Keypair;

/// A moment within the validity of the certificates here: 2026-07-01.
pub(crate) const NOW: u64 = 1_782_864_000;

pub(crate) const ED25519: &str = include_str!("../data/ed25519.pub");
pub(crate) const ED25519_B: &str = include_str!("../data/ed25519b.pub");
pub(crate) const ECDSA_256: &str = include_str!("../data/ecdsa256.pub");
pub(crate) const ECDSA_384: &str = include_str!("../data/ecdsa384.pub");
pub(crate) const ECDSA_521: &str = include_str!("../data/ecdsa521.pub");
pub(crate) const RSA: &str = include_str!("../data/rsa.pub");
pub(crate) const RSA_B: &str = include_str!("../data/rsab.pub");
pub(crate) const DSA: &str = include_str!("../data/dsa.pub");

pub(crate) fn key(text: &str) -> PublicKey {
    PublicKey::from_openssh(text).unwrap()
}

pub(crate) fn host(name: &str) -> HostName {
    HostName::new(name).unwrap()
}

/// Lines of one file named `known_hosts`.
pub(crate) fn known(lines: &[String]) -> KnownHosts {
    let known = KnownHosts::parse("known_hosts", lines.join("\n").as_bytes()).unwrap();
    assert_eq!(known.problems(), &[], "the lines of this test are meant to be good");
    known
}

/// `hosts` and a key's text, without its newline.
pub(crate) fn line(hosts: &str, key: &str) -> String {
    format!("{hosts} {}", key.trim_end())
}

pub(crate) fn verdict(known: &KnownHosts, name: &str, port: u16, offered: &PresentedKey) -> Verdict {
    known.verdict(&host(name), port, offered, NOW)
}

pub(crate) fn certificate(text: &str) -> PresentedKey {
    PresentedKey::Certificate(Box::new(HostCertificate::from_openssh(text).unwrap()))
}

pub(crate) fn put_string(out: &mut Vec<u8>, string: &[u8]) {
    out.extend_from_slice(&u32::try_from(string.len()).unwrap().to_be_bytes());
    out.extend_from_slice(string);
}

/// A certificate for an Ed25519 key, with any fields, signed by an Ed25519 authority made from a seed.
pub(crate) struct CertificateFields {
    pub(crate) role: u32,
    pub(crate) principals: Vec<&'static [u8]>,
    pub(crate) valid_after: u64,
    pub(crate) valid_before: u64,
    pub(crate) critical: Vec<(&'static str, &'static [u8])>,
    pub(crate) extensions: Vec<(&'static str, &'static [u8])>,
}

impl Default for CertificateFields {
    fn default() -> Self {
        Self {
            role: 2,
            principals: vec![b"web-1"],
            valid_after: 0,
            valid_before: u64::MAX,
            critical: Vec::new(),
            extensions: Vec::new(),
        }
    }
}

impl CertificateFields {
    pub(crate) fn authority() -> Ed25519Keypair {
        Ed25519Keypair::from_seed(&[42; 32])
    }

    pub(crate) fn authority_key() -> PublicKey {
        let mut wire = Vec::new();
        put_string(&mut wire, b"ssh-ed25519");
        put_string(&mut wire, &Self::authority().public.0);
        PublicKey::from_wire(&wire).unwrap()
    }

    pub(crate) fn sign(&self) -> Vec<u8> {
        let mut wire = self.to_be_signed(Self::authority_key().wire());
        let signature = Self::authority().sign(&wire);
        let mut blob = Vec::new();
        put_string(&mut blob, b"ssh-ed25519");
        put_string(&mut blob, signature.as_bytes());
        put_string(&mut wire, &blob);
        wire
    }

    pub(crate) fn presented(&self) -> PresentedKey {
        PresentedKey::Certificate(Box::new(HostCertificate::from_wire(&self.sign()).unwrap()))
    }

    pub(crate) fn to_be_signed(&self, authority: &[u8]) -> Vec<u8> {
        let pairs = |pairs: &[(&str, &[u8])]| {
            let mut field = Vec::new();
            for (name, value) in pairs {
                put_string(&mut field, name.as_bytes());
                put_string(&mut field, value);
            }
            field
        };
        let mut principals = Vec::new();
        for principal in &self.principals {
            put_string(&mut principals, principal);
        }
        let mut wire = Vec::new();
        put_string(&mut wire, b"ssh-ed25519-cert-v01@openssh.com");
        put_string(&mut wire, &[7; 32]);
        put_string(&mut wire, &key(ED25519).wire()[4 + "ssh-ed25519".len() + 4..]);
        wire.extend_from_slice(&9u64.to_be_bytes());
        wire.extend_from_slice(&self.role.to_be_bytes());
        put_string(&mut wire, b"id \xff\x1b[31m");
        put_string(&mut wire, &principals);
        wire.extend_from_slice(&self.valid_after.to_be_bytes());
        wire.extend_from_slice(&self.valid_before.to_be_bytes());
        put_string(&mut wire, &pairs(&self.critical));
        put_string(&mut wire, &pairs(&self.extensions));
        put_string(&mut wire, b"");
        put_string(&mut wire, authority);
        wire
    }
}

/// The real program, in a directory of its own.
pub(crate) struct SshKeygen {
    program: PathBuf,
    directory: tempfile::TempDir,
}

impl SshKeygen {
    /// `None` where it is not on the `PATH`; then a line on stderr says which test was skipped.
    pub(crate) fn find(test: &str) -> Option<Self> {
        let name = format!("ssh-keygen{}", env::consts::EXE_SUFFIX);
        let path = env::var_os("PATH").unwrap_or_default();
        let found =
            env::split_paths(&path).map(|directory| directory.join(&name)).find(|program| program.is_file());
        if found.is_none() {
            // Straight to the stream: the test harness captures what `eprintln!` writes.
            let mut stderr = std::io::stderr();
            writeln!(stderr, "skipped {test}: {name} is not on the PATH").unwrap();
        }
        found.map(|program| Self { program, directory: tempfile::tempdir().unwrap() })
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    pub(crate) fn write(&self, file: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(file);
        std::fs::write(&path, contents).unwrap();
        path
    }

    pub(crate) fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).unwrap()
    }

    /// Its standard output; exit codes are for the caller to expect.
    pub(crate) fn run(&self, arguments: &[&str]) -> (bool, String) {
        let output =
            Command::new(&self.program).args(arguments).current_dir(self.directory.path()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub(crate) fn must_run(&self, arguments: &[&str]) -> String {
        let (ok, output) = self.run(arguments);
        assert!(ok, "ssh-keygen {arguments:?} failed");
        output
    }

    /// The numbers of the lines that `ssh-keygen -F` finds, with what it says of their markers.
    pub(crate) fn find_lines(&self, name: &str, file: &Path) -> Vec<(usize, String)> {
        let (_, output) = self.run(&["-F", name, "-f", file.to_str().unwrap()]);
        let found = output.lines().filter_map(|line| line.strip_prefix("# ")?.split_once(" found: line "));
        let found = found.map(|(_, place)| place.split_once(' ').unwrap_or((place, "")));
        found.map(|(number, marker)| (number.parse().unwrap(), marker.trim().to_owned())).collect()
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
