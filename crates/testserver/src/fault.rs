//! Faults: what the server does wrong on purpose, when, and whether it did.

use std::{fmt, sync::Mutex};

use crate::error::{Error, ErrorKind};

/// Where in a connection's life a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The connection is accepted and nothing has been sent.
    Accept,
    /// Half of the server's identification line has been sent.
    Banner,
    /// The identification line has been sent, the key exchange has not.
    KeyExchange,
    /// The client asks to be authenticated.
    Authentication,
    /// The client opens a channel.
    ChannelOpen,
    /// The client asks for a command, a shell or a subsystem.
    Request,
    /// Data is about to be sent or has been received on a channel.
    Data,
    /// A channel is being closed, by either side.
    Close,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "accept",
            Self::Banner => "banner",
            Self::KeyExchange => "key exchange",
            Self::Authentication => "authentication",
            Self::ChannelOpen => "channel open",
            Self::Request => "request",
            Self::Data => "data",
            Self::Close => "close",
        })
    }
}

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cut {
    /// The server closes its side properly, as a process that exits.
    Fin,
    /// The connection is reset, as by a firewall or a crash.
    Rst,
    /// The server vanishes: it neither reads nor writes again, and the socket stays open until the server stops.
    Silence,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fin => "FIN",
            Self::Rst => "RST",
            Self::Silence => "silence",
        })
    }
}

/// Something the server does wrong, each time its turn comes unless [`once`](Fault::once),
/// [`nth`](Fault::nth) or [`on_connection`](Fault::on_connection) says otherwise.
///
/// A fault that was scripted and never fired is an error: [`TestServer::stop`](crate::TestServer::stop) returns it,
/// and dropping the server panics with it, so that a test cannot pass by missing what it was written for.
///
/// ```
/// use rustle_testserver::{Cut, Fault, Phase};
///
/// let lost_on_first_try = Fault::cut(Phase::Request, Cut::Rst).on_connection(1);
/// let third_channel_refused = Fault::refuse_channel().nth(3);
/// let hangs_in_authentication = Fault::stall(Phase::Authentication);
/// let ends_after_one_mebibyte = Fault::cut_after(1 << 20, Cut::Silence);
/// ```
#[derive(Debug, Clone)]
pub struct Fault {
    trigger: Trigger,
    action: Action,
    connection: Option<usize>,
    nth: Option<usize>,
    limit: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trigger {
    Phase(Phase),
    BytesSent(u64),
    BytesReceived(u64),
}

/// What a fault does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Cut(Cut),
    Stall,
    Withhold,
    Refuse { code: u32, text: String },
}

impl Fault {
    /// Cuts the connection when it reaches `phase`.
    #[must_use]
    pub fn cut(phase: Phase, how: Cut) -> Self {
        Self::new(Trigger::Phase(phase), Action::Cut(how))
    }

    /// Falls silent in `phase`, the whole connection, until [`TestServer::resume`](crate::TestServer::resume):
    /// nothing is read any more and nothing sent, while the socket stays open.
    #[must_use]
    pub fn stall(phase: Phase) -> Self {
        Self::new(Trigger::Phase(phase), Action::Stall)
    }

    /// Cuts the connection when exactly this many bytes have been sent to the client.
    #[must_use]
    pub fn cut_after(bytes_sent: u64, how: Cut) -> Self {
        Self::new(Trigger::BytesSent(bytes_sent), Action::Cut(how))
    }

    /// Falls silent when exactly this many bytes have been sent to the client.
    #[must_use]
    pub fn stall_after(bytes_sent: u64) -> Self {
        Self::new(Trigger::BytesSent(bytes_sent), Action::Stall)
    }

    /// Cuts the connection when this many bytes, or a few more, have been received from the client.
    #[must_use]
    pub fn cut_after_received(bytes: u64, how: Cut) -> Self {
        Self::new(Trigger::BytesReceived(bytes), Action::Cut(how))
    }

    /// Falls silent when this many bytes, or a few more, have been received from the client.
    #[must_use]
    pub fn stall_after_received(bytes: u64) -> Self {
        Self::new(Trigger::BytesReceived(bytes), Action::Stall)
    }

