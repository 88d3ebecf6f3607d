//! A file to the server.

use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::join_all;
use rustle_sftp_proto::{Attributes, ExtendedRequest, Extension, OpenFlags, Request};

use crate::engine::{Engine, OpenHandle};
use crate::error::{Error, ErrorKind, Result};
use crate::explain::{Doing, explained};
use crate::local::details::Details;
use crate::local::original::Original;
use crate::local::reader::{Piece, Plan, Reader};
use crate::local::writer::is_hole;
use crate::sftp::Sftp;
use crate::transfer::lane::Lane;
use crate::transfer::options::{Options, Scope};
use crate::transfer::place::{Place, Source};
use crate::transfer::progress::Meter;
use crate::transfer::store::Store;
use crate::transfer::stripe::{Direction, Reopened, Same, Stripes, carriers};
use crate::transfer::summary::{Summary, Verified};
use crate::transfer::survival::Survival;
use crate::transfer::temporary::Temporary;
use crate::transfer::verify::{self, Here, Remote};
use crate::transfer::window::Bounds;

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
    let mut reader = Reader::open(local, first).await?;
    let original = reader.original().clone();
    let details = *reader.details();
    let source = Source { details: &details, original: Some(&original) };
    let helpers = carriers(sftp, Direction::Up, details.length(), options);
    let channels = 1 + helpers.len();
    let survival = Survival::of(sftp, Some(original.clone()), options);
    let mut stripes = Stripes::open(sftp, helpers).survive(survival);
    let mut place = stripes.meanwhile(Place::open(sftp, &remote, source, options)).await?;
    let from = place.resumed.from();
    if options.resume {
        let plan = if from == 0 { with_hash(plan, options) } else { plan.range(from..u64::MAX) };
        reader = Reader::of(original.clone(), plan).await?;
    } else if place.leaves_holes && details.is_sparse() {
        let plan = with_hash(plan, options).skip_holes();
        reader = Reader::of(original.clone(), plan).await?;
    }
    // Behind all that is open on the server: whatever fails, the handles are closed before it is removed.
    let mut temporary = place.temporary.take();
    let sending = Sending {
        begun,
        sftp,
        original: &original,
        remote: &remote,
        options,
        details,
        reader,
        place,
        stripes,
        bounds: options.bounds(limits.max_write, channels),
    };
    let sent = sending.all(&mut temporary, meter).await;
    match &temporary {
        Some(left) => sent.map_err(|error| left.named_in(error)),
        None => sent,
    }
}

/// A file of which both sides are open.
struct Sending<'a> {
    begun: Instant,
    sftp: &'a Sftp,
    original: &'a Original,
    remote: &'a Bytes,
    options: &'a Options,
    details: Details,
    reader: Reader,
    place: Place,
    stripes: Stripes,
    bounds: Bounds,
}

impl Sending<'_> {
    /// Sends it, and has it take its place.
    async fn all(self, temporary: &mut Option<Temporary>, meter: &Meter) -> Result<Summary> {
        let Self { begun, sftp, original, remote, options, details, mut reader, place, mut stripes, bounds } =
            self;
        let (engine, from) = (sftp.engine(), place.resumed.from());
        if options.scope == Scope::Alone {
            meter.expect(Some(details.length()));
            meter.expect_no_more();
        }
        let counted = meter.file(remote.clone(), Some(details.length()));
        let limiter = options.limiter();
        counted.found(from);
        let mut store = Store::new(vec![Lane::new(sftp, place.file, bounds)], from);
        // By now the name may be another file's, or a link's: those with rights in the directory can see it.
        let (path, same) = match &*temporary {
            Some(temporary) => (temporary.path(), Same::Made(store.testimony())),
            None => (remote, Same::Written(store.testimony())),
        };
        let flags = OpenFlags::READ | OpenFlags::WRITE;
        let leaves_out = place.leaves_holes && (options.sparse || details.is_sparse());
        let again = Reopened { path: path.clone(), flags, same, leaves_out };
        stripes.tell(again, bounds);
        store.join(stripes);
        let mut filling = Filling { store, temporary: &mut *temporary };
        let (mut length, mut told) = (from, 0);
        let leaves_zeros = options.sparse && place.leaves_holes;
        while let Some(piece) = reader.next().await? {
            let (offset, data) = match piece {
                Piece::Block(block) if !(leaves_zeros && is_hole(block.data())) => {
                    (block.offset(), block.into_bytes())
                }
                hole => {
                    let range = hole.range();
                    // Its last byte makes it what it is to be where nothing stands behind it.
                    let left_out = range.end - u64::from(range.end == details.length());
                    filling.store.leave_out(range.start..left_out);
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
            let written = filling.store.write(offset, data).await;
            let by = filling.engine(engine);
            explained(by, written, Doing::Write { path: remote, bytes }).await?;
            counted.moved(filling.store.stored() - told);
            told = filling.store.stored();
        }
        let doing = Doing::Write { path: remote, bytes: BLOCK as u64 };
        let written = filling.store.finish().await;
        let by = filling.engine(engine);
        explained(by, written, doing).await?;
        let moved = filling.store.stored();
        counted.moved(moved - told);
        let losses = filling.store.losses();
        let mut channels = filling.store.take_channels();
        drop(filling);
        let count = channels.len();
        // Any of them may have been lost on the way.
        let sftp = channels.first().map_or(sftp, |(first, _)| first).clone();
        let engine = sftp.engine();
        if let Some(temporary) = temporary {
            temporary.stay_with(&sftp);
        }
        let path = temporary.as_ref().map_or(remote, Temporary::path);
        let file = channels.first().map(|(_, file)| file);
        let mut compared = match file {
            // Others may have changed it while there was no connection.
            Some(file) if losses > 0 => is_as_long(file, length).await.map_err(|error| error.at(path)),
            _ => Ok(()),
        }
        .map(|()| Verified::NotAsked);
        if options.verify && compared.is_ok() {
            let there = Remote { sftp: &sftp, path, file, hashes: options.hashes.as_ref() };
            compared = match reader.sha256() {
                Some(sha256) => verify::has(there, length, sha256).await,
                // Only the rest was read.
                None => verify::compare(there, Here::Source(original), length).await,
            };
        }
        if compared.as_ref().is_err_and(|error| error.kind() == ErrorKind::Mismatch) {
            channels.clear();
            temporary.take().into_iter().for_each(Temporary::discard);
        }
        let verified = compared?;
        // The first handle speaks for the file; the others are of channels that helped to fill it.
        let helpers = channels.drain(1.min(channels.len())..).map(|(_, helper)| helper.close("close"));
        for closed in join_all(helpers).await {
            match closed {
                // What it wrote was answered, as that of one which was lost before.
                Err(error) if error.kind() == ErrorKind::Disconnected => {
                    tracing::info!(%error, "a transfer ends without a channel that helped");
                }
                closed => explained(engine, closed, doing).await?,
            }
        }
        if let Some((_, file)) = channels.pop() {
            let ended = end(file, place.attributes.clone(), options).await;
            explained(engine, ended, doing).await?;
        }
        if let Some(temporary) = temporary.take() {
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
            channels: count,
            losses,
        })
    }
}

