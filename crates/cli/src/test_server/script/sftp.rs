//! SFTP: what files there are, and what the server lets clients do with them.

use base64ct::{Base64, Encoding};
use rustle_testserver::{Builder, Sftp, SftpEntry};
use serde::Deserialize;

use super::units::Size;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SftpKeys {
    #[serde(default)]
    serve: Serve,
    #[serde(default)]
    files: Vec<File>,
    quota: Option<Size>,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    binary_handles: bool,
    extensions: Option<Vec<String>>,
    max_packet: Option<Size>,
    max_read: Option<Size>,
    max_write: Option<Size>,
    max_handles: Option<usize>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Serve {
    /// The server's temporary directory.
    #[default]
    Directory,
    Memory,
    None,
}

/// What is there when the server starts.
#[derive(Deserialize)]
#[serde(try_from = "FileKeys")]
struct File {
    path: String,
    entry: SftpEntry,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileKeys {
    path: String,
    text: Option<String>,
    base64: Option<String>,
    symlink: Option<String>,
    #[serde(default)]
    directory: bool,
    mode: Option<u32>,
}

impl SftpKeys {
    pub(super) fn apply(self, builder: Builder) -> Builder {
        let mut sftp = match self.serve {
            Serve::None => return builder,
            Serve::Directory => Sftp::temp_dir(),
            Serve::Memory => Sftp::memory(),
        };
        for File { path, entry } in self.files {
            sftp = sftp.entry(path, entry);
        }
        if let Some(size) = self.quota {
            sftp = sftp.quota(size.bytes());
        }
        if self.read_only {
            sftp = sftp.read_only();
        }
        if self.binary_handles {
            sftp = sftp.binary_handles();
        }
        if let Some(names) = self.extensions {
            sftp = sftp.extensions(names);
        }
        if let Some(size) = self.max_packet {
            sftp = sftp.max_packet(length(size));
        }
        if let Some(size) = self.max_read {
            sftp = sftp.max_read(length(size));
        }
        if let Some(size) = self.max_write {
            sftp = sftp.max_write(length(size));
        }
        if let Some(n) = self.max_handles {
            sftp = sftp.max_handles(n);
        }
        builder.sftp(sftp)
    }
}

fn length(size: Size) -> usize {
    usize::try_from(size.bytes()).unwrap_or(usize::MAX)
}

impl TryFrom<FileKeys> for File {
    type Error = &'static str;

    fn try_from(keys: FileKeys) -> Result<Self, Self::Error> {
        let mut entry = match (keys.text, keys.base64, keys.symlink, keys.directory) {
            (Some(text), None, None, false) => SftpEntry::file(text),
            (None, Some(base64), None, false) => SftpEntry::file(
                Base64::decode_vec(&base64)
                    .map_err(|_| "`base64` is not base64 (RFC 4648 section 4, with padding)")?,
            ),
            (None, None, Some(target), false) => SftpEntry::symlink(target),
            (None, None, None, true) => SftpEntry::directory(),
            _ => return Err("a file has one of `text`, `base64`, `symlink` and `directory`"),
        };
        if let Some(mode) = keys.mode {
            entry = entry.mode(mode);
        }
        Ok(Self { path: keys.path, entry })
    }
}
