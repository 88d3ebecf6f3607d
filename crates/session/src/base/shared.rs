//! What the loop, the channels and their owner share of one connection.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use russh::ChannelId;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::algorithms::Negotiated;
use crate::base::inbound::Inbound;
use crate::base::intake::Intake;
use crate::base::round_trip::RoundTrip;
use crate::base::stalls::StallCounts;
use crate::base::wire::{CutReason, WireControl};
use crate::base::{CloseReason, Gone};
use crate::options::{BufferLimits, TransportOptions};

/// Longest text of a server that is kept (a banner, a refusal): what a person would still read.
const TEXT_LIMIT: usize = 8 * 1024;

/// How many refusal texts wait for their readers at the most.
const REFUSALS_KEPT: usize = 64;

/// How many closed channels are remembered, for the loop may still hand on what came before it knew. It knows as
/// soon as it takes the close from its queue, which holds ten messages.
const CLOSED_KEPT: usize = 64;

/// What the loop, the channels and their owner share.
pub(crate) struct Shared {
    pub(super) control: Arc<WireControl>,
    pub(super) limits: BufferLimits,
    rekey_bytes: Option<u64>,
    rekey_interval: Option<Duration>,
    keys_since: Mutex<Instant>,
    state: Mutex<SharedState>,
    refused: Notify,
    rekeys: watch::Sender<u64>,
    /// The host keys that the server announced, in wire form, until they are taken: then an empty list.
    announced: watch::Sender<Option<Vec<Vec<u8>>>>,
    channels_open: AtomicUsize,
    /// Channels that were asked for and not answered yet.
    pub(super) opening: AtomicUsize,
    pub(super) inbound: Inbound,
    pub(super) stalls: StallCounts,
    pub(super) round_trip: RoundTrip,
}

#[derive(Default)]
struct SharedState {
    reason: Option<CloseReason>,
    banner: String,
    negotiated: Option<Negotiated>,
    intakes: HashMap<ChannelId, Arc<Intake>>,
    /// The channels closed last; the base gives no number twice.
    closed: VecDeque<ChannelId>,
    refusals: VecDeque<Refusal>,
}

/// Why the server did not open a channel (RFC 4254 section 5.1).
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) code: u32,
    pub(crate) text: String,
}

impl Shared {
    pub(super) fn new(control: Arc<WireControl>, options: &TransportOptions) -> Arc<Self> {
        Arc::new(Self {
            control,
            limits: *options.buffers(),
            rekey_bytes: options.rekey_bytes(),
            rekey_interval: options.rekey_interval(),
            keys_since: Mutex::new(Instant::now()),
            state: Mutex::default(),
            refused: Notify::new(),
            rekeys: watch::Sender::new(0),
            announced: watch::Sender::new(None),
            channels_open: AtomicUsize::new(0),
            opening: AtomicUsize::new(0),
            inbound: Inbound::default(),
            stalls: StallCounts::default(),
            round_trip: RoundTrip::new(),
        })
    }

    /// Notes that keys were exchanged, what the first exchange agreed on, and after how many bytes these keys are worn.
    pub(super) fn keys_exchanged(&self, negotiated: Negotiated, cipher_limit: u64) {
        let mut state = self.state();
        // A rekey repeats the negotiation but not the announcement of strict key exchange.
        let first = state.negotiated.is_none();
        if first {
            state.negotiated = Some(negotiated);
        }
        drop(state);
        if !first {
            self.rekeys.send_modify(|count| *count += 1);
        }
        *self.keys_since() = Instant::now();
        self.control.set_alarm(self.rekey_bytes.map_or(cipher_limit, |bytes| bytes.min(cipher_limit)));
    }

