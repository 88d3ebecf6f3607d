//! One directory of a walk.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{StreamExt, iter};

use crate::error::{Error, ErrorKind, Result};
use crate::path::{checked, join};
use crate::read_dir::DirEntry;
use crate::walk::{Batch, Found, Links, Listing, Order, Real, Waiting, WalkBuilder, WalkEntry};

/// Opens a directory and takes its first entries.
pub(super) async fn open(options: WalkBuilder, directory: Waiting) -> Batch {
    let real = match (options.links, directory.real) {
        (Links::Follow, None) => match root(&options).await {
            Ok(root) => Some(root),
            Err(error) => return Batch { entries: vec![Err(error)], rest: None },
        },
        (_, real) => real,
    };
    match options.sftp.read_dir(&directory.path).await {
        Ok(entries) => more(options, Listing { entries, depth: directory.depth, real }).await,
        Err(error) => Batch { entries: vec![Err(error)], rest: None },
    }
}

/// Takes the next entries of it; where they are to be sorted, all.
pub(super) async fn more(options: WalkBuilder, mut listing: Listing) -> Batch {
    let most = if options.order == Order::Sorted { MOST_SORTED } else { TOGETHER };
    let mut listed: Vec<Result<DirEntry>> = Vec::new();
    let mut is_over = false;
    while listed.len() < most && !is_over {
        match listing.entries.next().await {
            // What could be more than this waits until it is asked for.
            Some(entry) => listed.push(entry),
            None => is_over = true,
        }
    }
    if options.order == Order::Sorted {
        if !is_over {
            let text = format!("it has more than {MOST_SORTED} entries, too many to be sorted");
            let error = Error::new(ErrorKind::Failure, "walk", text).at(listing.entries.path());
            return Batch { entries: vec![Err(error)], rest: None };
        }
        listed.sort_by(|a, b| name_of(a).cmp(&name_of(b)));
    }
    let real = listing.real.clone();
    let depth = listing.depth + 1;
    let entries = iter(listed).map(|entry| found(&options, entry, depth, real.clone()));
    let entries = entries.buffered(LINKS_AT_ONCE).collect().await;
    Batch { entries, rest: (!is_over).then_some(listing) }
}

fn name_of(entry: &Result<DirEntry>) -> Option<&[u8]> {
    entry.as_ref().ok().map(|entry| &entry.name()[..])
}

/// What an entry is, once a link is followed.
async fn found(
    options: &WalkBuilder,
    entry: Result<DirEntry>,
    depth: usize,
    above: Option<Arc<Real>>,
) -> Found {
    let entry = entry?;
    let (path, name, full) = (entry.path(), entry.name().clone(), entry.path_in_full());
    let mut metadata = entry.metadata().clone();
    // Some servers list names without saying what they are.
    if metadata.kind().is_none() {
        metadata = options.sftp.symlink_metadata(&full).await?;
    }
    let mut real = above.as_ref().map(|above| join(&above.path, &name));
    if options.links == Links::Follow && metadata.is_symlink() {
        match options.sftp.metadata(&full).await {
            Ok(followed) => metadata = followed,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        if metadata.is_dir() {
            let target = leads_to(options, &full, above.as_deref()).await?;
            if is_above(above.as_ref(), &target) {
                let text = "the link leads back to a directory that it is in";
                return Err(Error::new(ErrorKind::InvalidArgument, "walk", text).at(&path));
            }
            real = Some(target);
        }
    }
    let descends = metadata.is_dir() && depth < options.max_depth;
    let directory = descends.then(|| Waiting {
        path: full,
        depth,
        real: real.map(|path| Arc::new(Real { path, above })),
    });
    Ok((WalkEntry { path, name, depth, metadata }, directory))
}

async fn root(options: &WalkBuilder) -> Result<Arc<Real>> {
    let path = checked("walk", &options.path)?;
    let real = options.sftp.real(if path.is_empty() { b"." } else { &path }, &path).await?;
    Ok(Arc::new(Real { path: real, above: None }))
}

/// The absolute path of what a link leads to. Some servers make a path absolute and leave its links alone: so the
/// link is read first.
async fn leads_to(options: &WalkBuilder, link: &[u8], above: Option<&Real>) -> Result<Bytes> {
    let target = options.sftp.read_link(link).await?;
    let target = match above {
        Some(above) if !target.starts_with(b"/") => join(&above.path, &target),
        _ => target,
    };
    options.sftp.real(&target, link).await
}

fn is_above(mut above: Option<&Arc<Real>>, target: &[u8]) -> bool {
    while let Some(real) = above {
        if real.path == target {
            return true;
        }
        above = real.above.as_ref();
    }
    false
}

/// How many entries are taken together: one answer of OpenSSH's.
const TOGETHER: usize = 100;

/// How many links are looked at together.
const LINKS_AT_ONCE: usize = 16;

const MOST_SORTED: usize = 1_000_000;
