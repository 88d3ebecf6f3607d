//! This program's own standard streams, without the standard library's buffers, and what kind of thing each is.

use std::fmt;
use std::fs::File;
use std::io;

/// One of this program's own output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Own {
    Stdout,
    Stderr,
}

/// How a stream can be used without waiting for somebody at its other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file, or a device such as `/dev/null`: a call returns as soon as the bytes are copied.
    #[cfg_attr(windows, expect(dead_code, reason = "only Unix says it in a way that std passes on"))]
    File,
    /// A pipe, of which Linux gives a second opening that does not block: setting that on the stream itself would
    /// set it for every other process that has it.
    #[cfg(target_os = "linux")]
    Pipe,
    /// Terminals, sockets, and whatever a system has besides.
    Other,
}

impl Own {
    pub(crate) fn file(self) -> io::Result<File> {
        match self {
            Self::Stdout => duplicate(&io::stdout()),
            Self::Stderr => duplicate(&io::stderr()),
        }
    }

    /// The path under which Linux opens it once more.
    #[cfg(target_os = "linux")]
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Stdout => "/proc/self/fd/1",
            Self::Stderr => "/proc/self/fd/2",
        }
    }
}

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "standard output",
            Self::Stderr => "standard error",
        })
    }
}

pub(crate) fn stdin() -> io::Result<File> {
    duplicate(&io::stdin())
}

#[cfg(unix)]
pub(crate) fn kind(file: &File) -> Kind {
    use std::io::IsTerminal;
    use std::os::unix::fs::FileTypeExt;

    let Ok(metadata) = file.metadata() else { return Kind::Other };
    let kind = metadata.file_type();
    if kind.is_file() || (kind.is_char_device() && !file.is_terminal()) {
        return Kind::File;
    }
    #[cfg(target_os = "linux")]
    if kind.is_fifo() {
        return Kind::Pipe;
    }
    Kind::Other
}

/// Windows does not say it in a way that the standard library passes on.
#[cfg(windows)]
pub(crate) fn kind(_: &File) -> Kind {
    Kind::Other
}

#[cfg(unix)]
fn duplicate(stream: &impl std::os::fd::AsFd) -> io::Result<File> {
    Ok(File::from(stream.as_fd().try_clone_to_owned()?))
}

/// As on Unix. What is written to a console this way is read in the console's code page.
#[cfg(windows)]
fn duplicate(stream: &impl std::os::windows::io::AsHandle) -> io::Result<File> {
    Ok(File::from(stream.as_handle().try_clone_to_owned()?))
}
