//! The protocol as values: bytes in, records out. Neither IO nor clock.

use std::fmt;

use bytes::{Bytes, BytesMut};

/// What the other side says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Record {
    /// Go on.
    Ok,
    /// A file follows, of so many bytes.
    File { mode: u32, length: u64, name: Bytes },
    /// The files of a directory follow.
    Directory { mode: u32, name: Bytes },
    /// The same of a directory that has no name there: the root, or one that was asked for as `.` or `..`.
    Nameless { mode: u32 },
    /// The directory is over.
    End,
    /// Seconds since 1970, for what is said next.
    Times { modified: u32, accessed: u32 },
    /// Something went wrong; the text is for people. Behind one that is fatal comes nothing more.
    Error { text: Bytes, is_fatal: bool },
}

/// A stream of records, with the bytes of files between them.
#[derive(Debug, Default)]
pub(super) struct Records {
    held: BytesMut,
}

/// Why a stream is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broken {
    /// It begins with a byte that no record begins with; what came, up to the end of the line.
    Unknown(Bytes),
    TooLong,
    /// A record that is not put together as it should be.
    Malformed(Bytes),
    /// A name that would lead elsewhere.
    Name(Bytes),
}

impl Records {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next record, if all of it is here.
    pub(super) fn next(&mut self) -> Result<Option<Record>, Broken> {
        let Some(first) = self.held.first().copied() else { return Ok(None) };
        if first == 0 {
            drop(self.held.split_to(1));
            return Ok(Some(Record::Ok));
        }
        if !matches!(first, 1 | 2 | b'C' | b'D' | b'E' | b'T') {
            let all = self.held.split();
            return Err(Broken::Unknown(line_of(&all)));
        }
        let Some(end) = self.held.iter().position(|byte| *byte == b'\n') else {
            return if self.held.len() > LONGEST { Err(Broken::TooLong) } else { Ok(None) };
        };
        if end > LONGEST {
            return Err(Broken::TooLong);
        }
        let line = self.held.split_to(end + 1).freeze().slice(..end);
        let rest = line.slice(1..);
        let malformed = || Broken::Malformed(line.clone());
        Ok(Some(match first {
            1 | 2 => Record::Error { text: rest, is_fatal: first == 2 },
            b'E' if rest.is_empty() => Record::End,
            b'T' => times(&rest).ok_or_else(malformed)?,
            b'C' => {
                let (mode, length, name) = described(&rest).ok_or_else(malformed)?;
                Record::File { mode, length, name: checked(name)? }
            }
            b'D' => {
                let (mode, _, name) = described(&rest).ok_or_else(malformed)?;
                match &name[..] {
                    b"" | b"." | b".." => Record::Nameless { mode },
                    _ => Record::Directory { mode, name: checked(name)? },
                }
            }
            _ => return Err(malformed()),
        }))
    }

    /// Bytes of a file that have come, `most` of them.
    pub(super) fn data(&mut self, most: u64) -> Bytes {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(self.held.len());
        self.held.split_to(most).freeze()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

/// `MODE LENGTH NAME`: four octal digits, a decimal number, and the rest of the line.
fn described(text: &Bytes) -> Option<(u32, u64, Bytes)> {
    let mut words = text.splitn(3, |byte| *byte == b' ');
    let (mode, length, name) = (words.next()?, words.next()?, words.next()?);
    let mode = if mode.len() == 4 { u32::from_str_radix(digits(mode)?, 8).ok()? } else { return None };
    let length = digits(length)?.parse().ok().filter(|length| *length <= LONGEST_FILE)?;
    Some((mode, length, text.slice_ref(name)))
}

/// `MODIFIED 0 ACCESSED 0`, of which the zeros were microseconds once.
fn times(text: &[u8]) -> Option<Record> {
    let mut words = text.split(|byte| *byte == b' ');
    let mut number = || digits(words.next()?)?.parse::<u64>().ok();
    let (modified, _, accessed, _) = (number()?, number()?, number()?, number()?);
    // Later than 2106 is what neither SFTP nor this side's code has: the latest it can be.
    let seconds = |time: u64| u32::try_from(time).unwrap_or(u32::MAX);
    let record = Record::Times { modified: seconds(modified), accessed: seconds(accessed) };
    words.next().is_none().then_some(record)
}

/// Neither a sign nor a blank, which `parse` would take.
fn digits(word: &[u8]) -> Option<&str> {
    let plain = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    if plain { std::str::from_utf8(word).ok() } else { None }
}

fn checked(name: Bytes) -> Result<Bytes, Broken> {
    let leads_elsewhere =
        matches!(&name[..], b"" | b"." | b"..") || name.contains(&b'/') || name.contains(&0);
    if leads_elsewhere { Err(Broken::Name(name)) } else { Ok(name) }
}

fn line_of(bytes: &[u8]) -> Bytes {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Bytes::copy_from_slice(&line[..line.len().min(LONGEST)])
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::shown::Shown;
        match self {
            Self::Unknown(line) => write!(f, "something else answers than scp: {}", Shown::of(line)),
            Self::TooLong => f.write_str("a record without an end"),
            Self::Malformed(line) => write!(f, "a record that makes no sense: {}", Shown::of(line)),
            Self::Name(name) => write!(f, "a name that would lead elsewhere: {}", Shown::of(name)),
        }
    }
}

/// A mode, a length and a name: systems have names of 255 bytes, and scp's errors have a path in them.
const LONGEST: usize = 8 * 1024;

/// No system has longer ones: places in a file are numbers of 64 bits with a sign.
const LONGEST_FILE: u64 = i64::MAX as u64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<Record>, Broken> {
        let mut records = Records::default();
        records.feed(bytes);
        let mut found = Vec::new();
        while let Some(record) = records.next()? {
            found.push(record);
        }
        Ok(found)
    }

