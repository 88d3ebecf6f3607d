//! A file from the server.

use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use rustle_sftp_proto::{Attributes, FileKind, OpenFlags, Request};

use crate::engine::{Engine, OpenHandle};
use crate::error::{Error, ErrorKind, Result};
use crate::explain::{Doing, explained};
use crate::local::preserve::Preserved;
use crate::local::target::{Durability, Finish, Placing, Target};
use crate::local::tree::{Links, is_denied};
use crate::local::writer::Writing;
use crate::sftp::Sftp;
use crate::transfer::fetch::Fetch;
use crate::transfer::lane::Lane;
use crate::transfer::options::{Options, Scope};
use crate::transfer::progress::Meter;
use crate::transfer::resume::{Both, Compared};
use crate::transfer::stripe::{Direction, Reopened, Same, Stripes, carriers, is_alike};
use crate::transfer::summary::{Resumed, Summary, Verified};
use crate::transfer::survival::Survival;
use crate::transfer::verify::{self, Here, Remote};

/// Fetches one file.
pub(crate) async fn get(
    sftp: &Sftp,
    remote: Bytes,
    local: PathBuf,
    options: &Options,
    meter: &Meter,
) -> Result<Summary> {
    let begun = Instant::now();
    let engine = sftp.engine();
    let opened = open(engine, &remote).await;
    let (file, attributes) = explained(engine, opened, Doing::Open { path: &remote }).await?;
    let limits = engine.limits().await?;
    let mode = new_mode(&attributes, options);
    let made = match options.no_follow {
        false => Target::create(local.clone(), placing(options), mode).await,
        true => Target::create_inside(local.clone(), placing(options), mode).await,
    };
    let there = Remote { sftp, path: &remote, file: Some(&file), hashes: options.hashes.as_ref() };
    let (mut target, resumed) = match made {
        // It may be all there, with the permissions of an original that is read-only.
        Err(error) if placing(options) == Placing::InPlaceResumable && is_denied(&error) => {
            match whole(there, local, attributes.size(), options).await? {
                Some(whole) => whole,
                None => return Err(error),
            }
        }
        made => {
            let target = made?;
            let resumed = judged(there, &target, attributes.size(), options).await?;
            (target, resumed)
        }
    };
    if let Resumed::Anew { .. } = resumed {
        target.begin_anew().await?;
    }
    let from = resumed.from();
    let mut writer = target.writer(match options.sparse && target.is_new() {
        true => Writing::default().leave_holes(),
        false => Writing::default(),
    })?;
    let expected = attributes.size().unwrap_or(0);
    if options.scope == Scope::Alone {
        meter.expect(attributes.size());
        meter.expect_no_more();
    }
    let counted = meter.file(remote.clone(), attributes.size());
    counted.found(from);
    let limiter = options.limiter();
    let helpers = carriers(sftp, Direction::Down, expected.saturating_sub(from), options);
    let bounds = options.bounds(limits.max_read, 1 + helpers.len());
    let mut fetch = Fetch::new(vec![Lane::new(sftp, file, bounds)], from, expected);
    let same = Same::Read(attributes.clone(), fetch.testimony());
    let again = Reopened { path: remote.clone(), flags: OpenFlags::READ, same, leaves_out: false };
    let mut stripes = Stripes::open(sftp, helpers).survive(Survival::of(sftp, None, options));
    stripes.tell(again, bounds);
    fetch.join(stripes);
    let mut moved = 0;
    loop {
        let (offset, data) = match fetch.next().await {
            Ok(Some(came)) => came,
            Ok(None) => break,
            Err(error) => {
                if options.resume
                    && let Err(unwritten) = writer.finish(false).await
                {
                    // It ended for another reason, which is told; the part is a little shorter.
                    tracing::debug!(%unwritten, "not all that came is in the part");
                }
                return Err(error.at(&remote));
            }
        };
        let bytes = data.len() as u64;
        if let Some(limiter) = &limiter {
            limiter.take(bytes).await;
        }
        moved += bytes;
        counted.moved(bytes);
        writer.write(offset, data.into_pieces()).await?;
    }
    let (length, losses) = (fetch.end(), fetch.losses());
    let channels = fetch.into_channels();
    // Asked while the rest is written: a file that was cut or written to meanwhile shows it here, on each channel.
    let asked: Vec<_> = channels
        .iter()
        .map(|(_, file)| file.engine().submit(Request::Fstat { handle: file.handle().clone() }))
        .collect();
    writer.finish(false).await?;
    let (mut changed, mut answered, mut lost) = (false, false, None);
    for after in asked {
        let after = match after.attributes("fstat").await {
            Ok(after) => after,
            // All has come: one that can still be asked is enough.
            Err(error) if error.kind() == ErrorKind::Disconnected => {
                lost.get_or_insert(error);
                continue;
            }
            Err(error) => return Err(error.at(&remote)),
        };
        answered = true;
        changed |= !is_alike(&attributes, &after);
        // Files that are made as they are read have no length beforehand.
        if let Some(said) = after.size().filter(|said| *said > length && Some(*said) == attributes.size()) {
            let text = format!("the server ended the file after {length} of its {said} bytes");
            return Err(Error::new(ErrorKind::Changed, "read", text).at(&remote));
        }
    }
    if let Some(lost) = lost.filter(|_| !answered) {
        return Err(lost.at(&remote));
    }
    if options.verify && changed {
        let text = "the file was written to while it was fetched";
        return Err(Error::new(ErrorKind::Changed, "get", text).at(&remote));
    }
    let verified = match options.verify {
        true => {
            let living = channels.iter().find(|(sftp, _)| !sftp.is_closed());
            let (sftp, file) = living.map_or((sftp, None), |(sftp, file)| (sftp, Some(file)));
            let there = Remote { sftp, path: &remote, file, hashes: options.hashes.as_ref() };
            match verify::compare(there, Here::Made(&target), length).await {
                Err(error) if error.kind() == ErrorKind::Mismatch => {
                    // Nothing can be made of it, resumed or not.
                    if let Err(left) = target.abort().await {
                        tracing::warn!(error = %left, "a temporary file could not be removed");
                    }
                    return Err(error);
                }
                compared => compared?,
            }
        }
        false => Verified::NotAsked,
    };
    let durability = if options.atomic { Durability::Synced } else { Durability::Lazy };
    target
        .commit(Finish { preserved: preserved(&attributes, options), durability, length: Some(length) })
        .await?;
    counted.done();
    let (duration, channels) = (begun.elapsed(), channels.len());
    Ok(Summary { length, moved, duration, resumed, verified, changed, channels, losses })
}

