//! The AEADs of SSH in pure Rust, under the name `ring`.
//!
//! # What this is
//!
//! The SSH base of this workspace compiles only with a crate named `ring` (or with `aws-lc-rs`), and both of
//! those build C and assembly. `[patch.crates-io]` puts this crate in `ring`'s place, so that a Rust
//! toolchain is all that a build needs. It holds what the base uses and no more:
//!
//! * `aes128-gcm@openssh.com` and `aes256-gcm@openssh.com`: AES-GCM (NIST SP 800-38D) as RFC 5647 puts it
//!   into SSH, through [`aead::OpeningKey`] and [`aead::SealingKey`];
//! * `chacha20-poly1305@openssh.com` (OpenSSH's `PROTOCOL.chacha20poly1305`), through
//!   [`aead::chacha20_poly1305_openssh`];
//! * [`error::Unspecified`];
//! * and two things of its own: [`backend()`], which says what encrypts, and [`self_test()`], which proves
//!   it.
//!
//! # What this is not
//!
//! It is not `ring`: no digests, signatures, key agreement, randomness, and not even `ring`'s other AEADs. A
//! crate which needs those, such as `rustls` with its `ring` provider, does not compile on this one, and a
//! graph holds one of the two. The code shares nothing with `ring` but those names and signatures.
//!
//! # What encrypts
//!
//! AES-GCM comes from `graviola` where the CPU has every feature that it insists on, otherwise from
//! RustCrypto's `aes-gcm`, which runs anywhere. The choice is made once, at the first use. ChaCha20-Poly1305
//! comes from RustCrypto's `chacha20` and `poly1305` everywhere: `graviola` offers only the construction of
//! RFC 8439, which feeds Poly1305 padding and lengths that OpenSSH's does not, and keeps the parts to itself.
//!
//! # Keys in memory
//!
//! Keys lie on the heap and are zeroised when dropped; moving a key object moves a pointer and leaves no copy
//! behind. Bytes a caller passes in are the caller's to wipe, and what an implementation of AES leaves in
//! registers and on the stack while it expands a key is its own affair. Tags are compared in constant time.
//!
//! ```
//! # fn main() -> Result<(), ring::SelfTestError> {
//! ring::self_test()?;
//! println!("AES-GCM by {}", ring::backend());
//! # Ok(())
//! # }
//! ```

mod backend;
mod chooser;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod memory;
mod self_test;

pub mod aead;
pub mod error;

pub use crate::backend::{Backend, backend};
pub use crate::self_test::{SelfTestError, self_test};
