//! The client against the embedded server, and against streams that say what a test has them say.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects by failing there")]

mod entries;
mod files;
mod local;
mod opening;
mod support;
mod transfers;
