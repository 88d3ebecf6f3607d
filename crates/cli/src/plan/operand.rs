//! Operands of `get` and `put`, told apart as scp does: `HOST:PATH`, or a path of this side.

use std::ffi::OsStr;
use std::path::PathBuf;

use crate::failure::{Failure, USAGE};

/// What one operand means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Operand {
    Local(PathBuf),
    Remote(Remote),
}

/// A path on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    /// As `exec` takes it: `host`, `user@host`, `[::1]` or `ssh://…`.
    pub(crate) destination: String,
    /// As it was typed; empty for where the login begins.
    pub(crate) path: Vec<u8>,
}

impl Operand {
    /// Reads one.
    ///
    /// # Errors
    /// A host or a URL that makes no sense, with the right way to write it.
    pub(crate) fn read(typed: &OsStr) -> Result<Self, Failure> {
        // On Unix these are the bytes themselves, elsewhere UTF-8 wherever the text is Unicode.
        let bytes = typed.as_encoded_bytes();
        let refused = |message: String, hint: &str| Err(Failure::new(USAGE, message).hint(hint));
        if bytes.is_empty() {
            return refused("an empty operand is no path".into(), "the directory you are in is `.`");
        }
        if let Some((scheme, rest)) = url(bytes) {
            return match scheme.to_ascii_lowercase().as_str() {
                "scp" | "sftp" => from_url(rest, typed),
                _ => refused(
                    format!("{} is a URL of another kind", typed.display()),
                    "write host:path or scp://user@host:port/path; a local path needs ./ before it",
                ),
            };
        }
        let Some(colon) = colon(bytes) else { return Ok(Self::Local(typed.into())) };
        let (host, path) = (&bytes[..colon], &bytes[colon + 1..]);
        let Ok(destination) = str::from_utf8(host) else {
            return refused(
                format!("{}: what is before the colon is not UTF-8, and no host", typed.display()),
                "a local path with a colon needs ./ before it",
            );
        };
        Ok(Self::Remote(Remote { destination: destination.to_owned(), path: for_server(path, typed)? }))
    }
}

/// The colon that ends a host, if there is one: before any slash, not the first byte, and not within brackets.
fn colon(bytes: &[u8]) -> Option<usize> {
    // A drive is on this side.
    if cfg!(windows) && bytes.first().is_some_and(u8::is_ascii_alphabetic) && bytes.get(1) == Some(&b':') {
        return None;
    }
    let mut in_brackets = bytes.first() == Some(&b'[');
    for (at, byte) in bytes.iter().enumerate() {
        match (byte, bytes.get(at + 1)) {
            (b'@', Some(b'[')) => in_brackets = true,
            (b']', Some(b':')) if in_brackets => return Some(at + 1),
            (b':', _) if !in_brackets => return (at > 0).then_some(at),
            (b'/', _) => return None,
            // Windows has two.
            (b'\\', _) if cfg!(windows) => return None,
            _ => {}
        }
    }
    None
}

/// Scheme and rest (RFC 3986 section 3.1).
fn url(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(3).position(|three| three == b"://")?;
    let scheme = str::from_utf8(&bytes[..end]).ok()?;
    let follows = |char: char| char.is_ascii_alphanumeric() || "+-.".contains(char);
    let is_scheme =
        scheme.starts_with(|char: char| char.is_ascii_alphabetic()) && scheme.chars().all(follows);
    is_scheme.then_some((scheme, &bytes[end + 3..]))
}

/// `[user@]host[:port][/path]`. As in scp, the slash only parts the two: an absolute path has one of its own.
fn from_url(rest: &[u8], typed: &OsStr) -> Result<Operand, Failure> {
    let at = rest.iter().position(|byte| *byte == b'/');
    let (authority, path) = match at {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, &b""[..]),
    };
    let wrong = |what: &str| {
        Failure::new(USAGE, format!("{}: {what}", typed.display()))
            .hint("a URL is scp://user@host:port/path, and %25 stands for a percent sign in its path")
    };
    let authority = str::from_utf8(authority).map_err(|_| wrong("the host is not UTF-8"))?;
    let path = decoded(path).ok_or_else(|| wrong("a % is not followed by two hexadecimal digits"))?;
    Ok(Operand::Remote(Remote { destination: format!("ssh://{authority}"), path: for_server(&path, typed)? }))
}

/// RFC 3986 section 2.1.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(*rest.next()?).to_digit(16);
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).ok()?);
    }
    Some(bytes)
}

/// No path has a NUL, and none of Windows half a character.
fn for_server(path: &[u8], typed: &OsStr) -> Result<Vec<u8>, Failure> {
    let is_text = cfg!(unix) || str::from_utf8(path).is_ok();
    if path.contains(&0) || !is_text {
        return Err(Failure::new(USAGE, format!("{}: this is no path of a server", typed.display())));
    }
    Ok(path.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(typed: &str) -> Operand {
        Operand::read(OsStr::new(typed)).map_err(|failure| failure.lines()).unwrap()
    }

    fn remote(destination: &str, path: &str) -> Operand {
        Operand::Remote(Remote { destination: destination.into(), path: path.into() })
    }

    #[test]
    fn hosts_and_paths_are_told_apart_as_scp_does() {
        assert_eq!(read("web:/etc/motd"), remote("web", "/etc/motd"));
        assert_eq!(read("deploy@web:app:1"), remote("deploy@web", "app:1"));
        assert_eq!(read("web:"), remote("web", ""));
        assert_eq!(read("[::1]:x"), remote("[::1]", "x"));
        assert_eq!(read("deploy@[2001:db8::7]:/x"), remote("deploy@[2001:db8::7]", "/x"));
        for local in ["plain", "./a:b", "dir/a:b", "/a:b", ":x", ".", "[a/b]:c", "[::1]"] {
            assert_eq!(read(local), Operand::Local(local.into()), "{local}");
        }
    }

    #[test]
    fn a_url_has_a_port_and_its_path_is_decoded() {
        assert_eq!(read("scp://deploy@web:2222/a%20b"), remote("ssh://deploy@web:2222", "a b"));
        assert_eq!(read("SCP://[::1]:22//etc/motd"), remote("ssh://[::1]:22", "/etc/motd"));
        assert_eq!(read("sftp://web"), remote("ssh://web", ""));
        for wrong in ["scp://web/%zz", "scp://web/%4", "scp://web/%00", "https://web/x", ""] {
            assert!(Operand::read(OsStr::new(wrong)).is_err(), "{wrong}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_path_need_not_be_text_and_a_host_has_to() {
        use std::os::unix::ffi::OsStrExt;

        let Ok(Operand::Remote(remote)) = Operand::read(OsStr::from_bytes(b"web:/\xff")) else { panic!() };
        assert_eq!(remote.path, b"/\xff");
        assert!(Operand::read(OsStr::from_bytes(b"\xff:/x")).is_err());
    }

    #[cfg(windows)]
    #[test]
    fn a_drive_is_on_this_side() {
        assert_eq!(read(r"C:\x"), Operand::Local(r"C:\x".into()));
        assert_eq!(read("c:x"), Operand::Local("c:x".into()));
        assert_eq!(read(r"dir\a:b"), Operand::Local(r"dir\a:b".into()));
    }
}
