//! SSH's data types (RFC 4251 section 5): read from bytes that may be anything, and written.

/// Reads values off the front of a message; `None` where it is too short or not what it should be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    pub(crate) fn boolean(&mut self) -> Option<bool> {
        self.byte().map(|byte| byte != 0)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        let (number, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*number))
    }

    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length)
    }

    /// A string that must be UTF-8.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.string()?).ok()
    }

    pub(crate) fn names(&mut self) -> Option<Vec<String>> {
        let text = self.text()?;
        Some(text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Writes a message value by value.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Values without a message number before them, as they are hashed and signed.
    pub(crate) fn bare() -> Self {
        Self::default()
    }

    pub(crate) fn message(number: u8) -> Self {
        Self { bytes: vec![number] }
    }

    pub(crate) fn byte(mut self, byte: u8) -> Self {
        self.bytes.push(byte);
        self
    }

    pub(crate) fn boolean(self, value: bool) -> Self {
        self.byte(u8::from(value))
    }

    pub(crate) fn u32(mut self, number: u32) -> Self {
        self.bytes.extend(number.to_be_bytes());
        self
    }

    /// What does not fit a string's length field would be cut off; nothing here comes near those 4 GiB.
    pub(crate) fn string(self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX)).raw(bytes)
    }

    pub(crate) fn names(self, names: &[String]) -> Self {
        self.string(names.join(","))
    }

    /// A positive number of any size, most significant byte first.
    pub(crate) fn mpint(self, number: &[u8]) -> Self {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let mut digits = number.get(zeros..).unwrap_or_default().to_vec();
        if digits.first().is_some_and(|first| *first >= 0x80) {
            digits.insert(0, 0);
        }
        self.string(digits)
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_written_and_no_cut_panics() {
        let names = ["a".to_owned(), "b@c".to_owned()];
        let bytes = Writer::message(7).boolean(true).u32(9).string("text").names(&names).raw(b"end").finish();
        let mut reader = Reader::new(&bytes);
        assert_eq!((reader.byte(), reader.boolean(), reader.u32()), (Some(7), Some(true), Some(9)));
        assert_eq!((reader.text(), reader.names()), (Some("text"), Some(names.to_vec())));
        assert_eq!(reader.rest(), b"end");
        for cut in 0..bytes.len() - 3 {
            let mut reader = Reader::new(&bytes[..cut]);
            let whole = reader.take(6).and_then(|_| reader.string()).and_then(|_| reader.names());
            assert_eq!(whole, None, "{cut}");
        }
        assert_eq!(Reader::new(&[0xff; 20]).string(), None);
    }

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        // The examples of RFC 4251 section 5.
        assert_eq!(Writer::bare().mpint(&[0]).finish(), [0, 0, 0, 0]);
        assert_eq!(Writer::bare().mpint(&[0, 0, 0x80]).finish(), [0, 0, 0, 2, 0, 0x80]);
        assert_eq!(Writer::bare().mpint(&[0x09, 0xa3]).finish(), [0, 0, 0, 2, 0x09, 0xa3]);
    }
}
