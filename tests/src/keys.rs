//! Key files made by the programs that people make them with.

use std::path::{Path, PathBuf};
use std::process::Command;

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
        let mut keygen = Command::new("ssh-keygen");
        // Few rounds: as many as it takes by default are for people who keep their key for years.
        keygen.args(["-q", "-a", "4", "-C", name, "-N", passphrase]).args(kind.arguments()).args(more);
        run(keygen.arg("-f").arg(&path));
        Self { path }
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
