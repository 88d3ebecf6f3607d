//! Which implementation of AES-GCM runs in this process.

use std::fmt;
use std::sync::OnceLock;

use crate::chooser::{self, CpuFeatures};

/// An implementation of AES-GCM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// `graviola`: the fast one. Rust with inline assembly, on x86_64 and aarch64 CPUs from about 2015 on.
    Graviola,
    /// RustCrypto's `aes-gcm`: runs on any CPU, and uses its AES and carry-less multiplication where there
    /// are any.
    RustCrypto,
}

impl Backend {
    /// The name in one word, for logs and reports.
    ///
    /// ```
    /// assert_eq!(ring::Backend::RustCrypto.as_str(), "rustcrypto");
    /// ```
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Graviola => "graviola",
            Self::RustCrypto => "rustcrypto",
        }
    }

    /// Every implementation that runs on this CPU.
    pub(crate) fn runnable() -> &'static [Self] {
        match backend() {
            Self::Graviola => &[Self::Graviola, Self::RustCrypto],
            Self::RustCrypto => &[Self::RustCrypto],
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The implementation of AES-GCM in use, chosen by the CPU's features when first asked and the same ever
/// after.
///
/// ```
/// println!("AES-GCM by {}", ring::backend());
/// ```
#[must_use]
pub fn backend() -> Backend {
    static CHOSEN: OnceLock<Backend> = OnceLock::new();
    *CHOSEN.get_or_init(|| chooser::choose(&CpuFeatures::detect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_stays_the_same_across_threads() {
        let here = backend();
        let there = std::thread::spawn(backend).join().unwrap();
        assert_eq!(here, there);
    }

    #[test]
    fn the_chosen_back_end_comes_first_and_rustcrypto_always_runs() {
        assert_eq!(Backend::runnable().first(), Some(&backend()));
        assert!(Backend::runnable().contains(&Backend::RustCrypto));
    }
}
