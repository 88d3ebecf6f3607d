//! A `known_hosts` file of a test's own, and trust by it alone.

use std::fs;
use std::path::{Path, PathBuf};

use rustle_session::KnownHosts;

/// A folder for a `known_hosts` file, which is not there before somebody writes it.
pub(crate) struct Files {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Files {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("known_hosts");
        Self { directory, path }
    }

    pub(crate) fn holding(text: &str) -> Self {
        let files = Self::new();
        fs::write(&files.path, text).unwrap();
        files
    }

    pub(crate) fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    pub(crate) fn trust(&self) -> KnownHosts {
        trust(&self.path)
    }
}

/// Trust by this file, and by none of the system's.
pub(crate) fn trust(path: &Path) -> KnownHosts {
    KnownHosts::new().user_files([path]).system_files([""; 0])
}
