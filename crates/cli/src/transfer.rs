//! `get` and `put`: files and directories from one side to the other, what was typed one after the other over one channel.

mod bar;
mod jobs;
mod report;
pub(crate) mod tree;

use std::num::NonZeroUsize;

use rustle_sftp::{ErrorKind, Files, Summary, Transfer};

use crate::channel::with_more_connections;
use crate::failure::{FAILED, Failure, Stop};
use crate::further::Further;
use crate::plan::{Manner, TransferPlan, Way};
use crate::printer::Printer;
use crate::remote_path;
use crate::signals::Signals;

use self::bar::Bar;
use self::jobs::{Depth, Job, Kind, Name, Place};
pub(crate) use self::report::Report;

/// Moves the files, says what came of it, and returns the exit code.
///
/// # Cancel safety
/// Dropped, temporary files are removed as a dropped [`Transfer`] removes them.
pub(crate) async fn run(
    plan: &TransferPlan,
    signals: &mut Signals,
    printer: &mut Printer,
) -> Result<u8, Stop> {
    let work = async |files: &Files, target: &str, further: &Further, printer: &mut Printer| {
        move_all(plan, (files, further), target, printer).await
    };
    let wanted = match plan.manner.limit {
        // One connection keeps any rate that is worth limiting.
        Some(_) => Some(plan.manner.connections.unwrap_or(NonZeroUsize::MIN)),
        None => plan.manner.connections,
    };
    let report = with_more_connections(&plan.host, plan.means, wanted, signals, printer, work).await?;
    report.print(printer)?;
    Ok(if report.is_good() { 0 } else { FAILED })
}

async fn move_all(
    plan: &TransferPlan,
    (files, further): (&Files, &Further),
    target: &str,
    printer: &mut Printer,
) -> Result<Report, Stop> {
    let (mut report, depth) = match plan.tree {
        Some(_) => (Report::in_lines(target), Depth::Trees),
        None => (Report::new(target), Depth::Files),
    };
    let jobs = match &plan.way {
        Way::Get { sources, destination } => {
            jobs::to_here(files, sources, destination, depth, target).await?
        }
        Way::Put { sources, destination } => {
            jobs::to_there(files, sources, destination, depth, target).await?
        }
    };
    let all = jobs.len();
    for (before, job) in jobs.into_iter().enumerate() {
        if let (Kind::Tree, Some(tree)) = (job.kind, plan.tree) {
            let manner = (plan.manner, tree);
            let moved = tree::move_tree(&job, (files, further), manner, &mut report, printer, target).await?;
            report.add_tree(job.source.bytes(), moved, printer)?;
            continue;
        }
        let bar = Bar::new(&job, (before + 1, all), printer)?;
        let work = move_one(&job, (files, further), plan.manner, &bar, target);
        let result = printer.while_heard(work).await.map_err(|error| Stop::from(error).midway(printer))?;
        drop(bar);
        report.add(job, result, printer)?;
        printer.room().await?;
    }
    Ok(report)
}

async fn move_one(
    job: &Job,
    (files, further): (&Files, &Further),
    manner: Manner,
    bar: &Bar,
    target: &str,
) -> Result<Summary, Failure> {
    let destination = job.destination.as_ref().map_err(Failure::clone)?;
    let transfer = match (&job.source, destination) {
        (Place::There(remote), Place::Here(local)) => match job.name {
            Name::Typed => files.get(remote, local),
            Name::Listed => files.get(remote, local).no_follow(),
        },
        (Place::Here(local), Place::There(remote)) => files.put(local, remote),
        (Place::Here(_), Place::Here(_)) | (Place::There(_), Place::There(_)) => {
            return Err(Failure::new(crate::failure::USAGE, "both paths are on the same side"));
        }
    };
    bar.watch(further.carry(in_this_manner(transfer, manner))).await.map_err(|error| {
        let failure = Failure::sftp(&error, target);
        match error.kind() {
            ErrorKind::IsADirectory => failure.hint("-r moves directories with all that is in them"),
            ErrorKind::NotFound => match remote_path::no_patterns(files, job.source.bytes()) {
                Some(hint) => failure.hint(hint),
                None => failure,
            },
            _ => failure,
        }
    })
}

fn in_this_manner(mut transfer: Transfer, manner: Manner) -> Transfer {
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
    if let Some(mode) = manner.mode {
        transfer = transfer.mode(mode);
    }
    match manner.limit {
        Some(limit) => transfer.limit(limit),
        None => transfer,
    }
}
