//! The harness of the workspace's own suite: real servers and agents as processes, keys made by other programs,
//! and a way to see what is left behind.
//!
//! What starts a process here ends it, by its id, when it is dropped; files live in a [`Scratch`] folder that goes
//! with them. A failure to prepare is a failed test, so everything here panics with the reason.
#![cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "real servers are started on Linux only"))]
#![allow(clippy::panic, clippy::expect_used, reason = "a test whose preparation failed has failed")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests report on their output")]

#[cfg(doctest)]
#[doc = include_str!("../../docs/testing-a-client.md")]
struct TestingAClient;

#[cfg(doctest)]
#[doc = include_str!("../../docs/many-hosts.md")]
struct ManyHosts;

#[cfg(target_os = "linux")]
mod agent;
mod bulk;
mod content;
mod environment;
mod keys;
mod otp;
#[cfg(target_os = "linux")]
pub mod processes;
mod scratch;
mod secrets;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod software_agent;
#[cfg(target_os = "linux")]
mod sshd;
mod tool;

#[cfg(target_os = "linux")]
pub use crate::agent::Agent;
pub use crate::bulk::{Bulk, Tally};
#[cfg(unix)]
pub use crate::content::bytes_of;
pub use crate::content::content;
pub use crate::environment::{Account, Interop, Pam, interop, interop_within};
pub use crate::keys::{KeyFile, KeyKind};
pub use crate::otp::one_time_code;
pub use crate::scratch::{Scratch, unique_number};
pub use crate::secrets::forms_found;
#[cfg(target_os = "linux")]
pub use crate::server::{Server, connector, no_credentials, target, trust};
#[cfg(target_os = "linux")]
pub use crate::software_agent::{SecurityKey, SecurityKind, SoftwareAgent};
#[cfg(target_os = "linux")]
pub use crate::sshd::{Sshd, SshdBuilder, free_port};
pub use crate::tool::{output_of, run, text_of};
