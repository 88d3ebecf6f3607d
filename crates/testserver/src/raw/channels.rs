//! The raw peer's session channels (RFC 4254 sections 5 and 6).

mod request;
mod window;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{
    call::{SignalFeed, Signals, Stream},
    connection::{Connection, Reached, SessionSlot},
    driver,
    entrance::Entrance,
    exit::Exit,
    fault::Phase,
    handler::HandlerError,
    line::{Line, STDERR},
    pipe::{self, StdinFeed},
    raw::{
        channels::window::{Incoming, permits},
        conversation::Heard,
        faults::{Adjust, Point, Wrong},
        line::{Order, RawLine},
        message,
        transport::Broken,
        wire::{Reader, Writer},
    },
    record::{ChannelKind, Pty, Side},
    session_channel::{Runner, Start},
};

/// As OpenSSH's CHAN_SES_PACKET_DEFAULT; more data than this goes into no packet of ours either.
const PACKET: u32 = 32 * 1024;

/// SSH_OPEN_ADMINISTRATIVELY_PROHIBITED, RFC 4254 section 5.1.
const PROHIBITED: u32 = 1;

/// The channels of one connection, by our numbers for them.
pub(crate) struct Channels {
    connection: Arc<Connection>,
    orders: mpsc::Sender<Order>,
    open: HashMap<u32, Channel>,
    next: u32,
}

struct Channel {
    /// Its number in the record.
    number: usize,
    /// The client's number for it.
    remote: u32,
    incoming: Incoming,
    /// What the client still takes, as permits.
    window: Arc<Semaphore>,
    feed: StdinFeed,
    signals: SignalFeed,
    runner: Arc<Runner>,
    hangup: CancellationToken,
    env: Vec<(String, String)>,
    pty: Option<Pty>,
    start: Option<oneshot::Sender<Start>>,
    /// An answer that is to come after the output.
    owed: Option<Vec<u8>>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Our CLOSE has been sent, the client's has not come.
    Closed,
}

/// Why a channel is not opened, RFC 4254 section 5.1.
struct Refusal {
    code: u32,
    text: String,
    language: String,
}

impl Refusal {
    fn new(code: u32, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), language: String::new() }
    }
}

/// On which terms a channel is opened.
struct Terms {
    incoming: Incoming,
    data_packet: usize,
}

impl Channels {
    pub(crate) fn new(connection: Arc<Connection>, orders: mpsc::Sender<Order>) -> Self {
        Self { connection, orders, open: HashMap::new(), next: 0 }
    }

    /// A `CHANNEL_OPEN`.
    pub(crate) fn open(&mut self, payload: &[u8]) -> Result<Heard, HandlerError> {
        let mut reader = Reader::new(payload);
        reader.byte();
        let (Some(kind), Some(remote), Some(window), Some(max_packet)) =
            (reader.string(), reader.u32(), reader.u32(), reader.u32())
        else {
            return Err(Broken::new("a CHANNEL_OPEN cannot be read").into());
        };
        let delay = match self.connection.reach(Phase::ChannelOpen) {
            Reached::Go => Duration::ZERO,
            Reached::Lost => return Err(HandlerError::Cut),
            Reached::Withhold(Some(time)) => time,
            Reached::Withhold(None) | Reached::Leaving => return Ok(Heard::nothing()),
            Reached::Refuse { code, text } => {
                return Ok(self.refuse(remote, Refusal::new(code, text), Duration::ZERO));
            }
        };
        let mut refusal = None;
        self.connection.shared.strike_wrongs(self.connection.number, Point::Open, |wrong| match wrong {
            Wrong::Refuse { code, text, language } => {
                first(&mut refusal, Refusal { code: *code, text: text.clone(), language: language.clone() })
            }
            _ => false,
        });
        if let Some(refusal) = refusal {
            return Ok(self.refuse(remote, refusal, delay));
        }
        if kind != b"session" {
            let refusal = Refusal::new(PROHIBITED, "the raw peer opens sessions alone");
            return Ok(self.refuse(remote, refusal, delay));
        }
        // As OpenSSH answers past its MaxSessions.
        let Some(slot) = self.connection.take_session() else {
            return Ok(self.refuse(remote, Refusal::new(2, "open failed"), delay));
        };
        let (id, confirmation) = self.accept(remote, window, max_packet, slot);
        Ok(self.answer_after(Some(id), delay, vec![confirmation], || {}))
    }

