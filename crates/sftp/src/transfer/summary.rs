//! What came of a transfer.

use std::time::Duration;

/// What came of the transfer of one file.
///
/// ```no_run
/// # async fn example(sftp: rustle_sftp::Sftp) -> rustle_sftp::Result<()> {
/// let summary = sftp.get("/var/log/syslog", "syslog").await?;
/// println!("{} bytes in {:?}", summary.moved, summary.duration);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The file's length in bytes.
    pub length: u64,
    /// How many of them were moved; the others were there from an earlier attempt, or are a hole.
    pub moved: u64,
    /// How long it took, from the call to the end.
    pub duration: Duration,
    /// What became of the part of an earlier attempt.
    pub resumed: Resumed,
    /// Whether both sides were compared at the end.
    pub verified: Verified,
    /// The file was written to while it was read: what arrived may be of two versions.
    pub changed: bool,
    /// How many channels carried it.
    pub channels: usize,
    /// How often all channels were lost, and it went on over another connection.
    pub losses: u32,
}

impl Summary {
    /// Whether an earlier attempt had moved all of it: into its place, or into a part.
    pub(crate) fn is_all_there(&self) -> bool {
        self.moved == 0 && self.length > 0 && self.resumed.from() == self.length
    }
}

/// What a transfer made of the part that an earlier attempt had left.
///
/// ```
/// use rustle_sftp::{Proof, Resumed};
///
/// let resumed = Resumed::From { from: 1 << 20, proof: Proof::Sha256 };
/// assert_eq!((resumed.from(), Resumed::NothingFound.from()), (1 << 20, 0));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resumed {
    /// Nobody asked.
    NotAsked,
    /// There was no part.
    NothingFound,
    /// It went on behind this many bytes.
    From {
        /// How many bytes were there, proved, and not moved again.
        from: u64,
        /// How they were proved to be those of the file.
        proof: Proof,
    },
    /// There was a part that is not known to be the file's. It was thrown away, and all of the file was moved.
    Anew {
        /// How many bytes it had.
        found: u64,
        /// Why it was not used, to be shown to a person.
        why: String,
    },
}

/// How a part was proved to be equal to the beginning of the file.
///
/// ```
/// assert_ne!(rustle_sftp::Proof::Sha256, rustle_sftp::Proof::Samples);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Proof {
    /// All of it: both sides have the same SHA-256.
    Sha256,
    /// Some of it: its first and last 256 KiB and blocks at random places between are the same on both sides. What was
    /// changed elsewhere is not found; [`verify`](crate::Transfer::verify) finds it where the server can.
    Samples,
    /// All of it: it was read back and is the same on both sides. Of what a [tree](crate::TreeTransfer::survive) that begins
    /// again had sent before, where the server can say no SHA-256.
    Bytes,
}

impl Resumed {
    /// Where the transfer began, in bytes from the beginning of the file.
    #[must_use]
    pub fn from(&self) -> u64 {
        match self {
            Self::From { from, .. } => *from,
            Self::NotAsked | Self::NothingFound | Self::Anew { .. } => 0,
        }
    }
}

/// Whether both sides of a transfer were compared at its end.
///
/// ```
/// assert_ne!(rustle_sftp::Verified::NotAsked, rustle_sftp::Verified::Sha256([0; 32]));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verified {
    /// Nobody asked.
    NotAsked,
    /// Both sides have this SHA-256.
    Sha256([u8; 32]),
    /// The server has no way to say what it has; why.
    Impossible(String),
}
