//! What came of each file, for people and for programs.

mod trees;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use rustle_sftp::{Proof, Resumed, Summary, TreeSummary, Verified};
use serde::Serialize;

use self::trees::Trees;
use super::jobs::Job;
use super::tree::Told;
use crate::amounts::{Bytes, Time, rate};
use crate::failure::{Failure, Stop};
use crate::names::{Shown, text_or_base64};
use crate::plan::Format;
use crate::printer::Printer;

pub(crate) struct Report {
    host: String,
    begun: Instant,
    took: Duration,
    /// Files that were named by themselves.
    rows: Vec<Row>,
    trees: Trees,
    /// With directories there may be more files than anybody wants in one value: each has a line.
    in_lines: bool,
}

struct Row {
    job: Job,
    result: Result<Summary, Failure>,
}

impl Report {
    pub(super) fn new(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            begun: Instant::now(),
            took: Duration::ZERO,
            rows: Vec::new(),
            trees: Trees::default(),
            in_lines: false,
        }
    }

    /// One with a line for each file where programs read it.
    pub(crate) fn in_lines(host: &str) -> Self {
        Self { in_lines: true, ..Self::new(host) }
    }

    /// Nothing is changed: what would be done is listed.
    pub(crate) fn dry(&mut self) {
        self.trees.dry = true;
    }

    /// One more file has ended: people are told at once of what went wrong.
    ///
    /// # Errors
    /// Standard output cannot be written to.
    pub(super) fn add(
        &mut self,
        job: Job,
        result: Result<Summary, Failure>,
        printer: &mut Printer,
    ) -> Result<(), Stop> {
        let source = Shown::of(job.source.bytes());
        match &result {
            Err(failure) if printer.format() == Format::Human => printer.failure(failure),
            Err(_) => {}
            Ok(summary) => {
                match &summary.resumed {
                    Resumed::From { from, proof: Proof::Samples } => printer.warning(format_args!(
                        "{source}: went on behind {}, of which the server let only samples be compared",
                        Bytes(*from)
                    )),
                    Resumed::From { from, .. } => {
                        printer.note(format_args!("{source}: went on behind {}, proved equal", Bytes(*from)));
                    }
                    Resumed::Anew { found, why } => printer
                        .warning(format_args!("{source}: {} were there and not used: {why}", Bytes(*found))),
                    _ => {}
                }
                if let Verified::Impossible(why) = &summary.verified {
                    printer.warning(format_args!("{source}: moved, and not verified: {why}"));
                }
                if summary.changed {
                    printer.warning(format_args!(
                        "{source} was written to while it was read: what arrived may be of two versions"
                    ));
                }
                if let Ok(destination) = &job.destination {
                    printer.note(format_args!(
                        "{source} to {}: {} in {}",
                        Shown::of(destination.bytes()),
                        Bytes(summary.moved),
                        Time(summary.duration)
                    ));
                }
            }
        }
        let row = Row { job, result };
        if self.in_lines && printer.format() == Format::Json {
            let event = if row.result.is_ok() { "file" } else { "failed" };
            printer.json(&Named { event, file: File::of(&row) })?;
        }
        self.rows.push(row);
        self.took = self.begun.elapsed();
        Ok(())
    }

    /// Something in a directory is done.
    ///
    /// # Errors
    /// Standard output cannot be written to.
    pub(super) fn tell(&mut self, told: &Told, printer: &mut Printer) -> Result<(), Stop> {
        self.trees.tell(told, printer)
    }

    /// One more directory has ended.
    ///
    /// # Errors
    /// Standard output cannot be written to.
    pub(crate) fn add_tree(
        &mut self,
        source: &[u8],
        moved: Result<TreeSummary, Failure>,
        printer: &mut Printer,
    ) -> Result<(), Stop> {
        self.trees.add(source, moved, printer)?;
        self.took = self.begun.elapsed();
        Ok(())
    }

    pub(crate) fn is_good(&self) -> bool {
        self.rows.iter().all(|row| row.result.is_ok()) && self.trees.failed == 0
    }

    /// The summary for people on standard error, or all of it as one value on standard output.
    pub(crate) fn print(&self, printer: &mut Printer) -> Result<(), Stop> {
        match printer.format() {
            // Where nothing was moved, the errors have said all.
            Format::Human if self.done().next().is_none() && self.trees.is_empty() => {}
            Format::Human => printer.summary(self.line()),
            Format::Json if self.in_lines => printer.json(&self.sum())?,
            Format::Json => printer.json(&self.value())?,
        }
        Ok(())
    }

    fn line(&self) -> String {
        let done = self.done().count();
        let all = self.rows.len();
        if !self.trees.is_empty() {
            let sum = self.sum();
            let line = self.trees.line(sum.files, sum.failed);
            let speed = Bytes(rate(sum.bytes, self.took));
            return format!("{line}, {} in {}, {speed}/s", Bytes(sum.bytes), Time(self.took));
        }
        let files = if all == 1 { "file" } else { "files" };
        let mut line =
            if done == all { format!("{all} {files}") } else { format!("{done} of {all} {files}") };
        let verified = self.done().filter(|summary| matches!(summary.verified, Verified::Sha256(_))).count();
        if verified > 0 {
            let _ = if verified == done {
                write!(line, ", verified")
            } else {
                write!(line, ", {verified} verified")
            };
        }
        let bytes = self.bytes();
        let _ =
            write!(line, ", {} in {}, {}/s", Bytes(bytes), Time(self.took), Bytes(rate(bytes, self.took)));
        line
    }

    fn value(&self) -> Value<'_> {
        let bytes = self.bytes();
        Value {
            host: &self.host,
            files: self.rows.iter().map(File::of).collect(),
            bytes,
            duration_ms: millis(self.took),
            bytes_per_second: rate(bytes, self.took),
        }
    }

    /// All of it, where each file had a line.
    fn sum(&self) -> Sum<'_> {
        let bytes = self.bytes();
        let failed = self.rows.iter().filter(|row| row.result.is_err()).count() as u64;
        Sum {
            event: "summary",
            host: &self.host,
            files: self.done().count() as u64 + self.trees.files,
            directories: self.trees.directories,
            links: self.trees.links,
            skipped: self.trees.skipped,
            unchanged: self.trees.unchanged,
            permissions: self.trees.permissions,
            removed: self.trees.removed,
            kept: self.trees.kept,
            uncompared: self.trees.uncompared,
            resumed: self.trees.resumed + self.resumed(|_| true),
            resumed_by_samples: self.trees.sampled + self.resumed(|proof| proof == Proof::Samples),
            not_resumed: self.trees.anew + self.anew(),
            bytes_found: self.trees.found + self.found(),
            dry_run: self.trees.dry,
            failed: failed + self.trees.failed,
            unverified: self.trees.unverified,
            changed_meanwhile: self.trees.changed,
            bytes,
            duration_ms: millis(self.took),
            bytes_per_second: rate(bytes, self.took),
        }
    }

    fn done(&self) -> impl Iterator<Item = &Summary> {
        self.rows.iter().filter_map(|row| row.result.as_ref().ok())
    }

    fn resumed(&self, by: impl Fn(Proof) -> bool) -> u64 {
        let went_on =
            |summary: &&Summary| matches!(&summary.resumed, Resumed::From { proof, .. } if by(*proof));
        self.done().filter(went_on).count() as u64
    }

    fn anew(&self) -> u64 {
        self.done().filter(|summary| matches!(summary.resumed, Resumed::Anew { .. })).count() as u64
    }

    fn found(&self) -> u64 {
        self.done().map(|summary| summary.resumed.from()).sum()
    }

    fn bytes(&self) -> u64 {
        self.done().map(|summary| summary.moved).sum::<u64>() + self.trees.bytes
    }
}

