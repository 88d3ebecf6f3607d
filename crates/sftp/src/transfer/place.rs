//! Where the bytes of a file that is sent go.

use bytes::Bytes;
use rustle_sftp_proto::{Attributes, FileKind, OpenFlags, Request, StatusCode};

use crate::engine::{Engine, OpenHandle};
use crate::error::{Error, ErrorKind, Result};
use crate::explain::{Doing, Existing, explain, explained};
use crate::local::details::Details;
use crate::local::original::Original;
use crate::sftp::Sftp;
use crate::transfer::options::Options;
use crate::transfer::resume::{Both, Compared};
use crate::transfer::summary::Resumed;
use crate::transfer::temporary::Temporary;
use crate::transfer::verify::{Here, Remote};

/// An open file of the server, and what is to become of it.
pub(crate) struct Place {
    pub(crate) file: OpenHandle,
    /// Where it does not stand in its place yet.
    pub(crate) temporary: Option<Temporary>,
    /// What the file gets when all is written.
    pub(crate) attributes: Attributes,
    /// How much of it is there.
    pub(crate) resumed: Resumed,
    /// Whether there are zeros wherever nothing is written.
    pub(crate) leaves_holes: bool,
}

/// What is sent.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) details: &'a Details,
    /// Where it is open, to be compared with what an earlier attempt left.
    pub(crate) original: Option<&'a Original>,
}

impl Place {
    pub(crate) async fn open(
        sftp: &Sftp,
        remote: &Bytes,
        source: Source<'_>,
        options: &Options,
    ) -> Result<Self> {
        let engine = sftp.engine();
        let details = source.details;
        let mode = options.mode.unwrap_or_else(|| details.mode());
        let mut attributes = Attributes::new();
        if options.preserve || options.mode.is_some() {
            attributes = attributes.with_permissions(mode);
        }
        if let (true, Some(modified)) = (options.preserve, details.modified()) {
            let accessed = details.accessed().unwrap_or(modified);
            attributes = attributes.with_times(accessed, options.recorded(modified));
        }
        if !options.atomic {
            let (file, resumed) = in_place(sftp, remote, source, mode, options).await?;
            // Only asked where it makes a difference.
            let may_leave = !options.resume && (options.sparse || details.is_sparse());
            let leaves_holes = may_leave && is_empty(&file).await;
            return Ok(Self { file, temporary: None, attributes, resumed, leaves_holes });
        }
        let (target, existing) = resolve(engine, remote, options).await?;
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
        if options.resume {
            let (parts, original) = (options.parts.as_ref(), details.stamp());
            // Boxed, as little else is as large, and of a tree's files few come here.
            let resuming = Box::pin(async {
                let temporary = Temporary::to_resume(sftp, &target, parts, original).await?;
                let found = part(sftp, &temporary, source, new | PRIVATE, options).await?;
                Ok::<_, Error>((temporary, found))
            });
            let (temporary, (file, resumed)) = resuming.await?;
            let leaves_holes = false;
            if kept.is_none() {
                attributes = without_more(&file, mode, attributes).await;
            }
            return Ok(Self { file, temporary: Some(temporary), attributes, resumed, leaves_holes });
        }
        let mut temporary = Temporary::beside(sftp, &target)?;
        match create(engine, temporary.path(), OpenFlags::WRITE, new).await {
            Ok(file) => {
                let (temporary, resumed) = (Some(temporary), Resumed::NotAsked);
                Ok(Self { file, temporary, attributes, resumed, leaves_holes: true })
            }
            Err(error) => {
                let doing = Doing::Create { path: temporary.path(), existing: Existing::Refused };
                let error = temporary.named_in(explain(engine, error, doing).await);
                // It was not made here, so it is not removed here.
                temporary.keep();
                Err(error)
            }
        }
    }
}

