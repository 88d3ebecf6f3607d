//! Files of this side.

use std::path::PathBuf;

use tempfile::TempDir;

/// Bytes that differ from block to block.
pub(crate) fn content(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A directory of this side.
pub(crate) struct Here {
    folder: TempDir,
}

impl Here {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// What is there once nothing of a transfer is left. Windows takes the name of a removed file away when its last handle
    /// is closed, and a thread that wrote to it may have one for a moment longer: such names are waited for there.
    pub(crate) fn names(&self) -> Vec<String> {
        let begun = std::time::Instant::now();
        loop {
            let names = self.names_now();
            let leaves = |name: &String| name.contains(".rustle-") && !name.ends_with("-part");
            if cfg!(unix) || !names.iter().any(leaves) || begun.elapsed() > std::time::Duration::from_secs(10)
            {
                return names;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// What is there, with what a transfer may leave.
    pub(crate) fn names_now(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}
