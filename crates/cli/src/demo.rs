//! `demo`: what this program does, shown against an SSH server of its own and checked at each step.

mod pipe;
mod scene;
mod table;

use std::time::{Duration, Instant};

use rustle_session::{ErrorKind, Reporting, Session};

use crate::failure::{FAILED, Failure, Stop};
use crate::plan::Format;
use crate::printer::Printer;

use self::scene::Scene;
use self::table::{Row, Table};

/// Commands whose times are compared with that of a whole connection.
const COMMANDS: usize = 50;
const TIMEOUT: Duration = Duration::from_millis(500);

/// What a step showed, or why it does not hold.
type Shown = Result<String, Failure>;

/// Carries out every step, and succeeds if each held.
///
/// # Cancel safety
/// Dropped, server and connections end.
pub(crate) async fn run(printer: &mut Printer) -> Result<u8, Stop> {
    let started = Instant::now();
    let scene = Scene::set().await?;
    let mut table = Table::new(scene.address());
    if printer.format() == Format::Human {
        printer.line(table.heading())?;
    }
    let held = Box::pin(act(&scene, &mut table, printer)).await?;
    scene.clear().await?;
    match printer.format() {
        Format::Json => printer.json(&table)?,
        Format::Human => printer.line(table.end(started.elapsed()))?,
    }
    Ok(if held { 0 } else { FAILED })
}

/// The steps in their order; the first that does not hold is the last.
async fn act(scene: &Scene, table: &mut Table, printer: &mut Printer) -> Result<bool, Stop> {
    /// Prints a step, and goes on only if it held.
    macro_rules! step {
        ($name:literal, $proves:literal, $work:expr) => {{
            let started = Instant::now();
            let work: Result<_, Failure> = $work.await;
            let (value, shown) = match work {
                Ok((value, shown)) => (Some(value), Ok(shown)),
                Err(failure) => (None, Err(failure)),
            };
            let row = Row::new($name, $proves, started.elapsed(), &shown);
            if printer.format() == Format::Human {
                printer.line(row.line())?;
            }
            table.push(row);
            match (value, shown) {
                (Some(value), _) => value,
                (None, Err(failure)) => {
                    printer.failure(&failure);
                    return Ok(false);
                }
                (None, Ok(_)) => return Ok(false),
            }
        }};
    }
    step!("unknown host", "a host that nobody vouched for is refused", unit(unknown_host(scene)));
    let (session, took) =
        step!("connect", "the key is known now: handshake, trust and login succeed", connect(scene));
    step!("arguments", "a program gets its arguments byte for byte", unit(arguments(&session)));
    step!("exit code", "the command's own exit code and standard error arrive", unit(exit_code(&session)));
    step!("next commands", "they need no new connection", unit(next_commands(&session, took)));
    step!("pipe", "256 MiB go through `cat` and come back unchanged", unit(pipe::through_cat(&session)));
    step!("timeout", "the command is ended, and its output until then is kept", unit(timeout(&session)));
    step!("connection lost", "it is noticed and said why", unit(lost(scene, &session)));
    let (again, _) = step!("reconnect", "a new connection works as before", connect(scene));
    step!("commands again", "and runs commands", unit(exit_code(&again)));
    step!("changed host key", "a host that shows another key is refused", unit(changed_key(scene)));
    Ok(true)
}

async fn unit(work: impl Future<Output = Shown>) -> Result<((), String), Failure> {
    work.await.map(|shown| ((), shown))
}

async fn unknown_host(scene: &Scene) -> Shown {
    refused(scene, ErrorKind::HostKeyUnknown).await?;
    scene.trust_host()?;
    Ok(scene.fingerprint())
}

async fn connect(scene: &Scene) -> Result<((Session, Duration), String), Failure> {
    let started = Instant::now();
    let session = scene.setup()?.connect().await?;
    let took = started.elapsed();
    let algorithms = session.negotiated().map(|negotiated| negotiated.to_string()).unwrap_or_default();
    let shown = format!("{} by {}; {algorithms}", session.target(), session.method());
    Ok(((session, took), shown))
}

