//! Faults: what the server does wrong on purpose, when, and whether it did.

mod action;
mod armed;
mod trigger;

use std::fmt;

pub(crate) use action::Action;
pub use action::Cut;
pub(crate) use armed::{Due, Faults};
pub(crate) use trigger::Trigger;
pub use trigger::{Moment, Phase};

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

impl Fault {
    /// Cuts the connection at this moment.
    #[must_use]
    pub fn cut(when: impl Into<Moment>, how: Cut) -> Self {
        Self::new(when.into().0, Action::Cut(how))
    }

    /// Falls silent at this moment, the whole connection, until [`TestServer::resume`](crate::TestServer::resume):
    /// nothing is read any more and nothing sent, while the socket stays open.
    #[must_use]
    pub fn stall(when: impl Into<Moment>) -> Self {
        Self::new(when.into().0, Action::Stall)
    }

    /// Cuts the connection when exactly this many bytes have been sent to the client.
    #[must_use]
    pub fn cut_after(bytes_sent: u64, how: Cut) -> Self {
        Self::cut(Moment::sent(bytes_sent), how)
    }

    /// Falls silent when exactly this many bytes have been sent to the client.
    #[must_use]
    pub fn stall_after(bytes_sent: u64) -> Self {
        Self::stall(Moment::sent(bytes_sent))
    }

    /// Cuts the connection when this many bytes, or a few more, have been received from the client.
    #[must_use]
    pub fn cut_after_received(bytes: u64, how: Cut) -> Self {
        Self::cut(Moment::received(bytes), how)
    }

    /// Falls silent when this many bytes, or a few more, have been received from the client.
    #[must_use]
    pub fn stall_after_received(bytes: u64) -> Self {
        Self::stall(Moment::received(bytes))
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

    /// At most so many times: the first ones.
    #[must_use]
    pub fn times(mut self, n: usize) -> Self {
        self.limit = Some(n);
        self
    }

    /// Only the first time its turn comes.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.limit = Some(1);
        self
    }

    /// For the constructors here and in the files beside this one.
    pub(crate) fn new(trigger: Trigger, action: Action) -> Self {
        Self { trigger, action, connection: None, nth: None, limit: None }
    }

    fn matches_connection(&self, connection: usize) -> bool {
        self.connection.is_none_or(|wanted| wanted == connection)
    }
}

/// As the error about an unfired fault names it.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action, self.trigger)?;
        if let Some(n) = self.connection {
            write!(f, " on connection {n}")?;
        }
        if let Some(n) = self.nth {
            write!(f, ", time {n}")?;
        }
        Ok(())
    }
}
