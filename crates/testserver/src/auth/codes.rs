//! Codes that let in once.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::auth::dialog::Verdict;

/// Codes of which each is good for one login, from a list or from the clock. Clones share what has been used.
///
/// ```
/// use std::time::Duration;
/// use rustle_testserver::{OneTimeCodes, User, Verdict};
///
/// let list = OneTimeCodes::list(["111111", "222222"]);
/// assert_eq!(list.redeem("222222"), Verdict::Right);
/// assert_eq!(list.redeem("222222"), Verdict::Replayed);
/// assert_eq!(list.current().as_deref(), Some("111111"));
///
/// let clock = OneTimeCodes::timed(7, Duration::from_secs(30));
/// let user = User::new("alice").one_time_codes(clock.clone());
/// let code = clock.current().expect("a clock always has one");
/// assert_eq!(code.len(), 6);
/// ```
#[derive(Clone)]
pub struct OneTimeCodes {
    inner: Arc<Inner>,
}

struct Inner {
    source: Source,
    /// Positions in the list, or steps of the clock.
    used: Mutex<HashSet<u64>>,
}

enum Source {
    List(Vec<SecretString>),
    Timed { seed: u64, step: Duration, begin: Instant },
}

impl OneTimeCodes {
    /// These codes, in whatever order they come.
    #[must_use]
    pub fn list<S: Into<String>>(codes: impl IntoIterator<Item = S>) -> Self {
        Self::new(Source::List(codes.into_iter().map(|code| SecretString::from(code.into())).collect()))
    }

    /// Another code of six digits with each `step` of tokio's clock, which a test may have paused. Besides the code of
    /// the moment the ones just before and after it are good, as with most servers, whose clocks differ from the
    /// client's. The codes follow from the seed, but not by RFC 6238: no authenticator application makes them.
    #[must_use]
    pub fn timed(seed: u64, step: Duration) -> Self {
        Self::new(Source::Timed { seed, step: step.max(Duration::from_millis(1)), begin: Instant::now() })
    }

    fn new(source: Source) -> Self {
        Self { inner: Arc::new(Inner { source, used: Mutex::default() }) }
    }

    /// The code to show now: of a list, the first not used; of a clock, that of the moment, used or not.
    #[must_use]
    pub fn current(&self) -> Option<String> {
        match &self.inner.source {
            Source::List(codes) => {
                let used = self.inner.used();
                let mut unused = (0..).zip(codes).filter(|(n, _)| !used.contains(n));
                unused.next().map(|(_, code)| code.expose_secret().to_owned())
            }
            Source::Timed { seed, .. } => Some(derived(*seed, self.inner.step())),
        }
    }

    /// Uses a code.
    #[must_use]
    pub fn redeem(&self, code: &str) -> Verdict {
        let good: Vec<u64> = match &self.inner.source {
            Source::List(codes) => {
                let same = (0..).zip(codes).filter(|(_, known)| known.expose_secret() == code);
                same.map(|(n, _)| n).collect()
            }
            Source::Timed { seed, .. } => {
                let now = self.inner.step();
                let window = now.saturating_sub(1)..=now.saturating_add(1);
                window.filter(|step| derived(*seed, *step) == code).collect()
            }
        };
        let mut used = self.inner.used();
        match good.iter().find(|n| !used.contains(n)) {
            Some(n) => {
                used.insert(*n);
                Verdict::Right
            }
            None if good.is_empty() => Verdict::Wrong,
            None => Verdict::Replayed,
        }
    }
}

impl Inner {
    fn step(&self) -> u64 {
        match &self.source {
            Source::List(_) => 0,
            Source::Timed { step, begin, .. } => {
                let steps = begin.elapsed().as_millis() / step.as_millis().max(1);
                u64::try_from(steps).unwrap_or(u64::MAX)
            }
        }
    }

    fn used(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many there are, never which.
impl fmt::Debug for OneTimeCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner.source {
            Source::List(codes) => write!(f, "OneTimeCodes({} in a list)", codes.len()),
            Source::Timed { step, .. } => write!(f, "OneTimeCodes(one each {step:?})"),
        }
    }
}

fn derived(seed: u64, step: u64) -> String {
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    hash.update(step.to_be_bytes());
    let number = hash.finalize().iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{:06}", number % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn timed_code_is_good_once_and_for_a_step_around_its_own() {
        let step = Duration::from_secs(30);
        let codes = OneTimeCodes::timed(1, step);
        let first = codes.current().unwrap();
        assert_eq!(codes.redeem("000000"), Verdict::Wrong);
        assert_eq!(codes.redeem(&first), Verdict::Right);
        assert_eq!(codes.redeem(&first), Verdict::Replayed);
        tokio::time::advance(step).await;
        let second = codes.current().unwrap();
        assert_ne!(first, second);
        tokio::time::advance(step).await;
        assert_eq!(codes.redeem(&second), Verdict::Right);
        assert_eq!(codes.redeem(&first), Verdict::Wrong);
        assert_eq!(OneTimeCodes::timed(1, step).current().unwrap(), first);
    }
}
