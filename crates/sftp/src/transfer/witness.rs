//! Whether a name still leads to the file that a transfer has open, asked over another channel.
//!
//! SFTP has nothing that tells files apart: no device and inode, and a handle means something on its own channel alone.
//! Length and time of the last change are equal on machines that were installed from the same image, and a file that is
//! being written changes both. But it has what this transfer has just moved. So a part that was moved after the name was
//! opened again is read back there. While a file is written in place, its length must also be between what the server has
//! said it wrote and what it was sent: a file that took the name meanwhile would have to grow in step with this one, by the
//! same bytes. One that does so is being filled with the same content, and takes no harm.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use rustle_sftp_proto::Request;
use tokio::sync::watch;

use crate::blocks::{Blocks, Extent};
use crate::engine::OpenHandle;
use crate::error::{Error, ErrorKind, Result};
use crate::sftp::Sftp;

/// What a transfer knows of its file.
pub(crate) struct Witness {
    known: watch::Sender<Option<Known>>,
    reach: Arc<AtomicU64>,
}

/// What somebody who opened the file again may ask it.
#[derive(Clone)]
pub(crate) struct Testimony {
    known: watch::Receiver<Option<Known>>,
    reach: Arc<AtomicU64>,
}

/// Bytes that are in the file.
#[derive(Clone)]
struct Known {
    offset: u64,
    data: Bytes,
}

/// Who changes the length of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// Nobody but the transfer, which writes it.
    Grows,
    /// Not the transfer, which reads it.
    Stays,
}

impl Witness {
    pub(crate) fn new() -> Self {
        Self { known: watch::Sender::new(None), reach: Arc::new(AtomicU64::new(0)) }
    }

    pub(crate) fn testimony(&self) -> Testimony {
        Testimony { known: self.known.subscribe(), reach: Arc::clone(&self.reach) }
    }

    /// These bytes are in the file by now. `data` is only called where somebody asks.
    pub(crate) fn saw(&self, offset: u64, data: impl FnOnce(usize) -> Bytes) {
        if self.known.receiver_count() > 0 {
            self.known.send_replace(Some(Known { offset, data: data(ENOUGH) }));
        }
    }

    /// The file may be so long from now on.
    pub(crate) fn may_reach(&self, end: u64) {
        self.reach.fetch_max(end, Ordering::Relaxed);
    }
}

impl Testimony {
    /// Waits for bytes that are moved from now on, and looks for them in what was opened again.
    ///
    /// # Errors
    /// [`ErrorKind::Changed`] where they are not there, and whatever the channel has to say.
    pub(crate) async fn hear(&mut self, sftp: &Sftp, file: &OpenHandle, length: Length) -> Result<()> {
        let limits = sftp.limits().await?;
        self.known.mark_unchanged();
        let over = |_| Error::new(ErrorKind::Changed, "open", "the transfer ended meanwhile");
        self.known.changed().await.map_err(over)?;
        let Some(Known { offset, data }) = self.known.borrow_and_update().clone() else {
            return Err(another());
        };
        let end = offset.saturating_add(data.len() as u64);
        let blocks = Blocks { handle: file, limits };
        let read = blocks.read("read", offset, Extent::Length(data.len() as u64)).await?;
        if read != data {
            return Err(another());
        }
        if length == Length::Grows {
            let asked = Request::Fstat { handle: file.handle().clone() };
            let size = file.engine().attributes("fstat", asked).await?.size();
            let most = self.reach.load(Ordering::Relaxed);
            if !size.is_some_and(|size| (end..=most).contains(&size)) {
                return Err(another());
            }
        }
        Ok(())
    }
}

/// A name that leads elsewhere by now.
pub(crate) fn another() -> Error {
    Error::new(ErrorKind::Changed, "open", "another file has the name there")
}

/// So many bytes are compared: what every server reads at once (draft-ietf-secsh-filexfer-02, section 3).
const ENOUGH: usize = 32 * 1024;
