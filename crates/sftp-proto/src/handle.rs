//! Handles of open files and directories.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::{
    error::Error,
    wire::{Reader, put_string},
};

/// What a server calls an open file or directory: bytes without a meaning to anybody else (draft section 6.2).
///
/// OpenSSH's are four bytes and no text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle {
    bytes: Bytes,
}

impl Handle {
    /// The handle that these bytes are.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into() }
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let limit = reader.limits().max_handle();
        Ok(Self { bytes: reader.string("handle", limit)? })
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) -> Result<(), Error> {
        put_string(out, "handle", &self.bytes)
    }
}

/// In hexadecimal.
impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({:x})", self.bytes)
    }
}
