//! What faults make of a reply.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustle_sftp_proto::{Attributes, Error, Handle, NameEntry, Reply, Request, ServerPacket, StatusCode};

use crate::fault::{SftpFault, SftpFaultKind, SftpRequest};

/// A reply that faults changed.
pub(super) struct Spoiled {
    /// What to send.
    pub(super) bytes: Bytes,
    pub(super) sending: Sending,
    /// How long to wait before it.
    pub(super) delay: Duration,
}

/// How a spoiled reply is sent. Of several faults, the one first here wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sending {
    Never,
    /// After the next reply.
    Later,
    Twice,
    Once,
}

/// Whether the fault can strike this reply, so that none counts as fired that changed nothing.
pub(super) fn applies(fault: &SftpFault, packet: &ServerPacket) -> bool {
    let reply = match packet {
        ServerPacket::Version(_) => None,
        ServerPacket::Reply { reply, .. } => Some(reply),
    };
    match (&fault.kind, reply) {
        (SftpFaultKind::WrongId, reply) => reply.is_some(),
        (SftpFaultKind::Name(_), reply) => matches!(reply, Some(Reply::Name(_))),
        (SftpFaultKind::ShortRead(most), Some(Reply::Data(data))) => data.len() > *most,
        (SftpFaultKind::ShortRead(_), _) => false,
        (SftpFaultKind::LengthPastEnd, Some(Reply::Name(names))) => !names.is_empty(),
        (SftpFaultKind::LengthPastEnd, Some(Reply::Extended(_) | Reply::Unknown { .. })) => false,
        _ => true,
    }
}

/// Changes a reply as the faults say: its value first, then its bytes. To send it is the caller's.
pub(super) fn spoil(faults: &[SftpFault], mut packet: ServerPacket) -> Result<Spoiled, Error> {
    let mut sending = Sending::Once;
    let mut delay = Duration::ZERO;
    for fault in faults {
        match &fault.kind {
            SftpFaultKind::LoseReply => sending = sending.min(Sending::Never),
            SftpFaultKind::HoldReply => sending = sending.min(Sending::Later),
            SftpFaultKind::DuplicateReply => sending = sending.min(Sending::Twice),
            SftpFaultKind::Delay(time) => delay = delay.saturating_add(*time),
            kind => packet = changed(kind, packet),
        }
    }
    let mut bytes = packet.encode()?.to_bytes();
    if faults.iter().any(|fault| fault.kind == SftpFaultKind::LengthPastEnd) {
        bytes = past_end(&packet, &bytes);
    }
    for fault in faults {
        if let SftpFaultKind::PacketLength(length) = fault.kind {
            bytes = overwritten(&bytes, 0, length.to_be_bytes());
        }
    }
    Ok(Spoiled { bytes, sending, delay })
}

fn changed(kind: &SftpFaultKind, packet: ServerPacket) -> ServerPacket {
    let (id, reply) = match packet {
        ServerPacket::Reply { id, reply } => (id, reply),
        // A VERSION has no id.
        ServerPacket::Version(hello) if *kind != SftpFaultKind::WrongKind => {
            return ServerPacket::Version(hello);
        }
        ServerPacket::Version(_) => (0, StatusCode::OK.into()),
    };
    match (kind, reply) {
        (SftpFaultKind::WrongId, reply) => ServerPacket::Reply { id: id ^ (1 << 31), reply },
        (SftpFaultKind::WrongKind, Reply::Handle(_)) => {
            ServerPacket::Reply { id, reply: Reply::Attributes(Attributes::new()) }
        }
        (SftpFaultKind::WrongKind, _) => {
            ServerPacket::Reply { id, reply: Reply::Handle(Handle::new(&b"wrong"[..])) }
        }
        (SftpFaultKind::Name(name), Reply::Name(mut names)) => {
            let attributes = Attributes::new().with_permissions(0o100_644).with_size(0);
            names.insert(0, NameEntry::new(name.clone(), Bytes::new(), attributes));
            ServerPacket::Reply { id, reply: Reply::Name(names) }
        }
        (SftpFaultKind::ShortRead(most), Reply::Data(data)) => {
            let most = data.len().min(*most);
            ServerPacket::Reply { id, reply: Reply::Data(data.slice(..most)) }
        }
        (_, reply) => ServerPacket::Reply { id, reply },
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
    use rustle_sftp_proto::{ErrorKind, Hello, Limits, Status};

    use super::*;

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
            assert!(applies(&fault, &packet));
            let bytes = spoil(&[fault], packet.clone()).unwrap().bytes;
            let length = u32::from_be_bytes(bytes[..4].try_into().unwrap());
            assert_eq!(length as usize, bytes.len() - 4, "the packet itself is whole: {packet:?}");
            let error = ServerPacket::decode(bytes.slice(4..), &Limits::default()).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Truncated { .. }), "{packet:?}: {error}");
        }
    }

    #[test]
    fn faults_of_one_reply_add_up() {
        let packet = ServerPacket::Reply { id: 5, reply: Reply::Data(Bytes::from_static(b"data")) };
        let seconds = Duration::from_secs;
        let faults = [
            SftpFault::duplicate_reply(),
            SftpFault::delay(seconds(1)),
            SftpFault::short_read(2),
            SftpFault::wrong_id(),
            SftpFault::delay(seconds(2)),
        ];
        let spoiled = spoil(&faults, packet).unwrap();
        assert_eq!((spoiled.sending, spoiled.delay), (Sending::Twice, seconds(3)));
        assert_eq!(spoiled.bytes, &b"\0\0\0\x0b\x67\x80\0\0\x05\0\0\0\x02da"[..]);
    }

    #[test]
    fn a_wrong_kind_is_another_one() {
        for reply in replies() {
            let kind = reply.kind();
            let packet = ServerPacket::Reply { id: 9, reply };
            let bytes = spoil(&[SftpFault::wrong_kind()], packet).unwrap().bytes;
            let read = ServerPacket::decode(bytes.slice(4..), &Limits::default()).unwrap();
            let ServerPacket::Reply { id: 9, reply } = read else { panic!("{read:?}") };
            assert_ne!(reply.kind(), kind);
        }
    }
}
