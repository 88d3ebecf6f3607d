//! Quoting for the shell at the far end.
//!
//! An SSH `exec` request carries one string, and the account's login shell takes it apart again (RFC 4254
//! section 6.5 knows no argument vector). So an argument arrives unchanged only if it was quoted for exactly
//! that shell, and the protocol does not say which shell it is. [`Shell::Posix`] is the default because nearly
//! every server runs one; the others are explicit choices.
//!
//! Everything here either arrives byte for byte or is refused with a [`QuoteError`] that says what the shell
//! cannot carry. Nothing is replaced, dropped or approximated.
//!
//! ```
//! use rustle_session::quote::{Shell, join};
//!
//! let line = join(Shell::Posix, &["grep", "-c", "it's here", "/var/log/syslog"])?;
//! assert_eq!(line, br"grep -c 'it'\''s here' /var/log/syslog");
//! # Ok::<(), rustle_session::quote::QuoteError>(())
//! ```

use std::error::Error;
use std::fmt;

mod unix;
mod windows;

/// The shell that reads the command line at the far end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(clippy::enum_variant_names, reason = "PowerShell is its name")]
pub enum Shell {
    /// `sh` and all that read its grammar: dash, bash, ksh, mksh, yash, zsh, BusyBox ash. The default.
    #[default]
    Posix,
    /// `csh` and `tcsh`. BSD csh refuses any single word of several thousand bytes ("Word too long").
    Csh,
    /// `fish`, version 2.0 or newer.
    Fish,
    /// Windows' `cmd.exe`, in the state an SSH server starts it (delayed expansion off, which is Windows'
    /// default; where an administrator turned it on in the registry, `!` does not arrive).
    ///
    /// An argument is what a program finds by `CommandLineToArgvW` or the C runtime's rules. Two kinds of
    /// reader do not follow those rules and must not be given untrusted arguments: `cmd.exe`'s own commands
    /// (`echo` prints the quotes), and batch files (`.bat`, `.cmd`), which parse their arguments again.
    Cmd,
    /// Windows PowerShell 5.1 and PowerShell 7.
    PowerShell,
}

impl Shell {
    /// The longest command line this shell can be handed: bytes, or UTF-16 units for the Windows shells.
    ///
    /// What [`join`] and the prefixes return is within it each; whoever puts them together checks the sum.
    #[must_use]
    pub fn max_line(self) -> usize {
        match self {
            // The server runs `shell -c LINE`, and Linux caps one argument at 32 pages (MAX_ARG_STRLEN, 128 KiB,
            // the closing NUL included). A longer line fails there as a bare "Argument list too long".
            Shell::Posix | Shell::Csh | Shell::Fish => 131_071,
            // cmd.exe's documented line length.
            Shell::Cmd => 8_191,
            // CreateProcess caps a command line at 32,767 units; the rest is room for the server's own
            // `powershell.exe -c "…"` around it.
            Shell::PowerShell => 32_000,
        }
    }
}

impl fmt::Display for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Shell::Posix => "a POSIX shell",
            Shell::Csh => "csh",
            Shell::Fish => "fish",
            Shell::Cmd => "cmd.exe",
            Shell::PowerShell => "PowerShell",
        })
    }
}

/// Quotes one argument so that `shell` hands it on unchanged.
///
/// Words of plain letters, digits and `_ - . / + ,` stay as they are, because restricted shells such as
/// `git-shell` compare the command's name literally; everything else is quoted.
///
/// # Errors
/// See [`QuoteError`]: a NUL always, and what the shell in question cannot carry.
///
/// ```
/// use rustle_session::quote::{Shell, quote};
///
/// assert_eq!(quote(Shell::Posix, b"50% off; rm -rf ~")?, b"'50% off; rm -rf ~'");
/// assert_eq!(quote(Shell::Fish, br"C:\it's")?, br"'C:\\it\'s'");
/// assert!(quote(Shell::Cmd, b"two\nlines").is_err());
/// # Ok::<(), rustle_session::quote::QuoteError>(())
/// ```
pub fn quote(shell: Shell, arg: &[u8]) -> Result<Vec<u8>, QuoteError> {
    let mut line = Vec::with_capacity(arg.len() + 2);
    push_word(shell, arg, &mut line)?;
    checked(shell, line)
}

