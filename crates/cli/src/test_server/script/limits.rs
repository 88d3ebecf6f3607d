//! The limits that a server puts on its clients.

use std::num::{NonZeroU64, NonZeroUsize};

use rustle_testserver::Builder;
use serde::Deserialize;

use super::units::{Size, Time};

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitKeys {
    max_sessions: Option<usize>,
    auth_attempts: Option<NonZeroUsize>,
    auth_delay: Option<Time>,
    max_auth_tries: Option<NonZeroUsize>,
    login_grace: Option<Wait>,
    max_startups: Option<StartupKeys>,
    max_startups_text: Option<String>,
    client_alive: Option<AliveKeys>,
    max_unread: Option<Size>,
    window: Option<Window>,
    rekey_after: Option<Size>,
    rekey_messages: Option<NonZeroU64>,
}

/// RFC 4254 section 5.2: a window is at most 2^32 - 1 bytes.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "Size")]
struct Window(u32);

/// A time that is more than nothing. To `sshd` a 0 says that there is no limit; here that is said by leaving it out.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "Time")]
struct Wait(Time);

/// The three numbers of OpenSSH's `MaxStartups`.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "StartupNumbers")]
struct StartupKeys {
    start: usize,
    rate: u8,
    full: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StartupNumbers {
    start: usize,
    rate: u8,
    full: usize,
}

/// OpenSSH's `ClientAliveInterval` and `ClientAliveCountMax`.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct AliveKeys {
    interval: Wait,
    count: usize,
}

impl TryFrom<Size> for Window {
    type Error = &'static str;

    fn try_from(size: Size) -> Result<Self, Self::Error> {
        u32::try_from(size.bytes()).map(Self).map_err(|_| "a window is at most 4294967295 bytes")
    }
}

impl TryFrom<Time> for Wait {
    type Error = &'static str;

    fn try_from(time: Time) -> Result<Self, Self::Error> {
        if time.duration().is_zero() {
            Err("no time at all; leave the key out for no limit")
        } else {
            Ok(Self(time))
        }
    }
}

impl TryFrom<StartupNumbers> for StartupKeys {
    type Error = &'static str;

    /// As `sshd` checks them.
    fn try_from(numbers: StartupNumbers) -> Result<Self, Self::Error> {
        let StartupNumbers { start, rate, full } = numbers;
        if full < start {
            return Err("`full` is below `start`");
        }
        if !(1..=100).contains(&rate) {
            return Err("`rate` is from 1 to 100 per cent");
        }
        Ok(Self { start, rate, full })
    }
}

impl LimitKeys {
    pub(super) fn asks_whether_clients_live(&self) -> bool {
        self.client_alive.is_some()
    }

    /// How many messages there are between two key exchanges, which the raw personality alone counts.
    pub(super) fn messages_between_rekeys(&self) -> Option<u64> {
        self.rekey_messages.map(NonZeroU64::get)
    }

    pub(super) fn apply(self, mut builder: Builder) -> Builder {
        if let Some(n) = self.max_sessions {
            builder = builder.max_sessions(n);
        }
        if let Some(n) = self.auth_attempts {
            builder = builder.auth_attempts(n.get());
        }
        if let Some(delay) = self.auth_delay {
            builder = builder.auth_delay(delay.duration());
        }
        if let Some(n) = self.max_auth_tries {
            builder = builder.max_auth_tries(n.get());
        }
        if let Some(Wait(time)) = self.login_grace {
            builder = builder.login_grace(time.duration());
        }
        if let Some(StartupKeys { start, rate, full }) = self.max_startups {
            builder = builder.max_startups(start, rate, full);
        }
        if let Some(text) = self.max_startups_text {
            builder = builder.max_startups_text(text);
        }
        if let Some(AliveKeys { interval: Wait(interval), count }) = self.client_alive {
            builder = builder.client_alive(interval.duration(), count);
        }
        if let Some(Window(bytes)) = self.window {
            builder = builder.window(bytes);
        }
        if let Some(size) = self.max_unread {
            builder = builder.max_unread(size.bytes());
        }
        if let Some(bytes) = self.rekey_after {
            builder = builder.rekey_after(usize::try_from(bytes.bytes()).unwrap_or(usize::MAX));
        }
        builder
    }
}
