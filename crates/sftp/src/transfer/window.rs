//! How many bytes a transfer keeps in flight, and in requests of what size.
//!
//! Too few leave a long link idle; too many wait in queues, and cost memory without being any faster. What fills a link
//! and no more is its rate times its round trip. Both are measured as BBR does (draft-ietf-ccwg-bbr): the highest rate
//! of delivery of the last rounds, and the shortest round trip of the last seconds. The shortest, since each byte too
//! many makes the others longer: measured by the average, a queue would be taken for a long link and grow.
//!
//! TCP and SSH have windows of their own, and a request waits in them like on any link. So this is no congestion
//! control; it decides how much of those windows a transfer asks for.
//!
//! Time comes in as an argument, and nothing here waits.

use std::time::{Duration, Instant};

/// The bytes in flight of one transfer.
#[derive(Debug)]
pub(crate) struct Window {
    bounds: Bounds,
    phase: Phase,
    in_flight: usize,
    budget: usize,
    /// Bytes that were answered, and when the last of them were.
    delivered: u64,
    delivered_at: Option<Instant>,
    /// When the request was sent whose answer came last.
    newest_answered_sent_at: Option<Instant>,
    /// Up to this many bytes delivered, the transfer itself kept less in flight than it might have.
    starved_until: u64,
    rounds: Rounds,
    shortest: Option<Shortest>,
}

/// What a [`Window`] stays between.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    floor: usize,
    ceiling: usize,
    least_request: u32,
    most_request: u32,
}

/// A request in flight: made by [`Window::on_sent`], given back with its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    at: Instant,
    bytes: usize,
    delivered: u64,
    delivered_at: Instant,
    newest_answered_sent_at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The budget doubles with each round trip while rate follows it.
    StartUp { best: u64, rounds_without_growth: u32 },
    /// The budget follows what is measured.
    Steady,
    /// Less than a link's worth is kept in flight for a moment, so that queues empty and a round trip is measured
    /// without them. `clean` is the number of bytes delivered when they were empty, and the round that was then.
    Probe { clean: Option<(u64, u64)>, shortest: Option<Duration> },
}

#[derive(Debug, Clone, Copy)]
struct Shortest {
    round_trip: Duration,
    seen_at: Instant,
}

/// A steady transfer keeps this many times rate × round trip in flight, as BBR does. What is above one lets the rate
/// rise when the link does, and bridges answers that come in bursts.
const GAIN: u64 = 2;
/// How often a shorter round trip is looked for, as in BBR. It costs about a round trip of idle time.
const PROBE_EVERY: Duration = Duration::from_secs(10);
/// A link that is full three rounds long gives no more, as in BBR: one or two may be an accident.
const ROUNDS_WITHOUT_GROWTH: u32 = 3;
/// Requests to a server that has 1 KiB of room for each are many, and each costs it memory as well.
const MOST_REQUESTS: usize = 512;
/// More than this many requests in flight make none of them sooner: they are made larger instead, which costs both
/// sides less work.
const ENOUGH_REQUESTS: usize = 32;
/// Where few bytes are in flight, fewer requests than this would leave one side idle while the other copies.
const FEW_REQUESTS: usize = 8;
/// Requests larger than this are worth it only where there would be more than [`ENOUGH_REQUESTS`].
const USUAL_REQUEST: usize = 128 * 1024;
/// What is kept in flight below all measurements takes no longer than this, so that a slow link has no long queue.
const FLOOR_TIME: Duration = Duration::from_millis(100);

