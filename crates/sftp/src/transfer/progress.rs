//! How far a transfer is, told while it runs.
//!
//! Whoever moves bytes adds to counters; ten times a second somebody looks at them. Nothing is sent for a block or for
//! a file, so a watched transfer is as fast as any.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// How far a transfer of one or many files is, at one moment.
///
/// A transfer tells it ten times a second while it runs and once more when it ends, to a function that is called where
/// the transfer runs: it has to return at once. To watch from elsewhere, let it pass the value on:
///
/// ```
/// use rustle_sftp::Progress;
/// use tokio::sync::watch;
///
/// let (tell, _seen) = watch::channel(None);
/// let watcher = move |progress: &Progress| {
///     tell.send_replace(Some(progress.clone()));
/// };
///
/// fn line(progress: &Progress) -> String {
///     let of = progress.total().map_or("?".to_owned(), |total| total.to_string());
///     format!("{} of {of} bytes, {} bytes/s", progress.bytes(), progress.rate())
/// }
/// # fn is_watcher(_: impl FnMut(&Progress) + Send + 'static) {}
/// # is_watcher(watcher);
/// # let _ = line;
/// ```
#[derive(Debug, Clone)]
pub struct Progress {
    bytes: u64,
    total: Option<u64>,
    files: u64,
    total_files: Option<u64>,
    rate: u64,
    elapsed: Duration,
    under_way: Vec<FileProgress>,
    is_last: bool,
}

/// How far one file of a transfer is.
#[derive(Debug, Clone)]
pub struct FileProgress {
    path: Bytes,
    bytes: u64,
    total: Option<u64>,
}

impl Progress {
    /// Bytes that are where they belong: those that were moved, and those that an earlier transfer had left there. A
    /// file that failed is taken out again, so it may become less.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes in all; `None` while directories are still being listed, or where a length is not known.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// Files that are done.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.files
    }

    /// Files in all; `None` while directories are still being listed.
    #[must_use]
    pub fn total_files(&self) -> Option<u64> {
        self.total_files
    }

    /// Bytes per second that were moved in the last three seconds, or since the beginning where that is less. Zero is a
    /// transfer that stands still.
    #[must_use]
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// How long the rest takes at this rate; `None` where the rest is not known, or nothing moves.
    #[must_use]
    pub fn eta(&self) -> Option<Duration> {
        let left = u128::from(self.total?.saturating_sub(self.bytes));
        let millis = (left * 1000).checked_div(u128::from(self.rate))?;
        u64::try_from(millis).ok().map(Duration::from_millis)
    }

    /// How long the transfer has been running.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Files that are being moved, the earliest first, sixteen at most: hundreds of small ones may be under way, which
    /// nobody reads.
    #[must_use]
    pub fn under_way(&self) -> &[FileProgress] {
        &self.under_way
    }

    /// Whether the transfer has ended, well or not, and nothing more is told.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.is_last
    }
}

impl FileProgress {
    /// Its path on the server.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Bytes of it that are where they belong.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its length, where that is known.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.total
    }
}

/// The counters of a transfer. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter {
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    // Bytes that were moved, whatever became of their files: what the rate is about.
    moved: AtomicU64,
    bytes: AtomicU64,
    files: AtomicU64,
    expected_bytes: AtomicU64,
    expected_files: AtomicU64,
    knows_files: AtomicBool,
    lacks_lengths: AtomicBool,
    // By the order in which they began.
    under_way: Mutex<BTreeMap<u64, Arc<FileCounters>>>,
}

#[derive(Debug)]
struct FileCounters {
    path: Bytes,
    bytes: AtomicU64,
    total: Option<u64>,
}

/// The counters of one file. Dropped before it is done, the file has failed, and its bytes count no more.
#[derive(Debug)]
pub(crate) struct FileMeter {
    counters: Arc<Counters>,
    file: Arc<FileCounters>,
    number: u64,
    is_done: bool,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Nothing of it is whole any more, as far as is known, and it is not known what there is.
    pub(crate) fn begin_again(&self) {
        let counters = &self.counters;
        counters.knows_files.store(false, Ordering::Release);
        for count in [&counters.bytes, &counters.files, &counters.expected_bytes, &counters.expected_files] {
            count.store(0, Ordering::Relaxed);
        }
        counters.lacks_lengths.store(false, Ordering::Relaxed);
    }

    /// How many are whole.
    pub(crate) fn files(&self) -> u64 {
        self.counters.files.load(Ordering::Relaxed)
    }

    /// One more file will be moved; `None` where nobody knows how long it is.
    pub(crate) fn expect(&self, length: Option<u64>) {
        self.counters.expected_files.fetch_add(1, Ordering::Relaxed);
        match length {
            Some(length) => {
                // Lengths are what a server says, and may be more together than a number holds.
                let sum = |expected: u64| Some(expected.saturating_add(length));
                let _ = self.counters.expected_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum);
            }
            None => self.counters.lacks_lengths.store(true, Ordering::Relaxed),
        }
    }

    /// All files were expected; only now is the total one.
    pub(crate) fn expect_no_more(&self) {
        self.counters.knows_files.store(true, Ordering::Release);
    }

    /// A file begins.
    pub(crate) fn file(&self, path: Bytes, total: Option<u64>) -> FileMeter {
        let file = Arc::new(FileCounters { path, bytes: AtomicU64::new(0), total });
        let mut under_way = self.counters.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let number = under_way.last_key_value().map_or(0, |(last, _)| last + 1);
        under_way.insert(number, Arc::clone(&file));
        FileMeter { counters: Arc::clone(&self.counters), file, number, is_done: false }
    }
}

