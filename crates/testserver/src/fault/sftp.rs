//! What the SFTP server does wrong.

use std::{fmt, time::Duration};

use bytes::Bytes;

use crate::fault::{Action, Fault, Trigger};

/// A sort of SFTP request, by its name in draft-ietf-secsh-filexfer-02.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SftpRequest {
    /// Each of the others but [`Init`](Self::Init).
    Any,
    /// SSH_FXP_INIT, which is answered by the version.
    Init,
    /// SSH_FXP_OPEN.
    Open,
    /// SSH_FXP_CLOSE.
    Close,
    /// SSH_FXP_READ.
    Read,
    /// SSH_FXP_WRITE.
    Write,
    /// SSH_FXP_LSTAT.
    Lstat,
    /// SSH_FXP_FSTAT.
    Fstat,
    /// SSH_FXP_SETSTAT.
    SetStat,
    /// SSH_FXP_FSETSTAT.
    FsetStat,
    /// SSH_FXP_OPENDIR.
    OpenDir,
    /// SSH_FXP_READDIR.
    ReadDir,
    /// SSH_FXP_REMOVE.
    Remove,
    /// SSH_FXP_MKDIR.
    MkDir,
    /// SSH_FXP_RMDIR.
    RmDir,
    /// SSH_FXP_REALPATH.
    RealPath,
    /// SSH_FXP_STAT.
    Stat,
    /// SSH_FXP_RENAME.
    Rename,
    /// SSH_FXP_READLINK.
    ReadLink,
    /// SSH_FXP_SYMLINK.
    Symlink,
    /// SSH_FXP_EXTENDED, whichever.
    Extended,
}

/// What is wrong with the answer to an SFTP request; see [`Fault::sftp`].
///
/// Unless said otherwise, the request is carried out first: what is wrong is what the client hears of it.
///
/// Several faults of one request add up, in the order in which they were given. One that would undo what an earlier one
/// does to the same reply, or would find nothing left to do, does nothing and has not fired: of a lost reply nobody sees
/// a wrong id, and of two that take the place of the work the first does. For [`Fault::nth`] that was its turn all the
/// same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SftpFault {
    pub(crate) kind: SftpFaultKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SftpFaultKind {
    LoseReply,
    DuplicateReply,
    HoldReply,
    WrongKind,
    WrongId,
    Status { code: u32, text: Bytes },
    PacketLength(u32),
    LengthPastEnd,
    Name(Bytes),
    ShortRead(usize),
    Delay(Duration),
    CloseChannel,
}

impl SftpFault {
    /// Never sends the reply.
    #[must_use]
    pub fn lose_reply() -> Self {
        Self::of(SftpFaultKind::LoseReply)
    }

    /// Sends the reply twice.
    ///
    /// ```
    /// use rustle_testserver::{Fault, SftpFault, SftpRequest};
    ///
    /// let confused = [
    ///     Fault::sftp(SftpRequest::Open, SftpFault::duplicate_reply()).once(),
    ///     Fault::sftp(SftpRequest::Stat, SftpFault::wrong_kind()).once(),
    ///     Fault::sftp(SftpRequest::Read, SftpFault::wrong_id()).nth(2),
    ///     Fault::sftp(SftpRequest::Read, SftpFault::short_read(100)),
    ///     Fault::sftp(SftpRequest::ReadDir, SftpFault::length_past_end()).once(),
    ///     Fault::sftp(SftpRequest::Write, SftpFault::close_channel()).nth(5),
    /// ];
    /// ```
    #[must_use]
    pub fn duplicate_reply() -> Self {
        Self::of(SftpFaultKind::DuplicateReply)
    }

    /// Sends the reply after that to the next request; never, if no other request comes.
    #[must_use]
    pub fn hold_reply() -> Self {
        Self::of(SftpFaultKind::HoldReply)
    }

    /// Sends a reply of a kind that answers no such request, with its id: a HANDLE where it should be anything else, and
    /// ATTRS in place of a HANDLE.
    #[must_use]
    pub fn wrong_kind() -> Self {
        Self::of(SftpFaultKind::WrongKind)
    }

    /// Sends the reply with an id that the client did not use lately: its own with the highest bit turned. Not for INIT,
    /// which has none.
    #[must_use]
    pub fn wrong_id() -> Self {
        Self::of(SftpFaultKind::WrongId)
    }

    /// Does not carry the request out and answers this status. The codes are those of draft section 7: 2 no such file,
    /// 3 permission denied, 4 failure. Not for INIT.
    #[must_use]
    pub fn status(code: u32, text: impl Into<Bytes>) -> Self {
        Self::of(SftpFaultKind::Status { code, text: text.into() })
    }

    /// Sends the reply with this length, in bytes, in the header of the packet, instead of its own.
    #[must_use]
    pub fn packet_length(length: u32) -> Self {
        Self::of(SftpFaultKind::PacketLength(length))
    }

    /// Sends the reply with a length inside it that points past the packet's end. Not for what is answered by bare
    /// numbers, as `limits@openssh.com`.
    #[must_use]
    pub fn length_past_end() -> Self {
        Self::of(SftpFaultKind::LengthPastEnd)
    }