impl Window {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let phase = Phase::StartUp { best: 0, rounds_without_growth: 0 };
        let mut window = Self {
            bounds,
            phase,
            in_flight: 0,
            budget: bounds.floor,
            delivered: 0,
            delivered_at: None,
            newest_answered_sent_at: None,
            starved_until: 0,
            rounds: Rounds::default(),
            shortest: None,
        };
        window.set_budget(bounds.floor);
        window
    }

    /// Bytes that may be in flight now. Never above the ceiling of the bounds.
    #[cfg(test)]
    pub(crate) fn budget(&self) -> usize {
        self.budget
    }

    /// Bytes that are in flight.
    #[cfg(test)]
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether a request for `bytes` may be sent now. One at a time always may.
    pub(crate) fn admits(&self, bytes: u32) -> bool {
        self.in_flight == 0 || self.in_flight.saturating_add(as_usize(bytes)) <= self.budget
    }

    /// How many bytes the next request should be for.
    pub(crate) fn request_size(&self) -> u32 {
        self.bounds.request_size(self.budget)
    }

    /// The shortest time that a request took lately.
    #[cfg(test)]
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.shortest.map(|shortest| shortest.round_trip)
    }

    /// A request for `bytes` goes out.
    pub(crate) fn on_sent(&mut self, now: Instant, bytes: u32) -> Sent {
        if self.in_flight == 0 {
            // The time that nothing was asked for is not the link's.
            self.delivered_at = Some(now);
            self.newest_answered_sent_at = Some(now);
        }
        let bytes = as_usize(bytes);
        self.in_flight = self.in_flight.saturating_add(bytes);
        Sent {
            at: now,
            bytes,
            delivered: self.delivered,
            delivered_at: self.delivered_at.unwrap_or(now),
            newest_answered_sent_at: self.newest_answered_sent_at.unwrap_or(now),
        }
    }

    /// Its answer came, and was worth `bytes`: fewer than asked for where a read came short, none where it failed.
    pub(crate) fn on_answer(&mut self, now: Instant, sent: &Sent, bytes: u32) {
        // Only what was sent while the budget was used shows what the link can do.
        if self.in_flight < self.budget / 2 {
            self.starved_until = self.delivered.saturating_add(self.in_flight as u64).max(1);
        }
        self.in_flight = self.in_flight.saturating_sub(sent.bytes);
        self.delivered = self.delivered.saturating_add(u64::from(bytes));
        self.delivered_at = Some(now);
        self.newest_answered_sent_at = self.newest_answered_sent_at.max(Some(sent.at));

        let round_trip = now.saturating_duration_since(sent.at);
        self.measure_round_trip(now, round_trip);
        let is_new_round = self.rounds.advance(sent.delivered, self.delivered);
        let is_starved = sent.delivered < self.starved_until;
        if let Some(rate) = self.rate_of(now, sent) {
            self.rounds.add(rate, is_starved);
        }
        self.follow(now, sent, round_trip, is_new_round && !is_starved);
    }

    /// It will never be answered: the channel is gone, or the transfer was broken off.
    pub(crate) fn on_lost(&mut self, sent: &Sent) {
        self.in_flight = self.in_flight.saturating_sub(sent.bytes);
    }

    /// The rate at which bytes were delivered while this request was under way (draft-cheng-iccrg-delivery-rate-estimation-02,
    /// section 2.2): the slower of how they were sent and how they were answered, so that neither a burst of requests nor
    /// one of answers is taken for the link's rate.
    fn rate_of(&self, now: Instant, sent: &Sent) -> Option<u64> {
        let answering = now.saturating_duration_since(sent.delivered_at);
        let sending = sent.at.saturating_duration_since(sent.newest_answered_sent_at);
        let took = answering.max(sending);
        if took.is_zero() || self.shortest.is_some_and(|shortest| took < shortest.round_trip) {
            return None;
        }
        let bytes = u128::from(self.delivered.saturating_sub(sent.delivered));
        u64::try_from(bytes * NANOS / took.as_nanos()).ok()
    }

    fn measure_round_trip(&mut self, now: Instant, round_trip: Duration) {
        if self.shortest.is_none_or(|shortest| round_trip <= shortest.round_trip) {
            self.shortest = Some(Shortest { round_trip, seen_at: now });
        }
    }

    /// Takes the budget after what was measured.
    fn follow(&mut self, now: Instant, sent: &Sent, round_trip: Duration, is_new_round: bool) {
        let Some(shortest) = self.shortest else { return };
        match self.phase {
            Phase::StartUp { best, rounds_without_growth } => {
                // A request that took twice the shortest time stood in a queue: the link has what it can carry.
                let is_queued = round_trip > shortest.round_trip * 2;
                if !is_queued && sent.delivered >= self.starved_until {
                    self.set_budget(self.budget.saturating_add(sent.bytes));
                }
                if !is_new_round {
                    return;
                }
                let rate = self.rounds.best();
                let grew = rate > best.saturating_add(best / 4);
                let without = if grew { 0 } else { rounds_without_growth + 1 };
                self.phase = Phase::StartUp { best: best.max(rate), rounds_without_growth: without };
                if without >= ROUNDS_WITHOUT_GROWTH || (is_queued && without > 0) {
                    self.phase = Phase::Steady;
                    self.set_budget(self.measured_budget());
                }
            }
            Phase::Steady if now.saturating_duration_since(shortest.seen_at) >= PROBE_EVERY => {
                self.phase = Phase::Probe { clean: None, shortest: None };
                self.set_budget(self.probing_budget());
            }
            Phase::Steady => self.set_budget(self.measured_budget()),
            Phase::Probe { clean: None, .. } => {
                if self.in_flight <= self.budget {
                    let clean = Some((self.delivered, self.rounds.count));
                    self.phase = Phase::Probe { clean, shortest: None };
                }
            }
            Phase::Probe { clean: Some((delivered, round)), shortest } => {
                if sent.delivered < delivered {
                    return;
                }
                let seen = shortest.map_or(round_trip, |shortest| shortest.min(round_trip));
                self.phase = Phase::Probe { clean: Some((delivered, round)), shortest: Some(seen) };
                if self.rounds.count >= round + 2 {
                    self.shortest = Some(Shortest { round_trip: seen, seen_at: now });
                    self.phase = Phase::Steady;
                    self.set_budget(self.measured_budget());
                }
            }
        }
    }

    /// What fills the link twice, or takes the floor's time.
    fn measured_budget(&self) -> usize {
        let rate = self.rounds.best();
        let floor = bytes_in(rate, FLOOR_TIME).clamp(self.bounds.least(), self.bounds.floor);
        let wanted =
            self.shortest.map_or(0, |shortest| bytes_in(rate.saturating_mul(GAIN), shortest.round_trip));
        wanted.max(floor)
    }

    /// Half of what fills the link as it is now, whatever the floor: it is for a round or two.
    fn probing_budget(&self) -> usize {
        let filling = self.shortest.map_or(0, |shortest| bytes_in(self.rounds.latest(), shortest.round_trip));
        (filling / 2).max(self.bounds.least())
    }

    fn set_budget(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bounds.ceiling);
        // With the largest requests that this many bytes would be asked for in.
        let most = as_usize(self.bounds.request_size(bytes)).saturating_mul(MOST_REQUESTS);
        self.budget = bytes.min(most);
    }
}

