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

/// With so many waiting for the end of a key exchange, a client has asked for too much instead of ending it.
const MOST_HELD: usize = 1024 * 1024;

/// One read.
const PIECE: usize = 64 * 1024;

/// How long a client may take to be told what it did wrong.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long one may take to end a key exchange before the connection ends: what has been said waits for that.
const EXCHANGE_PATIENCE: Duration = Duration::from_secs(10);

/// How long a script may go on after its client broke the protocol, to hear what came before that.
const HEARING_PATIENCE: Duration = Duration::from_secs(10);

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
    let script = peer.play(|| RawSession::new(from_client, script_orders)).map(|script| -> Running {
        let shared = Arc::clone(shared);
        Box::pin(async move {
            // One that panics has said its last word.
            let _ = shared.panics.caught("the script of the raw peer", script).await;
        })
    });
    let rekeys = Rekeys {
        messages: peer.messages_between_rekeys(),
        bytes: shared.settings.rekey_after,
        sent: 0,
        bytes_sent: 0,
        bytes_received: 0,
    };
    let (read, write) = tokio::io::split(stream);
    let mut speaker =
        Speaker { transport, rekeys, orders: receiver, read, write, buffer: vec![0; PIECE], broken: None };
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
    /// What the client did wrong, after all that it has said before.
    broken: Option<Broken>,
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
    /// Of messages, without those of the key exchange itself.
    bytes_sent: usize,
    bytes_received: usize,
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
                let Some((sequence, payload)) = self.heard(event) else { continue };
                // What comes before the end of the login does not count.
                let counts = conversation.is_logged_in();
                if !counts {
                    self.rekeys.begin();
                }
                match conversation.hear(sequence, &payload, &self.transport).await? {
                    Heard::Answers(answers) if counts => self.send_all(answers)?,
                    Heard::Answers(answers) => {
                        answers.into_iter().for_each(|answer| self.transport.send(answer))
                    }
                    Heard::Farewell(last) if last.is_empty() => return self.flush_at_last().await,
                    Heard::Farewell(last) => {
                        last.into_iter().for_each(|answer| self.transport.send(answer));
                        return self.finish().await;
                    }
                }
                if self.transport.held() > MOST_HELD {
                    return Err(Broken::new("too much is asked for during a key exchange").into());
                }
            }
            if let Some(broken) = self.broken.take() {
                return Err(broken.into());
            }
            if conversation.is_logged_in() {
                self.rekey_if_due()?;
            }
            match self.next(Reads::Yes).await? {
                Next::Received(0) => return Ok(()),
                Next::Received(count) => self.receive(count),
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
                if let Some((_, payload)) = self.heard(event) {
                    play.backlog.push_back(payload.into());
                }
            }
            // Nothing is to be said before the first key exchange.
            let keyed = self.transport.exchanges() > 0;
            if let Some(broken) = self.broken.take_if(|_| !keyed || play.backlog.is_empty()) {
                if keyed {
                    self.hear_out(&mut play).await;
                }
                return Err(broken.into());
            }
            self.rekey_if_due()?;
            if reads == Reads::Ended && play.backlog.is_empty() {
                play.messages = None;
            }
            let now = if play.backlog.len() < QUEUE && self.broken.is_none() { reads } else { Reads::Later };
            let next = tokio::select! {
                () = play.act(), if keyed => continue,
                next = self.next(now) => next?,
            };
            match next {
                Next::Received(0) if keyed => reads = Reads::Ended,
                Next::Received(0) => return Ok(()),
                Next::Received(count) => self.receive(count),
                Next::Written(count) => drop(self.transport.output().drain(..count)),
                Next::Order(Some(Order::Payload(payload))) => self.send_all(vec![payload.to_vec()])?,
                Next::Order(Some(Order::Rekey)) => self.transport.rekey()?,
                Next::Order(Some(Order::Leave { code, text })) => return self.leave(code, &text).await,
                // A script has no channels.
                Next::Order(Some(_)) => {}
                Next::Order(None) => return self.finish().await,
            }
        }
    }

    /// Lets a script hear all that came before the client broke the protocol, and then that nothing more comes; what it
    /// says to that goes out.
    async fn hear_out(&mut self, play: &mut Play) {
        play.messages = None;
        let end = async {
            loop {
                let output = self.transport.output();
                let (writes, has_room) = (!output.is_empty(), output.len() < ENOUGH);
                let written = tokio::select! {
                    () = play.act() => 0,
                    count = self.write.write(output), if writes => match count {
                        Ok(count) if count > 0 => count,
                        _ => return,
                    },
                    order = self.orders.recv(), if has_room => {
                        match order {
                            Some(Order::Payload(payload)) => self.transport.send(payload.into()),
                            Some(_) => {}
                            None => return,
                        }
                        0
                    }
                };
                self.transport.output().drain(..written);
            }
        };
        // One that does not end has no connection any more.
        drop(tokio::time::timeout(HEARING_PATIENCE, end).await);
    }

    /// What comes first: bytes from the client, room on the wire, or an order.
    async fn next(&mut self, reads: Reads) -> Result<Next, HandlerError> {
        let held = self.transport.held();
        let output = self.transport.output();
        let writes = !output.is_empty();
        let (obeys, reads) =
            (held.saturating_add(output.len()) < ENOUGH, reads == Reads::Yes && output.len() < TOO_MUCH);
        let next = tokio::select! {
            // In one order in every run. What goes out is bounded by the client's windows, so that it is heard too.
            biased;
            count = self.write.write(output), if writes => Next::Written(some(count?)?),
            order = self.orders.recv(), if obeys => Next::Order(order),
            count = self.read.read(&mut self.buffer), if reads => Next::Received(count?),
        };
        Ok(next)
    }

    fn receive(&mut self, count: usize) {
        self.broken = self.transport.receive(self.buffer.get(..count).unwrap_or_default()).err();
    }

    /// The message of an event, if it is one.
    fn heard(&mut self, event: Event) -> Option<(u32, Vec<u8>)> {
        match event {
            Event::Keyed => {
                self.rekeys.bytes_received = 0;
                None
            }
            Event::Message { sequence, payload } => {
                self.rekeys.bytes_received = self.rekeys.bytes_received.saturating_add(payload.len());
                Some((sequence, payload))
            }
        }
    }

    fn send_all(&mut self, payloads: Vec<Vec<u8>>) -> Result<(), Broken> {
        for payload in payloads {
            self.rekeys.sent += 1;
            self.rekeys.bytes_sent = self.rekeys.bytes_sent.saturating_add(payload.len());
            self.transport.send(payload);
            self.rekey_if_due()?;
        }
        Ok(())
    }

    fn rekey_if_due(&mut self) -> Result<(), Broken> {
        if self.rekeys.are_due() && self.transport.exchanges() > 0 && !self.transport.is_exchanging() {
            self.rekeys.begin();
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
        self.end_exchange().await?;
        self.transport.send(disconnect(code, text));
        self.flush_at_last().await
    }

    /// Has all that has been said go out, what waits for a key exchange too.
    async fn finish(&mut self) -> Result<(), HandlerError> {
        self.end_exchange().await?;
        self.flush_at_last().await
    }

    /// The last words; a client that reads nothing is not waited for.
    async fn flush_at_last(&mut self) -> Result<(), HandlerError> {
        tokio::time::timeout(PATIENCE, self.flush()).await.unwrap_or(Ok(()))
    }

    /// Goes on with a key exchange to its end, or the client's. Nobody hears what the client says meanwhile.
    async fn end_exchange(&mut self) -> Result<(), HandlerError> {
        self.orders.close();
        let end = async {
            while self.transport.held() > 0 {
                match self.exchange_more().await? {
                    Some(0) => break,
                    Some(count) => self.transport.receive(self.buffer.get(..count).unwrap_or_default())?,
                    None => {}
                }
                while self.transport.event().is_some() {}
            }
            Ok::<(), HandlerError>(())
        };
        tokio::time::timeout(EXCHANGE_PATIENCE, end).await.unwrap_or(Ok(()))
    }

    /// How much has been read, if it was not a write.
    async fn exchange_more(&mut self) -> Result<Option<usize>, HandlerError> {
        let output = self.transport.output();
        let writes = !output.is_empty();
        let written = tokio::select! {
            count = self.write.write(output), if writes => some(count?)?,
            count = self.read.read(&mut self.buffer) => return Ok(Some(count?)),
        };
        self.transport.output().drain(..written);
        Ok(None)
    }

    async fn flush(&mut self) -> Result<(), HandlerError> {
        self.write.write_all(self.transport.output()).await?;
        self.transport.output().clear();
        Ok(self.write.flush().await?)
    }
}

impl Rekeys {
    fn are_due(&self) -> bool {
        self.messages.is_some_and(|every| self.sent >= every)
            || self.bytes_sent >= self.bytes
            || self.bytes_received >= self.bytes
    }

    /// Counts from here.
    fn begin(&mut self) {
        (self.sent, self.bytes_sent, self.bytes_received) = (0, 0, 0);
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
