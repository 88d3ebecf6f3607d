//! The crate as its users see it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod aes_gcm;
mod chacha20_poly1305_openssh;
mod choice;
