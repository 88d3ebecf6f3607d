//! A network between the client and the server: round trip, rates, queue, jitter and loss.

use std::{
    future::Future,
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{Notify, mpsc},
    time::Instant,
};

use crate::random::Random;

/// How the network in front of the server behaves. No byte is lost for good and none overtakes another: what a real
/// network loses, TCP sends again, and all behind it waits. As many bytes are under way as the rate and the round trip
/// make.
///
/// ```
/// use std::time::Duration;
/// use rustle_testserver::Network;
///
/// let across_the_ocean = Network::new().round_trip(Duration::from_millis(100)).rate(12_500_000);
/// let home_line = Network::new()
///     .round_trip(Duration::from_millis(30))
///     .rate_to_client(6_250_000)
///     .rate_to_server(1_250_000)
///     .queue(64 * 1024);
/// let bad_wifi = Network::new()
///     .jitter(Duration::from_millis(20))
///     .loss(200, Duration::from_millis(300));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Network {
    round_trip: Duration,
    jitter: Duration,
    to_client: Option<u64>,
    to_server: Option<u64>,
    queue: Option<usize>,
    loss: Option<Loss>,
}

#[derive(Debug, Clone, Copy)]
struct Loss {
    one_in: u64,
    recovery: Duration,
}

impl Network {
    /// A network that does nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The round trip: half of it is added each way.
    #[must_use]
    pub fn round_trip(mut self, time: Duration) -> Self {
        self.round_trip = time;
        self
    }

    /// Up to this much more each way, evenly spread, from the server's seed. Nothing overtakes.
    #[must_use]
    pub fn jitter(mut self, time: Duration) -> Self {
        self.jitter = time;
        self
    }

    /// The rate each way, in bytes per second; 0 is none, that is no limit.
    #[must_use]
    pub fn rate(self, bytes_per_second: u64) -> Self {
        self.rate_to_client(bytes_per_second).rate_to_server(bytes_per_second)
    }

    /// The rate from the server to the client, in bytes per second; 0 is none, that is no limit.
    #[must_use]
    pub fn rate_to_client(mut self, bytes_per_second: u64) -> Self {
        self.to_client = (bytes_per_second > 0).then_some(bytes_per_second);
        self
    }

    /// The rate from the client to the server, in bytes per second; 0 is none, that is no limit.
    #[must_use]
    pub fn rate_to_server(mut self, bytes_per_second: u64) -> Self {
        self.to_server = (bytes_per_second > 0).then_some(bytes_per_second);
        self
    }

    /// How many bytes the slowest router on the way holds, each way, on top of what is on the line: a sender that is
    /// faster than the rate waits when it is full. 256 KiB otherwise, which is long for a slow line; without a rate
    /// nothing queues.
    #[must_use]
    pub fn queue(mut self, bytes: usize) -> Self {
        self.queue = Some(bytes);
        self
    }

    /// Loses one piece (of up to 16 KiB) in so many on average, from the server's seed: it comes that much later, and
    /// all behind it waits for it, as TCP's retransmission has it. `one_in` of 0 loses nothing.
    #[must_use]
    pub fn loss(mut self, one_in: u64, recovery: Duration) -> Self {
        self.loss = (one_in > 0).then_some(Loss { one_in, recovery });
        self
    }

    fn rate_of(&self, way: Way) -> Option<u64> {
        match way {
            Way::ToClient => self.to_client,
            Way::ToServer => self.to_server,
        }
    }

    /// The bytes under way before the sender has to wait: what the rate fills in a round trip, and a router's queue on
    /// top. Without a rate, so much that no test waits for it.
    fn capacity(&self, way: Way) -> usize {
        const QUEUE: usize = 256 * 1024;
        const UNLIMITED: usize = 64 * 1024 * 1024;
        let Some(rate) = self.rate_of(way) else { return UNLIMITED };
        let product =
            u128::from(rate).saturating_mul(self.round_trip.saturating_add(self.jitter).as_millis()) / 1000;
        let product = usize::try_from(product).unwrap_or(UNLIMITED);
        product.saturating_add(self.queue.unwrap_or(QUEUE)).clamp(1, UNLIMITED)
    }

    /// How much later than the line alone would have it a piece arrives.
    fn delay(&self, random: &mut Random) -> Duration {
        let lost = self.loss.filter(|loss| random.next().is_multiple_of(loss.one_in));
        let recovery = lost.map_or(Duration::ZERO, |loss| loss.recovery);
        (self.round_trip / 2).saturating_add(random.up_to(self.jitter)).saturating_add(recovery)
    }
}

/// The network of one server, which may change while it is used.
#[derive(Debug)]
pub(crate) struct Line {
    network: Mutex<Network>,
}

impl Line {
    pub(crate) fn new(network: Network) -> Self {
        Self { network: Mutex::new(network) }
    }

    pub(crate) fn set(&self, network: Network) {
        *self.network.lock().unwrap_or_else(PoisonError::into_inner) = network;
    }

