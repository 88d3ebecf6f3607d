//! Files by plain commands, for accounts that have a shell and no SFTP.
//!
//! Each operation is one script for a POSIX `sh` (IEEE Std 1003.1), which gets the paths as its parameters: no name ever
//! stands in a script's text. Why something failed is found by testing (`[ -e … ]`), and told by exit codes of our own.
//! What the far side has beyond POSIX is asked once, by [`probe`].

mod entries;
mod failure;
mod get;
mod listing;
mod pace;
mod probe;
mod put;
mod script;
mod stat;

use std::time::Duration;

use bytes::Bytes;
use rustle_session::{Child, Command, Session, Shell};

use crate::commands::failure::{failed, not_run};
use crate::error::{Error, ErrorKind, Result};
use crate::path::checked;
use crate::transfer::remote_command::time_for;

pub(crate) use crate::commands::listing::Listing;
pub(crate) use crate::commands::probe::{Programs, probe};

/// A session whose account runs commands. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Commands {
    session: Session,
    /// Who takes the command line apart.
    shell: Shell,
    programs: Programs,
}

impl Commands {
    /// Finds out what runs commands here, and what they can do.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] where commands cannot be used, [`ErrorKind::Disconnected`]. Within: that no POSIX shell
    /// answers.
    ///
    /// # Cancel safety
    /// Dropped, what was started is ended.
    pub(crate) async fn open(session: &Session) -> Result<Result<Self, NoShell>> {
        let answer = match probe(session).await? {
            Ok(answer) => answer,
            Err(none) => return Ok(Err(none)),
        };
        if let Some(text) = answer.printed {
            let text = format!("something is printed in front of each command's output: {text}");
            return Err(Error::new(ErrorKind::Unavailable, "open", text).with_hint(
                "a start-up file of the account prints; let it do so only where there is a terminal",
            ));
        }
        Ok(Ok(Self { session: session.clone(), shell: answer.shell, programs: answer.programs }))
    }

    pub(crate) fn shell(&self) -> Shell {
        self.shell
    }

    pub(crate) fn programs(&self) -> Programs {
        self.programs
    }

    /// A script with what it shares with the others, and its parameters.
    fn command(&self, body: &str, parameters: &[&[u8]]) -> Command {
        sh(&self.session, self.shell, &script::whole(self.programs, body), parameters)
    }

    /// Runs a script to its end; gives what it printed.
    async fn run(&self, of: Of<'_>, body: &str, parameters: &[&[u8]]) -> Result<Bytes> {
        self.run_for(of, body, parameters, Some(PATIENCE)).await
    }

    /// As [`run`](Self::run), for this long at most.
    async fn run_for(
        &self,
        of: Of<'_>,
        body: &str,
        parameters: &[&[u8]],
        most: Option<Duration>,
    ) -> Result<Bytes> {
        let command = self.command(body, parameters).no_stdin().output_limit(MOST_OUTPUT);
        let command = match most {
            Some(most) => command.timeout(most),
            None => command,
        };
        let output = command.output().await.map_err(|error| not_run(of, error))?;
        if output.interruption.is_some() {
            let most = most.map_or_else(|| "its time".into(), |most| format!("{} s", most.as_secs()));
            let text = format!("the command did not end within {most}");
            return Err(Error::new(ErrorKind::Timeout, of.operation, text).at(of.path));
        }
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(failed(of, &output.status, &output.stderr)),
        }
    }

    /// As [`start`](Self::start), where it is told nothing.
    async fn start_deaf(&self, of: Of<'_>, body: &str, parameters: &[&[u8]]) -> Result<Child> {
        self.command(body, parameters).no_stdin().spawn().await.map_err(|error| not_run(of, error))
    }

    async fn start(&self, of: Of<'_>, body: &str, parameters: &[&[u8]]) -> Result<Child> {
        self.command(body, parameters).spawn().await.map_err(|error| not_run(of, error))
    }
}

/// Something else than a POSIX shell takes commands: the error that says so.
#[derive(Debug)]
pub(crate) struct NoShell(pub(crate) Error);

/// What is being done, to which path: for errors.
#[derive(Debug, Clone, Copy)]
struct Of<'a> {
    operation: &'static str,
    path: &'a [u8],
}

/// A script for `sh`, whoever the login shell is that starts it.
pub(crate) fn sh(session: &Session, shell: Shell, script: &str, parameters: &[&[u8]]) -> Command {
    session.command("sh").shell(shell).arg("-c").arg(script).arg("sh").args(parameters)
}

/// The path as scripts take it: it never begins with `-`, and `cd` looks for it nowhere else.
fn operand(operation: &'static str, path: &[u8]) -> Result<Bytes> {
    let path = checked(operation, path)?;
    Ok(match &path[..] {
        [b'/', ..] => path,
        _ => Bytes::from([b"./", &path[..]].concat()),
    })
}

/// As [`operand`], for what is done to the name itself: a slash at the end would lead through a link.
fn entry_operand(operation: &'static str, path: &[u8]) -> Result<Bytes> {
    let mut path = operand(operation, path)?;
    while path.len() > 1 && path.ends_with(b"/") {
        path.truncate(path.len() - 1);
    }
    Ok(path)
}

/// As long as an SFTP server is waited for: a slow disk that is flushed takes minutes.
const PATIENCE: Duration = Duration::from_secs(300);

/// As [`PATIENCE`], where as many bytes are read or stored before anything is said.
fn patience(length: u64) -> Duration {
    PATIENCE + time_for(length)
}

/// What an operation on a name prints: a path, or a line about a file, and what start-up files add.
const MOST_OUTPUT: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_is_an_option_or_sought_elsewhere() {
        let path = |text: &str| operand("stat", text.as_bytes()).unwrap();
        assert_eq!(
            (path("-rf"), path("a/b"), path("/a"), path("")),
            ("./-rf".into(), "./a/b".into(), "/a".into(), "./".into())
        );
        assert_eq!(entry_operand("rmdir", b"a//").unwrap(), "./a");
        assert_eq!(entry_operand("rmdir", b"//").unwrap(), "/");
        assert_eq!(operand("stat", b"a\0b").unwrap_err().kind(), ErrorKind::InvalidName);
    }
}
