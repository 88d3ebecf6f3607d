//! Between the words of the protocol and those of the storage.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustle_sftp_proto::{Attributes, FileSystem, OpenFlags, StatusCode};

use crate::storage::{self, Changes, OpenOptions, StorageError};

/// The code that OpenSSH's server has for the same error of a system call.
pub(super) fn code(error: &StorageError) -> StatusCode {
    match error {
        StorageError::NotFound | StorageError::NotADirectory | StorageError::Loop => StatusCode::NO_SUCH_FILE,
        StorageError::PermissionDenied => StatusCode::PERMISSION_DENIED,
        StorageError::InvalidName | StorageError::Invalid(_) => StatusCode::BAD_MESSAGE,
        StorageError::Unsupported(_) => StatusCode::OP_UNSUPPORTED,
        _ => StatusCode::FAILURE,
    }
}

pub(super) fn attributes(file: &storage::Attributes) -> Attributes {
    Attributes::new()
        .with_size(file.size)
        .with_owner(file.uid, file.gid)
        .with_permissions(file.kind.bits() | file.mode)
        .with_times(seconds(file.accessed), seconds(file.modified))
}

/// Version 3 has 32 bits for a time; what does not fit is shown as the nearest that does.
fn seconds(time: SystemTime) -> u32 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

pub(super) fn changes(attributes: &Attributes) -> Changes {
    let at = |seconds: u32| UNIX_EPOCH + Duration::from_secs(u64::from(seconds));
    Changes {
        size: attributes.size(),
        mode: attributes.permissions().map(|mode| mode & 0o7777),
        accessed: attributes.accessed().map(at),
        modified: attributes.modified().map(at),
        uid: attributes.uid(),
        gid: attributes.gid(),
    }
}

pub(super) fn open_options(flags: OpenFlags, attributes: &Attributes) -> OpenOptions {
    let mut options = OpenOptions::new();
    if flags.contains(OpenFlags::READ) {
        options = options.read();
    }
    if flags.contains(OpenFlags::WRITE) {
        options = options.write();
    }
    // open(2) too takes O_APPEND without effect where nothing can be written.
    if flags.contains(OpenFlags::WRITE | OpenFlags::APPEND) {
        options = options.append();
    }
    if flags.contains(OpenFlags::CREATE) {
        options = options.create();
    }
    if flags.contains(OpenFlags::TRUNCATE) {
        options = options.truncate();
    }
    if flags.contains(OpenFlags::EXCLUSIVE) {
        options = options.exclusive();
    }
    match attributes.permissions() {
        Some(mode) => options.mode(mode & 0o7777),
        None => options,
    }
}

pub(super) fn file_system(system: &storage::FileSystem) -> FileSystem {
    FileSystem {
        block_size: system.block_size,
        fragment_size: system.fragment_size,
        blocks: system.blocks,
        blocks_free: system.blocks_free,
        blocks_available: system.blocks_available,
        files: system.files,
        files_free: system.files_free,
        files_available: system.files_available,
        id: system.id,
        flags: system.flags,
        name_max: system.longest_name,
    }
}
