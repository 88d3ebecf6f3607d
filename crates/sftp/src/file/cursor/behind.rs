//! Writing behind.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use rustle_sftp_proto::{Answer, Request, StatusCode};

use crate::blocks::block;
use crate::engine::{Failure, Pending, refused};
use crate::error::{Error, Result};
use crate::explain::{Doing, explain};
use crate::file::File;

/// What was written and is not yet answered.
pub(super) struct Behind {
    size: usize,
    /// What is not yet sent, and where it goes.
    buffer: BytesMut,
    at: u64,
    under_way: VecDeque<Sent>,
    bytes: usize,
    /// An error that is being explained.
    failing: Option<Pin<Box<dyn Future<Output = Error> + Send + Sync>>>,
    /// What it was; every call fails from then on.
    failed: Option<io::ErrorKind>,
}

struct Sent {
    bytes: usize,
    answer: Pending,
}

impl Behind {
    pub(super) fn new(most: u64) -> Self {
        Self {
            size: block(most) as usize,
            buffer: BytesMut::new(),
            at: 0,
            under_way: VecDeque::new(),
            bytes: 0,
            failing: None,
            failed: None,
        }
    }

    /// Takes as much as goes into a block, once there is room for it.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        file: &File,
        position: u64,
        window: usize,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        while self.failing.is_some() || self.is_full(file, window) {
            ready!(self.poll_first(cx, file))?;
        }
        if !self.buffer.is_empty() && position != self.at + self.buffer.len() as u64 {
            self.send(file);
        }
        if self.buffer.is_empty() {
            self.at = position;
        }
        let count = data.len().min(self.size - self.buffer.len());
        self.buffer.extend_from_slice(&data[..count]);
        if self.buffer.len() == self.size {
            self.send(file);
        }
        Poll::Ready(Ok(count))
    }

    /// Sends what is left, and waits until all is written.
    pub(super) fn poll_all(&mut self, cx: &mut Context<'_>, file: &File) -> Poll<io::Result<()>> {
        self.check()?;
        // Two requests for the end of a file could change places.
        while file.is_appended_to() && (!self.under_way.is_empty() || self.failing.is_some()) {
            ready!(self.poll_first(cx, file))?;
        }
        if !self.buffer.is_empty() {
            self.send(file);
        }
        while !self.under_way.is_empty() || self.failing.is_some() {
            ready!(self.poll_first(cx, file))?;
        }
        Poll::Ready(Ok(()))
    }

    fn check(&self) -> io::Result<()> {
        match self.failed {
            Some(kind) => Err(io::Error::new(kind, "an earlier write to this file failed")),
            None => Ok(()),
        }
    }

    fn poll_first(&mut self, cx: &mut Context<'_>, file: &File) -> Poll<io::Result<()>> {
        if self.failing.is_none() {
            let Some(first) = self.under_way.front_mut() else { return Poll::Ready(Ok(())) };
            let answer = ready!(Pin::new(&mut first.answer).poll(cx));
            let bytes = first.bytes;
            self.under_way.pop_front();
            self.bytes -= bytes;
            let Err(error) = written(answer) else { return Poll::Ready(Ok(())) };
            self.under_way.clear();
            let file = file.clone();
            self.failing = Some(Box::pin(async move { why(&file, error, bytes).await }));
        }
        let Some(failing) = &mut self.failing else { return Poll::Ready(Ok(())) };
        let error = io::Error::from(ready!(failing.as_mut().poll(cx)));
        self.failing = None;
        self.failed = Some(error.kind());
        Poll::Ready(Err(error))
    }

    /// Whether more has to wait. One request at least may be under way.
    fn is_full(&self, file: &File, window: usize) -> bool {
        !self.under_way.is_empty() && (file.is_appended_to() || self.bytes + self.buffer.len() >= window)
    }

    fn send(&mut self, file: &File) {
        let data = self.buffer.split().freeze();
        let (handle, bytes) = (file.handle(), data.len());
        let request = Request::Write { handle: handle.handle().clone(), offset: self.at, data };
        self.at += bytes as u64;
        self.bytes += bytes;
        self.under_way.push_back(Sent { bytes, answer: handle.engine().submit(request) });
    }
}

fn written(answer: Result<Answer, Failure>) -> Result<()> {
    match answer.map_err(|failure| failure.error("write"))? {
        Answer::Status(status) if status.code() == StatusCode::OK => Ok(()),
        other => Err(refused("write", other)),
    }
}

async fn why(file: &File, error: Error, bytes: usize) -> Error {
    let path = Bytes::copy_from_slice(file.path());
    explain(file.handle().engine(), error, Doing::Write { path: &path, bytes: bytes as u64 }).await
}
