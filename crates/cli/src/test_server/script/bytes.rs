//! Bytes, which a script writes as a text or, where they are none, in base64.

use base64ct::{Base64, Encoding};

/// What `{name}` or `{name}_base64` says, of which a table has at most one.
///
/// # Errors
/// It has both, or the second is no base64.
pub(super) fn either(
    name: &str,
    text: Option<String>,
    base64: Option<String>,
) -> Result<Option<Vec<u8>>, String> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(format!("there is `{name}` or `{name}_base64`, not both")),
        (Some(text), None) => Ok(Some(text.into_bytes())),
        (None, Some(base64)) => decoded(&format!("{name}_base64"), &base64).map(Some),
        (None, None) => Ok(None),
    }
}

/// The bytes that a key has in base64.
///
/// # Errors
/// It is none.
pub(super) fn decoded(key: &str, base64: &str) -> Result<Vec<u8>, String> {
    Base64::decode_vec(base64)
        .map_err(|_| format!("`{key}` is not base64 (RFC 4648 section 4, with padding)"))
}