    /// Puts a name of these bytes first among the names that READDIR, REALPATH or READLINK answer: `../escape`, `a/b`,
    /// none at all, one with a NUL, 64 KiB of them. Strikes only where names are answered.
    #[must_use]
    pub fn name(name: impl Into<Bytes>) -> Self {
        Self::of(SftpFaultKind::Name(name.into()))
    }

    /// Answers a READ with at most so many bytes, though there are more. Strikes only where it makes a difference.
    #[must_use]
    pub fn short_read(bytes: usize) -> Self {
        Self::of(SftpFaultKind::ShortRead(bytes))
    }

    /// Waits before it sends the reply. As replies are sent in the order of their requests, all later ones wait too.
    #[must_use]
    pub fn delay(time: Duration) -> Self {
        Self::of(SftpFaultKind::Delay(time))
    }

    /// Neither carries the request out nor answers it, and closes the channel.
    #[must_use]
    pub fn close_channel() -> Self {
        Self::of(SftpFaultKind::CloseChannel)
    }

    fn of(kind: SftpFaultKind) -> Self {
        Self { kind }
    }

    /// Whether it takes the place of carrying the request out.
    pub(crate) fn is_instead(&self) -> bool {
        matches!(self.kind, SftpFaultKind::Status { .. } | SftpFaultKind::CloseChannel)
    }
}

impl Fault {
    /// Answers this sort of SFTP request wrongly. Only the server's own SFTP engine does, see
    /// [`Sftp`](crate::Sftp::engine).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use rustle_testserver::{Fault, SftpFault, SftpRequest};
    ///
    /// let third_write_lost = Fault::sftp(SftpRequest::Write, SftpFault::lose_reply()).nth(3);
    /// let disk_full = Fault::sftp(SftpRequest::Write, SftpFault::status(4, "No space left on device"));
    /// let out_of_order = Fault::sftp(SftpRequest::Read, SftpFault::hold_reply()).once();
    /// let escapes = Fault::sftp(SftpRequest::ReadDir, SftpFault::name("../escape")).on_connection(1);
    /// let slow = Fault::sftp(SftpRequest::Any, SftpFault::delay(Duration::from_millis(200)));
    /// ```
    #[must_use]
    pub fn sftp(request: SftpRequest, fault: SftpFault) -> Self {
        Self::new(Trigger::Sftp(request), Action::Sftp(fault))
    }
}

impl SftpRequest {
    /// Whether a fault for this sort is for a request of the `other` sort.
    pub(crate) fn covers(self, other: Self) -> bool {
        self == other || (self == Self::Any && other != Self::Init)
    }
}

impl fmt::Display for SftpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any SFTP request",
            Self::Init => "SFTP INIT",
            Self::Open => "SFTP OPEN",
            Self::Close => "SFTP CLOSE",
            Self::Read => "SFTP READ",
            Self::Write => "SFTP WRITE",
            Self::Lstat => "SFTP LSTAT",
            Self::Fstat => "SFTP FSTAT",
            Self::SetStat => "SFTP SETSTAT",
            Self::FsetStat => "SFTP FSETSTAT",
            Self::OpenDir => "SFTP OPENDIR",
            Self::ReadDir => "SFTP READDIR",
            Self::Remove => "SFTP REMOVE",
            Self::MkDir => "SFTP MKDIR",
            Self::RmDir => "SFTP RMDIR",
            Self::RealPath => "SFTP REALPATH",
            Self::Stat => "SFTP STAT",
            Self::Rename => "SFTP RENAME",
            Self::ReadLink => "SFTP READLINK",
            Self::Symlink => "SFTP SYMLINK",
            Self::Extended => "SFTP EXTENDED",
        })
    }
}

impl fmt::Display for SftpFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            SftpFaultKind::LoseReply => f.write_str("lost reply"),
            SftpFaultKind::DuplicateReply => f.write_str("duplicated reply"),
            SftpFaultKind::HoldReply => f.write_str("reply after the next one"),
            SftpFaultKind::WrongKind => f.write_str("reply of a wrong kind"),
            SftpFaultKind::WrongId => f.write_str("reply with a wrong id"),
            SftpFaultKind::Status { code, text } => {
                write!(f, "status {code} {:?}", String::from_utf8_lossy(text))
            }
            SftpFaultKind::PacketLength(length) => write!(f, "packet length {length}"),
            SftpFaultKind::LengthPastEnd => f.write_str("length past the end"),
            SftpFaultKind::Name(name) if name.len() > 64 => write!(f, "name of {} bytes", name.len()),
            SftpFaultKind::Name(name) => write!(f, "name {:?}", String::from_utf8_lossy(name)),
            SftpFaultKind::ShortRead(bytes) => write!(f, "read of {bytes} bytes at most"),
            SftpFaultKind::Delay(time) => write!(f, "delay of {time:?}"),
            SftpFaultKind::CloseChannel => f.write_str("closed channel"),
        }
    }
}