async fn arguments(session: &Session) -> Shown {
    const AWKWARD: &str = "it's $HOME & \"*\" \\";
    let echo = session.command("echo").arg("-n").arg(AWKWARD).reporting(Reporting::Nothing);
    let output = echo.output().await?;
    held(output.stdout == AWKWARD.as_bytes(), || {
        format!("the command printed {:?} instead of {AWKWARD:?}", output.stdout_text())
    })?;
    Ok(format!("echo printed {AWKWARD}"))
}

async fn exit_code(session: &Session) -> Shown {
    let failing = session.raw("exit 7").output().await?;
    let noisy = session.raw("stderr careful").output().await?;
    held(failing.status.code() == Some(7), || format!("`exit 7` gave {}", failing.status))?;
    held(noisy.stderr == "careful\n" && noisy.stdout.is_empty(), || {
        format!("standard error was {:?}, standard output {:?}", noisy.stderr_text(), noisy.stdout_text())
    })?;
    Ok("exit 7 gave 7; standard error stayed apart".to_owned())
}

async fn next_commands(session: &Session, connecting: Duration) -> Shown {
    let started = Instant::now();
    for _ in 0..COMMANDS {
        let output = session.raw("true").output().await?;
        held(output.status.success(), || format!("`true` gave {}", output.status))?;
    }
    let each = started.elapsed() / u32::try_from(COMMANDS).unwrap_or(1);
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    held(each < connecting, || {
        format!("a command took {:.2} ms, connecting {:.2} ms", ms(each), ms(connecting))
    })?;
    let saved = 100.0 * (1.0 - each.as_secs_f64() / connecting.as_secs_f64());
    Ok(format!("{:.2} ms each; connecting took {:.1} ms ({saved:.0} % saved)", ms(each), ms(connecting)))
}

async fn timeout(session: &Session) -> Shown {
    let started = Instant::now();
    let mut child = session.raw(scene::WORK).timeout(TIMEOUT).spawn().await?;
    let mut stdout = child.take_stdout().ok_or_else(|| not_held("the command has no output".to_owned()))?;
    let mut partial = Vec::new();
    let read = async {
        while let Ok(Some(chunk)) = stdout.chunk().await {
            partial.extend_from_slice(&chunk);
        }
    };
    // It never ends by itself, so that waiting for it returns only once the timeout has ended it.
    let ((), status) = tokio::join!(read, child.wait());
    let status = status?;
    let took = started.elapsed();
    held(partial == scene::PARTIAL.as_bytes(), || {
        format!("the output until then was {:?}, not {:?}", String::from_utf8_lossy(&partial), scene::PARTIAL)
    })?;
    held(status.signal().is_some() && took >= TIMEOUT, || {
        format!("after {took:?} the command gave {status}")
    })?;
    Ok(format!("{status} after {} ms; kept: {}", took.as_millis(), scene::PARTIAL.trim_end()))
}

async fn lost(scene: &Scene, session: &Session) -> Shown {
    scene.cut();
    let reason = session.closed().await;
    let error = match session.raw("true").output().await {
        Ok(_) => return Err(not_held("a command ran on a connection that was cut".to_owned())),
        Err(error) => error,
    };
    held(error.kind() == ErrorKind::Disconnected && error.is_retryable(), || {
        format!("the error was {error}")
    })?;
    Ok(format!("{reason}; {}", error.code()))
}

async fn changed_key(scene: &Scene) -> Shown {
    scene.change_host_key()?;
    let error = refused(scene, ErrorKind::HostKeyChanged).await?;
    let text = error.to_string();
    let told = text.contains(&scene.fingerprint()) && error.hint().is_some();
    held(told, || format!("the error names no fingerprints: {text}"))?;
    Ok(format!("{}; both fingerprints, file and line named", error.code()))
}

/// Connects, which must fail in this way.
async fn refused(scene: &Scene, kind: ErrorKind) -> Result<rustle_session::Error, Failure> {
    match scene.setup()?.connect().await {
        Err(error) if error.kind() == kind => Ok(error),
        Err(error) => Err(error.into()),
        Ok(_) => Err(not_held("the connection was made".to_owned())),
    }
}

fn held(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(not_held(otherwise())) }
}

fn not_held(what: String) -> Failure {
    Failure::new("DEMO", what).hint("this is a defect of rustle-connect: please report it with this output")
}
