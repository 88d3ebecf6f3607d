//! A folder that is gone after the test, and numbers that nothing else on the machine uses.

use std::fs;
use std::path::{Path, PathBuf};

/// A folder of one test's own. Other accounts may look into it, as servers that serve them have to.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes an empty folder.
    ///
    /// # Panics
    /// Where it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("rustle-{}", unique_number()));
        // Not by a library for temporary folders: those keep other accounts out.
        fs::create_dir(&path).unwrap_or_else(|error| panic!("cannot make {}: {error}", path.display()));
        Self { path }
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file or folder in it, which need not exist.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file in it.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, content).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        path
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("warning: {} is still there: {error}", self.path.display());
        }
    }
}

/// A number of twelve digits that nobody else drew: for names of files, and to tell a process by.
///
/// # Panics
/// Where the operating system gives no random bytes.
#[must_use]
pub fn unique_number() -> u64 {
    const SMALLEST: u64 = 100_000_000_000;
    SMALLEST + getrandom::u64().expect("random bytes") % (9 * SMALLEST)
}
