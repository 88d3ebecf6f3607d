//! The crate from outside: what files mean, what is refused, and that ssh agrees.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it skips"
)]

mod against_ssh;
mod attacks;
mod behaviour;
mod costs;
mod hostile;
mod keyword_page;
mod refusals;
