//! `test-connection`: each step of a connection by itself, timed, and where it stops, why and what to do.

mod report;
mod trust;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustle_session::{ErrorKind, HostSetup, Session, Until};

use crate::connect;
use crate::failure::{FAILED, Failure, Stop};
use crate::plan::{Format, HostPlan};
use crate::printer::Printer;
use crate::prompt::Person;
use crate::signals::Signals;

use self::report::{Report, Step};
use self::trust::Watched;

/// How long the look-up of the name alone may take before the connection's own error is asked for.
const LOOK_UP: Duration = Duration::from_secs(10);
const GOODBYE: Duration = Duration::from_millis(250);
/// Does nothing, and is there on every Unix; elsewhere it fails after the channel has been proved all the same.
const PROBE: &str = "true";

/// Connects step by step, and prints how that went. The exit code is 0 if every step succeeded.
///
/// # Cancel safety
/// Dropped, the connection is closed.
pub(crate) async fn run(plan: &HostPlan, signals: &mut Signals, printer: &mut Printer) -> Result<u8, Stop> {
    let person = Arc::new(Person::new(|name| std::env::var_os(name)));
    let setup = connect::settings_for(&person, plan, None, signals, printer).await?;
    let mut report = Report::new(plan.destination(), setup.connector().target().to_string());
    let tested = tokio::select! {
        tested = test(&setup, &mut report) => tested,
        signal = signals.next() => return Err(Stop::Quietly(signal.exit_code())),
    };
    if let Err(failure) = tested {
        report.failed(failure);
    }
    match printer.format() {
        Format::Json => printer.json(&report)?,
        Format::Human => {
            printer.line(report.table())?;
            if let Some(failure) = report.failure() {
                printer.failure(failure);
            }
        }
    }
    Ok(if report.failure().is_some() { FAILED } else { 0 })
}

/// Goes through the steps; an error belongs to the first that is not done.
async fn test(setup: &HostSetup, report: &mut Report) -> Result<(), Failure> {
    look_up(setup, report).await;
    let watched = Watched::new(setup.host_trust());
    let connector = setup.connector().clone().host_trust(watched.clone());
    let connected = connector.connect().await;
    let seen = watched.seen();
    let unauthenticated = match connected {
        Ok(unauthenticated) => unauthenticated,
        Err(error) => {
            // What was done until then is known by where it stopped.
            match error.kind() {
                ErrorKind::HostUnreachable => {}
                ErrorKind::ConnectTimeout if error.operation() == "connect" => {}
                kind if is_host_key(kind) && seen.is_some() => {
                    report.untimed(Step::LookUp);
                    report.untimed(Step::Tcp);
                    report.untimed(Step::Handshake);
                }
                _ => {
                    report.untimed(Step::LookUp);
                    report.untimed(Step::Tcp);
                }
            }
            if let Some(seen) = seen {
                report.host_key(&seen.algorithm, &seen.fingerprint);
            }
            return Err(error.into());
        }
    };
    let timings = unauthenticated.timings();
    let peer = unauthenticated.peer().map(|peer| peer.to_string()).unwrap_or_default();
    report.untimed(Step::LookUp);
    report.done(Step::Tcp, timings.connect, &peer);
    report.address(peer);
    let judged = seen.as_ref().map(|seen| seen.took).unwrap_or_default();
    let negotiated = unauthenticated.negotiated();
    let algorithms = negotiated.as_ref().map(ToString::to_string).unwrap_or_default();
    report.done(Step::Handshake, timings.handshake.saturating_sub(judged), &algorithms);
    if let Some(negotiated) = &negotiated {
        report.negotiated(negotiated);
    }
    if let Some(seen) = seen {
        report.done(Step::HostKey, seen.took, &format!("{} {}", seen.algorithm, seen.fingerprint));
        report.host_key(&seen.algorithm, &seen.fingerprint);
    }
    let started = Instant::now();
    let session =
        unauthenticated.authenticate(setup.credentials()).await.map_err(rustle_session::Error::from)?;
    let how = match session.method_detail() {
        Some(detail) => format!("{} ({detail})", session.method()),
        None => session.method().to_owned(),
    };
    report.done(Step::Authentication, started.elapsed(), &how);
    channel(&session, report).await?;
    session.close(GOODBYE).await;
    Ok(())
}

/// Looks the name up by itself, to time it. A name that cannot be found is told by the connection's own error.
async fn look_up(setup: &HostSetup, report: &mut Report) {
    if !setup.connector().dials() {
        // The name is for the jump host, or the command, to look up.
        return;
    }
    let target = setup.connector().target();
    let (host, port) = (target.host(), target.port().unwrap_or(22));
    let started = Instant::now();
    let found = tokio::time::timeout(LOOK_UP, tokio::net::lookup_host((host, port))).await;
    if let Ok(Ok(addresses)) = found {
        let mut shown: Vec<String> = addresses.map(|address| address.ip().to_string()).collect();
        shown.dedup();
        report.done(Step::LookUp, started.elapsed(), &shown.join(", "));
    }
}

async fn channel(session: &Session, report: &mut Report) -> Result<(), Failure> {
    let started = Instant::now();
    let output = session.raw(PROBE).until(Until::ExitStatus).output().await?;
    report.done(Step::Channel, started.elapsed(), &format!("`{PROBE}`: {}", output.status));
    Ok(())
}

fn is_host_key(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::HostKeyUnknown
            | ErrorKind::HostKeyChanged
            | ErrorKind::HostKeyRevoked
            | ErrorKind::HostCertificateExpired
            | ErrorKind::HostCertificateName
            | ErrorKind::HostAuthorityUnknown
            | ErrorKind::HostKeyRejected
    )
}
