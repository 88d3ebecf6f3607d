//! What only the raw peer can do wrong: faults by SSH message, and those of channels and logins that no proper server
//! would be guilty of.

use std::fmt;

use bytes::Bytes;

use crate::{
    fault::{Action, Fault, Trigger},
    raw::{
        message,
        transport::{Cover, Emission, Flaw, Integrity, Tamper},
    },
    server::Shared,
};

/// The moments at which the raw peer asks for its faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// A message of this number is about to be sent.
    Message(u8),
    /// The client has shown a password that is right.
    Password,
    /// The client opens a channel: may it?
    Open,
    /// A channel is being opened: with which window and packets?
    Terms,
    /// The client asks for a command, a shell or a subsystem.
    Request,
}

/// What the raw peer does wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrong {
    Damage(Damage),
    ChangePassword { prompt: String },
    Refuse { code: u32, text: String, language: String },
    Window { bytes: u32, adjust: Adjust },
    MaxPacket(u32),
    DataPacket(usize),
    Answer(RequestAnswer),
}

/// When the client gets more window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adjust {
    AsUsed,
    Never,
    /// When the window is used up, so many bytes.
    By(u32),
}

/// How a request for a command, a shell or a subsystem that wants a reply is answered;
/// see [`Fault::answer_request`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestAnswer {
    /// `CHANNEL_FAILURE`, and nothing runs.
    Failure,
    /// No answer, while it runs as if there had been one.
    Nothing,
    /// `CHANNEL_SUCCESS` twice.
    Twice,
    /// `CHANNEL_SUCCESS`, then `CHANNEL_FAILURE`, while it runs.
    Both,
    /// `CHANNEL_SUCCESS` after all of the output, before the exit status.
    AfterOutput,
}

/// What is done to a message on its way out; see [`Fault::message`].
///
/// ```
/// use rustle_testserver::{Damage, Fault, message};
///
/// // Every window adjustment is lost.
/// let starved = Fault::message(message::CHANNEL_WINDOW_ADJUST, Damage::dropped());
/// // The exit status comes after the end of the output: EOF and exit status change places.
/// let swapped = Fault::message(message::CHANNEL_REQUEST, Damage::swapped()).once();
/// // The third packet of data claims to hold 4 GiB: the string after the number and the channel's number.
/// let boasting = Fault::message(message::CHANNEL_DATA, Damage::string_length(5, u32::MAX)).nth(3);
/// // A thousand messages to be ignored, before the first answer to a login.
/// let storm = Fault::message(message::SERVICE_ACCEPT, Damage::after(message::ignore("noise"), 1000));
/// // A packet that says it is longer than any may be, and one whose tag is wrong.
/// let long = Fault::message(message::USERAUTH_SUCCESS, Damage::packet_length(35_001));
/// let forged = Fault::message(message::CHANNEL_DATA, Damage::corrupt_tag()).nth(2).on_connection(1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Drop,
    Duplicate,
    Swap,
    Truncate(usize),
    Append(Bytes),
    Replace(Bytes),
    Before(Bytes, usize),
    After(Bytes, usize),
    StringLength(usize, u32),
    PacketLength(u32),
    CorruptTag,
}

impl Damage {
    /// It is never sent.
    #[must_use]
    pub fn dropped() -> Self {
        Self::new(Kind::Drop)
    }

    /// It is sent twice.
    #[must_use]
    pub fn duplicated() -> Self {
        Self::new(Kind::Duplicate)
    }

    /// It is sent after the message that follows it; if none does, never. That one stays where it is, whatever its
    /// number: of three that match, the first two change places.
    #[must_use]
    pub fn swapped() -> Self {
        Self::new(Kind::Swap)
    }

    /// Only the first so many bytes of its payload are sent. None at all is a packet without a message number.
    #[must_use]
    pub fn truncated(bytes: usize) -> Self {
        Self::new(Kind::Truncate(bytes))
    }

    /// These bytes are sent behind its payload, in the same packet.
    #[must_use]
    pub fn appended(bytes: impl Into<Bytes>) -> Self {
        Self::new(Kind::Append(bytes.into()))
    }

    /// This payload is sent in its place.
    ///
    /// ```
    /// use rustle_testserver::{Damage, Fault, message};
    ///
    /// let garbled = [
    ///     Fault::message(message::CHANNEL_SUCCESS, Damage::truncated(2)),
    ///     Fault::message(message::CHANNEL_DATA, Damage::appended(vec![0; 4])).nth(2),
    ///     Fault::message(message::CHANNEL_OPEN_CONFIRMATION, Damage::replaced(vec![250, 1, 2, 3])).once(),
    /// ];
    /// ```
    #[must_use]
    pub fn replaced(payload: impl Into<Bytes>) -> Self {
        Self::new(Kind::Replace(payload.into()))
    }

