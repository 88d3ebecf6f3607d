//! The one place that writes for people: data to standard output, everything else to standard error.
//!
//! Nothing here waits for whoever reads: a thread writes ([`crate::streams`]). Work that prints without an end, a line for
//! each file, asks [`Printer::is_behind`], and then waits for [`Printer::room`].

use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use bytes::Bytes;
use rustle_session::{SetupWarning, Verbosity};
use serde::Serialize;

use crate::failure::Failure;
use crate::logging;
use crate::plan::{Format, Output, Voice};
use crate::streams::{Drawing, Lines, Said, Writer, standard, standard_if_used};

pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const BOLD: Style = Style::new().bold();
const NOTE: Style = AnsiColor::Cyan.on_default();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Writes results, errors and notes, in the format that was asked for. Colours are left out where the stream is
/// no terminal, or `NO_COLOR` is set.
pub(crate) struct Printer {
    output: Output,
}

impl Printer {
    pub(crate) fn new(output: Output) -> Self {
        Self { output }
    }

    /// Speaks as the configuration wants it (`LogLevel`), where nothing was typed about that.
    pub(crate) fn follow(&mut self, verbosity: Option<Verbosity>) {
        let voice = match verbosity {
            Some(Verbosity::Quiet) => Voice::Quiet,
            Some(Verbosity::Verbose(steps)) => Voice::Verbose(steps),
            _ => return,
        };
        if self.output.voice == Voice::Normal {
            self.output.voice = voice;
            logging::start(self.output);
        }
    }

    pub(crate) fn format(&self) -> Format {
        self.output.format
    }

    /// Lines on standard error that change in place, where a person looks at it and neither quiet nor a log is wanted
    /// there.
    pub(crate) fn drawing(&self) -> Result<Option<Drawing>, Failure> {
        let draws = self.output.format == Format::Human
            && self.output.voice == Voice::Normal
            && io::stderr().is_terminal();
        draws.then(Drawing::begin).transpose()
    }

    /// Whether a person may want to know now and then how far something long is, where nothing is drawn.
    pub(crate) fn tells_progress(&self) -> bool {
        self.output.format == Format::Human && self.output.voice != Voice::Quiet
    }

    /// Whether so much waits to be read that the work should wait as well.
    pub(crate) fn is_behind(&self) -> bool {
        standard_if_used().is_some_and(Writer::is_behind)
    }

    /// Whether anything that was printed is not written yet.
    pub(crate) fn is_unread(&self) -> bool {
        standard_if_used().is_some_and(|writer| writer.waiting() > 0)
    }

    /// Waits until less waits to be read.
    ///
    /// # Errors
    /// What writing to standard output gave; a reader that has gone away is [`io::ErrorKind::BrokenPipe`].
    ///
    /// # Cancel safety
    /// Safe: nothing that was printed is lost.
    pub(crate) async fn room(&self) -> io::Result<()> {
        match standard_if_used() {
            Some(writer) => writer.room().await,
            None => Ok(()),
        }
    }

    /// Waits until all that was printed is written.
    ///
    /// # Errors
    /// As [`room`](Self::room).
    ///
    /// # Cancel safety
    /// As [`room`](Self::room).
    pub(crate) async fn settled(&self) -> io::Result<()> {
        match standard_if_used() {
            Some(writer) => writer.settled().await,
            None => Ok(()),
        }
    }

    /// The same where there is no runtime.
    ///
    /// # Errors
    /// As [`room`](Self::room).
    pub(crate) fn settled_here(&self) -> io::Result<()> {
        standard_if_used().map_or(Ok(()), Writer::settled_here)
    }

    /// Waits until standard output cannot be written.
    ///
    /// # Cancel safety
    /// Safe: it is known the next time as well.
    pub(crate) async fn unheard(&self) -> io::Error {
        standard().failed().await
    }

    /// Carries out `work`, unless standard output cannot be written first: then it is dropped.
    ///
    /// # Errors
    /// As [`room`](Self::room).
    ///
    /// # Cancel safety
    /// Dropped, so is the work.
    pub(crate) async fn while_heard<T>(&self, work: impl Future<Output = T>) -> io::Result<T> {
        tokio::select! {
            done = work => Ok(done),
            error = self.unheard() => Err(error),
        }
    }

