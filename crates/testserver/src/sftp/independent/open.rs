//! Files are opened without waiting and without following a link: a path was resolved before, and what has come into its
//! place since is refused.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
};

/// What may be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    File,
    FileOrDirectory,
}

/// Opens a file.
///
/// # Errors
/// It is not what is wanted, but a device, a named pipe, a link.
pub(crate) fn open(options: &mut OpenOptions, wanted: Wanted, path: &Path) -> io::Result<File> {
    let file = careful(options, wanted).open(path)?;
    let metadata = file.metadata()?;
    match wanted {
        _ if metadata.is_file() => Ok(file),
        Wanted::FileOrDirectory if metadata.is_dir() => Ok(file),
        Wanted::File if metadata.is_dir() => Err(io::Error::other("is a directory")),
        Wanted::File | Wanted::FileOrDirectory => Err(io::Error::other("not a regular file")),
    }
}

/// A named pipe is opened at once or not at all, where the engine would wait for somebody at its other end.
#[cfg(unix)]
fn careful(options: &mut OpenOptions, _wanted: Wanted) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;

    use rustix::fs::OFlags;

    // open(2) has them in an int.
    options.custom_flags((OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed())
}

/// There are no named pipes among the files. A link is opened itself, and found to be one.
#[cfg(windows)]
fn careful(options: &mut OpenOptions, wanted: Wanted) -> &mut OpenOptions {
    use std::os::windows::fs::OpenOptionsExt;

    const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
    // Without this no directory can be opened.
    const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;

    options.custom_flags(match wanted {
        Wanted::File => FILE_FLAG_OPEN_REPARSE_POINT,
        Wanted::FileOrDirectory => FILE_FLAG_OPEN_REPARSE_POINT | FILE_FLAG_BACKUP_SEMANTICS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wanted: Wanted, path: &Path) -> io::Result<File> {
        open(OpenOptions::new().read(true), wanted, path)
    }

    #[test]
    fn a_directory_is_opened_only_where_one_is_wanted() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("file"), "x").unwrap();
        for wanted in [Wanted::File, Wanted::FileOrDirectory] {
            assert!(read(wanted, &root.path().join("file")).is_ok());
            assert_eq!(read(wanted, root.path()).is_ok(), wanted == Wanted::FileOrDirectory);
        }
    }

    /// Nobody is at the other end of the pipe: to wait for them would be to wait for ever.
    #[cfg(unix)]
    #[test]
    fn pipes_links_and_devices_are_refused_at_once() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        std::fs::write(path("file"), "x").unwrap();
        std::os::unix::fs::symlink("file", path("link")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap();
        assert!(made.success());
        for wanted in [Wanted::File, Wanted::FileOrDirectory] {
            for refused in [path("link"), path("pipe"), "/dev/null".into()] {
                assert!(read(wanted, &refused).is_err(), "{wanted:?} {}", refused.display());
                let written = open(OpenOptions::new().write(true), wanted, &refused);
                assert!(written.is_err(), "{wanted:?} {}", refused.display());
            }
        }
    }
}
