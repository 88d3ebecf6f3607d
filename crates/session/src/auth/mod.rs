//! Authentication: with what, in which order, and how it is told when nobody was let in.
//!
//! [`Credentials`] say what there is; `order` decides what comes next, without IO; `run` carries it
//! out on a connection; `report` turns its account into an error. Keys come from `keys` (files) and
//! `agent`; `identity` arranges both as ssh does. `prompt` and `person` are the way to a person, `deadline`
//! keeps that person's time apart from the network's.

pub(crate) mod agent;
mod credentials;
pub(crate) mod deadline;
mod driver;
pub(crate) mod format;
mod hand_over;
mod identity;
mod keys;
pub(crate) mod offer;
mod order;
mod person;
mod problem;
mod prompt;
mod report;
mod run;
mod sign;
pub(crate) mod wire;

use crate::auth::deadline::Limits;
use crate::base::{self, Transport};

pub use credentials::{AgentSource, AuthMethod, Credentials};
pub use hand_over::KeysToAgent;
#[cfg(feature = "fuzzing")]
pub(crate) use keys::try_key_file;
pub use prompt::{Echo, Prompt, PromptError, PromptKind, PromptRequest, Prompter};
pub(crate) use prompt::{Lines, sanitised};
pub(crate) use run::{AuthFailure, AuthSuccess};

/// Logs `user` in on `transport`, by what `credentials` hold.
///
/// `target` names the host in messages and questions (`user@host:port`). `limits` bound the time
/// spent waiting for the server, all attempts together, and a person's for each question.
///
/// # Cancel safety
/// Dropped, `transport` must be dropped as well: a reply may be under way. The server may have seen a
/// password or a key by then.
pub(crate) async fn authenticate(
    transport: &mut Transport,
    user: &str,
    credentials: &Credentials,
    target: &str,
    limits: Limits,
) -> Result<AuthSuccess, AuthFailure> {
    let connect: run::Connect = |source| Box::pin(base::agent::connect(source));
    run::authenticate(transport, connect, user, credentials, target, limits).await
}
