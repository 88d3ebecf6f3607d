//! A directory from the host.

use std::path::PathBuf;

use bytes::Bytes;
use rustle_sftp_proto::{Attributes, FileKind};

use crate::error::{Error, ErrorKind, Result};
use crate::local::preserve::Preserved;
use crate::local::tree::{self as local, Links};
use crate::path::join;
use crate::transfer::names::{self, Siblings};
use crate::transfer::tree::LinkPolicy;
use crate::transfer::tree::account::Ends;
use crate::transfer::tree::directories::Directory;
use crate::transfer::tree::plain::{MOST_BYTES, MOST_ENTRIES, Plain};
use crate::transfer::tree::report::TreeSummary;

/// Something in a directory of the host, and where it goes.
struct Found {
    remote: Bytes,
    local: PathBuf,
    attributes: Attributes,
    /// Where it is without links, if one leads to it.
    real: Option<Bytes>,
}

/// A tree that is being fetched.
pub(super) struct Get<'a> {
    pub(super) plain: Plain<'a>,
}

impl Get<'_> {
    pub(super) async fn run(mut self, remote: Bytes, local: PathBuf) -> Result<TreeSummary> {
        self.plain.check_links("get", &remote)?;
        if self.plain.options.preserve && !self.plain.commands.programs().knows_times() {
            let text = "the times of a file cannot be asked for: the server has no program `stat`";
            return Err(Error::new(ErrorKind::Unsupported, "get", text).at(&remote));
        }
        let metadata = self.plain.commands.metadata(&remote).await?;
        if !metadata.is_dir() {
            return Err(Error::new(ErrorKind::NotADirectory, "get", "not a directory").at(&remote));
        }
        let real = match self.plain.links {
            LinkPolicy::Follow => Some(self.plain.commands.real_path(&remote).await?),
            LinkPolicy::Skip | LinkPolicy::Copy => None,
        };
        let top = Directory { real, ..Directory::from_there(remote, local, metadata.attributes()) };
        // What cannot be listed at all is known before anything is made.
        let listed = self.listed(&top).await?;
        let fill = self.plain.options.preserve;
        match self.plain.keep_out {
            true => local::make_dir(top.local.clone(), top.mode.unwrap_or(0o777), fill).await?,
            false => local::create_dir_all(top.local.clone(), fill).await?,
        }
        let number = self.plain.directories.add(None, top.clone());
        self.fill(number, &top, listed).await?;
        while let Some((number, directory)) = self.plain.next() {
            let mode = directory.mode.unwrap_or(0o777);
            if let Err(error) = local::make_dir(directory.local.clone(), mode, fill).await {
                self.plain.fail(&directory.remote, error)?;
                // What is in its place may be anything, and gets nothing.
                if let Some(above) = self.plain.directories.remove(number) {
                    self.one_less(above).await?;
                }
                continue;
            }
            match self.listed(&directory).await {
                Ok(listed) => self.fill(number, &directory, listed).await?,
                Err(error) => {
                    self.plain.fail(&directory.remote, error)?;
                    self.one_less(number).await?;
                }
            }
        }
        Ok(self.plain.account.summary)
    }

    /// All that is in a directory, as far as it has names that can be used here.
    async fn listed(&mut self, directory: &Directory) -> Result<Vec<Found>> {
        let mut entries = self.plain.commands.read_dir(&directory.remote).await?;
        let (mut siblings, mut found, mut seen, mut bytes) = (Siblings::new(), Vec::new(), 0, 0);
        loop {
            seen += 1;
            if seen > MOST_ENTRIES || bytes > MOST_BYTES {
                let text = format!("the directory has more than {MOST_ENTRIES} entries, or 256 MiB of paths");
                return Err(Error::new(ErrorKind::Failure, "list", text).at(&directory.remote));
            }
            let entry = match entries.next_entry().await {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(found),
                Err(error) => {
                    let path = error.path().unwrap_or(&directory.remote).to_vec();
                    self.plain.fail(&path, error)?;
                    continue;
                }
            };
            let remote = join(&directory.remote, entry.name());
            let local = names::join(&directory.local, entry.name()).and_then(|local| {
                siblings.admit(entry.name())?;
                Ok(local)
            });
            let attributes = entry.metadata().attributes().clone();
            bytes += remote.len() + local.as_ref().map_or(0, |local| local.as_os_str().len());
            match local {
                Ok(local) => found.push(Found { remote, local, attributes, real: None }),
                Err(error) => self.plain.fail(&remote, error)?,
            }
        }
    }

    /// Moves what was found in a directory that is here; directories among it are for later.
    async fn fill(&mut self, number: usize, directory: &Directory, listed: Vec<Found>) -> Result<()> {
        self.plain.account.summary.directories += 1;
        for found in &listed {
            if found.attributes.kind() == Some(FileKind::File) {
                self.plain.meter.expect(found.attributes.size());
            }
        }
        for found in listed {
            self.take(number, directory, found).await?;
        }
        if self.plain.waiting.is_empty() {
            self.plain.meter.expect_no_more();
        }
        self.one_less(number).await
    }

    async fn take(&mut self, number: usize, directory: &Directory, found: Found) -> Result<()> {
        let found = match (found.attributes.kind(), self.plain.links) {
            (Some(FileKind::Symlink), LinkPolicy::Copy) => return self.link(&found).await,
            (Some(FileKind::Symlink), LinkPolicy::Follow) => match self.followed(&found).await {
                Ok(followed) => followed,
                Err(error) => return self.plain.fail(&found.remote, error),
            },
            _ => found,
        };
        match found.attributes.kind() {
            Some(FileKind::Directory) => {
                let name = found.remote.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                let real = directory.real.as_ref().map(|above| join(above, name));
                let real = found.real.or(real);
                let path = found.remote.clone();
                let below =
                    Directory { real, ..Directory::from_there(found.remote, found.local, &found.attributes) };
                self.plain.below(number, &path, below)
            }
            Some(FileKind::File) => {
                let moved = self
                    .plain
                    .commands
                    .get(&found.remote, found.local.clone(), self.plain.options, self.plain.meter)
                    .await;
                match moved {
                    Ok(moved) => self.plain.account.alone(ends(&found), &moved),
                    Err(error) => self.plain.fail(&found.remote, error)?,
                }
                Ok(())
            }
            kind => {
                self.plain.account.skip(&found.remote, kind.unwrap_or(FileKind::Other));
                Ok(())
            }
        }
    }

    /// What a link leads to.
    async fn followed(&mut self, found: &Found) -> Result<Found> {
        let metadata = self.plain.commands.metadata(&found.remote).await?;
        let real = match metadata.is_dir() {
            // Without its true path a circle would not be seen.
            true => Some(self.plain.commands.real_path(&found.remote).await?),
            false => None,
        };
        if metadata.is_file() {
            self.plain.meter.expect(metadata.len());
        }
        let attributes = metadata.attributes().clone();
        Ok(Found { remote: found.remote.clone(), local: found.local.clone(), attributes, real })
    }

    /// Makes a link with the same text.
    async fn link(&mut self, found: &Found) -> Result<()> {
        let made = match self.plain.commands.read_link(&found.remote).await {
            Ok(text) => match local::make_link(found.local.clone(), text.clone()).await {
                Err(error) => match local::link_target(found.local.clone()).await {
                    Ok(there) if there == text => Ok(()),
                    _ => Err(error),
                },
                Ok(()) => Ok(()),
            },
            Err(error) => Err(error),
        };
        match made {
            Ok(()) => self.plain.account.link(ends(found)),
            Err(error) => self.plain.fail(&found.remote, error)?,
        }
        Ok(())
    }

    /// One thing less is to be done in a directory. Done itself, it gets what it is to have, and is one less in the one above.
    async fn one_less(&mut self, number: usize) -> Result<()> {
        let mut next = Some(number);
        while let Some(number) = next.take_if(|number| self.plain.directories.one_less(*number)) {
            // The first may be named by a link.
            let links = if number == 0 && !self.plain.keep_out { Links::Follow } else { Links::Keep };
            if self.plain.options.preserve
                && let Some(directory) = self.plain.directories.at(number).cloned()
                && let Err(error) = finish(&directory, links).await
            {
                self.plain.fail(&directory.remote, error)?;
            }
            next = self.plain.directories.remove(number);
        }
        Ok(())
    }
}

async fn finish(directory: &Directory, links: Links) -> Result<()> {
    let mut preserved = Preserved::NOTHING;
    if let Some(mode) = directory.mode {
        preserved = preserved.mode(mode);
    }
    if let Some((accessed, modified)) = directory.times {
        preserved = preserved.times(accessed, modified);
    }
    local::preserve(directory.local.clone(), links, preserved).await
}

fn ends(found: &Found) -> Ends<'_> {
    Ends { source: &found.remote, destination: found.local.as_os_str().as_encoded_bytes() }
}
