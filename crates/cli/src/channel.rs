//! Work with the files of one host, from the connection to its end.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use rustle_session::Session;
use rustle_sftp::{Files, Means};

use crate::connect;
use crate::failure::{Failure, Stop};
use crate::further::Further;
use crate::plan::{HostPlan, MeansPlan};
use crate::printer::Printer;
use crate::prompt::Person;
use crate::signals::Signals;

/// How long a goodbye to the host may keep this program: all is answered by then.
const GOODBYE: Duration = Duration::from_millis(250);

/// Connects, opens what there is for files, carries out `work`, which is told the host's name, and closes. A signal drops
/// the work. Where it is not SFTP that was opened, and nobody chose that, it is said.
///
/// # Cancel safety
/// Dropped, so is the work, and the connection is closed.
pub(crate) async fn with_files<T>(
    host: &HostPlan,
    means: MeansPlan,
    signals: &mut Signals,
    printer: &mut Printer,
    work: impl AsyncFnOnce(&Files, &str, &mut Printer) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let work = async |files: &Files, target: &str, _: &Further, printer: &mut Printer| {
        work(files, target, printer).await
    };
    with_more_connections(host, means, Some(NonZeroUsize::MIN), signals, printer, work).await
}

/// The same, where the work may have more connections: so many in all as are `wanted`, or as [`Further`] thinks right.
///
/// # Cancel safety
/// As [`with_files`].
pub(crate) async fn with_more_connections<T>(
    host: &HostPlan,
    means: MeansPlan,
    wanted: Option<NonZeroUsize>,
    signals: &mut Signals,
    printer: &mut Printer,
    work: impl AsyncFnOnce(&Files, &str, &Further, &mut Printer) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let person = Arc::new(Person::new(|name| std::env::var_os(name)));
    let setup = connect::settings_for(&person, host, None, signals, printer).await?;
    let session = connect::connect(&setup, signals, printer).await?;
    let target = session.target();
    let mut further = Further::none();
    let opening =
        async { Ok(Box::pin(open(&session, means)).await.map_err(|error| Failure::sftp(&error, target))?) };
    // Open until the connection is gone: nobody waits for a channel's end that the connection's end implies.
    let (outcome, _files) = match signals.unless_interrupted(opening).await {
        Ok(files) => {
            say_what_is_missing(&files, target, printer);
            // By now the server has answered often enough to tell how far away it is.
            further = Further::of(&session, &setup, &person, wanted);
            let done = tokio::select! {
                done = work(&files, target, &further, printer) => done,
                signal = signals.next() => Err(Stop::Midway(signal.exit_code())),
            };
            // What dropped work asked for is answered before the connection ends, unless somebody is in a hurry.
            tokio::select! {
                () = files.settled() => (done, Some(files)),
                signal = signals.next() => (signal.after(done, printer), Some(files)),
            }
        }
        Err(stop) => (Err(stop), None),
    };
    tokio::select! {
        _ = async { tokio::join!(session.close(GOODBYE), further.close(GOODBYE)) } => outcome,
        signal = signals.next() => signal.after(outcome, printer),
    }
}

async fn open(session: &Session, means: MeansPlan) -> rustle_sftp::Result<Files> {
    match means {
        MeansPlan::Best => Files::open(session).await,
        MeansPlan::Scp => Files::by_scp(session).await,
    }
}

/// Only what a transfer or a listing may miss.
fn say_what_is_missing(files: &Files, target: &str, printer: &mut Printer) {
    if files.refusal().is_none() || files.means() == Means::Sftp {
        return;
    }
    let lacks: Vec<_> = files.lacks().iter().map(ToString::to_string).collect();
    printer.warning(format_args!(
        "{target} has no SFTP, so it goes by {}: {}",
        files.means(),
        lacks.join("; ")
    ));
}
