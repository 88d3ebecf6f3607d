//! The session crate against the embedded server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test says what it expects by failing there"
)]

mod agent;
mod algorithms;
mod auth;
mod commands;
mod dial;
mod drop_safety;
mod endings;
mod faults;
mod host_trust;
mod keys;
mod lifecycle;
mod quote;
mod support;
