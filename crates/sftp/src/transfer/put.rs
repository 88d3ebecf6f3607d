//! A file to the server.

use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use rustle_sftp_proto::{Attributes, ExtendedRequest, Extension, OpenFlags, Request};

use crate::engine::OpenHandle;
use crate::error::{ErrorKind, Result};
use crate::explain::{Doing, explained};
use crate::local::reader::{Piece, Plan, Reader};
use crate::local::writer::is_hole;
use crate::sftp::Sftp;
use crate::transfer::lane::Lane;
use crate::transfer::options::{Options, Scope};
use crate::transfer::place::{Place, Source};
use crate::transfer::progress::Meter;
use crate::transfer::store::Store;
use crate::transfer::stripe::{self, Direction, Stripes};
use crate::transfer::summary::{Summary, Verified};
use crate::transfer::temporary::Temporary;
use crate::transfer::verify::{self, Here, Remote};

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
    // What it is, before it is known from where on it is read.
    let first = if options.resume { plan.clone().range(0..0) } else { with_hash(plan.clone(), options) };
    let mut reader = Reader::open(local.clone(), first).await?;
    let details = *reader.details();
    let source = Source { path: &local, details: &details };
    let place = Place::open(sftp, &remote, source, options).await?;
    let from = place.resumed.from();
    if options.resume {
        let plan = if from == 0 { with_hash(plan, options) } else { plan.range(from..u64::MAX) };
        reader = Reader::open(local.clone(), plan.expect(details.stamp())).await?;
    } else if place.leaves_holes && details.is_sparse() {
        let plan = with_hash(plan, options).skip_holes();
        reader = Reader::open(local.clone(), plan.expect(details.stamp())).await?;
    }

    if options.scope == Scope::Alone {
        meter.expect(Some(details.length()));
        meter.expect_no_more();
    }
    let counted = meter.file(remote.clone(), Some(details.length()));
    let limiter = options.limiter();
    counted.found(from);
    // Opened again, the name of a file that is written in place may be another's by then; a temporary one's is not.
    let channels = match place.temporary {
        Some(_) => stripe::count(sftp, Direction::Up, details.length().saturating_sub(from), options),
        None => 1,
    };
    let bounds = options.bounds(limits.max_write, channels);
    let written_to = place.temporary.as_ref().map_or(&remote, Temporary::path);
    let mut stripes = Stripes::open(sftp, channels - 1, written_to, OpenFlags::WRITE, None, bounds);
    let mut store = Store::new(vec![Lane::new(place.file, bounds)], from);
    let (mut length, mut told) = (from, 0);
    let leaves_zeros = options.sparse && place.leaves_holes;
    while let Some(piece) = reader.next().await? {
        while let Some(lane) = stripes.ready() {
            store.add(lane);
        }
        let (offset, data) = match piece {
            Piece::Block(block) if !(leaves_zeros && is_hole(block.data())) => {
                (block.offset(), block.into_bytes())
            }
            hole => {
                let range = hole.range();
                // Its last byte makes it what it is to be where nothing stands behind it.
                let left_out = range.end - u64::from(range.end == details.length());
                store.leave_out(range.start..left_out);
                counted.found(left_out - range.start);
                (left_out, Bytes::from_static(if left_out < range.end { &[0] } else { &[] }))
            }
        };
        let bytes = data.len() as u64;
        length = offset + bytes;
        if data.is_empty() {
            continue;
        }
        if let Some(limiter) = &limiter {
            limiter.take(bytes).await;
        }
        let written = store.write(offset, data).await;
        explained(engine, written, Doing::Write { path: &remote, bytes }).await?;
        counted.moved(store.stored() - told);
        told = store.stored();
    }
    drop(stripes);
    let doing = Doing::Write { path: &remote, bytes: BLOCK as u64 };
    let written = store.finish().await;
    explained(engine, written, doing).await?;
    let moved = store.stored();
    counted.moved(moved - told);
    // Declared in this order: whatever fails below, the handles are closed before the temporary file is removed.
    let mut temporary = place.temporary;
    let mut files: Vec<OpenHandle> = store.into_files().collect();
    let channels = files.len();
    let verified = match options.verify {
        true => {
            let path = temporary.as_ref().map_or(&remote, Temporary::path);
            let there = Remote { sftp, path, file: files.first() };
            let compared = match reader.sha256() {
                Some(sha256) => verify::has(there, length, sha256).await,
                // Only the rest was read.
                None => verify::compare(there, Here::Source(&local), length).await,
            };
            if compared.as_ref().is_err_and(|error| error.kind() == ErrorKind::Mismatch) {
                files.clear();
                temporary.take().into_iter().for_each(Temporary::discard);
            }
            compared?
        }
        false => Verified::NotAsked,
    };
    // The first handle speaks for the file; the others are of channels that helped to fill it.
    for helper in files.drain(1.min(files.len())..) {
        explained(engine, helper.close("close").await, doing).await?;
    }
    if let Some(file) = files.pop() {
        let ended = end(file, place.attributes.clone(), options).await;
        explained(engine, ended, doing).await?;
    }
    if let Some(temporary) = temporary {
        temporary.take_place().await?;
    }
    counted.done();
    Ok(Summary {
        length,
        moved,
        duration: begun.elapsed(),
        resumed: place.resumed,
        verified,
        changed: false,
        channels,
    })
}

/// Gives the file what it is to have, has it stored where it will take a place, and closes it. A handle means something on
/// its own channel alone.
async fn end(file: OpenHandle, attributes: Attributes, options: &Options) -> Result<()> {
    let engine = file.engine();
    let handle = || file.handle().clone();
    let set =
        (!attributes.is_empty()).then(|| engine.submit(Request::FsetStat { handle: handle(), attributes }));
    let synced = (options.atomic && engine.has(Extension::Fsync))
        .then(|| engine.submit(Request::Extended(ExtendedRequest::Fsync { handle: handle() })));
    if let Some(set) = set {
        // The permissions of what it replaces are kept where that can be; nobody asked for them.
        let is_asked_for = options.preserve || options.mode.is_some();
        match set.done("setstat").await {
            Err(error) if error.kind() == ErrorKind::Unsupported && !is_asked_for => {
                tracing::debug!(%error, "the server sets no permissions");
            }
            done => done?,
        }
    }
    if let Some(synced) = synced {
        synced.done("fsync").await?;
    }
    file.close("close").await
}

fn with_hash(plan: Plan, options: &Options) -> Plan {
    if options.verify { plan.hash() } else { plan }
}

/// What is read at a time where the server takes as much.
const BLOCK: usize = 256 * 1024;
