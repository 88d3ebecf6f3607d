//! Private key files: found, checked, and opened when they are needed.
//!
//! Opening goes in two steps, as in ssh. [`KeyFile::open`] reads the file and learns the public half, for
//! which most formats need no passphrase; [`KeyFile::unlock`] gets at the private half, and is called only
//! once the server has said that it would take the key.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(feature = "fuzzing")]
use secrecy::SecretSlice;
use secrecy::{ExposeSecret, SecretString};
use ssh_key::{Algorithm, Certificate, PrivateKey, PublicKey};

use super::credentials::KeyOrigin;
use super::format::{Format, NotPrivate, PemCipher, Protection};
use super::offer::{decode_base64, parse_certificate_line, parse_public_line};
use super::problem::{Fault, KeyProblem};
use crate::base::keys::{self, Undecoded};
#[cfg(feature = "fuzzing")]
use crate::fuzzing;
use crate::secret::SecretBuf;

/// The largest key file read; an RSA key of 16384 bits takes 13 KiB.
const MAX_KEY_FILE: usize = 1024 * 1024;

/// A private key, encrypted or not.
#[derive(Debug)]
pub(crate) struct KeyFile {
    label: String,
    path: Option<PathBuf>,
    text: SecretBuf,
    format: Format,
    public: Option<PublicKey>,
    private: Mutex<Option<Arc<PrivateKey>>>,
}

/// What a file named as a key turned out to be.
#[derive(Debug)]
pub(crate) enum Opened {
    Private(Arc<KeyFile>),
    /// A public key, which may stand for a private one in the agent.
    Public(PublicKey),
}

impl KeyFile {
    /// Reads and checks a key file, without its passphrase. Blocks.
    ///
    /// # Errors
    /// What is wrong with the file, with its path.
    pub(crate) fn open(origin: &KeyOrigin) -> Result<Opened, KeyProblem> {
        if let KeyOrigin::Memory(key) = origin
            && let Some(file) = key.opened.get()
        {
            return Ok(Opened::Private(Arc::clone(file)));
        }
        let label = label(origin);
        let problem = |fault| KeyProblem::new(&label, fault);
        let mut permissions = Ok(());
        let text = match origin {
            KeyOrigin::File(path) => {
                let (file, size) = open_file(path).map_err(problem)?;
                permissions = check_permissions(&file);
                read_file(file, size).map_err(problem)?
            }
            KeyOrigin::Memory(key) => {
                let key = key.text.expose_secret();
                if key.len() > MAX_KEY_FILE {
                    return Err(problem(Fault::TooLarge));
                }
                SecretBuf::from_vec(key.to_vec())
            }
        };
        let format = match Format::of(text.as_slice()) {
            Ok(format) => format,
            Err(NotPrivate::Public) => {
                let line = text.as_str().and_then(|text| text.lines().find_map(parse_public_line));
                return line.map(Opened::Public).ok_or_else(|| problem(Fault::PublicFile));
            }
            Err(why) => return Err(problem(Fault::NotPrivate(why))),
        };
        // Only now: a public key may be as open as it likes.
        permissions.map_err(problem)?;
        let path = origin.path().map(Path::to_owned);
        let mut file = Self { label, path, text, format, public: None, private: Mutex::new(None) };
        file.public = file.find_public()?;
        let file = Arc::new(file);
        if let KeyOrigin::Memory(key) = origin
            && file.unlock(None).is_ok()
        {
            // Whoever was first, it is the same key.
            let _ = key.opened.set(Arc::clone(&file));
        }
        Ok(Opened::Private(file))
    }

    /// How messages name this key: its path.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Whether it was read from a file, and not given in memory.
    pub(crate) fn is_in_a_file(&self) -> bool {
        self.path.is_some()
    }

    /// The public half, where it could be learnt without the passphrase.
    pub(crate) fn public(&self) -> Option<&PublicKey> {
        self.public.as_ref()
    }

    /// Whether this is the handle of a security key, which only an agent can use.
    pub(crate) fn is_security_key(&self) -> bool {
        self.public.as_ref().is_some_and(|key| {
            matches!(key.algorithm(), Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256)
        })
    }

