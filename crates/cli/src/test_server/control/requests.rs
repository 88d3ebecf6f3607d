//! What may be asked, and how each is done.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, StatusCode};
use rustle_testserver::{Cut, HostKeyKind, TestServer};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::answer::{Answer, Refusal, value};
use super::evidence::{Evidence, FaultEvidence};
use super::{State, driver, gate, wait};
use crate::failure::Failure;
use crate::plan::Unfired;
use crate::test_server::refused;
use crate::test_server::script::{Command, Fault, Named, NetworkKeys, Time, User, What, in_json};

/// The largest body: a command's output in base64, and more than any script.
const LARGEST: usize = 1024 * 1024;
/// How long a body may take.
const BODY: Duration = Duration::from_secs(10);

/// Every place, with the one or two methods it has.
const PLACES: [(&str, &str); 16] = [
    ("/record", "GET"),
    ("/transcript", "GET"),
    ("/wait", "GET"),
    ("/code", "GET"),
    ("/faults", "GET, POST"),
    ("/commands", "POST"),
    ("/users", "POST"),
    ("/network", "POST"),
    ("/stall", "POST"),
    ("/resume", "POST"),
    ("/cut", "POST"),
    ("/pause-listening", "POST"),
    ("/resume-listening", "POST"),
    ("/restart", "POST"),
    ("/expect-unfired", "POST"),
    ("/stop", "POST"),
];

/// Answers one request.
pub(super) async fn answer(state: &Arc<State>, request: Request<Incoming>) -> Answer {
    match done(state, request).await {
        Ok(answer) => answer,
        Err(refusal) => refusal.into_answer(),
    }
}

async fn done(state: &Arc<State>, request: Request<Incoming>) -> Result<Answer, Refusal> {
    gate::check(&request, state.port, &state.token)?;
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    check_place(&path, &method)?;
    let query = request.uri().query().unwrap_or_default().to_owned();
    let body = body(request.into_body()).await?;
    let server = state.server.as_ref();
    match (path.as_str(), method == Method::GET) {
        ("/record", _) => Ok(value(&Evidence::of(&server.record()))),
        ("/transcript", _) => transcript(server, &query),
        ("/wait", _) => wait::until(state, &query).await,
        ("/faults", true) => Ok(value(&faults(server))),
        ("/faults", false) => {
            let fault: Fault = read(&body)?;
            let able = state.told.abilities.check("NOT_WITH_THIS_SERVER", &fault);
            able.map_err(|failure| Refusal::new(StatusCode::CONFLICT, failure))?;
            server.add_fault(fault.into_fault());
            Ok(value(&faults(server)))
        }
        ("/commands", _) => add_command(server, read(&body)?),
        ("/code", _) => state.told.codes.current(&query),
        ("/users", _) => add_user(state, read(&body)?),
        ("/network", _) => set_network(server, read(&body)?),
        ("/stall", _) => {
            read::<Nothing>(&body)?;
            server.stall();
            fine()
        }
        ("/resume", _) => {
            read::<Nothing>(&body)?;
            server.resume();
            fine()
        }
        ("/cut", _) => {
            server.cut_all(read::<CutKeys>(&body)?.how.map_or(Cut::Rst, Named::value));
            fine()
        }
        ("/pause-listening", _) => {
            read::<Nothing>(&body)?;
            server.pause_listening().await.map_err(|error| failed(&error))?;
            fine()
        }
        ("/resume-listening", _) => {
            read::<Nothing>(&body)?;
            server.resume_listening().await.map_err(|error| failed(&error))?;
            fine()
        }
        ("/restart", _) => restart(state, read(&body)?).await,
        ("/expect-unfired", _) => {
            read::<Nothing>(&body)?;
            server.expect_unfired();
            fine()
        }
        _ => {
            read::<Nothing>(&body)?;
            stop(state)
        }
    }
}

/// The body of a place that has no keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CutKeys {
    how: Option<Named<Cut>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RestartKeys {
    #[serde(default)]
    host_key: Which,
    kind: Option<Named<HostKeyKind>>,
    down_for: Option<Time>,
}

#[derive(Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Which {
    #[default]
    Same,
    Other,
}

fn fine() -> Result<Answer, Refusal> {
    Ok(value(&json!({})))
}

fn faults(server: &TestServer) -> serde_json::Value {
    let faults = server.faults();
    json!({ "faults": faults.iter().map(FaultEvidence::of).collect::<Vec<_>>() })
}

