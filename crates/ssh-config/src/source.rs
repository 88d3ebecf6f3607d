//! Where files, environment and local identity come from.

use std::io;

/// The outside world as the configuration sees it. Paths are text as it stands in the configuration, with `/`
/// or the system's own separator.
pub trait Source {
    /// Reads at most `limit + 1` bytes of a file; `None` when there is none.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    fn read(&self, path: &str, limit: u64) -> io::Result<Option<SourceFile>>;

    /// The names in a directory, for wildcards in `Include`; empty when there is no such directory.
    ///
    /// # Errors
    /// When the directory is there and cannot be listed.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;

    /// The value of an environment variable.
    fn env(&self, name: &str) -> Option<String>;

    /// The home directory of the local user, or of the named one (`~name`).
    fn home(&self, user: Option<&str>) -> Option<String>;

    /// The local user's name (`%u`).
    fn user(&self) -> Option<String>;

    /// The local user's number (`%i`); `None` where the system has no such numbers.
    fn user_id(&self) -> Option<u32>;

    /// The local machine's name (`%l`, and its first part is `%L`).
    fn host(&self) -> Option<String>;

    /// The directory of the system-wide files: `/etc/ssh`, or `ssh` in Windows' program data.
    fn system_directory(&self) -> String;
}

/// A file's content and whose word it is.
#[derive(Clone, Debug)]
pub struct SourceFile {
    bytes: Vec<u8>,
    standing: Standing,
}

impl SourceFile {
    /// A file with this content.
    #[must_use]
    pub fn new(bytes: Vec<u8>, standing: Standing) -> SourceFile {
        SourceFile { bytes, standing }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }
}

/// Who but its user could have written a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// Nobody but root.
    Trusted,
    /// Its group or everybody.
    WritableByOthers,
    /// It belongs to another user.
    OtherOwner,
    /// This system's permissions are not looked at.
    Unchecked,
}
