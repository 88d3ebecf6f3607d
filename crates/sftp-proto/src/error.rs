//! What can be wrong with a packet.

use std::fmt;

use crate::{asked::Asked, extension::Extension, kind::PacketKind};

/// A packet that cannot be decoded, a value that cannot be encoded, or an answer that nobody asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    id: Option<u32>,
    extension: Option<Extension>,
    request: Option<Asked>,
    printed: Option<Box<str>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind) -> Self {
        Self { kind, id: None, extension: None, request: None, printed: None }
    }

    pub(crate) fn of_request(mut self, id: u32) -> Self {
        self.id = Some(id);
        self
    }

    pub(crate) fn of_extension(mut self, extension: Option<Extension>) -> Self {
        self.extension = extension;
        self
    }

    pub(crate) fn in_answer_to(mut self, request: Asked) -> Self {
        self.request = Some(request);
        self
    }

    pub(crate) fn of_text(mut self, text: String) -> Self {
        self.printed = Some(text.into_boxed_str());
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

    /// The request whose answer is wrong, where the answer said that much. The text names it.
    #[must_use]
    pub fn request(&self) -> Option<Asked> {
        self.request
    }

    /// What was printed before the server's answer, of [`ErrorKind::Printed`]: its first KiB, and `…` if there was more.
    /// Control characters and all else that is not visible are escaped as in a Rust string, so that it can be shown.
    #[must_use]
    pub fn printed(&self) -> Option<&str> {
        self.printed.as_deref()
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

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(request) = self.request {
            write!(f, "the answer to {request}: ")?;
        }
        write!(f, "{}", self.kind)?;
        match &self.printed {
            Some(text) => write!(f, ": \"{text}\""),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

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
    /// An answer to a request that was never made.
    #[error("{came} for the id {id}, which no request has had")]
    NeverAsked {
        /// The id.
        id: u32,
        /// What came.
        came: PacketKind,
    },
    /// A second answer to a request.
    #[error("{came} for the id {id}, whose request has been answered before")]
    AnsweredBefore {
        /// The id.
        id: u32,
        /// What came.
        came: PacketKind,
    },
    /// An answer of a kind that the request cannot have.
    #[error("{came}, which is no answer to that")]
    WrongAnswer {
        /// What came.
        came: PacketKind,
    },
    /// A STATUS of success where there was something to answer with.
    #[error("SSH_FXP_STATUS says success, and what was asked for is not there")]
    EmptySuccess,
    /// More file data than was asked for.
    #[error("SSH_FXP_DATA of {length} bytes where {asked} were asked for")]
    TooMuchData {
        /// How many bytes came, as the packet says.
        length: u32,
        /// How many were asked for.
        asked: u32,
    },
    /// Not one name where there must be one.
    #[error("SSH_FXP_NAME of {count} names where there is one to give")]
    NotOneName {
        /// How many came.
        count: u64,
    },
    /// A VERSION after the stream was opened.
    #[error("SSH_FXP_VERSION a second time")]
    SecondVersion,
    /// Something else came where the server's first answer should be. [`Error::printed`] has it.
    #[error(
        "something printed on standard output before the server's answer, most often a shell start-up file of that \
         account (.bashrc and so on), which must not print in shells that are not interactive"
    )]
    Printed,
    /// The stream ended and nothing had come.
    #[error("the stream was closed before any answer: is there an SFTP subsystem?")]
    Unanswered,
    /// The server speaks a version before [3](crate::VERSION).
    #[error("the server speaks SFTP version {version}, and version 3 is needed")]
    VersionTooOld {
        /// The server's.
        version: u32,
    },
    /// The server answers with a version after [3](crate::VERSION), where the lower of both must come (draft section 4).
    #[error("the server answered with SFTP version {version}, where it was offered version 3")]
    VersionNotOffered {
        /// The server's.
        version: u32,
    },
}
