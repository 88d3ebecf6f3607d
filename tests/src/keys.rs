//! Key files made by the programs that people make them with.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64ct::{Base64, Encoding};

use crate::scratch::Scratch;
use crate::tool::{run, text_of};

/// The types of key that `ssh-keygen` makes without hardware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// `ssh-ed25519`.
    Ed25519,
    /// `ecdsa-sha2-nistp256`.
    EcdsaP256,
    /// `ecdsa-sha2-nistp384`.
    EcdsaP384,
    /// `ecdsa-sha2-nistp521`.
    EcdsaP521,
    /// `ssh-rsa` with 2048 bits, signing with SHA-2.
    Rsa,
}

/// A private key file with its public half beside it.
#[derive(Debug, Clone)]
pub struct KeyFile {
    path: PathBuf,
}

impl KeyKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Ed25519, Self::EcdsaP256, Self::EcdsaP384, Self::EcdsaP521, Self::Rsa];

    /// `-t` and `-b` of `ssh-keygen`.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Ed25519 => &["-t", "ed25519"],
            Self::EcdsaP256 => &["-t", "ecdsa", "-b", "256"],
            Self::EcdsaP384 => &["-t", "ecdsa", "-b", "384"],
            Self::EcdsaP521 => &["-t", "ecdsa", "-b", "521"],
            Self::Rsa => &["-t", "rsa", "-b", "2048"],
        }
    }
}

impl KeyFile {
    /// Makes a key without a passphrase, in OpenSSH's own format.
    ///
    /// # Panics
    /// Where `ssh-keygen` fails.
    #[must_use]
    pub fn generate(folder: &Scratch, name: &str, kind: KeyKind) -> Self {
        Self::generate_as(folder, name, kind, &[], "")
    }

    /// Makes a key with more arguments for `ssh-keygen`, such as `-m PEM`, and a passphrase.
    ///
    /// # Panics
    /// Where `ssh-keygen` fails.
    #[must_use]
    pub fn generate_as(folder: &Scratch, name: &str, kind: KeyKind, more: &[&str], passphrase: &str) -> Self {
        let path = folder.join(name);
        loop {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-C", name, "-N", ""]).args(kind.arguments());
            run(keygen.arg("-f").arg(&path));
            let key = Self { path: path.clone() };
            if !key.has_short_number() {
                break;
            }
            for file in [&key.path, &key.public_path()] {
                std::fs::remove_file(file).expect("a file just made");
            }
        }
        if !more.is_empty() || !passphrase.is_empty() {
            let mut keygen = Command::new("ssh-keygen");
            // Few rounds: as many as it takes by default are for people who keep their key for years.
            keygen.args(["-q", "-p", "-a", "4", "-P", "", "-N", passphrase]).args(more);
            run(keygen.arg("-f").arg(&path));
        }
        Self { path }
    }

    /// Whether this is one of the 256th part of P-256 keys whose private number has a byte less than the others.
    /// They have a test of their own; a test that draws its keys should not fail by the draw.
    fn has_short_number(&self) -> bool {
        const CURVE: &[u8] = b"nistp256";
        let text = std::fs::read_to_string(&self.path).expect("a key just made");
        let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        let bytes = Base64::decode_vec(&base64).expect("a key file");
        // The curve's name stands before the public point, the point before the number, each with its length.
        let Some(at) = bytes.windows(CURVE.len()).rposition(|window| window == CURVE) else { return false };
        let point = at + CURVE.len();
        let length = |at: usize| {
            bytes
                .get(at..at + 4)
                .map(|length| u32::from_be_bytes([length[0], length[1], length[2], length[3]]))
        };
        let number =
            length(point).and_then(|point_length| length(point + 4 + usize::try_from(point_length).ok()?));
        number.is_some_and(|length| length < 32)
    }

    /// A private key that is there already, without a passphrase.
    ///
    /// # Panics
    /// Where `ssh-keygen` cannot read it.
    #[must_use]
    pub fn of_text(folder: &Scratch, name: &str, text: &str) -> Self {
        let key = Self { path: folder.write(name, text) };
        run(Command::new("chmod").arg("600").arg(&key.path));
        let public = text_of(Command::new("ssh-keygen").arg("-yf").arg(&key.path));
        folder.write(format!("{name}.pub"), public);
        key
    }

    /// The same key in PuTTY's format of this version, under another name.
    ///
    /// # Panics
    /// Where `puttygen` fails.
    #[must_use]
    pub fn to_putty(&self, folder: &Scratch, name: &str, version: u8, passphrase: &str) -> PathBuf {
        let path = folder.join(name);
        let secret = folder.write(format!("{name}.passphrase"), passphrase);
        let mut puttygen = Command::new("puttygen");
        puttygen.arg(&self.path).args(["-q", "-O", "private"]);
        // Little memory and time for Argon2: it is the format that is tested.
        puttygen.args(["--ppk-param", &format!("version={version},memory=1024,passes=2")]);
        run(puttygen.arg("--new-passphrase").arg(secret).arg("-o").arg(&path));
        path
    }

    /// The private key file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The public key file.
    #[must_use]
    pub fn public_path(&self) -> PathBuf {
        beside(&self.path, ".pub")
    }

    /// The line of the public key file.
    ///
    /// # Panics
    /// Where it cannot be read.
    #[must_use]
    pub fn public_line(&self) -> String {
        let path = self.public_path();
        let line = std::fs::read_to_string(&path);
        line.unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim_end().to_owned()
    }

    /// Its fingerprint, `SHA256:…`.
    ///
    /// # Panics
    /// Where `ssh-keygen` fails.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let line = text_of(Command::new("ssh-keygen").arg("-lf").arg(self.public_path()));
        line.split(' ').nth(1).expect("a fingerprint").to_owned()
    }

    /// Has this key, as an authority, sign another; `arguments` say for whom. Gives back the certificate's file.
    ///
    /// # Panics
    /// Where `ssh-keygen` fails.
    #[allow(clippy::must_use_candidate, reason = "that it lies beside the key is often all that is wanted")]
    pub fn sign(&self, subject: &Self, arguments: &[&str]) -> PathBuf {
        let mut keygen = Command::new("ssh-keygen");
        keygen.arg("-q").arg("-s").arg(&self.path).args(["-I", "signed by the suite"]).args(arguments);
        run(keygen.arg(subject.public_path()));
        beside(&subject.path, "-cert.pub")
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
