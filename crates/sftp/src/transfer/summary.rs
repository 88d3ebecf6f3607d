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
    /// How many of them were moved; the others were there from an earlier attempt.
    pub moved: u64,
    /// How long it took, from the call to the end.
    pub duration: Duration,
    /// Whether both sides were compared at the end.
    pub verified: Verified,
    /// The file was written to while it was read: what arrived may be of two versions.
    pub changed: bool,
    /// How many channels carried it.
    pub channels: usize,
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
