//! What came of directories.

use std::fmt::Write as _;

use rustle_sftp::{FileKind, TreeSummary};
use serde::Serialize;

use crate::amounts::Bytes;
use crate::failure::{Failure, Stop};
use crate::names::{Shown, text_or_base64};
use crate::plan::Format;
use crate::printer::Printer;
use crate::transfer::tree::{Fate, Told};

/// What came of all directories together.
#[derive(Default)]
pub(super) struct Trees {
    pub(super) files: u64,
    pub(super) directories: u64,
    pub(super) links: u64,
    pub(super) skipped: u64,
    pub(super) failed: u64,
    pub(super) unverified: u64,
    pub(super) changed: u64,
    pub(super) bytes: u64,
    pub(super) unchanged: u64,
    pub(super) permissions: u64,
    pub(super) removed: u64,
    pub(super) kept: u64,
    pub(super) uncompared: u64,
    pub(super) resumed: u64,
    pub(super) sampled: u64,
    pub(super) anew: u64,
    pub(super) found: u64,
    /// Nothing is changed, and what would be done is listed.
    pub(super) dry: bool,
}

impl Trees {
    /// Whether nothing in a directory was moved or made.
    pub(super) fn is_empty(&self) -> bool {
        self.files == 0 && self.directories == 0
    }

    /// One thing in a directory is done: programs are told of all, people of what went wrong, and of the rest on request.
    ///
    /// # Errors
    /// Standard output cannot be written to.
    pub(super) fn tell(&mut self, told: &Told, printer: &mut Printer) -> Result<(), Stop> {
        self.skipped += u64::from(matches!(told.fate, Fate::Skipped(_)));
        self.failed += u64::from(matches!(told.fate, Fate::Failed(_)));
        if printer.format() == Format::Json {
            // What is the same is counted: nobody wants to read of all of it.
            if !matches!(told.fate, Fate::Unchanged) {
                printer.json(&Line::of(told))?;
            }
            return Ok(());
        }
        if self.dry {
            return self.list(told, printer);
        }
        let source = Shown::of(&told.source);
        let to = Shown::of(told.destination.as_deref().unwrap_or_default());
        match &told.fate {
            Fate::File { bytes, from: None } => {
                printer.note(format_args!("{source} to {to}: {}", Bytes(*bytes)));
            }
            Fate::File { bytes, from: Some(from) } if from == bytes => {
                printer.note(format_args!(
                    "{source} to {to}: {}, all of it from a part that was there",
                    Bytes(*bytes)
                ));
            }
            Fate::File { bytes, from: Some(from) } => {
                printer.note(format_args!(
                    "{source} to {to}: {}, went on behind {}",
                    Bytes(*bytes),
                    Bytes(*from)
                ));
            }
            Fate::Link => printer.note(format_args!("{source} to {to}: a link")),
            Fate::Unchanged => printer.note(format_args!("{source}: the same already")),
            Fate::Permissions => printer.note(format_args!("{source} to {to}: its permissions alone")),
            Fate::Removed => printer.note(format_args!("{source}: removed")),
            Fate::Skipped(FileKind::Symlink) => printer.note(format_args!("{source}: a link, left out")),
            Fate::Skipped(_) => printer.note(format_args!("{source}: no file, left out")),
            Fate::Failed(failure) => printer.failure(failure),
        }
        Ok(())
    }

    /// What would be done is what was asked for.
    fn list(&self, told: &Told, printer: &mut Printer) -> Result<(), Stop> {
        let source = Shown::of(&told.source);
        match &told.fate {
            Fate::File { .. } => printer.line(format_args!("move {source}"))?,
            Fate::Link => printer.line(format_args!("link {source}"))?,
            Fate::Removed => printer.line(format_args!("remove {source}"))?,
            Fate::Permissions => printer.line(format_args!("set permissions of {source}"))?,
            Fate::Unchanged => printer.note(format_args!("{source}: the same already")),
            Fate::Skipped(_) => printer.note(format_args!("{source}: left out")),
            Fate::Failed(failure) => printer.failure(failure),
        }
        Ok(())
    }

