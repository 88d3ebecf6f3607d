//! A file's bytes to the server, many requests at a time.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use rustle_sftp_proto::{Answer, Request, StatusCode};

use crate::engine::OpenHandle;
use crate::error::{Error, Result};
use crate::sftp::Sftp;
use crate::transfer::lane::{Lane, Lanes, Left, Outcome};
use crate::transfer::marks::Marks;
use crate::transfer::resume::SPAN;
use crate::transfer::stripe::Stripes;
use crate::transfer::witness::{Testimony, Witness};

/// Writes parts of a file over its lanes.
pub(crate) struct Store {
    lanes: Lanes<Part>,
    stored: u64,
    /// What the server has said it wrote, for [`SPAN`].
    done: Marks,
    /// Up to where all was written, for the case that all lanes are lost: what stands there is proved then.
    firm: u64,
    /// What was written behind that, by its offset: it is written again then.
    held: BTreeMap<u64, Held>,
    witness: Witness,
}

/// What a request carries: kept until it is answered, for the case that its lane is lost.
pub(crate) struct Part {
    offset: u64,
    data: Bytes,
    /// It was written before, and counted.
    is_again: bool,
}

enum Held {
    Data(Bytes),
    /// So many bytes that are not to be written.
    Hole(u64),
}

impl Store {
    /// What is before `from` is there.
    pub(crate) fn new(lanes: Vec<Lane>, from: u64) -> Self {
        let mut done = Marks::new();
        done.mark(0..from);
        let witness = Witness::new();
        if from > 0 {
            // A part may be longer than what is built upon.
            witness.may_reach(from.saturating_add(SPAN));
        }
        Self { lanes: Lanes::new(lanes), stored: 0, done, firm: from, held: BTreeMap::new(), witness }
    }

    /// Lanes that join when they are open.
    pub(crate) fn join(&mut self, stripes: Stripes) {
        self.lanes.join(stripes);
    }

    /// How many bytes the server has said it wrote.
    pub(crate) fn stored(&self) -> u64 {
        self.stored
    }

    /// Sends this part as soon as there is room. Whether it was written is known when [`finish`](Self::finish) returns;
    /// a refusal of an earlier part comes out here.
    ///
    /// # Errors
    /// The server refused to write, or the last lane is lost and none was being opened.
    pub(crate) async fn write(&mut self, offset: u64, data: Bytes) -> Result<()> {
        self.write_part(Part { offset, data, is_again: false }).await
    }

    async fn write_part(&mut self, part: Part) -> Result<()> {
        let mut again = vec![part];
        while let Some(part) = again.pop() {
            if self.lanes.one_left("write", &self.witness, self.firm).await? == Left::Another {
                again.push(part);
                again.extend(self.not_proved());
                continue;
            }
            let end = part.offset.saturating_add(part.data.len() as u64);
            let room = if end <= self.reach() { self.lanes.room(part.data.len() as u64) } else { None };
            match room {
                Some((lane, size)) => {
                    if let Some(rest) = self.send(lane, size, part) {
                        again.push(rest);
                    }
                }
                None => {
                    again.push(part);
                    again.extend(self.settle().await?);
                }
            }
        }
        Ok(())
    }

    /// Nothing is written here: what stands behind it makes it a hole.
    pub(crate) fn leave_out(&mut self, range: Range<u64>) {
        self.done.mark(range.clone());
        self.hold(range.start, Held::Hole(range.end.saturating_sub(range.start)));
    }

    /// How often all lanes were lost, and it went on.
    pub(crate) fn losses(&self) -> u32 {
        self.lanes.losses()
    }

    /// Waits until all parts were written.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(crate) async fn finish(&mut self) -> Result<()> {
        while self.lanes.under_way() > 0 {
            if let Some(part) = self.settle().await? {
                self.write_part(part).await?;
            }
        }
        self.lanes.check("write")
    }

    /// The first channel that is left, or one that is to take the place of all.
    pub(crate) fn channel(&self) -> Option<&Sftp> {
        self.lanes.channel()
    }

    /// The channels that are left, with their open files, to be asked about and closed. Nothing is written after that.
    pub(crate) fn take_channels(&mut self) -> Vec<(Sftp, OpenHandle)> {
        self.lanes.take_channels()
    }

    /// For those who open the file again.
    pub(crate) fn testimony(&self) -> Testimony {
        self.witness.testimony()
    }

    /// Sends the first `size` bytes of it, and returns the rest.
    fn send(&mut self, lane: usize, size: u32, mut part: Part) -> Option<Part> {
        let most = usize::try_from(size).unwrap_or(usize::MAX).min(part.data.len());
        let (offset, data) = (part.offset, part.data.split_to(most));
        let note = Part { offset, data: data.clone(), is_again: part.is_again };
        self.lanes.ask(lane, size, note, |file| Request::Write {
            handle: file.handle().clone(),
            offset,
            data,
        });
        part.offset += most as u64;
        self.witness.may_reach(part.offset);
        (!part.data.is_empty()).then_some(part)
    }

    /// How far may be written now.
    fn reach(&self) -> u64 {
        match self.lanes.under_way() {
            0 => u64::MAX,
            _ => self.done.prefix().saturating_add(SPAN),
        }
    }

    /// Keeps what is behind the first byte that is not written, as far as it may have to be written again.
    fn hold(&mut self, offset: u64, held: Held) {
        if !self.lanes.may_survive() {
            return;
        }
        self.held.insert(offset, held);
        let prefix = self.done.prefix();
        let written = self.held.range(..prefix).rev().find_map(|(offset, held)| match held {
            Held::Data(data) => Some((*offset, *offset + data.len() as u64)),
            Held::Hole(_) => None,
        });
        // A hole at the end of the file is not there yet.
        if let Some((offset, end)) = written {
            self.firm = end;
            self.held = self.held.split_off(&(offset + 1));
        }
    }

    /// All behind what was proved; it counts as written no more.
    fn not_proved(&mut self) -> Vec<Part> {
        self.done = Marks::new();
        self.done.mark(0..self.firm);
        let mut again = Vec::new();
        for (offset, held) in std::mem::take(&mut self.held) {
            match held {
                Held::Data(data) => again.push(Part { offset, data, is_again: true }),
                Held::Hole(length) => self.leave_out(offset..offset + length),
            }
        }
        again
    }

    /// Waits for one answer; what was on a lane that is lost comes back.
    async fn settle(&mut self) -> Result<Option<Part>> {
        let worth = |part: &Part, _: &Answer| u32::try_from(part.data.len()).unwrap_or(u32::MAX);
        match self.lanes.next(worth).await {
            Some(Outcome::Answered(part, Answer::Status(status))) if status.code() == StatusCode::OK => {
                let bytes = part.data.len() as u64;
                if !part.is_again {
                    self.stored += bytes;
                }
                self.done.mark(part.offset..part.offset + bytes);
                self.witness.saw(part.offset, |most| part.data.slice(..most.min(part.data.len())));
                self.hold(part.offset, Held::Data(part.data));
                Ok(None)
            }
            Some(Outcome::Answered(_, Answer::Status(status))) => Err(Error::of_status("write", status)),
            Some(Outcome::Lost(part)) => Ok(Some(part)),
            Some(Outcome::Answered(..)) | None => Ok(None),
        }
    }
}
