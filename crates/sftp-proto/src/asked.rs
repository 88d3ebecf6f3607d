//! What of a request is remembered until its answer comes.

use std::fmt;

use crate::{extended::ExtendedRequest, extension::Extension, kind::PacketKind, request::Request};

/// What was asked: as much of a [`Request`] as says which answers are right. It shows itself by the draft's name.
///
/// ```
/// use rustle_sftp_proto::{Asked, ExtendedRequest, Extension, Request};
///
/// let asked = Asked::of(&Request::Extended(ExtendedRequest::Limits));
/// assert_eq!(asked.extension(), Some(Extension::Limits));
/// assert_eq!(asked.to_string(), "SSH_FXP_EXTENDED limits@openssh.com");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Asked {
    kind: PacketKind,
    extension: Option<Extension>,
    expected: Expected,
}

/// Which answers are right. A STATUS that is no success always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Expected {
    /// A STATUS and no other.
    Status,
    Handle,
    /// Of so many bytes at most.
    Data(u32),
    Names,
    /// A NAME of one name.
    Name,
    Attributes,
    Extended,
    /// Whatever there is: the request is unknown here.
    Any,
}

impl Asked {
    /// What this request asks.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let extension = match request {
            Request::Extended(request) => request.extension(),
            _ => None,
        };
        Self { kind: PacketKind::new(request.kind()), extension, expected: Expected::of(request) }
    }

    /// The request's type.
    #[must_use]
    pub fn kind(&self) -> PacketKind {
        self.kind
    }

    /// Which extension it is of, if one that has a type here.
    #[must_use]
    pub fn extension(&self) -> Option<Extension> {
        self.extension
    }

    pub(crate) fn expected(&self) -> Expected {
        self.expected
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        match self.extension {
            Some(extension) => write!(f, " {extension}"),
            None => Ok(()),
        }
    }
}

impl Expected {
    /// By draft section 7, and what says of each extension how it is answered.
    fn of(request: &Request) -> Self {
        match request {
            Request::Open { .. } | Request::OpenDir { .. } => Self::Handle,
            Request::Read { length, .. } => Self::Data(*length),
            Request::ReadDir { .. } => Self::Names,
            Request::RealPath { .. } | Request::ReadLink { .. } => Self::Name,
            Request::Lstat { .. } | Request::Fstat { .. } | Request::Stat { .. } => Self::Attributes,
            Request::Close { .. }
            | Request::Write { .. }
            | Request::SetStat { .. }
            | Request::FsetStat { .. }
            | Request::Remove { .. }
            | Request::MkDir { .. }
            | Request::RmDir { .. }
            | Request::Rename { .. }
            | Request::Symlink { .. } => Self::Status,
            Request::Extended(request) => Self::of_extended(request),
            Request::Unknown { .. } => Self::Any,
        }
    }

    fn of_extended(request: &ExtendedRequest) -> Self {
        match request {
            ExtendedRequest::PosixRename { .. }
            | ExtendedRequest::HardLink { .. }
            | ExtendedRequest::Fsync { .. }
            | ExtendedRequest::LsetStat { .. }
            | ExtendedRequest::CopyData { .. } => Self::Status,
            ExtendedRequest::ExpandPath { .. } | ExtendedRequest::HomeDirectory { .. } => Self::Name,
            ExtendedRequest::StatVfs { .. }
            | ExtendedRequest::FstatVfs { .. }
            | ExtendedRequest::Limits
            | ExtendedRequest::UsersGroupsById { .. }
            | ExtendedRequest::CheckFileHandle { .. }
            | ExtendedRequest::CheckFileName { .. }
            | ExtendedRequest::CheckFile { .. } => Self::Extended,
            ExtendedRequest::Unknown { .. } => Self::Any,
        }
    }
}