/// The target itself.
async fn in_place(
    sftp: &Sftp,
    remote: &Bytes,
    source: Source<'_>,
    mode: u32,
    options: &Options,
) -> Result<(OpenHandle, Resumed)> {
    let engine = sftp.engine();
    let open = async |flags| {
        // What its owner may not write could not be gone on with.
        let mode = if options.resume { mode | PRIVATE } else { mode };
        let new = Attributes::new().with_permissions(mode);
        let opening = Request::Open { path: remote.clone(), flags, attributes: new };
        let opened = engine.handle("open", opening).await;
        explained(engine, opened, Doing::Create { path: remote, existing: Existing::Opened }).await
    };
    let empty = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
    if !options.resume {
        return Ok((open(empty).await?, Resumed::NotAsked));
    }
    let file = match open(OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE).await {
        // It may be all there, with the permissions of an original that is read-only.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let Ok(file) = open(OpenFlags::READ).await else { return Err(error) };
            return match judged(sftp, remote, &file, source, options).await? {
                whole @ Resumed::From { from, .. } if from == source.details.length() => Ok((file, whole)),
                _ => Err(error),
            };
        }
        opened => opened?,
    };
    match judged(sftp, remote, &file, source, options).await? {
        anew @ Resumed::Anew { .. } => {
            // Not only the length: of a part that keeps bytes of another file, a later attempt may find blocks equal.
            file.close("close").await.map_err(|error| error.at(remote))?;
            Ok((open(empty).await?, anew))
        }
        resumed => Ok((file, resumed)),
    }
}

/// A part that can be gone on with may have more permissions than the original: those of its owner. What the server has left
/// of the original's when it made the part it has in the end, as if it had been made with those. Others than such a part has
/// somebody has given it: they stay.
async fn without_more(file: &OpenHandle, mode: u32, attributes: Attributes) -> Attributes {
    if mode & PRIVATE == PRIVATE {
        return attributes;
    }
    let asked = Request::Fstat { handle: file.handle().clone() };
    let there = file.engine().attributes("fstat", asked).await;
    match there.ok().and_then(|there| there.permissions()).map(|there| there & 0o777) {
        Some(there) if there & PRIVATE == PRIVATE && there & !(mode | PRIVATE) == 0 => {
            attributes.with_permissions(there & mode)
        }
        _ => attributes,
    }
}

/// Whether it is a file and was cut off: a device was not.
async fn is_empty(file: &OpenHandle) -> bool {
    let asked = Request::Fstat { handle: file.handle().clone() };
    let there = file.engine().attributes("fstat", asked).await;
    there.is_ok_and(|there| there.kind() == Some(FileKind::File) && there.size() == Some(0))
}

/// The part that an earlier attempt left, or a new one.
async fn part(
    sftp: &Sftp,
    temporary: &Temporary,
    source: Source<'_>,
    new: u32,
    options: &Options,
) -> Result<(OpenHandle, Resumed)> {
    let (engine, path) = (sftp.engine(), temporary.path());
    let both_ways = OpenFlags::READ | OpenFlags::WRITE;
    temporary.asks();
    let refused = match temporary.hears(create(engine, path, both_ways, new).await) {
        Ok(file) => return Ok((file, Resumed::NothingFound)),
        Err(error) => error,
    };
    let there = match engine.attributes("lstat", Request::Lstat { path: path.clone() }).await {
        Ok(there) => there,
        // It is not there: what was refused was to make it.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let doing = Doing::Create { path, existing: Existing::Refused };
            return Err(explain(engine, refused, doing).await);
        }
        Err(error) => return Err(error.at(path)),
    };
    // The name is known, and others may write in the directory.
    if there.kind().is_some_and(|kind| kind != FileKind::File) {
        let text = "there is something else in the place of a part";
        return Err(Error::new(ErrorKind::InvalidArgument, "put", text).at(path).with_hint(LOOK));
    }
    let open = |flags| {
        let opening = Request::Open { path: path.clone(), flags, attributes: Attributes::new() };
        engine.handle("open", opening)
    };
    let mut opened = open(both_ways).await;
    if opened.as_ref().is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
        && let Ok(file) = open(OpenFlags::READ).await
    {
        // An attempt that was cut off at its very end may have given it the permissions of the original.
        own(engine, &file, path, PRIVATE).await?;
        file.close("close").await.map_err(|error| error.at(path))?;
        opened = open(both_ways).await;
    }
    let file = explained(engine, opened, Doing::Create { path, existing: Existing::Opened }).await?;
    if let Some(open_to) = there.permissions() {
        own(engine, &file, path, if new == PRIVATE { PRIVATE } else { open_to & 0o777 }).await?;
    }
    match judged(sftp, path, &file, source, options).await? {
        anew @ Resumed::Anew { .. } => {
            file.close("close").await.map_err(|error| error.at(path))?;
            temporary.asks();
            let removed = engine.done("remove", Request::Remove { path: path.clone() }).await;
            let removed = temporary.hears(removed);
            explained(engine, removed, Doing::RemoveFile { path }).await?;
            temporary.asks();
            let made = temporary.hears(create(engine, path, both_ways, new).await);
            let doing = Doing::Create { path, existing: Existing::Refused };
            Ok((explained(engine, made, doing).await?, anew))
        }
        resumed => Ok((file, resumed)),
    }
}