/// What is being written, and where. Wherever that ends, by an error or dropped, the temporary file goes with a channel
/// that is left then: its own may be lost, and only over another can the server be told to remove it.
struct Filling<'a> {
    store: Store,
    temporary: &'a mut Option<Temporary>,
}

impl Filling<'_> {
    /// Who is asked why something failed: the first channel may be lost, which could say nothing any more.
    fn engine<'b>(&'b self, first: &'b Engine) -> &'b Engine {
        self.store.channel().map_or(first, Sftp::engine)
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        if let (Some(temporary), Some(left)) = (self.temporary.as_mut(), self.store.channel()) {
            temporary.stay_with(left);
        }
    }
}

/// Whether it has as many bytes as were sent.
///
/// # Errors
/// [`ErrorKind::Mismatch`] where it has not, and whatever the channel has to say.
async fn is_as_long(file: &OpenHandle, sent: u64) -> Result<()> {
    let asked = Request::Fstat { handle: file.handle().clone() };
    let there = file.engine().attributes("fstat", asked).await?.size();
    if there == Some(sent) {
        return Ok(());
    }
    let there = there.map_or_else(|| "unknown".to_owned(), |size| format!("{size} bytes"));
    let text = format!("its length is {there} after a lost connection, and {sent} bytes were sent");
    let told = Error::new(ErrorKind::Mismatch, "verify", text);
    Err(told.with_hint("see who else writes to it, and transfer it again"))
}

/// Gives the file what it is to have, has it stored where it will take a place, and closes it. A handle means something on
/// its own channel alone.
async fn end(file: OpenHandle, attributes: Attributes, options: &Options) -> Result<()> {
    let engine = file.engine();
    let handle = || file.handle().clone();
    // The permissions last: what it may take minutes to put on the disk must be there to be gone on with if that is cut off,
    // and some permissions let nobody open it.
    let synced = (options.atomic && engine.has(Extension::Fsync))
        .then(|| engine.submit(Request::Extended(ExtendedRequest::Fsync { handle: handle() })));
    let set =
        (!attributes.is_empty()).then(|| engine.submit(Request::FsetStat { handle: handle(), attributes }));
    let mut ended = match synced {
        Some(synced) => synced.done("fsync").await,
        None => Ok(()),
    };
    if let Some(set) = set {
        // The permissions of what it replaces are kept where that can be; nobody asked for them.
        let is_asked_for = options.preserve || options.mode.is_some();
        match set.done("setstat").await {
            Err(error) if error.kind() == ErrorKind::Unsupported && !is_asked_for => {
                tracing::debug!(%error, "the server sets no permissions");
            }
            done => ended = ended.and(done),
        }
    }
    ended?;
    file.close("close").await
}

fn with_hash(plan: Plan, options: &Options) -> Plan {
    if options.verify { plan.hash() } else { plan }
}

/// What is read at a time where the server takes as much.
const BLOCK: usize = 256 * 1024;
