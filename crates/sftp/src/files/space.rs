//! How much room there is.

use rustle_sftp_proto::FileSystem;

use crate::error::Result;
use crate::files::{Far, Files, beyond_scp};

/// How much room a file system has, in bytes.
///
/// ```no_run
/// # async fn example(files: rustle_sftp::Files) -> rustle_sftp::Result<()> {
/// let space = files.space("/srv").await?;
/// println!("{} of {} bytes are free", space.available, space.total);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Space {
    /// In all.
    pub total: u64,
    /// Free for those who are not root.
    pub available: u64,
}

impl Files {
    /// How much room the file system of a path has: by `statvfs@openssh.com`, or by `df`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) where the server has neither,
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound).
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub async fn space(&self, path: impl AsRef<[u8]>) -> Result<Space> {
        match &self.far {
            Far::Sftp(sftp) => sftp.statvfs(path).await.map(|found| Space::from(&found)),
            Far::Commands(commands) => commands.space(path.as_ref()).await,
            Far::Scp(_) => Err(beyond_scp()),
        }
    }
}

impl From<&FileSystem> for Space {
    fn from(found: &FileSystem) -> Self {
        let bytes = |blocks: u64| blocks.saturating_mul(found.fragment_size);
        Self { total: bytes(found.blocks), available: bytes(found.blocks_available) }
    }
}

/// A line of `df -P -k`. The file system's name and the place may have blanks; between them are three numbers, and how full it
/// is in per cent.
pub(crate) fn read_df(line: &[u8]) -> Option<Space> {
    let words: Vec<&[u8]> = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
    words.windows(4).find_map(|four| {
        let [total, used, available, full] = four else { return None };
        let is_full = full == b"-" || full.ends_with(b"%");
        number(used).filter(|_| is_full)?;
        Some(Space { total: number(total)?, available: number(available)? })
    })
}

/// Blocks as bytes. Where root has used what is kept for it, the BSDs say that less than nothing is available.
fn number(word: &[u8]) -> Option<u64> {
    let blocks: i64 = std::str::from_utf8(word).ok()?.parse().ok()?;
    Some(u64::try_from(blocks).unwrap_or(0).saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_df_prints_is_understood() {
        for (line, total, available) in [
            ("/dev/sda1      41152736 8021420  31008176      21% /", 41_152_736, 31_008_176),
            ("map auto_home 0 0 0 100% /System/Volumes/Data/home", 0, 0),
            ("udev 10 0 10 0% /a b", 10, 10),
            ("proc 0 0 0 - /proc", 0, 0),
            ("/dev/ada0p2 1000 1080 -80 108% /", 1000, 0),
        ] {
            let expected = Space { total: total * 1024, available: available * 1024 };
            assert_eq!(read_df(line.as_bytes()), Some(expected), "{line}");
        }
        for line in ["", "Filesystem 1024-blocks Used Available Capacity Mounted on", "1 2 3", "a b c d%"] {
            assert_eq!(read_df(line.as_bytes()), None, "{line}");
        }
        assert_eq!(read_df(b"x 9223372036854775807 0 1 0% /").map(|space| space.total), Some(u64::MAX));
    }
}
