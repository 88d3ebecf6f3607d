//! `ls-remote`: what is in a directory of a host, or what a pattern fits.

mod row;

use rustle_sftp::{ErrorKind, Files, Metadata};
use serde::Serialize;

use crate::channel::with_files;
use crate::failure::{FAILED, Failure, Stop};
use crate::plan::{Format, ListPlan, MeansPlan};
use crate::printer::Printer;
use crate::remote_path;
use crate::signals::Signals;

use self::row::{Entry, Row};

/// More names are not sorted here: a listing without an end must not fill the memory.
const MOST: usize = 1 << 20;

/// Nor more bytes of them.
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// Lists, and returns the exit code.
///
/// # Cancel safety
/// Dropped, nothing was changed.
pub(crate) async fn run(plan: &ListPlan, signals: &mut Signals, printer: &mut Printer) -> Result<u8, Stop> {
    with_files(&plan.host, MeansPlan::Best, signals, printer, async |files, target, printer| {
        let Listing { rows, refused } = listing(plan, files).await.map_err(|error| match error {
            Trouble::Sftp(error) => {
                let failure = Failure::sftp(&error, target);
                match remote_path::no_patterns(files, &plan.path) {
                    Some(hint) if error.kind() == ErrorKind::NotFound => failure.hint(hint),
                    _ => failure,
                }
            }
            Trouble::TooMany => {
                let message = format!("the directory has more than {MOST} entries, or 256 MiB of names");
                Failure::new(ErrorKind::Failure.code(), message)
                    .at(target)
                    .hint("list a part of it with a pattern")
            }
        })?;
        print(&rows, plan, target, printer)?;
        for error in &refused {
            printer.failure(&Failure::sftp(error, target));
        }
        Ok(if refused.is_empty() { 0 } else { FAILED })
    })
    .await
}

struct Listing {
    rows: Vec<Row>,
    /// Names that no file can have, and directories on a pattern's way that cannot be listed: the others are.
    refused: Vec<rustle_sftp::Error>,
}

impl Listing {
    fn of(rows: Vec<Row>) -> Self {
        Self { rows, refused: Vec::new() }
    }
}

enum Trouble {
    Sftp(rustle_sftp::Error),
    TooMany,
}

impl From<rustle_sftp::Error> for Trouble {
    fn from(error: rustle_sftp::Error) -> Self {
        Self::Sftp(error)
    }
}

async fn listing(plan: &ListPlan, files: &Files) -> Result<Listing, Trouble> {
    let found = remote_path::matches(files, &plan.path).await?;
    if !found.entries.is_empty() || !found.refused.is_empty() {
        let row = |path: &[u8], metadata: &Metadata| Row::new(path.to_vec(), path.to_vec(), metadata);
        let rows = found.entries.iter().map(|entry| row(entry.path(), entry.metadata())).collect();
        return Ok(Listing { rows, refused: found.refused });
    }
    let path = remote_path::expanded(files, &plan.path).await?;
    let metadata = match files.metadata(&path).await {
        // A link that leads nowhere is there itself.
        Err(error) if error.kind() == ErrorKind::NotFound => match files.symlink_metadata(&path).await {
            Ok(link) => link,
            Err(_) => return Err(error.into()),
        },
        other => other?,
    };
    if !metadata.is_dir() {
        return Ok(Listing::of(vec![Row::new(path.clone(), path, &metadata)]));
    }
    let mut entries = files.read_dir(&path).await?;
    let (mut rows, mut refused, mut bytes) = (Vec::new(), Vec::new(), 0);
    loop {
        if rows.len() + refused.len() == MOST || bytes > MOST_BYTES {
            return Err(Trouble::TooMany);
        }
        let entry = match entries.next_entry().await {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(error) if error.kind() == ErrorKind::InvalidName => {
                bytes += error.path().map_or(0, <[u8]>::len);
                refused.push(error);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if entry.name().starts_with(b".") && !plan.all {
            continue;
        }
        let row = Row::new(entry.name().to_vec(), entry.path().to_vec(), entry.metadata());
        bytes += row.bytes();
        rows.push(row);
    }
    rows.sort_by(|one, other| one.name().cmp(other.name()));
    Ok(Listing { rows, refused })
}

fn print(rows: &[Row], plan: &ListPlan, host: &str, printer: &mut Printer) -> Result<(), Stop> {
    #[derive(Serialize)]
    struct Value<'a> {
        host: &'a str,
        entries: Vec<Entry<'a>>,
    }
    match printer.format() {
        Format::Json => printer.json(&Value { host, entries: rows.iter().map(Row::entry).collect() })?,
        Format::Human if plan.long => printer.bytes(row::table(rows))?,
        Format::Human => printer.bytes(row::names(rows))?,
    }
    Ok(())
}
