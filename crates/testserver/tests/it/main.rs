//! The test server, driven by a client of its own base and by OpenSSH.

mod authentication;
mod client;
mod commands;
