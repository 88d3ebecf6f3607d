//! The requests of a transfer, spread over the channels that it has.

use std::collections::VecDeque;

use rustle_sftp_proto::{Answer, Request};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::engine::{Arrived, Failure, OpenHandle};
use crate::error::{Error, Result};
use crate::sftp::Sftp;
use crate::transfer::stripe::Stripes;
use crate::transfer::window::{Bounds, Sent, Window};
use crate::transfer::witness::Witness;

/// One channel's copy of the open file, and what is under way on it.
pub(crate) struct Lane {
    sftp: Sftp,
    file: OpenHandle,
    window: Window,
    lost: Option<Failure>,
}

/// Requests under way on several lanes, of which each has a note of what it was for.
pub(crate) struct Lanes<N> {
    lanes: Vec<Lane>,
    /// More of them, which are being opened.
    stripes: Stripes,
    /// Of them, those that were lost together before the transfer went on.
    survived: usize,
    /// Where the next request is looked for room, so that all lanes are used.
    turn: usize,
    asked: Vec<Option<Asked<N>>>,
    vacant: Vec<usize>,
    under_way: usize,
    sender: mpsc::UnboundedSender<Arrived>,
    receiver: mpsc::UnboundedReceiver<Arrived>,
    arrived: VecDeque<Arrived>,
    batch: Vec<Arrived>,
}

struct Asked<N> {
    lane: usize,
    sent: Sent,
    note: N,
}

/// What a transfer goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Left {
    /// Lanes that it had, or that joined.
    Some,
    /// One that took the place of all, which are lost.
    Another,
}

/// What became of a request.
pub(crate) enum Outcome<N> {
    Answered(N, Answer),
    /// Its lane is lost: it may be asked for again, on another.
    Lost(N),
}

impl Lane {
    pub(crate) fn new(sftp: &Sftp, file: OpenHandle, bounds: Bounds) -> Self {
        Self { sftp: sftp.clone(), file, window: Window::new(bounds), lost: None }
    }
}

