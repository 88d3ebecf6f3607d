//! Files for transfers: what is in them, and how a server is told their names.

#[cfg(unix)]
use std::path::Path;

/// Bytes that differ from block to block.
#[must_use]
pub fn content(length: usize) -> Vec<u8> {
    (0..length.div_ceil(8))
        .flat_map(|word| (word as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .take(length)
        .collect()
}

/// A path of this side as a server on the same disk has it.
#[cfg(unix)]
#[must_use]
pub fn bytes_of(path: &Path) -> &[u8] {
    use std::os::unix::ffi::OsStrExt as _;

    path.as_os_str().as_bytes()
}