    /// Leaves a channel open unanswered, while all else on the connection goes on.
    #[must_use]
    pub fn withhold_channel_open() -> Self {
        Self::new(Trigger::Phase(Phase::ChannelOpen), Action::Withhold)
    }

    /// Leaves a request for a command, shell or subsystem unanswered (and does not run it), while all else goes on.
    #[must_use]
    pub fn withhold_request() -> Self {
        Self::new(Trigger::Phase(Phase::Request), Action::Withhold)
    }

    /// Refuses a channel as OpenSSH does past its MaxSessions: reason code 2 and the text "open failed".
    #[must_use]
    pub fn refuse_channel() -> Self {
        Self::refuse_channel_with(2, "open failed")
    }

    /// Refuses a channel with this reason code (RFC 4254 section 5.1) and text.
    #[must_use]
    pub fn refuse_channel_with(code: u32, text: impl Into<String>) -> Self {
        Self::new(Trigger::Phase(Phase::ChannelOpen), Action::Refuse { code, text: text.into() })
    }

    /// Only on the n-th connection the server accepts, counted from 1.
    #[must_use]
    pub fn on_connection(mut self, n: usize) -> Self {
        self.connection = Some(n);
        self
    }

    /// Only the n-th time its turn comes, counted from 1.
    #[must_use]
    pub fn nth(mut self, n: usize) -> Self {
        self.nth = Some(n);
        self
    }

    /// Only the first time its turn comes.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.limit = Some(1);
        self
    }

    fn new(trigger: Trigger, action: Action) -> Self {
        Self { trigger, action, connection: None, nth: None, limit: None }
    }

    fn matches_connection(&self, connection: usize) -> bool {
        self.connection.is_none_or(|wanted| wanted == connection)
    }
}

/// As the error about an unfired fault names it.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.action {
            Action::Cut(how) => write!(f, "cut ({how})")?,
            Action::Stall => f.write_str("stall")?,
            Action::Withhold => f.write_str("no answer")?,
            Action::Refuse { code, text } => write!(f, "refusal (code {code}, {text:?})")?,
        }
        match self.trigger {
            Trigger::Phase(phase) => write!(f, " in phase {phase}")?,
            Trigger::BytesSent(bytes) => write!(f, " after {bytes} bytes sent")?,
            Trigger::BytesReceived(bytes) => write!(f, " after {bytes} bytes received")?,
        }
        if let Some(n) = self.connection {
            write!(f, " on connection {n}")?;
        }
        if let Some(n) = self.nth {
            write!(f, ", time {n}")?;
        }
        Ok(())
    }
}

/// All faults of one server, and how often each has struck.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    armed: Mutex<Vec<Armed>>,
}

#[derive(Debug)]
struct Armed {
    fault: Fault,
    seen: usize,
    fired: usize,
}

