//! `test-server`: the embedded server as a process of its own, for tests in any language.

mod announcement;
mod control;
mod driver;
mod parent;
mod script;

use std::path::Path;
use std::sync::Arc;

use rustle_testserver::{TestServer, User};
use secrecy::ExposeSecret;

use crate::failure::{Failure, IO, Stop};
use crate::plan::{Life, OtherCommands, TestServerPlan, Unfired};
use crate::printer::Printer;
use crate::signals::Signals;

use self::announcement::{Announcement, Login};
use self::control::{Codes, Control};
use self::parent::Parent;
use self::script::{Abilities, Script, Setup};

/// What the control has to know of how the server was set up.
struct Told {
    /// What a fault that never happened is at the end.
    unfired: Unfired,
    abilities: Abilities,
    codes: Codes,
}

/// Runs the server until its parent is gone, it is told to end, or a signal comes.
///
/// # Cancel safety
/// Dropped, the server ends.
pub(crate) async fn run(
    plan: &TestServerPlan,
    signals: &mut Signals,
    printer: &mut Printer,
) -> Result<u8, Stop> {
    // Before anything that takes time: a parent that is gone by then could not be told from one that never was.
    let parent = match plan.life {
        Life::OfItsParent => Some(Parent::watch()?),
        Life::UntilTold => None,
    };
    let (builder, told, users) = setup(plan)?;
    let server = Arc::new(builder.start().await.map_err(|error| refused(&error))?);
    let ended = serve(&server, told, users, parent, signals, printer).await;
    if ended.is_err() || plan.unfired == Unfired::Fine {
        server.expect_unfired();
    }
    // The control has ended, and held the only other one.
    if let Some(server) = Arc::into_inner(server) {
        server.stop().await.map_err(|error| unfired(&error))?;
    }
    ended
}

async fn serve(
    server: &Arc<TestServer>,
    told: Told,
    users: Vec<Login>,
    parent: Option<Parent>,
    signals: &mut Signals,
    printer: &mut Printer,
) -> Result<u8, Stop> {
    let control = Control::start(server, told).await?;
    let announced = printer.json(&Announcement::new(server, &control, users)).map_err(Stop::from);
    let ended = match announced {
        Ok(()) => tokio::select! {
            () = gone(parent) => Ok(0),
            () = control.told_to_stop() => Ok(0),
            signal = signals.next() => Ok(signal.exit_code()),
            // Whoever does not learn where the server is has no use for it.
            error = printer.unheard() => Err(Stop::from(error)),
        },
        Err(stop) => Err(stop),
    };
    control.end().await;
    ended
}

async fn gone(parent: Option<Parent>) {
    match parent {
        Some(parent) => parent.gone().await,
        None => std::future::pending().await,
    }
}

/// What the command line or the script asks for, and who may log in.
fn setup(plan: &TestServerPlan) -> Result<(rustle_testserver::Builder, Told, Vec<Login>), Failure> {
    let unfired = plan.unfired;
    let Some(path) = &plan.script else {
        let Setup { mut builder, abilities, codes, .. } = Script::default().setup(Path::new("."))?;
        if plan.others == OtherCommands::RunWithShell {
            builder = builder.shell();
        }
        let (user, login) = one_user(plan)?;
        let told = Told { unfired, abilities, codes: Codes::new(codes) };
        return Ok((builder.user(user), told, vec![login]));
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    let Setup { builder, abilities, users, codes } = Script::read(path)?.setup(folder)?;
    let told = Told { unfired, abilities, codes: Codes::new(codes) };
    if users.is_empty() {
        let (user, login) = one_user(plan)?;
        return Ok((builder.user(user), told, vec![login]));
    }
    Ok((builder, told, users.into_iter().map(Login::known).collect()))
}

/// The user of whoever names none, or names it on the command line.
fn one_user(plan: &TestServerPlan) -> Result<(User, Login), Failure> {
    let given = plan.password.as_ref().map(crate::password_file::PasswordFile::read).transpose()?;
    let (password, login) = match given {
        Some(given) => (given.expose_secret().to_owned(), Login::known(plan.login.clone())),
        None => {
            let made = random_password()?;
            (made.clone(), Login::made(plan.login.clone(), made))
        }
    };
    let mut user = User::new(&plan.login).password(password);
    if let Some(path) = &plan.authorized_keys {
        for key in script::authorized_keys(path)? {
            user = user.public_key(key);
        }
    }
    Ok((user, login))
}

/// 128 bits, for whoever reads the announcement.
pub(crate) fn random_password() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(IO, format!("the system gives no random bytes: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What the library advises is for Rust.
fn unfired(error: &rustle_testserver::Error) -> Failure {
    refused(error).hint("POST /expect-unfired or --allow-unfired take it as it comes")
}

pub(crate) fn refused(error: &rustle_testserver::Error) -> Failure {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    Failure::new("TEST_SERVER", message)
}
