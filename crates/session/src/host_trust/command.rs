//! `KnownHostsCommand`: a program whose output is read as a known_hosts file.

use std::fmt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::HostKeyOffer;
use crate::error::{Error, ErrorKind, Result};

/// A directory service that has not answered by then will not.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program that is asked for host keys, besides the files (`KnownHostsCommand`).
///
/// It runs once to order the algorithms, and again when the host has shown its key. Its output is read as a
/// `known_hosts` file, after the others. Where it fails, or takes longer than 30 s, the host is refused.
///
/// ```
/// use rustle_session::KnownHostsCommand;
///
/// let command = KnownHostsCommand::parse("/usr/libexec/hostkeys --for %H --why \"%I\"")?;
/// assert_eq!(command.program(), "/usr/libexec/hostkeys");
/// assert!(KnownHostsCommand::parse("hostkeys %H").is_err(), "not the path of a program");
/// # Ok::<(), rustle_session::Error>(())
/// ```
#[derive(Clone)]
pub struct KnownHostsCommand {
    program: String,
    arguments: Arguments,
}

#[derive(Clone)]
enum Arguments {
    /// With the tokens of [`KnownHostsCommand::parse`].
    Words(Vec<String>),
    /// By whoever knows more tokens.
    Made(MakeArguments),
}

/// Makes the arguments of one run.
pub(crate) type MakeArguments = Arc<dyn Fn(&CommandFacts) -> Result<Vec<String>> + Send + Sync>;

/// What one run is about: the values of the command's own tokens.
#[derive(Debug, Clone)]
pub(crate) struct CommandFacts {
    pub(crate) invocation: &'static str,
    pub(crate) host: String,
    pub(crate) algorithm: String,
    pub(crate) fingerprint: String,
    pub(crate) base64: String,
}

/// Why the program is run, as `%I` tells it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Invocation<'a> {
    /// Before the key exchange.
    Order,
    /// The host has shown a key.
    HostName(&'a HostKeyOffer),
    /// The same, about the host's address (`CheckHostIP`).
    Address(&'a HostKeyOffer),
}

impl KnownHostsCommand {
    /// Takes a command line apart as ssh does: at white space, with quotes and backslashes.
    ///
    /// In the words behind the program, `%H` stands for the name or address that is looked up, `%I` for the reason
    /// (`ORDER`, `HOSTNAME` or `ADDRESS`), `%t`, `%f` and `%K` for the type, fingerprint and base64 of the key (`NONE` when
    /// there is none yet), `%%` for `%`.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] when the program is not an absolute path, a quote has no end, or a token is not one
    /// of these.
    pub fn parse(line: &str) -> Result<Self> {
        let words = split(line).ok_or_else(|| refused(line, "a quote in it has no end"))?;
        let mut words = words.into_iter();
        let program = words.next().ok_or_else(|| refused(line, "it names no program"))?;
        Self::new(program, words)
    }

    /// As [`parse`](Self::parse), from words that are apart already.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn new<I>(program: impl Into<String>, arguments: I) -> Result<Self>
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        let words: Vec<String> = arguments.into_iter().map(Into::into).collect();
        let facts = CommandFacts::new("", Invocation::Order);
        for word in &words {
            facts.expand(word).map_err(|why| refused(word, &why))?;
        }
        Self::of(program.into(), Arguments::Words(words))
    }

    /// A program whose arguments are made by whoever knows more tokens.
    pub(crate) fn making(program: impl Into<String>, arguments: MakeArguments) -> Result<Self> {
        Self::of(program.into(), Arguments::Made(arguments))
    }

    fn of(program: String, arguments: Arguments) -> Result<Self> {
        if Path::new(&program).is_absolute() {
            Ok(Self { program, arguments })
        } else {
            Err(refused(&program, "the program's path is not absolute"))
        }
    }

    /// The program's path.
    #[must_use]
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Runs it for `name`, and gives back what it printed.
    ///
    /// # Cancel safety
    /// Dropped, the program is killed.
    pub(super) async fn run(&self, name: &str, invocation: Invocation<'_>) -> Result<Vec<u8>> {
        let failed = |why: String| {
            Error::new(
                ErrorKind::HostKeyRejected,
                "check host key",
                format!("KnownHostsCommand {} failed, so no host key can be checked: {why}", self.program),
            )
            .with_hint("run it by hand to see what is wrong, or set `KnownHostsCommand none`")
        };
        let facts = CommandFacts::new(name, invocation);
        let arguments = match &self.arguments {
            Arguments::Words(words) => words.iter().map(|word| facts.expand(word)).collect(),
            Arguments::Made(make) => make(&facts).map_err(|error| error.to_string()),
        };
        let mut command = Command::new(&self.program);
        command.args(arguments.map_err(failed)?);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
        let limit = super::store::MAX_FILE;
        let ran = async {
            let mut output = Vec::new();
            if let Some(stdout) = child.stdout.take() {
                stdout.take(limit + 1).read_to_end(&mut output).await?;
            }
            // What printed too much may still be printing, to nobody.
            if output.len() as u64 > limit {
                return Ok((output, None));
            }
            Ok::<_, std::io::Error>((output, Some(child.wait().await?)))
        };
        match tokio::time::timeout(PATIENCE, ran).await {
            Ok(Ok((output, Some(status)))) if status.success() => Ok(output),
            Ok(Ok((_, Some(status)))) => Err(failed(format!("it ended with {status}"))),
            Ok(Ok((_, None))) => Err(failed(format!("it printed more than {} MiB", limit / (1024 * 1024)))),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed(format!("it did not end within {} s", PATIENCE.as_secs()))),
        }
    }
}

