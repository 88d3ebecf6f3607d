//! The pool against the embedded server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects by failing there"
)]

mod chaos;
mod codes;
mod configured;
mod drop_safety;
mod events;
mod fan_out;
mod forwards;
mod health;
mod identity;
mod jump_hosts;
mod lanes;
mod limits;
mod logins;
mod probes;
mod runtime;
mod sharing;
#[cfg(unix)]
mod shortage;
mod shown;
mod shutdown;
mod startups;
mod support;
mod traced;
mod tracing;
mod transfers;
mod trouble;
mod warm;
