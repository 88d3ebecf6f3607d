//! More channels for one file: of its own connection, where the window of one holds it back, and of others, where one
//! connection's work does.

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use rustle_session::Session;
use rustle_sftp_proto::{Attributes, OpenFlags, Request};
use tokio::sync::watch;

use crate::engine::Failure;
use crate::error::{Error, ErrorKind, Result};
use crate::options::SftpBuilder;
use crate::sftp::Sftp;
use crate::transfer::lane::Lane;
use crate::transfer::options::Options;
use crate::transfer::others::Other;
use crate::transfer::survival::Survival;
use crate::transfer::window::Bounds;
use crate::transfer::witness::{Length, Testimony, another};

/// Lanes that are being opened while the transfer goes on without them.
pub(crate) struct Stripes {
    opening: FuturesUnordered<BoxFuture<'static, Result<Lane>>>,
    patience: Duration,
    /// Their channels are opened while it is not known yet what they are for.
    file: watch::Sender<Option<(Reopened, Bounds)>>,
    survival: Option<Survival>,
}

/// Which window a channel has in this direction.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Direction {
    /// This side grants it, and fits it to the link: so one channel fills that.
    Down,
    /// The server grants it: OpenSSH 2 MiB, however long the link.
    Up,
}

/// The connection that a lane is to be opened on.
pub(crate) enum Carrier {
    Own(Session),
    Other(Other),
}

/// A file that each lane opens by its name again.
#[derive(Clone)]
pub(crate) struct Reopened {
    pub(crate) path: Bytes,
    pub(crate) flags: OpenFlags,
    pub(crate) same: Same,
    /// Not all of it is written: there are to be zeros where nothing is.
    pub(crate) leaves_out: bool,
}

/// How it is known to be the file that the transfer has open. Another one is left alone: the name may have got to it
/// meanwhile, or the connection leads to another machine.
#[derive(Clone)]
pub(crate) enum Same {
    /// It is written, under a name that was made up for it.
    Made(Testimony),
    /// It is read, and was like this when it was opened.
    Read(Attributes, Testimony),
    /// It is written, under a name that others may use.
    Written(Testimony),
}

/// Where the lanes of a file of so many bytes are to be, beside the first one.
///
/// By itself one is enough where what it may have in flight fills a link of 1 Gb/s and half as much again. Each other
/// connection has one at least, and takes turns with the rest. A file that is done in a few round trips is not worth the
/// five that a channel takes. What may be resumed goes over one channel: over several, a part could have holes far behind
/// its end. `MaxSessions` is 10 unless a server's configuration says otherwise, and others may need some.
pub(crate) fn carriers(sftp: &Sftp, direction: Direction, length: u64, options: &Options) -> Vec<Carrier> {
    if options.resume {
        return Vec::new();
    }
    let own = sftp.session();
    let others: Vec<&Other> = options.others.worth(length).collect();
    let connections = 1 + others.len();
    let of_each = match options.channels {
        Some(most) => most.get(),
        None => own.map_or(1, |session| usual(direction, session.stats().round_trip)).div_ceil(connections),
    };
    let worth = usize::try_from(length / LEAST_SHARE).unwrap_or(usize::MAX).max(1);
    let lanes = of_each.min(MOST).saturating_mul(connections).min(worth);
    let carrier = |lane: usize| match (lane % connections).checked_sub(1) {
        Some(other) => others.get(other).map(|other| Carrier::Other((*other).clone())),
        None => own.cloned().map(Carrier::Own),
    };
    (1..lanes).filter_map(carrier).collect()
}

fn usual(direction: Direction, round_trip: Duration) -> usize {
    match direction {
        Direction::Down => 1,
        Direction::Up => {
            let in_flight = u64::try_from(round_trip.as_micros())
                .unwrap_or(u64::MAX)
                .saturating_mul(BYTES_PER_MICROSECOND);
            usize::try_from(in_flight.saturating_mul(3).div_ceil(2 * SERVER_WINDOW))
                .unwrap_or(MOST)
                .clamp(1, MOST)
        }
    }
}

impl Stripes {
    pub(crate) fn none() -> Self {
        Self {
            opening: FuturesUnordered::new(),
            patience: Duration::ZERO,
            file: watch::Sender::new(None),
            survival: None,
        }
    }

    /// Begins to open a channel on each, set up as the first one was, and the file there once it is [told](Self::tell).
    pub(crate) fn open(first: &Sftp, carriers: Vec<Carrier>) -> Self {
        let options = first.options();
        let file = watch::Sender::new(None);
        let opening = carriers.into_iter().map(|on| open(on, options.clone(), file.subscribe()).boxed());
        Self { opening: opening.collect(), patience: options.opening(), file, survival: None }
    }

    /// Goes on when all lanes are lost.
    pub(crate) fn survive(mut self, survival: Option<Survival>) -> Self {
        self.survival = survival;
        self
    }

    pub(crate) fn may_survive(&self) -> bool {
        self.survival.is_some()
    }

    /// How often it went on.
    pub(crate) fn losses(&self) -> u32 {
        self.survival.as_ref().map_or(0, Survival::times)
    }

    /// The channel that was opened last to go on with, whether it turned out to be of use or not.
    pub(crate) fn newest(&self) -> Option<&Sftp> {
        self.survival.as_ref().and_then(Survival::newest)
    }

