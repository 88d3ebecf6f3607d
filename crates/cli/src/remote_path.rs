//! Paths on a host as they were typed: homes and patterns.

use bytes::Bytes;
use rustle_sftp::{Files, Matches, Means};

/// The path with the home in place of `~` or `~user` at its beginning, as scp has it, and `.` in place of nothing.
///
/// # Errors
/// There is no such home, or the server cannot say.
///
/// # Cancel safety
/// Nothing is changed by it.
pub(crate) async fn expanded(files: &Files, typed: &[u8]) -> rustle_sftp::Result<Vec<u8>> {
    if typed.is_empty() {
        return Ok(b".".to_vec());
    }
    let (home, rest) = home(files, typed).await?;
    Ok([&home[..], rest].concat())
}

/// What a pattern fits; nothing for a path that is no pattern. What cannot be listed is told beside what was found.
/// scp's protocol lists nothing: there all is taken as a name, which [`no_patterns`] says.
///
/// # Errors
/// The connection is lost, or too much fits, or as [`expanded`].
///
/// # Cancel safety
/// Nothing is changed by it.
pub(crate) async fn matches(files: &Files, typed: &[u8]) -> rustle_sftp::Result<Matches> {
    if files.means() == Means::Scp || !typed.iter().any(is_special) {
        return Ok(Matches::default());
    }
    let (home, rest) = home(files, typed).await?;
    // In a home's own name nothing is special.
    let mut pattern = Vec::with_capacity(home.len() + rest.len());
    for byte in home {
        if is_special(&byte) {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    pattern.extend_from_slice(rest);
    files.glob(pattern)?.matches().await
}

async fn home<'a>(files: &Files, typed: &'a [u8]) -> rustle_sftp::Result<(Bytes, &'a [u8])> {
    if !typed.starts_with(b"~") {
        return Ok((Bytes::new(), typed));
    }
    let end = typed.iter().position(|byte| *byte == b'/').unwrap_or(typed.len());
    // It is not asked for absolute paths, and begins where the login does.
    if files.means() == Means::Scp && end == 1 {
        return Ok((Bytes::from_static(b"."), &typed[end..]));
    }
    Ok((files.canonicalize(&typed[..end]).await?, &typed[end..]))
}

/// Why what looks like a pattern was not found, where that is why.
pub(crate) fn no_patterns(files: &Files, typed: &[u8]) -> Option<&'static str> {
    let looks_like_one = files.means() == Means::Scp && typed.iter().any(is_special);
    looks_like_one.then_some("scp's protocol lists nothing, so patterns are taken as names: name the files")
}

fn is_special(byte: &u8) -> bool {
    b"*?[\\".contains(byte)
}
