//! What an earlier attempt left, and how much of it is built upon.
//!
//! Nothing is believed by its length. A SHA-256 of the whole part, made on both sides, proves it whatever it went
//! through: then the transfer goes on at its end.
//!
//! Without one, blocks are compared, and those say nothing of what is between them. There a part may have holes, which
//! read as zeros: many requests are under way at once, a server may carry them out in any order (draft section 6.1), and
//! answers to reads come in any order too. When the connection dies, some bytes near the end are there and some before
//! them are not. So [`Fetch`](crate::transfer::fetch::Fetch) and [`Store`](crate::transfer::store::Store) never ask for
//! bytes that end more than [`SPAN`] behind the first byte that is not known to be done. It follows that a part of N
//! bytes has no hole before N − `SPAN`: some byte just before N was asked for, and at that moment all before N − `SPAN` was
//! done. What is built upon is the part up to there, and what follows is moved again. This holds for the next attempt
//! too: it overwrites from N − `SPAN` on, in order, under the same rule, and where it breaks off before N the length and
//! so the place to go on from are the same as before.
//!
//! What the rule cannot cover is a server or system that crashes and forgets what it said it had written, and a file that
//! another program left. Blocks that are compared find most of that, at the tail first; whoever wants all of it found
//! asks for a SHA-256 at the end. A transfer that [goes on](crate::transfer::survival) by itself, and a tree that
//! begins again, compare all of what was sent.

use std::ops::Range;
use std::pin::pin;

use futures_util::future::{Either, select, try_join_all};
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use crate::blocks::{Blocks, Extent};
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::marks::samples;
use crate::transfer::rate::Limit;
use crate::transfer::summary::{Proof, Resumed};
use crate::transfer::verify::{Here, Remote};

/// How far behind the first byte that is not known to be done a transfer may ask for bytes: as much as it ever has in
/// flight, so that it waits for this only where one answer stays out while others come.
pub(crate) const SPAN: u64 = 32 * 1024 * 1024;

/// Both sides of a file of which one has a part.
pub(crate) struct Both<'a> {
    pub(crate) remote: Remote<'a>,
    pub(crate) here: Here<'a>,
    /// How long the part is.
    pub(crate) found: u64,
    /// How long the source is.
    pub(crate) source: u64,
    pub(crate) compared: Compared<'a>,
}

/// What is compared of a part where the server has no SHA-256.
#[derive(Clone, Copy)]
pub(crate) enum Compared<'a> {
    /// Blocks: they find most of what may be wrong with a part that was left by an attempt.
    Blocks,
    /// All of it, read back at this rate: since it was confirmed the server may have crashed, and may have forgotten any of
    /// it.
    All(Option<&'a Limit>),
}

/// The SHA-256 that the server says, and this side's.
struct Sums {
    theirs: [u8; 32],
    ours: [u8; 32],
}

