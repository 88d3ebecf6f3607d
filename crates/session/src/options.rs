//! How a connection behaves: its deadlines, window, buffers and keepalive.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};

const MIB: u32 = 1024 * 1024;

/// Fewer bytes than this between two exchanges would be spent on exchanges for the most part.
const LEAST_REKEY_BYTES: u64 = 64 * 1024;

/// Deadlines, window, buffers and keepalive of one connection.
///
/// Every default has its reason at its setter. Nothing waits for ever: connecting, the handshake,
/// authentication, opening a channel, a channel request and closing have deadlines; a running command, a
/// shell and a forward have none unless asked.
///
/// ```
/// use std::time::Duration;
/// use rustle_session::TransportOptions;
///
/// let options = TransportOptions::builder()
///     .connect_timeout(Duration::from_secs(5))
///     .keepalive_interval(Some(Duration::from_secs(15)))
///     .build()?;
/// assert_eq!(options.connect_timeout(), Duration::from_secs(5));
/// # Ok::<(), rustle_session::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct TransportOptions {
    connect_timeout: Duration,
    person_timeout: Duration,
    request_timeout: Duration,
    write_deadline: Duration,
    keepalive_interval: Option<Duration>,
    keepalive_max: NonZeroU32,
    window: Option<u32>,
    rekey_bytes: Option<u64>,
    rekey_interval: Option<Duration>,
    buffers: BufferLimits,
    client_version: String,
}

impl TransportOptions {
    /// Starts from the defaults.
    pub fn builder() -> TransportOptionsBuilder {
        TransportOptionsBuilder(Self::default())
    }

    /// Time for name look-up, TCP, handshake and authentication together, without a person's time.
    #[must_use]
    pub fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Time a person has for each prompt, each touch of a key, and a host-key question.
    #[must_use]
    pub fn person_timeout(&self) -> Duration {
        self.person_timeout
    }

    /// Time the server has to answer a channel open or a channel request.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// Time in which the peer must take at least one byte of what is being sent.
    #[must_use]
    pub fn write_deadline(&self) -> Duration {
        self.write_deadline
    }

    /// Silence after which the server is asked whether it is still there; `None` never asks.
    #[must_use]
    pub fn keepalive_interval(&self) -> Option<Duration> {
        self.keepalive_interval
    }

    /// How many unanswered questions in a row end the connection.
    #[must_use]
    pub fn keepalive_max(&self) -> NonZeroU32 {
        self.keepalive_max
    }

    /// After so many bytes in one direction keys are renewed, where the cipher's own limit is not nearer.
    #[must_use]
    pub fn rekey_bytes(&self) -> Option<u64> {
        self.rekey_bytes
    }

    /// After so long keys are renewed; `None` for no limit by time.
    #[must_use]
    pub fn rekey_interval(&self) -> Option<Duration> {
        self.rekey_interval
    }

    /// What is kept of a channel's output that nobody reads.
    pub fn buffers(&self) -> &BufferLimits {
        &self.buffers
    }

    /// The same with other limits.
    pub(crate) fn with_buffers(mut self, buffers: BufferLimits) -> Self {
        self.buffers = buffers;
        self
    }

    pub(crate) fn client_version(&self) -> &str {
        &self.client_version
    }

    /// The window of every channel in bytes, given the round trip: the time in which TCP connected, or in which the
    /// server then said who it is, whichever took longer. A server that is slow to speak seems further away than it is.
    ///
    /// Unless set, it is four times what 1 Gb/s carries in that time, from 2 MiB (what OpenSSH grants) to 64 MiB: more is
    /// granted when half of it is used, so twice as much keeps a link full; and behind a relay that waits for nobody, the
    /// server's first words may take half a round trip only.
    /// A connection may have that much in flight for each open channel.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rustle_session::TransportOptions;
    ///
    /// let options = TransportOptions::default();
    /// assert_eq!(options.window_for(Duration::from_micros(50)), 2 << 20);
    /// assert_eq!(options.window_for(Duration::from_millis(100)), 50_000_000);
    /// assert_eq!(options.window_for(Duration::from_secs(1)), 64 << 20);
    /// ```
    #[must_use]
    pub fn window_for(&self, round_trip: Duration) -> u32 {
        const BYTES_PER_SECOND: u128 = 1_000_000_000 / 8;
        self.window.unwrap_or_else(|| {
            let bytes = 4 * BYTES_PER_SECOND * round_trip.as_nanos() / 1_000_000_000;
            u32::try_from(bytes).unwrap_or(u32::MAX).clamp(2 * MIB, 64 * MIB)
        })
    }
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            person_timeout: Duration::from_secs(120),
            request_timeout: Duration::from_secs(30),
            write_deadline: Duration::from_secs(30),
            keepalive_interval: Some(Duration::from_secs(30)),
            keepalive_max: NonZeroU32::new(3).unwrap_or(NonZeroU32::MIN),
            window: None,
            rekey_bytes: None,
            rekey_interval: None,
            buffers: BufferLimits::default(),
            client_version: concat!("SSH-2.0-Rustle_", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Builds [`TransportOptions`].
#[derive(Debug, Clone)]
#[must_use]
pub struct TransportOptionsBuilder(TransportOptions);

impl TransportOptionsBuilder {
    /// Time for name look-up, TCP, handshake and authentication together. Default 10 s: a server under load
    /// answers a login within a few seconds, and a person notices a wait of ten.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.0.connect_timeout = timeout;
        self
    }

    /// Time a person has for each prompt, each touch of a key, and a host-key question; it does not count against
    /// [`connect_timeout`](Self::connect_timeout). Default 120 s, `sshd`'s own `LoginGraceTime`.
    pub fn person_timeout(mut self, timeout: Duration) -> Self {
        self.0.person_timeout = timeout;
        self
    }

    /// Time the server has to answer a channel open or request. Default 30 s: `sshd` forks, and PAM or a
    /// slow home directory may stand in between.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.0.request_timeout = timeout;
        self
    }