/// A fault that strikes when a number of bytes has passed one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ByteFault {
    pub(crate) after: u64,
    pub(crate) action: Action,
    index: usize,
}

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        self.lock().push(Armed { fault, seen: 0, fired: 0 });
    }

    /// Forgets faults that have not fired.
    pub(crate) fn forgive(&self) {
        self.lock().retain(|armed| armed.fired > 0);
    }

    /// What to do now that `connection` (counted from 1) has reached `phase`.
    pub(crate) fn strike(&self, phase: Phase, connection: usize) -> Option<Action> {
        let mut armed = self.lock();
        armed
            .iter_mut()
            .filter(|armed| armed.fault.trigger == Trigger::Phase(phase))
            .find_map(|armed| armed.turn(connection))
    }

    /// Whether a fault waits for this phase on this connection.
    pub(crate) fn watches(&self, phase: Phase, connection: usize) -> bool {
        self.lock().iter().any(|armed| {
            armed.fault.trigger == Trigger::Phase(phase) && armed.fault.matches_connection(connection)
        })
    }

    /// The faults that strike `connection` by bytes sent to it, given where its identification line ends.
    ///
    /// The phases before the key exchange are such: accept is 0 bytes, banner half a line, key exchange a whole one.
    pub(crate) fn by_bytes_sent(&self, connection: usize, identification: usize) -> Vec<ByteFault> {
        let line = identification as u64;
        self.by_bytes(connection, |trigger| match trigger {
            Trigger::Phase(Phase::Accept) => Some(0),
            Trigger::Phase(Phase::Banner) => Some(line / 2),
            Trigger::Phase(Phase::KeyExchange) => Some(line),
            Trigger::BytesSent(bytes) => Some(bytes),
            _ => None,
        })
    }

    /// The faults that strike `connection` by bytes received from it.
    pub(crate) fn by_bytes_received(&self, connection: usize) -> Vec<ByteFault> {
        self.by_bytes(connection, |trigger| match trigger {
            Trigger::BytesReceived(bytes) => Some(bytes),
            _ => None,
        })
    }

    /// Notes that a byte fault's turn has come; says whether it strikes.
    pub(crate) fn strike_bytes(&self, fault: &ByteFault, connection: usize) -> Option<Action> {
        self.lock().get_mut(fault.index).and_then(|armed| armed.turn(connection))
    }

    /// How many faults have struck, all together.
    pub(crate) fn fired(&self) -> usize {
        self.lock().iter().map(|armed| armed.fired).sum()
    }

    /// An error that names the faults which never struck.
    pub(crate) fn verify(&self) -> Result<(), Error> {
        let unfired: Vec<String> = self
            .lock()
            .iter()
            .filter(|armed| armed.fired == 0)
            .map(|armed| armed.fault.to_string())
            .collect();
        if unfired.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Expectation,
            format!(
                "scripted, but never happened: {}; drive the client there, or call expect_unfired()",
                unfired.join("; ")
            ),
        ))
    }

    fn by_bytes(&self, connection: usize, after: impl Fn(Trigger) -> Option<u64>) -> Vec<ByteFault> {
        let mut faults: Vec<ByteFault> = self
            .lock()
            .iter()
            .enumerate()
            .filter(|(_, armed)| armed.fault.matches_connection(connection))
            .filter_map(|(index, armed)| {
                let after = after(armed.fault.trigger)?;
                Some(ByteFault { after, action: armed.fault.action.clone(), index })
            })
            .collect();
        faults.sort_by_key(|fault| fault.after);
        faults
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Armed>> {
        self.armed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Armed {
    fn turn(&mut self, connection: usize) -> Option<Action> {
        if !self.fault.matches_connection(connection) {
            return None;
        }
        self.seen += 1;
        if self.fault.nth.is_some_and(|n| n != self.seen) || self.fault.limit.is_some_and(|n| self.fired >= n)
        {
            return None;
        }
        self.fired += 1;
        Some(self.fault.action.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_strikes_only_its_connection_and_turn() {
        let faults = Faults::default();
        faults.add(Fault::refuse_channel().on_connection(2).nth(2));
        assert_eq!(faults.strike(Phase::ChannelOpen, 1), None);
        assert_eq!(faults.strike(Phase::ChannelOpen, 2), None);
        assert!(matches!(faults.strike(Phase::ChannelOpen, 2), Some(Action::Refuse { code: 2, .. })));
        assert_eq!(faults.strike(Phase::ChannelOpen, 2), None);
        assert!(faults.verify().is_ok());
    }

    #[test]
    fn unfired_fault_is_named_until_forgiven() {
        let faults = Faults::default();
        faults.add(Fault::cut(Phase::Request, Cut::Rst).on_connection(3));
        let error = faults.verify().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Expectation);
        assert!(error.to_string().contains("cut (RST) in phase request on connection 3"), "{error}");
        faults.forgive();
        assert!(faults.verify().is_ok());
    }

    #[test]
    fn phases_before_the_key_exchange_are_byte_positions() {
        let faults = Faults::default();
        faults.add(Fault::stall(Phase::KeyExchange));
        faults.add(Fault::stall(Phase::Banner));
        let positions: Vec<u64> = faults.by_bytes_sent(1, 20).iter().map(|fault| fault.after).collect();
        assert_eq!(positions, [10, 20]);
    }
}
