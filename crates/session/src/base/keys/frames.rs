//! Damage for the tests: a file between a first and a last line, cut short or with a bit of its content changed.

use ssh_key::encoding::base64::{Base64, Encoding};

use super::container;

/// A file taken apart, with the lines around its content as they were.
pub(super) struct Frame {
    head: String,
    bytes: Vec<u8>,
    tail: String,
}

impl Frame {
    pub(super) fn of(text: &str) -> Self {
        let is_content = |line: &&str| !line.contains(['-', ':']) && !line.is_empty();
        let lines: Vec<&str> = text.lines().collect();
        let first = lines.iter().position(is_content).unwrap();
        let end = lines.iter().rposition(is_content).unwrap() + 1;
        let joined = |lines: &[&str]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let bytes = container::joined(lines[first..end].iter().copied(), text.len()).unwrap();
        Self { head: joined(&lines[..first]), bytes: bytes.to_vec(), tail: joined(&lines[end..]) }
    }

    /// Every file that ends too soon, in steps of `step` bytes.
    pub(super) fn cut(&self, step: usize) -> impl Iterator<Item = String> {
        (0..self.bytes.len()).step_by(step).map(|length| self.with(&self.bytes[..length]))
    }

    /// Files in which one bit is another one, in steps of `step` bits, which is odd so that each place gets its turn.
    pub(super) fn changed(&self, step: usize) -> impl Iterator<Item = String> {
        (0..self.bytes.len() * 8).step_by(step).map(|bit| {
            let mut bytes = self.bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            self.with(&bytes)
        })
    }

    fn with(&self, bytes: &[u8]) -> String {
        format!("{}{}\n{}", self.head, Base64::encode_string(bytes), self.tail)
    }
}
