//! What is there when the server starts.

use std::time::{Duration, SystemTime};

use rustle_testserver::{Sftp, SftpEntry};
use serde::Deserialize;

use crate::test_server::script::bytes;
use crate::test_server::script::units::Size;

/// A file, a directory or a link.
#[derive(Deserialize)]
#[serde(try_from = "Keys")]
pub(super) struct File {
    path: Vec<u8>,
    entry: SftpEntry,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    path: Option<String>,
    path_base64: Option<String>,
    text: Option<String>,
    base64: Option<String>,
    symlink: Option<String>,
    #[serde(default)]
    directory: bool,
    mode: Option<u32>,
    size: Option<Size>,
    modified: Option<u64>,
    uid: Option<u32>,
    gid: Option<u32>,
}

impl File {
    pub(super) fn put_into(self, sftp: Sftp) -> Sftp {
        sftp.entry(self.path, self.entry)
    }
}

impl TryFrom<Keys> for File {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let path = bytes::either("path", keys.path, keys.path_base64)?
            .ok_or_else(|| "the key `path` or `path_base64` is missing".to_owned())?;
        let is_file = keys.text.is_some() || keys.base64.is_some();
        let mut entry = match (keys.text, keys.base64, keys.symlink, keys.directory) {
            (Some(text), None, None, false) => SftpEntry::file(text),
            (None, Some(base64), None, false) => SftpEntry::file(bytes::decoded("base64", &base64)?),
            (None, None, Some(target), false) => SftpEntry::symlink(target),
            (None, None, None, true) => SftpEntry::directory(),
            _ => return Err("a file has one of `text`, `base64`, `symlink` and `directory`".to_owned()),
        };
        if let Some(mode) = keys.mode {
            entry = entry.mode(mode);
        }
        if let Some(size) = keys.size {
            if !is_file {
                return Err("`size` is for files, of `text` or `base64`".to_owned());
            }
            entry = entry.size(size.bytes());
        }
        if let Some(seconds) = keys.modified {
            let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
            entry = entry.modified(time.ok_or("`modified` is in seconds since 1970")?);
        }
        entry = match (keys.uid, keys.gid) {
            (None, None) => entry,
            (Some(uid), Some(gid)) => entry.owner(uid, gid),
            _ => return Err("`uid` and `gid` come together".to_owned()),
        };
        Ok(Self { path, entry })
    }
}
