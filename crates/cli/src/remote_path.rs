//! Paths on a host as they were typed: homes and patterns.

use bytes::Bytes;
use rustle_sftp::{GlobEntry, Sftp};

/// The path with the home in place of `~` or `~user` at its beginning, as scp has it, and `.` in place of nothing.
///
/// # Errors
/// There is no such home, or the server cannot say.
///
/// # Cancel safety
/// Nothing is changed by it.
pub(crate) async fn expanded(sftp: &Sftp, typed: &[u8]) -> rustle_sftp::Result<Vec<u8>> {
    if typed.is_empty() {
        return Ok(b".".to_vec());
    }
    let (home, rest) = home(sftp, typed).await?;
    Ok([&home[..], rest].concat())
}

/// What a pattern fits, by the bytes of the paths; nothing for a path that is no pattern.
///
/// # Errors
/// A directory cannot be listed, or as [`expanded`].
///
/// # Cancel safety
/// Nothing is changed by it.
pub(crate) async fn matches(sftp: &Sftp, typed: &[u8]) -> rustle_sftp::Result<Vec<GlobEntry>> {
    if !typed.iter().any(is_special) {
        return Ok(Vec::new());
    }
    let (home, rest) = home(sftp, typed).await?;
    // In a home's own name nothing is special.
    let mut pattern = Vec::with_capacity(home.len() + rest.len());
    for byte in home {
        if is_special(&byte) {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    pattern.extend_from_slice(rest);
    sftp.glob(pattern)?.sorted().await
}

async fn home<'a>(sftp: &Sftp, typed: &'a [u8]) -> rustle_sftp::Result<(Bytes, &'a [u8])> {
    if !typed.starts_with(b"~") {
        return Ok((Bytes::new(), typed));
    }
    let end = typed.iter().position(|byte| *byte == b'/').unwrap_or(typed.len());
    Ok((sftp.canonicalize(&typed[..end]).await?, &typed[end..]))
}

fn is_special(byte: &u8) -> bool {
    b"*?[\\".contains(byte)
}
