//! Channels that the server opens to the client: forwarded connections, the client's agent, its X11 display.

use std::{io, sync::Arc};

use russh::{
    Channel,
    server::{Handle, Msg},
};
use tokio::sync::oneshot;

use crate::{
    connection::Connection,
    driver,
    forward::{
        carry::{Line, carry},
        stream::ChannelStream,
    },
    record::ChannelKind,
};

/// Opens channels on one connection.
#[derive(Clone)]
pub(crate) struct Opener {
    pub(crate) connection: Arc<Connection>,
    /// None of a raw peer, which opens no channels.
    pub(crate) handle: Option<Handle>,
}

/// Who is said to have connected: an address and a port.
#[derive(Debug, Clone)]
pub(crate) struct Originator {
    pub(crate) address: String,
    pub(crate) port: u32,
}

impl Originator {
    /// Where nobody connected but the test itself: a port of the range that the system hands out.
    pub(crate) fn test() -> Self {
        Self { address: "127.0.0.1".to_owned(), port: 49_151 }
    }
}

impl Opener {
    /// Opens a channel for the test's code.
    ///
    /// The opening belongs to a task of the connection: a channel that the client confirms after the caller has left is
    /// closed, where dropping the base's future would leave it open.
    pub(crate) async fn stream(&self, kind: ChannelKind, from: Originator) -> io::Result<ChannelStream> {
        let (answer, answered) = oneshot::channel();
        driver::serve_channel(&self.connection, self.clone().lead(kind, from, answer));
        answered.await.unwrap_or_else(|_| Err(io::ErrorKind::ConnectionAborted.into()))
    }

    /// Opens a channel and carries the bytes of somebody who has connected. Refused, they are hung up on.
    pub(crate) async fn carry(self, kind: ChannelKind, from: Originator, line: Line) {
        match self.open(kind, from).await {
            Ok((channel, number)) => {
                carry(&self.connection, channel, number, line).await;
            }
            Err(error) => tracing::debug!(%error, "forwarded connection dropped"),
        }
    }

    async fn lead(
        self,
        kind: ChannelKind,
        from: Originator,
        answer: oneshot::Sender<io::Result<ChannelStream>>,
    ) {
        match self.open(kind, from).await {
            Ok((channel, number)) => {
                let (near, far) = ChannelStream::pair();
                // Nobody there any more drops the stream, which closes the channel.
                drop(answer.send(Ok(near)));
                carry(&self.connection, channel, number, Line::code(far)).await;
            }
            Err(error) => drop(answer.send(Err(error))),
        }
    }

    async fn open(&self, kind: ChannelKind, from: Originator) -> io::Result<(Channel<Msg>, usize)> {
        let Some(handle) = &self.handle else {
            let text = "the raw peer opens no channels to its client";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        };
        let opened = tokio::select! {
            opened = ask(handle, &kind, from) => opened,
            () = self.connection.gone.cancelled() => return Err(io::ErrorKind::ConnectionAborted.into()),
        };
        let keeper = &self.connection.shared.keeper;
        match opened {
            Ok(channel) => Ok((channel, keeper.channel_opened(self.connection.number, kind))),
            Err(russh::Error::ChannelOpenFailure(reason)) => {
                keeper.channel_refused_by_client(self.connection.number);
                let text = format!("the client refused the channel: {reason:?}");
                Err(io::Error::new(io::ErrorKind::ConnectionRefused, text))
            }
            Err(error) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, error)),
        }
    }
}

async fn ask(handle: &Handle, kind: &ChannelKind, from: Originator) -> Result<Channel<Msg>, russh::Error> {
    match kind {
        ChannelKind::ForwardedTcpip(address, port) => {
            handle.channel_open_forwarded_tcpip(address, *port, from.address, from.port).await
        }
        ChannelKind::ForwardedStreamlocal(path) => handle.channel_open_forwarded_streamlocal(path).await,
        ChannelKind::Agent => handle.channel_open_agent().await,
        ChannelKind::X11 => handle.channel_open_x11(from.address, from.port).await,
        // Those are the client's to open.
        ChannelKind::Session | ChannelKind::DirectTcpip(..) | ChannelKind::DirectStreamlocal(_) => {
            Err(russh::Error::Inconsistent)
        }
    }
}