    /// Any other message about a channel.
    pub(crate) fn hear(&mut self, payload: &[u8], entrance: &Entrance) -> Result<Heard, HandlerError> {
        let malformed = || Broken::new("a message about a channel cannot be read");
        let mut reader = Reader::new(payload);
        let number = reader.byte().ok_or_else(malformed)?;
        let id = reader.u32().ok_or_else(malformed)?;
        // Answers to what a fault has sent: no channel of ours was ever opened by the client's leave.
        if matches!(number, message::CHANNEL_OPEN_CONFIRMATION | message::CHANNEL_OPEN_FAILURE) {
            return Ok(Heard::nothing());
        }
        let Some(channel) = self.open.get_mut(&id) else {
            return Err(
                Broken::new(format!("message {number} about a channel {id} that there is not")).into()
            );
        };
        match number {
            message::CHANNEL_WINDOW_ADJUST => {
                channel.widen(reader.u32().ok_or_else(malformed)?)?;
                Ok(Heard::nothing())
            }
            message::CHANNEL_DATA => {
                let data = reader.string().ok_or_else(malformed)?;
                match self.connection.reach(Phase::Data) {
                    Reached::Lost => return Err(HandlerError::Cut),
                    Reached::Leaving => return Ok(Heard::nothing()),
                    Reached::Go | Reached::Withhold(_) | Reached::Refuse { .. } => {}
                }
                let adjustment = channel.take_data(data)?;
                let keeper = &self.connection.shared.keeper;
                keeper.data(channel.number, Side::Client, "stdin", data.len() as u64);
                Ok(Heard::Answers(adjustment.into_iter().collect()))
            }
            message::CHANNEL_EXTENDED_DATA => {
                reader.u32().ok_or_else(malformed)?;
                let data = reader.string().ok_or_else(malformed)?;
                // No client has a second input to send; it costs window all the same.
                let adjustment = channel.incoming.take(data.len())?;
                Ok(Heard::Answers(channel.adjustment(adjustment).into_iter().collect()))
            }
            message::CHANNEL_EOF => {
                channel.feed.end();
                self.connection.shared.keeper.input_ended(channel.number);
                self.connection.shared.keeper.eof();
                Ok(Heard::nothing())
            }
            message::CHANNEL_CLOSE => self.closed(id),
            message::CHANNEL_REQUEST => self.request(id, reader, entrance),
            // Answers to what nobody asked.
            _ => Ok(Heard::nothing()),
        }
    }

    /// What a command has to say.
    pub(crate) fn obey(&mut self, order: Order) -> Vec<Vec<u8>> {
        match order {
            Order::Data { channel, stream, data } => {
                let Some(channel) = self.speaking(channel) else { return Vec::new() };
                let begin = match stream {
                    Stream::Stdout => Writer::message(message::CHANNEL_DATA).u32(channel.remote),
                    Stream::Stderr => {
                        Writer::message(message::CHANNEL_EXTENDED_DATA).u32(channel.remote).u32(STDERR)
                    }
                };
                vec![begin.string(data).finish()]
            }
            Order::Exit { channel, exit } => {
                let Some(channel) = self.speaking(channel) else { return Vec::new() };
                channel.owed.take().into_iter().chain(exit_message(channel.remote, &exit)).collect()
            }
            Order::Eof { channel } => {
                let Some(channel) = self.speaking(channel) else { return Vec::new() };
                let eof = Writer::message(message::CHANNEL_EOF).u32(channel.remote).finish();
                channel.owed.take().into_iter().chain([eof]).collect()
            }
            Order::Close { channel } => {
                let Some(channel) = self.speaking(channel) else { return Vec::new() };
                channel.state = State::Closed;
                channel.window.close();
                let close = Writer::message(message::CHANNEL_CLOSE).u32(channel.remote).finish();
                channel.owed.take().into_iter().chain([close]).collect()
            }
            Order::Answer { channel, payload } => {
                let stands = channel.is_none_or(|channel| self.speaking(channel).is_some());
                stands.then(|| payload.to_vec()).into_iter().collect()
            }
            // Scripts alone ask for the first two; the other is the loop's.
            Order::Payload(_) | Order::Rekey | Order::Leave { .. } => Vec::new(),
        }
    }

