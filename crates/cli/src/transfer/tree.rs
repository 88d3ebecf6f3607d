//! A directory that is moved: what is told of each thing in it while the rest goes on.

mod bars;

use std::future::IntoFuture;
use std::pin::pin;

use rustle_sftp::{FileKind, Files, Outcome, TreeEvent, TreeSummary, TreeTransfer};
use tokio::sync::mpsc;

use self::bars::Bars;
pub(crate) use self::bars::Watch;
use super::jobs::{Job, Name, Place};
use super::report::Report;
use crate::failure::{Failure, Stop, USAGE};
use crate::further::Further;
use crate::plan::{Manner, TreeManner};
use crate::printer::Printer;

/// What became of one thing of a tree.
pub(super) struct Told {
    pub(super) source: Vec<u8>,
    pub(super) destination: Option<Vec<u8>>,
    pub(super) fate: Fate,
}

pub(super) enum Fate {
    File {
        bytes: u64,
        /// Where it went on, where an earlier attempt had begun it.
        from: Option<u64>,
    },
    Link,
    Unchanged,
    /// The same already but for its permissions.
    Permissions,
    Removed,
    Skipped(FileKind),
    Failed(Failure),
}

/// Something to say while a tree is moved.
enum News {
    Thing(Told),
    /// How far it is, where nothing is drawn.
    Line(String),
}

/// Moves a directory, and tells `report` of each thing in it. What came of all of it comes back for the report as well.
///
/// # Errors
/// Standard output cannot be written to.
///
/// # Cancel safety
/// That of [`TreeTransfer`].
pub(super) async fn move_tree(
    job: &Job,
    (files, further): (&Files, &Further),
    (manner, tree): (Manner, TreeManner),
    report: &mut Report,
    printer: &mut Printer,
    target: &str,
) -> Result<Result<TreeSummary, Failure>, Stop> {
    let transfer = match begin(job, files) {
        Ok(transfer) => further.carry_tree(in_this_manner(transfer, manner, tree)),
        Err(failure) => return Ok(Err(failure)),
    };
    let watched = |each, watch: Option<Watch>| {
        let transfer = transfer.each(each);
        match watch {
            Some(mut watch) => transfer.progress(move |progress| watch.tell(progress)).into_future(),
            None => transfer.into_future(),
        }
    };
    told(watched, report, printer, target).await
}

/// Carries out what `begin` makes of somebody who is told of each thing, and of somebody who is told how far it is; passes
/// both on to people and programs.
///
/// # Errors
/// Standard output cannot be written to.
///
/// # Cancel safety
/// That of the work.
pub(crate) async fn told<F: Future<Output = rustle_sftp::Result<TreeSummary>>>(
    begin: impl FnOnce(Box<dyn FnMut(&TreeEvent<'_>) + Send>, Option<Watch>) -> F,
    report: &mut Report,
    printer: &mut Printer,
    target: &str,
) -> Result<Result<TreeSummary, Failure>, Stop> {
    let (tell, mut news) = mpsc::unbounded_channel();
    let (lines, host) = (tell.clone(), target.to_owned());
    let bars = Bars::new(printer)?;
    let watch = bars.watch(move |line| {
        // Whoever reads it is gone when the work is being dropped.
        let _ = lines.send(News::Line(line));
    });
    let each = move |event: &TreeEvent<'_>| {
        let _ = tell.send(News::Thing(of_event(event, &host)));
    };
    let mut work = pin!(begin(Box::new(each), watch));
    let moved = loop {
        // Asked once a turn: between two answers the reader may have caught up, and then nothing would be waited for.
        let is_behind = printer.is_behind();
        tokio::select! {
            // What is known is said before the end is.
            biased;
            Some(news) = news.recv() => {
                say(news, report, printer).map_err(|stop| stop.midway(printer))?;
            }
            // While nobody reads of what was done, no more is done; the connections go on by themselves.
            result = printer.while_heard(&mut work), if !is_behind => {
                break result.map_err(|error| Stop::from(error).midway(printer))?;
            }
            room = printer.room(), if is_behind => {
                room.map_err(|error| Stop::from(error).midway(printer))?;
            }
        }
    };
    while let Ok(news) = news.try_recv() {
        say(news, report, printer)?;
    }
    Ok(moved.map_err(|error| Failure::sftp(&error, target)))
}

fn begin(job: &Job, files: &Files) -> Result<TreeTransfer, Failure> {
    match (&job.source, job.destination.as_ref().map_err(Failure::clone)?) {
        (Place::There(remote), Place::Here(local)) => match job.name {
            Name::Typed => Ok(files.get_dir(remote, local)),
            Name::Listed => Ok(files.get_dir(remote, local).no_follow()),
        },
        (Place::Here(local), Place::There(remote)) => Ok(files.put_dir(local, remote)),
        (Place::Here(_), Place::Here(_)) | (Place::There(_), Place::There(_)) => {
            Err(Failure::new(USAGE, "both paths are on the same side"))
        }
    }
}

fn in_this_manner(transfer: TreeTransfer, manner: Manner, tree: TreeManner) -> TreeTransfer {
    let mut transfer = transfer.links(tree.links);
    if manner.atomic {
        transfer = transfer.atomic();
    }
    if manner.resume {
        transfer = transfer.resume();
    }
    if manner.verify {
        transfer = transfer.verify();
    }
    if manner.preserve {
        transfer = transfer.preserve();
    }
    if manner.sparse {
        transfer = transfer.sparse();
    }
    if let Some(jobs) = tree.jobs {
        transfer = transfer.files_at_once(jobs);
    }
    match manner.limit {
        Some(limit) => transfer.limit(limit),
        None => transfer,
    }
}

fn of_event(event: &TreeEvent<'_>, host: &str) -> Told {
    let fate = match event.outcome() {
        Outcome::File { bytes } => Fate::File { bytes, from: None },
        Outcome::Resumed { bytes, from } => Fate::File { bytes, from: Some(from) },
        Outcome::Link => Fate::Link,
        Outcome::Unchanged => Fate::Unchanged,
        Outcome::Permissions => Fate::Permissions,
        Outcome::Removed => Fate::Removed,
        Outcome::Skipped(kind) => Fate::Skipped(kind),
        Outcome::Failed(error) => Fate::Failed(Failure::sftp(error, host)),
        other => Fate::Failed(Failure::new(USAGE, format!("this program has no word for {other:?}"))),
    };
    Told { source: event.source().to_vec(), destination: event.destination().map(<[u8]>::to_vec), fate }
}

fn say(news: News, report: &mut Report, printer: &mut Printer) -> Result<(), Stop> {
    match news {
        News::Thing(told) => report.tell(&told, printer),
        News::Line(line) => {
            printer.summary(line);
            Ok(())
        }
    }
}
