//! The terminal of this process, `/dev/tty`, whatever its standard streams are.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use rustle_session::{Echo, SecretString};
use zeroize::Zeroizing;

/// The longest line, as OpenSSH's.
const LONGEST: usize = 1024;

/// A question that stands on the terminal. Dropped, the terminal echoes again.
pub(super) struct Question {
    terminal: File,
    /// As it was, where echo was turned off.
    before: Option<Termios>,
}

impl Question {
    /// Writes the question, with what is typed hidden or shown.
    ///
    /// # Errors
    /// There is no terminal.
    pub(super) fn put(text: &str, echo: Echo) -> io::Result<Self> {
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let mut question = Self { terminal, before: None };
        if echo == Echo::Hidden {
            let before = tcgetattr(&question.terminal)?;
            let mut hidden = before.clone();
            hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ECHOE | LocalModes::ECHOK);
            hidden.local_modes.remove(LocalModes::ECHONL);
            // What was typed ahead was not meant for this question.
            tcsetattr(&question.terminal, OptionalActions::Flush, &hidden)?;
            question.before = Some(before);
        }
        question.terminal.write_all(text.as_bytes())?;
        Ok(question)
    }

    /// What reads the answer, on a thread of its own.
    pub(super) fn reader(&self) -> io::Result<Reader> {
        Ok(Reader(self.terminal.try_clone()?))
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Nothing can be done about a terminal that is gone.
            let _ = tcsetattr(&self.terminal, OptionalActions::Now, before);
            let _ = self.terminal.write_all(b"\n");
        }
    }
}

/// Reads one line of the terminal.
pub(super) struct Reader(File);

impl Reader {
    /// The line without its end; `None` at the end of input (Ctrl-D). Blocks.
    pub(super) fn line(mut self) -> io::Result<Option<SecretString>> {
        // One buffer that never grows, so that no copy is left behind.
        let mut line = Zeroizing::new([0; LONGEST]);
        let mut length = 0;
        loop {
            // The terminal hands over whole lines.
            let count = match self.0.read(&mut line[length..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                count => count?,
            };
            if count == 0 && length == 0 {
                return Ok(None);
            }
            length += count;
            let read = &line[..length];
            if let Some(text) = read.strip_suffix(b"\n").or((count == 0).then_some(read)) {
                return match std::str::from_utf8(text) {
                    Ok(text) => Ok(Some(SecretString::from(text))),
                    Err(_) => Err(io::ErrorKind::InvalidData.into()),
                };
            }
            if length == LONGEST {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}
