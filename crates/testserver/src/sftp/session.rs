//! One SFTP session: requests to answers, in the words of OpenSSH's sftp-server.
//!
//! What OpenSSH says to a client that does something wrong is said here too, code and text: a test against this server
//! should not pass for being treated better. Where it differs: a directory cannot be opened as a file (there it opens,
//! and each read fails), and a request of an unknown type is answered `OP_UNSUPPORTED` as the draft asks (there it gets
//! no answer). An offset or size of 2^63 and more is past the end for READ and too large for WRITE and SETSTAT
//! (`BAD_MESSAGE` there); the mode of a symbolic link is `OP_UNSUPPORTED`, and an empty name for the home directory means
//! whoever is logged in (`FAILURE` there, both).
//!
//! What a client sends and does not fetch the replies to is kept, on disk after a while, up to
//! [`max_unread`](crate::Builder::max_unread).

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use rustle_sftp_proto::{
    Attributes, ExtendedRequest, Extension, Handle, Hello, NameEntry, OpenFlags, OwnerNames, Reply, Request,
    ServerLimits, Status, StatusCode,
};

use crate::{
    record::Keeper,
    sftp::{
        LinkOrder, convert,
        handles::{Handles, Open},
        long_name,
        service::Service,
    },
    storage::{self, Existing, Links, StorageError},
};

/// OpenSSH's number of names per READDIR.
const NAMES: usize = 100;

/// The state of one session. What it has open at its end is counted as left behind.
pub(super) struct Session {
    service: Arc<Service>,
    keeper: Arc<Keeper>,
    channel: usize,
    user: String,
    handles: Handles,
}

/// A reply, or the code of a STATUS in its place.
type Answer = Result<Reply, StatusCode>;

impl Session {
    pub(super) fn new(service: Arc<Service>, keeper: Arc<Keeper>, channel: usize, user: String) -> Self {
        let handles = Handles::new(service.handle_bytes(), channel, service.limits().handles);
        Self { service, keeper, channel, user, handles }
    }

    /// The answer to INIT, whatever version the client asks for, as OpenSSH gives it.
    pub(super) fn greet(&self) -> Hello {
        self.service.extensions().fold(Hello::new(), Hello::with)
    }

    /// Why this extension is not to be had, if it is not.
    pub(super) fn refusal(&self, extension: Extension) -> Option<StatusCode> {
        if self.service.is_read_only() && changes_files(extension) {
            Some(StatusCode::PERMISSION_DENIED)
        } else if !self.service.has(extension) {
            Some(StatusCode::OP_UNSUPPORTED)
        } else {
            None
        }
    }

    /// Carries a request out.
    pub(super) async fn answer(&mut self, request: Request) -> Reply {
        if self.service.is_read_only() && writes(&request) {
            return StatusCode::PERMISSION_DENIED.into();
        }
        let answer = match request {
            // The one request that can take long.
            Request::Extended(ExtendedRequest::CopyData { from, from_offset, length, to, to_offset })
                if self.service.has(Extension::CopyData) =>
            {
                self.copy((&from, from_offset), length, (&to, to_offset)).await
            }
            request => self.carry_out(request),
        };
        answer.unwrap_or_else(Reply::from)
    }

    fn carry_out(&mut self, request: Request) -> Answer {
        let service = Arc::clone(&self.service);
        let storage = service.storage();
        match request {
            Request::Open { path, flags, attributes } => self.open(&path, flags, &attributes),
            Request::Close { handle } => self.close(&handle),
            Request::Read { handle, offset, length } => self.read(&handle, offset, length),
            Request::Write { handle, offset, data } => self.write(&handle, offset, &data),
            Request::Lstat { path } => found(storage.attributes(&path, Links::Keep)),
            Request::Stat { path } => found(storage.attributes(&path, Links::Follow)),
            Request::Fstat { handle } => found(self.file(&handle)?.attributes()),
            Request::SetStat { path, attributes } => {
                done(storage.set_attributes(&path, Links::Follow, &convert::changes(&attributes)))
            }
            Request::FsetStat { handle, attributes } => {
                done(self.file(&handle)?.set_attributes(&convert::changes(&attributes)))
            }
            Request::OpenDir { path } => {
                let listing = storage.list(&path).map_err(failed)?;
                self.keep(Open::Directory(listing))
            }
            Request::ReadDir { handle } => self.read_directory(&handle),
            Request::Remove { path } => done(storage.remove_file(&path)),
            Request::MkDir { path, attributes } => {
                let mode = attributes.permissions().map(|mode| mode & 0o7777);
                done(storage.make_directory(&path, mode))
            }
            Request::RmDir { path } => done(storage.remove_directory(&path)),
            Request::RealPath { path } => named(storage.real_path(&path)),
            Request::Rename { from, to } => done(storage.rename(&from, &to, Existing::Refuse)),
            Request::ReadLink { path } => named(storage.read_link(&path)),
            Request::Symlink { target, link } => {
                // The codec names them as OpenSSH orders them.
                let (target, link) = match service.link_order() {
                    LinkOrder::OpenSsh => (target, link),
                    LinkOrder::Draft => (link, target),
                };
                done(storage.make_symlink(&target, &link))
            }
            Request::Extended(request) => {
                // OpenSSH: a MUST of the draft (section 8) for a request that is not known.
                let extension = request.extension().ok_or(StatusCode::OP_UNSUPPORTED)?;
                if !service.has(extension) {
                    return Err(StatusCode::OP_UNSUPPORTED);
                }
                self.extended(request)
            }
            _ => Err(StatusCode::OP_UNSUPPORTED),
        }
    }

