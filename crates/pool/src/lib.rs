//! Many SSH connections: which of them a channel goes over, when another is made, and when one ends.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use {rustle_session::HostSetup, rustle_testserver::{TestServer, User}};
//! # let server = TestServer::builder().user(User::new("a").none()).builtins().start().await?;
//! # let way = HostSetup::builder("a@127.0.0.1").without_config_files().port(server.port());
//! # let way = way.option("StrictHostKeyChecking=no").option("UserKnownHostsFile=/dev/null").resolve()?;
//! use rustle_pool::Pool;
//!
//! let pool = Pool::builder().max_connections(1000).build()?;
//! # pool.register("web-1", way);
//! let web = pool.get("web-1").await?; // connects, unless there is a connection already
//! assert_eq!(web.output("echo up").await?.stdout_text(), "up\n");
//! # Ok(()) }
//! ```
//!
//! A [`Forward`] is a port or socket here that leads to where a host can reach ([`Pool::forward`]), or the other way round; it is
//! wanted whatever becomes of connections. [`Pool::on`] does the same work on many hosts, and gives what became of each as it ends.
//!
//! All of that is decided by a policy without sockets and without a clock, which docs/architecture.md describes; one task of
//! the pool carries out what it decides.

//!
//! # Tracing
//!
//! What a pool does is told by [`tracing`](https://docs.rs/tracing) events. Those of a host have its name, as `host`, and the
//! number of the `connection` ([`Transport::number`]) where there is one. At `DEBUG`, unless another level is named:
//!
//! | event | fields |
//! |---|---|
//! | connecting | `attempt` |
//! | connected | `took`, of which `resolve`, `connect`, `handshake`, `authentication`; `round_trip` |
//! | not connected | `code`, `error`, and what it means for the next attempt: `failure` |
//! | another attempt comes | `wait`, and the connection that failed: `after` |
//! | changed | `status` |
//! | a place is given | `lane`, `how` ([`Places`]), `waited` (the queue time), `is_warm`, and how many are `waiting`, with this one where it was |
//! | no place | `lane`, `waiting`, `code`, `error` |
//! | the server refused a channel | `error` |
//! | the server answers | `took`: the round trip |
//! | the server answers late, again, or does not answer | |
//! | looked at (`TRACE`) | `bytes_sent`, `bytes_received`, `channels_open`, `round_trip`, `spills`, `pauses`, `paused`, `overruns` ([`Stalls`]), `key_use` |
//! | closing | `why` |
//! | the connection is gone | `was_wanted`, `age`, `bytes_sent`, `bytes_received`, `channels_opened`, the stalls, `error` |
//!
//! Forwards tell of what they listen on, of clients that got nowhere, and (`WARN`) of forwards of the configuration that cannot
//! be made, of a server that does not listen for one, the first time, and of a socket's file that cannot be removed. The
//! connections tell of themselves in the span `ssh` of [`rustle_session`]. Numbers over all of it: [`Pool::stats`].

mod driver;
mod error;
mod events;
mod fan_out;
mod forward;
mod hosts;
mod line;
mod options;
mod policy;
mod pool;
mod readings;
mod registry;
mod show;

pub use crate::error::{Error, ErrorKind, Result};
pub use crate::events::{Change, Event, Events};
pub use crate::fan_out::{FanOut, HostResult, OnFailure, Results};
pub use crate::forward::{Forward, ForwardBind, ForwardHandle, ForwardStats, ForwardTarget};
pub use crate::options::PoolBuilder;
pub use crate::pool::Pool;
pub use crate::show::{
    Algorithms, ConfiguredForward, Connection, ConnectionId, HostStats, Logins, Places, Stalls, Stats,
    Status, Times, Transport,
};
