//! A directory, entry by entry as the command prints them.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustle_session::{Child, ChildStdout};

use crate::commands::failure::failed;
use crate::commands::get::{account, lost, next_chunk};
use crate::commands::{Commands, Of, PATIENCE, operand, script, stat};
use crate::error::{Error, ErrorKind, Result};
use crate::path::checked_name;
use crate::read_dir::DirEntry;

/// A directory that is being listed. Dropped, the command is ended.
pub(crate) struct Listing {
    path: Bytes,
    /// Gone when all has been listed.
    running: Option<(Child, ChildStdout)>,
    held: BytesMut,
}

impl Commands {
    pub(crate) async fn read_dir(&self, path: &[u8]) -> Result<Listing> {
        let of = Of { operation: LIST, path };
        let script = script::list(self.programs());
        let mut child = self.start_deaf(of, &script, &[&operand(LIST, path)?]).await?;
        let stdout = child.take_stdout().ok_or_else(|| lost(of))?;
        let mut listing = Listing {
            path: Bytes::copy_from_slice(path),
            running: Some((child, stdout)),
            held: BytesMut::new(),
        };
        // A directory that cannot be listed is an error of this call, as with SFTP.
        if !listing.more().await? {
            listing.end().await?;
        }
        Ok(listing)
    }
}

impl Listing {
    /// The next entry, `None` behind the last.
    ///
    /// # Cancel safety
    /// No entry is lost.
    pub(crate) async fn next_entry(&mut self) -> Result<Option<DirEntry>> {
        loop {
            if let Some((line, name)) = self.record()? {
                let name = checked_name(LIST, &self.path, &name)?;
                let of = Of { operation: LIST, path: &self.path };
                let metadata = stat::metadata(&line).ok_or_else(|| super::entries::nonsense(of))?;
                return Ok(Some(DirEntry::new(self.path.clone(), name, metadata)));
            }
            if self.running.is_none() {
                return Ok(None);
            }
            if !self.more().await? {
                self.end().await?;
            }
        }
    }

    /// What was printed about one name, and the name.
    fn record(&mut self) -> Result<Option<(Bytes, Bytes)>> {
        let ends = self.held.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(at, _)| at);
        let ends: Vec<usize> = ends.take(2).collect();
        match ends[..] {
            [line, name] => {
                let record = self.held.split_to(name + 1).freeze();
                Ok(Some((record.slice(..line), record.slice(line + 1..name))))
            }
            _ if self.held.len() > LONGEST_RECORD => {
                self.running = None;
                self.held.clear();
                Err(Error::new(ErrorKind::Protocol, LIST, "a name without an end").at(&self.path))
            }
            _ => Ok(None),
        }
    }

    async fn more(&mut self) -> Result<bool> {
        let of = Of { operation: LIST, path: &self.path };
        let Some((_, stdout)) = &mut self.running else { return Ok(false) };
        match next_chunk(stdout, of).await {
            Ok(Some(bytes)) => self.held.extend_from_slice(&bytes),
            Ok(None) => return Ok(false),
            Err(error) => {
                // It is told once.
                self.running = None;
                return Err(error);
            }
        }
        Ok(true)
    }

    /// What the end of the output means.
    async fn end(&mut self) -> Result<()> {
        let of = Of { operation: LIST, path: &self.path };
        let Some((child, _)) = &mut self.running else { return Ok(()) };
        let account = account(child, of, PATIENCE).await;
        self.running = None;
        let (status, said) = account?;
        if !status.success() {
            return Err(failed(of, &status, &said));
        }
        match self.held.is_empty() || self.held.ends_with(b"\0") {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Protocol, LIST, "the listing is cut off").at(&self.path)),
        }
    }
}

const LIST: &str = "list";

/// A line about a file, and its name: names have 255 bytes, or somewhat more on odd file systems.
const LONGEST_RECORD: usize = 64 * 1024;

/// How long nothing may come of a listing.
pub(super) const SILENCE: Duration = Duration::from_secs(300);
