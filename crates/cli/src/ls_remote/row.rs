//! One file of a listing, for people and for programs.

use std::time::SystemTime;

use rustle_sftp::{FileKind, Metadata};
use serde::Serialize;

use crate::amounts::utc;
use crate::names::{Shown, text_or_base64};

pub(super) struct Row {
    name: Vec<u8>,
    path: Vec<u8>,
    kind: Option<FileKind>,
    mode: Option<u32>,
    permissions: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    length: Option<u64>,
    modified: Option<SystemTime>,
}

/// Names and paths that are not UTF-8 stand in the `_base64` field instead; null is what the server does not say.
#[derive(Serialize)]
pub(super) struct Entry<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_base64: Option<String>,
    kind: Option<&'static str>,
    bytes: Option<u64>,
    /// In octal.
    permissions: Option<String>,
    uid: Option<u32>,
    gid: Option<u32>,
    modified: Option<String>,
}

impl Row {
    pub(super) fn new(name: Vec<u8>, path: Vec<u8>, metadata: &Metadata) -> Self {
        Self {
            name,
            path,
            kind: metadata.kind(),
            mode: metadata.mode(),
            permissions: metadata.permissions(),
            uid: metadata.uid(),
            gid: metadata.gid(),
            length: metadata.len(),
            modified: metadata.modified(),
        }
    }

    /// What it keeps, as far as the server says how much.
    pub(super) fn bytes(&self) -> usize {
        self.name.len() + self.path.len()
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    pub(super) fn entry(&self) -> Entry<'_> {
        let (name, name_base64) = text_or_base64(&self.name);
        let (path, path_base64) = text_or_base64(&self.path);
        let kind = self.kind.map(|kind| match kind {
            FileKind::File => "file",
            FileKind::Directory => "directory",
            FileKind::Symlink => "symlink",
            _ => "other",
        });
        Entry {
            name,
            name_base64,
            path,
            path_base64,
            kind,
            bytes: self.length,
            permissions: self.permissions.map(|bits| format!("{bits:04o}")),
            uid: self.uid,
            gid: self.gid,
            modified: self.modified.map(utc),
        }
    }

    /// Kind and permissions, owner and group, bytes and time; a question mark is what the server does not say.
    fn columns(&self) -> [String; 5] {
        let unknown = || "?".to_owned();
        let number = |id: Option<u32>| id.map_or_else(unknown, |id| id.to_string());
        [
            self.mode.map_or_else(unknown, mode),
            number(self.uid),
            number(self.gid),
            self.length.map_or_else(unknown, |bytes| bytes.to_string()),
            self.modified.map_or_else(unknown, utc),
        ]
    }
}

/// One name a line.
pub(super) fn names(rows: &[Row]) -> String {
    rows.iter().map(|row| format!("{}\n", Shown::of(&row.name))).collect()
}

/// One file a line, in columns.
pub(super) fn table(rows: &[Row]) -> String {
    let all: Vec<[String; 5]> = rows.iter().map(Row::columns).collect();
    let width = |column: usize| all.iter().map(|columns| columns[column].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3), width(4)];
    let line = |(columns, row): (&[String; 5], &Row)| {
        let [mode, uid, gid, bytes, modified] = columns;
        let [first, second, third, fourth, fifth] = widths;
        let name = Shown::of(&row.name);
        format!("{mode:first$} {uid:>second$} {gid:>third$} {bytes:>fourth$} {modified:fifth$} {name}\n")
    };
    all.iter().zip(rows).map(line).collect()
}

/// As `ls -l` writes it.
fn mode(mode: u32) -> String {
    let kind = match mode & 0o170_000 {
        0o100_000 => '-',
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o060_000 => 'b',
        0o020_000 => 'c',
        0o010_000 => 'p',
        0o140_000 => 's',
        _ => '?',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_written_as_ls_writes_it() {
        for (bits, text) in [
            (0o100_644, "-rw-r--r--"),
            (0o040_755, "drwxr-xr-x"),
            (0o041_777, "drwxrwxrwt"),
            (0o104_711, "-rws--x--x"),
            (0o106_600, "-rwS--S---"),
            (0o120_777, "lrwxrwxrwx"),
            (0o644, "?rw-r--r--"),
        ] {
            assert_eq!(mode(bits), text);
        }
    }
}