    /// A line of data.
    ///
    /// # Errors
    /// As [`room`](Self::room), of what was printed before.
    pub(crate) fn line(&mut self, line: impl Display) -> io::Result<()> {
        self.bytes(format!("{line}\n"))
    }

    /// Data as it is.
    ///
    /// # Errors
    /// As [`line`](Self::line).
    pub(crate) fn bytes(&mut self, bytes: impl Into<Bytes>) -> io::Result<()> {
        standard().error().map_or(Ok(()), Err)?;
        standard().push(Said::Out(bytes.into()));
        Ok(())
    }

    /// One JSON value on one line.
    ///
    /// # Errors
    /// As [`line`](Self::line).
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string(value).map_err(io::Error::other)?;
        self.line(printable(&text))
    }

    /// What went wrong.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        if self.output.format == Format::Json {
            #[derive(Serialize)]
            struct Told<'a> {
                error: &'a Failure,
            }
            let text = serde_json::to_string(&Told { error: failure });
            self.say(format_args!("{}", printable(&text.unwrap_or_default())));
            return;
        }
        for (label, text) in failure.lines() {
            let style = if label == "error" { BAD } else { BOLD };
            self.say(format_args!("{style}{label}:{style:#} {text}"));
        }
    }

    /// Something a person should know, though nothing failed.
    pub(crate) fn warning(&mut self, text: impl Display) {
        if self.output.voice != Voice::Quiet {
            self.say(format_args!("{WARNING}warning:{WARNING:#} {text}"));
        }
    }

    /// What came of the work, unless quiet is wanted.
    pub(crate) fn summary(&mut self, text: impl Display) {
        if self.output.voice != Voice::Quiet {
            self.say(format_args!("{text}"));
        }
    }

    /// Something only for whoever asked for more (`-v`).
    pub(crate) fn note(&mut self, text: impl Display) {
        if matches!(self.output.voice, Voice::Verbose(_)) {
            self.say(format_args!("{NOTE}note:{NOTE:#} {text}"));
        }
    }

    /// What the configuration asks for and does not get: in any case where the connection has less than that,
    /// elsewhere for whoever asked for more.
    pub(crate) fn setup_warnings(&mut self, warnings: &[SetupWarning]) {
        for warning in warnings {
            if warning.is_notice() { self.warning(warning) } else { self.note(warning) }
        }
    }

    /// What a server wants people to read before they log in.
    pub(crate) fn banner(&mut self, text: &str) {
        if self.output.voice != Voice::Quiet && !text.trim().is_empty() {
            self.say(format_args!("{}", text.trim_end()));
        }
    }

    /// The host's key, where the configuration asks for its picture.
    pub(crate) fn host_key(&mut self, fingerprint: &str, picture: &str) {
        if self.output.voice != Voice::Quiet {
            self.say(format_args!("The host key is {fingerprint}\n{picture}"));
        }
    }

    fn say(&mut self, text: fmt::Arguments<'_>) {
        standard().push(Said::Err(format!("{text}\n").into()));
    }
}

/// JSON in which no terminal finds a command: what its strings leave as it is and terminals may obey, escaped. It means
/// the same to a program.
fn printable(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
            plain => text.push(plain),
        }
    }
    text
}

/// A line of a `ProxyCommand`'s standard error, which ssh shows as well; nothing in it moves a cursor any more.
pub(crate) fn say_for_proxy(line: &str) {
    // Lines that nobody reads are counted and left out, and are no error.
    let _ = Lines.write_all(format!("{line}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_means_the_same_and_holds_no_command_for_a_terminal() {
        let name = "a\u{9b}2J\u{202e}\u{7f}\u{1b}ä\"";
        let json = serde_json::to_string(name).unwrap();
        let shown = printable(&json);
        assert!(
            !shown.chars().any(|character| character.is_control() || character == '\u{202e}'),
            "{shown:?}"
        );
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), name);
    }
}
