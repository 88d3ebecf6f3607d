//! The window on simulated links: a queue with a rate behind a delay, in simulated time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::*;

const MIB: u64 = 1024 * 1024;
const GIGABIT: u64 = 125_000_000;

/// A server behind a link with one queue.
struct Link {
    rate: u64,
    round_trip: Duration,
    /// The most by which one answer comes later than it should; later ones wait for it.
    jitter: Duration,
    busy_until: Instant,
    last_arrival: Instant,
    state: u64,
}

impl Link {
    fn new(start: Instant, rate: u64, round_trip: Duration) -> Self {
        Self { rate, round_trip, jitter: Duration::ZERO, busy_until: start, last_arrival: start, state: 1 }
    }

    fn with_jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// When the answer to a request that is sent now arrives.
    fn answer(&mut self, now: Instant, bytes: u32) -> Instant {
        let begins = self.busy_until.max(now + self.round_trip / 2);
        self.busy_until = begins + Duration::from_nanos(u64::from(bytes) * 1_000_000_000 / self.rate);
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let late = self.jitter.mul_f64(f64::from((self.state >> 40) as u32) / f64::from(1u32 << 24));
        self.last_arrival = self.last_arrival.max(self.busy_until + self.round_trip / 2 + late);
        self.last_arrival
    }
}

/// A transfer that always asks for as much as the window lets it.
struct Flow {
    now: Instant,
    window: Window,
    link: Link,
    under_way: BinaryHeap<Reverse<(Instant, u64)>>,
    sent: Vec<(Sent, u32)>,
    delivered: u64,
    most_in_flight: usize,
}

impl Flow {
    fn new(bounds: Bounds, rate: u64, round_trip: Duration, jitter: Duration) -> Self {
        let start = Instant::now();
        let link = Link::new(start, rate, round_trip).with_jitter(jitter);
        Self {
            now: start,
            window: Window::new(bounds),
            link,
            under_way: BinaryHeap::new(),
            sent: Vec::new(),
            delivered: 0,
            most_in_flight: 0,
        }
    }

    fn fill(&mut self, most: usize) {
        loop {
            let bytes = self.window.request_size();
            if !self.window.admits(bytes) || self.window.in_flight() >= most {
                break;
            }
            let sent = self.window.on_sent(self.now, bytes);
            let arrival = self.link.answer(self.now, bytes);
            self.under_way.push(Reverse((arrival, self.sent.len() as u64)));
            self.sent.push((sent, bytes));
        }
        self.most_in_flight = self.most_in_flight.max(self.window.in_flight());
    }

    /// Runs for so long, with at most so much in flight by the transfer's own choice, and says how many bytes came per
    /// second.
    fn run(&mut self, time: Duration, most: usize) -> u64 {
        let (begin, end, before) = (self.now, self.now + time, self.delivered);
        self.fill(most);
        while let Some(&Reverse((arrival, index))) = self.under_way.peek()
            && arrival <= end
        {
            self.under_way.pop();
            self.now = arrival;
            let (sent, bytes) = self.sent[usize::try_from(index).unwrap()];
            self.window.on_answer(self.now, &sent, bytes);
            self.delivered += u64::from(bytes);
            self.fill(most);
        }
        self.now = end;
        (self.delivered - before) * 1000 / u64::try_from(end.duration_since(begin).as_millis()).unwrap()
    }
}

