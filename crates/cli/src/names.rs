//! Names of files, which may be any bytes: for people, and for programs.

use std::ffi::OsStr;
use std::fmt::{self, Write};

use base64ct::{Base64, Encoding};

/// A name or a path for a terminal: as it is where nothing in it could move a cursor or pass for something else, and in
/// quotes with escapes otherwise.
pub(crate) struct Shown<'a>(&'a [u8]);

impl<'a> Shown<'a> {
    pub(crate) fn of(name: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self(name.as_ref())
    }

    pub(crate) fn of_local(name: &'a OsStr) -> Self {
        Self(name.as_encoded_bytes())
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Ok(text) = str::from_utf8(self.0)
            && !text.is_empty()
            && !text.starts_with(' ')
            && !text.ends_with(' ')
            && text.chars().all(|char| is_printable(char) && !matches!(char, '"' | '\\'))
        {
            return f.write_str(text);
        }
        f.write_char('"')?;
        for chunk in self.0.utf8_chunks() {
            for char in chunk.valid().chars() {
                match char {
                    '"' | '\\' => write!(f, "\\{char}")?,
                    '\n' => f.write_str("\\n")?,
                    '\r' => f.write_str("\\r")?,
                    '\t' => f.write_str("\\t")?,
                    plain if is_printable(plain) => f.write_char(plain)?,
                    other => write!(f, "\\u{{{:x}}}", u32::from(other))?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_char('"')
    }
}

/// The bytes for JSON: as text where they are UTF-8, else in base64, which goes to a field of another name.
pub(crate) fn text_or_base64(bytes: &[u8]) -> (Option<&str>, Option<String>) {
    match str::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(Base64::encode_string(bytes))),
    }
}

/// Neither a control character nor one that hides or reorders the text around it: zero-width characters and Unicode's
/// bidirectional controls.
fn is_printable(char: char) -> bool {
    let hides = matches!(char,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    !char.is_control() && !hides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_stands_as_it_is_and_no_other_reaches_the_terminal() {
        for plain in ["motd", "gr\u{f6}\u{df}e \u{2192} \u{65e5}\u{672c}", "it's", "a b"] {
            assert_eq!(Shown::of(plain).to_string(), plain);
        }
        for (name, shown) in [
            (&b""[..], r#""""#),
            (b" a", r#"" a""#),
            (b"a\x1b[2J\n", r#""a\u{1b}[2J\n""#),
            (b"\xff\"\\", r#""\xff\"\\""#),
            ("\u{202e}txt.exe".as_bytes(), r#""\u{202e}txt.exe""#),
        ] {
            assert_eq!(Shown::of(name).to_string(), shown);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_base64() {
        assert_eq!(text_or_base64(b"a"), (Some("a"), None));
        assert_eq!(text_or_base64(b"\xff\x00"), (None, Some("/wA=".into())));
    }
}
