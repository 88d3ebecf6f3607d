//! Faults: what the server does wrong on purpose, when, and whether it did.

mod action;
mod answers;
mod armed;
mod reason;
mod sftp;
mod trigger;
mod wire;

use std::fmt;

pub(crate) use action::{Action, Drip};
pub use action::{Cut, Direction};
pub(crate) use armed::{Due, Faults};
pub use reason::DisconnectReason;
pub(crate) use reason::Farewell;
pub(crate) use sftp::SftpFaultKind;
pub use sftp::{SftpFault, SftpRequest};
pub(crate) use trigger::{Ending, Trigger};
pub use trigger::{Moment, Phase, RequestKind};

/// Something the server does wrong at a [`Moment`], each time its turn comes unless [`once`](Fault::once),
/// [`nth`](Fault::nth) or [`on_connection`](Fault::on_connection) says otherwise.
///
/// A fault that was scripted and never fired is an error: [`TestServer::stop`](crate::TestServer::stop) returns it,
/// and dropping the server panics with it, so that a test cannot pass by missing what it was written for.
///
/// A server takes any number of them, and all whose moment it is strike. Where two contradict each other, a cut wins,
/// then the one given first.
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

    /// Falls silent at this moment, the whole connection, until [`TestServer::resume`](crate::TestServer::resume)
    /// or for [so long](Self::for_time): nothing is read any more and nothing sent, while the socket stays open.
    #[must_use]
    pub fn stall(when: impl Into<Moment>) -> Self {
        Self::new(when.into().0, Action::Stall(None))
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

    /// Cuts the connection when exactly this many bytes have been received from the client.
    #[must_use]
    pub fn cut_after_received(bytes: u64, how: Cut) -> Self {
        Self::cut(Moment::received(bytes), how)
    }

    /// Falls silent when exactly this many bytes have been received from the client.
    #[must_use]
    pub fn stall_after_received(bytes: u64) -> Self {
        Self::stall(Moment::received(bytes))
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
    ///
    /// ```
    /// use rustle_testserver::{Cut, Fault};
    ///
    /// let thrice = [
    ///     Fault::stall_after(1000).times(3),
    ///     Fault::stall_after_received(1000).times(3),
    ///     Fault::cut_after_received(5000, Cut::Fin).times(3),
    /// ];
    /// ```
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

    /// Whether only the raw peer can do this.
    pub(crate) fn needs_raw_peer(&self) -> bool {
        matches!(self.trigger, Trigger::Raw(_))
    }

    /// Whether it strikes one byte, when that passes.
    fn changes_a_byte(&self) -> bool {
        matches!(self.action, Action::Corrupt(..))
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
