//! One open channel in our own words: requests out, bytes and ends in.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelWriteHalf, Pty, Sig};
use tokio::io::AsyncWrite;

use crate::base::intake::{End, Exit, Intake, Stream};
use crate::base::shared::Shared;

/// An open channel; shared by the handles that read, write and end it.
pub(crate) struct Channel {
    writer: ChannelWriteHalf<Msg>,
    intake: Arc<Intake>,
    shared: Arc<Shared>,
}

/// A channel request whose answer comes in the order of asking (RFC 4254 section 5.4).
pub(crate) enum Request<'a> {
    /// OpenSSH's PROTOCOL, agent forwarding.
    Agent,
    Environment {
        name: &'a str,
        value: &'a str,
    },
    Pty {
        term: &'a str,
        columns: u32,
        rows: u32,
        modes: &'a [(u8, u32)],
    },
    Exec {
        command: &'a [u8],
    },
    Shell,
    Subsystem {
        name: &'a str,
    },
}

/// The connection ended before the message could be sent.
#[derive(Debug)]
pub(crate) struct Gone;

impl Channel {
    pub(super) fn new(channel: russh::Channel<Msg>, shared: Arc<Shared>) -> Self {
        let (reader, writer) = channel.split();
        let intake = shared.intake(writer.id());
        intake.attach(reader);
        if intake.is_closed_by_peer() {
            // The loop was done with it before it was known here.
            shared.forget(writer.id());
        }
        Self { writer, intake, shared }
    }

    /// The channel's number on this side, for logs.
    pub(crate) fn number(&self) -> u32 {
        self.writer.id().number()
    }

    pub(crate) fn intake(&self) -> &Arc<Intake> {
        &self.intake
    }

    /// Sends a request that the server answers; see [`Channel::reply`].
    ///
    /// # Cancel safety
    /// The request is sent whole or not at all; dropped after that, its answer must still be awaited before
    /// another's.
    pub(crate) async fn request(&self, request: Request<'_>) -> Result<(), Gone> {
        let sent = match request {
            Request::Agent => self.writer.agent_forward(true).await,
            Request::Environment { name, value } => self.writer.set_env(true, name, value).await,
            Request::Exec { command } => self.writer.exec(true, command).await,
            Request::Shell => self.writer.request_shell(true).await,
            Request::Subsystem { name } => self.writer.request_subsystem(true, name).await,
            Request::Pty { term, columns, rows, modes } => {
                let modes: Vec<(Pty, u32)> =
                    modes.iter().filter_map(|(code, value)| Some((Pty::from_u8(*code)?, *value))).collect();
                self.writer.request_pty(true, term, columns, rows, 0, 0, &modes).await
            }
        };
        sent.map_err(|_| Gone)
    }

    /// The answer to the oldest unanswered request; `None` when the channel ended first.
    ///
    /// # Cancel safety
    /// Safe: no answer is lost.
    pub(crate) async fn reply(&self) -> Option<bool> {
        poll_fn(|cx| self.intake.poll_reply(cx)).await
    }

    /// Sends a signal by its SSH name, without `SIG` (RFC 4254 section 6.9).
    ///
    /// # Cancel safety
    /// Sent whole or not at all.
    pub(crate) async fn signal(&self, name: &str) -> Result<(), Gone> {
        self.writer.signal(signal_of(name)).await.map_err(|_| Gone)
    }

    /// Tells the server the new size of the terminal (RFC 4254 section 6.7).
    ///
    /// # Cancel safety
    /// Sent whole or not at all.
    pub(crate) async fn resize(&self, columns: u32, rows: u32) -> Result<(), Gone> {
        self.writer.window_change(columns, rows, 0, 0).await.map_err(|_| Gone)
    }

    /// Says that no more data will be sent.
    ///
    /// # Cancel safety
    /// Sent whole or not at all.
    pub(crate) async fn eof(&self) -> Result<(), Gone> {
        self.writer.eof().await.map_err(|_| Gone)
    }

    /// Ends the channel from this side; what is still on its way here is dropped.
    ///
    /// # Cancel safety
    /// Sent whole or not at all.
    pub(crate) async fn close(&self) -> Result<(), Gone> {
        let sent = self.writer.close().await.map_err(|_| Gone);
        self.shared.forget(self.writer.id());
        drop(self.intake.end(End::Released));
        sent
    }