    /// Time in which the peer must take at least one byte of what is being sent. Default 30 s: TCP itself
    /// would try for a quarter of an hour.
    pub fn write_deadline(mut self, timeout: Duration) -> Self {
        self.0.write_deadline = timeout;
        self
    }

    /// Silence after which the server is asked whether it is there (`keepalive@openssh.com`). Default 30 s,
    /// below the idle time-out of common firewalls; `None` never asks.
    pub fn keepalive_interval(mut self, interval: Option<Duration>) -> Self {
        self.0.keepalive_interval = interval;
        self
    }

    /// How many unanswered questions in a row end the connection. Default 3, as `ServerAliveCountMax`.
    pub fn keepalive_max(mut self, max: NonZeroU32) -> Self {
        self.0.keepalive_max = max;
        self
    }

    /// A fixed window for every channel, 32 KiB to 1 GiB, in place of one that follows the round trip.
    pub fn window(mut self, bytes: u32) -> Self {
        self.0.window = Some(bytes);
        self
    }

    /// Renews keys after so many bytes in one direction (`RekeyLimit`), from 64 KiB, which is what an exchange costs
    /// many times over. Without it, and in any case, by the cipher's own limit (RFC 4344 section 3.2): 80 GiB for AES,
    /// 1.25 GiB for chacha20-poly1305, a quarter above the RFC's, so that the server starts.
    pub fn rekey_bytes(mut self, bytes: Option<u64>) -> Self {
        self.0.rekey_bytes = bytes.map(|bytes| bytes.max(LEAST_REKEY_BYTES));
        self
    }

    /// Renews keys after so long (the second value of `RekeyLimit`). None by default: time alone wears no key out.
    pub fn rekey_interval(mut self, interval: Option<Duration>) -> Self {
        self.0.rekey_interval = interval;
        self
    }

    /// What is kept of a channel's output that nobody reads.
    pub fn buffers(mut self, buffers: BufferLimits) -> Self {
        self.0.buffers = buffers;
        self
    }

    /// Checks the values.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for a zero deadline or a window outside 32 KiB to 1 GiB.
    pub fn build(self) -> Result<TransportOptions> {
        let refuse = |message: &str| Err(Error::new(ErrorKind::Configuration, "configure", message));
        let options = self.0;
        let deadlines = [
            options.connect_timeout,
            options.person_timeout,
            options.request_timeout,
            options.write_deadline,
            options.keepalive_interval.unwrap_or(Duration::MAX),
            options.rekey_interval.unwrap_or(Duration::MAX),
        ];
        if deadlines.iter().any(Duration::is_zero) {
            return refuse("a deadline of zero seconds can never be met");
        }
        if options.window.is_some_and(|window| !(32 * 1024..=1024 * MIB).contains(&window)) {
            return refuse("the channel window must be between 32 KiB and 1 GiB");
        }
        Ok(options)
    }
}

/// What is kept of a channel's output that nobody reads, and for how long others wait for it.
///
/// Up to [`memory`](Self::memory) stays in memory, then up to [`disk`](Self::disk) per stream in an unlinked
/// temporary file; past that the connection waits for the reader, for at most [`pause`](Self::pause) in all until
/// it has caught up, and then the channel that is not read ends with [`ErrorKind::Overrun`]: what was kept is thrown away,
/// the server is told that the channel is closed, and whoever comes to read gets the error alone. The connection
/// and its other channels live on. A channel that is alone on its connection is waited for up to 200 ms before
/// its output goes to disk, and from then on until its reader has caught up it gets 32 MB/s at the most: what nobody reads
/// is not to take processors and the disk from other connections. A reader that keeps up costs none of this.
///
/// ```
/// use std::time::Duration;
/// use rustle_session::BufferLimits;
///
/// let small = BufferLimits::default().memory(1 << 20).disk(0).pause(Duration::from_secs(1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct BufferLimits {
    memory: u32,
    disk: u64,
    pause: Duration,
}

impl BufferLimits {
    /// Bytes in memory per channel. Default 8 MiB: what a 1 Gb/s link brings in a scheduling hiccup of 60 ms.
    pub fn memory(mut self, bytes: u32) -> Self {
        self.memory = bytes;
        self
    }

    /// Bytes on disk per stream. Default 2 GiB: a minute of a 250 Mb/s flow; 0 for none.
    pub fn disk(mut self, bytes: u64) -> Self {
        self.disk = bytes;
        self
    }

    /// How long the connection waits for a reader, in all until it has caught up. Default 5 s, well under the patience
    /// of a server that asks for signs of life.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    pub(crate) fn memory_bytes(&self) -> i64 {
        i64::from(self.memory)
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        self.disk
    }

    pub(crate) fn pause_time(&self) -> Duration {
        self.pause
    }
}

impl Default for BufferLimits {
    fn default() -> Self {
        Self { memory: 8 * MIB, disk: 2 << 30, pause: Duration::from_secs(5) }
    }
}