    fn now(&self) -> Network {
        self.network.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Debug, Clone, Copy)]
enum Way {
    ToClient,
    ToServer,
}

/// What is on its way from the server to the client of one connection.
#[derive(Debug, Default)]
pub(crate) struct Transit {
    bytes: AtomicUsize,
    left: Notify,
    emptied: Notify,
}

impl Transit {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.load(Ordering::Acquire) == 0
    }

    /// Returns when nothing is on its way.
    pub(crate) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    fn enter(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    fn leave(&self, bytes: usize) {
        let before = self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.left.notify_one();
        if before == bytes {
            self.emptied.notify_waiters();
        }
    }

    /// Waits until so many more fit. A piece larger than the whole queue goes alone.
    async fn room(&self, bytes: usize, line: &Line, way: Way) {
        while !self.is_empty()
            && self.bytes.load(Ordering::Acquire).saturating_add(bytes) > line.now().capacity(way)
        {
            self.left.notified().await;
        }
    }
}

/// Carries bytes between the client and the server until the server has ended and all that it said has arrived, or the
/// client's end has broken: a socket that is reset is so in both directions. A client that stays keeps nothing open
/// that the server has ended.
pub(crate) async fn relay<A, B>(line: &Line, client: A, server: B, random: &mut Random, to_client: &Transit)
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let (client_read, client_write) = tokio::io::split(client);
    let (server_read, server_write) = tokio::io::split(server);
    let mut other = random.fork();
    let to_server = Transit::default();
    let hears = async {
        if one_way(line, Way::ToServer, &to_server, client_read, server_write, random).await.is_ok() {
            // The client says no more, and may still listen.
            std::future::pending().await
        }
    };
    tokio::select! {
        biased;
        said = one_way(line, Way::ToClient, to_client, server_read, client_write, &mut other) => drop(said),
        () = hears => {}
    }
}

/// A piece under way, and when it is due; no data is the end.
struct Piece {
    due: Instant,
    data: Option<Bytes>,
}

/// The size of a piece: small enough that a slow line does not move in jumps.
const PIECE: usize = 16 * 1024;

async fn one_way(
    line: &Line,
    way: Way,
    transit: &Transit,
    mut source: impl AsyncRead + Unpin,
    mut sink: impl AsyncWrite + Unpin,
    random: &mut Random,
) -> io::Result<()> {
    let (enter, mut leave) = mpsc::unbounded_channel::<Piece>();
    let entering = async {
        let mut buffer = vec![0; PIECE];
        let mut line_free = Instant::now();
        let mut last_due = line_free;
        loop {
            let read = source.read(&mut buffer).await?;
            transit.room(read, line, way).await;
            transit.enter(read);
            let network = line.now();
            let now = Instant::now();
            line_free = after(line_free.max(now), transmission(network.rate_of(way), read));
            last_due = last_due.max(after(line_free, network.delay(random)));
            // As large as what was read: many small pieces take no more than they are counted for.
            let data = buffer.get(..read).filter(|data| !data.is_empty()).map(Bytes::copy_from_slice);
            let ended = data.is_none();
            if enter.send(Piece { due: last_due, data }).is_err() || ended {
                return Ok(());
            }
        }
    };
    let leaving = async {
        // A server that has ended hears nothing more; what comes for it is lost.
        let mut deaf = false;
        while let Some(piece) = leave.recv().await {
            tokio::time::sleep_until(piece.due).await;
            match piece.data {
                Some(data) => {
                    if !deaf {
                        let written = sink.write_all(&data).await;
                        deaf = written.is_err() && matches!(way, Way::ToServer);
                        written.or_else(|error| if deaf { Ok(()) } else { Err(error) })?;
                    }
                    transit.leave(data.len());
                }
                None if deaf => return Ok(()),
                None => return sink.shutdown().await,
            }
        }
        Ok(())
    };
    join(entering, leaving).await
}

/// Both to the end, or the first error.
async fn join(
    first: impl Future<Output = io::Result<()>>,
    second: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    tokio::try_join!(first, second).map(|_| ())
}

/// A time beyond what a clock can show is one that never comes.
fn after(moment: Instant, time: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    moment.checked_add(time.min(NEVER)).unwrap_or(moment)
}

