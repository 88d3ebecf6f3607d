//! The bytes under SFTP: a channel of a session, which hands pieces over without copying, or any other stream.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustle_session::{Child, ChildStderr, ChildStdin, ChildStdout, Lane, Session};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::error::{Error, ErrorKind, Result};

/// A stream with an SFTP server at its other end, in the parts that are used apart.
pub(crate) struct Link {
    pub(crate) incoming: Incoming,
    pub(crate) outgoing: Outgoing,
    pub(crate) far: Far,
}

/// What the server sends.
pub(crate) enum Incoming {
    Channel(ChildStdout),
    Stream(Pin<Box<dyn AsyncRead + Send>>, BytesMut),
}

/// What is sent to the server.
pub(crate) enum Outgoing {
    Channel(ChildStdin),
    Stream(Pin<Box<dyn AsyncWrite + Send>>),
}

/// The process that serves, where it is known.
pub(crate) struct Far {
    child: Option<Child>,
    stderr: Option<ChildStderr>,
    said: Vec<u8>,
}

impl Link {
    /// Opens the subsystem `sftp`.
    pub(crate) async fn subsystem(session: &Session, lane: Lane) -> Result<Self> {
        let mut child = session.subsystem("sftp").lane(lane).spawn().await.map_err(not_opened)?;
        let (Some(stdin), Some(stdout)) = (child.take_stdin(), child.take_stdout()) else {
            return Err(Error::new(ErrorKind::Disconnected, "open", "the channel has no streams"));
        };
        let stderr = child.take_stderr();
        Ok(Self {
            incoming: Incoming::Channel(stdout),
            outgoing: Outgoing::Channel(stdin),
            far: Far { child: Some(child), stderr, said: Vec::new() },
        })
    }

    pub(crate) fn streams(
        reader: impl AsyncRead + Send + 'static,
        writer: impl AsyncWrite + Send + 'static,
    ) -> Self {
        Self {
            incoming: Incoming::Stream(Box::pin(reader), BytesMut::new()),
            outgoing: Outgoing::Stream(Box::pin(writer)),
            far: Far { child: None, stderr: None, said: Vec::new() },
        }
    }
}

impl Incoming {
    /// Adds what has arrived to `into`, waiting until there is something; gives the number of bytes, 0 at the end.
    pub(crate) async fn pieces(&mut self, into: &mut Vec<Bytes>) -> io::Result<usize> {
        match self {
            Self::Channel(stdout) => stdout.chunks(into, AT_ONCE).await,
            Self::Stream(reader, buffer) => {
                buffer.reserve(STREAM_READ);
                let count = reader.read_buf(buffer).await?;
                into.push(buffer.split().freeze());
                Ok(count)
            }
        }
    }
}

impl Outgoing {
    pub(crate) async fn send(&mut self, bytes: Bytes) -> io::Result<()> {
        match self {
            Self::Channel(stdin) => stdin.write_bytes(bytes).await,
            Self::Stream(writer) => writer.write_all(&bytes).await,
        }
    }

    /// What was sent is on its way; a channel keeps nothing back.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Channel(_) => Ok(()),
            Self::Stream(writer) => writer.flush().await,
        }
    }

    /// Ends what is sent.
    pub(crate) async fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Channel(stdin) => stdin.shutdown().await,
            Self::Stream(writer) => {
                let ended = writer.shutdown().await;
                // A pipe ends only when nobody has it any more.
                *self = Self::Stream(Box::pin(tokio::io::sink()));
                ended
            }
        }
    }
}

impl Far {
    /// Takes what the server writes beside its answers, until it ends; only its beginning is kept, for an error.
    pub(crate) async fn listen(&mut self) {
        while let Some(stderr) = &mut self.stderr {
            match stderr.chunk().await {
                Ok(Some(bytes)) => {
                    let room = MOST_SAID.saturating_sub(self.said.len());
                    self.said.extend_from_slice(&bytes[..bytes.len().min(room)]);
                }
                Ok(None) | Err(_) => self.stderr = None,
            }
        }
    }

    /// What is known of its end, within a moment: its exit status where that says something, and what it wrote.
    pub(crate) async fn account(&mut self) -> (Option<String>, Vec<u8>) {
        // The last words may lie just behind the end of the answers.
        let _ = tokio::time::timeout(LAST_WORDS, self.listen()).await;
        let status = match &mut self.child {
            Some(child) => match tokio::time::timeout(LAST_WORDS, child.wait()).await {
                Ok(Ok(status)) if !status.success() => Some(status.to_string()),
                _ => None,
            },
            None => None,
        };
        (status, std::mem::take(&mut self.said))
    }
}

/// A session that gave no channel is an error of the session; a refused subsystem says that there is no SFTP.
fn not_opened(error: rustle_session::Error) -> Error {
    if error.kind() == rustle_session::ErrorKind::RequestRefused {
        return Error::new(ErrorKind::Unavailable, "open", "the server does not offer SFTP")
            .with_hint(
                "its configuration has no `Subsystem sftp`, or the account may only run certain commands",
            )
            .with_source(error);
    }
    Error::new(ErrorKind::Disconnected, "open", "no channel for SFTP").with_source(error)
}

/// What is taken from the channel in one go: enough that a fast flow wakes nobody for every packet.
const AT_ONCE: usize = 1024 * 1024;

/// What one read of another stream takes at most: two SSH packets.
const STREAM_READ: usize = 64 * 1024;

/// How much of what a server writes beside its answers is kept.
const MOST_SAID: usize = 4 * 1024;

/// How long the exit status and the last words of a server are waited for when its answers have ended.
const LAST_WORDS: Duration = Duration::from_secs(1);