    /// This payload is sent before it, so many times.
    #[must_use]
    pub fn before(payload: impl Into<Bytes>, times: usize) -> Self {
        Self::new(Kind::Before(payload.into(), times))
    }

    /// This payload is sent after it, so many times.
    #[must_use]
    pub fn after(payload: impl Into<Bytes>, times: usize) -> Self {
        Self::new(Kind::After(payload.into(), times))
    }

    /// The four bytes of its payload from `offset` on (the message number is at 0), where a string says how long it is,
    /// say this. A payload too short to have them stays as it is, and the fault has not struck.
    #[must_use]
    pub fn string_length(offset: usize, length: u32) -> Self {
        Self::new(Kind::StringLength(offset, length))
    }

    /// Its packet says that it is so long, whatever is in it: 0, 1, no multiple of the cipher's block, more than the
    /// 35000 bytes of RFC 4253 section 6.1, or 4 GiB less one.
    #[must_use]
    pub fn packet_length(length: u32) -> Self {
        Self::new(Kind::PacketLength(length))
    }

    /// One bit of its packet's MAC, or tag, is wrong. Packets before the first keys have none: those stay as they are, and
    /// the fault has not struck.
    #[must_use]
    pub fn corrupt_tag() -> Self {
        Self::new(Kind::CorruptTag)
    }

    fn new(kind: Kind) -> Self {
        Self { kind }
    }

    /// Does it to all that is about to be sent in place of one message; says whether that changes anything.
    fn apply(&self, emissions: &mut Vec<Emission>, cover: Cover) -> bool {
        let added = |payload: &Bytes, times: usize| {
            std::iter::repeat_with(|| Emission::added(payload.to_vec())).take(times).collect::<Vec<_>>()
        };
        let before = emissions.clone();
        match &self.kind {
            Kind::Drop => emissions.clear(),
            Kind::Duplicate => {
                let again: Vec<_> =
                    emissions.iter().map(|one| Emission::added(one.payload.clone())).collect();
                emissions.extend(again);
            }
            // Done by whoever sees the next message too.
            Kind::Swap => {}
            Kind::CorruptTag if cover == Cover::Bare => {}
            Kind::Before(payload, times) => drop(emissions.splice(..0, added(payload, *times))),
            Kind::After(payload, times) => emissions.extend(added(payload, *times)),
            _ => {
                for emission in emissions.iter_mut().filter(|one| one.origin.is_message()) {
                    self.deform(&mut emission.payload, &mut emission.flaw);
                }
            }
        }
        *emissions != before
    }

    fn deform(&self, payload: &mut Vec<u8>, flaw: &mut Flaw) {
        match &self.kind {
            Kind::Truncate(bytes) => payload.truncate(*bytes),
            Kind::Append(bytes) => payload.extend_from_slice(bytes),
            Kind::Replace(other) => *payload = other.to_vec(),
            Kind::StringLength(offset, length) => {
                if let Some(field) = payload.get_mut(*offset..).and_then(|rest| rest.get_mut(..4)) {
                    field.copy_from_slice(&length.to_be_bytes());
                }
            }
            Kind::PacketLength(length) => flaw.length = Some(*length),
            Kind::CorruptTag => flaw.integrity = Integrity::Corrupt,
            Kind::Drop | Kind::Duplicate | Kind::Swap | Kind::Before(..) | Kind::After(..) => {}
        }
    }
}

/// Faults of the raw peer. A server without [`Builder::raw_peer`](crate::Builder::raw_peer) refuses to start with
/// them; added to one that runs, they never fire.
///
/// ```
/// use rustle_testserver::{Fault, RequestAnswer};
///
/// let frozen = Fault::frozen_window(64 * 1024);
/// let drop_by_drop = Fault::tiny_window(1);
/// let crumbs = Fault::data_packets(7);
/// let small = Fault::max_packet(1024);
/// let polite = Fault::refuse_channel_in_language(1, "Heute nicht", "de").nth(2);
/// let late = Fault::answer_request(RequestAnswer::AfterOutput).once();
/// let expired = Fault::change_password("Your password has expired.\nNew password: ").once();
/// ```
impl Fault {
    /// Does this to each message of this number (see [`message`](crate::message)) that the server sends.
    ///
    /// `nth` counts the messages of that number on all connections, or on the one of `on_connection`. Several faults may
    /// meet in one message: each is done to what the ones before it left, and one that finds nothing to change there has
    /// not struck. Messages of a key exchange are messages too;
    /// whatever happens to a `NEWKEYS`, the server's new keys come into use where it would have been sent.
    #[must_use]
    pub fn message(number: u8, damage: Damage) -> Self {
        Self::raw(Point::Message(number), Wrong::Damage(damage))
    }

