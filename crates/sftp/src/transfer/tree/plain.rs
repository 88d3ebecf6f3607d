//! Trees at a host without SFTP: by commands one thing after the other, since each is a process of the host, or all by one `scp`.

mod get;
mod put;
mod scp;

use std::path::Path;
use std::time::Instant;

use bytes::Bytes;

use crate::commands::Commands;
use crate::error::{Error, ErrorKind, Result};
use crate::files::Files;
use crate::path::checked;
use crate::scp::Scp;
use crate::transfer::options::Options;
use crate::transfer::progress::{Meter, watched};
use crate::transfer::tree::account::Account;
use crate::transfer::tree::directories::{Directories, Directory};
use crate::transfer::tree::report::TreeSummary;
use crate::transfer::tree::{LinkPolicy, TreeTransfer, Way};

impl Files {
    /// Fetches a directory with all that is in it; see [`Sftp::get_dir`](crate::Sftp::get_dir). Nothing happens until the
    /// [`TreeTransfer`] is awaited.
    ///
    /// By commands one thing is moved after the other, each by a process of the host, and a directory may have 2^20 entries. By
    /// scp's protocol the host's `scp` goes through the directory, and follows links whatever
    /// [`links`](TreeTransfer::links) says, but for [`LinkPolicy::Copy`], which is an error before anything is done.
    pub fn get_dir(&self, remote: impl AsRef<[u8]>, local: impl AsRef<Path>) -> TreeTransfer {
        let remote = Bytes::copy_from_slice(remote.as_ref());
        TreeTransfer::new(self.far.clone(), Way::Get { remote, local: local.as_ref().to_owned() })
    }

    /// Sends a directory with all that is in it; see [`Sftp::put_dir`](crate::Sftp::put_dir). Nothing happens until the
    /// [`TreeTransfer`] is awaited. By other means than SFTP it goes as [`get_dir`](Self::get_dir) does.
    pub fn put_dir(&self, local: impl AsRef<Path>, remote: impl AsRef<[u8]>) -> TreeTransfer {
        let remote = Bytes::copy_from_slice(remote.as_ref());
        TreeTransfer::new(self.far.clone(), Way::Put { local: local.as_ref().to_owned(), remote })
    }
}

/// What there is at a host without SFTP.
pub(super) enum Means {
    Commands(Commands),
    Scp(Scp),
}

/// Carries out a transfer at a host without SFTP.
pub(super) async fn run(transfer: TreeTransfer, means: Means) -> Result<TreeSummary> {
    let begun = Instant::now();
    let TreeTransfer { far: _, way, options, links, keep_out, rules, watcher, listener } = transfer;
    let (operation, top) = match &way {
        Way::Get { remote, .. } => ("get", remote.clone()),
        Way::Put { remote, .. } => ("put", remote.clone()),
    };
    let unsupported = |text: &str| Error::new(ErrorKind::Unsupported, operation, text).at(&top);
    if rules.is_some() {
        return Err(unsupported("directories are compared by SFTP alone"));
    }
    if options.resume {
        let text = "without SFTP whole files are moved: nothing goes on from a part";
        return Err(unsupported(text).with_hint("transfer it without `resume`, or let the account use SFTP"));
    }
    let meter = Meter::new();
    let account = Account::new(listener);
    let work = async {
        let commands = match &means {
            Means::Commands(commands) => commands,
            Means::Scp(scp) => {
                let trip = scp::Trip { options: &options, links, keep_out, meter: &meter, account };
                return Box::pin(trip.run(scp, way)).await;
            }
        };
        let plain = Plain {
            commands,
            options: &options,
            links,
            keep_out,
            meter: &meter,
            directories: Directories::default(),
            waiting: Vec::new(),
            waiting_bytes: 0,
            account,
        };
        match way {
            Way::Get { remote, local } => {
                Box::pin(get::Get { plain }.run(checked("get", remote)?, local)).await
            }
            Way::Put { local, remote } => {
                Box::pin(put::Put { plain }.run(local, checked("put", remote)?)).await
            }
        }
    };
    let mut summary = watched(&meter, watcher, work).await?;
    summary.duration = begun.elapsed();
    Ok(summary)
}

/// A tree that is moved by commands.
struct Plain<'a> {
    commands: &'a Commands,
    options: &'a Options,
    links: LinkPolicy,
    /// A link where the directory itself is to be is not followed.
    keep_out: bool,
    meter: &'a Meter,
    directories: Directories,
    /// Directories that are to be gone through, the last found first: so the tree is gone through in its depth.
    waiting: Vec<usize>,
    /// Of their paths.
    waiting_bytes: usize,
    account: Account,
}

impl Plain<'_> {
    /// What it takes to know or to make links is known before anything is done.
    fn check_links(&self, operation: &'static str, path: &[u8]) -> Result<()> {
        if self.links != LinkPolicy::Copy || self.commands.programs().reads_links() {
            return Ok(());
        }
        let text = "links cannot be copied: the server has no program `readlink`";
        Err(Error::new(ErrorKind::Unsupported, operation, text).at(path))
    }

    /// The next directory to go through. Behind the last one, nothing more is to be expected.
    fn next(&mut self) -> Option<(usize, Directory)> {
        let number = self.waiting.pop()?;
        let directory = self.directories.at(number).cloned()?;
        self.waiting_bytes -= paths(&directory);
        Some((number, directory))
    }

    /// A directory below another. `real` is where it is without links, where they are followed.
    fn below(&mut self, above: usize, path: &[u8], directory: Directory) -> Result<()> {
        let leads_back = directory.real.as_ref().is_some_and(|real| self.directories.leads_back(above, real));
        let is_full = self.waiting.len() >= MOST_ENTRIES || self.waiting_bytes > MOST_BYTES;
        let refused = match (leads_back, is_full) {
            (true, _) => "the link leads back to a directory that it is in",
            (_, true) => "more directories are waiting to be listed than are kept",
            _ => {
                self.directories.one_more(above);
                self.waiting_bytes += paths(&directory);
                let number = self.directories.add(Some(above), directory);
                self.waiting.push(number);
                return Ok(());
            }
        };
        self.fail(path, Error::new(ErrorKind::InvalidArgument, "list", refused).at(path))
    }

    /// # Errors
    /// The connection is lost, and this error comes from that.
    fn fail(&mut self, path: &[u8], error: Error) -> Result<()> {
        if error.kind() == ErrorKind::Disconnected {
            return Err(error);
        }
        self.account.fail(path, error);
        Ok(())
    }
}

fn paths(directory: &Directory) -> usize {
    directory.remote.len() + directory.local.as_os_str().len()
}

/// Entries of one directory: all are known before the first is moved, since a listing that waits would hold a process and
/// its output back. And directories that are to be gone through, which may all be of one.
const MOST_ENTRIES: usize = 1 << 20;

/// Of the paths of either.
const MOST_BYTES: usize = 256 * 1024 * 1024;