/// Quotes a program and its arguments and joins them into one command line.
///
/// The first word is treated as the program to run, so a program that shares its name with one of the shell's
/// keywords is still run. An empty list gives an empty line.
///
/// # Errors
/// See [`QuoteError`].
pub fn join<A: AsRef<[u8]>>(shell: Shell, args: &[A]) -> Result<Vec<u8>, QuoteError> {
    let mut line = Vec::new();
    for (index, arg) in args.iter().enumerate() {
        let arg = arg.as_ref();
        if index == 0 {
            push_program(shell, arg, &mut line)?;
        } else {
            line.push(b' ');
            push_word(shell, arg, &mut line)?;
        }
        // Checked as it grows, so that a huge list is not quoted whole before it is refused.
        if certainly_too_long(shell, line.len()) {
            break;
        }
    }
    checked(shell, line)
}

/// The text to put before a command line so that it runs with these environment variables: what is left when
/// the server refuses the `env` request (OpenSSH accepts only the names in its `AcceptEnv`).
///
/// It is a statement of its own, so it holds for everything that follows it, pipelines and `;` lists included.
/// If the shell cannot set a variable (a read-only one, say), the line ends there with an error. Unlike the
/// `env` request it puts the values on the far side's command line, where `ps` shows them: nothing secret
/// should go this way. An empty list gives an empty prefix.
///
/// # Errors
/// [`QuoteError::BadName`] for a name that is not `[A-Za-z_][A-Za-z0-9_]*`, and the reasons of [`quote`].
///
/// ```
/// use rustle_session::quote::{Shell, env_prefix};
///
/// assert_eq!(env_prefix(Shell::Posix, &[("LANG", "C"), ("MSG", "a b")])?, b"export LANG=C MSG='a b' || exit; ");
/// # Ok::<(), rustle_session::quote::QuoteError>(())
/// ```
pub fn env_prefix<N, V>(shell: Shell, vars: &[(N, V)]) -> Result<Vec<u8>, QuoteError>
where
    N: AsRef<str>,
    V: AsRef<[u8]>,
{
    let mut line = Vec::new();
    for (name, value) in vars {
        let (name, value) = (name.as_ref(), value.as_ref());
        if !is_name(name) {
            return Err(QuoteError::BadName { name: name.to_owned() });
        }
        refuse_unquotable(shell, value)?;
        if certainly_too_long(shell, line.len()) {
            break;
        }
        match shell {
            Shell::Posix => {
                line.extend_from_slice(if line.is_empty() { b"export " } else { b" " });
                line.extend_from_slice(name.as_bytes());
                line.push(b'=');
                unix::posix(value, &mut line);
            }
            Shell::Csh => unix::csh_setenv(name, value, &mut line),
            Shell::Fish => unix::fish_setenv(name, value, &mut line),
            Shell::Cmd => windows::cmd_set(name, value, &mut line)?,
            Shell::PowerShell => windows::powershell_setenv(name, value, &mut line)?,
        }
    }
    if shell == Shell::Posix && !line.is_empty() {
        line.extend_from_slice(b" || exit; ");
    }
    checked(shell, line)
}

/// The text to put before a command line so that all of it runs in `dir`, and none of it where `dir` cannot be
/// entered.
///
/// The name is literal: `~`, `-`, `*` and `CDPATH` have no meaning in it. A relative name starts from where
/// the server puts a new session, normally the home directory.
///
/// # Errors
/// [`QuoteError::EmptyDirectory`], and the reasons of [`quote`].
///
/// ```
/// use rustle_session::quote::{Shell, cd_prefix};
///
/// assert_eq!(cd_prefix(Shell::Posix, b"/srv/my app")?, b"cd -- '/srv/my app' || exit; ");
/// assert_eq!(cd_prefix(Shell::Posix, b"-")?, b"cd -- ./- || exit; ");
/// # Ok::<(), rustle_session::quote::QuoteError>(())
/// ```
pub fn cd_prefix(shell: Shell, dir: &[u8]) -> Result<Vec<u8>, QuoteError> {
    if dir.is_empty() {
        return Err(QuoteError::EmptyDirectory);
    }
    refuse_unquotable(shell, dir)?;
    let mut line = Vec::with_capacity(dir.len() + 24);
    match shell {
        Shell::Posix | Shell::Csh | Shell::Fish => unix::cd(shell, dir, &mut line),
        Shell::Cmd => windows::cmd_cd(dir, &mut line)?,
        Shell::PowerShell => windows::powershell_cd(dir, &mut line)?,
    }
    checked(shell, line)
}

