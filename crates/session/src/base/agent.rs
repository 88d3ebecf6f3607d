//! Where an agent is found, and the ways to reach it on each system.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;

use crate::auth::AgentSource;
use crate::auth::agent::{AGENT_LIMIT, Agent, AgentError};

/// OpenSSH's agent on Windows, where no `SSH_AUTH_SOCK` says otherwise.
#[cfg(windows)]
const OPENSSH_PIPE: &str = r"\\.\pipe\openssh-ssh-agent";

/// How long to wait before asking again for a pipe whose instances are all taken.
#[cfg(windows)]
const PIPE_BUSY_PAUSE: Duration = Duration::from_millis(50);

/// Connects to the agent that `source` means; `None` if there is none to be expected.
///
/// # Cancel safety
/// Dropping the future closes what was opened.
pub(crate) async fn connect(source: &AgentSource) -> Result<Option<Agent>, AgentError> {
    connect_within(source, AGENT_LIMIT).await
}

async fn connect_within(source: &AgentSource, limit: Duration) -> Result<Option<Agent>, AgentError> {
    let environment = std::env::var_os("SSH_AUTH_SOCK").filter(|value| !value.is_empty()).map(PathBuf::from);
    let connecting = async {
        match source {
            AgentSource::None => Ok(None),
            AgentSource::Path(path) => open(path).await.map(Some),
            AgentSource::Pageant => open_pageant().await.map(Some),
            AgentSource::Env => match environment {
                Some(path) => open(&path).await.map(Some),
                None => open_usual().await,
            },
        }
    };
    match timeout(limit, connecting).await {
        Ok(result) => result.map_err(AgentError::Io),
        Err(_) => Err(AgentError::Silent),
    }
}

#[cfg(unix)]
async fn open(path: &Path) -> io::Result<Agent> {
    tokio::net::UnixStream::connect(path).await.map(Agent::new)
}

/// Unix has no usual place for an agent: without the variable there is none.
#[cfg(unix)]
async fn open_usual() -> io::Result<Option<Agent>> {
    Ok(None)
}

#[cfg(unix)]
async fn open_pageant() -> io::Result<Agent> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "Pageant exists on Windows only"))
}

#[cfg(windows)]
async fn open(path: &Path) -> io::Result<Agent> {
    use tokio::net::windows::named_pipe::ClientOptions;

    const ERROR_PIPE_BUSY: i32 = 231;
    loop {
        match ClientOptions::new().open(path) {
            Ok(pipe) => return Ok(Agent::new(pipe)),
            // All instances of the pipe are taken; one comes free in a moment, or the time limit ends this.
            Err(error) if error.raw_os_error() == Some(ERROR_PIPE_BUSY) => {
                tokio::time::sleep(PIPE_BUSY_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// OpenSSH's agent if its service runs, else Pageant if it runs, else none.
#[cfg(windows)]
async fn open_usual() -> io::Result<Option<Agent>> {
    match open(Path::new(OPENSSH_PIPE)).await {
        Ok(agent) => Ok(Some(agent)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(open_pageant().await.ok()),
        Err(error) => Err(error),
    }
}

#[cfg(windows)]
async fn open_pageant() -> io::Result<Agent> {
    use russh::keys::agent::client::AgentClient;

    let client = AgentClient::connect_pageant().await.map_err(io::Error::other)?;
    let mut agent = Agent::new(client.into_inner());
    // Where Pageant has no pipe, the base speaks to its window, and finds out at the first request that there is none.
    match agent.identities().await {
        Ok(_) | Err(AgentError::Refused) => Ok(agent),
        Err(AgentError::Io(_)) => Err(io::Error::new(io::ErrorKind::NotFound, "Pageant does not run")),
        Err(error) => Err(io::Error::other(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_agent_is_asked_for_when_none_is_wanted() {
        assert!(connect(&AgentSource::None).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_is_an_error_that_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let error = connect(&AgentSource::Path(directory.path().join("gone"))).await.unwrap_err();
        assert!(
            matches!(&error, AgentError::Io(error) if error.kind() == io::ErrorKind::NotFound),
            "{error}"
        );
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn pageant_is_named_as_a_thing_of_windows() {
        let error = connect(&AgentSource::Pageant).await.unwrap_err();
        assert!(error.to_string().contains("Windows"), "{error}");
    }
}
