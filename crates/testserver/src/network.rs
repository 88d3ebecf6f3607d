//! A network between the client and the server: round trip, rate and jitter.

use std::{future::Future, io, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    time::Instant,
};

use crate::random::Random;

/// How the network in front of the server behaves. Bytes are late, never lost; as many are under way as the rate and
/// the round trip make.
///
/// ```
/// use std::time::Duration;
/// use rustle_testserver::Network;
///
/// let across_the_ocean = Network::new().round_trip(Duration::from_millis(100)).rate(12_500_000);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Network {
    round_trip: Duration,
    jitter: Duration,
    rate: Option<u64>,
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
    pub fn rate(mut self, bytes_per_second: u64) -> Self {
        self.rate = (bytes_per_second > 0).then_some(bytes_per_second);
        self
    }

    /// The bytes under way each way before the sender has to wait: what the rate fills in a round trip, and a router's
    /// queue on top. Without a rate, so much that no test waits for it.
    fn capacity(&self) -> usize {
        const QUEUE: u64 = 256 * 1024;
        const UNLIMITED: usize = 64 * 1024 * 1024;
        let Some(rate) = self.rate else { return UNLIMITED };
        let product = u128::from(rate) * (self.round_trip + self.jitter).as_millis() / 1000;
        usize::try_from(product + u128::from(QUEUE)).unwrap_or(UNLIMITED).min(UNLIMITED)
    }
}

/// Carries bytes between the two ends until both directions have ended or one has broken.
pub(crate) async fn relay<A, B>(network: &Network, near: A, far: B, random: &mut Random)
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let (near_read, near_write) = tokio::io::split(near);
    let (far_read, far_write) = tokio::io::split(far);
    let mut other = random.fork();
    // Either end breaking ends both: a socket that is reset is so in both directions.
    drop(tokio::try_join!(
        one_way(network, near_read, far_write, random),
        one_way(network, far_read, near_write, &mut other)
    ));
}

/// A piece under way, and when it is due; no data is the end.
struct Piece {
    due: Instant,
    data: Option<Bytes>,
}

/// The size of a piece: small enough that a slow line does not move in jumps.
const PIECE: usize = 16 * 1024;

async fn one_way(
    network: &Network,
    mut source: impl AsyncRead + Unpin,
    mut sink: impl AsyncWrite + Unpin,
    random: &mut Random,
) -> io::Result<()> {
    let (enter, mut leave) = mpsc::unbounded_channel::<Piece>();
    let room = tokio::sync::Semaphore::new(network.capacity());
    let entering = async {
        let mut line_free = Instant::now();
        let mut last_due = line_free;
        loop {
            let mut buffer = BytesMut::with_capacity(PIECE);
            let read = source.read_buf(&mut buffer).await?;
            let length = u32::try_from(read).unwrap_or(u32::MAX);
            // The semaphore is never closed.
            if let Ok(permit) = room.acquire_many(length).await {
                permit.forget();
            }
            let now = Instant::now();
            line_free = line_free.max(now) + transmission(network.rate, read);
            let delay = network.round_trip / 2 + random.up_to(network.jitter);
            last_due = last_due.max(line_free + delay);
            let data = (read > 0).then(|| buffer.freeze());
            let ended = data.is_none();
            if enter.send(Piece { due: last_due, data }).is_err() || ended {
                return Ok(());
            }
        }
    };
    let leaving = async {
        while let Some(piece) = leave.recv().await {
            tokio::time::sleep_until(piece.due).await;
            match piece.data {
                Some(data) => {
                    sink.write_all(&data).await?;
                    room.add_permits(data.len());
                }
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

fn transmission(rate: Option<u64>, bytes: usize) -> Duration {
    rate.map_or(Duration::ZERO, |rate| {
        Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / rate)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn time_to_carry(network: Network, bytes: usize) -> Duration {
        let (client, near) = tokio::io::duplex(1024);
        let (far, server) = tokio::io::duplex(1024);
        let begin = Instant::now();
        let carry = async { relay(&network, near, far, &mut Random::new(7)).await };
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
}