    /// A directory has ended.
    ///
    /// # Errors
    /// Standard output cannot be written to.
    pub(super) fn add(
        &mut self,
        source: &[u8],
        moved: Result<TreeSummary, Failure>,
        printer: &mut Printer,
    ) -> Result<(), Stop> {
        let summary = match moved {
            Ok(summary) => summary,
            Err(failure) => {
                let source = source.to_vec();
                return self.tell(&Told { source, destination: None, fate: Fate::Failed(failure) }, printer);
            }
        };
        let source = Shown::of(source);
        if summary.kept > 0 && printer.format() == Format::Human {
            printer.warning(format_args!(
                "{} that only the destination has stay, since something failed",
                summary.kept
            ));
        }
        if summary.sampled > 0 && printer.format() == Format::Human {
            printer.warning(format_args!(
                "{source}: {} files went on behind a part of which the server let only samples be compared",
                summary.sampled
            ));
        }
        if summary.anew > 0 && printer.format() == Format::Human {
            printer.warning(format_args!(
                "{source}: of {} files something was there that is not known to be their beginning, and was not used",
                summary.anew
            ));
        }
        if summary.uncompared > 0 && printer.format() == Format::Human {
            printer.warning(format_args!(
                "{source}: {} files were moved because the host has no way to say what is in its own",
                summary.uncompared
            ));
        }
        if summary.unverified > 0 && printer.format() == Format::Human {
            printer.warning(format_args!(
                "{source}: the server has no way to compare {} of the files",
                summary.unverified
            ));
        }
        if summary.changed > 0 && printer.format() == Format::Human {
            printer.warning(format_args!(
                "{source}: {} of the files were written to while they were read: what arrived may be of two versions",
                summary.changed
            ));
        }
        self.files += summary.files;
        self.directories += summary.directories;
        self.links += summary.links;
        self.unverified += summary.unverified;
        self.changed += summary.changed;
        self.bytes = self.bytes.saturating_add(summary.bytes);
        self.unchanged += summary.unchanged;
        self.permissions += summary.permissions;
        self.removed += summary.removed;
        self.kept += summary.kept;
        self.uncompared += summary.uncompared;
        self.resumed += summary.resumed;
        self.sampled += summary.sampled;
        self.anew += summary.anew;
        self.found += summary.found;
        Ok(())
    }

    /// How much there was of all, with so many files and failures in directories and by themselves.
    pub(super) fn line(&self, files: u64, failed: u64) -> String {
        let counted = |count: u64, one: &str, more: &str| match count {
            1 => format!("1 {one}"),
            _ => format!("{count} {more}"),
        };
        let mut line = counted(files, "file", "files");
        if self.dry {
            line.insert_str(0, "nothing was changed; it would be ");
        }
        let _ = write!(line, ", {}", counted(self.directories, "directory", "directories"));
        if self.links > 0 {
            let _ = write!(line, ", {}", counted(self.links, "link", "links"));
        }
        if self.unchanged > 0 {
            let _ = write!(line, ", {} the same already", self.unchanged);
        }
        if self.permissions > 0 {
            let _ = write!(line, ", {} whose permissions alone were others", self.permissions);
        }
        if self.resumed > 0 {
            let _ = write!(line, ", {} gone on with", self.resumed);
        }
        if self.removed > 0 {
            let _ = write!(line, ", {} removed", self.removed);
        }
        if self.skipped > 0 {
            let _ = write!(line, ", {} left out (links and what is no file)", self.skipped);
        }
        if failed > 0 {
            let _ = write!(line, ", {failed} failed");
        }
        line
    }
}

/// One thing of a directory for programs. Paths that are not UTF-8 stand in the `_base64` field instead.
#[derive(Serialize)]
struct Line<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    /// Where it went on, where an earlier attempt had begun it.
    #[serde(skip_serializing_if = "Option::is_none")]
    resumed_from: Option<u64>,
    /// What was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Failure>,
}

impl<'a> Line<'a> {
    fn of(told: &'a Told) -> Self {
        let (source, source_base64) = text_or_base64(&told.source);
        let (destination, destination_base64) =
            told.destination.as_deref().map_or((None, None), text_or_base64);
        let (event, bytes, kind, error) = match &told.fate {
            Fate::File { bytes, .. } => ("file", Some(*bytes), None, None),
            Fate::Link => ("link", None, None, None),
            Fate::Unchanged => ("unchanged", None, None, None),
            Fate::Permissions => ("permissions", None, None, None),
            Fate::Removed => ("removed", None, None, None),
            Fate::Skipped(FileKind::Symlink) => ("skipped", None, Some("link"), None),
            Fate::Skipped(_) => ("skipped", None, Some("other"), None),
            Fate::Failed(failure) => ("failed", None, None, Some(failure)),
        };
        let resumed_from = match &told.fate {
            Fate::File { from, .. } => *from,
            _ => None,
        };
        Self {
            event,
            source,
            source_base64,
            destination,
            destination_base64,
            bytes,
            resumed_from,
            kind,
            error,
        }
    }
}
