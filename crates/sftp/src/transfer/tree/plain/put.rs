//! A directory to the host.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use rustle_sftp_proto::FileKind;

use crate::error::Result;
use crate::local::details::{Details, Kind};
use crate::local::tree::{self as local, Entry, Links};
use crate::metadata::SetMetadata;
use crate::path::join;
use crate::transfer::names;
use crate::transfer::tree::LinkPolicy;
use crate::transfer::tree::account::Ends;
use crate::transfer::tree::directories::Directory;
use crate::transfer::tree::plain::Plain;
use crate::transfer::tree::report::TreeSummary;

/// Something in a directory of this side, and where it goes.
struct Found {
    local: PathBuf,
    remote: Bytes,
    details: Details,
    /// Where it is without links, if one leads to it.
    real: Option<Bytes>,
}

/// A tree that is being sent.
pub(super) struct Put<'a> {
    pub(super) plain: Plain<'a>,
}

impl Put<'_> {
    pub(super) async fn run(mut self, local: PathBuf, remote: Bytes) -> Result<TreeSummary> {
        self.plain.check_links("put", &remote)?;
        let details = local::details(local.clone(), Links::Follow).await?;
        let real = match self.plain.links {
            LinkPolicy::Follow => Some(local::real_path(local.clone()).await?),
            LinkPolicy::Skip | LinkPolicy::Copy => None,
        };
        let top = Directory { real, ..Directory::from_here(remote, local, &details) };
        // What cannot be read at all is known before anything is made.
        let mut listing = local::list(top.local.clone());
        let first = listing.next().await?;
        self.make_dir(&top).await?;
        let number = self.plain.directories.add(None, top.clone());
        self.fill(number, &top, listing, first).await?;
        while let Some((number, directory)) = self.plain.next() {
            let mut listing = local::list(directory.local.clone());
            if let Err(error) = self.make_dir(&directory).await {
                self.plain.fail(directory.local.as_os_str().as_encoded_bytes(), error)?;
                // What is in its place may be anything, and gets nothing.
                if let Some(above) = self.plain.directories.remove(number) {
                    self.one_less(above).await?;
                }
                continue;
            }
            match listing.next().await {
                Ok(first) => self.fill(number, &directory, listing, first).await?,
                Err(error) => {
                    self.plain.fail(directory.local.as_os_str().as_encoded_bytes(), error)?;
                    self.one_less(number).await?;
                }
            }
        }
        Ok(self.plain.account.summary)
    }

    /// Makes a directory of the host, or finds one there. The owner of a new one can write in it in any case; with `preserve`,
    /// which sets what it has in the end when all is in it, so can that of one that is there.
    async fn make_dir(&mut self, directory: &Directory) -> Result<()> {
        let mode = directory.mode.unwrap_or(0o777) & 0o777 | 0o700;
        self.plain.commands.merge_dir(&directory.remote, mode, self.plain.options.preserve).await
    }

    /// Moves what is in a directory that is there; directories among it are for later.
    async fn fill(
        &mut self,
        number: usize,
        directory: &Directory,
        mut listing: local::Listing,
        first: Option<Vec<Entry>>,
    ) -> Result<()> {
        self.plain.account.summary.directories += 1;
        let mut entries = first;
        while let Some(batch) = entries {
            let files = batch.iter().filter_map(|entry| entry.details.as_ref().ok());
            for file in files.filter(|details| details.kind() == Kind::File) {
                self.plain.meter.expect(Some(file.length()));
            }
            for entry in batch {
                self.take(number, directory, entry).await?;
            }
            entries = match listing.next().await {
                Ok(next) => next,
                Err(error) => {
                    self.plain.fail(directory.local.as_os_str().as_encoded_bytes(), error)?;
                    None
                }
            };
        }
        if self.plain.waiting.is_empty() {
            self.plain.meter.expect_no_more();
        }
        self.one_less(number).await
    }

    async fn take(&mut self, number: usize, directory: &Directory, entry: Entry) -> Result<()> {
        let local = directory.local.join(&entry.name);
        let path = local.as_os_str().as_encoded_bytes();
        let both = names::for_server(&entry.name).and_then(|name| Ok((name, entry.details?)));
        let (name, details) = match both {
            Ok(both) => both,
            Err(error) => return self.plain.fail(path, error),
        };
        let real = directory.real.as_ref().map(|above| local::below(above, entry.name.as_encoded_bytes()));
        let remote = join(&directory.remote, &name);
        let found = Found { local: local.clone(), remote, details, real };
        let found = match (details.kind(), self.plain.links) {
            (Kind::Link, LinkPolicy::Copy) => return self.link(&found).await,
            (Kind::Link, LinkPolicy::Follow) => match self.followed(found).await {
                Ok(followed) => followed,
                Err(error) => return self.plain.fail(path, error),
            },
            _ => found,
        };
        match found.details.kind() {
            Kind::Directory => {
                let below = Directory::from_here(found.remote, found.local, &found.details);
                self.plain.below(number, path, Directory { real: found.real, ..below })
            }
            Kind::File => {
                let moved = self
                    .plain
                    .commands
                    .put(found.local.clone(), &found.remote, self.plain.options, self.plain.meter)
                    .await;
                match moved {
                    Ok(moved) => self.plain.account.alone(ends(&found), &moved),
                    Err(error) => self.plain.fail(path, error)?,
                }
                Ok(())
            }
            kind => {
                let kind = if kind == Kind::Link { FileKind::Symlink } else { FileKind::Other };
                self.plain.account.skip(path, kind);
                Ok(())
            }
        }
    }

    /// What a link leads to.
    async fn followed(&mut self, found: Found) -> Result<Found> {
        let details = local::details(found.local.clone(), Links::Follow).await?;
        let real = match details.kind() {
            Kind::Directory => Some(local::real_path(found.local.clone()).await?),
            _ => None,
        };
        if details.kind() == Kind::File {
            self.plain.meter.expect(Some(details.length()));
        }
        Ok(Found { details, real, ..found })
    }

    /// Makes a link with the same text.
    async fn link(&mut self, found: &Found) -> Result<()> {
        let made = match local::link_target(found.local.clone()).await {
            Ok(text) => match self.plain.commands.symlink(&text, &found.remote).await {
                Err(error) => match self.plain.commands.read_link(&found.remote).await {
                    Ok(there) if there == text => Ok(()),
                    _ => Err(error),
                },
                Ok(()) => Ok(()),
            },
            Err(error) => Err(error),
        };
        match made {
            Ok(()) => self.plain.account.link(ends(found)),
            Err(error) => self.plain.fail(found.local.as_os_str().as_encoded_bytes(), error)?,
        }
        Ok(())
    }

    /// One thing less is to be done in a directory. Done itself, it gets what it is to have, and is one less in the one above.
    async fn one_less(&mut self, number: usize) -> Result<()> {
        let mut next = Some(number);
        while let Some(number) = next.take_if(|number| self.plain.directories.one_less(*number)) {
            if self.plain.options.preserve
                && let Some(directory) = self.plain.directories.at(number).cloned()
                && let Err(error) = self.finish(&directory).await
            {
                self.plain.fail(directory.local.as_os_str().as_encoded_bytes(), error)?;
            }
            next = self.plain.directories.remove(number);
        }
        Ok(())
    }

    async fn finish(&mut self, directory: &Directory) -> Result<()> {
        let mut changes = SetMetadata::new();
        if let Some(mode) = directory.mode {
            changes = changes.permissions(mode & 0o777);
        }
        if let Some((accessed, modified)) = directory.times {
            let time = |seconds: u32| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into());
            changes = changes.times(time(accessed), time(modified));
        }
        self.plain.commands.set_metadata(&directory.remote, &changes).await
    }
}

fn ends(found: &Found) -> Ends<'_> {
    Ends { source: found.local.as_os_str().as_encoded_bytes(), destination: &found.remote }
}
