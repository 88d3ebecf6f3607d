//! What each task on a host begins with: its settings, the connection, and what its servers want to be read.

use std::sync::Arc;

use rustle_session::{HostSetup, Session};

use crate::failure::Stop;
use crate::plan::HostPlan;
use crate::printer::Printer;
use crate::prompt::Person;
use crate::signals::Signals;

/// Reads the host's settings, for this command where there is one, and says what they ask for in vain.
///
/// # Cancel safety
/// Dropped, nothing was changed.
pub(crate) async fn settings(
    plan: &HostPlan,
    command: Option<String>,
    signals: &mut Signals,
    printer: &mut Printer,
) -> Result<HostSetup, Stop> {
    let person = Arc::new(Person::new(|name| std::env::var_os(name)));
    settings_for(&person, plan, command, signals, printer).await
}

/// The same, where this person is asked.
///
/// # Cancel safety
/// Dropped, nothing was changed.
pub(crate) async fn settings_for(
    person: &Arc<Person>,
    plan: &HostPlan,
    command: Option<String>,
    signals: &mut Signals,
    printer: &mut Printer,
) -> Result<HostSetup, Stop> {
    let read = async { Ok(plan.setup(person, command).await?) };
    let setup = signals.unless_interrupted(read).await?;
    printer.follow(setup.run().verbosity());
    printer.setup_warnings(setup.warnings());
    // A question to a person comes after it.
    signals.unless_interrupted(async { Ok(printer.settled().await?) }).await?;
    Ok(setup)
}

/// Connects and logs in.
///
/// # Cancel safety
/// Dropped, the connection is closed.
pub(crate) async fn connect(
    setup: &HostSetup,
    signals: &mut Signals,
    printer: &mut Printer,
) -> Result<Session, Stop> {
    let connecting = async { Ok(setup.connect().await?) };
    let session: Session = signals.unless_interrupted(Box::pin(connecting)).await?;
    if let Some(key) = session.host_key().filter(|_| setup.shows_host_key()) {
        printer.host_key(&key.fingerprint(), &key.randomart());
    }
    banners(&session, printer);
    Ok(session)
}

/// What the servers on the way want people to read, the first one's first.
fn banners(session: &Session, printer: &mut Printer) {
    let mut on_the_way: Vec<&Session> =
        std::iter::successors(Some(session), |above| above.jump_host()).collect();
    on_the_way.reverse();
    for session in on_the_way {
        printer.banner(&session.banner());
    }
}
