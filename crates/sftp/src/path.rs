//! Remote paths, which are bytes: what is refused of them here, and how they are put together and taken apart.

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::{Error, ErrorKind, Result};

/// The path as it is sent. A NUL ends a path on every system that serves SFTP: what is behind it would be lost unseen.
pub(crate) fn checked(operation: &'static str, path: impl AsRef<[u8]>) -> Result<Bytes> {
    let path = path.as_ref();
    if path.contains(&0) {
        return Err(Error::new(ErrorKind::InvalidName, operation, "a path has no NUL").at(path));
    }
    Ok(Bytes::copy_from_slice(path))
}

/// A name that a server lists, held against what a name can be: one that has a `/` or is `..` would lead elsewhere.
pub(crate) fn checked_name(operation: &'static str, directory: &[u8], name: &[u8]) -> Result<Bytes> {
    let why = match name {
        b"" => "the server lists an empty name",
        b"." | b".." => "the server lists a name that is no entry",
        name if name.contains(&b'/') => "the server lists a name with a slash",
        name if name.contains(&0) => "the server lists a name with a NUL",
        name => return Ok(Bytes::copy_from_slice(name)),
    };
    Err(Error::new(ErrorKind::InvalidName, operation, why).at(join(directory, name)))
}

/// The path of an entry of a directory. An empty directory is where the server starts.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Bytes {
    let mut path = BytesMut::with_capacity(directory.len() + 1 + name.len());
    path.put_slice(directory);
    if !directory.is_empty() && !directory.ends_with(b"/") {
        path.put_u8(b'/');
    }
    path.put_slice(name);
    path.freeze()
}

/// The directory that the path's last component is in: `.` for a bare name, `/` for what is at the root.
pub(crate) fn parent(path: &[u8]) -> Bytes {
    let path = without_slashes(path);
    match path.iter().rposition(|byte| *byte == b'/') {
        None => Bytes::from_static(b"."),
        Some(at) => match without_slashes(&path[..at]) {
            b"" => Bytes::from_static(b"/"),
            parent => Bytes::copy_from_slice(parent),
        },
    }
}

/// The path and each directory above it that it names, the shortest first; the root and `.` are always there.
pub(crate) fn prefixes(path: &Bytes) -> Vec<Bytes> {
    let mut prefixes = Vec::new();
    let mut end = 0;
    for component in path.split(|byte| *byte == b'/') {
        end += component.len();
        if !component.is_empty() && component != b"." {
            prefixes.push(path.slice(..end));
        }
        end += 1;
    }
    prefixes
}

/// Without the slashes at its end; of the root nothing is left.
fn without_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    &path[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_refused_and_every_other_byte_is_kept() {
        let all: Vec<u8> = (1..=255).collect();
        assert_eq!(checked("open", &all).unwrap(), all);
        let error = checked("open", "a\0b").unwrap_err();
        assert_eq!((error.kind(), error.path()), (ErrorKind::InvalidName, Some(&b"a\0b"[..])));
    }

    #[test]
    fn a_listed_name_stays_in_its_directory() {
        for name in ["", ".", "..", "/etc", "../x", "a/b", "nul\0nul"] {
            let error = checked_name("list", b"/srv", name.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidName, "{name:?}");
        }
        assert_eq!(checked_name("list", b"/srv", b"...").unwrap(), "...");
        assert_eq!(checked_name("list", b"/srv", b"\\\xff").unwrap(), &b"\\\xff"[..]);
    }

    #[test]
    fn paths_are_put_together_and_taken_apart() {
        assert_eq!(
            (join(b"", b"a"), join(b"/", b"a"), join(b"d", b"a")),
            ("a".into(), "/a".into(), "d/a".into())
        );
        for (path, above) in
            [("a", "."), ("/a", "/"), ("/", "."), ("a/b/", "a"), ("//a", "/"), ("/a//b", "/a")]
        {
            assert_eq!(parent(path.as_bytes()), above, "{path}");
        }
        assert_eq!(prefixes(&"/a//b/./c/".into()), ["/a", "/a//b", "/a//b/./c"]);
        assert_eq!(prefixes(&"a/../b".into()), ["a", "a/..", "a/../b"]);
        assert!(prefixes(&"/".into()).is_empty() && prefixes(&".".into()).is_empty());
    }
}
