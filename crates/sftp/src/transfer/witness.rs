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
    seen: watch::Sender<Seen>,
    reach: Arc<AtomicU64>,
}

/// What somebody who opened the file again may ask it.
#[derive(Clone)]
pub(crate) struct Testimony {
    seen: watch::Receiver<Seen>,
    reach: Arc<AtomicU64>,
}

/// What has been moved.
#[derive(Default)]
struct Seen {
    /// How often something was.
    times: u64,
    last: Option<Known>,
    /// Nothing is moved until one who opened the file again takes that up.
    rests: bool,
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
        Self { seen: watch::Sender::new(Seen::default()), reach: Arc::new(AtomicU64::new(0)) }
    }

    pub(crate) fn testimony(&self) -> Testimony {
        Testimony { seen: self.seen.subscribe(), reach: Arc::clone(&self.reach) }
    }

    /// These bytes are in the file by now. `data` is only called where somebody asks.
    pub(crate) fn saw(&self, offset: u64, data: impl FnOnce(usize) -> Bytes) {
        if self.seen.receiver_count() > 0 {
            let last = Some(Known { offset, data: data(ENOUGH) });
            self.seen.send_modify(|seen| *seen = Seen { times: seen.times + 1, last, rests: seen.rests });
        }
    }

    /// Whether nobody is left who moves any of it.
    pub(crate) fn rests(&self, rests: bool) {
        self.seen.send_modify(|seen| seen.rests = rests);
    }

    /// The file may be so long from now on.
    pub(crate) fn may_reach(&self, end: u64) {
        self.reach.fetch_max(end, Ordering::Relaxed);
    }
}

impl Testimony {
    /// Waits for bytes that are moved from now on, and looks for them in what was opened again.
    ///
    /// Where nothing is moved any more, those that were last do for a file that is read: a file is as good a copy of it
    /// whenever it got the name. They do not for one that is written, since another may have begun alike.
    ///
    /// # Errors
    /// [`ErrorKind::Changed`] where they are not there, [`ErrorKind::Disconnected`] where there are none, and whatever the
    /// channel has to say.
    pub(crate) async fn hear(&mut self, sftp: &Sftp, file: &OpenHandle, length: Length) -> Result<()> {
        let limits = sftp.limits().await?;
        let before = self.seen.borrow().times;
        let seen = self.seen.wait_for(|seen| seen.rests || seen.times > before).await;
        let over = |_| Error::new(ErrorKind::Changed, "open", "the transfer ended meanwhile");
        let known = seen.map_err(over).map(|seen| {
            let suffices = seen.times > before || length == Length::Stays;
            seen.last.clone().filter(|_| suffices)
        })?;
        let Some(Known { offset, data }) = known else {
            let text = "the channels that could have shown which file it is are lost";
            return Err(Error::new(ErrorKind::Disconnected, "open", text));
        };
        let end = offset.saturating_add(data.len() as u64);
        let blocks = Blocks { handle: file, limits };
        let reading = blocks.read("read", offset, Extent::Length(data.len() as u64));
        match length {
            Length::Stays => same(&data, &reading.await?),
            Length::Grows => {
                let (read, long) = futures_util::join!(reading, self.is_as_long(file, end));
                same(&data, &read?)?;
                long
            }
        }
    }

    /// Whether nothing was moved that could be looked for.
    pub(crate) fn is_silent(&self) -> bool {
        self.seen.borrow().last.is_none()
    }

    /// Whether what was opened has at least so many bytes, and no more than the transfer has sent by the time of the answer.
    ///
    /// # Errors
    /// [`ErrorKind::Changed`] where it has not: what was confirmed is not there, or it is another file. And whatever the
    /// channel has to say.
    pub(crate) async fn is_as_long(&self, file: &OpenHandle, least: u64) -> Result<()> {
        let asked = Request::Fstat { handle: file.handle().clone() };
        let size = file.engine().attributes("fstat", asked).await?.size();
        let most = self.reach.load(Ordering::Relaxed);
        match size {
            Some(size) if size < least => Err(not_there(&format!("the file has {size} bytes"))),
            Some(size) if size <= most => Ok(()),
            _ => Err(another()),
        }
    }
}

fn same(moved: &Bytes, read: &Bytes) -> Result<()> {
    if moved == read { Ok(()) } else { Err(another()) }
}

/// A name that leads elsewhere by now.
pub(crate) fn another() -> Error {
    Error::new(ErrorKind::Changed, "open", "another file has the name there")
}

/// What the server said it wrote, and has no more: as after a crash.
pub(crate) fn not_there(why: &str) -> Error {
    let text = format!("what the server had confirmed is not there: {why}");
    Error::new(ErrorKind::Changed, "open", text)
}

/// So many bytes are compared: what every server reads at once (draft-ietf-secsh-filexfer-02, section 3).
const ENOUGH: usize = 32 * 1024;