    fn extended(&mut self, request: ExtendedRequest) -> Answer {
        let service = Arc::clone(&self.service);
        let storage = service.storage();
        match request {
            ExtendedRequest::PosixRename { from, to } => done(storage.rename(&from, &to, Existing::Replace)),
            ExtendedRequest::StatVfs { path } => file_system(storage.file_system(&path)),
            ExtendedRequest::FstatVfs { handle } => file_system(self.file(&handle)?.file_system()),
            ExtendedRequest::HardLink { existing, link } => done(storage.make_hard_link(&existing, &link)),
            ExtendedRequest::Fsync { handle } => match self.handles.file(&handle) {
                Some((file, _)) => done(file.sync()),
                None => Err(StatusCode::NO_SUCH_FILE),
            },
            ExtendedRequest::LsetStat { path, attributes } => {
                // The size of a link makes no sense.
                if attributes.size().is_some() {
                    return Err(StatusCode::BAD_MESSAGE);
                }
                done(storage.set_attributes(&path, Links::Keep, &convert::changes(&attributes)))
            }
            ExtendedRequest::Limits => Ok(Reply::Extended(self.limits().encode())),
            ExtendedRequest::ExpandPath { path } => self.expand(&path),
            ExtendedRequest::HomeDirectory { user } => {
                if user.is_empty() || user == self.user {
                    return Ok(Reply::Name(vec![NameEntry::path("/")]));
                }
                Err(StatusCode::FAILURE)
            }
            ExtendedRequest::UsersGroupsById { uids, gids } => {
                let names = |ids: &[u32]| {
                    ids.iter().map(|id| Bytes::from(self.owner(*id).unwrap_or_default())).collect()
                };
                let names = OwnerNames { users: names(&uids), groups: names(&gids) };
                names.encode().map(Reply::Extended).map_err(|_| StatusCode::FAILURE)
            }
            _ => Err(StatusCode::OP_UNSUPPORTED),
        }
    }

    fn open(&mut self, path: &[u8], flags: OpenFlags, attributes: &Attributes) -> Answer {
        if self.handles.is_full() {
            return Err(StatusCode::FAILURE);
        }
        let options = convert::open_options(flags, attributes);
        let file = self.service.storage().open(path, options).map_err(failed)?;
        self.keep(Open::File { file, flags })
    }

    fn keep(&mut self, open: Open) -> Answer {
        if self.handles.is_full() {
            return Err(StatusCode::FAILURE);
        }
        let handle = self.handles.insert(open);
        self.keeper.handle_opened(self.channel);
        Ok(Reply::Handle(handle))
    }

    fn close(&mut self, handle: &Handle) -> Answer {
        let open = self.handles.remove(handle).ok_or(StatusCode::NO_SUCH_FILE)?;
        drop(open);
        self.keeper.handle_closed(self.channel);
        Ok(StatusCode::OK.into())
    }

    fn file(&self, handle: &Handle) -> Result<&dyn storage::OpenFile, StatusCode> {
        self.handles.file(handle).map(|(file, _)| file).ok_or(StatusCode::FAILURE)
    }