fn openssh() -> Bounds {
    Bounds::for_server(261_120)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_long_link_is_full_after_seven_round_trips() {
    let mut flow = Flow::new(openssh(), GIGABIT, millis(100), Duration::ZERO);
    flow.run(millis(700), usize::MAX);
    let rate = flow.run(millis(2000), usize::MAX);
    assert!(rate >= GIGABIT / 100 * 95, "{rate} bytes/s");
    assert!(flow.most_in_flight <= 32 * 1024 * 1024, "{}", flow.most_in_flight);
    assert_eq!(flow.window.request_size(), 261_120);
}

#[test]
fn a_gibibyte_over_a_long_link_keeps_nine_tenths_of_its_rate_all_the_way() {
    let mut flow = Flow::new(openssh(), GIGABIT, millis(100), millis(5));
    let rate = flow.run(millis(9500), usize::MAX);
    assert!(rate >= GIGABIT / 100 * 90, "{rate} bytes/s");
}

#[test]
fn a_fast_link_near_by_keeps_a_mebibyte_or_two_in_flight() {
    // A server on this machine: 1 GB/s, and 150 us for a request alone.
    let mut flow =
        Flow::new(openssh(), 1_000_000_000, Duration::from_micros(150), Duration::from_micros(100));
    let rate = flow.run(millis(1000), usize::MAX);
    assert!(rate > 990_000_000, "{rate} bytes/s");
    assert!(flow.most_in_flight <= 2 * 1024 * 1024, "{}", flow.most_in_flight);
    assert_eq!(flow.window.request_size(), 128 * 1024);
}

#[test]
fn a_slow_link_has_no_long_queue() {
    let mut flow = Flow::new(openssh(), 1_000_000, millis(20), Duration::ZERO);
    flow.run(millis(5000), usize::MAX);
    let rate = flow.run(millis(5000), usize::MAX);
    assert!(rate > 950_000, "{rate} bytes/s");
    // The first requests take 151 ms by themselves, and no shorter round trip is seen. Twice that is no long queue.
    assert!(flow.window.budget() <= 303_000, "{}", flow.window.budget());
    assert_eq!(flow.window.request_size(), 64 * 1024);
}

#[test]
fn jitter_does_not_empty_the_link() {
    let mut flow = Flow::new(openssh(), GIGABIT / 2, millis(40), millis(30));
    flow.run(millis(1000), usize::MAX);
    let rate = flow.run(millis(5000), usize::MAX);
    assert!(rate > GIGABIT / 2 / 100 * 90, "{rate} bytes/s");
}

#[test]
fn a_link_that_becomes_faster_or_slower_is_followed() {
    let mut flow = Flow::new(openssh(), GIGABIT / 10, millis(50), Duration::ZERO);
    flow.run(millis(3000), usize::MAX);
    let narrow = flow.window.budget();
    flow.link.rate = GIGABIT;
    flow.run(millis(1000), usize::MAX);
    let rate = flow.run(millis(2000), usize::MAX);
    assert!(rate > GIGABIT / 100 * 90, "{rate} bytes/s");
    flow.link.rate = GIGABIT / 10;
    flow.run(millis(30_000), usize::MAX);
    assert!(flow.window.budget() < narrow * 3 / 2, "{} after {narrow}", flow.window.budget());
}

#[test]
fn a_way_that_becomes_longer_is_noticed() {
    let mut flow = Flow::new(openssh(), GIGABIT / 2, millis(10), Duration::ZERO);
    flow.run(millis(3000), usize::MAX);
    flow.link.round_trip = millis(120);
    flow.run(millis(30_000), usize::MAX);
    let rate = flow.run(millis(20_000), usize::MAX);
    assert!(rate > GIGABIT / 2 / 100 * 90, "{rate} bytes/s");
    assert!(flow.window.round_trip().unwrap() < millis(140));
}

#[test]
fn queues_of_its_own_never_pass_for_a_long_link() {
    let mut flow = Flow::new(openssh(), GIGABIT, millis(10), Duration::ZERO);
    flow.run(millis(120_000), usize::MAX);
    assert!(flow.window.round_trip().unwrap() < millis(13), "{:?}", flow.window.round_trip());
    assert!(flow.window.budget() < 4 * 1024 * 1024, "{}", flow.window.budget());
    let rate = flow.run(millis(20_000), usize::MAX);
    assert!(rate > GIGABIT / 100 * 97, "{rate} bytes/s");
}

#[test]
fn a_pause_of_the_transfer_itself_is_not_taken_for_a_slow_link() {
    let mut flow = Flow::new(openssh(), GIGABIT, millis(100), Duration::ZERO);
    flow.run(millis(3000), usize::MAX);
    let before = flow.window.budget();
    // A slow disk: a tenth of what the window would let out.
    flow.run(millis(5000), before / 10);
    assert!(flow.window.budget() >= before / 10 * 9, "{} after {before}", flow.window.budget());
}

#[test]
fn a_server_with_small_packets_is_not_flooded() {
    let window = Window::new(Bounds::for_server(1024));
    assert_eq!((window.request_size(), window.budget()), (1024, 512 * 1024));
    let window = Window::new(Bounds::for_server(0));
    assert_eq!(window.request_size(), 1);
}

#[test]
fn an_answer_that_never_comes_gives_its_room_back() {
    let mut window = Window::new(openssh().ceiling(128 * 1024));
    let now = Instant::now();
    let (first, second) = (window.on_sent(now, 64 * 1024), window.on_sent(now, 64 * 1024));
    assert!(!window.admits(1));
    window.on_lost(&first);
    assert!(window.admits(64 * 1024));
    window.on_lost(&second);
    assert_eq!(window.in_flight(), 0);
    assert!(window.admits(u32::MAX), "one request always may be sent");
}

proptest! {
    #[test]
    fn no_link_leads_above_the_ceiling_or_to_a_stop(
        rate in 10_000u64..2_000_000_000, round_trip in 0u64..400, jitter in 0u64..50, most in 512u32..300_000,
        answered in proptest::collection::vec((any::<u32>(), 0u64..5_000_000_000), 0..200),
    ) {
        let mut flow = Flow::new(Bounds::for_server(most), rate, millis(round_trip), millis(jitter));
        flow.run(millis(1000), usize::MAX);
        // Answers of any worth at any time, as if from a clock and a server that make no sense.
        for (bytes, later) in answered {
            let sent = flow.window.on_sent(flow.now, flow.window.request_size());
            flow.window.on_answer(flow.now + Duration::from_nanos(later), &sent, bytes);
            prop_assert!(flow.window.budget() <= 32 * 1024 * 1024);
            prop_assert!(flow.window.budget() as u64 >= u64::from(flow.window.request_size()).min(MIB));
        }
        prop_assert!(flow.most_in_flight as u64 <= 32 * MIB);
    }
}
