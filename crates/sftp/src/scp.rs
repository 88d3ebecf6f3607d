//! Files by scp's own protocol (`scp -O`), for devices that have nothing else.
//!
//! No RFC describes it: one side runs `scp -f` or `scp -t` and both exchange lines and bytes, as rcp did. What is kept to
//! here is what OpenSSH's scp sends and takes.

pub(crate) mod get;
mod put;
mod stat;
pub(crate) mod talk;
pub(crate) mod wire;

use std::time::Duration;

use rustle_session::{Command, Session, Shell, quote};

use crate::commands::{Commands, NoShell};
use crate::error::{Error, ErrorKind, Result};
use crate::path::checked;
use crate::scp::talk::Talk;
use crate::transfer::options::Options;

/// A session whose account runs `scp`. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Scp {
    session: Session,
    /// Who takes the command line apart; none is a device that has its own way.
    shell: Option<Shell>,
}

impl Scp {
    /// Finds out whether `scp` answers here, and who starts it.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] where it does not; [`ErrorKind::Disconnected`].
    ///
    /// # Cancel safety
    /// Dropped, what was started is ended.
    pub(crate) async fn open(session: &Session) -> Result<Self> {
        match Commands::open(session).await? {
            Ok(commands) => Self::answering(session, Some(commands.shell())).await,
            Err(NoShell(_)) => Self::answering(session, None).await,
        }
    }

    /// As [`open`](Self::open), where it is known who starts it. Nothing is written: a sink that is given nothing ends.
    pub(crate) async fn answering(session: &Session, shell: Option<Shell>) -> Result<Self> {
        let scp = Self { session: session.clone(), shell };
        let asked = tokio::time::timeout(WITHIN, async {
            let mut talk = Talk::start("open", b"", scp.command("open", "-t", b".")?).await?;
            let heard = talk.hear_anything().await;
            talk.over().await;
            heard
        });
        match asked.await {
            Ok(heard) => heard.map(|()| scp),
            Err(_) => {
                let text = format!("`scp` did not answer within {} s", WITHIN.as_secs());
                Err(Error::new(ErrorKind::Unavailable, "open", text))
            }
        }
    }

    /// Whether no shell that is known starts it.
    pub(crate) fn is_device(&self) -> bool {
        self.shell.is_none()
    }

    /// `scp -f` or `-t` for this path.
    pub(crate) fn command(&self, operation: &'static str, way: &str, path: &[u8]) -> Result<Command> {
        let path = checked(operation, path)?;
        // A path that looks like an option, and an empty one, which is where the server starts.
        let path = if path.is_empty() || path.starts_with(b"-") {
            [b"./", &path[..]].concat()
        } else {
            path.to_vec()
        };
        let word = match self.shell {
            _ if is_bare(&path) => path,
            Some(shell) => quote::quote(shell, &path).map_err(|error| {
                Error::new(ErrorKind::InvalidName, operation, "the path does not fit on a command line")
                    .at(&path)
                    .with_source(error)
            })?,
            None => {
                let text =
                    "a device without a shell is only given names of letters, digits and _ @ % + = : , . / -";
                return Err(Error::new(ErrorKind::InvalidName, operation, text).at(&path));
            }
        };
        let line = [b"scp ", way.as_bytes(), b" ", &word].concat();
        Ok(self.session.line(line).shell(self.shell.unwrap_or_default()))
    }
}

/// What the protocol cannot do is said before anything is done.
pub(crate) fn refuse(operation: &'static str, path: &[u8], options: &Options) -> Result<()> {
    let text = match (options.resume, options.atomic) {
        (true, _) => "scp's protocol moves the whole file: it does not go on from a part",
        (_, true) => "scp's protocol has no way to give a file its name when it is whole",
        _ => return Ok(()),
    };
    Err(Error::new(ErrorKind::Unsupported, operation, text).at(path))
}

/// Whether every shell takes the word as it stands, and a device's command line as well.
pub(crate) fn is_bare(word: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_./+,:-".contains(byte);
    let within = |byte: &u8| plain(byte) || b"@%=".contains(byte);
    word.first().is_some_and(plain) && word.iter().all(within)
}

const IMPOSSIBLE: &str = "scp's protocol has no way to compare both sides";

/// A device may start a process for it, and takes its time.
const WITHIN: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_that_mean_themselves_everywhere_go_unquoted() {
        for word in ["flash:/config.txt", "/a/b", "a=b", "running-config"] {
            assert!(is_bare(word.as_bytes()), "{word}");
        }
        for word in
            ["", "~", "=ls", "%1", "@x", "a b", "a'b", "a\\b", "a;b", "a\nb", "*", "\u{e9}", "a!b", "$x"]
        {
            assert!(!is_bare(word.as_bytes()), "{word}");
        }
    }
}
