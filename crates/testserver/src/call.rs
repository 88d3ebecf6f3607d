//! A command as the code that answers it sees it: its text, its streams, its signals.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use tokio::{io::AsyncWrite, sync::mpsc};

use crate::{
    connection::{Connection, Reached},
    exit::Signal,
    fault::Phase,
    forward::{
        open::{Opener, Originator},
        stream::ChannelStream,
    },
    line::Line,
    pipe::Stdin,
    record::{ChannelKind, Pty, Side, TerminalSize},
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
    pub(crate) x11: Option<X11Request>,
    pub(crate) opener: Opener,
}

/// What a client asked for with `x11-req` (RFC 4254 section 6.3.1).
#[derive(Clone)]
pub struct X11Request {
    pub(crate) connections: X11Connections,
    pub(crate) protocol: String,
    pub(crate) cookie: SecretString,
    pub(crate) screen: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum X11Connections {
    One,
    Any,
}

impl X11Request {
    /// Whether the client wants to see no more than one connection.
    #[must_use]
    pub fn is_single_connection(&self) -> bool {
        self.connections == X11Connections::One
    }

    /// The authentication protocol, such as `MIT-MAGIC-COOKIE-1`.
    #[must_use]
    pub fn protocol(&self) -> &str {
        &self.protocol
    }

    /// The cookie in hexadecimal, with which a connection to the display has to begin.
    #[must_use]
    pub fn cookie(&self) -> &str {
        self.cookie.expose_secret()
    }

