//! An agent of the suite's own, with keys that `ssh-agent` takes from hardware alone: security keys, made in software.
//!
//! It answers what a client needs to log in (draft-ietf-sshm-ssh-agent: list, sign) and refuses the rest. The
//! signatures are OpenSSH's PROTOCOL.u2f's, section "SSH U2F signatures".

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};
use ssh_key::PrivateKey;
use ssh_key::public::KeyData;

use crate::keys::{KeyFile, KeyKind};
use crate::scratch::Scratch;

/// What security keys sign for unless told otherwise.
const APPLICATION: &[u8] = b"ssh:";
/// Somebody touched it.
const USER_PRESENT: u8 = 1;

/// The kinds of security keys that OpenSSH has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecurityKind {
    /// `sk-ssh-ed25519@openssh.com`
    Ed25519,
    /// `sk-ecdsa-sha2-nistp256@openssh.com`
    EcdsaP256,
}

impl SecurityKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Ed25519, Self::EcdsaP256];

    /// The type's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "sk-ssh-ed25519@openssh.com",
            Self::EcdsaP256 => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }
}

/// A security key without hardware.
#[derive(Debug)]
pub struct SecurityKey {
    kind: SecurityKind,
    key: PrivateKey,
    counter: AtomicU32,
}

impl SecurityKey {
    /// A new one; a plain key of `ssh-keygen`'s is what stands in for the hardware.
    ///
    /// # Panics
    /// Where `ssh-keygen` fails.
    #[must_use]
    pub fn generate(folder: &Scratch, kind: SecurityKind) -> Self {
        let plain = match kind {
            SecurityKind::Ed25519 => KeyKind::Ed25519,
            SecurityKind::EcdsaP256 => KeyKind::EcdsaP256,
        };
        let file = KeyFile::generate(folder, &format!("hardware-{plain:?}"), plain);
        let key = PrivateKey::read_openssh_file(file.path()).expect("a key of ssh-keygen's");
        Self { kind, key, counter: AtomicU32::new(1) }
    }

    /// The public key in wire form.
    #[must_use]
    pub fn blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        put(&mut blob, self.kind.name().as_bytes());
        match self.key.public_key().key_data() {
            KeyData::Ed25519(key) => put(&mut blob, key.as_ref()),
            KeyData::Ecdsa(key) => {
                put(&mut blob, b"nistp256");
                put(&mut blob, key.as_sec1_bytes());
            }
            _ => unreachable!("made as one of the two"),
        }
        put(&mut blob, APPLICATION);
        blob
    }

    /// The line for `authorized_keys`.
    #[must_use]
    pub fn public_line(&self) -> String {
        use base64ct::{Base64, Encoding};

        format!("{} {}", self.kind.name(), Base64::encode_string(&self.blob()))
    }

    fn sign(&self, data: &[u8]) -> Vec<u8> {
        use signature::Signer;

        let counter = self.counter.fetch_add(1, Ordering::Relaxed);
        let mut signed = Sha256::digest(APPLICATION).to_vec();
        signed.push(USER_PRESENT);
        signed.extend_from_slice(&counter.to_be_bytes());
        signed.extend_from_slice(&Sha256::digest(data));
        let signature: ssh_key::Signature = self.key.try_sign(&signed).expect("a signature");
        let mut blob = Vec::new();
        put(&mut blob, self.kind.name().as_bytes());
        put(&mut blob, signature.as_bytes());
        blob.push(USER_PRESENT);
        blob.extend_from_slice(&counter.to_be_bytes());
        blob
    }
}

/// The agent; dropped, it is gone.
#[derive(Debug)]
pub struct SoftwareAgent {
    socket: PathBuf,
    ended: Arc<AtomicBool>,
    signed: Arc<Mutex<u32>>,
    serving: Option<JoinHandle<()>>,
    _folder: Scratch,
}

impl SoftwareAgent {
    /// Starts one with these keys.
    ///
    /// # Panics
    /// Where its socket cannot be made.
    #[must_use]
    pub fn start(keys: Vec<SecurityKey>) -> Self {
        let folder = Scratch::new();
        let socket = folder.join("agent");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let (ended, signed) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(0)));
        let (over, count) = (Arc::clone(&ended), Arc::clone(&signed));
        let serving = std::thread::spawn(move || {
            for visitor in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::Acquire) {
                    return;
                }
                serve(visitor, &keys, &count);
            }
        });
        Self { socket, ended, signed, serving: Some(serving), _folder: folder }
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// How often it has signed.
    ///
    /// # Panics
    /// Where it panicked itself.
    #[must_use]
    pub fn signatures(&self) -> u32 {
        *self.signed.lock().expect("the agent lives")
    }
}

impl Drop for SoftwareAgent {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // A last visitor, so that it looks up.
        drop(UnixStream::connect(&self.socket));
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

/// One visitor at a time: those of a test come one after the other.
fn serve(mut visitor: UnixStream, keys: &[SecurityKey], signed: &Mutex<u32>) {
    let mut length = [0; 4];
    while visitor.read_exact(&mut length).is_ok() {
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        if visitor.read_exact(&mut request).is_err() {
            return;
        }
        let answer = answer(&request, keys, signed);
        let mut message = Vec::new();
        put(&mut message, &answer);
        if visitor.write_all(&message).is_err() {
            return;
        }
    }
}

fn answer(request: &[u8], keys: &[SecurityKey], signed: &Mutex<u32>) -> Vec<u8> {
    const FAILURE: u8 = 5;
    match request.split_first() {
        // SSH_AGENTC_REQUEST_IDENTITIES, SSH_AGENT_IDENTITIES_ANSWER.
        Some((11, [])) => {
            let mut answer = vec![12];
            answer.extend_from_slice(&u32::try_from(keys.len()).expect("few keys").to_be_bytes());
            for key in keys {
                put(&mut answer, &key.blob());
                put(&mut answer, b"a key in software");
            }
            answer
        }
        // SSH_AGENTC_SIGN_REQUEST, SSH_AGENT_SIGN_RESPONSE.
        Some((13, mut rest)) => {
            let (blob, data) = (take(&mut rest), take(&mut rest));
            match keys.iter().find(|key| key.blob() == blob) {
                Some(key) => {
                    *signed.lock().expect("nobody panicked") += 1;
                    let mut answer = vec![14];
                    put(&mut answer, &key.sign(data));
                    answer
                }
                None => vec![FAILURE],
            }
        }
        _ => vec![FAILURE],
    }
}

fn put(message: &mut Vec<u8>, field: &[u8]) {
    message.extend_from_slice(&u32::try_from(field.len()).expect("a short field").to_be_bytes());
    message.extend_from_slice(field);
}

fn take<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let (length, after) = rest.split_first_chunk::<4>().expect("a length");
    let (field, after) = after.split_at(u32::from_be_bytes(*length) as usize);
    *rest = after;
    field
}