impl FileMeter {
    /// Bytes came where they belong.
    pub(crate) fn moved(&self, bytes: u64) {
        self.counters.moved.fetch_add(bytes, Ordering::Relaxed);
        self.found(bytes);
    }

    /// Bytes were found where they belong, and proved: they count, but were not moved.
    pub(crate) fn found(&self, bytes: u64) {
        self.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.file.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The file is whole.
    pub(crate) fn done(mut self) {
        self.is_done = true;
        self.counters.files.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for FileMeter {
    fn drop(&mut self) {
        if !self.is_done {
            let bytes = self.file.bytes.load(Ordering::Relaxed);
            self.counters.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        self.counters.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

/// Who is told.
pub(crate) struct Watcher {
    tell: Box<dyn FnMut(&Progress) + Send>,
}

impl Watcher {
    pub(crate) fn new(tell: impl FnMut(&Progress) + Send + 'static) -> Self {
        Self { tell: Box::new(tell) }
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").finish_non_exhaustive()
    }
}

/// Does the work, and tells meanwhile how far it is; the last time after it has ended. Without a watcher it is the work
/// alone.
///
/// # Cancel safety
/// That of the work. Dropped, nothing more is told.
pub(crate) async fn watched<T>(meter: &Meter, watcher: Option<Watcher>, work: impl Future<Output = T>) -> T {
    // What an eye can follow; more would only cost.
    const EVERY: Duration = Duration::from_millis(100);
    let Some(mut watcher) = watcher else { return work.await };
    let mut sampler = Sampler::new(meter.clone(), Instant::now());
    let mut ticks = interval_at(Instant::now() + EVERY, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut work = pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => {
                (watcher.tell)(&sampler.sample(Instant::now(), true));
                return done;
            }
            now = ticks.tick() => (watcher.tell)(&sampler.sample(now, false)),
        }
    }
}

/// Makes events of counters, with time as an argument.
struct Sampler {
    meter: Meter,
    began: Instant,
    /// When so many bytes were moved, over the last three seconds.
    seen: VecDeque<(Instant, u64)>,
}

impl Sampler {
    /// What the rate is an average over: shorter ones jump, and longer ones do not notice a stop.
    const SPAN: Duration = Duration::from_secs(3);
    const MOST_FILES: usize = 16;

    fn new(meter: Meter, began: Instant) -> Self {
        let moved = meter.counters.moved.load(Ordering::Relaxed);
        Self { meter, began, seen: VecDeque::from([(began, moved)]) }
    }

    fn sample(&mut self, now: Instant, is_last: bool) -> Progress {
        let counters = &self.meter.counters;
        let knows_files = counters.knows_files.load(Ordering::Acquire);
        let knows_bytes = knows_files && !counters.lacks_lengths.load(Ordering::Relaxed);
        let files = counters.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = files.values().take(Self::MOST_FILES).map(|file| FileProgress {
            path: file.path.clone(),
            bytes: file.bytes.load(Ordering::Relaxed),
            total: file.total,
        });
        let under_way = under_way.collect();
        drop(files);
        let progress = Progress {
            bytes: counters.bytes.load(Ordering::Relaxed),
            total: knows_bytes.then(|| counters.expected_bytes.load(Ordering::Relaxed)),
            files: counters.files.load(Ordering::Relaxed),
            total_files: knows_files.then(|| counters.expected_files.load(Ordering::Relaxed)),
            rate: 0,
            elapsed: now.saturating_duration_since(self.began),
            under_way,
            is_last,
        };
        let moved = counters.moved.load(Ordering::Relaxed);
        Progress { rate: self.rate(now, moved), ..progress }
    }

    fn rate(&mut self, now: Instant, moved: u64) -> u64 {
        self.seen.push_back((now, moved));
        // The oldest that is kept is the last of before the span.
        while let Some(&(second, _)) = self.seen.get(1)
            && now.saturating_duration_since(second) >= Self::SPAN
        {
            self.seen.pop_front();
        }
        let Some(&(since, before)) = self.seen.front() else { return 0 };
        let took = now.saturating_duration_since(since).as_nanos();
        let bytes = u128::from(moved.saturating_sub(before));
        (bytes * 1_000_000_000).checked_div(took).and_then(|rate| u64::try_from(rate).ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_rate_is_that_of_the_last_seconds_and_gives_the_time_that_is_left() {
        let (meter, mut now) = (Meter::new(), Instant::now());
        meter.expect(Some(100_000));
        let mut sampler = Sampler::new(meter.clone(), now);
        let file = meter.file("/srv/a".into(), Some(100_000));
        assert_eq!(sampler.sample(now, false).total(), None);
        meter.expect_no_more();
        for _ in 0..10 {
            now += SECOND;
            file.moved(1000);
            assert_eq!(sampler.sample(now, false).rate(), 1000);
        }
        for _ in 0..3 {
            now += SECOND;
            file.moved(4000);
            sampler.sample(now, false);
        }
        let progress = sampler.sample(now, false);
        assert_eq!((progress.rate(), progress.bytes()), (4000, 22_000));
        assert_eq!(progress.eta(), Some(Duration::from_millis(19_500)));
        assert_eq!(progress.elapsed(), SECOND * 13);
        // Nothing moves any more.
        let progress = sampler.sample(now + SECOND * 3, false);
        assert_eq!((progress.rate(), progress.eta()), (0, None));
    }

    #[test]
    fn what_was_found_counts_as_bytes_and_not_as_rate() {
        let (meter, now) = (Meter::new(), Instant::now());
        meter.expect(Some(1000));
        meter.expect_no_more();
        let mut sampler = Sampler::new(meter.clone(), now);
        let file = meter.file("a".into(), Some(1000));
        file.found(900);
        file.moved(50);
        let progress = sampler.sample(now + SECOND, false);
        assert_eq!((progress.bytes(), progress.rate(), progress.files()), (950, 50, 0));
        assert_eq!(progress.eta(), Some(SECOND));
        file.done();
        let progress = sampler.sample(now + SECOND, true);
        assert_eq!((progress.files(), progress.total_files(), progress.is_last()), (1, Some(1), true));
        assert!(progress.under_way().is_empty());
    }

    #[test]
    fn a_file_that_fails_is_taken_out_again() {
        let (meter, now) = (Meter::new(), Instant::now());
        let mut sampler = Sampler::new(meter.clone(), now);
        let (good, bad) = (meter.file("good".into(), None), meter.file("bad".into(), Some(9)));
        good.moved(5);
        bad.moved(7);
        let progress = sampler.sample(now, false);
        assert_eq!(progress.bytes(), 12);
        let shown: Vec<_> =
            progress.under_way().iter().map(|file| (file.path(), file.bytes(), file.total())).collect();
        assert_eq!(shown, [(&b"good"[..], 5, None), (&b"bad"[..], 7, Some(9))]);
        drop(bad);
        good.done();
        let progress = sampler.sample(now, false);
        assert_eq!((progress.bytes(), progress.files(), progress.under_way().len()), (5, 1, 0));
    }

    #[test]
    fn a_length_that_nobody_knows_leaves_the_total_open() {
        let meter = Meter::new();
        meter.expect(Some(10));
        meter.expect(None);
        meter.expect_no_more();
        let progress = Sampler::new(meter, Instant::now()).sample(Instant::now(), false);
        assert_eq!((progress.total(), progress.total_files(), progress.eta()), (None, Some(2), None));
    }

    #[test]
    fn lengths_that_no_number_holds_together_are_as_many_as_one_holds() {
        let meter = Meter::new();
        for length in [u64::MAX - 1, 1 << 62, 7] {
            meter.expect(Some(length));
        }
        meter.expect_no_more();
        let progress = Sampler::new(meter, Instant::now()).sample(Instant::now(), false);
        assert_eq!((progress.total(), progress.total_files()), (Some(u64::MAX), Some(3)));
    }

    #[test]
    fn of_many_files_the_earliest_are_shown() {
        let meter = Meter::new();
        let mut files: Vec<_> = (0..100u8).map(|index| meter.file(vec![index].into(), None)).collect();
        files.swap_remove(0).done();
        let progress = Sampler::new(meter, Instant::now()).sample(Instant::now(), false);
        let shown: Vec<_> = progress.under_way().iter().map(|file| file.path()[0]).collect();
        assert_eq!(shown, (1..17).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_told_by_the_clock_and_not_by_the_block_and_once_at_the_end() {
        let meter = Meter::new();
        let events: Arc<Mutex<Vec<Progress>>> = Arc::default();
        let told = Arc::clone(&events);
        let watcher = Watcher::new(move |progress| told.lock().unwrap().push(progress.clone()));
        let work = async {
            let file = meter.file("a".into(), None);
            for _ in 0..10_000 {
                file.moved(10);
                sleep(Duration::from_millis(1)).await;
            }
            file.done();
            "done"
        };
        assert_eq!(watched(&meter, Some(watcher), work).await, "done");
        let events = events.lock().unwrap();
        assert!((90..=110).contains(&events.len()), "{}", events.len());
        let (last, others) = events.split_last().unwrap();
        assert!(last.is_last() && others.iter().all(|event| !event.is_last()));
        assert_eq!((last.bytes(), last.files()), (100_000, 1));
        assert!(others.is_sorted_by_key(Progress::bytes));
        let rate = others.last().unwrap().rate();
        assert!((9_500..=10_500).contains(&rate), "{rate}");
    }

    #[tokio::test]
    async fn without_a_watcher_it_is_the_work_alone() {
        assert_eq!(watched(&Meter::new(), None, async { 7 }).await, 7);
    }
}
