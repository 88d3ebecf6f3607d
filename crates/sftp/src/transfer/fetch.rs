//! A file's bytes from the server, many requests at a time.

use std::ops::Range;

use rustle_sftp_proto::{Answer, Request, Segments, StatusCode};

use crate::engine::OpenHandle;
use crate::error::{Error, Result};
use crate::sftp::Sftp;
use crate::transfer::lane::{Lane, Lanes, Outcome};
use crate::transfer::marks::Marks;
use crate::transfer::resume::SPAN;
use crate::transfer::stripe::Stripes;
use crate::transfer::witness::{Testimony, Witness};

/// Reads ranges of a file over its lanes, in whatever order they come.
pub(crate) struct Fetch {
    lanes: Lanes<Range<u64>>,
    /// Where the next new request begins.
    next: u64,
    /// Where the file is thought to end; beyond it, one request at a time looks for more.
    expected: u64,
    /// Where it was found to end.
    end: Option<u64>,
    /// Parts that came short or were lost, to be asked for again.
    again: Vec<Range<u64>>,
    looking: usize,
    /// What has come, for [`SPAN`].
    arrived: Marks,
    witness: Witness,
}

impl Fetch {
    /// From `start` to the end of the file, which is expected at `expected`.
    pub(crate) fn new(lanes: Vec<Lane>, start: u64, expected: u64) -> Self {
        let mut arrived = Marks::new();
        arrived.mark(0..start);
        Self {
            arrived,
            lanes: Lanes::new(lanes),
            next: start,
            expected: expected.max(start),
            end: None,
            again: Vec::new(),
            looking: 0,
            witness: Witness::new(),
        }
    }

    /// The next part that has come, with where it belongs. `None` when all has.
    ///
    /// # Errors
    /// The server refused to read, or the last lane is lost and none was being opened.
    pub(crate) async fn next(&mut self) -> Result<Option<(u64, Segments)>> {
        loop {
            self.lanes.one_left("read", &self.witness, self.arrived.prefix()).await?;
            self.fill();
            let worth = |_: &Range<u64>, answer: &Answer| match answer {
                Answer::Data(data) => u32::try_from(data.len()).unwrap_or(u32::MAX),
                _ => 0,
            };
            let Some(outcome) = self.lanes.next(worth).await else { return Ok(None) };
            let (range, answer) = match outcome {
                Outcome::Answered(range, answer) => (range, answer),
                Outcome::Lost(range) => {
                    self.lose(range);
                    continue;
                }
            };
            if range.start >= self.expected {
                self.looking -= 1;
            }
            match answer {
                Answer::Data(data) if data.is_empty() => self.ends_at(range.start),
                Answer::Data(data) => {
                    let came = range.start + data.len() as u64;
                    self.arrived.mark(range.start..came);
                    self.witness
                        .saw(range.start, |most| data.clone().split_to(most.min(data.len())).to_bytes());
                    // A server answers fewer bytes than asked for when it likes (draft section 6.4), and at the end.
                    if came < range.end {
                        self.short(came..range.end);
                    }
                    if range.start >= self.expected {
                        // The file is longer than it was said to be.
                        self.expected = came;
                        self.next = self.next.max(came);
                    }
                    return Ok(Some((range.start, data)));
                }
                Answer::Status(status) if status.code() == StatusCode::EOF => self.ends_at(range.start),
                Answer::Status(status) => return Err(Error::of_status("read", status)),
                _ => {}
            }
        }
    }

    /// Where the file ended, once all has come.
    pub(crate) fn end(&self) -> u64 {
        self.end.unwrap_or(self.expected)
    }

    /// The channels that are left, with their open files, to be asked about and closed.
    pub(crate) fn into_channels(mut self) -> Vec<(Sftp, OpenHandle)> {
        self.lanes.take_channels()
    }

    /// How often all lanes were lost, and it went on.
    pub(crate) fn losses(&self) -> u32 {
        self.lanes.losses()
    }

    /// For those who open the file again.
    pub(crate) fn testimony(&self) -> Testimony {
        self.witness.testimony()
    }

    /// Lanes that join when they are open.
    pub(crate) fn join(&mut self, stripes: Stripes) {
        self.lanes.join(stripes);
    }

    /// Sends as many requests as have room.
    fn fill(&mut self) {
        loop {
            let wanted = match self.again.pop() {
                Some(range) if self.end.is_some_and(|end| range.start >= end) => continue,
                Some(range) => range,
                None if self.end.is_some_and(|end| self.next >= end) => return,
                None if self.next < self.expected => {
                    let reach = self.reach().min(self.expected);
                    if reach <= self.next {
                        return;
                    }
                    self.next..reach
                }
                // Beyond what is expected one request suffices to find the end.
                None if self.looking == 0 && self.end.is_none() => self.expected..u64::MAX,
                None => return,
            };
            let Some((lane, size)) = self.lanes.room(wanted.end - wanted.start) else {
                if wanted.start < self.next {
                    self.again.push(wanted);
                }
                return;
            };
            let range = wanted.start..wanted.start + u64::from(size);
            if wanted.start < self.next {
                if range.end < wanted.end {
                    self.again.push(range.end..wanted.end);
                }
            } else if range.start >= self.expected {
                self.looking += 1;
            } else {
                self.next = range.end;
            }
            self.lanes.ask(lane, size, range.clone(), |file| Request::Read {
                handle: file.handle().clone(),
                offset: range.start,
                length: size,
            });
        }
    }

    /// How far may be asked for now.
    fn reach(&self) -> u64 {
        match self.lanes.under_way() {
            0 => u64::MAX,
            _ => self.arrived.prefix().saturating_add(SPAN),
        }
    }

    fn lose(&mut self, range: Range<u64>) {
        if range.start >= self.expected {
            self.looking -= 1;
        } else {
            self.again.push(range);
        }
    }

    fn short(&mut self, rest: Range<u64>) {
        if rest.start < self.expected {
            self.again.push(rest.start..rest.end.min(self.expected));
        }
    }

    fn ends_at(&mut self, offset: u64) {
        self.end = Some(self.end.map_or(offset, |end| end.min(offset)));
    }
}
