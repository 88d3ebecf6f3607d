//! How the SSH base starts its tasks and reads its clock, under the name `russh-util`.
//!
//! # What this is
//!
//! The base runs each connection in a task of its own, which it starts through a crate named `russh-util`. That one moves
//! the connection's future into another future, and a future that waits for another has room for it twice: once where it
//! was before the first poll, and once where it is polled. Of a connection's loop that is 15 KiB twice, both halves
//! written to, for as long as the connection lives. `[patch.crates-io]` puts this crate in its place. It has the names that
//! the base uses and no more, and [`runtime::spawn`] keeps the future in one place.
//!
//! # What this is not
//!
//! Needed: with the crate of that name from the registry everything works, and each connection takes 15 KiB more. It knows
//! tokio alone; the base's builds for WebAssembly need the other.

mod driver;

/// Tasks.
pub mod runtime {
    pub use crate::driver::{JoinError, JoinHandle, spawn};
}

/// The clock.
pub mod time {
    pub use std::time::Instant;
}
