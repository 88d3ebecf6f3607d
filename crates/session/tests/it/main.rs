//! The session crate against the embedded server.

mod algorithms;
mod commands;
mod dial;
mod endings;
mod faults;
mod host_trust;
mod lifecycle;
mod quote;
mod support;
