//! Faults of the wire: bytes that come slowly or changed, and a goodbye.

use std::time::Duration;

use super::{Action, Direction, DisconnectReason, Drip, Farewell, Fault, Moment};

impl Fault {
    /// Cuts the connection so long after it was accepted.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rustle_testserver::{Cut, Fault};
    ///
    /// let after_ten_minutes = Fault::cut_at(Duration::from_secs(600), Cut::Silence);
    /// let asleep = Fault::stall_at(Duration::from_secs(5)).for_time(Duration::from_secs(30));
    /// ```
    #[must_use]
    pub fn cut_at(time: Duration, how: super::Cut) -> Self {
        Self::cut(time, how)
    }

    /// Falls silent so long after the connection was accepted.
    #[must_use]
    pub fn stall_at(time: Duration) -> Self {
        Self::stall(time)
    }

    /// Answers so much later at this moment: a [`stall`](Self::stall) that ends by itself.
    #[must_use]
    pub fn delay(when: impl Into<Moment>, time: Duration) -> Self {
        Self::stall(when).for_time(time)
    }

    /// From this moment on lets only so many bytes (at least one) pass in each interval.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rustle_testserver::{Direction, Fault, Moment, Phase};
    ///
    /// let crawls = Fault::drip(Moment::sent(10_000), Direction::Sent, 1, Duration::from_millis(100));
    /// let slow_reader = Fault::drip(Phase::Data, Direction::Received, 512, Duration::from_secs(1));
    /// let for_a_while = Fault::drip(Phase::Request, Direction::Both, 8, Duration::from_millis(50))
    ///     .for_time(Duration::from_secs(5));
    /// ```
    #[must_use]
    pub fn drip(when: impl Into<Moment>, direction: Direction, bytes: u64, every: Duration) -> Self {
        let drip = Drip { direction, bytes: bytes.max(1), every, lasts: None };
        Self::new(when.into().0, Action::Drip(drip))
    }

    /// Changes the byte at this offset (0 is the first) of those sent to the client, by exclusive or with `mask`.
    /// A mask of 0 would change nothing and stands for 0xff.
    ///
    /// After the key exchange the client finds it out by the message's authentication code, unless the byte
    /// belongs to a length: then it may wait for a message that long.
    ///
    /// ```
    /// use rustle_testserver::Fault;
    ///
    /// let flipped_bit = Fault::corrupt_sent(100_000, 0x01);
    /// ```
    #[must_use]
    pub fn corrupt_sent(offset: u64, mask: u8) -> Self {
        Self::new(Moment::sent(offset).0, Action::Corrupt(Direction::Sent, effective(mask)))
    }

    /// As [`corrupt_sent`](Self::corrupt_sent), of the bytes received from the client: the server finds it out, and
    /// ends the connection without a word.
    ///
    /// ```
    /// use rustle_testserver::{Fault};
    ///
    /// let flipped = Fault::corrupt_received(2000, 0b1000).on_connection(1);
    /// ```
    #[must_use]
    pub fn corrupt_received(offset: u64, mask: u8) -> Self {
        Self::new(Moment::received(offset).0, Action::Corrupt(Direction::Received, effective(mask)))
    }

    /// Says goodbye (SSH_MSG_DISCONNECT, RFC 4253 section 11.1) and leaves.
    ///
    /// - Before [`Phase::KeyExchange`](super::Phase::KeyExchange) there is no way to say anything: the client sees the
    ///   end of the stream.
    /// - In that phase the goodbye comes unencrypted, in the place of the server's first message.
    /// - In [`Phase::Authentication`](super::Phase::Authentication) the attempt is refused first: the base cannot leave it
    ///   unanswered.
    /// - By bytes or time it comes between two messages, when a key exchange under way is over and the client's window
    ///   has room for what waits.
    ///
    /// ```
    /// use rustle_testserver::{DisconnectReason, Fault, Phase};
    ///
    /// let full = Fault::disconnect(Phase::KeyExchange, DisconnectReason::TooManyConnections, "come back later");
    /// let shutting_down = Fault::disconnect(Phase::Request, DisconnectReason::ByApplication, "system going down");
    /// ```
    #[must_use]
    pub fn disconnect(when: impl Into<Moment>, reason: DisconnectReason, text: impl Into<String>) -> Self {
        Self::new(when.into().0, Action::Disconnect(Farewell { reason, text: text.into() }))
    }

    /// Lets a stall, a drip or a withheld answer end by itself after so long. The other faults have no length.
    #[must_use]
    pub fn for_time(mut self, time: Duration) -> Self {
        match &mut self.action {
            Action::Stall(lasts) | Action::Withhold(lasts) => *lasts = Some(time),
            Action::Drip(drip) => drip.lasts = Some(time),
            _ => {}
        }
        self
    }
}

fn effective(mask: u8) -> u8 {
    if mask == 0 { 0xff } else { mask }
}