/// Why something cannot be quoted. No variant holds an argument's text, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuoteError {
    /// The text holds a NUL byte, which no program's argument, variable or path can.
    Nul {
        /// Where, in bytes from its start.
        offset: usize,
    },
    /// The shell reads Unicode text only and the bytes are not UTF-8.
    NotUtf8 {
        /// The shell.
        shell: Shell,
        /// Where the first bad byte is.
        offset: usize,
    },
    /// The shell cannot carry something in the text.
    Unsupported {
        /// The shell.
        shell: Shell,
        /// What it cannot carry, as a noun phrase.
        what: &'static str,
        /// Why not.
        reason: &'static str,
        /// Where it is, in bytes from the text's start.
        offset: usize,
    },
    /// The quoted line is longer than the shell can be handed.
    TooLong {
        /// The shell.
        shell: Shell,
        /// The longest line it takes; see [`Shell::max_line`].
        limit: usize,
    },
    /// Not a portable environment variable name.
    BadName {
        /// The name as given.
        name: String,
    },
    /// The directory's name is empty.
    EmptyDirectory,
}

impl fmt::Display for QuoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nul { offset } => write!(
                f,
                "a NUL byte at offset {offset}: no command line can carry one; send such data on standard input"
            ),
            Self::NotUtf8 { shell, offset } => write!(
                f,
                "byte {offset} is not UTF-8, and {shell} reads Unicode text only; send such data on standard input"
            ),
            Self::Unsupported { shell, what, reason, offset } => write!(
                f,
                "{shell} cannot carry {what} (at offset {offset}): {reason}; \
                 send the data on standard input, or write the whole line yourself as a raw command"
            ),
            Self::TooLong { shell, limit } => write!(
                f,
                "the command line is longer than the {limit} {} that {shell} can be handed; \
                 send long data on standard input or as a file",
                if matches!(shell, Shell::Cmd | Shell::PowerShell) { "UTF-16 units" } else { "bytes" }
            ),
            Self::BadName { name } => write!(
                f,
                "{name:?} is not an environment variable name; \
                 use letters, digits and '_', not starting with a digit"
            ),
            Self::EmptyDirectory => {
                f.write_str("the working directory is empty; name one, or leave it unset")
            }
        }
    }
}

impl Error for QuoteError {}

fn push_word(shell: Shell, arg: &[u8], line: &mut Vec<u8>) -> Result<(), QuoteError> {
    refuse_unquotable(shell, arg)?;
    match shell {
        Shell::Posix => unix::posix(arg, line),
        Shell::Csh => unix::csh(arg, line),
        Shell::Fish => unix::fish(arg, line),
        Shell::Cmd => windows::cmd(arg, line)?,
        Shell::PowerShell => windows::powershell(arg, line)?,
    }
    Ok(())
}

fn push_program(shell: Shell, program: &[u8], line: &mut Vec<u8>) -> Result<(), QuoteError> {
    refuse_unquotable(shell, program)?;
    match shell {
        Shell::Posix => unix::posix(program, line),
        Shell::Csh => unix::csh(program, line),
        Shell::Fish => unix::fish_program(program, line),
        Shell::Cmd => windows::cmd_program(program, line)?,
        Shell::PowerShell => windows::powershell_program(program, line)?,
    }
    Ok(())
}

/// What no shell takes, checked before anything is copied.
fn refuse_unquotable(shell: Shell, text: &[u8]) -> Result<(), QuoteError> {
    if certainly_too_long(shell, text.len()) {
        return Err(QuoteError::TooLong { shell, limit: shell.max_line() });
    }
    match text.iter().position(|&b| b == 0) {
        Some(offset) => Err(QuoteError::Nul { offset }),
        None => Ok(()),
    }
}

