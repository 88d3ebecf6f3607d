//! The client's agent as a real shell finds it: a Unix socket, whose connections become channels to the client.

use std::{convert::Infallible, io, path::Path};

use tempfile::TempDir;

use crate::{
    driver,
    forward::{
        listener::UnixSocket,
        open::{Opener, Originator},
    },
    record::ChannelKind,
};

/// The socket and its directory, which nobody else may enter; both go away with it.
pub(crate) struct AgentSocket {
    // Dropped in this order.
    socket: UnixSocket,
    _directory: TempDir,
}

impl AgentSocket {
    pub(crate) fn new() -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("rustle-agent-").tempdir()?;
        let socket = UnixSocket::bind(&directory.path().join("agent"))?;
        Ok(Self { socket, _directory: directory })
    }

    pub(crate) fn path(&self) -> &Path {
        self.socket.path()
    }

    /// Opens a channel for each who connects; never resolves.
    pub(crate) async fn serve(&self, opener: &Opener) -> Infallible {
        loop {
            match self.socket.accept().await {
                Ok(line) => driver::serve_channel(
                    &opener.connection,
                    opener.clone().carry(ChannelKind::Agent, Originator::test(), line),
                ),
                Err(error) => {
                    tracing::warn!(%error, "accept on the agent's socket failed");
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
            }
        }
    }
}
