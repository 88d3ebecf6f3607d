//! Where the server's tasks begin: the one that accepts, one per connection, one per channel.

use std::{sync::Arc, time::Duration};

use russh::server::ChannelOpenHandle;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream},
    net::TcpStream,
    sync::oneshot,
};

use crate::{
    connection::Connection,
    duplex::{Duplex, ServerSide},
    fault::Cut,
    handler::{Handler, HandlerError},
    line::Engine,
    link::{Link, LinkControl},
    listener::PortListener,
    listening::Accepting,
    network::{self, Line},
    random::Random,
    raw,
    record::End,
    server::Shared,
    timeline,
};

/// How long a client may take to close after the server has.
const LINGER: Duration = Duration::from_secs(2);

/// How much a simulated network buffers at the server's end.
const SOCKET_BUFFER: usize = 256 * 1024;

/// Accepts connections until the server stops, or until it is to stop listening.
pub(crate) fn accept(shared: &Arc<Shared>, listener: PortListener) -> Accepting {
    let owner = Arc::clone(shared);
    let stop = shared.stopping.child_token();
    let stopping = stop.clone();
    let (closed, stopped) = oneshot::channel::<()>();
    // Owned by the server's tracker; ended by a child of its `stopping` token; `TestServer::stop` and whoever stops
    // the listening wait for it.
    shared.tasks.spawn(async move {
        // Dropped after the listener, to tell that it is closed.
        let _closed = closed;
        let listener = listener;
        loop {
            let accepted = tokio::select! {
                () = stopping.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    // Nagle's algorithm would add delays that no test asked for.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "nodelay refused");
                    }
                    serve(&owner, stream);
                }
                // Out of descriptors, or a client that left while queued: the next may succeed.
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    });
    Accepting { stop, stopped }
}

/// Makes a connection that needs no socket.
pub(crate) fn connect(shared: &Arc<Shared>) -> Duplex {
    let (client, server) = crate::duplex::pair();
    if shared.is_door_open() {
        serve(shared, server);
    } else {
        server.reset();
    }
    client
}

/// Runs a channel's task.
pub(crate) fn serve_channel(
    connection: &Arc<Connection>,
    channel: impl Future<Output = ()> + Send + 'static,
) {
    // Owned by the connection's tracker; ended by the channel's close or the connection's end, which its messages and
    // the `gone` token tell it; the connection's own task waits for it.
    connection.tasks.spawn(channel);
}

/// Keeps a channel open unanswered for as long as the connection lives; dropping the handle would answer it.
pub(crate) fn withhold(connection: &Arc<Connection>, reply: ChannelOpenHandle) {
    let gone = connection.gone.clone();
    // Owned by the connection's tracker; ended by its `gone` token; the connection's own task waits for it.
    connection.tasks.spawn(async move {
        gone.cancelled().await;
        drop(reply);
    });
}

/// Does something later, if the connection still is there then.
pub(crate) fn later(
    connection: &Arc<Connection>,
    delay: Duration,
    act: impl Future<Output = ()> + Send + 'static,
) {
    let gone = connection.gone.clone();
    // Owned by the connection's tracker; ended by its `gone` token; the connection's own task waits for it.
    connection.tasks.spawn(async move {
        tokio::select! {
            () = gone.cancelled() => return,
            () = tokio::time::sleep(delay) => {}
        }
        act.await;
    });
}

/// A stream that can be ended in each of the ways a fault asks for.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Has the client see a reset when this is dropped.
    fn reset(self);
}

impl Wire for TcpStream {
    fn reset(self) {
        if let Err(error) = self.set_zero_linger() {
            tracing::warn!(%error, "cannot reset the connection; it is closed instead");
        }
    }
}

impl Wire for ServerSide {
    fn reset(self) {
        ServerSide::reset(self);
    }
}

