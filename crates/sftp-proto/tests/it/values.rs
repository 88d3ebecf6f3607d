//! Any value of the protocol.

use bytes::Bytes;
use proptest::{
    collection::vec,
    option,
    prelude::{Just, Strategy, any, prop_oneof},
};
use rustle_sftp_proto::{
    Attributes, CheckFile, ClientPacket, ExtendedRequest, Extension, FileHashes, FileSystem, Handle, Hello,
    NameEntry, OpenFlags, OwnerNames, Reply, Request, ServerLimits, ServerPacket, Status, StatusCode,
};

pub(crate) fn bytes(most: usize) -> impl Strategy<Value = Bytes> + Clone {
    vec(any::<u8>(), 0..=most).prop_map(Bytes::from)
}

fn path() -> impl Strategy<Value = Bytes> + Clone {
    bytes(40)
}

fn handle() -> impl Strategy<Value = Handle> {
    bytes(256).prop_map(Handle::new)
}

pub(crate) fn attributes() -> impl Strategy<Value = Attributes> {
    let numbers = (
        option::of(any::<u64>()),
        option::of(any::<(u32, u32)>()),
        option::of(any::<u32>()),
        option::of(any::<(u32, u32)>()),
    );
    (numbers, vec((bytes(20), bytes(20)), 0..4)).prop_map(|((size, owner, mode, times), extended)| {
        let mut all = Attributes::new();
        if let Some(size) = size {
            all = all.with_size(size);
        }
        if let Some((uid, gid)) = owner {
            all = all.with_owner(uid, gid);
        }
        if let Some(mode) = mode {
            all = all.with_permissions(mode);
        }
        if let Some((accessed, modified)) = times {
            all = all.with_times(accessed, modified);
        }
        extended.into_iter().fold(all, |all, (name, value)| all.with_extended(name, value))
    })
}

fn hello() -> impl Strategy<Value = Hello> {
    (any::<u32>(), vec((bytes(30), bytes(30)), 0..6)).prop_map(|(version, pairs)| {
        pairs
            .into_iter()
            .fold(Hello::new().with_version(version), |hello, (name, data)| hello.with_pair(name, data))
    })
}

fn check_file() -> impl Strategy<Value = CheckFile> {
    (bytes(30), any::<(u64, u64, u32)>()).prop_map(|(algorithms, (offset, length, block_size))| CheckFile {
        algorithms,
        offset,
        length,
        block_size,
    })
}

fn extended() -> impl Strategy<Value = ExtendedRequest> {
    use ExtendedRequest as E;
    let unknown = bytes(30).prop_filter("a name of its own", |name| {
        Extension::from_name(name).is_none() && !name.starts_with(b"check-file")
    });
    prop_oneof![
        (path(), path()).prop_map(|(from, to)| E::PosixRename { from, to }),
        path().prop_map(|path| E::StatVfs { path }),
        handle().prop_map(|handle| E::FstatVfs { handle }),
        (path(), path()).prop_map(|(existing, link)| E::HardLink { existing, link }),
        handle().prop_map(|handle| E::Fsync { handle }),
        (path(), attributes()).prop_map(|(path, attributes)| E::LsetStat { path, attributes }),
        Just(E::Limits),
        path().prop_map(|path| E::ExpandPath { path }),
        (handle(), any::<u64>(), any::<u64>(), handle(), any::<u64>()).prop_map(
            |(from, from_offset, length, to, to_offset)| E::CopyData {
                from,
                from_offset,
                length,
                to,
                to_offset
            }
        ),
        path().prop_map(|user| E::HomeDirectory { user }),
        (vec(any::<u32>(), 0..9), vec(any::<u32>(), 0..9))
            .prop_map(|(uids, gids)| E::UsersGroupsById { uids, gids }),
        (handle(), check_file()).prop_map(|(handle, check)| E::CheckFileHandle { handle, check }),
        (path(), check_file()).prop_map(|(path, check)| E::CheckFileName { path, check }),
        (handle(), check_file()).prop_map(|(handle, check)| E::CheckFile { handle, check }),
        (unknown, bytes(90)).prop_map(|(name, data)| E::Unknown { name, data }),
    ]
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    use Request as R;
    let of_path = prop_oneof![
        path().prop_map(|path| R::Lstat { path }),
        path().prop_map(|path| R::OpenDir { path }),
        path().prop_map(|path| R::Remove { path }),
        path().prop_map(|path| R::RmDir { path }),
        path().prop_map(|path| R::RealPath { path }),
        path().prop_map(|path| R::Stat { path }),
        path().prop_map(|path| R::ReadLink { path }),
        (path(), path()).prop_map(|(from, to)| R::Rename { from, to }),
        (path(), path()).prop_map(|(target, link)| R::Symlink { target, link }),
        (path(), attributes()).prop_map(|(path, attributes)| R::SetStat { path, attributes }),
        (path(), attributes()).prop_map(|(path, attributes)| R::MkDir { path, attributes }),
        (path(), any::<u32>(), attributes()).prop_map(|(path, bits, attributes)| R::Open {
            path,
            flags: OpenFlags::new(bits),
            attributes
        }),
    ];
    let of_handle = prop_oneof![
        handle().prop_map(|handle| R::Close { handle }),
        handle().prop_map(|handle| R::Fstat { handle }),
        handle().prop_map(|handle| R::ReadDir { handle }),
        (handle(), attributes()).prop_map(|(handle, attributes)| R::FsetStat { handle, attributes }),
        (handle(), any::<u64>(), any::<u32>()).prop_map(|(handle, offset, length)| R::Read {
            handle,
            offset,
            length
        }),
        (handle(), any::<u64>(), bytes(500)).prop_map(|(handle, offset, data)| R::Write {
            handle,
            offset,
            data
        }),
    ];
    prop_oneof![
        of_path,
        of_handle,
        extended().prop_map(R::Extended),
        (21..200_u8, bytes(50)).prop_map(|(kind, body)| R::Unknown { kind, body }),
    ]
}

