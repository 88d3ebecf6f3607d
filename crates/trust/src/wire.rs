//! The few SSH wire types (RFC 4251, section 5) that keys and certificates are made of.

/// Reads wire types from the front of a slice. `None` means that the bytes ran out.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        let (head, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*head)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        let (head, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*head))
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        let (head, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u64::from_be_bytes(*head))
    }

    /// A `string`: borrowed, so that its length field chooses no allocation.
    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*head)).ok()?;
        let (string, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(string)
    }
}

/// Appends a `string`. `None` when it is too long for its length field.
pub(crate) fn put_string(out: &mut Vec<u8>, string: &[u8]) -> Option<()> {
    out.extend_from_slice(&u32::try_from(string.len()).ok()?.to_be_bytes());
    out.extend_from_slice(string);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_past_the_end_is_refused() {
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 1]).string(), None);
        assert_eq!(Reader::new(&[0, 0, 0, 2, 1]).string(), None);
        assert_eq!(Reader::new(&[0, 0, 0]).string(), None);
    }

    #[test]
    fn strings_round_trip() {
        let mut out = Vec::new();
        put_string(&mut out, b"abc").unwrap();
        put_string(&mut out, b"").unwrap();
        let mut reader = Reader::new(&out);
        assert_eq!(reader.string(), Some(&b"abc"[..]));
        assert_eq!(reader.string(), Some(&b""[..]));
        assert!(reader.is_empty());
    }
}
