//! The program as it is built, run as a person or a script runs it, against the embedded server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test says what it expects by failing there"
)]

#[cfg(unix)]
mod agent;
mod connections;
mod demo;
mod exec;
mod failures;
mod help;
mod host;
mod ls_remote;
#[cfg(target_os = "linux")]
mod prompts;
#[cfg(target_os = "linux")]
mod proxy;
#[cfg(target_os = "linux")]
mod readers;
#[cfg(target_os = "linux")]
#[path = "../../../session/tests/it/relay.rs"]
mod relay;
mod running;
#[cfg(unix)]
mod signals;
mod ssh_config;
mod sync;
#[cfg(target_os = "linux")]
mod terminal;
mod test_connection;
mod test_server;
mod transfer;
mod trees;
#[cfg(unix)]
mod without_sftp;
