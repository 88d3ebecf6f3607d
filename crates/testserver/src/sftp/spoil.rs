//! What faults make of a reply.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustle_sftp_proto::{Attributes, Error, Handle, NameEntry, Reply, Request, ServerPacket};

use crate::fault::{SftpFault, SftpFaultKind, SftpRequest};

/// A reply that faults changed.
pub(super) struct Spoiled {
    /// What to send.
    pub(super) bytes: Bytes,
    pub(super) sending: Sending,
    /// How long to wait before it.
    pub(super) delay: Duration,
}

/// How a spoiled reply is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sending {
    Never,
    /// After the next reply.
    Later,
    Twice,
    Once,
}

/// Whether the fault has something to do with this reply: what is wrong with it otherwise is no matter.
pub(super) fn concerns(fault: &SftpFault, packet: &ServerPacket) -> bool {
    let reply = match packet {
        ServerPacket::Version(_) => None,
        ServerPacket::Reply { reply, .. } => Some(reply),
    };
    match (&fault.kind, reply) {
        // Those come before there is a reply.
        (SftpFaultKind::Status { .. } | SftpFaultKind::CloseChannel, _) => false,
        (SftpFaultKind::WrongId, reply) => reply.is_some(),
        (SftpFaultKind::Name(_), reply) => matches!(reply, Some(Reply::Name(_))),
        (SftpFaultKind::ShortRead(most), Some(Reply::Data(data))) => data.len() > *most,
        (SftpFaultKind::ShortRead(_), _) => false,
        (SftpFaultKind::LengthPastEnd, Some(Reply::Name(names))) => !names.is_empty(),
        (SftpFaultKind::LengthPastEnd, Some(Reply::Extended(_) | Reply::Unknown { .. })) => false,
        (SftpFaultKind::Delay(time), _) => !time.is_zero(),
        _ => true,
    }
}

/// A reply in the hands of its faults, one after the other. One that would undo what another has done, or that finds
/// nothing left to do, does nothing: then it has not struck.
pub(super) struct Spoiler {
    packet: ServerPacket,
    delay: Duration,
    /// What has been done to it.
    sending: Option<Sending>,
    id: Left,
    content: Left,
    length_inside: Left,
    length: Option<u32>,
    outbox: Outgoing,
}

/// Whether something of a reply is still as it was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Alone,
    Changed,
}

/// Whether a reply is held back already: one at a time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outgoing {
    Free,
    HoldsOne,
}

impl Spoiler {
    pub(super) fn new(packet: ServerPacket, outbox: Outgoing) -> Self {
        Self {
            packet,
            delay: Duration::ZERO,
            sending: None,
            id: Left::Alone,
            content: Left::Alone,
            length_inside: Left::Alone,
            length: None,
            outbox,
        }
    }

    /// Lets a fault that [`concerns`] the reply do its work; says whether that made a difference.
    pub(super) fn take(&mut self, fault: &SftpFault) -> bool {
        if let SftpFaultKind::Delay(time) = fault.kind {
            // Of a lost reply too: those after it are late.
            self.delay = self.delay.saturating_add(time);
            return true;
        }
        if self.sending == Some(Sending::Never) {
            return false;
        }
        match &fault.kind {
            // What others have made of it would not be seen.
            SftpFaultKind::LoseReply => self.is_untouched() && self.send(Sending::Never),
            SftpFaultKind::HoldReply => self.outbox == Outgoing::Free && self.send(Sending::Later),
            SftpFaultKind::DuplicateReply => self.send(Sending::Twice),
            SftpFaultKind::PacketLength(length) => {
                let differs = self.length.is_none() && self.is_another_length(*length);
                if differs {
                    self.length = Some(*length);
                }
                differs
            }
            SftpFaultKind::LengthPastEnd => {
                let can = self.length_inside == Left::Alone && concerns(fault, &self.packet);
                if can {
                    self.length_inside = Left::Changed;
                }
                can
            }
            kind => self.change(kind),
        }
    }