fn serve(shared: &Arc<Shared>, stream: impl Wire) {
    let number = shared.keeper.connected();
    let shared = Arc::clone(shared);
    let tasks = shared.tasks.clone();
    // Known before its task first runs: whoever has connected can be cut.
    let connection = shared.startups.enter().map(|startup| {
        let link = LinkControl::new(number, &shared);
        let connection = Connection::new(number, Arc::clone(&shared), link, startup);
        shared.register(&connection);
        // Drawn here, so that the n-th connection has the same network in every run.
        let network = shared.line().map(|line| (line, shared.random()));
        (connection, network)
    });
    // Owned by the server's tracker; ended by the client, a fault, or the server's `stopping` token, which cuts the
    // wire under it; `TestServer::stop` waits for it.
    tasks.spawn(async move {
        let Some((connection, network)) = connection else {
            return turn_away(&shared, stream, number).await;
        };
        let link = Arc::clone(&connection.link);
        let (wire, returned) = Link::new(stream, Arc::clone(&link));
        let result = {
            let run = Box::pin(run(&connection, network, wire));
            tokio::pin!(run);
            tokio::select! {
                // What is due at a moment comes before what else happens at it, in every run.
                biased;
                () = shared.stopping.cancelled() => {
                    link.cut(Cut::Fin);
                    run.await
                }
                never = timeline::follow(&connection) => match never {},
                result = &mut run => result,
            }
        };
        connection.gone.cancel();
        connection.tasks.close();
        connection.tasks.wait().await;
        connection.logged_in();
        shared.forget(number);
        let cut = link.was_cut();
        let end = match (cut, result) {
            (Some(_), _) if shared.stopping.is_cancelled() => End::Stopped,
            (cut, result) => connection.ending().unwrap_or_else(|| match (cut, result) {
                (Some(how), _) => link.parted().map_or(End::Cut(how), End::Disconnected),
                (None, Ok(())) => End::Client,
                (None, Err(error)) => end_of(&error),
            }),
        };
        tracing::debug!(connection = number, ?end, "connection ended");
        if let Ok(stream) = returned.await {
            finish(&shared, stream, cut, number, end).await;
        }
    });
}

/// Says why there is no place, and closes.
async fn turn_away(shared: &Arc<Shared>, mut stream: impl Wire, number: usize) {
    let line = format!("{}\r\n", shared.settings.limits.max_startups_text);
    // As sshd: whether the client hears it is not its concern.
    tokio::select! {
        written = stream.write_all(line.as_bytes()) => {
            drop(written);
            shared.keeper.sent(number, line.len() as u64);
        }
        () = shared.stopping.cancelled() => {}
    }
    finish(shared, stream, Some(Cut::Fin), number, End::TurnedAway).await;
}

/// Runs the SSH engine over the wire, through the simulated network if there is one.
async fn run(
    connection: &Arc<Connection>,
    network: Option<(Arc<Line>, Random)>,
    wire: Link<impl Wire>,
) -> Result<(), HandlerError> {
    let Some((line, mut random)) = network else { return engine(connection, wire).await };
    let (near, far): (DuplexStream, DuplexStream) = tokio::io::duplex(SOCKET_BUFFER);
    let relay = async {
        tokio::select! {
            // The wire tells of a cut only who reads or writes it; the network may be waiting for a time to come.
            biased;
            () = connection.link.cut_off() => {}
            () = network::relay(&line, wire, far, &mut random, &connection.transit) => {}
        }
    };
    let (result, ()) = tokio::join!(engine(connection, near), relay);
    result
}

/// Whichever personality the server has.
async fn engine(
    connection: &Arc<Connection>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<(), HandlerError> {
    let shared = &connection.shared;
    if let Some(peer) = &shared.settings.raw_peer {
        return raw::speak(connection, stream, peer).await;
    }
    let handler = Handler::new(Arc::clone(connection));
    let session = russh::server::run_stream(shared.engine_config(), stream, handler).await?;
    // Set nowhere else.
    drop(connection.engine.set(Engine::Base(session.handle())));
    connection.link.engine_runs();
    session.await
}

/// Ends the stream as the client is to see it.
async fn finish(shared: &Arc<Shared>, mut stream: impl Wire, cut: Option<Cut>, number: usize, end: End) {
    match cut {
        Some(Cut::Rst) => stream.reset(),
        Some(Cut::Silence) => {
            shared.keeper.ended(number, end);
            shared.stopping.cancelled().await;
            return;
        }
        Some(Cut::Fin) | None => {
            // Closing a socket with unread data resets it; so the rest is read first.
            let farewell = async {
                stream.shutdown().await?;
                tokio::io::copy(&mut (&mut stream).take(u64::MAX), &mut tokio::io::sink()).await
            };
            tokio::select! {
                _ = tokio::time::timeout(LINGER, farewell) => {}
                () = shared.stopping.cancelled() => {}
            }
        }
    }
    shared.keeper.ended(number, end);
}

fn end_of(error: &HandlerError) -> End {
    match error {
        HandlerError::Base(russh::Error::Disconnect | russh::Error::HUP) => End::Client,
        HandlerError::Base(russh::Error::KeepaliveTimeout) => End::Unresponsive,
        HandlerError::Base(russh::Error::IO(error)) | HandlerError::Io(error)
            if matches!(
                error.kind(),
                // Which of them it is when a client goes away is a matter of what was under way, and of the platform.
                std::io::ErrorKind::UnexpectedEof
                    | std::io::ErrorKind::ConnectionReset
                    | std::io::ErrorKind::ConnectionAborted
                    | std::io::ErrorKind::BrokenPipe
            ) =>
        {
            End::Client
        }
        error => End::Broken(error.to_string()),
    }
}
