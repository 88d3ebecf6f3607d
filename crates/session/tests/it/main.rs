//! The session crate against the embedded server.

mod agent;
mod algorithms;
mod auth;
mod commands;
mod dial;
mod endings;
mod faults;
mod host_trust;
mod keys;
mod lifecycle;
mod quote;
mod support;
