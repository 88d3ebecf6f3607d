//! What holds for every value and for every stream.

use bytes::{Bytes, BytesMut};
use proptest::{
    collection::vec,
    prelude::{any, prop_assert, prop_assert_eq, proptest},
};
use rustle_sftp_proto::{
    ClientPacket, Error, FileHashes, FileSystem, Frame, Framer, Limits, OwnerNames, Reply, Request,
    ServerLimits, ServerPacket,
};

use crate::values;

/// The one packet of a frame, without its length field.
fn packet(frame: &Frame) -> Bytes {
    let mut framer = Framer::new(Limits::default());
    framer.push(frame.to_bytes());
    let packet = framer.next_packet().unwrap().unwrap();
    framer.finish().unwrap();
    packet
}

fn client(packet: Bytes) -> Result<ClientPacket, Error> {
    ClientPacket::decode(packet, &Limits::default())
}

fn server(packet: Bytes) -> Result<ServerPacket, Error> {
    ServerPacket::decode(packet, &Limits::default())
}

proptest! {
    #[test]
    fn every_client_packet_comes_back(value in values::client_packet()) {
        let frame = value.encode().unwrap();
        let read = client(packet(&frame)).unwrap();
        prop_assert_eq!(&read, &value);
        prop_assert_eq!(read.encode().unwrap(), frame);
    }

    #[test]
    fn every_server_packet_comes_back(value in values::server_packet()) {
        let frame = value.encode().unwrap();
        let read = server(packet(&frame)).unwrap();
        prop_assert_eq!(&read, &value);
        prop_assert_eq!(read.encode().unwrap(), frame);
    }

    #[test]
    fn what_extended_replies_carry_comes_back(
        file_system in values::file_system(),
        limits in values::server_limits(),
        names in values::owner_names(),
        hashes in values::file_hashes(),
    ) {
        prop_assert_eq!(FileSystem::decode(file_system.encode()).unwrap(), file_system);
        prop_assert_eq!(ServerLimits::decode(limits.encode()).unwrap(), limits);
        prop_assert_eq!(FileHashes::decode(hashes.encode().unwrap(), &Limits::default()).unwrap(), hashes);
        prop_assert_eq!(OwnerNames::decode(names.encode().unwrap(), &Limits::default()).unwrap(), names);
    }

    #[test]
    fn any_split_of_the_stream_gives_the_same_packets(
        packets in vec(values::client_packet(), 1..12),
        cuts in vec(1..700_usize, 1..60),
    ) {
        let mut stream = BytesMut::new();
        for packet in &packets {
            let data = packet.encode_into(&mut stream).unwrap();
            stream.extend_from_slice(&data);
        }
        let mut stream = stream.freeze();
        let mut framer = Framer::new(Limits::default());
        let mut read = Vec::new();
        let mut cuts = cuts.iter().cycle();
        while !stream.is_empty() {
            let cut = stream.len().min(*cuts.next().unwrap());
            framer.push(stream.split_to(cut));
            while let Some(packet) = framer.next_packet().unwrap() {
                read.push(client(packet).unwrap());
            }
        }
        framer.finish().unwrap();
        prop_assert_eq!(read, packets);
    }

    #[test]
    fn a_packet_in_pieces_is_the_packet_in_one(
        lengths in vec(1..6000_usize, 1..8),
        cuts in vec(1..3000_usize, 1..60),
        drain_every in 1..9_usize,
    ) {
        let mut stream = BytesMut::new();
        for (number, length) in lengths.iter().enumerate() {
            stream.extend_from_slice(&u32::try_from(*length).unwrap().to_be_bytes());
            stream.extend((0..*length).map(|at| u8::try_from((at + number) % 251).unwrap()));
        }
        let (mut stream, mut read) = (stream.freeze(), Vec::new());
        let (mut joined, mut segmented) = (Framer::new(Limits::default()), Framer::new(Limits::default()));
        let mut cuts = cuts.iter().cycle();
        for pushed in 1.. {
            let cut = stream.len().min(*cuts.next().unwrap());
            let piece = stream.split_to(cut);
            joined.push(piece.clone());
            segmented.push(piece);
            if pushed % drain_every == 0 || stream.is_empty() {
                while let Some(packet) = segmented.next_segmented().unwrap() {
                    prop_assert_eq!(packet.pieces().map(Bytes::len).sum::<usize>(), packet.len());
                    prop_assert_eq!(Some(packet.to_bytes()), joined.next_packet().unwrap());
                    read.push(packet.len());
                }
                prop_assert_eq!(joined.next_packet().unwrap(), None);
            }
            prop_assert_eq!(joined.buffered(), segmented.buffered());
            if stream.is_empty() {
                break;
            }
        }
        segmented.finish().unwrap();
        prop_assert_eq!(read, lengths);
    }

    #[test]
    fn a_packet_cut_short_is_an_error_or_a_status_without_its_texts(
        value in values::server_packet(),
        at in any::<proptest::sample::Index>(),
    ) {
        let whole = packet(&value.encode().unwrap());
        let cut = whole.slice(..at.index(whole.len()));
        let open_ended = match &value {
            ServerPacket::Version(_) => true,
            ServerPacket::Reply { reply, .. } => {
                matches!(reply, Reply::Status(_) | Reply::Extended(_) | Reply::Unknown { .. })
            }
        };
        prop_assert!(open_ended || server(cut).is_err());
    }

    #[test]
    fn what_follows_the_last_field_is_passed_over(value in values::client_packet(), more in values::bytes(20)) {
        let takes_all = match &value {
            ClientPacket::Init(_) => true,
            ClientPacket::Request { request, .. } => matches!(
                request,
                Request::Unknown { .. }
                    | Request::Extended(rustle_sftp_proto::ExtendedRequest::Unknown { .. })
            ),
        };
        if !takes_all {
            let longer = [packet(&value.encode().unwrap()), more].concat();
            prop_assert_eq!(client(longer.into()).unwrap(), value);
        }
    }
}

#[test]
fn file_data_is_the_same_memory_before_and_after() {
    let data = Bytes::from(vec![7; 255 * 1024]);
    let frame = ServerPacket::Reply { id: 1, reply: Reply::Data(data.clone()) }.encode().unwrap();
    assert_eq!(frame.payload().as_ptr(), data.as_ptr());
    assert_eq!(frame.wire_len(), data.len() + 13);

    let whole = frame.to_bytes();
    let ServerPacket::Reply { reply: Reply::Data(read), .. } = server(whole.slice(4..)).unwrap() else {
        panic!("not a DATA");
    };
    assert_eq!(read.as_ptr(), whole[13..].as_ptr());
}
