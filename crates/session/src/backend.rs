//! Which implementation does the AEAD ciphers in this build.

use std::fmt;

/// Which implementation does the AEAD ciphers in this build; see [`crypto_backend`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CryptoBackend {
    /// The pure-Rust stand-in; the text names what it runs on this processor.
    Pure(&'static str),
    /// The real `ring`, compiled from C and assembly, which the feature `accept-ring-compiled-from-c` lets in.
    RingCompiledFromC,
}

/// What does the AEAD ciphers in this process.
///
/// ```
/// println!("{}", rustle_session::crypto_backend());
/// ```
#[must_use]
pub fn crypto_backend() -> CryptoBackend {
    #[cfg(pure_ring)]
    {
        CryptoBackend::Pure(ring::backend().as_str())
    }
    #[cfg(not(pure_ring))]
    {
        CryptoBackend::RingCompiledFromC
    }
}

impl fmt::Display for CryptoBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pure(name) => write!(f, "pure Rust: {name}"),
            Self::RingCompiledFromC => f.write_str("ring, compiled from C"),
        }
    }
}
