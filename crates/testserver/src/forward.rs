//! Channels to other places: those a client opens (RFC 4254 section 7.2, OpenSSH's `direct-streamlocal`), those the
//! server opens to it, and the listeners behind the latter.

#[cfg(unix)]
pub(crate) mod agent;
pub(crate) mod carry;
pub(crate) mod listener;
pub(crate) mod open;
pub(crate) mod remote;
pub(crate) mod stream;
pub(crate) mod target;

use std::{io, sync::Arc};

use russh::{
    Channel, ChannelOpenFailure,
    server::{ChannelOpenHandle, Msg},
};
use tokio::net::TcpStream;

use crate::{
    connection::Connection,
    forward::{
        carry::{Line, carry},
        stream::ChannelStream,
        target::{Code, Found},
    },
    record::ChannelKind,
};

/// A channel to be opened to somewhere else.
pub(crate) struct Forward {
    pub(crate) connection: Arc<Connection>,
    pub(crate) channel: Channel<Msg>,
    pub(crate) reply: ChannelOpenHandle,
    pub(crate) kind: ChannelKind,
    pub(crate) target: Found,
}

impl Forward {
    /// Connects, answers, and carries bytes until both sides have ended or one is gone.
    pub(crate) async fn serve(self) {
        let Self { connection, channel, reply, kind, target } = self;
        let refusal = match target {
            Found::Code(code) => {
                let number = connection.shared.keeper.channel_opened(connection.number, kind);
                reply.accept().await;
                run(&connection, channel, number, code).await;
                return;
            }
            Found::Refuse { code, text } => ChannelOpenFailure::Other { code, reason: text },
            Found::Real => {
                let connected = tokio::select! {
                    connected = connect(&kind) => connected,
                    () = connection.gone.cancelled() => return,
                };
                match connected {
                    Ok(line) => {
                        let number = connection.shared.keeper.channel_opened(connection.number, kind);
                        reply.accept().await;
                        carry(&connection, channel, number, line).await;
                        return;
                    }
                    Err(error) => {
                        tracing::debug!(%error, ?kind, "forward refused");
                        // The code is OpenSSH's.
                        ChannelOpenFailure::Other {
                            code: 2,
                            reason: format!("Connection to target failed: {error}"),
                        }
                    }
                }
            }
        };
        connection.shared.keeper.channel_refused(connection.number);
        reply.reject(refusal).await;
    }
}

/// A target by code: it may go on after the channel, as a real one would, but not after the connection.
async fn run(connection: &Arc<Connection>, channel: Channel<Msg>, number: usize, code: Code) {
    let (stream, far) = ChannelStream::pair();
    let carried = carry(connection, channel, number, Line::code(far));
    let played = async {
        // One that panics has dropped its stream, which closes the channel.
        let _ = connection.shared.panics.caught("a target", code.run(stream)).await;
    };
    tokio::select! {
        ((), ()) = async { tokio::join!(carried, played) } => {}
        () = connection.gone.cancelled() => connection.shared.keeper.channel_closed(number),
    }
}

async fn connect(kind: &ChannelKind) -> io::Result<Line> {
    match kind {
        ChannelKind::DirectTcpip(host, port) => {
            let port = u16::try_from(*port).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            let target = TcpStream::connect((host.as_str(), port)).await?;
            // As the clients' own connections: no delays that no test asked for.
            if let Err(error) = target.set_nodelay(true) {
                tracing::debug!(%error, "nodelay refused");
            }
            Ok(Line::socket(target))
        }
        #[cfg(unix)]
        ChannelKind::DirectStreamlocal(path) => {
            Ok(Line::socket(tokio::net::UnixStream::connect(path).await?))
        }
        #[cfg(not(unix))]
        ChannelKind::DirectStreamlocal(_) => Err(io::ErrorKind::Unsupported.into()),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}
