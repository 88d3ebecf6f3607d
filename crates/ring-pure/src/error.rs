//! The one error of this crate's AEADs.

use std::error::Error;
use std::fmt;

/// Something was refused, and why is deliberately not said.
///
/// A receiver that told a wrong tag from a wrong length would help whoever forged the packet.
///
/// ```
/// assert_eq!(ring::error::Unspecified.to_string(), "the AEAD refused its input");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unspecified;

impl fmt::Display for Unspecified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the AEAD refused its input")
    }
}

impl Error for Unspecified {}