    /// Goes on with the channels while `work` is done, behind which the file is known.
    ///
    /// # Cancel safety
    /// As `work`; the channels are where they were.
    pub(crate) async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                // No lane is there before the file is known, so these are refusals.
                Some(refused) = self.opening.next() => {
                    accepted(refused);
                }
            }
        }
    }

    /// What the channels are for.
    pub(crate) fn tell(&mut self, file: Reopened, bounds: Bounds) {
        if let Some(survival) = &mut self.survival {
            survival.tell(file.clone(), bounds);
        }
        if !self.opening.is_empty() {
            self.file.send_replace(Some((file, bounds)));
        }
    }

    /// A lane that is open by now. One that is refused is done without: there will be as many as there are.
    pub(crate) fn ready(&mut self) -> Option<Lane> {
        // Looked at whenever a block is done, which is often enough.
        while !self.opening.is_empty() {
            let opened = self.opening.next().now_or_never()??;
            self.forget();
            if let Some(lane) = accepted(opened) {
                return Some(lane);
            }
        }
        None
    }

    /// What is moved is kept for as long as somebody may ask for it.
    fn forget(&self) {
        if self.opening.is_empty() {
            self.file.send_replace(None);
        }
    }

    /// The next lane, for a transfer that has none left. `None` where all are refused, or none is open within the time
    /// that a channel may take: whoever makes a connection for it may take any.
    pub(crate) async fn wait(&mut self) -> Option<Lane> {
        let patience = self.patience;
        let opened = async {
            while let Some(opened) = self.opening.next().await {
                self.forget();
                if let Some(lane) = accepted(opened) {
                    return Some(lane);
                }
            }
            None
        };
        tokio::time::timeout(patience, opened).await.ok().flatten()
    }

    /// A lane in place of all these, which are lost. As many others follow as there were.
    ///
    /// # Errors
    /// As [`Survival::another_lane`]; the loss itself where nothing can survive it.
    pub(crate) async fn go_on(
        &mut self,
        operation: &'static str,
        lost: &Failure,
        lanes: usize,
        firm: u64,
    ) -> Result<Lane> {
        let Some(survival) = &mut self.survival else { return Err(lost.error(operation)) };
        // Those that are still being opened have nobody to show them which file it is.
        self.opening.clear();
        let lane = survival.another_lane(operation, lost, firm).await?;
        if lanes > 1 {
            self.file.send_replace(survival.file());
            for _ in 1..lanes {
                let on = Carrier::Own(survival.session().clone());
                self.opening.push(open(on, survival.options().clone(), self.file.subscribe()).boxed());
            }
        }
        Ok(lane)
    }
}

fn accepted(opened: Result<Lane>) -> Option<Lane> {
    opened
        .inspect_err(|error| tracing::info!(%error, "a transfer goes on with the channels that it has"))
        .ok()
}

async fn open(
    on: Carrier,
    options: SftpBuilder,
    mut file: watch::Receiver<Option<(Reopened, Bounds)>>,
) -> Result<Lane> {
    let session = match on {
        Carrier::Own(session) => session,
        Carrier::Other(other) => other.session().await.ok_or_else(|| {
            Error::new(ErrorKind::Disconnected, "open", "the other connection could not be made")
        })?,
    };
    let sftp = options.open(&session).await?;
    let told = file.wait_for(Option::is_some).await.ok().and_then(|told| (*told).clone());
    let Some((Reopened { path, flags, same, .. }, bounds)) = told else {
        return Err(Error::new(ErrorKind::Disconnected, "open", "the transfer has ended"));
    };
    drop(file);
    let opening = Request::Open { path, flags, attributes: Attributes::new() };
    let file = sftp.engine().handle("open", opening).await?;
    match same {
        Same::Made(mut testimony) => match testimony.hear(&sftp, &file, Length::Grows).await {
            // Nobody is left who could show more than the name, which only somebody with rights in the directory has by now.
            Err(error) if error.kind() == ErrorKind::Disconnected => testimony.is_as_long(&file, 0).await?,
            heard => heard?,
        },
        Same::Read(original, mut testimony) => {
            let asked = Request::Fstat { handle: file.handle().clone() };
            if !is_alike(&original, &sftp.engine().attributes("fstat", asked).await?) {
                return Err(another());
            }
            testimony.hear(&sftp, &file, Length::Stays).await?;
        }
        Same::Written(mut testimony) => testimony.hear(&sftp, &file, Length::Grows).await?,
    }
    Ok(Lane::new(&sftp, file, bounds))
}

/// As far as SFTP tells one file from another, and a version of it from the next.
pub(crate) fn is_alike(before: &Attributes, after: &Attributes) -> bool {
    before.size() == after.size() && before.modified() == after.modified()
}

/// Each channel should have this many bytes to carry: opening one costs five round trips.
const LEAST_SHARE: u64 = 4 * 1024 * 1024;

/// Two short of the ten that OpenSSH's `MaxSessions` allows.
const MOST: usize = 8;

/// What OpenSSH's server grants a channel.
const SERVER_WINDOW: u64 = 2 * 1024 * 1024;

/// 1 Gb/s.
const BYTES_PER_MICROSECOND: u64 = 125;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_links_have_more_channels_and_short_ones_have_one() {
        let up = |milliseconds| usual(Direction::Up, Duration::from_millis(milliseconds));
        assert_eq!([0, 1, 10, 20, 50, 100, 100_000].map(up), [1, 1, 1, 2, 5, 8, 8]);
        let down = |milliseconds| usual(Direction::Down, Duration::from_millis(milliseconds));
        assert_eq!([0, 10, 20, 100].map(down), [1; 4]);
    }
}