    /// The number of the screen.
    #[must_use]
    pub fn screen(&self) -> u32 {
        self.screen
    }
}

/// Without the cookie.
impl fmt::Debug for X11Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X11Request")
            .field("connections", &self.connections)
            .field("protocol", &self.protocol)
            .field("screen", &self.screen)
            .finish_non_exhaustive()
    }
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

    /// The environment: what the [user](crate::User::env) has here, and then what the client set.
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

    /// The next size of the client's terminal (`window-change`); waits for ever if it does not change.
    ///
    /// ```
    /// use rustle_testserver::{Call, Exit, TestServer};
    ///
    /// let builder = TestServer::builder().command_fn("top", async |mut call: Call| {
    ///     let size = call.resized().await;
    ///     match call.stdout().send(format!("{} columns\n", size.columns)).await {
    ///         Ok(()) => Exit::SUCCESS,
    ///         Err(_) => Exit::Silent,
    ///     }
    /// });
    /// ```
    ///
    /// # Cancel safety
    /// No size is lost when this future is dropped.
    pub async fn resized(&mut self) -> TerminalSize {
        self.signals.resized().await
    }

    /// What the client asked for with `x11-req`, if that was granted.
    #[must_use]
    pub fn x11(&self) -> Option<&X11Request> {
        self.x11.as_ref()
    }

    /// Opens a channel to the client's agent, `auth-agent@openssh.com`.
    ///
    /// This and its like open what they are told to, whether the client has asked for it or not: a good client refuses
    /// what it has not.
    ///
    /// ```
    /// use rustle_testserver::{Call, Exit, TestServer};
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// let builder = TestServer::builder().agent_forwarding().command_fn("ask the agent", async |call: Call| {
    ///     let Ok(mut agent) = call.open_agent().await else { return Exit::Code(1) };
    ///     // SSH_AGENTC_REQUEST_IDENTITIES, answered by SSH_AGENT_IDENTITIES_ANSWER.
    ///     let mut answer = [0; 5];
    ///     match (agent.write_all(&[0, 0, 0, 1, 11]).await, agent.read_exact(&mut answer).await) {
    ///         (Ok(()), Ok(_)) if answer[4] == 12 => Exit::SUCCESS,
    ///         _ => Exit::Code(2),
    ///     }
    /// });
    /// ```
    ///
    /// # Errors
    /// The client refused the channel ([`ConnectionRefused`](io::ErrorKind::ConnectionRefused)), or the connection is gone.
    ///
    /// # Cancel safety
    /// The client may see the channel opened when this future is dropped, and closed right after.
    pub fn open_agent(&self) -> impl Future<Output = io::Result<ChannelStream>> + Send + use<> {
        self.open(ChannelKind::Agent, Originator::test())
    }

    /// Opens a channel to the client's display, `x11` (RFC 4254 section 6.3.2), for a program said to be at this address
    /// and port. What it sends first must show the [cookie](X11Request::cookie).
    ///
    /// # Errors
    /// As of [`open_agent`](Self::open_agent).
    ///
    /// # Cancel safety
    /// The client may see the channel opened when this future is dropped, and closed right after.
    pub fn open_x11(
        &self,
        address: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<ChannelStream>> + Send + use<> {
        let from = Originator { address: address.to_owned(), port: u32::from(port) };
        self.open(ChannelKind::X11, from)
    }

    /// Opens a `forwarded-tcpip` channel, as if somebody had connected to this address and port of the server.
    ///
    /// # Errors
    /// As of [`open_agent`](Self::open_agent).
    ///
    /// # Cancel safety
    /// The client may see the channel opened when this future is dropped, and closed right after.
    pub fn open_forwarded_tcpip(
        &self,
        address: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<ChannelStream>> + Send + use<> {
        let kind = ChannelKind::ForwardedTcpip(address.to_owned(), u32::from(port));
        self.open(kind, Originator::test())
    }

    /// Opens a `forwarded-streamlocal@openssh.com` channel, as if somebody had connected to this path of the server.
    ///
    /// # Errors
    /// As of [`open_agent`](Self::open_agent).
    ///
    /// # Cancel safety
    /// The client may see the channel opened when this future is dropped, and closed right after.
    pub fn open_forwarded_streamlocal(
        &self,
        path: &str,
    ) -> impl Future<Output = io::Result<ChannelStream>> + Send + use<> {
        self.open(ChannelKind::ForwardedStreamlocal(path.to_owned()), Originator::test())
    }

    /// Borrows nothing, so that the call's streams can be used meanwhile.
    fn open(
        &self,
        kind: ChannelKind,
        from: Originator,
    ) -> impl Future<Output = io::Result<ChannelStream>> + Send + use<> {
        let opener = self.opener.clone();
        async move { opener.stream(kind, from).await }
    }

    /// All parts at once, to use them side by side.
    pub fn streams(&mut self) -> (&mut Stdin, &mut Output, &mut Output, &mut Signals) {
        (&mut self.stdin, &mut self.stdout, &mut self.stderr, &mut self.signals)
    }
}

/// What a client tells a command besides its input: signals, and changes of the terminal's size.
pub struct Signals {
    received: mpsc::UnboundedReceiver<Signal>,
    sizes: mpsc::UnboundedReceiver<TerminalSize>,
}

/// The end into which the channel's messages go. A command that has ended is told nothing.
pub(crate) struct SignalFeed {
    signals: mpsc::UnboundedSender<Signal>,
    sizes: mpsc::UnboundedSender<TerminalSize>,
}

impl SignalFeed {
    pub(crate) fn signal(&self, signal: Signal) {
        drop(self.signals.send(signal));
    }

    pub(crate) fn resize(&self, size: TerminalSize) {
        self.sizes.send(size).ok();
    }
}

impl Signals {
    pub(crate) fn channel() -> (SignalFeed, Self) {
        let (signals, received) = mpsc::unbounded_channel();
        let (resizes, sizes) = mpsc::unbounded_channel();
        (SignalFeed { signals, sizes: resizes }, Self { received, sizes })
    }

    /// The next size of the client's terminal; waits for ever if it does not change.
    ///
    /// # Cancel safety
    /// No size is lost when this future is dropped.
    pub async fn resized(&mut self) -> TerminalSize {
        match self.sizes.recv().await {
            Some(size) => size,
            None => std::future::pending().await,
        }
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
    /// The channel's number in the record.
    number: usize,
    line: Line,
    stream: Stream,
    /// For writing through [`AsyncWrite`], made on first use.
    writer: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    /// A write through [`AsyncWrite`] has begun, and waits: polled again, it is still the same one to the faults.
    writing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

impl Output {
    pub(crate) fn new(connection: Arc<Connection>, number: usize, line: Line, stream: Stream) -> Self {
        Self { connection, number, line, stream, writer: None, writing: false }
    }

    /// Sends data without copying it, waiting for the client's window.
    ///
    /// # Errors
    /// The connection is gone.
    ///
    /// # Cancel safety
    /// A part of the data may have been sent when this future is dropped.
    pub async fn send(&mut self, data: impl Into<Bytes>) -> io::Result<()> {
        let data = data.into();
        // Nothing goes out for it, so nothing can go wrong with it.
        if data.is_empty() {
            return Ok(());
        }
        Self::admit(&self.connection.reach_settled(Phase::Data).await)?;
        let bytes = data.len();
        self.line.send(self.stream, data).await?;
        self.note(bytes);
        Ok(())
    }

    /// Another writer to the same stream.
    #[cfg(unix)]
    pub(crate) fn again(&self) -> Self {
        Self::new(Arc::clone(&self.connection), self.number, self.line.clone(), self.stream)
    }

    fn note(&self, bytes: usize) {
        if bytes > 0 {
            let keeper = &self.connection.shared.keeper;
            keeper.data(self.number, Side::Server, self.stream.name(), bytes as u64);
        }
    }

    fn admit(reached: &Reached) -> io::Result<()> {
        match reached {
            Reached::Lost | Reached::Leaving => Err(io::ErrorKind::ConnectionAborted.into()),
            _ => Ok(()),
        }
    }

    fn writer(&mut self) -> &mut Pin<Box<dyn AsyncWrite + Send>> {
        let (line, stream) = (&self.line, self.stream);
        self.writer.get_or_insert_with(|| line.writer(stream))
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if !this.writing {
            Self::admit(&this.connection.reach(Phase::Data))?;
            this.writing = true;
        }
        let written = std::task::ready!(this.writer().as_mut().poll_write(cx, buf));
        this.writing = false;
        let written = written?;
        this.note(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().writer().as_mut().poll_flush(cx)
    }

    /// Does nothing: the channel's EOF follows the end of the command.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
