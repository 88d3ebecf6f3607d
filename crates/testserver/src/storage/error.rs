//! Why an operation on files was refused.

/// The sort of a failure, without a path: the caller knows it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StorageError {
    /// A part of the path does not exist.
    #[error("no such file or directory")]
    NotFound,
    /// The mode bits, the owner or the mode of opening forbid it.
    #[error("permission denied")]
    PermissionDenied,
    /// Something is there already.
    #[error("file exists")]
    Exists,
    /// A part of the path that has to be a directory is none.
    #[error("not a directory")]
    NotADirectory,
    /// The operation is for files.
    #[error("is a directory")]
    IsADirectory,
    /// A directory with something in it is neither removed nor replaced.
    #[error("directory not empty")]
    NotEmpty,
    /// More than 40 symbolic links on the way.
    #[error("too many levels of symbolic links")]
    Loop,
    /// The quota or the disk is used up.
    #[error("no space left")]
    NoSpace,
    /// A file has as many names as it can.
    #[error("too many links")]
    TooManyLinks,
    /// An offset or a size past what a file can have.
    #[error("file too large")]
    TooLarge,
    /// A name with a zero byte, of more than 255 bytes, or that cannot exist on this platform; a path of more than 4096.
    #[error("invalid file name")]
    InvalidName,
    /// The request makes no sense.
    #[error("invalid argument: {0}")]
    Invalid(&'static str),
    /// Nothing can be changed here.
    #[error("read-only file system")]
    ReadOnly,
    /// This platform or this sort of file has no such operation.
    #[error("not supported: {0}")]
    Unsupported(&'static str),
    /// The disk's own error.
    #[error("{0}")]
    Io(String),
}
