//! `sync`: a directory of one side made equal to one of the other.

use std::future::IntoFuture;

use rustle_sftp::{ErrorKind, Files, TreeSync};

use crate::channel::with_files;
use crate::failure::{FAILED, Failure, Stop};
use crate::plan::{MeansPlan, SyncPlan, SyncWay};
use crate::printer::Printer;
use crate::remote_path;
use crate::signals::Signals;
use crate::transfer::{Report, tree};

/// Does it, says what came of it, and returns the exit code.
///
/// # Cancel safety
/// Dropped, temporary files are removed as a dropped [`TreeSync`] removes them.
pub(crate) async fn run(plan: &SyncPlan, signals: &mut Signals, printer: &mut Printer) -> Result<u8, Stop> {
    let report = with_files(&plan.host, MeansPlan::Best, signals, printer, async |files, target, printer| {
        let mut report = Report::in_lines(target);
        if plan.dry {
            report.dry();
        }
        let (sync, source) = begin(plan, files, target).await?;
        let watched = |each, watch: Option<tree::Watch>| {
            let sync = sync.each(each);
            match watch {
                Some(mut watch) => sync.progress(move |progress| watch.tell(progress)).into_future(),
                None => sync.into_future(),
            }
        };
        let done = tree::told(watched, &mut report, printer, target).await?;
        report.add_tree(&source, done, printer)?;
        Ok(report)
    })
    .await?;
    report.print(printer)?;
    Ok(if report.is_good() { 0 } else { FAILED })
}

/// The work as it was typed, and the path of the source.
async fn begin(plan: &SyncPlan, files: &Files, target: &str) -> Result<(TreeSync, Vec<u8>), Failure> {
    let Some(sftp) = files.sftp() else {
        let text = format!("directories are made equal by SFTP, and {target} has none");
        return Err(Failure::new(ErrorKind::Unsupported.code(), text)
            .hint("have SFTP switched on there, or move the whole directory with get -r or put -r"));
    };
    let expanded = async |path: &[u8]| {
        remote_path::expanded(files, path).await.map_err(|error| Failure::sftp(&error, target))
    };
    let (mut sync, source) = match &plan.way {
        SyncWay::ToHost { local, remote } => {
            let remote = expanded(remote).await?;
            (sftp.sync_to(local, remote), local.as_os_str().as_encoded_bytes().to_vec())
        }
        SyncWay::FromHost { remote, local } => {
            let remote = expanded(remote).await?;
            (sftp.sync_from(&remote, local), remote)
        }
    };
    sync = sync.compare(plan.compare).links(plan.tree.links);
    for pattern in &plan.excluded {
        sync = sync.exclude(pattern);
    }
    if plan.delete {
        sync = sync.delete();
    }
    if plan.dry {
        sync = sync.dry_run();
    }
    if let Some(jobs) = plan.tree.jobs {
        sync = sync.files_at_once(jobs);
    }
    if let Some(limit) = plan.limit {
        sync = sync.limit(limit);
    }
    Ok((sync, source))
}