    /// The reply as it goes out.
    pub(super) fn finish(self) -> Result<Spoiled, Error> {
        let mut bytes = self.packet.encode()?.to_bytes();
        if self.length_inside == Left::Changed {
            bytes = past_end(&self.packet, &bytes);
        }
        if let Some(length) = self.length {
            bytes = overwritten(&bytes, 0, length.to_be_bytes());
        }
        Ok(Spoiled { bytes, sending: self.sending.unwrap_or(Sending::Once), delay: self.delay })
    }

    fn is_untouched(&self) -> bool {
        let parts = [self.id, self.content, self.length_inside];
        self.length.is_none() && parts.iter().all(|part| *part == Left::Alone)
    }

    fn send(&mut self, sending: Sending) -> bool {
        let first = self.sending.is_none();
        if first {
            self.sending = Some(sending);
        }
        first
    }

    fn is_another_length(&self, length: u32) -> bool {
        self.packet.encode().is_ok_and(|frame| {
            let own = frame.to_bytes();
            own.get(..4) != Some(&length.to_be_bytes()[..])
        })
    }

    /// Faults that change the packet's value.
    fn change(&mut self, kind: &SftpFaultKind) -> bool {
        // A VERSION has no id.
        let (id, reply) = match &mut self.packet {
            ServerPacket::Reply { id, reply } => (id, reply),
            ServerPacket::Version(_) if *kind == SftpFaultKind::WrongKind => {
                self.packet = ServerPacket::Reply { id: 0, reply: wrong_kind(None) };
                self.content = Left::Changed;
                return true;
            }
            ServerPacket::Version(_) => return false,
        };
        match (kind, &mut *reply) {
            (SftpFaultKind::WrongId, _) if self.id == Left::Alone => {
                *id ^= 1 << 31;
                self.id = Left::Changed;
                return true;
            }
            (SftpFaultKind::WrongKind, _) if self.content == Left::Alone => *reply = wrong_kind(Some(reply)),
            // Each is one more.
            (SftpFaultKind::Name(name), Reply::Name(names)) => {
                let attributes = Attributes::new().with_permissions(0o100_644).with_size(0);
                names.insert(0, NameEntry::new(name.clone(), Bytes::new(), attributes));
            }
            (SftpFaultKind::ShortRead(most), Reply::Data(data))
                if self.content == Left::Alone && data.len() > *most =>
            {
                data.truncate(*most);
            }
            _ => return false,
        }
        self.content = Left::Changed;
        true
    }
}

/// What answers no such request: a HANDLE, or ATTRS in place of one.
fn wrong_kind(right: Option<&Reply>) -> Reply {
    match right {
        Some(Reply::Handle(_)) => Reply::Attributes(Attributes::new()),
        _ => Reply::Handle(Handle::new(&b"wrong"[..])),
    }
}

/// The first string of the packet gets one byte more than the packet has left.
fn past_end(packet: &ServerPacket, bytes: &Bytes) -> Bytes {
    /// Length, type and id.
    const HEADER: usize = 9;
    let field = match packet {
        // After the code, and after the count.
        ServerPacket::Reply { reply: Reply::Status(_) | Reply::Name(_), .. } => HEADER + 4,
        ServerPacket::Reply { reply: Reply::Attributes(_), .. } => {
            // ATTRS have no string but in an extended attribute: one, whose name has a byte more than there is.
            let flags =
                bytes.get(HEADER..HEADER + 4).and_then(|flags| flags.try_into().ok()).unwrap_or_default();
            let flags = u32::from_be_bytes(flags) | 0x8000_0000;
            let bytes = overwritten(bytes, HEADER, flags.to_be_bytes());
            return longer(&bytes, &[0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 0]);
        }
        ServerPacket::Reply { .. } => HEADER,
        // One more extension.
        ServerPacket::Version(_) => return longer(bytes, &[0, 0, 0, 1]),
    };
    let past = u32::try_from(bytes.len().saturating_sub(field + 4) + 1).unwrap_or(u32::MAX);
    overwritten(bytes, field, past.to_be_bytes())
}

fn overwritten(bytes: &Bytes, at: usize, field: [u8; 4]) -> Bytes {
    let mut bytes = BytesMut::from(&bytes[..]);
    if let Some(place) = bytes.get_mut(at..at + 4) {
        place.copy_from_slice(&field);
    }
    bytes.freeze()
}