impl fmt::Debug for KnownHostsCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownHostsCommand").field("program", &self.program).finish_non_exhaustive()
    }
}

impl CommandFacts {
    fn new(name: &str, invocation: Invocation<'_>) -> Self {
        let (invocation, offer) = match invocation {
            Invocation::Order => ("ORDER", None),
            Invocation::HostName(offer) => ("HOSTNAME", Some(offer)),
            Invocation::Address(offer) => ("ADDRESS", Some(offer)),
        };
        let of_key = |of: fn(&HostKeyOffer) -> String| offer.map_or_else(|| "NONE".to_owned(), of);
        Self {
            invocation,
            host: name.to_owned(),
            algorithm: of_key(|offer| offer.shown_algorithm().to_owned()),
            fingerprint: of_key(HostKeyOffer::fingerprint),
            base64: of_key(HostKeyOffer::shown_base64),
        }
    }

    /// Puts values for tokens; the error says which token is none.
    fn expand(&self, text: &str) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                out.push(char);
                continue;
            }
            out.push_str(match chars.next() {
                Some('%') => "%",
                Some('H') => &self.host,
                Some('I') => self.invocation,
                Some('t') => &self.algorithm,
                Some('f') => &self.fingerprint,
                Some('K') => &self.base64,
                Some(token) => return Err(format!("`%{}` is no token of it", token.escape_debug())),
                None => return Err("it ends in `%`".to_owned()),
            });
        }
        Ok(out)
    }
}

/// Words at blanks. A backslash takes the meaning from a quote, a backslash and, outside of quotes, a blank; `None` for a
/// quote without an end.
fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    while let Some(first) = chars.next() {
        if is_blank(first) {
            continue;
        }
        let (mut word, mut quote, mut next) = (String::new(), None, Some(first));
        while let Some(char) = next {
            match (char, quote) {
                ('\\', _) => match chars.peek().copied() {
                    Some(escaped)
                        if matches!(escaped, '\'' | '"' | '\\') || quote.is_none() && escaped == ' ' =>
                    {
                        word.push(escaped);
                        chars.next();
                    }
                    _ => word.push('\\'),
                },
                (blank, None) if is_blank(blank) => break,
                ('\'' | '"', None) => quote = Some(char),
                (end, Some(open)) if end == open => quote = None,
                _ => word.push(char),
            }
            next = chars.next();
        }
        if quote.is_some() {
            return None;
        }
        words.push(word);
    }
    Some(words)
}

fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t')
}

fn refused(what: &str, why: &str) -> Error {
    let what = what.escape_debug();
    Error::new(ErrorKind::Configuration, "read configuration", format!("KnownHostsCommand `{what}`: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart_as_ssh_does() {
        for (line, words) in [
            ("/a b  c\t d ", &["/a", "b", "c", "d"][..]),
            (r#"/a "b c" 'd e' f"g"h"#, &["/a", "b c", "d e", "fgh"]),
            (r#"/a "" '' x"#, &["/a", "", "", "x"]),
            (
                r#"/a \"b\' "c\"d" '\'' e\ f \\ \n "\ ""#,
                &["/a", "\"b'", "c\"d", "'", "e f", "\\", "\\n", "\\ "],
            ),
            (r#"/a "it's""#, &["/a", "it's"]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{line}");
        }
        for open in ["/a \"b", "/a 'b", "/a \"b'"] {
            assert_eq!(split(open), None, "{open}");
        }
    }

    #[test]
    fn a_line_that_cannot_be_run_is_refused() {
        for (line, why) in [
            ("", "no program"),
            ("  ", "no program"),
            ("program", "not absolute"),
            ("~/program", "not absolute"),
            ("\"/a", "quote"),
            ("/a %x", "`%x`"),
            ("/a 50%", "ends in `%`"),
        ] {
            let line = if cfg!(windows) { line.replace("/a", "C:\\\\a") } else { line.to_owned() };
            let error = KnownHostsCommand::parse(&line).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains(why), "{line}: {error}");
        }
    }

    #[test]
    fn tokens_are_put_in_the_words_behind_the_program() {
        let wire = [&b"\0\0\0\x0bssh-ed25519\0\0\0\x20"[..], &[7; 32]].concat();
        let offer = HostKeyOffer::from_wire("web-1", 22, &wire).unwrap();
        let put = |text: &str, invocation| CommandFacts::new("web-1", invocation).expand(text).unwrap();
        assert_eq!(put("%H:%I:%t:%f:%K:%%H", Invocation::Order), "web-1:ORDER:NONE:NONE:NONE:%H");
        let shown = put("%H:%I:%t:%f", Invocation::HostName(&offer));
        assert_eq!(shown, format!("web-1:HOSTNAME:ssh-ed25519:{}", offer.fingerprint()));
        assert!(put("%K", Invocation::Address(&offer)).starts_with("AAAAC3NzaC1lZDI1NTE5AAAAI"));
        assert_eq!(put("%I", Invocation::Address(&offer)), "ADDRESS");
    }
}
