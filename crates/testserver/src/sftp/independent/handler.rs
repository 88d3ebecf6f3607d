//! SFTP requests, carried out on the files below one directory. SFTP version 3 (draft-ietf-secsh-filexfer-02), with
//! OpenSSH's `posix-rename`, `fsync` and `limits`.
//!
//! The calls block: they are short, work on a local directory, and so take no time where tokio's clock is paused.

use std::{
    collections::HashMap,
    fs::{self, File, FileTimes, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use russh_sftp::{
    protocol::{
        Attrs, Data, ExtendedReply, File as Entry, FileAttributes, Handle, Name, OpenFlags, Packet, Status,
        StatusCode, Version,
    },
    server::StatusReply,
};
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::sftp::{
    LinkOrder,
    independent::{
        open::{Wanted, open},
        paths,
    },
};

/// One client's view of the directory, and its open handles.
pub(crate) struct Directory {
    root: PathBuf,
    links: LinkOrder,
    handles: HashMap<String, Open>,
    next_handle: u64,
    _alive: TaskTrackerToken,
}

enum Open {
    File { file: File, append: Append },
    Listing(Box<fs::ReadDir>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Append {
    Yes,
    No,
}

/// OpenSSH's own limits: what one READ returns at most, how many names one READDIR, and how many handles are open.
const MAX_READ: u32 = 255 * 1024;
const NAMES_PER_LISTING: usize = 100;
const MAX_HANDLES: usize = 1000;
const MAX_PACKET: u64 = 256 * 1024;

type Answer<T> = Result<T, StatusReply>;

impl Directory {
    pub(crate) fn new(root: PathBuf, links: LinkOrder, alive: TaskTrackerToken) -> Self {
        Self { root, links, handles: HashMap::new(), next_handle: 0, _alive: alive }
    }

    fn entry(&self, path: &str) -> Answer<PathBuf> {
        paths::entry(&self.root, path).map_err(status)
    }

    fn target(&self, path: &str) -> Answer<PathBuf> {
        paths::target(&self.root, path).map_err(status)
    }

    fn keep(&mut self, id: u32, open: Open) -> Answer<Handle> {
        if self.handles.len() >= MAX_HANDLES {
            return Err(StatusCode::Failure.with_message("too many open handles"));
        }
        let handle = format!("h{}", self.next_handle);
        self.next_handle += 1;
        self.handles.insert(handle.clone(), open);
        Ok(Handle { id, handle })
    }

    fn file(&mut self, handle: &str) -> Answer<(&mut File, Append)> {
        match self.handles.get_mut(handle) {
            Some(Open::File { file, append }) => Ok((file, *append)),
            _ => Err(StatusCode::Failure.with_message("no such file handle")),
        }
    }

    fn rename_over(&self, data: &[u8]) -> Answer<()> {
        let (from, rest) = string(data)?;
        let (to, _) = string(rest)?;
        fs::rename(self.entry(from)?, self.entry(to)?).map_err(status)
    }
}

impl russh_sftp::server::Handler for Directory {
    type Error = StatusReply;

    fn unimplemented(&self) -> StatusReply {
        StatusCode::OpUnsupported.into()
    }

    async fn init(&mut self, _version: u32, _extensions: HashMap<String, String>) -> Answer<Version> {
        let mut version = Version::new();
        for (name, revision) in
            [("posix-rename@openssh.com", "1"), ("fsync@openssh.com", "1"), ("limits@openssh.com", "1")]
        {
            version.extensions.insert(name.to_owned(), revision.to_owned());
        }
        Ok(version)
    }

    async fn open(
        &mut self,
        id: u32,
        filename: String,
        flags: OpenFlags,
        attrs: FileAttributes,
    ) -> Answer<Handle> {
        let path = self.target(&filename)?;
        let append = if flags.contains(OpenFlags::APPEND) { Append::Yes } else { Append::No };
        let mut options = OpenOptions::new();
        options
            .read(flags.contains(OpenFlags::READ))
            .write(flags.contains(OpenFlags::WRITE))
            .append(append == Append::Yes);
        if flags.contains(OpenFlags::CREATE) {
            options.create(true).create_new(flags.contains(OpenFlags::EXCLUDE));
        }
        options.truncate(flags.contains(OpenFlags::TRUNCATE) && append == Append::No);
        mode(&mut options, &attrs);
        let file = open(&mut options, Wanted::File, &path).map_err(status)?;
        self.keep(id, Open::File { file, append })
    }

    async fn close(&mut self, id: u32, handle: String) -> Answer<Status> {
        match self.handles.remove(&handle) {
            Some(_) => Ok(ok(id)),
            None => Err(StatusCode::Failure.with_message("no such handle")),
        }
    }

    async fn read(&mut self, id: u32, handle: String, offset: u64, len: u32) -> Answer<Data> {
        let (file, _) = self.file(&handle)?;
        file.seek(SeekFrom::Start(offset)).map_err(status)?;
        let mut data = Vec::new();
        file.take(u64::from(len.min(MAX_READ))).read_to_end(&mut data).map_err(status)?;
        if data.is_empty() && len > 0 {
            return Err(StatusCode::Eof.into());
        }
        Ok(Data { id, data })
    }

    async fn write(&mut self, id: u32, handle: String, offset: u64, data: Vec<u8>) -> Answer<Status> {
        let (file, append) = self.file(&handle)?;
        if append == Append::No {
            file.seek(SeekFrom::Start(offset)).map_err(status)?;
        }
        file.write_all(&data).map_err(status)?;
        Ok(ok(id))
    }

    async fn lstat(&mut self, id: u32, path: String) -> Answer<Attrs> {
        let metadata = fs::symlink_metadata(self.entry(&path)?).map_err(status)?;
        Ok(Attrs { id, attrs: attributes(&metadata) })
    }

    async fn stat(&mut self, id: u32, path: String) -> Answer<Attrs> {
        let metadata = fs::metadata(self.target(&path)?).map_err(status)?;
        Ok(Attrs { id, attrs: attributes(&metadata) })
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Answer<Attrs> {
        let metadata = self.file(&handle)?.0.metadata().map_err(status)?;
        Ok(Attrs { id, attrs: attributes(&metadata) })
    }

    async fn setstat(&mut self, id: u32, path: String, attrs: FileAttributes) -> Answer<Status> {
        let path = self.target(&path)?;
        // A directory cannot be opened for writing, nor can its size be set; times and permissions can.
        let writable = attrs.size.is_some();
        let mut options = OpenOptions::new();
        options.read(!writable).write(writable);
        let file = open(&mut options, Wanted::FileOrDirectory, &path).map_err(status)?;
        apply(&file, &attrs)?;
        Ok(ok(id))
    }

    async fn fsetstat(&mut self, id: u32, handle: String, attrs: FileAttributes) -> Answer<Status> {
        apply(self.file(&handle)?.0, &attrs)?;
        Ok(ok(id))
    }

    async fn opendir(&mut self, id: u32, path: String) -> Answer<Handle> {
        let listing = fs::read_dir(self.target(&path)?).map_err(status)?;
        self.keep(id, Open::Listing(Box::new(listing)))
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Answer<Name> {
        let Some(Open::Listing(listing)) = self.handles.get_mut(&handle) else {
            return Err(StatusCode::Failure.with_message("no such directory handle"));
        };
        let mut files = Vec::new();
        for entry in listing.by_ref().take(NAMES_PER_LISTING) {
            let entry = entry.map_err(status)?;
            // A file that was removed since it was listed is left out.
            if let Ok(metadata) = entry.metadata() {
                let mut entry = Entry::new(entry.file_name().to_string_lossy(), attributes(&metadata));
                // The base knows two sorts of files. OpenSSH's client shows this line as it comes.
                if metadata.is_symlink() && entry.longname.starts_with('-') {
                    entry.longname.replace_range(..1, "l");
                }
                files.push(entry);
            }
        }
        if files.is_empty() { Err(StatusCode::Eof.into()) } else { Ok(Name { id, files }) }
    }

    async fn remove(&mut self, id: u32, filename: String) -> Answer<Status> {
        fs::remove_file(self.entry(&filename)?).map_err(status)?;
        Ok(ok(id))
    }

    async fn mkdir(&mut self, id: u32, path: String, _attrs: FileAttributes) -> Answer<Status> {
        fs::create_dir(self.entry(&path)?).map_err(status)?;
        Ok(ok(id))
    }

    async fn rmdir(&mut self, id: u32, path: String) -> Answer<Status> {
        fs::remove_dir(self.entry(&path)?).map_err(status)?;
        Ok(ok(id))
    }

    async fn realpath(&mut self, id: u32, path: String) -> Answer<Name> {
        Ok(Name { id, files: vec![Entry::dummy(paths::absolute(&path))] })
    }

    async fn rename(&mut self, id: u32, old: String, new: String) -> Answer<Status> {
        let (old, new) = (self.entry(&old)?, self.entry(&new)?);
        // Version 3 forbids to rename over an existing file.
        if new.symlink_metadata().is_ok() {
            return Err(StatusCode::Failure.with_message("the new name exists"));
        }
        fs::rename(old, new).map_err(status)?;
        Ok(ok(id))
    }

    async fn readlink(&mut self, id: u32, path: String) -> Answer<Name> {
        let target = fs::read_link(self.entry(&path)?).map_err(status)?;
        Ok(Name { id, files: vec![Entry::dummy(target.to_string_lossy())] })
    }

    /// The base hands the paths on in the order of the wire, whatever it calls them.
    async fn symlink(&mut self, id: u32, first: String, second: String) -> Answer<Status> {
        let (target, link) = match self.links {
            LinkOrder::OpenSsh => (first, second),
            LinkOrder::Draft => (second, first),
        };
        symlink(&target, &self.entry(&link)?)?;
        Ok(ok(id))
    }

    async fn extended(&mut self, id: u32, request: String, data: Vec<u8>) -> Answer<Packet> {
        match request.as_str() {
            "posix-rename@openssh.com" => {
                self.rename_over(&data)?;
                Ok(Packet::Status(ok(id)))
            }
            "fsync@openssh.com" => {
                let (handle, _) = string(&data)?;
                self.file(handle)?.0.sync_all().map_err(status)?;
                Ok(Packet::Status(ok(id)))
            }
            "limits@openssh.com" => {
                let limits = [MAX_PACKET, u64::from(MAX_READ), u64::from(MAX_READ), MAX_HANDLES as u64];
                let data = limits.iter().flat_map(|limit| limit.to_be_bytes()).collect();
                Ok(Packet::ExtendedReply(ExtendedReply { id, data }))
            }
            _ => Err(StatusCode::OpUnsupported.into()),
        }
    }
}

fn ok(id: u32) -> Status {
    Status { id, status_code: StatusCode::Ok, error_message: String::new(), language_tag: String::new() }
}

/// Takes the error, to be handed to `map_err` as it is.
#[expect(clippy::needless_pass_by_value)]
fn status(error: io::Error) -> StatusReply {
    let code = match error.kind() {
        io::ErrorKind::NotFound => StatusCode::NoSuchFile,
        io::ErrorKind::PermissionDenied => StatusCode::PermissionDenied,
        _ => StatusCode::Failure,
    };
    code.with_message(error.to_string())
}

/// A string of the wire, and what follows it.
fn string(data: &[u8]) -> Answer<(&str, &[u8])> {
    let bad = || StatusReply::from(StatusCode::BadMessage);
    let (length, rest) = data.split_first_chunk().ok_or_else(bad)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| bad())?;
    let (text, rest) = rest.split_at_checked(length).ok_or_else(bad)?;
    Ok((std::str::from_utf8(text).map_err(|_| bad())?, rest))
}

#[cfg(unix)]
fn attributes(metadata: &fs::Metadata) -> FileAttributes {
    use std::os::unix::fs::MetadataExt;
    FileAttributes {
        size: Some(metadata.len()),
        uid: Some(metadata.uid()),
        gid: Some(metadata.gid()),
        permissions: Some(metadata.mode()),
        atime: Some(seconds(metadata.accessed())),
        mtime: Some(seconds(metadata.modified())),
        ..FileAttributes::default()
    }
}

#[cfg(not(unix))]
fn attributes(metadata: &fs::Metadata) -> FileAttributes {
    let kind = if metadata.is_dir() {
        0o040_000
    } else if metadata.is_symlink() {
        0o120_000
    } else {
        0o100_000
    };
    let permissions = if metadata.permissions().readonly() { 0o555 } else { 0o755 };
    FileAttributes {
        size: Some(metadata.len()),
        permissions: Some(kind | permissions),
        atime: Some(seconds(metadata.accessed())),
        mtime: Some(seconds(metadata.modified())),
        ..FileAttributes::default()
    }
}

/// Version 3 has 32 bits for a time; what does not fit is shown as the nearest that does.
fn seconds(time: io::Result<std::time::SystemTime>) -> u32 {
    let since = time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

fn apply(file: &File, attrs: &FileAttributes) -> Answer<()> {
    if let Some(size) = attrs.size {
        file.set_len(size).map_err(status)?;
    }
    set_permissions(file, attrs)?;
    if let (Some(accessed), Some(modified)) = (attrs.atime, attrs.mtime) {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(u64::from(seconds));
        file.set_times(FileTimes::new().set_accessed(at(accessed)).set_modified(at(modified)))
            .map_err(status)?;
    }
    Ok(())
}

#[cfg(unix)]
fn mode(options: &mut OpenOptions, attrs: &FileAttributes) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(attrs.permissions.map_or(0o666, |mode| mode & 0o777));
}

#[cfg(not(unix))]
fn mode(_options: &mut OpenOptions, _attrs: &FileAttributes) {}

#[cfg(unix)]
fn set_permissions(file: &File, attrs: &FileAttributes) -> Answer<()> {
    use std::os::unix::fs::PermissionsExt;
    match attrs.permissions {
        Some(mode) => file.set_permissions(fs::Permissions::from_mode(mode & 0o7777)).map_err(status),
        None => Ok(()),
    }
}

/// Windows has one of these bits: nobody may write.
#[cfg(not(unix))]
fn set_permissions(file: &File, attrs: &FileAttributes) -> Answer<()> {
    let Some(mode) = attrs.permissions else { return Ok(()) };
    let mut permissions = file.metadata().map_err(status)?.permissions();
    permissions.set_readonly(mode & 0o222 == 0);
    file.set_permissions(permissions).map_err(status)
}

#[cfg(unix)]
fn symlink(target: &str, link: &std::path::Path) -> Answer<()> {
    std::os::unix::fs::symlink(target, link).map_err(status)
}

#[cfg(not(unix))]
fn symlink(_target: &str, _link: &std::path::Path) -> Answer<()> {
    Err(StatusCode::OpUnsupported.with_message("symbolic links need a Unix"))
}