fn transmission(rate: Option<u64>, bytes: usize) -> Duration {
    rate.map_or(Duration::ZERO, |rate| {
        Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / rate)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long so many bytes take to the server.
    async fn time_to_carry(network: Network, bytes: usize) -> Duration {
        let (client, near) = tokio::io::duplex(1024);
        let (far, server) = tokio::io::duplex(1024);
        let line = Line::new(network);
        let begin = Instant::now();
        let carry = async { relay(&line, near, far, &mut Random::new(7), &Transit::default()).await };
        let send = async {
            let (_keep, mut client) = tokio::io::split(client);
            client.write_all(&vec![7; bytes]).await.unwrap();
            client.shutdown().await.unwrap();
            _keep
        };
        let receive = async {
            let mut all = Vec::new();
            let mut server = server;
            server.read_to_end(&mut all).await.unwrap();
            let elapsed = begin.elapsed();
            assert_eq!(all.len(), bytes);
            elapsed
        };
        let (_, _, elapsed) = tokio::join!(carry, send, receive);
        elapsed
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_take_half_a_round_trip() {
        let network = Network::new().round_trip(Duration::from_millis(100));
        let elapsed = time_to_carry(network, 10).await;
        assert!((50..=52).contains(&elapsed.as_millis()), "{elapsed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn rate_and_delay_add_up_and_do_not_multiply() {
        let network = Network::new().round_trip(Duration::from_millis(200)).rate(1_000_000);
        let elapsed = time_to_carry(network, 1_000_000).await;
        assert!((1090..=1130).contains(&elapsed.as_millis()), "{elapsed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn jitter_comes_from_the_seed() {
        let network = Network::new().jitter(Duration::from_millis(500));
        let first = time_to_carry(network.clone(), 5000).await;
        assert_eq!(first, time_to_carry(network, 5000).await);
        assert!(first > Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn each_way_has_its_rate() {
        let elapsed = time_to_carry(Network::new().rate_to_server(1_000_000), 1_000_000).await;
        assert!((990..=1010).contains(&elapsed.as_millis()), "{elapsed:?}");
        let elapsed = time_to_carry(Network::new().rate_to_client(10), 1_000_000).await;
        assert!(elapsed < Duration::from_millis(20), "{elapsed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn lost_piece_comes_later_and_all_behind_it_waits() {
        let network = Network::new().loss(1, Duration::from_secs(1));
        let elapsed = time_to_carry(network, 10).await;
        assert!((1000..=1005).contains(&elapsed.as_millis()), "{elapsed:?}");
        // Some 60 pieces of 16 KiB, or more and smaller ones: some are lost, and they recover side by side.
        let some = time_to_carry(Network::new().loss(20, Duration::from_secs(1)), 1_000_000).await;
        assert!((1000..=1100).contains(&some.as_millis()), "{some:?}");
        let none = time_to_carry(Network::new().loss(0, Duration::from_secs(1)), 1_000_000).await;
        assert!(none < Duration::from_millis(20), "{none:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn full_queue_holds_the_sender_up() {
        async fn time_to_send(queue: usize) -> Duration {
            let (mut client, near) = tokio::io::duplex(1024);
            let (far, server) = tokio::io::duplex(1 << 20);
            let line = Line::new(Network::new().rate(10_000).queue(queue));
            let begin = Instant::now();
            let elapsed = tokio::select! {
                () = async { relay(&line, near, far, &mut Random::new(7), &Transit::default()).await } => panic!("ended"),
                sent = client.write_all(&[7; 100_000]) => sent.map(|()| begin.elapsed()).unwrap(),
            };
            drop(server);
            elapsed
        }
        // The sender is done when all but the queue is on the line, about.
        assert!(time_to_send(100_000).await < Duration::from_millis(500));
        let slow = time_to_send(10_000).await;
        assert!((8_500..=9_500).contains(&slow.as_millis()), "{slow:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn last_words_of_a_server_that_hears_no_more_arrive() {
        let (mut client, near) = tokio::io::duplex(1024);
        let (far, mut server) = tokio::io::duplex(1024);
        let line = Line::new(Network::new().round_trip(Duration::from_secs(2)));
        let mut random = Random::new(7);
        let talk = async {
            // Arrives at nobody, before the server's last word arrives.
            client.write_all(b"too late").await.unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
            server.write_all(b"bye").await.unwrap();
            drop(server);
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.unwrap();
            drop(client);
            heard
        };
        let (heard, ()) =
            tokio::join!(talk, async { relay(&line, near, far, &mut random, &Transit::default()).await });
        assert_eq!(heard, b"bye");
    }

    #[tokio::test(start_paused = true)]
    async fn change_takes_effect_on_what_comes_later() {
        let (mut client, near) = tokio::io::duplex(1024);
        let (far, mut server) = tokio::io::duplex(1024);
        let line = Line::new(Network::new().round_trip(Duration::from_secs(2)));
        let mut random = Random::new(7);
        let talk = async {
            let begin = Instant::now();
            client.write_all(b"a").await.unwrap();
            server.read_u8().await.unwrap();
            let before = begin.elapsed();
            line.set(Network::new());
            client.write_all(b"b").await.unwrap();
            server.read_u8().await.unwrap();
            (before, begin.elapsed())
        };
        let transit = Transit::default();
        let (before, after) = tokio::select! {
            times = talk => times,
            () = relay(&line, near, far, &mut random, &transit) => panic!("ended"),
        };
        assert!((1000..=1005).contains(&before.as_millis()), "{before:?}");
        assert!(after - before < Duration::from_millis(5), "{after:?}");
    }
}
