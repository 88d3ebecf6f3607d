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
use crate::local::writer::Writing;
use crate::sftp::Sftp;
use crate::transfer::fetch::Fetch;
use crate::transfer::lane::Lane;
use crate::transfer::options::Options;
use crate::transfer::progress::Meter;
use crate::transfer::summary::{Summary, Verified};
use crate::transfer::verify::{self, Remote};

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
    let placing = if options.atomic { Placing::Atomic } else { Placing::InPlace };
    let target = Target::create(local, placing, mode).await?;
    let mut writer = target.writer(Writing::default())?;
    let expected = attributes.size().unwrap_or(0);
    meter.expect(attributes.size());
    meter.expect_no_more();
    let counted = meter.file(remote.clone(), attributes.size());
    let limiter = options.limiter();
    let mut fetch = Fetch::new(vec![Lane::new(file, options.bounds(limits.max_read))], 0, expected);
    let mut moved = 0;
    while let Some((offset, data)) = fetch.next().await.map_err(|error| error.at(&remote))? {
        let bytes = data.len() as u64;
        if let Some(limiter) = &limiter {
            limiter.take(bytes).await;
        }
        moved += bytes;
        counted.moved(bytes);
        writer.write(offset, data.into_pieces()).await?;
    }
    let length = fetch.end();
    let files: Vec<OpenHandle> = fetch.into_files().collect();
    // Asked while the rest is written: a file that was cut or written to meanwhile shows it here.
    let after = files.first().map(|file| engine.submit(Request::Fstat { handle: file.handle().clone() }));
    writer.finish(false).await?;
    let changed = match after {
        Some(after) => {
            is_changed(&attributes, &after.attributes("fstat").await.map_err(|error| error.at(&remote))?)
        }
        None => false,
    };
    if options.verify && changed {
        let text = "the file was written to while it was fetched";
        return Err(Error::new(ErrorKind::Changed, "get", text).at(&remote));
    }
    let verified = match options.verify {
        true => {
            verify::compare(Remote { sftp, path: &remote, file: files.first() }, target.path(), length)
                .await?
        }
        false => Verified::NotAsked,
    };
    let durability = if options.atomic { Durability::Synced } else { Durability::Lazy };
    target
        .commit(Finish { preserved: preserved(&attributes, options), durability, length: Some(length) })
        .await?;
    counted.done();
    Ok(Summary { length, moved, duration: begun.elapsed(), verified, changed, channels: files.len() })
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
fn new_mode(attributes: &Attributes, options: &Options) -> u32 {
    options.mode.or_else(|| attributes.permissions()).unwrap_or(0o666) & 0o777
}

fn preserved(attributes: &Attributes, options: &Options) -> Preserved {
    let mut preserved = Preserved::NOTHING;
    if let Some(mode) = options.mode.or_else(|| attributes.permissions().filter(|_| options.preserve)) {
        preserved = preserved.mode(mode);
    }
    if let (true, Some(accessed), Some(modified)) =
        (options.preserve, attributes.accessed(), attributes.modified())
    {
        preserved = preserved.times(accessed, modified);
    }
    preserved
}

fn is_changed(before: &Attributes, after: &Attributes) -> bool {
    before.size() != after.size() || before.modified() != after.modified()
}
