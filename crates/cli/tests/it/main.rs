//! The program as it is built, run as a person or a script runs it, against the embedded server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects by failing there")]

mod demo;
mod exec;
mod failures;
mod help;
mod host;
#[cfg(target_os = "linux")]
mod prompts;
#[cfg(unix)]
mod signals;
mod test_connection;
mod test_server;
