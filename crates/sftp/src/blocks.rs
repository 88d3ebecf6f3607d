//! Ranges of an open file in requests of the size that the server takes, many under way at once.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{FuturesUnordered, StreamExt};
use rustle_sftp_proto::{Answer, Request, Segments, ServerLimits, StatusCode};

use crate::engine::{OpenHandle, refused};
use crate::error::{Error, ErrorKind, Result};

/// An open file, and how much goes into one request.
#[derive(Clone, Copy)]
pub(crate) struct Blocks<'a> {
    pub(crate) handle: &'a OpenHandle,
    pub(crate) limits: ServerLimits,
}

/// How far a read goes.
#[derive(Clone, Copy)]
pub(crate) enum Extent {
    /// So many bytes, if the file has them.
    Length(u64),
    /// To the end of the file, which is thought to be here. Less is asked for in advance behind it.
    ToEnd { thought: u64 },
}

/// A piece of a file that was asked for.
struct Piece {
    at: u64,
    asked: u32,
    /// What came before an answer that was too short.
    begun: BytesMut,
}

impl Blocks<'_> {
    /// What the file has from here on. Less than was asked for means that the file ends there: short answers are
    /// completed.
    pub(crate) async fn read(&self, operation: &'static str, offset: u64, extent: Extent) -> Result<Bytes> {
        let mut asking = Asking::new(offset, extent, block(self.limits.max_read));
        let mut under_way = FuturesUnordered::new();
        let mut bytes_under_way = 0;
        let mut come = BTreeMap::new();
        loop {
            while under_way.len() < MOST_REQUESTS && bytes_under_way < WINDOW {
                let Some(piece) = asking.next() else { break };
                bytes_under_way += u64::from(piece.asked);
                let request = Request::Read {
                    handle: self.handle.handle().clone(),
                    offset: piece.from(),
                    length: piece.asked,
                };
                let pending = self.handle.engine().submit(request);
                under_way.push(async move { (piece, pending.answer(operation).await) });
            }
            let Some((mut piece, answer)) = under_way.next().await else { break };
            bytes_under_way -= u64::from(piece.asked);
            match answer? {
                Answer::Data(data) if data.is_empty() => asking.ends(&piece),
                Answer::Status(status) if status.code() == StatusCode::EOF => asking.ends(&piece),
                Answer::Data(data) => {
                    let count = u32::try_from(data.len()).unwrap_or(u32::MAX);
                    let rest = piece.asked.saturating_sub(count);
                    if rest == 0 && piece.begun.is_empty() {
                        asking.has(piece.at + u64::from(count));
                        come.insert(piece.at, data);
                        continue;
                    }
                    data.pieces().for_each(|part| piece.begun.extend_from_slice(part));
                    piece.asked = rest;
                    asking.has(piece.from());
                    if rest > 0 {
                        asking.again.push_back(piece);
                        continue;
                    }
                }
                other => return Err(refused(operation, other)),
            }
            if !piece.begun.is_empty() {
                come.insert(piece.at, Segments::from(piece.begun.freeze()));
            }
        }
        Ok(joined(come, asking.end))
    }

    /// Writes it all. The first error ends it; what else was under way may have been written.
    pub(crate) async fn write(
        &self,
        operation: &'static str,
        offset: u64,
        mut data: Bytes,
        order: Order,
    ) -> Result<()> {
        if offset.checked_add(data.len() as u64).is_none() {
            return Err(Error::new(ErrorKind::InvalidArgument, operation, "no file is so long"));
        }
        let most = match order {
            Order::Any => MOST_REQUESTS,
            Order::OneByOne => 1,
        };
        let size = usize::try_from(block(self.limits.max_write)).unwrap_or(usize::MAX);
        let mut under_way = FuturesUnordered::new();
        let mut at = offset;
        loop {
            while !data.is_empty()
                && under_way.len() < most
                && under_way.len() as u64 * (size as u64) < WINDOW
            {
                let part = data.split_to(size.min(data.len()));
                let (handle, length) = (self.handle.handle().clone(), part.len() as u64);
                let pending = self.handle.engine().submit(Request::Write { handle, offset: at, data: part });
                under_way.push(pending.done(operation));
                at += length;
            }
            match under_way.next().await {
                Some(written) => written?,
                None => return Ok(()),
            }
        }
    }
}

/// In what order writes reach the file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Each has its own place.
    Any,
    /// Each goes to the end of the file, so that no server may carry out two at a time.
    OneByOne,
}

/// What of a range is still to be asked for.
struct Asking {
    /// What is asked for next, unless something has to be asked for again.
    next: u64,
    /// Where the file, or what is wanted of it, ends.
    end: u64,
    /// How far there is something for sure, or was thought to be.
    known: Option<u64>,
    size: u32,
    again: VecDeque<Piece>,
    start: u64,
}

impl Asking {
    fn new(offset: u64, extent: Extent, size: u32) -> Self {
        let (end, known) = match extent {
            Extent::Length(length) => (offset.saturating_add(length), None),
            Extent::ToEnd { thought } => (u64::MAX, Some(thought)),
        };
        Self { next: offset, end, known, size, again: VecDeque::new(), start: offset }
    }

    fn next(&mut self) -> Option<Piece> {
        while let Some(piece) = self.again.pop_front() {
            if piece.from() < self.end {
                return Some(piece);
            }
        }
        let until = match self.known {
            // One request behind the end finds out that it is the end.
            Some(known) => known.saturating_add(1).min(self.end),
            None => self.end,
        };
        if self.next >= until {
            return None;
        }
        let asked = u32::try_from(self.end - self.next).unwrap_or(u32::MAX).min(self.size);
        let piece = Piece { at: self.next, asked, begun: BytesMut::new() };
        self.next += u64::from(asked);
        Some(piece)
    }

    /// The file ends where this piece was asked for.
    fn ends(&mut self, piece: &Piece) {
        self.end = self.end.min(piece.from());
    }

    /// There was something up to here: of a file of unknown length, as much again is asked for in advance.
    fn has(&mut self, until: u64) {
        if let Some(known) = &mut self.known {
            *known = (*known).max(until.saturating_add(until - self.start));
        }
    }
}

impl Piece {
    /// Where its next byte is.
    fn from(&self) -> u64 {
        self.at + self.begun.len() as u64
    }
}

/// All pieces before the end, in one; without a copy where it is one.
fn joined(pieces: BTreeMap<u64, Segments>, end: u64) -> Bytes {
    let mut kept: Vec<Bytes> = Vec::new();
    for (at, segments) in pieces {
        let mut at = at;
        for part in segments.into_pieces() {
            let room = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
            at += part.len() as u64;
            kept.push(part.slice(..room.min(part.len())));
        }
    }
    kept.retain(|part| !part.is_empty());
    if kept.len() <= 1 {
        return kept.pop().unwrap_or_default();
    }
    let mut all = BytesMut::with_capacity(kept.iter().map(Bytes::len).sum());
    kept.iter().for_each(|part| all.extend_from_slice(part));
    all.freeze()
}

/// What goes into one request: as much as the server takes.
pub(crate) fn block(limit: u64) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX).max(1)
}

/// How many requests of one operation are under way at once. With 32 KiB each, as where a server says nothing, they are
/// 2 MiB, which is the window of OpenSSH's channels.
pub(crate) const MOST_REQUESTS: usize = 64;

/// How many bytes of one operation are under way at once: twice that window, so that it stays filled.
pub(crate) const WINDOW: u64 = 4 * 1024 * 1024;