/// The record as a text, whole or with only what is the same in each run.
fn transcript(server: &TestServer, query: &str) -> Result<Answer, Refusal> {
    let mut transcript = server.record().transcript();
    for (name, text) in form_urlencoded::parse(query.as_bytes()) {
        transcript = match (name.as_ref(), text.as_ref()) {
            ("normalised", "true") => transcript.normalised(),
            ("normalised", "false") => transcript,
            ("normalised", _) => {
                let message = format!("`normalised` is true or false, and not {text:?}");
                return Err(Refusal::bad(Failure::new("BAD_REQUEST", message)));
            }
            _ => {
                let message = format!("a transcript knows nothing named {name:?}");
                return Err(Refusal::bad(
                    Failure::new("BAD_REQUEST", message).hint("known here: normalised"),
                ));
            }
        };
    }
    Ok(value(&json!({ "transcript": transcript.to_string() })))
}

fn add_command(server: &TestServer, command: Command) -> Result<Answer, Refusal> {
    match command.into_parts() {
        (What::Exact(text), reply) => server.add_command(text, reply),
        (What::Pattern(pattern), reply) => server.add_command_matching(pattern, reply),
        (What::LoginShell, _) => {
            return Err(Refusal::new(
                StatusCode::CONFLICT,
                Failure::new("NOT_WHILE_RUNNING", "the login shell of a running server cannot be changed")
                    .hint("script it in the file for --script"),
            ));
        }
    }
    fine()
}

fn add_user(state: &State, user: User) -> Result<Answer, Refusal> {
    let (name, codes) = (user.name().to_owned(), user.codes());
    let user = user.into_user(None).map_err(Refusal::bad)?;
    state.server.add_user(user).map_err(|error| Refusal::bad(refused(&error)))?;
    state.told.codes.replace(name, codes);
    fine()
}

fn set_network(server: &TestServer, network: NetworkKeys) -> Result<Answer, Refusal> {
    server.set_network(network.into_network()).map_err(|error| {
        let failure = refused(&error).hint("put a table [network] into the script; it may be empty");
        Refusal::new(StatusCode::CONFLICT, failure)
    })?;
    fine()
}

async fn restart(state: &Arc<State>, keys: RestartKeys) -> Result<Answer, Refusal> {
    let server = state.server.as_ref();
    match (keys.host_key, keys.kind) {
        (Which::Same, None) => {}
        (Which::Same, Some(_)) => {
            let failure = Failure::new("BAD_REQUEST", "`kind` is the kind of another host key")
                .hint("add \"host_key\": \"other\", or leave `kind` out");
            return Err(Refusal::bad(failure));
        }
        (Which::Other, kind) => server
            .swap_host_key(kind.map_or(HostKeyKind::Ed25519, Named::value))
            .map_err(|error| failed(&error))?,
    }
    match keys.down_for {
        Some(time) => match driver::restart(state, time.duration()).await {
            Ok(restarted) => restarted.map_err(|error| failed(&error))?,
            Err(_) => return Err(Refusal::stopping()),
        },
        None => server.cut_all(Cut::Rst),
    }
    Ok(value(&json!({
        "host_key": server.host_key_openssh(),
        "known_hosts": server.known_hosts_line().trim_end(),
    })))
}

fn failed(error: &rustle_testserver::Error) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, refused(error))
}

/// The server stops whatever the answer is: whoever asked is done with it.
fn stop(state: &State) -> Result<Answer, Refusal> {
    if state.told.unfired == Unfired::Fine {
        state.server.expect_unfired();
    }
    let verdict = state.server.verify();
    state.told_to_stop.cancel();
    match verdict {
        Ok(()) => fine(),
        Err(error) => Err(Refusal::new(StatusCode::CONFLICT, Failure::new("UNFIRED", error.to_string()))),
    }
}

fn check_place(path: &str, method: &Method) -> Result<(), Refusal> {
    let Some((_, methods)) = PLACES.iter().find(|(place, _)| *place == path) else {
        let known = PLACES.map(|(place, _)| place).join(", ");
        let failure = Failure::new("NOT_FOUND", format!("there is no {path:?} here"))
            .hint(format!("known here: {known}"));
        return Err(Refusal::new(StatusCode::NOT_FOUND, failure));
    };
    if methods.split(", ").any(|known| known == method.as_str()) {
        return Ok(());
    }
    let failure = Failure::new("METHOD_NOT_ALLOWED", format!("{path} takes {methods}"));
    Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, failure).allow(methods))
}

async fn body(body: Incoming) -> Result<Bytes, Refusal> {
    let read = tokio::time::timeout(BODY, Limited::new(body, LARGEST).collect()).await;
    match read {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            Failure::new("BODY_TOO_LARGE", format!("the body has more than {LARGEST} bytes")),
        )),
        Ok(Err(error)) => {
            Err(Refusal::bad(Failure::new("BAD_REQUEST", format!("the body cannot be read: {error}"))))
        }
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            Failure::new("BODY_TIMEOUT", format!("the body did not arrive within {BODY:?}")),
        )),
    }
}

/// No body at all is one without keys.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Refusal::bad(in_json("BAD_REQUEST", &error)))
}
