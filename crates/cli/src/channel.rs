//! Work over an SFTP channel on one host, from the connection to its end.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use rustle_sftp::Sftp;

use crate::connect;
use crate::failure::{Failure, Stop};
use crate::further::Further;
use crate::plan::HostPlan;
use crate::printer::Printer;
use crate::prompt::Person;
use crate::signals::Signals;

/// How long a goodbye to the host may keep this program: the channel has ended by then.
const GOODBYE: Duration = Duration::from_millis(250);

/// Connects, carries out `work`, which is told the host's name, and closes. A signal drops the work.
///
/// # Cancel safety
/// Dropped, so is the work, and the connection is closed.
pub(crate) async fn with_sftp<T>(
    host: &HostPlan,
    printer: &mut Printer,
    work: impl AsyncFnOnce(&Sftp, &str, &mut Printer) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let work = async |sftp: &Sftp, target: &str, _: &Further, printer: &mut Printer| {
        work(sftp, target, printer).await
    };
    with_more_connections(host, Some(NonZeroUsize::MIN), printer, work).await
}

/// The same, where the work may have more connections: so many in all as are `wanted`, or as [`Further`] thinks right.
///
/// # Cancel safety
/// As [`with_sftp`].
pub(crate) async fn with_more_connections<T>(
    host: &HostPlan,
    wanted: Option<NonZeroUsize>,
    printer: &mut Printer,
    work: impl AsyncFnOnce(&Sftp, &str, &Further, &mut Printer) -> Result<T, Stop>,
) -> Result<T, Stop> {
    let mut signals = Signals::listen()?;
    let person = Arc::new(Person::new(|name| std::env::var_os(name)));
    let setup = connect::settings_for(&person, host, None, &mut signals, printer).await?;
    let session = connect::connect(&setup, &mut signals, printer).await?;
    let target = session.target();
    let further = Further::of(&session, &setup, &person, wanted);
    let opening = async { Ok(Sftp::open(&session).await.map_err(|error| Failure::sftp(&error, target))?) };
    let outcome = match signals.unless_interrupted(opening).await {
        Ok(sftp) => {
            let done = tokio::select! {
                done = work(&sftp, target, &further, printer) => done,
                signal = signals.next() => Err(Stop::Midway(signal.exit_code())),
            };
            // What dropped work asked for is answered before the channel ends, unless somebody is in a hurry.
            tokio::select! {
                () = sftp.close() => {}
                _ = signals.next() => {}
            }
            done
        }
        Err(stop) => Err(stop),
    };
    tokio::select! {
        _ = async { tokio::join!(session.close(GOODBYE), further.close(GOODBYE)) } => {}
        _ = signals.next() => {}
    }
    outcome
}
