//! Times, sizes and rates, written with their units.

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A time, such as `"100ms"`.
#[derive(Clone, Copy)]
pub(crate) struct Time(Duration);

/// A number of bytes: a number, or a text such as `"64KiB"`.
#[derive(Clone, Copy)]
pub(super) struct Size(u64);

/// Bytes in a second, such as `"10MB/s"`.
#[derive(Clone, Copy)]
pub(super) struct Rate(u64);

const TIMES: [(&str, u64); 5] =
    [("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000)];
const SIZES: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

impl Time {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        scaled(text, &TIMES).map(|nanoseconds| Self(Duration::from_nanos(nanoseconds)))
    }

    pub(crate) fn duration(self) -> Duration {
        self.0
    }
}

impl Size {
    pub(super) fn bytes(self) -> u64 {
        self.0
    }
}

impl Rate {
    pub(super) fn bytes_per_second(self) -> u64 {
        self.0
    }
}

/// A number, whole or with a fraction, times its unit; `None` if it is none or does not fit.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(end);
    let factor = units.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    // Digits past the twelfth are less than a nanosecond of an hour.
    let digits: u32 = u32::try_from(fraction.len()).ok().filter(|digits| (1..=12).contains(digits))?;
    let parts = u128::from(fraction.parse::<u64>().ok()?) * u128::from(factor) / 10u128.pow(digits);
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    whole.checked_add(u64::try_from(parts).ok()?)
}

struct Reading<T> {
    expected: &'static str,
    text: fn(&str) -> Option<T>,
    number: fn(u64) -> Option<T>,
}

impl<T> Visitor<'_> for Reading<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.text)(text).ok_or_else(|| E::custom(self.expected))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        (self.number)(number).ok_or_else(|| E::custom(self.expected))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        u64::try_from(number).ok().and_then(self.number).ok_or_else(|| E::custom(self.expected))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading {
            expected: "a time is written with its unit (us, ms, s, m, h), as in \"100ms\"",
            text: Self::parse,
            number: |_| None,
        })
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading {
            expected: "a size is a number of bytes, or a text such as \"64KiB\" (B, kB, MB, GB, KiB, MiB, GiB)",
            text: |text| scaled(text, &SIZES).map(Self),
            number: |number| Some(Self(number)),
        })
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading {
            expected: "a rate is written as \"10MB/s\" (B, kB, MB, GB, KiB, MiB, GiB), and more than none",
            text: |text| {
                let size = text.strip_suffix("/s")?;
                scaled(size.trim_end(), &SIZES).filter(|rate| *rate > 0).map(Self)
            },
            number: |_| None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read_with_their_units() {
        for (text, milliseconds) in
            [("100ms", 100), ("1.5s", 1500), ("2 m", 120_000), ("0s", 0), ("0.25h", 900_000)]
        {
            assert_eq!(Time::parse(text).unwrap().0, Duration::from_millis(milliseconds), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            ".5s",
            "1.s",
            "-1s",
            "1e3s",
            "1 week",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(Time::parse(text).is_none(), "{text}");
        }
        for (text, bytes) in [("64KiB", 65536), ("10MB", 10_000_000), ("1.5kB", 1500), ("7B", 7)] {
            assert_eq!(scaled(text, &SIZES), Some(bytes), "{text}");
        }
    }
}