    /// Answers now and goes on with what follows, or does both later. A channel that is closed by then gets no answer:
    /// the client may have given its number for it to another.
    fn answer_after(
        &self,
        channel: Option<u32>,
        delay: Duration,
        answers: Vec<Vec<u8>>,
        then: impl FnOnce() + Send + 'static,
    ) -> Heard {
        if delay.is_zero() {
            then();
            return Heard::Answers(answers);
        }
        let orders = self.orders.clone();
        driver::later(&self.connection, delay, async move {
            for answer in answers {
                // A connection that is gone needs no answer.
                drop(orders.send(Order::Answer { channel, payload: answer.into() }).await);
            }
            then();
        });
        Heard::nothing()
    }

    fn speaking(&mut self, id: u32) -> Option<&mut Channel> {
        self.open.get_mut(&id).filter(|channel| channel.state == State::Open)
    }

    fn refuse(&self, remote: u32, refusal: Refusal, delay: Duration) -> Heard {
        self.connection.shared.keeper.channel_refused(self.connection.number);
        let begin = Writer::message(message::CHANNEL_OPEN_FAILURE).u32(remote).u32(refusal.code);
        let failure = begin.string(refusal.text).string(refusal.language).finish();
        self.answer_after(None, delay, vec![failure], || {})
    }

    /// Opens a channel; our number for it, and its confirmation.
    fn accept(&mut self, remote: u32, window: u32, max_packet: u32, slot: SessionSlot) -> (u32, Vec<u8>) {
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        let terms = self.terms();
        let connection = &self.connection;
        let number = connection.shared.keeper.channel_opened(connection.number, ChannelKind::Session);
        let window = Arc::new(Semaphore::new(permits(window).min(Semaphore::MAX_PERMITS)));
        let packet = permits(max_packet.min(PACKET)).min(terms.data_packet);
        let line = RawLine::new(id, Arc::clone(&window), packet, self.orders.clone());
        let hangup = connection.gone.child_token();
        let (feed, stdin) = pipe::stdin();
        let (signals, notices) = Signals::channel();
        let (start, started) = oneshot::channel::<Start>();
        let runner = Arc::new(Runner {
            connection: Arc::clone(connection),
            channel: number,
            line: Line::Raw(line),
            hangup: hangup.clone(),
            slot: Mutex::new(Some(Arc::new(slot))),
        });
        let place = Arc::clone(&runner);
        driver::serve_channel(connection, async move {
            tokio::select! {
                // As at the other personality: what was asked for is started, though the client has left again.
                biased;
                Ok(start) = started => runner.run(start, stdin, notices).await,
                () = runner.hangup.cancelled() => {}
            }
            runner.leave();
            runner.connection.shared.keeper.channel_closed(number);
        });
        let confirmation = Writer::message(message::CHANNEL_OPEN_CONFIRMATION)
            .u32(remote)
            .u32(id)
            .u32(terms.incoming.window)
            .u32(terms.incoming.max_packet)
            .finish();
        let channel = Channel {
            number,
            remote,
            incoming: terms.incoming,
            window,
            feed,
            signals,
            runner: place,
            hangup,
            env: Vec::new(),
            pty: None,
            start: Some(start),
            owed: None,
            state: State::Open,
        };
        self.open.insert(id, channel);
        (id, confirmation)
    }