    #[test]
    fn what_openssh_sends_is_understood() {
        let text = b"T1700000000 0 1600000000 0\nD0755 0 dir\nC0644 12 a b\nE\n\0\x01scp: x: No such file\n";
        let expected = [
            Record::Times { modified: 1_700_000_000, accessed: 1_600_000_000 },
            Record::Directory { mode: 0o755, name: "dir".into() },
            Record::File { mode: 0o644, length: 12, name: "a b".into() },
            Record::End,
            Record::Ok,
            Record::Error { text: "scp: x: No such file".into(), is_fatal: false },
        ];
        assert_eq!(all(text).unwrap(), expected);
    }

    #[test]
    fn names_that_lead_elsewhere_and_nonsense_are_refused() {
        for name in ["..", ".", "", "../x", "/etc/passwd", "a/b", "a\0b"] {
            let line = format!("C0644 1 {name}\n");
            assert!(matches!(all(line.as_bytes()), Err(Broken::Name(_))), "{name:?}");
        }
        for name in ["../x", "/etc", "a/b", "./", "a\0b"] {
            let line = format!("D0755 0 {name}\n");
            assert!(matches!(all(line.as_bytes()), Err(Broken::Name(_))), "{name:?}");
        }
        // A root has none, and some ask for what they are in.
        for name in ["", ".", ".."] {
            let line = format!("D0755 0 {name}\n");
            assert_eq!(all(line.as_bytes()), Ok(vec![Record::Nameless { mode: 0o755 }]), "{name:?}");
        }
        for line in [
            "C644 1 a\n",
            "C0999 1 a\n",
            "C0644 -1 a\n",
            "C0644 +1 a\n",
            "C0644 99999999999999999999 a\n",
            "C0644 9223372036854775808 a\n",
            "C0644 1\n",
            "C0644\n",
            "Ex\n",
            "T1 0 1\n",
            "T1 0 1 0 0\n",
            "T-1 0 1 0\n",
        ] {
            assert!(matches!(all(line.as_bytes()), Err(Broken::Malformed(_))), "{line:?}");
        }
        assert!(matches!(all(b"Welcome!\nC0644 1 a\n"), Err(Broken::Unknown(text)) if text == "Welcome!"));
        assert_eq!(all(&[b'C'; LONGEST + 2]), Err(Broken::TooLong));
    }

    proptest! {
        #[test]
        fn any_split_of_the_stream_gives_the_same_records(
            bytes in prop::collection::vec(prop_oneof![
                Just(&b"C0600 7 x\n"[..]), Just(&b"D0700 0 d\n"[..]), Just(&b"E\n"[..]), Just(&b"\0"[..]),
                Just(&b"T1 0 2 0\n"[..]), Just(&b"\x02bad \x1b\n"[..]), Just(&b"C0600 7 ..\n"[..]),
            ], 0..12),
            step in 1usize..7,
        ) {
            let bytes = bytes.concat();
            let whole = all(&bytes);
            let mut records = Records::default();
            let mut found = Ok(Vec::new());
            'feeding: for piece in bytes.chunks(step) {
                records.feed(piece);
                loop {
                    match (records.next(), &mut found) {
                        (Ok(Some(record)), Ok(found)) => found.push(record),
                        (Ok(_), _) => break,
                        (Err(error), _) => {
                            found = Err(error);
                            break 'feeding;
                        }
                    }
                }
            }
            prop_assert_eq!(found, whole);
        }

        #[test]
        fn no_bytes_panic_or_make_a_name_that_leads_elsewhere(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut records = Records::default();
            records.feed(&bytes);
            while let Ok(Some(record)) = records.next() {
                if let Record::File { name, .. } | Record::Directory { name, .. } = record {
                    prop_assert!(!name.contains(&b'/') && !name.is_empty() && name != "." && name != "..");
                }
            }
        }
    }
}
