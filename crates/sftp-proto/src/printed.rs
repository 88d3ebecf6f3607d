//! What came where a server's first packet should be.

use crate::kind::VERSION;

/// The beginning of a stream, as much of it as an error shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Printed {
    kept: Vec<u8>,
    more: bool,
}

impl Printed {
    pub(crate) fn push(&mut self, piece: &[u8]) {
        let room = MOST.saturating_sub(self.kept.len());
        self.more |= piece.len() > room;
        self.kept.extend(piece.iter().take(room));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Whether the beginning is that of a VERSION; `None` while that is open. Its length has a zero first, being far below
    /// 16 MiB, which no text has; and its type says what it is, in case some text has it nevertheless.
    pub(crate) fn is_version(&self) -> Option<bool> {
        match (self.kept.first(), self.kept.get(LENGTH)) {
            (Some(1..), _) => Some(false),
            (_, Some(kind)) => Some(*kind == VERSION),
            _ => None,
        }
    }

    /// For a person: control characters, what is no UTF-8 and whatever is not visible are escaped. It ends before the
    /// server's own answer, if that came too.
    pub(crate) fn escaped(&self) -> String {
        let answer = |at: &[u8]| matches!(at, [0, 0, _, _, VERSION, 0, 0, 0]);
        let end = self.kept.windows(ANSWER).position(answer);
        let text = self.kept.get(..end.unwrap_or(self.kept.len())).unwrap_or_default();
        let mut shown = String::with_capacity(text.len());
        for chunk in text.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\'' => shown.push(character),
                    character => shown.extend(character.escape_debug()),
                }
            }
            shown.push_str(&chunk.invalid().escape_ascii().to_string());
        }
        if self.more && end.is_none() {
            shown.push('…');
        }
        shown
    }
}

/// As much as is kept, in bytes: the few lines that a start-up file prints.
const MOST: usize = 1024;

/// The length field before the type (draft section 3).
const LENGTH: usize = 4;

/// Of a VERSION: its length, its type and the upper bytes of its version.
const ANSWER: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(pieces: &[&[u8]]) -> Printed {
        let mut printed = Printed::default();
        pieces.iter().for_each(|piece| printed.push(piece));
        printed
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let text = printed(&[b"\x1b]0;x\x07it's \"\xc3\xa9\"\\\r\n\xff\xfe\0\xe2\x80\xae"]).escaped();
        assert_eq!(text, r#"\u{1b}]0;x\u{7}it's \"é\"\\\r\n\xff\xfe\0\u{202e}"#);
    }

    #[test]
    fn a_kilobyte_is_kept_and_that_there_was_more_is_said() {
        let exact = printed(&[&[b'a'; 1000], &[b'b'; 24]]);
        assert_eq!(exact.escaped().len(), 1024);
        assert!(exact.escaped().ends_with('b'));
        let longer = printed(&[&[b'a'; 1000], &[b'b'; 25], &[b'c'; 9]]);
        assert_eq!(longer.kept.len(), 1024);
        assert!(longer.escaped().ends_with("b…"));
    }

    #[test]
    fn a_character_across_pieces_is_one() {
        assert_eq!(printed(&[b"\xc3", b"\xa9"]).escaped(), "é");
    }
}