/// A file that was not there before: no link is followed either (`O_EXCL`).
async fn create(engine: &Engine, path: &Bytes, access: OpenFlags, mode: u32) -> Result<OpenHandle> {
    let flags = access | OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    let attributes = Attributes::new().with_permissions(mode);
    engine.handle("open", Request::Open { path: path.clone(), flags, attributes }).await
}

/// Sets its permissions, which only the owner of a file may: one that somebody else put there could be read and changed
/// by them after it was checked.
async fn own(engine: &Engine, file: &OpenHandle, path: &Bytes, mode: u32) -> Result<()> {
    let attributes = Attributes::new().with_permissions(mode);
    let request = Request::FsetStat { handle: file.handle().clone(), attributes };
    match engine.done("setstat", request).await {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let text = "the part was made by somebody else";
            Err(Error::new(ErrorKind::PermissionDenied, "put", text).at(path).with_hint(LOOK))
        }
        // A server without permissions has nothing to protect by them.
        Err(error) if error.status().is_some_and(|status| status.code() == StatusCode::OP_UNSUPPORTED) => {
            Ok(())
        }
        other => other.map_err(|error| error.at(path)),
    }
}

async fn judged(
    sftp: &Sftp,
    path: &Bytes,
    file: &OpenHandle,
    source: Source<'_>,
    options: &Options,
) -> Result<Resumed> {
    let asked = Request::Fstat { handle: file.handle().clone() };
    let there = sftp.engine().attributes("fstat", asked).await.map_err(|error| error.at(path))?;
    let Some(found) = there.size() else {
        let why = "the server does not say how long it is".to_owned();
        return Ok(Resumed::Anew { found: 0, why });
    };
    let Some(original) = source.original else {
        let why = "the file of this side is not open any more".to_owned();
        return Ok(Resumed::Anew { found, why });
    };
    let remote = Remote { sftp, path, file: Some(file), hashes: options.hashes.as_ref() };
    let limit = options.limiter();
    let compared = match options.is_begun_again {
        true => Compared::All(limit.as_ref()),
        false => Compared::Blocks,
    };
    let here = Here::Source(original);
    Both { remote, here, found, source: source.details.length(), compared }.judge().await
}

/// What is replaced: where a link leads, as writing in place would, and what is there.
async fn resolve(engine: &Engine, remote: &Bytes, options: &Options) -> Result<(Bytes, Option<Attributes>)> {
    let link = engine.submit(Request::Lstat { path: remote.clone() });
    let there = engine.submit(Request::Stat { path: remote.clone() });
    let absolute = engine.submit(Request::RealPath { path: remote.clone() });
    let (link, there) = (link.attributes("lstat").await, there.attributes("stat").await);
    let absolute = absolute.path("realpath").await;
    let is_link = link.is_ok_and(|attributes| attributes.kind() == Some(FileKind::Symlink));
    if is_link && options.replace_links {
        return Ok((remote.clone(), None));
    }
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
    let target = if is_link { absolute.map_err(|error| error.at(remote))? } else { remote.clone() };
    Ok((target, existing))
}

const PRIVATE: u32 = 0o600;

const LOOK: &str = "look at it, and remove it";
