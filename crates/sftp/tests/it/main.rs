//! The client against the embedded server, and against streams that say what a test has them say.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects by failing there")]

#[cfg(unix)]
mod commands;
mod connections;
mod copies;
mod cursors;
mod drop_safety;
mod entries;
mod files;
mod here;
mod killed;
mod liars;
mod listings;
mod local;
mod opening;
mod resume;
mod scripted;
mod servers;
mod sparse;
mod support;
mod survival;
mod sync;
mod transfers;
mod trees;
