//! The crate as its users see it: against files made by OpenSSH, against the real `ssh-keygen` where it is
//! installed, and against arbitrary input.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand, as tests do")]

mod certificates;
mod keygen;
mod keys;
mod pictures;
mod properties;
mod revocation;
mod rules;
mod sshfp;
mod support;
mod update;
mod verdicts;
