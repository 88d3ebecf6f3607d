//! Bytes that came from the other side, made fit to print.

use std::fmt::{self, Write};

/// Bytes in double quotes; what is not printable is escaped, and more than 1 KiB is cut.
pub(crate) struct Shown<'a> {
    bytes: &'a [u8],
    backslash: Backslash,
}

/// What a backslash is in these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backslash {
    /// A character like others, and escaped as what escapes.
    Character,
    /// What parts the names of a path, in whose names are none: people know such paths as they are.
    Separator,
}

impl<'a> Shown<'a> {
    pub(crate) fn of(bytes: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self { bytes: bytes.as_ref(), backslash: Backslash::Character }
    }

    /// A path of this side, as its system writes it.
    pub(crate) fn of_local(path: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        let backslash = if cfg!(windows) { Backslash::Separator } else { Backslash::Character };
        Self { bytes: path.as_ref(), backslash }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for chunk in self.bytes[..self.bytes.len().min(MOST)].utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\\' if self.backslash == Backslash::Separator => f.write_char('\\')?,
                    '"' | '\\' => write!(f, "\\{character}")?,
                    '\n' => f.write_str("\\n")?,
                    '\t' => f.write_str("\\t")?,
                    '\r' => f.write_str("\\r")?,
                    plain if is_printable(plain) => f.write_char(plain)?,
                    other if other.is_ascii() => write!(f, "\\x{:02x}", u32::from(other))?,
                    other => write!(f, "\\u{{{:x}}}", u32::from(other))?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_char('"')?;
        if self.bytes.len() > MOST { write!(f, "… ({} bytes)", self.bytes.len()) } else { Ok(()) }
    }
}

/// Neither a control character nor one that reorders or hides the text around it (Unicode's bidirectional controls and
/// zero-width characters).
fn is_printable(character: char) -> bool {
    let hides = matches!(character,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}');
    !character.is_control() && !hides
}

const MOST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_a_terminal_that_it_would_obey() {
        assert_eq!(Shown::of(b"a\xff\x1b[2J\n\"\\").to_string(), r#""a\xff\x1b[2J\n\"\\""#);
        assert_eq!(Shown::of("gr\u{f6}\u{202e}\u{85}").to_string(), "\"gr\u{f6}\\u{202e}\\u{85}\"");
        let windows = Shown { bytes: b"C:\\new\n", backslash: Backslash::Separator };
        assert_eq!(windows.to_string(), r#""C:\new\n""#);
        let here = Shown::of_local(r"C:\new").to_string();
        assert_eq!(here, if cfg!(windows) { r#""C:\new""# } else { r#""C:\\new""# });
        let long = Shown::of(&[b'x'; 5000]).to_string();
        assert!(long.ends_with("x\"… (5000 bytes)") && long.len() < 1100, "{long}");
    }
}