impl<N> Lanes<N> {
    pub(crate) fn new(lanes: Vec<Lane>) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            lanes,
            stripes: Stripes::none(),
            survived: 0,
            turn: 0,
            asked: Vec::new(),
            vacant: Vec::new(),
            under_way: 0,
            sender,
            receiver,
            arrived: VecDeque::new(),
            batch: Vec::with_capacity(BATCH),
        }
    }

    /// Lanes that join these when they are open.
    pub(crate) fn join(&mut self, stripes: Stripes) {
        self.stripes = stripes;
    }

    /// How many requests are unanswered.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way
    }

    /// The lane that has room for a request of up to `most` bytes, and how many of them it should be for.
    pub(crate) fn room(&mut self, most: u64) -> Option<(usize, u32)> {
        while let Some(lane) = self.stripes.ready() {
            self.lanes.push(lane);
        }
        for step in 0..self.lanes.len() {
            let index = (self.turn + step) % self.lanes.len();
            let lane = &self.lanes[index];
            if lane.lost.is_some() {
                continue;
            }
            let size = u32::try_from(u64::from(lane.window.request_size()).min(most)).unwrap_or(u32::MAX);
            if lane.window.admits(size) {
                self.turn = index;
                return Some((index, size));
            }
        }
        None
    }

    /// Sends a request of `bytes` on a lane that [`room`](Self::room) gave.
    pub(crate) fn ask(
        &mut self,
        lane: usize,
        bytes: u32,
        note: N,
        request: impl FnOnce(&OpenHandle) -> Request,
    ) {
        let on = &mut self.lanes[lane];
        let sent = on.window.on_sent(Instant::now().into_std(), bytes);
        let tag = self.vacant.pop().unwrap_or_else(|| {
            self.asked.push(None);
            self.asked.len() - 1
        });
        self.asked[tag] = Some(Asked { lane, sent, note });
        self.under_way += 1;
        on.file.engine().submit_to(&self.sender, tag, request(&on.file));
        self.turn = (lane + 1) % self.lanes.len();
    }

    /// The next answer, in the order in which they come. `None` when nothing is under way.
    ///
    /// `worth` says how many bytes an answer moved, for the window.
    pub(crate) async fn next(&mut self, worth: impl Fn(&N, &Answer) -> u32) -> Option<Outcome<N>> {
        loop {
            let arrived = match self.arrived.pop_front() {
                Some(arrived) => arrived,
                None if self.under_way == 0 => return None,
                None => {
                    self.receiver.recv_many(&mut self.batch, BATCH).await;
                    self.arrived.extend(self.batch.drain(..));
                    continue;
                }
            };
            let Some(asked) = self.asked.get_mut(arrived.tag).and_then(Option::take) else { continue };
            self.vacant.push(arrived.tag);
            self.under_way -= 1;
            let lane = &mut self.lanes[asked.lane];
            match arrived.answer {
                Ok(answer) => {
                    let bytes = worth(&asked.note, &answer);
                    lane.window.on_answer(Instant::now().into_std(), &asked.sent, bytes);
                    return Some(Outcome::Answered(asked.note, answer));
                }
                Err(failure) => {
                    lane.window.on_lost(&asked.sent);
                    lane.lost.get_or_insert(failure);
                    return Some(Outcome::Lost(asked.note));
                }
            }
        }
    }

    /// Where no lane is left, waits for one that is being opened, or for one on another connection where the transfer
    /// survives. What those who open it are to be shown moves no more meanwhile. `firm` bytes are confirmed from the
    /// beginning of the file.
    ///
    /// # Errors
    /// None is left, and none was being opened or could be.
    pub(crate) async fn one_left(
        &mut self,
        operation: &'static str,
        witness: &Witness,
        firm: u64,
    ) -> Result<Left> {
        if !self.is_lost() {
            return Ok(Left::Some);
        }
        witness.rests(true);
        let last = self.lanes.iter().rev().find_map(|lane| lane.lost.as_ref());
        if let Some(last) = last.filter(|last| self.stripes.may_survive() && last.is_a_loss()) {
            let together = self.lanes.len() - self.survived;
            let lane = self.stripes.go_on(operation, last, together, firm).await?;
            self.survived = self.lanes.len();
            self.lanes.push(lane);
            witness.rests(false);
            return Ok(Left::Another);
        }
        if let Some(lane) = self.stripes.wait().await {
            self.lanes.push(lane);
            witness.rests(false);
        }
        self.check(operation).map(|()| Left::Some)
    }

    /// Whether the transfer goes on when all lanes are lost.
    pub(crate) fn may_survive(&self) -> bool {
        self.stripes.may_survive()
    }

    /// How often it did.
    pub(crate) fn losses(&self) -> u32 {
        self.stripes.losses()
    }

    /// # Errors
    /// No lane is left.
    pub(crate) fn check(&self, operation: &'static str) -> Result<()> {
        if !self.is_lost() {
            return Ok(());
        }
        Err(self.lanes.iter().find_map(|lane| lane.lost.as_ref()).map_or_else(
            || {
                Error::new(
                    crate::error::ErrorKind::Disconnected,
                    operation,
                    "there is no channel for the transfer",
                )
            },
            |failure| failure.error(operation),
        ))
    }

    fn is_lost(&self) -> bool {
        self.lanes.iter().all(|lane| lane.lost.is_some())
    }

    /// The first channel that is still there; else one that is to take the place of all, which may be tried still.
    pub(crate) fn channel(&self) -> Option<&Sftp> {
        let is_there = |lane: &&Lane| lane.lost.is_none() && !lane.sftp.is_closed();
        let left = self.lanes.iter().find(is_there).map(|lane| &lane.sftp);
        left.or_else(|| self.stripes.newest())
    }

    /// The channels that are still there with their open files, the first one first. Nothing can be asked after that.
    pub(crate) fn take_channels(&mut self) -> Vec<(Sftp, OpenHandle)> {
        let left = std::mem::take(&mut self.lanes).into_iter().filter(|lane| lane.lost.is_none());
        left.map(|lane| (lane.sftp, lane.file)).collect()
    }
}

/// How many answers are taken in one go.
const BATCH: usize = 64;
