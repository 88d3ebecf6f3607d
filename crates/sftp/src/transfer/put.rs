//! A file to the server.

use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use rustle_sftp_proto::{Attributes, ExtendedRequest, Extension, FileKind, OpenFlags, Request};

use crate::engine::{Engine, OpenHandle};
use crate::error::{Error, ErrorKind, Result};
use crate::explain::{Doing, Existing, explain, explained};
use crate::local::details::Details;
use crate::local::reader::{Piece, Plan, Reader};
use crate::sftp::Sftp;
use crate::transfer::lane::Lane;
use crate::transfer::options::Options;
use crate::transfer::progress::Meter;
use crate::transfer::store::Store;
use crate::transfer::summary::{Summary, Verified};
use crate::transfer::temporary::Temporary;
use crate::transfer::verify::{self, Remote};

/// Sends one file.
pub(crate) async fn put(
    sftp: &Sftp,
    local: PathBuf,
    remote: Bytes,
    options: &Options,
    meter: &Meter,
) -> Result<Summary> {
    let begun = Instant::now();
    let engine = sftp.engine();
    let limits = engine.limits().await?;
    let plan = Plan::new(BLOCK.min(usize::try_from(limits.max_write).unwrap_or(BLOCK)));
    let plan = if options.verify { plan.hash() } else { plan };
    let mut reader = Reader::open(local.clone(), plan).await?;
    let details = *reader.details();
    let place = Place::open(sftp, &remote, &details, options).await?;

    meter.expect(Some(details.length()));
    meter.expect_no_more();
    let counted = meter.file(remote.clone(), Some(details.length()));
    let limiter = options.limiter();
    let mut store = Store::new(vec![Lane::new(place.file, options.bounds(limits.max_write))]);
    let (mut length, mut told) = (0, 0);
    while let Some(piece) = reader.next().await? {
        if let Piece::Block(block) = piece {
            let offset = block.offset();
            length = offset + block.len() as u64;
            if let Some(limiter) = &limiter {
                limiter.take(block.len() as u64).await;
            }
            let doing = Doing::Write { path: &remote, bytes: block.len() as u64 };
            let written = store.write(offset, block.into_bytes()).await;
            explained(engine, written, doing).await?;
            counted.moved(store.stored() - told);
            told = store.stored();
        }
    }
    let doing = Doing::Write { path: &remote, bytes: BLOCK as u64 };
    let written = store.finish().await;
    explained(engine, written, doing).await?;
    let moved = store.stored();
    counted.moved(moved - told);
    let mut files: Vec<OpenHandle> = store.into_files().collect();
    let channels = files.len();
    let verified = match reader.sha256().filter(|_| options.verify) {
        Some(sha256) => {
            let path = place.temporary.as_ref().map_or(&remote, Temporary::path);
            verify::has(Remote { sftp, path, file: files.first() }, length, sha256).await?
        }
        None => Verified::NotAsked,
    };
    for file in files.drain(..) {
        let ended = end(engine, file, place.attributes.clone(), options).await;
        explained(engine, ended, doing).await?;
    }
    if let Some(temporary) = place.temporary {
        temporary.take_place().await?;
    }
    counted.done();
    Ok(Summary { length, moved, duration: begun.elapsed(), verified, changed: false, channels })
}

/// Where the bytes go.
struct Place {
    file: OpenHandle,
    temporary: Option<Temporary>,
    /// What the file gets when all is written.
    attributes: Attributes,
}

impl Place {
    async fn open(sftp: &Sftp, remote: &Bytes, details: &Details, options: &Options) -> Result<Self> {
        let engine = sftp.engine();
        let mode = options.mode.unwrap_or_else(|| details.mode());
        let mut attributes = Attributes::new();
        if options.preserve || options.mode.is_some() {
            attributes = attributes.with_permissions(mode);
        }
        if let (true, Some(modified)) = (options.preserve, details.modified()) {
            attributes = attributes.with_times(details.accessed().unwrap_or(modified), modified);
        }
        if !options.atomic {
            let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
            let new = Attributes::new().with_permissions(mode);
            let opening = Request::Open { path: remote.clone(), flags, attributes: new };
            let opened = engine.handle("open", opening).await;
            let doing = Doing::Create { path: remote, existing: Existing::Opened };
            let file = explained(engine, opened, doing).await?;
            return Ok(Self { file, temporary: None, attributes });
        }
        let (target, existing) = resolve(engine, remote).await?;
        // What takes a file's place has its permissions, and nobody else may read it before; a new file has those that
        // the server gives to new ones.
        let (new, kept) =
            match (existing.as_ref().and_then(Attributes::permissions), attributes.permissions()) {
                (_, Some(wanted)) => (PRIVATE, Some(wanted)),
                (Some(existing), None) => (PRIVATE, Some(existing & 0o7777)),
                (None, None) => (mode, None),
            };
        if let Some(kept) = kept {
            attributes = attributes.with_permissions(kept);
        }
        let temporary = Temporary::beside(sftp, &target)?;
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
        let opening = Request::Open {
            path: temporary.path().clone(),
            flags,
            attributes: Attributes::new().with_permissions(new),
        };
        match engine.handle("open", opening).await {
            Ok(file) => Ok(Self { file, temporary: Some(temporary), attributes }),
            Err(error) => {
                let mut temporary = temporary;
                // It was not made here, so it is not removed here.
                temporary.keep();
                let doing = Doing::Create { path: temporary.path(), existing: Existing::Refused };
                Err(explain(engine, error, doing).await)
            }
        }
    }
}

/// What is replaced: where a link leads, as writing in place would, and what is there.
async fn resolve(engine: &Engine, remote: &Bytes) -> Result<(Bytes, Option<Attributes>)> {
    let link = engine.submit(Request::Lstat { path: remote.clone() });
    let there = engine.submit(Request::Stat { path: remote.clone() });
    let absolute = engine.submit(Request::RealPath { path: remote.clone() });
    let (link, there) = (link.attributes("lstat").await, there.attributes("stat").await);
    let absolute = absolute.path("realpath").await;
    let existing = match there {
        Ok(attributes) => Some(attributes),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(error.at(remote)),
    };
    match existing.as_ref().and_then(Attributes::kind) {
        Some(FileKind::Directory) => {
            return Err(Error::new(ErrorKind::IsADirectory, "put", "a directory").at(remote));
        }
        Some(FileKind::Other) => {
            let text = "a device, a pipe or a socket, which a file cannot replace";
            return Err(Error::new(ErrorKind::InvalidArgument, "put", text).at(remote));
        }
        _ => {}
    }
    let is_link = link.is_ok_and(|attributes| attributes.kind() == Some(FileKind::Symlink));
    let target = if is_link { absolute.map_err(|error| error.at(remote))? } else { remote.clone() };
    Ok((target, existing))
}

/// Gives the file what it is to have, has it stored where it will take a place, and closes it.
async fn end(engine: &Engine, file: OpenHandle, attributes: Attributes, options: &Options) -> Result<()> {
    let handle = || file.handle().clone();
    let set =
        (!attributes.is_empty()).then(|| engine.submit(Request::FsetStat { handle: handle(), attributes }));
    let synced = (options.atomic && engine.has(Extension::Fsync))
        .then(|| engine.submit(Request::Extended(ExtendedRequest::Fsync { handle: handle() })));
    if let Some(set) = set {
        set.done("setstat").await?;
    }
    if let Some(synced) = synced {
        synced.done("fsync").await?;
    }
    file.close("close").await
}

/// What is read at a time where the server takes as much.
const BLOCK: usize = 256 * 1024;

const PRIVATE: u32 = 0o600;