/// With more at its end, and a packet length that says so.
fn longer(bytes: &Bytes, more: &[u8]) -> Bytes {
    let all = Bytes::from([&bytes[..], more].concat());
    let length = u32::try_from(all.len().saturating_sub(4)).unwrap_or(u32::MAX);
    overwritten(&all, 0, length.to_be_bytes())
}

/// The sort of a request, for the faults that wait for it.
pub(super) fn sort(request: &Request) -> SftpRequest {
    match request {
        Request::Open { .. } => SftpRequest::Open,
        Request::Close { .. } => SftpRequest::Close,
        Request::Read { .. } => SftpRequest::Read,
        Request::Write { .. } => SftpRequest::Write,
        Request::Lstat { .. } => SftpRequest::Lstat,
        Request::Fstat { .. } => SftpRequest::Fstat,
        Request::SetStat { .. } => SftpRequest::SetStat,
        Request::FsetStat { .. } => SftpRequest::FsetStat,
        Request::OpenDir { .. } => SftpRequest::OpenDir,
        Request::ReadDir { .. } => SftpRequest::ReadDir,
        Request::Remove { .. } => SftpRequest::Remove,
        Request::MkDir { .. } => SftpRequest::MkDir,
        Request::RmDir { .. } => SftpRequest::RmDir,
        Request::RealPath { .. } => SftpRequest::RealPath,
        Request::Stat { .. } => SftpRequest::Stat,
        Request::Rename { .. } => SftpRequest::Rename,
        Request::ReadLink { .. } => SftpRequest::ReadLink,
        Request::Symlink { .. } => SftpRequest::Symlink,
        Request::Extended(_) => SftpRequest::Extended,
        // A type of no name is for those faults that are for any.
        _ => SftpRequest::Any,
    }
}

#[cfg(test)]
mod tests {
    use rustle_sftp_proto::{ErrorKind, Hello, Limits, Status, StatusCode};

    use super::*;

    /// What the faults make of a packet, and which of them struck.
    fn spoil(faults: &[SftpFault], packet: ServerPacket) -> (Spoiled, Vec<bool>) {
        spoil_beside(Outgoing::Free, faults, packet)
    }

    fn spoil_beside(outbox: Outgoing, faults: &[SftpFault], packet: ServerPacket) -> (Spoiled, Vec<bool>) {
        let mut spoiler = Spoiler::new(packet, outbox);
        let struck = faults.iter().map(|fault| spoiler.take(fault)).collect();
        (spoiler.finish().unwrap(), struck)
    }

    fn data() -> ServerPacket {
        ServerPacket::Reply { id: 5, reply: Reply::Data(Bytes::from_static(b"data")) }
    }

    fn replies() -> Vec<Reply> {
        vec![
            Reply::Status(Status::new(StatusCode::FAILURE, "no")),
            Reply::Handle(Handle::new("h")),
            Reply::Data(Bytes::from_static(b"data")),
            Reply::Name(vec![NameEntry::path("/")]),
            Reply::Attributes(Attributes::new().with_size(3)),
        ]
    }