    /// Grants a channel this window, in bytes, and never any more.
    #[must_use]
    pub fn frozen_window(bytes: u32) -> Self {
        Self::raw(Point::Terms, Wrong::Window { bytes, adjust: Adjust::Never })
    }

    /// Grants a channel a window of so many bytes, and as many again each time it is used up.
    #[must_use]
    pub fn tiny_window(bytes: u32) -> Self {
        Self::raw(Point::Terms, Wrong::Window { bytes, adjust: Adjust::By(bytes) })
    }

    /// Says of a channel that the client may send at most so many bytes of data in one packet. OpenSSH says 32 KiB, and
    /// so does this server otherwise.
    #[must_use]
    pub fn max_packet(bytes: u32) -> Self {
        Self::raw(Point::Terms, Wrong::MaxPacket(bytes))
    }

    /// Sends at most so many bytes of data in one packet on a channel; at least one.
    #[must_use]
    pub fn data_packets(bytes: usize) -> Self {
        Self::raw(Point::Terms, Wrong::DataPacket(bytes))
    }

    /// Refuses a channel with this reason code (RFC 4254 section 5.1), text, and tag of the text's language (RFC 3066).
    #[must_use]
    pub fn refuse_channel_in_language(
        code: u32,
        text: impl Into<String>,
        language: impl Into<String>,
    ) -> Self {
        Self::raw(Point::Open, Wrong::Refuse { code, text: text.into(), language: language.into() })
    }

    /// Answers a request for a command, a shell or a subsystem in this way.
    #[must_use]
    pub fn answer_request(answer: RequestAnswer) -> Self {
        Self::raw(Point::Request, Wrong::Answer(answer))
    }

    /// Answers a right password by asking for a new one (`SSH_MSG_USERAUTH_PASSWD_CHANGEREQ`, RFC 4252 section 8).
    ///
    /// The change is accepted if it shows the right old password and a new one that is another and not empty, which then
    /// holds in its place; for a new one that will not do the server asks again. A password that has expired is asked
    /// for in this way by the raw peer without any fault.
    #[must_use]
    pub fn change_password(prompt: impl Into<String>) -> Self {
        Self::raw(Point::Password, Wrong::ChangePassword { prompt: prompt.into() })
    }

    fn raw(point: Point, wrong: Wrong) -> Self {
        Self::new(Trigger::Raw(point), Action::Raw(wrong))
    }
}

impl Shared {
    /// What the raw peer has to do wrong at this point.
    pub(crate) fn wrongs(&self, connection: usize, point: Point) -> Vec<Wrong> {
        let mut wrongs = Vec::new();
        self.strike_wrongs(connection, point, |wrong| {
            wrongs.push(wrong.clone());
            true
        });
        wrongs
    }

    /// Has `act` do what the raw peer has to do wrong at this point, one after the other; what it says it has not done
    /// has not struck.
    pub(crate) fn strike_wrongs(&self, connection: usize, point: Point, act: impl FnMut(&Wrong) -> bool) {
        if self.faults.strike_raw(connection, point, act) > 0 {
            self.keeper.touch();
        }
    }
}

/// Has the faults by message strike.
pub(crate) struct Saboteur {
    shared: std::sync::Arc<Shared>,
    connection: usize,
    /// What waits for the next message to go before it.
    swapped: Vec<Emission>,
}

impl Saboteur {
    pub(crate) fn new(shared: std::sync::Arc<Shared>, connection: usize) -> Self {
        Self { shared, connection, swapped: Vec::new() }
    }
}

