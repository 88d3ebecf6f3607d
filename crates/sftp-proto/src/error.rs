//! What can be wrong with a packet.

use crate::extension::Extension;

/// A packet that cannot be decoded, or a value that cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct Error {
    kind: ErrorKind,
    id: Option<u32>,
    extension: Option<Extension>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self { kind, id: None, extension: None }
    }

    pub(crate) fn of_request(mut self, id: u32) -> Self {
        self.id = Some(id);
        self
    }

    pub(crate) fn of_extension(mut self, extension: Option<Extension>) -> Self {
        self.extension = extension;
        self
    }

    /// What kind of error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The id of the request, where the packet held that much: a server can answer it, and a client can fail it alone.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.id
    }

    /// Which extension the request asks for, where the packet held that much: a server that has not got it need not
    /// understand the rest, and can say so.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use rustle_sftp_proto::{ClientPacket, Extension, Limits};
    ///
    /// let without_its_handle = Bytes::from_static(b"\xc8\0\0\0\x07\0\0\0\x11fsync@openssh.com");
    /// let error = ClientPacket::decode(without_its_handle, &Limits::default()).unwrap_err();
    /// assert_eq!((error.id(), error.extension()), (Some(7), Some(Extension::Fsync)));
    /// ```
    #[must_use]
    pub fn extension(&self) -> Option<Extension> {
        self.extension
    }

    /// The stable code that tools see.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "SFTP_PROTOCOL"
    }

    /// Whether the same call may succeed later: never, the answer depends on the bytes alone.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        false
    }
}

/// The kinds of [`Error`]. A field is named as the draft names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A packet of length zero: there is not even a type.
    #[error("an SFTP packet without a type")]
    Empty,
    /// The packet ends before the field does.
    #[error("the SFTP packet ends inside its field {field}")]
    Truncated {
        /// The field.
        field: &'static str,
    },
    /// A field, or the packet itself, is longer than the limit.
    #[error("{field} of {length} bytes where {limit} are the limit")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Its length in bytes, as its sender says.
        length: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A list has more elements than the limit.
    #[error("{count} elements in {field} where {limit} are the limit")]
    TooMany {
        /// The list.
        field: &'static str,
        /// How many elements, as its sender says.
        count: u64,
        /// The limit.
        limit: u64,
    },
    /// The stream ended inside a packet.
    #[error("the SFTP stream ended inside a packet, after {received} of its bytes")]
    EndOfStream {
        /// How many bytes of the packet came, its length field included.
        received: u64,
    },
    /// A value does not fit the 32 bits that the wire has for its length.
    #[error("{field} does not fit into an SFTP packet")]
    Unencodable {
        /// The field.
        field: &'static str,
    },
}