    fn keys_since(&self) -> MutexGuard<'_, Instant> {
        self.keys_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much of what the keys may carry, or of their time, is used up.
    pub(super) fn key_use(&self) -> f64 {
        let of_time = self.rekey_interval.filter(|interval| !interval.is_zero()).map_or(0.0, |interval| {
            (self.keys_since().elapsed().as_secs_f64() / interval.as_secs_f64()).min(1.0)
        });
        self.control.alarm_nears().max(of_time)
    }

    /// Resolves when the keys in use are as old as they may get; once for each interval.
    pub(super) async fn keys_old(&self) {
        let Some(interval) = self.rekey_interval else { return std::future::pending().await };
        loop {
            let due = {
                let mut since = self.keys_since();
                let now = Instant::now();
                match since.checked_add(interval) {
                    Some(due) if due > now => due,
                    Some(_) => {
                        *since = now;
                        return;
                    }
                    None => now + Duration::from_secs(365 * 86_400),
                }
            };
            tokio::time::sleep_until(due).await;
        }
    }

    /// Keeps what the server says before anybody is logged in, up to a limit.
    pub(super) fn add_banner(&self, banner: &str) {
        let mut state = self.state();
        let room = TEXT_LIMIT.saturating_sub(state.banner.len());
        state.banner.extend(sanitised(banner).chars().take(room / 4));
    }

    /// Files why a channel was refused, for who asked for it.
    pub(super) fn file_refusal(&self, refusal: Refusal) {
        let mut state = self.state();
        if state.refusals.len() == REFUSALS_KEPT {
            state.refusals.pop_front();
        }
        state.refusals.push_back(refusal);
        drop(state);
        self.refused.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, SharedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records why the connection ends; the first reason is the one that counts.
    pub(super) fn set_reason(&self, reason: CloseReason) {
        self.state().reason.get_or_insert(reason);
    }

    /// Why the connection ended, or [`CloseReason::PeerClosed`] where nobody said.
    pub(super) fn reason(&self) -> CloseReason {
        match self.control.cut_reason() {
            Some(CutReason::WriteDeadline(deadline)) => CloseReason::WriteDeadline(deadline),
            Some(CutReason::Aborted) => self.state().reason.clone().unwrap_or(CloseReason::Aborted),
            None => self.state().reason.clone().unwrap_or(CloseReason::PeerClosed),
        }
    }

    pub(super) fn reason_seen(&self) -> Option<CloseReason> {
        self.state().reason.clone()
    }

    pub(super) fn banner(&self) -> String {
        self.state().banner.clone()
    }

    pub(super) fn negotiated(&self) -> Option<Negotiated> {
        self.state().negotiated.clone()
    }

    /// Files the host keys that the server announces. It says so once; what it says more often is not heard.
    pub(super) fn announce(&self, wires: Vec<Vec<u8>>) {
        self.announced.send_if_modified(|announced| {
            let is_first = announced.is_none();
            if is_first {
                *announced = Some(wires);
            }
            is_first
        });
    }

    /// The host keys that the server announces, once it does, for the one who hears it first: an idle connection has no use
    /// for them.
    pub(super) async fn announced(&self) -> Vec<Vec<u8>> {
        let mut announced = self.announced.subscribe();
        // Its sender is in `self`, and so always there.
        drop(announced.wait_for(Option::is_some).await);
        self.announced.send_replace(Some(Vec::new())).unwrap_or_default()
    }

    pub(super) fn rekeys(&self) -> u64 {
        *self.rekeys.borrow()
    }

    /// Waits until there were more key exchanges than this.
    pub(super) async fn rekeyed_since(&self, before: u64) -> Result<(), Gone> {
        let mut rekeys = self.rekeys.subscribe();
        tokio::select! {
            done = rekeys.wait_for(|count| *count > before) => done.map(drop).map_err(|_| Gone),
            () = self.control.gone().cancelled() => Err(Gone),
        }
    }

    pub(super) fn channels_open(&self) -> usize {
        self.channels_open.load(Ordering::Relaxed)
    }

    /// The account of a channel for its opener; made here by whoever comes first, the loop or the opener.
    pub(super) fn intake(&self, id: ChannelId) -> Arc<Intake> {
        self.intake_if_open(id).unwrap_or_else(|| {
            // The peer has closed it before its opener knew of it; what came until then waits in the base's queue.
            let closed = Intake::new(self.limits);
            closed.mark_closed_by_peer();
            closed
        })
    }

    /// The account of a channel for the loop; `None` where the channel was closed.
    pub(super) fn intake_if_open(&self, id: ChannelId) -> Option<Arc<Intake>> {
        let limits = self.limits;
        let mut state = self.state();
        if state.closed.contains(&id) {
            return None;
        }
        let intake = state.intakes.entry(id).or_insert_with(|| {
            self.channels_open.fetch_add(1, Ordering::Relaxed);
            Intake::new(limits)
        });
        Some(Arc::clone(intake))
    }

    /// Makes the account of a channel with limits of its own, before anything can arrive on it.
    pub(super) fn limit(&self, id: ChannelId, limits: BufferLimits) {
        self.state().intakes.entry(id).or_insert_with(|| {
            self.channels_open.fetch_add(1, Ordering::Relaxed);
            Intake::new(limits)
        });
    }

    /// Forgets a channel that one side has closed.
    pub(super) fn forget(&self, id: ChannelId) {
        let mut state = self.state();
        if state.intakes.remove(&id).is_some() {
            self.channels_open.fetch_sub(1, Ordering::Relaxed);
        }
        if !state.closed.contains(&id) {
            if state.closed.len() == CLOSED_KEPT {
                state.closed.pop_front();
            }
            state.closed.push_back(id);
        }
    }

    /// The server's text for a refusal with this code, which the loop files right after the refusal itself.
    pub(super) async fn refusal(&self, code: u32) -> Refusal {
        const TEXT_FOLLOWS_WITHIN: Duration = Duration::from_millis(500);
        let found = async {
            loop {
                let filed = self.refused.notified();
                if let Some(refusal) = self.take_refusal(code) {
                    return refusal;
                }
                filed.await;
            }
        };
        tokio::time::timeout(TEXT_FOLLOWS_WITHIN, found)
            .await
            .unwrap_or(Refusal { code, text: String::new() })
    }

    fn take_refusal(&self, code: u32) -> Option<Refusal> {
        let mut state = self.state();
        let at = state.refusals.iter().position(|refusal| refusal.code == code)?;
        state.refusals.remove(at)
    }
}

/// A server's text without what could move a terminal's cursor or fill its screen.
pub(in crate::base) fn sanitised(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).take(TEXT_LIMIT / 4).collect()
}

