//! What is done to a message on its way out.

use std::fmt;

use bytes::Bytes;

use crate::raw::transport::{Cover, Emission, Flaw, Integrity};

/// What is done to a message on its way out; see [`Fault::message`](crate::Fault::message).
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

    /// Whether it is done by whoever sees the next message too.
    pub(super) fn is_swap(&self) -> bool {
        self.kind == Kind::Swap
    }

    /// Does it to all that is about to be sent in place of one message; says whether that changes anything.
    pub(super) fn apply(&self, emissions: &mut Vec<Emission>, cover: Cover) -> bool {
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
