//! The way to the wire, whichever personality speaks there: for the command on a session channel, and for a goodbye.

use std::{io, pin::Pin, sync::Arc};

use bytes::Bytes;
use russh::{
    ChannelWriteHalf,
    server::{Handle, Msg},
};
use tokio::{io::AsyncWrite, sync::mpsc};

use crate::{
    call::Stream,
    exit::Exit,
    fault::DisconnectReason,
    raw::{Order, RawLine},
};

/// Where the command on a channel writes to.
#[derive(Clone)]
pub(crate) enum Line {
    /// The base's channel.
    Base { handle: Handle, write: Arc<ChannelWriteHalf<Msg>> },
    /// A channel of the raw peer.
    Raw(RawLine),
}

/// SSH_EXTENDED_DATA_STDERR, RFC 4254 section 5.2.
pub(crate) const STDERR: u32 = 1;

impl Line {
    /// Sends data, waiting for the client's window.
    pub(crate) async fn send(&self, stream: Stream, data: Bytes) -> io::Result<()> {
        let sent = match (self, stream) {
            (Self::Raw(line), _) => return line.send(stream, data).await,
            (Self::Base { write, .. }, Stream::Stdout) => write.data_bytes(data).await,
            (Self::Base { write, .. }, Stream::Stderr) => write.extended_data_bytes(STDERR, data).await,
        };
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// A writer that waits for the client's window.
    pub(crate) fn writer(&self, stream: Stream) -> Pin<Box<dyn AsyncWrite + Send>> {
        match (self, stream) {
            (Self::Raw(line), _) => Box::pin(line.writer(stream)),
            (Self::Base { write, .. }, Stream::Stdout) => Box::pin(write.make_writer()),
            (Self::Base { write, .. }, Stream::Stderr) => Box::pin(write.make_writer_ext(Some(STDERR))),
        }
    }

    /// Tells how the command ended. A connection that is gone needs no exit status.
    pub(crate) async fn exit(&self, exit: &Exit) {
        match self {
            Self::Raw(line) => line.exit(exit).await,
            Self::Base { handle, write } => match exit {
                Exit::Code(code) => {
                    let _ = handle.exit_status_request(write.id(), *code).await;
                }
                Exit::Signal { signal, message } => {
                    let sent = handle.exit_signal_request(
                        write.id(),
                        signal.to_wire(),
                        false,
                        message.clone(),
                        String::new(),
                    );
                    let _ = sent.await;
                }
                Exit::Silent => {}
            },
        }
    }

    /// Says that no more data comes.
    pub(crate) async fn eof(&self) {
        match self {
            Self::Raw(line) => line.eof().await,
            Self::Base { write, .. } => drop(write.eof().await),
        }
    }

    /// Closes the channel.
    pub(crate) async fn close(&self) {
        match self {
            Self::Raw(line) => line.close().await,
            Self::Base { write, .. } => drop(write.close().await),
        }
    }
}

/// The way into whatever speaks on one connection, for what is to be said to the client out of turn.
pub(crate) enum Engine {
    Base(Handle),
    /// Weak: the raw peer is done when nobody has anything to say any more.
    Raw(mpsc::WeakSender<Order>),
}

impl Engine {
    /// Says goodbye and ends. An engine that is gone has nobody left to say it to.
    pub(crate) async fn disconnect(&self, reason: DisconnectReason, text: String) {
        match self {
            Self::Base(handle) => drop(handle.disconnect(reason.to_base(), text, String::new()).await),
            Self::Raw(orders) => {
                if let Some(orders) = orders.upgrade() {
                    drop(orders.send(Order::Leave { code: reason.code(), text }).await);
                }
            }
        }
    }
}