#[cfg(test)]
mod tests {
    use ssh_key::encoding::Decode;

    use super::*;

    #[tokio::test]
    async fn the_keys_that_a_server_announces_are_heard_once_and_not_kept() {
        let shared = Shared::new(WireControl::new(), &TransportOptions::default());
        shared.announce(vec![vec![1; 32], vec![2; 32]]);
        shared.announce(vec![vec![3; 32]]);
        assert_eq!(shared.announced().await, [vec![1; 32], vec![2; 32]]);
        shared.announce(vec![vec![4; 32]]);
        assert_eq!(*shared.announced.borrow(), Some(Vec::new()));
    }

    #[test]
    fn a_channel_that_was_closed_before_its_opener_knew_of_it_is_known_to_be_closed() {
        let shared = Shared::new(WireControl::new(), &TransportOptions::default());
        let [early, open] =
            [7u32, 8].map(|number| ChannelId::decode(&mut &number.to_be_bytes()[..]).unwrap());
        assert!(shared.intake_if_open(early).is_some());
        shared.forget(early);
        assert!(shared.intake_if_open(early).is_none());
        assert!(shared.intake(early).is_closed_by_peer());
        assert!(!shared.intake(open).is_closed_by_peer());
        assert_eq!(shared.channels_open(), 1);
    }
}