/// Whether so many bytes are over the limit whatever they are: one UTF-16 unit takes three bytes at most.
fn certainly_too_long(shell: Shell, bytes: usize) -> bool {
    bytes / 3 > shell.max_line()
}

/// A name that every shell here takes on the left of an assignment.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn checked(shell: Shell, line: Vec<u8>) -> Result<Vec<u8>, QuoteError> {
    let limit = shell.max_line();
    // A UTF-8 text never has more UTF-16 units than bytes, so the exact count is needed only past the limit.
    let too_long = line.len() > limit
        && match shell {
            Shell::Cmd | Shell::PowerShell => String::from_utf8_lossy(&line).encode_utf16().count() > limit,
            Shell::Posix | Shell::Csh | Shell::Fish => true,
        };
    if too_long { Err(QuoteError::TooLong { shell, limit }) } else { Ok(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Shell; 5] = [Shell::Posix, Shell::Csh, Shell::Fish, Shell::Cmd, Shell::PowerShell];

    #[test]
    fn a_nul_is_refused_everywhere_with_its_offset() {
        for shell in ALL {
            let nul = QuoteError::Nul { offset: 2 };
            assert_eq!(quote(shell, b"ab\0c"), Err(nul.clone()), "{shell}");
            assert_eq!(join(shell, &["ab\0c"]), Err(nul.clone()), "{shell}");
            assert_eq!(cd_prefix(shell, b"ab\0c"), Err(nul.clone()), "{shell}");
            assert_eq!(env_prefix(shell, &[("A", "ab\0c")]), Err(nul), "{shell}");
        }
    }

    #[test]
    fn names_that_could_be_read_as_more_than_a_name_are_refused() {
        for shell in ALL {
            for name in ["", "1A", "A B", "A=B", "A;id", "É", "A-B", "A[0]", "A\n"] {
                let error = env_prefix(shell, &[(name, "x")]);
                assert_eq!(error, Err(QuoteError::BadName { name: name.to_owned() }), "{shell}");
            }
        }
    }

    #[test]
    fn nothing_in_gives_nothing_out() {
        for shell in ALL {
            assert_eq!(join::<&str>(shell, &[]), Ok(vec![]), "{shell}");
            assert_eq!(env_prefix::<&str, &str>(shell, &[]), Ok(vec![]), "{shell}");
            assert_eq!(cd_prefix(shell, b""), Err(QuoteError::EmptyDirectory), "{shell}");
        }
    }

    #[test]
    fn a_line_at_the_limit_passes_and_one_more_does_not() {
        for shell in [Shell::Posix, Shell::Csh, Shell::Fish, Shell::Cmd] {
            let limit = shell.max_line();
            let fits = vec![b'a'; limit];
            assert_eq!(quote(shell, &fits), Ok(fits.clone()), "{shell}");
            let over = vec![b'a'; limit + 1];
            assert_eq!(quote(shell, &over), Err(QuoteError::TooLong { shell, limit }), "{shell}");
        }
        let many = vec!["word"; 1_000_000];
        assert_eq!(
            join(Shell::Posix, &many),
            Err(QuoteError::TooLong { shell: Shell::Posix, limit: 131_071 })
        );
    }

    #[test]
    fn windows_limits_count_utf16_units_not_bytes() {
        // 12,000 units in 36,000 bytes: inside PowerShell's limit as units alone, outside cmd's as both.
        let wide = "€".repeat(12_000);
        assert!(quote(Shell::PowerShell, wide.as_bytes()).is_ok());
        assert!(matches!(quote(Shell::Cmd, wide.as_bytes()), Err(QuoteError::TooLong { .. })));
        let fits = "€".repeat(8_000);
        assert!(quote(Shell::Cmd, fits.as_bytes()).is_ok());
    }

    #[test]
    fn errors_say_what_to_do_and_never_repeat_the_argument() {
        let error = quote(Shell::Cmd, b"hunter2\n").unwrap_err().to_string();
        assert_eq!(
            error,
            "cmd.exe cannot carry a control character (at offset 7): it ends the line or is not known to arrive; \
             send the data on standard input, or write the whole line yourself as a raw command"
        );
        let error = quote(Shell::PowerShell, b"hunter2\xff").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
