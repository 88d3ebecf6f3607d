//! Reading ahead.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use rustle_sftp_proto::{Answer, Request, Segments, StatusCode};

use crate::blocks::block;
use crate::engine::{Pending, refused};
use crate::file::File;
use crate::file::cursor::failed;

/// Blocks from the cursor's place on, asked for before they are wanted.
pub(super) struct Ahead {
    size: u32,
    /// What is here.
    ready: Segments,
    under_way: VecDeque<Asked>,
    bytes: usize,
    /// How much is asked for ahead now.
    reach: usize,
    /// Where the next request begins; the end of what is under way.
    next: u64,
    ended: bool,
}

struct Asked {
    at: u64,
    length: u32,
    answer: Pending,
}

impl Ahead {
    pub(super) fn new(most: u64) -> Self {
        Self {
            size: block(most),
            ready: Segments::new(),
            under_way: VecDeque::new(),
            bytes: 0,
            reach: 0,
            next: 0,
            ended: false,
        }
    }

    /// What was asked for is not wanted.
    pub(super) fn forget(&mut self) {
        self.ready = Segments::new();
        self.under_way.clear();
        self.bytes = 0;
        self.reach = 0;
        self.ended = false;
    }

    /// Bytes at this place, none at the end of the file.
    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        file: &File,
        position: u64,
        window: usize,
        most: usize,
    ) -> Poll<io::Result<Bytes>> {
        loop {
            if !self.ready.is_empty() {
                self.ask(file, window);
                let count = most.min(self.ready.chunk().len());
                return Poll::Ready(Ok(self.ready.copy_to_bytes(count)));
            }
            if self.under_way.is_empty() {
                if self.ended {
                    // The file may grow: whoever reads again at its end asks again.
                    self.ended = false;
                    return Poll::Ready(Ok(Bytes::new()));
                }
                self.next = position;
                self.reach = (self.reach * 2).clamp(1, window.max(1));
                self.ask(file, window);
            }
            let Some(first) = self.under_way.front_mut() else { return Poll::Ready(Ok(Bytes::new())) };
            let answer = ready!(Pin::new(&mut first.answer).poll(cx));
            let Some(asked) = self.under_way.pop_front() else { continue };
            self.bytes = self.bytes.saturating_sub(asked.length as usize);
            let answer = answer.map_err(|failure| failure.error("read"));
            if let Err(error) = answer.and_then(|answer| self.take(file, &asked, answer)) {
                self.forget();
                return Poll::Ready(Err(failed(file, error)));
            }
        }
    }

    fn take(&mut self, file: &File, asked: &Asked, answer: Answer) -> crate::Result<()> {
        let data = match answer {
            Answer::Data(data) => data,
            Answer::Status(status) if status.code() == StatusCode::EOF => Segments::new(),
            other => return Err(refused("read", other)),
        };
        let count = u32::try_from(data.len()).unwrap_or(u32::MAX);
        if count == 0 {
            self.ended = true;
            self.under_way.clear();
            self.bytes = 0;
            return Ok(());
        }
        // A short answer leaves a gap before what else is under way.
        if let Some(rest) = asked.length.checked_sub(count).filter(|rest| *rest > 0) {
            let gap = submit(file, asked.at + u64::from(count), rest);
            self.bytes += rest as usize;
            self.under_way.push_front(gap);
        }
        self.ready = data;
        // It is read one after the other: twice as much pays.
        self.reach = self.reach.max(self.size as usize).saturating_mul(2);
        Ok(())
    }

    /// Keeps as much under way as there is to be, one request at least.
    fn ask(&mut self, file: &File, window: usize) {
        self.reach = self.reach.min(window.max(1));
        while !self.ended && (self.under_way.is_empty() && self.ready.is_empty() || self.has_room()) {
            let asked = submit(file, self.next, self.size);
            self.bytes += self.size as usize;
            self.next = self.next.saturating_add(u64::from(self.size));
            self.under_way.push_back(asked);
        }
    }

    fn has_room(&self) -> bool {
        self.ready.len() + self.bytes + self.size as usize <= self.reach
    }
}

fn submit(file: &File, at: u64, length: u32) -> Asked {
    let handle = file.handle();
    let request = Request::Read { handle: handle.handle().clone(), offset: at, length };
    Asked { at, length, answer: handle.engine().submit(request) }
}
