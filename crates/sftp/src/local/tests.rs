//! Files of this side on a real file system.

mod reader;
mod remove;
mod target;
mod tree;
mod writer;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{Error, ErrorKind};

/// Bytes that differ from place to place, so that a block in the wrong place is found out.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at / 7 + at / 65_537) % 251).unwrap()).collect()
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn file_with(directory: &TempDir, name: &str, data: &[u8]) -> PathBuf {
    let path = directory.path().join(name);
    fs::write(&path, data).unwrap();
    path
}

/// Everything that is in a directory, by name.
///
/// Windows takes the name of a removed file away when its last handle is closed, and a thread that wrote to it may have
/// one for a moment longer: such names are waited for there.
fn names(directory: &Path) -> Vec<String> {
    let begun = std::time::Instant::now();
    loop {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        let leaves = |name: &String| name.contains(".rustle-") && !name.ends_with("-part");
        if cfg!(unix) || !names.iter().any(leaves) || begun.elapsed() > std::time::Duration::from_secs(10) {
            return names;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn assert_local(error: &Error, path: &Path, text: &str) {
    assert_eq!(error.kind(), ErrorKind::Local, "{error}");
    assert_eq!(error.path(), Some(path.as_os_str().as_encoded_bytes()));
    assert!(error.to_string().contains(text), "{error}");
}

/// Root may do everything, so that nothing is refused to it.
#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