impl Bounds {
    /// From 1 MiB to 32 MiB in flight, in requests of 64 KiB and more.
    ///
    /// The floor is what keeps both processors busy where client and server share a machine: eight requests of 128 KiB moved
    /// a GiB in a tenth less time than sixteen of 64 KiB, which cost the server more, and than larger ones, which leave one
    /// side idle while the other copies. The ceiling fills 1 Gb/s at a round trip of 250 ms, and is what a transfer's requests
    /// may cost in memory.
    ///
    /// `most_request` is the server's limit for one request, which goes before all else.
    pub(crate) fn for_server(most_request: u32) -> Self {
        Self {
            floor: 1024 * 1024,
            ceiling: 32 * 1024 * 1024,
            least_request: (64 * 1024).min(most_request).max(1),
            most_request: most_request.max(1),
        }
    }

    /// At most this many bytes in flight, for transfers that share what one may have.
    pub(crate) fn ceiling(mut self, bytes: usize) -> Self {
        self.ceiling = bytes.max(as_usize(self.least_request));
        self.floor = self.floor.min(self.ceiling);
        self
    }

    /// The most that may be in flight.
    pub(crate) fn most(&self) -> usize {
        self.ceiling
    }

    fn request_size(&self, budget: usize) -> u32 {
        const STEP: usize = 32 * 1024;
        let wanted = (budget / FEW_REQUESTS).min(USUAL_REQUEST).max(budget / ENOUGH_REQUESTS) / STEP * STEP;
        u32::try_from(wanted).unwrap_or(u32::MAX).clamp(self.least_request, self.most_request)
    }

    /// The least that is of use: while one request is answered, the next is under way. BBR's four packets.
    fn least(&self) -> usize {
        as_usize(self.least_request).saturating_mul(4).min(self.floor)
    }
}

/// Round trips, counted by bytes: a round is over when a request is answered that was sent after it began.
#[derive(Debug, Default)]
struct Rounds {
    count: u64,
    ends_at: u64,
    /// The best rate of each of the last rounds that showed one, and which of them is the newest.
    rates: [u64; 8],
    newest: usize,
}

impl Rounds {
    fn advance(&mut self, delivered_when_sent: u64, delivered: u64) -> bool {
        let is_over = delivered_when_sent >= self.ends_at;
        if is_over {
            self.ends_at = delivered;
            self.count += 1;
            // A round that showed nothing makes none of the others older.
            if self.rates[self.newest] > 0 {
                self.newest = (self.newest + 1) % self.rates.len();
                self.rates[self.newest] = 0;
            }
        }
        is_over
    }

    /// A rate at which bytes came. One that was slow because little was asked for is no measure of the link.
    fn add(&mut self, rate: u64, is_starved: bool) {
        if is_starved && rate < self.best() {
            return;
        }
        self.rates[self.newest] = self.rates[self.newest].max(rate);
    }

    /// Of this round, which may only have begun, and the one before.
    fn latest(&self) -> u64 {
        let before = (self.newest + self.rates.len() - 1) % self.rates.len();
        self.rates[self.newest].max(self.rates[before])
    }

    fn best(&self) -> u64 {
        self.rates.iter().copied().max().unwrap_or(0)
    }
}

const NANOS: u128 = 1_000_000_000;

fn bytes_in(rate: u64, time: Duration) -> usize {
    usize::try_from(u128::from(rate) * time.as_nanos() / NANOS).unwrap_or(usize::MAX)
}

fn as_usize(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