impl Tamper for Saboteur {
    fn tamper(&mut self, payload: Vec<u8>, cover: Cover) -> Vec<Emission> {
        let number = payload.first().copied().unwrap_or_default();
        let mut emissions = vec![Emission::message(payload)];
        let waited = std::mem::take(&mut self.swapped);
        let mut swap = false;
        self.shared.strike_wrongs(self.connection, Point::Message(number), |wrong| match wrong {
            // One that another waits for has its place already.
            Wrong::Damage(damage) if damage.kind == Kind::Swap => {
                let swaps = !swap && waited.is_empty() && !emissions.is_empty();
                swap |= swaps;
                swaps
            }
            Wrong::Damage(damage) => damage.apply(&mut emissions, cover),
            _ => false,
        });
        if swap {
            self.swapped = std::mem::take(&mut emissions);
        }
        // What waited is no longer the message of its moment: its keys, if it brought any, are in use already.
        emissions.extend(waited.into_iter().map(|one| Emission { origin: one.origin.late(), ..one }));
        emissions
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(number) => write!(f, "of message {number}"),
            Self::Password => f.write_str("at a right password"),
            Self::Open | Self::Terms => f.write_str("of a channel"),
            Self::Request => f.write_str("of a request"),
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damage(damage) => damage.fmt(f),
            Self::ChangePassword { prompt } => write!(f, "password change ({prompt:?})"),
            Self::Refuse { code, text, language } => {
                write!(f, "refusal (code {code}, {text:?}, language {language:?})")
            }
            Self::Window { bytes, adjust: Adjust::Never } => write!(f, "frozen window ({bytes} bytes)"),
            Self::Window { bytes, .. } => write!(f, "tiny window ({bytes} bytes)"),
            Self::MaxPacket(bytes) => write!(f, "packet limit ({bytes} bytes)"),
            Self::DataPacket(bytes) => write!(f, "small packets ({bytes} bytes)"),
            Self::Answer(answer) => write!(f, "answer {answer:?}"),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Drop => f.write_str("loss"),
            Kind::Duplicate => f.write_str("duplicate"),
            Kind::Swap => f.write_str("swap with the next"),
            Kind::Truncate(bytes) => write!(f, "truncation to {bytes} bytes"),
            Kind::Append(bytes) => write!(f, "{} more bytes", bytes.len()),
            Kind::Replace(bytes) => write!(f, "replacement by {} bytes", bytes.len()),
            Kind::Before(bytes, times) => write!(f, "message {} {times} times ahead", number(bytes)),
            Kind::After(bytes, times) => write!(f, "message {} {times} times in the wake", number(bytes)),
            Kind::StringLength(offset, length) => write!(f, "string length {length} at {offset}"),
            Kind::PacketLength(length) => write!(f, "packet length {length}"),
            Kind::CorruptTag => f.write_str("wrong tag"),
        }
    }
}

fn number(payload: &Bytes) -> u8 {
    payload.first().copied().unwrap_or_default()
}

/// Whether a message may pass before a login is over; RFC 4252 section 6 gives numbers from 80 on to what comes after.
pub(crate) fn needs_login(number: u8) -> bool {
    number >= message::GLOBAL_REQUEST
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payloads(damage: &Damage) -> Vec<Vec<u8>> {
        let mut emissions = vec![Emission::message(vec![94, 0, 0, 0, 1, 0, 0, 0, 2, 7, 7])];
        damage.apply(&mut emissions, Cover::Keyed);
        emissions.into_iter().map(|emission| emission.payload).collect()
    }

    #[test]
    fn each_damage_is_done_as_it_says() {
        let whole = vec![94, 0, 0, 0, 1, 0, 0, 0, 2, 7, 7];
        assert_eq!(payloads(&Damage::dropped()), Vec::<Vec<u8>>::new());
        assert_eq!(payloads(&Damage::duplicated()), [whole.clone(), whole.clone()]);
        assert_eq!(payloads(&Damage::truncated(3)), [vec![94, 0, 0]]);
        assert_eq!(payloads(&Damage::truncated(99)), std::slice::from_ref(&whole));
        assert_eq!(payloads(&Damage::appended(vec![9])), [[whole.as_slice(), &[9]].concat()]);
        assert_eq!(payloads(&Damage::replaced(vec![1, 2])), [vec![1, 2]]);
        assert_eq!(payloads(&Damage::before(vec![5], 2)), [vec![5], vec![5], whole.clone()]);
        assert_eq!(payloads(&Damage::after(vec![5], 1)), [whole.clone(), vec![5]]);
        let boasting = payloads(&Damage::string_length(5, u32::MAX));
        assert_eq!(boasting, [vec![94, 0, 0, 0, 1, 255, 255, 255, 255, 7, 7]]);
        assert_eq!(payloads(&Damage::string_length(8, 1)), [whole]);
    }

    #[test]
    fn damage_that_changes_nothing_has_not_been_done() {
        let whole = vec![94, 0, 0, 0, 1, 0, 0, 0, 2, 7, 7];
        for damage in [
            Damage::truncated(11),
            Damage::appended(vec![]),
            Damage::before(vec![5], 0),
            Damage::after(vec![5], 0),
            Damage::string_length(8, 1),
            Damage::replaced(whole.clone()),
        ] {
            assert!(!damage.apply(&mut vec![Emission::message(whole.clone())], Cover::Keyed), "{damage}");
        }
        let bare = &mut vec![Emission::message(whole.clone())];
        assert!(!Damage::corrupt_tag().apply(bare, Cover::Bare));
        assert_eq!(*bare, [Emission::message(whole.clone())]);
        assert!(Damage::corrupt_tag().apply(bare, Cover::Keyed));
        // What has been dropped can be neither dropped nor deformed.
        for damage in [Damage::dropped(), Damage::duplicated(), Damage::truncated(1), Damage::corrupt_tag()] {
            assert!(!damage.apply(&mut Vec::new(), Cover::Keyed), "{damage}");
        }
    }
}