    fn read(&self, handle: &Handle, offset: u64, length: u32) -> Answer {
        let (file, flags) = self.handles.file(handle).ok_or(StatusCode::FAILURE)?;
        // As EBADF.
        if flags.contains(OpenFlags::WRITE) && !flags.contains(OpenFlags::READ) {
            return Err(StatusCode::NO_SUCH_FILE);
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(self.service.limits().read);
        let data = file.read_at(offset, length).map_err(failed)?;
        if data.is_empty() && length > 0 {
            return Err(StatusCode::EOF);
        }
        Ok(Reply::Data(data))
    }

    fn write(&self, handle: &Handle, offset: u64, data: &[u8]) -> Answer {
        let (file, flags) = self.handles.file(handle).ok_or(StatusCode::FAILURE)?;
        if !flags.contains(OpenFlags::WRITE) {
            return Err(StatusCode::NO_SUCH_FILE);
        }
        if data.len() > self.service.limits().write {
            return Err(StatusCode::FAILURE);
        }
        done(file.write_at(offset, data))
    }

    fn read_directory(&mut self, handle: &Handle) -> Answer {
        let listing = self.handles.directory(handle).ok_or(StatusCode::FAILURE)?;
        let entries = listing.next(NAMES).map_err(failed)?;
        if entries.is_empty() {
            return Err(StatusCode::EOF);
        }
        let now = SystemTime::now();
        let name = |id: u32| self.owner(id).unwrap_or_else(|| id.to_string());
        let names = entries.into_iter().map(|entry| {
            let file = &entry.attributes;
            let line = long_name::line(&entry.name, file, &name(file.uid), &name(file.gid), now);
            let attributes = convert::attributes(file);
            NameEntry::new(entry.name, line, attributes)
        });
        Ok(Reply::Name(names.collect()))
    }

    /// Everybody's home is the root of the tree.
    fn expand(&self, path: &[u8]) -> Answer {
        let path = match path.strip_prefix(b"~") {
            None => path.to_vec(),
            Some(rest) => {
                let name = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
                if !name.is_empty() && name != self.user.as_bytes() {
                    return Ok(Reply::Status(Status::new(StatusCode::NO_SUCH_FILE, "no such user")));
                }
                [b"/", rest.get(name.len()..).unwrap_or_default()].concat()
            }
        };
        named(self.service.storage().real_path(&path))
    }

    /// Others get their turn, and a hangup is seen, after each piece.
    async fn copy(&mut self, from: (&Handle, u64), length: u64, to: (&Handle, u64)) -> Answer {
        let (source, read) = self.handles.file(from.0).ok_or(StatusCode::FAILURE)?;
        let (target, written) = self.handles.file(to.0).ok_or(StatusCode::FAILURE)?;
        if from.0 == to.0 {
            return Err(StatusCode::FAILURE);
        }
        if (read.contains(OpenFlags::WRITE) && !read.contains(OpenFlags::READ))
            || !written.contains(OpenFlags::WRITE)
        {
            // As EBADF.
            return Err(StatusCode::NO_SUCH_FILE);
        }
        let wanted = (length > 0).then_some(length);
        // The same file under two handles.
        let same = |error| match error {
            StorageError::Invalid(_) => StatusCode::FAILURE,
            error => failed(error),
        };
        let mut copy = storage::CopyData::new((source, from.1), wanted, (target, to.1)).map_err(same)?;
        let copied = loop {
            if let Some(copied) = copy.step().map_err(failed)? {
                break copied;
            }
            tokio::task::yield_now().await;
        };
        if wanted.is_some_and(|wanted| copied < wanted) {
            return Err(StatusCode::EOF);
        }
        Ok(StatusCode::OK.into())
    }

    fn limits(&self) -> ServerLimits {
        let limits = self.service.limits();
        ServerLimits {
            max_packet: limits.packet as u64,
            max_read: limits.read as u64,
            max_write: limits.write as u64,
            max_handles: limits.handles as u64,
        }
    }

    /// Who a number is: root, or whoever is logged in.
    fn owner(&self, id: u32) -> Option<String> {
        match id {
            0 => Some("root".to_owned()),
            id if id == self.service.owner() => Some(self.user.clone()),
            _ => None,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.keeper.handles_left(self.channel, self.handles.len());
    }
}

/// What OpenSSH refuses in its read-only mode.
fn writes(request: &Request) -> bool {
    match request {
        Request::Open { flags, .. } => [OpenFlags::WRITE, OpenFlags::CREATE, OpenFlags::TRUNCATE]
            .iter()
            .any(|flag| flags.contains(*flag)),
        Request::Write { .. }
        | Request::SetStat { .. }
        | Request::FsetStat { .. }
        | Request::Remove { .. }
        | Request::MkDir { .. }
        | Request::RmDir { .. }
        | Request::Rename { .. }
        | Request::Symlink { .. } => true,
        Request::Extended(request) => request.extension().is_some_and(changes_files),
        _ => false,
    }
}

/// Whether OpenSSH's read-only mode has no such extension.
pub(super) fn changes_files(extension: Extension) -> bool {
    matches!(
        extension,
        Extension::PosixRename
            | Extension::HardLink
            | Extension::Fsync
            | Extension::LsetStat
            | Extension::CopyData
    )
}

fn done(result: Result<(), StorageError>) -> Answer {
    result.map(|()| StatusCode::OK.into()).map_err(failed)
}

fn found(result: Result<storage::Attributes, StorageError>) -> Answer {
    result.map(|file| Reply::Attributes(convert::attributes(&file))).map_err(failed)
}

fn named(result: Result<Bytes, StorageError>) -> Answer {
    result.map(|path| Reply::Name(vec![NameEntry::path(path)])).map_err(failed)
}

fn file_system(result: Result<storage::FileSystem, StorageError>) -> Answer {
    result.map(|system| Reply::Extended(convert::file_system(&system).encode())).map_err(failed)
}

/// Takes the error, to be handed to `map_err` as it is.
#[expect(clippy::needless_pass_by_value)]
fn failed(error: StorageError) -> StatusCode {
    tracing::debug!(%error, "an SFTP request fails");
    convert::code(&error)
}
