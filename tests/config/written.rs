//! Bytes that cannot be seen, as marks in a text: `⟨CR⟩`, `⟨NUL⟩`, `⟨BOM⟩`, `⟨FF⟩`, `⟨VT⟩`, `⟨FF⟩`, any byte as
//! `⟨x9c⟩`, a letter many times as `⟨a*70000⟩`, and at the end of a file `⟨NO NEWLINE⟩`. `⟨DIR⟩` is left alone.

use std::fmt::Write;

const MARKS: [(&str, &[u8]); 5] =
    [("CR", b"\r"), ("NUL", b"\0"), ("BOM", b"\xef\xbb\xbf"), ("FF", b"\x0c"), ("VT", b"\x0b")];
const NO_NEWLINE: &str = "⟨NO NEWLINE⟩";

/// The bytes that a text stands for.
pub(crate) fn read(text: &str) -> Vec<u8> {
    let text = text.strip_suffix(&format!("{NO_NEWLINE}\n")).unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('⟨') {
        let (before, after) = rest.split_at(at);
        bytes.extend_from_slice(before.as_bytes());
        let end = after.find('⟩').unwrap_or_else(|| panic!("a mark is not closed: {after:.40}"));
        let mark = &after['⟨'.len_utf8()..end];
        match meaning(mark) {
            Some(meant) => bytes.extend_from_slice(&meant),
            None => bytes.extend_from_slice(&after.as_bytes()[..end + '⟩'.len_utf8()]),
        }
        rest = &after[end + '⟩'.len_utf8()..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

fn meaning(mark: &str) -> Option<Vec<u8>> {
    if let Some((_, bytes)) = MARKS.iter().find(|(name, _)| *name == mark) {
        return Some(bytes.to_vec());
    }
    if let Some((what, times)) = mark.split_once('*') {
        return Some(what.repeat(times.parse().ok()?).into_bytes());
    }
    let hex = mark.strip_prefix('x')?;
    u8::from_str_radix(hex, 16).ok().map(|byte| vec![byte])
}

/// The text that stands for these bytes.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = bytes;
    while let Some(&byte) = rest.first() {
        let run = rest.iter().take_while(|&&other| other == byte).count();
        let taken = if let Some((name, mark)) = MARKS.iter().find(|(_, mark)| rest.starts_with(mark)) {
            write!(text, "⟨{name}⟩").unwrap();
            mark.len()
        } else if run > 200 && byte.is_ascii_alphanumeric() {
            write!(text, "⟨{}*{run}⟩", char::from(byte)).unwrap();
            run
        } else if byte.is_ascii() && (!byte.is_ascii_control() || matches!(byte, b'\n' | b'\t')) {
            text.push(char::from(byte));
            1
        } else if let Some(character) = first_character(rest) {
            text.push(character);
            character.len_utf8()
        } else {
            write!(text, "⟨x{byte:02x}⟩").unwrap();
            1
        };
        rest = &rest[taken..];
    }
    if !text.is_empty() && !text.ends_with('\n') {
        writeln!(text, "{NO_NEWLINE}").unwrap();
    }
    text
}

/// A character beyond ASCII that begins here.
fn first_character(bytes: &[u8]) -> Option<char> {
    let whole = (2..=4.min(bytes.len())).find_map(|length| std::str::from_utf8(&bytes[..length]).ok());
    whole?.chars().next().filter(|character| !character.is_control() && !character.is_ascii())
}

#[test]
fn what_is_shown_is_read_again() {
    for bytes in [
        &b"\xef\xbb\xbfPort 1\r\nUser a\0b\x0c\x0b\x9c"[..],
        b"Port 1\n",
        b"",
        "User ä\nHost ⟨DIR⟩\n".as_bytes(),
        &[b'a'; 300],
        b"\x01\x7f\n\n",
    ] {
        assert_eq!(read(&shown(bytes)), bytes, "{}", shown(bytes));
    }
}
