//! A command as the code that answers it sees it: its text, its streams, its signals.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use russh::{ChannelWriteHalf, server::Msg};
use tokio::{io::AsyncWrite, sync::mpsc};

use crate::{
    connection::{Connection, Reached},
    exit::Signal,
    fault::Phase,
    pipe::Stdin,
    record::Pty,
};

/// One run of a command, handed to the closure given to [`command_fn`](crate::Builder::command_fn).
///
/// When the client closes the channel or is gone, the closure's future is dropped where it waits, as a process would
/// be killed.
pub struct Call {
    pub(crate) command: Vec<u8>,
    pub(crate) user: String,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) pty: Option<Pty>,
    pub(crate) stdin: Stdin,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
    pub(crate) signals: Signals,
}

impl Call {
    /// The command line as the client sent it.
    #[must_use]
    pub fn command(&self) -> &[u8] {
        &self.command
    }

    /// Who runs it.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The environment the client set.
    #[must_use]
    pub fn env(&self) -> &[(String, String)] {
        &self.env
    }

    /// The terminal the client asked for.
    #[must_use]
    pub fn pty(&self) -> Option<&Pty> {
        self.pty.as_ref()
    }

    /// Its standard input.
    pub fn stdin(&mut self) -> &mut Stdin {
        &mut self.stdin
    }

    /// Its standard output.
    pub fn stdout(&mut self) -> &mut Output {
        &mut self.stdout
    }

    /// Its standard error.
    pub fn stderr(&mut self) -> &mut Output {
        &mut self.stderr
    }

    /// The next signal the client sends; waits for ever if it sends none.
    ///
    /// # Cancel safety
    /// No signal is lost when this future is dropped.
    pub async fn signal(&mut self) -> Signal {
        self.signals.next().await
    }

    /// All parts at once, to use them side by side.
    pub fn streams(&mut self) -> (&mut Stdin, &mut Output, &mut Output, &mut Signals) {
        (&mut self.stdin, &mut self.stdout, &mut self.stderr, &mut self.signals)
    }
}

/// The signals a client sends to a command.
pub struct Signals {
    received: mpsc::UnboundedReceiver<Signal>,
}

impl Signals {
    pub(crate) fn new(received: mpsc::UnboundedReceiver<Signal>) -> Self {
        Self { received }
    }

    /// The next signal; waits for ever if there is none.
    ///
    /// # Cancel safety
    /// No signal is lost when this future is dropped.
    pub async fn next(&mut self) -> Signal {
        match self.received.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}

/// Standard output or standard error of a command. Waits while the client's window is full.
pub struct Output {
    connection: Arc<Connection>,
    channel: Arc<ChannelWriteHalf<Msg>>,
    stream: Stream,
    /// For writing through [`AsyncWrite`], made on first use.
    writer: Option<Pin<Box<dyn AsyncWrite + Send>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// SSH_EXTENDED_DATA_STDERR, RFC 4254 section 5.2.
const STDERR: u32 = 1;

impl Output {
    pub(crate) fn new(
        connection: Arc<Connection>,
        channel: Arc<ChannelWriteHalf<Msg>>,
        stream: Stream,
    ) -> Self {
        Self { connection, channel, stream, writer: None }
    }

    /// Sends data without copying it, waiting for the client's window.
    ///
    /// # Errors
    /// The connection is gone.
    ///
    /// # Cancel safety
    /// A part of the data may have been sent when this future is dropped.
    pub async fn send(&mut self, data: impl Into<Bytes>) -> io::Result<()> {
        Self::admit(&self.connection.reach_settled(Phase::Data).await)?;
        let data = data.into();
        let sent = match self.stream {
            Stream::Stdout => self.channel.data_bytes(data).await,
            Stream::Stderr => self.channel.extended_data_bytes(STDERR, data).await,
        };
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Another writer to the same stream.
    #[cfg(unix)]
    pub(crate) fn again(&self) -> Self {
        Self::new(Arc::clone(&self.connection), Arc::clone(&self.channel), self.stream)
    }

    fn admit(reached: &Reached) -> io::Result<()> {
        match reached {
            Reached::Lost => Err(io::ErrorKind::ConnectionAborted.into()),
            _ => Ok(()),
        }
    }

    fn writer(&mut self) -> &mut Pin<Box<dyn AsyncWrite + Send>> {
        let (channel, stream) = (&self.channel, self.stream);
        self.writer.get_or_insert_with(|| match stream {
            Stream::Stdout => Box::pin(channel.make_writer()),
            Stream::Stderr => Box::pin(channel.make_writer_ext(Some(STDERR))),
        })
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        Self::admit(&this.connection.reach(Phase::Data))?;
        this.writer().as_mut().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().writer().as_mut().poll_flush(cx)
    }

    /// Does nothing: the channel's EOF follows the end of the command.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
