//! The console of this process, whatever its standard streams are.

use std::io;

use rpassword::ConfigBuilder;
use rustle_session::{Echo, SecretString};

/// A question that is about to stand on the console.
pub(super) struct Question {
    text: String,
    echo: Echo,
}

impl Question {
    /// Prepares the question; the reader writes it, since it sets the console's mode.
    ///
    /// # Errors
    /// There is no console.
    pub(super) fn put(text: &str, echo: Echo) -> io::Result<Self> {
        std::fs::OpenOptions::new().read(true).write(true).open("CONIN$")?;
        Ok(Self { text: text.to_owned(), echo })
    }

    /// What reads the answer, on a thread of its own.
    #[allow(clippy::unnecessary_wraps)]
    pub(super) fn reader(&self) -> io::Result<Reader> {
        Ok(Reader { text: self.text.clone(), echo: self.echo })
    }
}

/// Reads one line of the console.
pub(super) struct Reader {
    text: String,
    echo: Echo,
}

impl Reader {
    /// The line without its end; `None` when Ctrl-C was pressed. Blocks.
    pub(super) fn line(self) -> io::Result<Option<SecretString>> {
        let config = match self.echo {
            Echo::Hidden => ConfigBuilder::new().password_feedback_hide(),
            // Shows each character as it is: it would be masked only past this many.
            _ => ConfigBuilder::new().password_feedback_partial_mask('*', usize::MAX),
        };
        match rpassword::prompt_password_with_config(&self.text, config.build()) {
            Ok(line) => Ok(Some(SecretString::from(line))),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(error),
        }
    }
}
