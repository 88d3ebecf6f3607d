//! Ways in for the fuzzer (`fuzz/`): parsers of hostile bytes that this crate keeps to itself. Behind a feature of that
//! name, and part of no promise.

use secrecy::{SecretSlice, SecretString};

use crate::{auth, host_trust};

/// The passphrase of the seeds.
pub const PASSPHRASE: &str = "correct horse";

/// What became of the bytes of a key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyFile {
    /// They are none, or none that is taken.
    Refused,
    /// They are one, and neither plain nor opened by the passphrase of the seeds.
    Locked,
    /// A private key came out, and could not sign.
    Mute,
    /// A private key came out and signed something.
    Signed,
}

/// Opens a key file as a login does: its frame, its public half, then the private half without a passphrase and with one.
#[must_use]
pub fn private_key(file: &[u8]) -> KeyFile {
    auth::try_key_file(SecretSlice::from(file.to_vec()), &SecretString::from(PASSPHRASE))
}

/// Reads a DNS message as the answer to a question for the SSHFP records of `web-1.example.com` under the number 7.
/// Gives back how many there were, where it is one.
#[must_use]
pub fn dns_answer(message: &[u8]) -> Option<usize> {
    host_trust::records_in(message)
}
