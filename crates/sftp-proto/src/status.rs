//! STATUS: how a request went.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    error::Error,
    wire::{Reader, put_string},
};

/// How a request went (draft section 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    code: StatusCode,
    message: Bytes,
    language: Bytes,
}

impl Status {
    /// A status with a message of the server's own.
    #[must_use]
    pub fn new(code: StatusCode, message: impl Into<Bytes>) -> Self {
        Self { code, message: message.into(), language: Bytes::new() }
    }

    /// With the language tag of its message (RFC 3066). OpenSSH leaves it empty.
    #[must_use]
    pub fn with_language(mut self, tag: impl Into<Bytes>) -> Self {
        self.language = tag.into();
        self
    }

    /// What happened.
    #[must_use]
    pub fn code(&self) -> StatusCode {
        self.code
    }

    /// What the server says about it, for a person. Should be UTF-8 and comes from the peer: it may be anything.
    #[must_use]
    pub fn message(&self) -> &Bytes {
        &self.message
    }

    /// The language of the message; often empty.
    #[must_use]
    pub fn language(&self) -> &Bytes {
        &self.language
    }

    /// Servers of earlier versions send no message, and some of this one no language.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let code = StatusCode::new(reader.u32("status code")?);
        let mut optional = |field| if reader.is_empty() { Ok(Bytes::new()) } else { reader.text(field) };
        Ok(Self { code, message: optional("error message")?, language: optional("language tag")? })
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) -> Result<(), Error> {
        out.put_u32(self.code.value());
        put_string(out, "error message", &self.message)?;
        put_string(out, "language tag", &self.language)
    }
}

impl From<StatusCode> for Status {
    /// With the text that OpenSSH has for the code.
    fn from(code: StatusCode) -> Self {
        Self::new(code, code.text())
    }
}

/// The code of a STATUS. Those of later versions, which some servers send in this one too, are kept.
///
/// ```
/// use rustle_sftp_proto::StatusCode;
///
/// assert_eq!(StatusCode::new(2), StatusCode::NO_SUCH_FILE);
/// assert_eq!(StatusCode::new(2).to_string(), "No such file (2)");
/// assert_eq!(StatusCode::new(14).to_string(), "Unknown error (14)");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StatusCode {
    value: u32,
}

impl StatusCode {
    /// SSH_FX_OK.
    pub const OK: Self = Self::new(0);
    /// SSH_FX_EOF: nothing more to read, or no more names.
    pub const EOF: Self = Self::new(1);
    /// SSH_FX_NO_SUCH_FILE.
    pub const NO_SUCH_FILE: Self = Self::new(2);
    /// SSH_FX_PERMISSION_DENIED.
    pub const PERMISSION_DENIED: Self = Self::new(3);
    /// SSH_FX_FAILURE: whatever has no code of its own; an existing file, say, or a full disk.
    pub const FAILURE: Self = Self::new(4);
    /// SSH_FX_BAD_MESSAGE.
    pub const BAD_MESSAGE: Self = Self::new(5);
    /// SSH_FX_NO_CONNECTION. A client's own; no server sends it.
    pub const NO_CONNECTION: Self = Self::new(6);
    /// SSH_FX_CONNECTION_LOST. A client's own; no server sends it.
    pub const CONNECTION_LOST: Self = Self::new(7);
    /// SSH_FX_OP_UNSUPPORTED.
    pub const OP_UNSUPPORTED: Self = Self::new(8);

    /// The code with this number.
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self { value }
    }

    /// Its number.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.value
    }

    /// What OpenSSH's server says for it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::OK => "Success",
            Self::EOF => "End of file",
            Self::NO_SUCH_FILE => "No such file",
            Self::PERMISSION_DENIED => "Permission denied",
            Self::FAILURE => "Failure",
            Self::BAD_MESSAGE => "Bad message",
            Self::NO_CONNECTION => "No connection",
            Self::CONNECTION_LOST => "Connection lost",
            Self::OP_UNSUPPORTED => "Operation unsupported",
            _ => "Unknown error",
        }
    }
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text(), self.value)
    }
}
