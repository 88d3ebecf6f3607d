//! The command's words as bytes, which is what a remote shell gets.

use std::ffi::OsString;

use crate::failure::Failure;

/// On Unix, arguments are bytes already.
#[cfg(unix)]
pub(crate) fn bytes(words: Vec<OsString>) -> Result<Vec<Vec<u8>>, Failure> {
    use std::os::unix::ffi::OsStringExt;

    Ok(words.into_iter().map(OsStringExt::into_vec).collect())
}

/// Elsewhere they are Unicode, and sent as UTF-8.
#[cfg(not(unix))]
pub(crate) fn bytes(words: Vec<OsString>) -> Result<Vec<Vec<u8>>, Failure> {
    let refused = |_| {
        Failure::new(crate::failure::USAGE, "a word of the command is not valid Unicode")
            .hint("pass such data on standard input")
    };
    words.into_iter().map(|word| word.into_string().map(String::into_bytes).map_err(refused)).collect()
}
