//! The session crate against the embedded server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test says what it expects by failing there"
)]

mod agent;
mod agent_forwarding;
mod algorithms;
mod attacks;
mod auth;
mod commands;
mod dial;
mod drop_safety;
mod endings;
mod fake_agent;
mod faults;
mod host_certificates;
mod host_dns;
mod host_keys_announced;
mod host_trust;
mod jump;
mod key_policy;
mod keys;
mod known_hosts_file;
mod lifecycle;
mod new_hosts;
mod pageant;
mod places;
mod proxy_command;
mod quote;
mod rekey;
mod relay;
mod remote_forwards;
mod support;
mod trust_sources;