#[derive(Serialize)]
struct Named<'a> {
    event: &'static str,
    #[serde(flatten)]
    file: File<'a>,
}

#[derive(Serialize)]
struct Sum<'a> {
    event: &'static str,
    host: &'a str,
    files: u64,
    directories: u64,
    links: u64,
    skipped: u64,
    unchanged: u64,
    /// Files that were the same but for their permissions, which they were given.
    permissions: u64,
    removed: u64,
    kept: u64,
    uncompared: u64,
    /// Files that went on behind what was there already.
    resumed: u64,
    resumed_by_samples: u64,
    /// Files of which something was there that is not known to be their beginning.
    not_resumed: u64,
    /// Those that were there already, and were not moved.
    bytes_found: u64,
    dry_run: bool,
    failed: u64,
    unverified: u64,
    changed_meanwhile: u64,
    bytes: u64,
    duration_ms: f64,
    bytes_per_second: u64,
}

#[derive(Serialize)]
struct Value<'a> {
    host: &'a str,
    files: Vec<File<'a>>,
    bytes: u64,
    duration_ms: f64,
    bytes_per_second: u64,
}

/// Paths that are not UTF-8 stand in the `_base64` field instead. What is not known of a file that failed is null.
#[derive(Serialize)]
struct File<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_base64: Option<String>,
    /// Those that were moved.
    bytes: Option<u64>,
    duration_ms: Option<f64>,
    /// Where it went on; null where it began at the beginning.
    resumed_from: Option<u64>,
    /// How what was there was proved equal: `sha256`, or `samples` of it.
    resumed_by: Option<&'static str>,
    not_resumed_because: Option<&'a str>,
    /// Null where nobody asked.
    verified: Option<bool>,
    sha256: Option<String>,
    not_verified_because: Option<&'a str>,
    changed_meanwhile: bool,
    error: Option<&'a Failure>,
}

impl<'a> File<'a> {
    fn of(row: &'a Row) -> Self {
        let (source, source_base64) = text_or_base64(row.job.source.bytes());
        let (destination, destination_base64) = match &row.job.destination {
            Ok(place) => text_or_base64(place.bytes()),
            Err(_) => (None, None),
        };
        let summary = row.result.as_ref().ok();
        let (verified, sha256, because) = match summary.map(|summary| &summary.verified) {
            Some(Verified::Sha256(hash)) => (Some(true), Some(hexadecimal(hash)), None),
            Some(Verified::Impossible(why)) => (Some(false), None, Some(why.as_str())),
            _ => (None, None, None),
        };
        let (from, by, anew) = match summary.map(|summary| &summary.resumed) {
            Some(Resumed::From { from, proof: Proof::Sha256 }) => (Some(*from), Some("sha256"), None),
            Some(Resumed::From { from, .. }) => (Some(*from), Some("samples"), None),
            Some(Resumed::Anew { why, .. }) => (None, None, Some(why.as_str())),
            _ => (None, None, None),
        };
        Self {
            source,
            source_base64,
            destination,
            destination_base64,
            bytes: summary.map(|summary| summary.moved),
            duration_ms: summary.map(|summary| millis(summary.duration)),
            resumed_from: from,
            resumed_by: by,
            not_resumed_because: anew,
            verified,
            sha256,
            not_verified_because: because,
            changed_meanwhile: summary.is_some_and(|summary| summary.changed),
            error: row.result.as_ref().err(),
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // A string takes whatever is written to it.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