    /// Sends bytes as the window allows, without copying them.
    ///
    /// # Cancel safety
    /// Not safe: an unknown part of the bytes has been sent.
    pub(crate) async fn send(&self, bytes: Bytes) -> Result<(), Gone> {
        tokio::select! {
            sent = self.writer.data_bytes(bytes) => sent.map_err(|_| Gone),
            // The base would wait for a window that a closed channel never grants.
            _ = self.ended() => Err(Gone),
        }
    }

    /// The next bytes of a stream; `None` when it ended.
    ///
    /// # Cancel safety
    /// Safe: no bytes are lost.
    pub(crate) async fn data(&self, stream: Stream) -> io::Result<Option<Bytes>> {
        poll_fn(|cx| self.intake.poll_data(stream, cx)).await
    }

    /// All bytes of a stream that are here, up to about `limit`; 0 when it ended.
    ///
    /// # Cancel safety
    /// Safe: no bytes are lost.
    pub(crate) async fn all_data(
        &self,
        stream: Stream,
        into: &mut Vec<Bytes>,
        limit: usize,
    ) -> io::Result<usize> {
        poll_fn(|cx| self.intake.poll_all_data(stream, into, limit, cx)).await
    }

    /// How the process ended; `None` when the channel ended without saying.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn exit(&self) -> Option<Exit> {
        poll_fn(|cx| self.intake.poll_exit(cx)).await
    }

    /// Resolves when the channel is over.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn ended(&self) -> End {
        poll_fn(|cx| self.intake.poll_end(cx)).await
    }

    /// A writer of this channel's data; it reports a closed channel as a broken pipe.
    pub(crate) fn writer(self: &Arc<Self>) -> Writer {
        Writer { inner: Box::pin(self.writer.make_writer()), channel: Arc::clone(self) }
    }
}

/// Writes to a channel as its window allows.
pub(crate) struct Writer {
    inner: Pin<Box<dyn AsyncWrite + Send + Sync>>,
    channel: Arc<Channel>,
}

impl Writer {
    /// The channel that is written to.
    pub(crate) fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// Fails once nobody is there to read what is written.
    fn check_open(&self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.channel.intake.poll_end(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(_) => {
                Err(io::Error::new(io::ErrorKind::BrokenPipe, "the far side of the channel is closed"))
            }
        }
    }
}

impl AsyncWrite for Writer {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.check_open(cx)?;
        self.inner.as_mut().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.channel.intake.end_seen().is_some() {
            return Poll::Ready(Ok(()));
        }
        self.inner.as_mut().poll_shutdown(cx)
    }
}

/// The base's form of a signal name.
fn signal_of(name: &str) -> Sig {
    match name {
        "ABRT" => Sig::ABRT,
        "ALRM" => Sig::ALRM,
        "FPE" => Sig::FPE,
        "HUP" => Sig::HUP,
        "ILL" => Sig::ILL,
        "INT" => Sig::INT,
        "KILL" => Sig::KILL,
        "PIPE" => Sig::PIPE,
        "QUIT" => Sig::QUIT,
        "SEGV" => Sig::SEGV,
        "TERM" => Sig::TERM,
        "USR1" => Sig::USR1,
        other => Sig::Custom(other.to_owned()),
    }
}

/// Our form of the base's signal; what the server names may be anything, so it is made fit to print.
pub(super) fn signal_name(signal: &Sig) -> String {
    let name = match signal {
        Sig::ABRT => "ABRT",
        Sig::ALRM => "ALRM",
        Sig::FPE => "FPE",
        Sig::HUP => "HUP",
        Sig::ILL => "ILL",
        Sig::INT => "INT",
        Sig::KILL => "KILL",
        Sig::PIPE => "PIPE",
        Sig::QUIT => "QUIT",
        Sig::SEGV => "SEGV",
        Sig::TERM => "TERM",
        Sig::USR1 => "USR1",
        Sig::Custom(name) => return name.chars().filter(char::is_ascii_graphic).take(64).collect(),
    };
    name.to_owned()
}
