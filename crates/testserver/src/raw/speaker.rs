//! The raw peer's loop: one per connection, between the wire and whoever answers.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::mpsc,
};

use crate::{
    connection::Connection,
    handler::HandlerError,
    line::Engine,
    raw::{
        conversation::{Conversation, Heard},
        faults::Saboteur,
        line::Order,
        peer::{RawPeer, RawSession, Running, disconnect},
        transport::{Broken, Event, Transport, offer_for},
    },
};

/// How many messages may wait between a command, or a script, and the loop.
const QUEUE: usize = 64;

/// With so many bytes waiting for the wire, no more are taken from commands.
const ENOUGH: usize = 256 * 1024;

/// With so many, nothing more is read either: a client that asks and never reads is to wait.
const TOO_MUCH: usize = 8 * 1024 * 1024;

/// One read.
const PIECE: usize = 64 * 1024;

/// How long a client may take to be told what it did wrong.
const PATIENCE: Duration = Duration::from_secs(2);

/// SSH_DISCONNECT_PROTOCOL_ERROR, RFC 4253 section 11.1.
const PROTOCOL_ERROR: u32 = 2;

/// Serves one connection until either side ends it.
pub(crate) async fn speak(
    connection: &Arc<Connection>,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: &RawPeer,
) -> Result<(), HandlerError> {
    let shared = &connection.shared;
    let host_key = shared.first_host_key().ok_or_else(|| Broken::new("the server has no host key"))?;
    let offer = shared.raw_offer.apply(offer_for(&host_key));
    let saboteur = Box::new(Saboteur::new(Arc::clone(shared), connection.number));
    let transport = Transport::server(&shared.identification(), host_key, offer, saboteur)?;

    let (orders, receiver) = mpsc::channel(QUEUE);
    // Set nowhere else.
    drop(connection.engine.set(Engine::Raw(orders.downgrade())));
    connection.link.engine_runs();
    let (to_script, from_client) = mpsc::channel(QUEUE);
    let script_orders = orders.clone();
    let script = peer.play(|| RawSession::new(from_client, script_orders));
    let rekeys = Rekeys {
        messages: peer.messages_between_rekeys(),
        bytes: shared.settings.rekey_after,
        sent: 0,
        passed: 0,
    };
    let (read, write) = tokio::io::split(stream);
    let mut speaker = Speaker { transport, rekeys, orders: receiver, read, write, buffer: vec![0; PIECE] };
    let spoken = match script {
        Some(script) => {
            // The script has its own; when it is done there are no more orders.
            drop(orders);
            let play = Play { script: Some(script), messages: Some(to_script), backlog: VecDeque::new() };
            tokio::select! {
                spoken = speaker.scripted(play) => spoken,
                // A script may outlast its client, but not its server.
                () = connection.gone.cancelled() => Ok(()),
            }
        }
        None => speaker.served(Conversation::new(Arc::clone(connection), orders)).await,
    };
    match spoken {
        Err(HandlerError::Raw(broken)) => speaker.give_up(broken).await,
        other => other,
    }
}

struct Speaker<S> {
    transport: Transport,
    rekeys: Rekeys,
    orders: mpsc::Receiver<Order>,
    read: ReadHalf<S>,
    write: WriteHalf<S>,
    buffer: Vec<u8>,
}

/// A script that speaks.
struct Play {
    /// Until it returns.
    script: Option<Running>,
    /// Until the client is gone and the script has heard all it said.
    messages: Option<mpsc::Sender<Bytes>>,
    backlog: VecDeque<Bytes>,
}

/// When the next key exchange is to begin.
struct Rekeys {
    messages: Option<u64>,
    bytes: usize,
    sent: u64,
    passed: usize,
}

/// Whether more is to be read from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    Yes,
    Later,
    /// There is no more.
    Ended,
}