    #[test]
    fn a_length_past_the_end_is_one_in_every_reply() {
        let versions = [ServerPacket::Version(Hello::new())];
        let replies = replies().into_iter().map(|reply| ServerPacket::Reply { id: 1, reply });
        for packet in replies.chain(versions) {
            let fault = SftpFault::length_past_end();
            assert!(concerns(&fault, &packet));
            let bytes = spoil(&[fault], packet.clone()).0.bytes;
            let length = u32::from_be_bytes(bytes[..4].try_into().unwrap());
            assert_eq!(length as usize, bytes.len() - 4, "the packet itself is whole: {packet:?}");
            let error = ServerPacket::decode(bytes.slice(4..), &Limits::default()).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Truncated { .. }), "{packet:?}: {error}");
        }
    }

    #[test]
    fn faults_of_one_reply_add_up() {
        let seconds = Duration::from_secs;
        let faults = [
            SftpFault::duplicate_reply(),
            SftpFault::delay(seconds(1)),
            SftpFault::short_read(2),
            SftpFault::wrong_id(),
            SftpFault::delay(seconds(2)),
        ];
        let (spoiled, struck) = spoil(&faults, data());
        assert_eq!(struck, [true; 5]);
        assert_eq!((spoiled.sending, spoiled.delay), (Sending::Twice, seconds(3)));
        assert_eq!(spoiled.bytes, &b"\0\0\0\x0b\x67\x80\0\0\x05\0\0\0\x02da"[..]);
    }

    #[test]
    fn a_wrong_kind_is_another_one() {
        for reply in replies() {
            let kind = reply.kind();
            let packet = ServerPacket::Reply { id: 9, reply };
            let bytes = spoil(&[SftpFault::wrong_kind()], packet).0.bytes;
            let read = ServerPacket::decode(bytes.slice(4..), &Limits::default()).unwrap();
            let ServerPacket::Reply { id: 9, reply } = read else { panic!("{read:?}") };
            assert_ne!(reply.kind(), kind);
        }
    }
    /// Of two that contradict each other the first strikes, and the second has not struck.
    #[test]
    fn the_first_of_two_that_exclude_each_other_strikes() {
        let lost = SftpFault::lose_reply;
        let pairs = [
            (lost(), SftpFault::wrong_id()),
            (lost(), SftpFault::wrong_kind()),
            (lost(), SftpFault::short_read(1)),
            (lost(), SftpFault::length_past_end()),
            (lost(), SftpFault::packet_length(1)),
            (lost(), SftpFault::duplicate_reply()),
            (lost(), SftpFault::hold_reply()),
            (SftpFault::duplicate_reply(), SftpFault::hold_reply()),
            (SftpFault::wrong_kind(), SftpFault::short_read(1)),
            (SftpFault::wrong_kind(), SftpFault::wrong_kind()),
            (SftpFault::wrong_id(), SftpFault::wrong_id()),
            (SftpFault::short_read(3), SftpFault::short_read(1)),
            (SftpFault::packet_length(1), SftpFault::packet_length(2)),
            (SftpFault::length_past_end(), SftpFault::length_past_end()),
        ];
        for (one, other) in pairs {
            for faults in [[one.clone(), other.clone()], [other, one]] {
                let alone = spoil(&faults[..1], data()).0;
                let (spoiled, struck) = spoil(&faults, data());
                assert_eq!(struck, [true, false], "{faults:?}");
                assert_eq!((spoiled.sending, spoiled.bytes), (alone.sending, alone.bytes), "{faults:?}");
            }
        }
    }

    #[test]
    fn a_delay_strikes_with_whatever_else_does() {
        let late = SftpFault::delay(Duration::from_secs(1));
        for faults in [[SftpFault::lose_reply(), late.clone()], [late, SftpFault::lose_reply()]] {
            let (spoiled, struck) = spoil(&faults, data());
            assert_eq!((spoiled.sending, struck), (Sending::Never, vec![true, true]));
            assert_eq!(spoiled.delay, Duration::from_secs(1));
        }
    }

    #[test]
    fn a_name_strikes_where_names_are_left() {
        let names = || ServerPacket::Reply { id: 5, reply: Reply::Name(vec![NameEntry::path("/")]) };
        let (name, other) = (SftpFault::name("x"), SftpFault::wrong_kind());
        assert_eq!(spoil(&[name.clone(), SftpFault::name("y")], names()).1, [true, true]);
        assert_eq!(spoil(&[name.clone(), other.clone()], names()).1, [true, false]);
        assert_eq!(spoil(&[other, name], names()).1, [true, false]);
    }

    #[test]
    fn what_changes_nothing_does_not_strike() {
        let own = u32::try_from(data().encode().unwrap().to_bytes().len() - 4).unwrap();
        assert_eq!(spoil(&[SftpFault::packet_length(own)], data()).1, [false]);
        assert!(!concerns(&SftpFault::delay(Duration::ZERO), &data()));
        // The one that is held waits for this reply.
        let (spoiled, struck) = spoil_beside(Outgoing::HoldsOne, &[SftpFault::hold_reply()], data());
        assert_eq!((spoiled.sending, struck), (Sending::Once, vec![false]));
    }
}
