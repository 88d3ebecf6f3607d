//! What scripts print about a file, in one line.

use rustle_sftp_proto::Attributes;

use crate::metadata::Metadata;

/// Reads the line of [`script`](super::script)'s `s`, or the one of GNU `find`. What it does not say is unknown.
///
/// | first | what follows |
/// |---|---|
/// | `x` | the mode with the kind, hexadecimal; bytes, user, group, read, changed |
/// | `o` | the same in octal |
/// | `f` | the kind's letter, the permissions in octal; bytes, user, group, read, changed |
/// | other | as `ls -ldn`: the mode in letters, links, user, group, bytes |
pub(super) fn metadata(line: &[u8]) -> Option<Metadata> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split_ascii_whitespace();
    let first = words.next()?;
    let mut number =
        || words.next().map(|word| word.split(['.', ',']).next().unwrap_or(word).parse::<u64>().ok());
    let attributes = match first.split_at_checked(1)? {
        ("x", mode) => numbered(u32::from_str_radix(mode, 16).ok()?, number)?,
        ("o", mode) => numbered(u32::from_str_radix(mode, 8).ok()?, number)?,
        ("f", kind) => {
            let kind = kind_of(kind.bytes().next()?)?;
            let permissions = u32::from_str_radix(words.next()?, 8).ok()?;
            let number =
                || words.next().map(|word| word.split('.').next().unwrap_or(word).parse::<u64>().ok());
            numbered(kind | (permissions & 0o7777), number)?
        }
        _ => {
            let mode = letters(first.as_bytes())?;
            let _links = number()?;
            let (uid, gid, size) = (number()?, number()?, number()?);
            with(mode, size, uid, gid)?
        }
    };
    Some(Metadata::new(attributes))
}

fn numbered(mode: u32, mut number: impl FnMut() -> Option<Option<u64>>) -> Option<Attributes> {
    let (size, uid, gid) = (number()?, number()?, number()?);
    let attributes = with(mode, size, uid, gid)?;
    // Times before 1970 and after 2106 are none that SFTP could tell either.
    let mut seconds = || number()?.and_then(|seconds| u32::try_from(seconds).ok());
    Some(match (seconds(), seconds()) {
        (Some(accessed), Some(modified)) => attributes.with_times(accessed, modified),
        _ => attributes,
    })
}

fn with(mode: u32, size: Option<u64>, uid: Option<u64>, gid: Option<u64>) -> Option<Attributes> {
    let id = |id: Option<u64>| id.and_then(|id| u32::try_from(id).ok());
    let mut attributes = Attributes::new().with_permissions(mode);
    // A device has two numbers there, which are no length.
    if let (Some(size), false) = (size, matches!(mode & KIND, CHARACTER | BLOCK)) {
        attributes = attributes.with_size(size);
    }
    Some(match (id(uid), id(gid)) {
        (Some(uid), Some(gid)) => attributes.with_owner(uid, gid),
        _ => attributes,
    })
}

/// `drwxr-sr-x` and its like.
fn letters(text: &[u8]) -> Option<u32> {
    let (kind, permissions) = (kind_of(*text.first()?)?, text.get(1..10)?);
    let mut mode = kind;
    for (index, letter) in permissions.iter().enumerate() {
        let bit = 0o400 >> index;
        // The third of each three may also tell set-user-id, set-group-id or sticky.
        let special = 0o4000 >> (index / 3);
        mode |= match (letter, index % 3) {
            (b'-', _) => 0,
            (b'r', 0) | (b'w', 1) | (b'x', 2) => bit,
            (b's' | b't', 2) => bit | special,
            (b'S' | b'T', 2) => special,
            _ => return None,
        };
    }
    Some(mode)
}

/// The letter of `ls`, or that of `find`, as bits of the mode.
fn kind_of(letter: u8) -> Option<u32> {
    Some(match letter {
        b'-' | b'f' => 0o100_000,
        b'd' => 0o040_000,
        b'l' => 0o120_000,
        b'c' => CHARACTER,
        b'b' => BLOCK,
        b'p' => 0o010_000,
        b's' => 0o140_000,
        _ => return None,
    })
}

const KIND: u32 = 0o170_000;
const CHARACTER: u32 = 0o020_000;
const BLOCK: u32 = 0o060_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_telling_says_the_same() {
        let known = |line: &str| metadata(line.as_bytes()).unwrap();
        let gnu = known("x81a4 12 1000 100 1700000000 1700000001");
        assert_eq!(
            (gnu.mode(), gnu.len(), gnu.uid(), gnu.gid()),
            (Some(0o100_644), Some(12), Some(1000), Some(100))
        );
        assert_eq!(known("o100644 12 1000 100 1700000000 1700000001"), gnu);
        assert_eq!(known("ff 644 12 1000 100 1700000000.123 1700000001.5"), gnu);
        let ls = known("-rw-r--r--. 1 1000 100 12");
        assert_eq!(
            (ls.mode(), ls.len(), ls.uid(), ls.modified()),
            (Some(0o100_644), Some(12), Some(1000), None)
        );
        assert!(known("drwxrwsr-T 2 0 0 4096 Jan 1 00:00 x").is_dir());
        assert_eq!(known("drwxrwsr-T 2 0 0 4096").permissions(), Some(0o3774));
        assert_eq!(known("crw-rw-rw- 1 0 0 1, 3 Jan 1 00:00 null").len(), None);
        assert_eq!(known("fl 777 3 0 0 -5.0 9.0").modified(), None);
    }

    #[test]
    fn nonsense_is_none() {
        for line in [
            "",
            "x",
            "xyz 1 2 3",
            "o9 1 2 3",
            "\u{fc} 1",
            "f",
            "fq 1 2 3 4",
            "-rw-r--r-",
            "?????????? 1 2 3 4",
            "x81a4 1",
        ] {
            assert_eq!(metadata(line.as_bytes()), None, "{line}");
        }
        assert_eq!(metadata(b"\xff\xfe"), None);
    }
}
