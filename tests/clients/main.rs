//! The embedded server against clients that nobody here wrote: OpenSSH's tools, asyncssh, paramiko and ssh2.
//!
//! `cargo xtask clients` prepares the machine and runs it. Without that every test says what it skipped, and passes.
//! The server runs in this process; each client is a process of its own. The libraries are driven by the small
//! programs in `programs/`, by the requests that `library.rs` describes. It is for Linux alone, as
//! `cargo xtask clients` says elsewhere.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]
#![cfg(target_os = "linux")]

mod bulk;
mod commands;
mod forwards;
mod frame;
mod library;
mod logins;
mod openssh;
mod openssh_sftp;
mod openssh_tools;
mod rekeys;
mod reverse;
mod sftp;
