//! The suite against real servers: OpenSSH's `sshd` on loopback, and others for what it has not.
//!
//! `cargo xtask interop` prepares the machine and runs it twice: as an ordinary account, then as root. Without that
//! every test says what it skipped, and passes. It is for Linux alone, as `cargo xtask interop` says elsewhere.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]
#![cfg(target_os = "linux")]

mod agents;
mod algorithms;
mod asyncssh;
mod bulk;
mod cli;
mod commands;
mod compression;
mod dropped;
mod endings;
mod forwards;
mod host_trust;
mod host_updates;
mod jump;
mod logins;
mod new_hosts;
mod pool;
mod public_key;
mod questions;
mod refused_hosts;
mod remote_forwards;
mod secrets;
mod settings;
mod sftp_client;
mod sftp_servers;
mod slow_reader;
mod terminals;
mod without_sftp;