    /// The private half, if it has been unlocked.
    pub(crate) fn unlocked(&self) -> Option<Arc<PrivateKey>> {
        self.private.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Decodes the private half. Blocks, up to seconds: a passphrase is slow to try on purpose.
    ///
    /// # Errors
    /// That a passphrase is needed, or wrong, or what is wrong with the file.
    pub(crate) fn unlock(&self, passphrase: Option<&SecretString>) -> Result<Arc<PrivateKey>, KeyProblem> {
        if let Some(key) = self.unlocked() {
            return Ok(key);
        }
        let problem = |fault| KeyProblem::new(&self.label, fault);
        let text = self.text.as_str().ok_or_else(|| problem(Fault::NotPrivate(NotPrivate::Unknown)))?;
        let key = keys::decode(text, self.format, passphrase.map(ExposeSecret::expose_secret))
            .map_err(|why| problem(Fault::Undecoded(why)))?;
        if self.public.as_ref().is_some_and(|public| public.key_data() != key.public_key().key_data()) {
            return Err(problem(Fault::OtherPublic));
        }
        let key = Arc::new(key);
        *self.private.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&key));
        Ok(key)
    }

    /// The certificate `<file>-cert.pub`, if there is one. Blocks.
    ///
    /// # Errors
    /// That the file is there and cannot be used.
    pub(crate) fn certificate_beside(&self) -> Result<Option<(PathBuf, Certificate)>, KeyProblem> {
        let Some(path) = &self.path else { return Ok(None) };
        let path = with_suffix(path, "-cert.pub");
        match read_certificate(&path) {
            Ok(certificate) => Ok(Some((path, certificate))),
            Err(problem) if matches!(problem.fault(), Fault::Missing) => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// Learns the public half: from inside the file, from the `.pub` file beside it, or by decoding.
    fn find_public(&self) -> Result<Option<PublicKey>, KeyProblem> {
        let inside = match self.format {
            Format::OpenSsh => {
                let text = self.text.as_str().unwrap_or_default();
                let public = keys::public_half(text)
                    .map_err(|why| KeyProblem::new(&self.label, Fault::Undecoded(why)))?;
                Some(public)
            }
            Format::Ppk(_) => self.text.as_str().and_then(ppk_public),
            _ => None,
        };
        if inside.is_some() {
            return Ok(inside);
        }
        if self.says_it_is_plain() {
            return Ok(Some(self.unlock(None)?.public_key().clone()));
        }
        Ok(self.path.as_deref().and_then(|path| read_public(&with_suffix(path, ".pub"))))
    }

    fn says_it_is_plain(&self) -> bool {
        matches!(
            self.format,
            Format::Pkcs8
                | Format::Rsa(PemCipher::None)
                | Format::Ec(PemCipher::None)
                | Format::Ppk(Protection::Plain)
        )
    }
}

/// Reads a certificate file. Blocks.
///
/// # Errors
/// That it is missing, unreadable, or holds no certificate.
pub(crate) fn read_certificate(path: &Path) -> Result<Certificate, KeyProblem> {
    let label = path.display().to_string();
    let problem = |fault| KeyProblem::new(&label, fault);
    let text = read_limited(path).map_err(problem)?;
    text.as_str()
        .and_then(|text| text.lines().find_map(parse_certificate_line))
        .ok_or_else(|| problem(Fault::NoCertificate))
}

fn label(origin: &KeyOrigin) -> String {
    match origin {
        KeyOrigin::File(path) => path.display().to_string(),
        KeyOrigin::Memory(_) => "key in memory".to_owned(),
    }
}

fn read_public(path: &Path) -> Option<PublicKey> {
    let text = read_limited(path).ok()?;
    text.as_str()?.lines().find_map(parse_public_line)
}

/// `Public-Lines: n` of a PuTTY file, then `n` lines of base64.
fn ppk_public(text: &str) -> Option<PublicKey> {
    let mut lines = text.lines();
    let count = lines.find_map(|line| line.strip_prefix("Public-Lines:"))?.trim().parse::<usize>().ok()?;
    let base64: String = lines.take(count).map(str::trim).collect();
    PublicKey::from_bytes(&decode_base64(&base64)?).ok()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn read_limited(path: &Path) -> Result<SecretBuf, Fault> {
    let (file, size) = open_file(path)?;
    read_file(file, size)
}

fn open_file(path: &Path) -> Result<(File, u64), Fault> {
    let file = File::open(path).map_err(fault_of)?;
    // Asked of the open file, not of the path, which may name another file by now.
    let metadata = file.metadata().map_err(fault_of)?;
    if metadata.is_dir() {
        return Err(Fault::Directory);
    }
    Ok((file, metadata.len()))
}

fn read_file(file: File, size: u64) -> Result<SecretBuf, Fault> {
    SecretBuf::read(file, size, MAX_KEY_FILE).map_err(fault_of)
}

fn fault_of(error: io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Fault::Missing,
        io::ErrorKind::FileTooLarge => Fault::TooLarge,
        io::ErrorKind::IsADirectory => Fault::Directory,
        _ => Fault::Unreadable(error),
    }
}

/// As ssh: a key of ours that others can read or write is refused; a key of somebody else's is their affair.
#[cfg(unix)]
fn check_permissions(file: &File) -> Result<(), Fault> {
    use std::os::unix::fs::MetadataExt;

    const OTHERS: u32 = 0o077;
    let metadata = file.metadata().map_err(fault_of)?;
    let open = metadata.is_file() && metadata.mode() & OTHERS != 0;
    if open && own_user().is_none_or(|user| user == metadata.uid()) {
        return Err(Fault::TooOpen { mode: metadata.mode() & 0o777 });
    }
    Ok(())
}

/// Windows guards a profile's files by access control lists, which the standard library does not read.
#[cfg(not(unix))]
fn check_permissions(_: &File) -> Result<(), Fault> {
    Ok(())
}

/// The user this process acts as, by what the system says of files that are its own by definition.
#[cfg(unix)]
fn own_user() -> Option<u32> {
    use std::os::unix::fs::MetadataExt;

    if let Ok(process) = std::fs::metadata("/proc/self") {
        return Some(process.uid());
    }
    tempfile::tempfile().ok()?.metadata().ok().map(|metadata| metadata.uid())
}

/// For [`crate::fuzzing`]: opens the file, unlocks it and signs.
#[cfg(feature = "fuzzing")]
pub(crate) fn try_key_file(text: SecretSlice<u8>, passphrase: &SecretString) -> fuzzing::KeyFile {
    let origin = KeyOrigin::Memory(super::credentials::MemoryKey::new(text));
    let Ok(Opened::Private(file)) = KeyFile::open(&origin) else { return fuzzing::KeyFile::Refused };
    let Ok(key) = file.unlock(None).or_else(|_| file.unlock(Some(passphrase))) else {
        return fuzzing::KeyFile::Locked;
    };
    match keys::sign(&key, Some(ssh_key::HashAlg::Sha256), b"data") {
        Ok(_) => fuzzing::KeyFile::Signed,
        Err(_) => fuzzing::KeyFile::Mute,
    }
}

impl From<Undecoded> for Fault {
    fn from(why: Undecoded) -> Self {
        Self::Undecoded(why)
    }
}

#[cfg(test)]
mod tests;
