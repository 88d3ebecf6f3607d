//! What a script's exit code means.

use rustle_session::ExitStatus;

use crate::commands::Of;
use crate::error::{Error, ErrorKind};
use crate::shown::Shown;

/// What our scripts exit with, far from the codes of programs and of shells. The texts of scripts have the same numbers.
const NOT_FOUND: u32 = 61;
const PERMISSION_DENIED: u32 = 62;
const ALREADY_EXISTS: u32 = 63;
const IS_A_DIRECTORY: u32 = 64;
const NOT_A_DIRECTORY: u32 = 65;
const NOT_EMPTY: u32 = 66;
const WRONG_KIND: u32 = 67;
const CUT_OFF: u32 = 68;
/// A program failed, and nothing that can be tested says why.
const FAILED: u32 = 69;
const OTHER_HASH: u32 = 70;
const ELSEWHERE: u32 = 71;

/// What our scripts say first on standard error, in the text of [`script`](super::script): what stands before it is of
/// start-up files, and means nothing.
pub(super) const MARK: &[u8] = b"rustle-script:\n";

/// What a script and its programs said; `None` where it did not begin.
pub(super) fn script_said(stderr: &[u8]) -> Option<&[u8]> {
    let at = stderr.windows(MARK.len()).position(|window| window == MARK)?;
    Some(&stderr[at + MARK.len()..])
}

/// The error of a script that ended so.
pub(super) fn failed(of: Of<'_>, status: &ExitStatus, stderr: &[u8]) -> Error {
    let begun = script_said(stderr);
    let words = begun.unwrap_or_default();
    let of_writing = || by_text(words).filter(|(kind, _)| *kind != ErrorKind::Unsupported);
    let (kind, text) = match status.code() {
        Some(NOT_FOUND) => (ErrorKind::NotFound, "no such file or directory"),
        Some(ALREADY_EXISTS) => (ErrorKind::AlreadyExists, "the name is taken"),
        Some(IS_A_DIRECTORY) => (ErrorKind::IsADirectory, "a directory"),
        Some(NOT_A_DIRECTORY) => {
            (ErrorKind::NotADirectory, "not a directory, or below something that is none")
        }
        Some(NOT_EMPTY) => (ErrorKind::DirectoryNotEmpty, "the directory is not empty"),
        Some(WRONG_KIND) => (ErrorKind::InvalidArgument, "not the sort of file that this can be done with"),
        // Told by a program in place of a test: why a write fails can be seen only while it does.
        Some(CUT_OFF) => {
            of_writing().unwrap_or((ErrorKind::Mismatch, "not all of the bytes arrived in the file"))
        }
        Some(PERMISSION_DENIED) => of_writing().unwrap_or((ErrorKind::PermissionDenied, "permission denied")),
        Some(FAILED) => by_text(words).unwrap_or((ErrorKind::Failure, "a program of the server failed")),
        Some(ELSEWHERE) => (ErrorKind::Unsupported, "the two names are on different file systems"),
        Some(OTHER_HASH) => (ErrorKind::Mismatch, "the server's file has another SHA-256 than this side's"),
        _ => (ErrorKind::Failure, "the command did not run to its end"),
    };
    let mut message = text.to_owned();
    if kind == ErrorKind::Failure {
        message.push_str(&format!(" ({status})"));
    }
    // Whatever the kind: a person may see more in it.
    let words = begun.unwrap_or(stderr);
    if !words.is_empty() {
        message.push_str(&format!("; the server said {}", Shown::of(words)));
    }
    Error::new(kind, of.operation, message).at(of.path)
}

/// Where no test can tell: `LC_ALL=C` makes these texts the same in every language, and C libraries agree on them.
fn by_text(stderr: &[u8]) -> Option<(ErrorKind, &'static str)> {
    let has =
        |text: &str| stderr.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()));
    TEXTS.iter().find(|(text, ..)| has(text)).map(|(_, kind, message)| (*kind, *message))
}

const TEXTS: [(&str, ErrorKind, &str); 11] = [
    ("read-only file system", ErrorKind::ReadOnly, "the file system is read-only"),
    ("no space left on device", ErrorKind::NoSpace, "the file system is full"),
    ("quota exceeded", ErrorKind::NoSpace, "the quota of the account is used up"),
    ("operation not permitted", ErrorKind::PermissionDenied, "the account may not do this"),
    ("permission denied", ErrorKind::PermissionDenied, "permission denied"),
    ("file name too long", ErrorKind::InvalidName, "the file system does not take a name as long as this"),
    ("filename too long", ErrorKind::InvalidName, "the file system does not take a name as long as this"),
    ("directory not empty", ErrorKind::DirectoryNotEmpty, "the directory is not empty"),
    ("the same file", ErrorKind::InvalidArgument, "it is the same file"),
    ("are identical", ErrorKind::InvalidArgument, "it is the same file"),
    ("not found", ErrorKind::Unsupported, "the server lacks a program for this"),
];

/// A command that could not be started, or whose end was not seen.
pub(super) fn not_run(of: Of<'_>, error: rustle_session::Error) -> Error {
    use rustle_session::ErrorKind as Session;
    let (kind, text) = match error.kind() {
        Session::RequestRefused => (ErrorKind::Unavailable, "the server does not run the command"),
        Session::Configuration => (ErrorKind::InvalidName, "the path does not fit on a command line"),
        Session::ChannelTimeout => (ErrorKind::Timeout, "the command did not end in time"),
        Session::Overrun => (ErrorKind::Protocol, "the command printed more than it can mean"),
        _ => (ErrorKind::Disconnected, "the command's channel was not to be had, or was lost"),
    };
    let error = Error::new(kind, of.operation, text).with_source(error);
    if of.path.is_empty() { error } else { error.at(of.path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_tested_is_read_from_a_program_s_words() {
        let kind = |text: &str| by_text(text.as_bytes()).map(|(kind, _)| kind);
        assert_eq!(kind("cat: write error: No space left on device\n"), Some(ErrorKind::NoSpace));
        assert_eq!(kind("sh: 1: cannot create ./x: Read-only file system"), Some(ErrorKind::ReadOnly));
        assert_eq!(kind("mv: it did not like it"), None);
    }
}