    fn terms(&self) -> Terms {
        let window = self.connection.shared.settings.window;
        let incoming = Incoming { window, left: window, adjust: Adjust::AsUsed, max_packet: PACKET };
        let mut terms = Terms { incoming, data_packet: permits(PACKET) };
        let (mut window, mut max_packet, mut data_packet) = (None, None, None);
        // Of those that contradict each other the first one.
        self.connection.shared.strike_wrongs(self.connection.number, Point::Terms, |wrong| match wrong {
            Wrong::Window { bytes, adjust } => first(&mut window, (*bytes, *adjust)),
            Wrong::MaxPacket(bytes) => first(&mut max_packet, *bytes),
            Wrong::DataPacket(bytes) => first(&mut data_packet, *bytes),
            _ => false,
        });
        if let Some((bytes, adjust)) = window {
            terms.incoming = Incoming { window: bytes, left: bytes, adjust, ..terms.incoming };
        }
        terms.incoming.max_packet = max_packet.unwrap_or(terms.incoming.max_packet);
        terms.data_packet = data_packet.unwrap_or(terms.data_packet);
        terms
    }

    /// The client has closed a channel.
    fn closed(&mut self, id: u32) -> Result<Heard, HandlerError> {
        let Some(channel) = self.open.remove(&id) else { return Ok(Heard::nothing()) };
        channel.feed.end();
        channel.hangup.cancel();
        channel.window.close();
        self.connection.shared.keeper.close();
        if matches!(self.connection.reach(Phase::Close), Reached::Lost) {
            return Err(HandlerError::Cut);
        }
        Ok(match channel.state {
            State::Open => {
                // Before the client knows, who may ask for another at once.
                channel.runner.leave();
                Heard::one(Writer::message(message::CHANNEL_CLOSE).u32(channel.remote).finish())
            }
            State::Closed => Heard::nothing(),
        })
    }
}

impl Channel {
    fn take_data(&mut self, data: &[u8]) -> Result<Option<Vec<u8>>, Broken> {
        let more = self.incoming.take(data.len())?;
        if self.state == State::Open {
            self.feed.push(Bytes::copy_from_slice(data));
            if self.feed.is_lost()
                || self.feed.unread() > self.runner.connection.shared.settings.limits.max_unread
            {
                return Ok(Some(self.overflow()));
            }
        }
        Ok(self.adjustment(more))
    }

    /// Closes the channel, whose input is more than can be kept.
    fn overflow(&mut self) -> Vec<u8> {
        tracing::warn!(channel = self.number, "channel ended: too much of its input is unread");
        self.state = State::Closed;
        self.feed.lose();
        self.hangup.cancel();
        self.window.close();
        self.runner.leave();
        Writer::message(message::CHANNEL_CLOSE).u32(self.remote).finish()
    }

    /// What grants more window, if that is to be and the channel still is.
    fn adjustment(&self, bytes: u32) -> Option<Vec<u8>> {
        let adjusts = bytes > 0 && self.state == State::Open;
        adjusts.then(|| Writer::message(message::CHANNEL_WINDOW_ADJUST).u32(self.remote).u32(bytes).finish())
    }

    /// The client takes so much more.
    fn widen(&self, bytes: u32) -> Result<(), Broken> {
        let (now, more) = (self.window.available_permits(), permits(bytes));
        if now.saturating_add(more) > permits(u32::MAX) {
            return Err(Broken::new("a window beyond 4 GiB, which RFC 4254 section 5.2 forbids"));
        }
        // Less than asked for only where a pointer has 32 bits.
        self.window.add_permits(more.min(Semaphore::MAX_PERMITS.saturating_sub(now)));
        Ok(())
    }

    fn reply(&self, wanted: bool, numbers: &[u8]) -> Vec<Vec<u8>> {
        let numbers = if wanted { numbers } else { &[] };
        numbers.iter().map(|number| Writer::message(*number).u32(self.remote).finish()).collect()
    }
}

/// Whether this is the first one.
fn first<T>(place: &mut Option<T>, value: T) -> bool {
    let is_first = place.is_none();
    place.get_or_insert(value);
    is_first
}

/// RFC 4254 section 6.10.
fn exit_message(remote: u32, exit: &Exit) -> Option<Vec<u8>> {
    let begin =
        |name: &str| Writer::message(message::CHANNEL_REQUEST).u32(remote).string(name).boolean(false);
    match exit {
        Exit::Code(code) => Some(begin("exit-status").u32(*code).finish()),
        Exit::Signal { signal, message } => {
            let signal = begin("exit-signal").string(signal.name()).boolean(false);
            Some(signal.string(message).string("").finish())
        }
        Exit::Silent => None,
    }
}