fn name() -> impl Strategy<Value = NameEntry> {
    (path(), path(), attributes()).prop_map(|(name, long, attributes)| NameEntry::new(name, long, attributes))
}

fn status() -> impl Strategy<Value = Status> {
    (any::<u32>(), bytes(60), bytes(8))
        .prop_map(|(code, text, tag)| Status::new(StatusCode::new(code), text).with_language(tag))
}

pub(crate) fn reply() -> impl Strategy<Value = Reply> {
    prop_oneof![
        status().prop_map(Reply::Status),
        handle().prop_map(Reply::Handle),
        bytes(500).prop_map(Reply::Data),
        vec(name(), 0..8).prop_map(Reply::Name),
        attributes().prop_map(Reply::Attributes),
        bytes(90).prop_map(Reply::Extended),
        (106..200_u8, bytes(50)).prop_map(|(kind, body)| Reply::Unknown { kind, body }),
    ]
}

pub(crate) fn client_packet() -> impl Strategy<Value = ClientPacket> {
    prop_oneof![
        1 => hello().prop_map(ClientPacket::Init),
        9 => (any::<u32>(), request()).prop_map(|(id, request)| ClientPacket::Request { id, request }),
    ]
}

pub(crate) fn server_packet() -> impl Strategy<Value = ServerPacket> {
    prop_oneof![
        1 => hello().prop_map(ServerPacket::Version),
        9 => (any::<u32>(), reply()).prop_map(|(id, reply)| ServerPacket::Reply { id, reply }),
    ]
}

pub(crate) fn file_system() -> impl Strategy<Value = FileSystem> {
    any::<[u64; 11]>().prop_map(|n| FileSystem {
        block_size: n[0],
        fragment_size: n[1],
        blocks: n[2],
        blocks_free: n[3],
        blocks_available: n[4],
        files: n[5],
        files_free: n[6],
        files_available: n[7],
        id: n[8],
        flags: n[9],
        name_max: n[10],
    })
}

pub(crate) fn server_limits() -> impl Strategy<Value = ServerLimits> {
    any::<[u64; 4]>().prop_map(|n| ServerLimits {
        max_packet: n[0],
        max_read: n[1],
        max_write: n[2],
        max_handles: n[3],
    })
}

pub(crate) fn owner_names() -> impl Strategy<Value = OwnerNames> {
    (vec(bytes(12), 0..9), vec(bytes(12), 0..9)).prop_map(|(users, groups)| OwnerNames { users, groups })
}

pub(crate) fn file_hashes() -> impl Strategy<Value = FileHashes> {
    let algorithm = bytes(12).prop_filter("no algorithm is called so", |name| name != "check-file");
    (algorithm, bytes(200)).prop_map(|(algorithm, hashes)| FileHashes { algorithm, hashes })
}