/// What the loop goes on with.
enum Next {
    Received(usize),
    Written(usize),
    Order(Option<Order>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Speaker<S> {
    /// With the default server.
    async fn served(&mut self, mut conversation: Conversation) -> Result<(), HandlerError> {
        loop {
            while let Some(event) = self.transport.event() {
                let Event::Message(payload) = event else { continue };
                match conversation.hear(&payload, &self.transport).await? {
                    Heard::Answers(answers) => self.send_all(answers)?,
                    Heard::Farewell(last) => {
                        self.send_all(last)?;
                        return self.flush().await;
                    }
                }
            }
            match self.next(Reads::Yes).await? {
                Next::Received(0) => return Ok(()),
                Next::Received(count) => self.receive(count)?,
                Next::Written(count) => drop(self.transport.output().drain(..count)),
                Next::Order(Some(Order::Leave { code, text })) => return self.leave(code, &text).await,
                Next::Order(order) => {
                    let answers = order.map(|order| conversation.obey(order)).unwrap_or_default();
                    self.send_all(answers)?;
                }
            }
        }
    }

    /// With a test's own code.
    async fn scripted(&mut self, mut play: Play) -> Result<(), HandlerError> {
        let mut reads = Reads::Yes;
        loop {
            while let Some(event) = self.transport.event() {
                if let Event::Message(payload) = event {
                    play.backlog.push_back(payload.into());
                }
            }
            if reads == Reads::Ended && play.backlog.is_empty() {
                play.messages = None;
            }
            // Nothing is to be said before the first key exchange.
            let keyed = self.transport.exchanges() > 0;
            let now = if play.backlog.len() < QUEUE { reads } else { Reads::Later };
            let next = tokio::select! {
                () = play.act(), if keyed => continue,
                next = self.next(now) => next?,
            };
            match next {
                Next::Received(0) if keyed => reads = Reads::Ended,
                Next::Received(0) => return Ok(()),
                Next::Received(count) => self.receive(count)?,
                Next::Written(count) => drop(self.transport.output().drain(..count)),
                Next::Order(Some(Order::Payload(payload))) => self.send_all(vec![payload.to_vec()])?,
                Next::Order(Some(Order::Rekey)) => self.transport.rekey()?,
                Next::Order(Some(Order::Leave { code, text })) => return self.leave(code, &text).await,
                // A script has no channels.
                Next::Order(Some(_)) => {}
                Next::Order(None) => return self.flush().await,
            }
        }
    }

    /// What comes first: bytes from the client, room on the wire, or an order.
    async fn next(&mut self, reads: Reads) -> Result<Next, HandlerError> {
        let output = self.transport.output();
        let writes = !output.is_empty();
        let (obeys, reads) = (output.len() < ENOUGH, reads == Reads::Yes && output.len() < TOO_MUCH);
        let next = tokio::select! {
            count = self.write.write(output), if writes => Next::Written(some(count?)?),
            count = self.read.read(&mut self.buffer), if reads => Next::Received(count?),
            order = self.orders.recv(), if obeys => Next::Order(order),
        };
        Ok(next)
    }

    fn receive(&mut self, count: usize) -> Result<(), Broken> {
        self.rekeys.passed = self.rekeys.passed.saturating_add(count);
        self.transport.receive(self.buffer.get(..count).unwrap_or_default())?;
        self.rekey_if_due()
    }

    fn send_all(&mut self, payloads: Vec<Vec<u8>>) -> Result<(), Broken> {
        for payload in payloads {
            self.rekeys.sent += 1;
            self.rekeys.passed = self.rekeys.passed.saturating_add(payload.len());
            self.transport.send(payload);
            self.rekey_if_due()?;
        }
        Ok(())
    }

    fn rekey_if_due(&mut self) -> Result<(), Broken> {
        let due = self.rekeys.messages.is_some_and(|every| self.rekeys.sent >= every)
            || self.rekeys.passed >= self.rekeys.bytes;
        if due && self.transport.exchanges() > 0 && !self.transport.is_exchanging() {
            self.rekeys.sent = 0;
            self.rekeys.passed = 0;
            self.transport.rekey()?;
        }
        Ok(())
    }

    /// Tells the client what it did wrong, and ends.
    async fn give_up(&mut self, broken: Broken) -> Result<(), HandlerError> {
        self.transport.send(disconnect(PROTOCOL_ERROR, &broken.to_string()));
        // That the connection is broken goes before that it cannot be written to. A client that reads nothing is not
        // waited for.
        drop(tokio::time::timeout(PATIENCE, self.flush()).await);
        Err(broken.into())
    }

    async fn leave(&mut self, code: u32, text: &str) -> Result<(), HandlerError> {
        self.send_all(vec![disconnect(code, text)])?;
        self.flush().await
    }

    async fn flush(&mut self) -> Result<(), HandlerError> {
        self.write.write_all(self.transport.output()).await?;
        self.transport.output().clear();
        Ok(self.write.flush().await?)
    }
}

impl Play {
    /// Goes on with the script, and hands it what it has not heard yet.
    async fn act(&mut self) {
        let Self { script, messages, backlog } = self;
        let waiting = messages.clone().filter(|_| !backlog.is_empty());
        let place = async {
            match waiting {
                Some(messages) => messages.reserve_owned().await.ok(),
                None => std::future::pending().await,
            }
        };
        let running = async {
            match script.as_mut() {
                Some(script) => script.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = running => *script = None,
            place = place => match place.zip(backlog.pop_front()) {
                Some((place, payload)) => drop(place.send(payload)),
                // The script listens no more.
                None => {
                    backlog.clear();
                    *messages = None;
                }
            },
        }
    }
}

/// A wire that takes nothing any more takes nothing ever again.
fn some(written: usize) -> io::Result<usize> {
    if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(written) }
}