impl Both<'_> {
    /// From where the transfer goes on.
    ///
    /// # Errors
    /// This side's file cannot be read or was written to, or the channel is lost. What the server refuses is a reason to
    /// begin anew.
    pub(crate) async fn judge(&self) -> Result<Resumed> {
        let found = self.found;
        if found == 0 {
            return Ok(Resumed::NothingFound);
        }
        if found > self.source {
            return Ok(self.anew("it is longer than the file"));
        }
        let Sums { theirs, ours } = match self.hashes().await? {
            Ok(sums) => sums,
            Err(why) => return self.without_sums(&why).await,
        };
        if theirs == ours {
            return Ok(Resumed::From { from: found, proof: Proof::Sha256 });
        }
        // A server that hashes up to the end whatever it is asked for (ProFTPD) has said nothing of the part. It gives
        // itself away by the same answer for another length.
        if found < self.source && self.remote.check_file(1).await == Some(theirs) {
            return self.without_sums("the server's check-file goes on to the end of the file").await;
        }
        Ok(self.anew("its SHA-256 is not that of as many bytes of the file"))
    }

    /// Whether the part is what this transfer has sent and the server has confirmed; why not.
    ///
    /// # Errors
    /// As [`judge`](Self::judge).
    pub(crate) async fn is_confirmed(&self) -> Result<Result<Proof, String>> {
        match self.hashes().await? {
            Ok(Sums { theirs, ours }) if theirs == ours => Ok(Ok(Proof::Sha256)),
            // As in `judge`: it goes on to the end of the file, whatever it is asked for.
            Ok(Sums { theirs, .. }) if self.remote.check_file(1).await != Some(theirs) => {
                Ok(Err("its SHA-256 is not that of as many bytes of the file".to_owned()))
            }
            _ => self.is_alike(self.found).await,
        }
    }

    /// The SHA-256 of the part; or why the server has none.
    async fn hashes(&self) -> Result<Result<Sums, String>> {
        let theirs = pin!(self.remote.sha256(self.found));
        let ours = pin!(self.here.sha256(0..self.found));
        // Where the server has no hash, that is known long before this side's is made.
        Ok(match select(theirs, ours).await {
            Either::Left((theirs, ours)) => match theirs? {
                Ok(theirs) => Ok(Sums { theirs, ours: ours.await? }),
                Err(why) => Err(why),
            },
            Either::Right((ours, theirs)) => match (theirs.await?, ours?) {
                (Ok(theirs), ours) => Ok(Sums { theirs, ours }),
                (Err(why), _) => Err(why),
            },
        })
    }

    /// `why` there is no SHA-256.
    async fn without_sums(&self, why: &str) -> Result<Resumed> {
        let from = self.found.saturating_sub(SPAN);
        if self.remote.file.is_none() || from == 0 {
            return Ok(self.anew(format!("it is too short to be believed without its SHA-256, and {why}")));
        }
        Ok(match self.is_alike(from).await? {
            Ok(proof) => Resumed::From { from, proof },
            Err(why) => self.anew(why),
        })
    }

    /// Compares so much of the first so many bytes as is to be; why they are not equal.
    async fn is_alike(&self, length: u64) -> Result<Result<Proof, String>> {
        let Some(file) = self.remote.file else { return Ok(Err("it cannot be read".to_owned())) };
        let blocks = Blocks { handle: file, limits: self.remote.sftp.engine().limits().await? };
        match self.compared {
            Compared::Blocks => {
                let ranges = samples(length, BLOCK, BETWEEN, seed()?);
                Ok(self.has_equal(blocks, ranges).await?.map(|()| Proof::Samples))
            }
            Compared::All(limit) => Ok(self.is_equal(blocks, length, limit).await?.map(|()| Proof::Bytes)),
        }
    }

    /// Compares all of the first so many bytes; why they are not equal.
    async fn is_equal(
        &self,
        blocks: Blocks<'_>,
        length: u64,
        limit: Option<&Limit>,
    ) -> Result<Result<(), String>> {
        let (mut under_way, mut next) = (FuturesUnordered::new(), 0);
        loop {
            while next < length && under_way.len() < TOGETHER {
                let end = length.min(next.saturating_add(AT_ONCE));
                under_way.push(self.has_equal_part(blocks, next..end, limit));
                next = end;
            }
            match under_way.next().await {
                Some(Ok(Ok(()))) => {}
                Some(differs) => return differs,
                None => return Ok(Ok(())),
            }
        }
    }

    /// Compares this part of it when it may be moved.
    async fn has_equal_part(
        &self,
        blocks: Blocks<'_>,
        range: Range<u64>,
        limit: Option<&Limit>,
    ) -> Result<Result<(), String>> {
        if let Some(limit) = limit {
            limit.take(range.end - range.start).await;
        }
        self.has_equal(blocks, vec![range]).await
    }

    /// Compares these parts of it, which are read as a whole; why they are not equal.
    async fn has_equal(&self, blocks: Blocks<'_>, ranges: Vec<Range<u64>>) -> Result<Result<(), String>> {
        let theirs = try_join_all(
            ranges
                .iter()
                .map(|range| blocks.read("read", range.start, Extent::Length(range.end - range.start))),
        );
        let (theirs, ours) = tokio::join!(theirs, self.here.read_ranges(ranges.clone()));
        let ours = ours?;
        let theirs = match theirs {
            Ok(theirs) => theirs,
            Err(error) if error.status().is_some() => {
                return Ok(Err(format!("it cannot be compared: {error}")));
            }
            Err(error) => return Err(error.at(self.remote.path)),
        };
        let whole = |range: &Range<u64>, data: &[u8]| data.len() as u64 == range.end - range.start;
        let equal = ours.len() == ranges.len()
            && ranges
                .iter()
                .zip(ours.iter().zip(&theirs))
                .all(|(range, (ours, theirs))| ours == theirs && whole(range, ours));
        Ok(if equal { Ok(()) } else { Err("its bytes are not those of the file".to_owned()) })
    }

    fn anew(&self, why: impl Into<String>) -> Resumed {
        Resumed::Anew { found: self.found, why: why.into() }
    }
}

/// Chosen when the part is there already: whoever wrote it cannot have known it.
fn seed() -> Result<u64> {
    getrandom::u64().map_err(|error| {
        Error::new(ErrorKind::Local, "resume", "the system gives no random numbers").with_source(error)
    })
}

/// What is compared at a time.
const BLOCK: u64 = 256 * 1024;
/// Blocks between the first and the last. With those it is 4.5 MiB, which a link of 100 Mb/s carries in 0.4 s: less
/// than what is moved again for lack of a hash.
const BETWEEN: u32 = 16;

/// What is read back at a time where all of it is compared, and how many times over together: 16 MiB on either side, which
/// fill a link of 1 Gb/s at a round trip of 125 ms.
const AT_ONCE: u64 = 1024 * 1024;
const TOGETHER: usize = 16;