fn placing(options: &Options) -> Placing {
    match (options.atomic, options.resume) {
        (true, true) => Placing::Resumable,
        (true, false) => Placing::Atomic,
        (false, true) => Placing::InPlaceResumable,
        (false, false) => Placing::InPlace,
    }
}

/// From where the fetch goes on.
async fn judged(
    remote: Remote<'_>,
    target: &Target,
    source: Option<u64>,
    options: &Options,
) -> Result<Resumed> {
    let (found, here) = (target.found(), Here::Made(target));
    match source {
        _ if !options.resume => Ok(Resumed::NotAsked),
        Some(source) => {
            let both = Both { remote, here, found, source, compared: Compared::Blocks };
            both.judge().await.map_err(|error| error.at(remote.path))
        }
        None if found == 0 => Ok(Resumed::NothingFound),
        None => {
            let why = "the server does not say how long the file is".to_owned();
            Ok(Resumed::Anew { found, why })
        }
    }
}

/// A file that this user may read and not write, where it is proved to have all bytes of the original.
async fn whole(
    remote: Remote<'_>,
    local: PathBuf,
    source: Option<u64>,
    options: &Options,
) -> Result<Option<(Target, Resumed)>> {
    let links = if options.no_follow { Links::Keep } else { Links::Follow };
    let Ok(target) = Target::open_whole(local, links).await else { return Ok(None) };
    let resumed = judged(remote, &target, source, options).await?;
    let is_whole = matches!(resumed, Resumed::From { from, .. } if source == Some(from));
    Ok(is_whole.then_some((target, resumed)))
}

/// Opens it and asks what it is, in one round trip.
async fn open(engine: &Engine, path: &Bytes) -> Result<(OpenHandle, Attributes)> {
    let opening = Request::Open { path: path.clone(), flags: OpenFlags::READ, attributes: Attributes::new() };
    let opened = engine.submit(opening);
    let asked = engine.submit(Request::Stat { path: path.clone() });
    let file = opened.handle(engine, "open").await;
    let attributes = asked.attributes("stat").await;
    if let Ok(attributes) = &attributes {
        // Servers open directories, or refuse with whatever comes to their mind.
        match attributes.kind() {
            Some(FileKind::Directory) => {
                return Err(Error::new(ErrorKind::IsADirectory, "get", "a directory"));
            }
            Some(FileKind::Other) => {
                return Err(Error::new(ErrorKind::InvalidArgument, "get", "a device, a pipe or a socket"));
            }
            _ => {}
        }
    }
    // What cannot be asked about can still be read, up to its end.
    Ok((file?, attributes.unwrap_or_default()))
}

/// What a new file gets before the system's mask.
pub(crate) fn new_mode(attributes: &Attributes, options: &Options) -> u32 {
    options.mode.or_else(|| attributes.permissions()).unwrap_or(0o666) & 0o777
}

pub(crate) fn preserved(attributes: &Attributes, options: &Options) -> Preserved {
    let mut preserved = Preserved::NOTHING;
    if let Some(mode) = options.mode.or_else(|| attributes.permissions().filter(|_| options.preserve)) {
        preserved = preserved.mode(mode);
    }
    if let (true, Some(accessed), Some(modified)) =
        (options.preserve, attributes.accessed(), attributes.modified())
    {
        preserved = preserved.times(accessed, options.recorded(modified));
    }
    preserved
}
