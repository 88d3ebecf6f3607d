//! The types of values, and how each is read from its argument. Errors are the middle of a sentence.

pub(crate) mod agent;
mod algorithms;
mod channel;
pub(crate) mod forward;
pub(crate) mod jump;
mod qos;
pub(crate) mod terminal;
mod words;

use std::time::Duration;

use crate::Source;

pub use crate::value::agent::{AddKeysMode, AddKeysToAgent, ForwardAgent, IdentityAgent};
pub use crate::value::algorithms::AlgorithmList;
pub use crate::value::channel::{ChannelTimeout, CnameRule, PermitRemoteOpen, RemoteOpen, TunnelDevice};
pub use crate::value::forward::{Forward, ForwardListen, ForwardTarget};
pub use crate::value::jump::JumpHost;
pub use crate::value::qos::{IpQos, TrafficClass};
pub use crate::value::terminal::{ControlPersist, EscapeChar};
pub(crate) use crate::value::words::Compression;
pub use crate::value::words::{
    AddressFamily, CanonicalizeHostname, ControlMaster, FingerprintHash, LogLevel, PubkeyAuthentication,
    RequestTty, SessionType, StrictHostKeyChecking, SyslogFacility, Tunnel, WarnWeakCrypto, YesNoAsk,
};

/// When keys are renewed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RekeyLimit {
    bytes: Option<u64>,
    interval: Option<Duration>,
}

impl RekeyLimit {
    pub(crate) fn new(bytes: Option<u64>, interval: Option<Duration>) -> RekeyLimit {
        RekeyLimit { bytes, interval }
    }

    /// After so many bytes; `None` for the cipher's default.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// After so long; `None` for no limit by time.
    #[must_use]
    pub fn interval(&self) -> Option<Duration> {
        self.interval
    }
}

pub(crate) fn flag(word: &str) -> Result<bool, String> {
    if ["yes", "true"].iter().any(|yes| word.eq_ignore_ascii_case(yes)) {
        Ok(true)
    } else if ["no", "false"].iter().any(|no| word.eq_ignore_ascii_case(no)) {
        Ok(false)
    } else {
        Err(format!("{word:?} is neither yes nor no"))
    }
}

pub(crate) fn number(word: &str) -> Result<u32, String> {
    let digits = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    match word.parse::<u32>() {
        Ok(number) if digits && i32::try_from(number).is_ok() => Ok(number),
        _ => Err(format!("{word:?} is not a whole number from 0 to {}", i32::MAX)),
    }
}

pub(crate) fn port(word: &str, source: &dyn Source) -> Result<u16, String> {
    match port_or_zero(word, source)? {
        0 => Err(format!("{word:?} is not a port from 1 to 65535")),
        port => Ok(port),
    }
}

/// A port in digits or by its name in the system's list of services; 0 has a meaning for remote listeners.
pub(crate) fn port_or_zero(word: &str, source: &dyn Source) -> Result<u16, String> {
    // A sign counts as ssh's own number reader takes it.
    let unsigned = word.strip_prefix('+').unwrap_or(word);
    let digits = !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit());
    let port = if digits { unsigned.parse().ok() } else { source.service_port(word) };
    port.ok_or_else(|| format!("{word:?} is neither a port from 1 to 65535 nor the name of a service"))
}

/// A mask of permissions, in octal.
pub(crate) fn mask(word: &str) -> Result<u32, String> {
    let digits = word.bytes().all(|b| b.is_ascii_digit());
    match u32::from_str_radix(word, 8) {
        Ok(mask) if digits && mask <= 0o777 => Ok(mask),
        _ => Err(format!("{word:?} is not a mask from 0 to 0777")),
    }
}

/// A domain in lower case, without the dot at its end; `none` is one as well.
pub(crate) fn domain(word: &str) -> Result<String, String> {
    if !jump::is_domain(word) {
        return Err(format!("{word:?} is not the name of a domain"));
    }
    Ok(word.strip_suffix('.').unwrap_or(word).to_ascii_lowercase())
}

pub(crate) fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A time as in `sshd_config(5)`, TIME FORMATS: numbers with the units s, m, h, d and w, seconds without one.
/// `None` is the word `none`.
pub(crate) fn time(word: &str) -> Result<Option<Duration>, String> {
    if word == "none" {
        return Ok(None);
    }
    seconds(word).map(Some)
}

/// As [`time`], without that word.
pub(crate) fn seconds(word: &str) -> Result<Duration, String> {
    let bad = || format!("{word:?} is not a time such as 90, 90s or 1h30m");
    let (mut total, mut value, mut seconds_seen) = (0u64, None, false);
    for byte in word.bytes() {
        let unit = match byte.to_ascii_lowercase() {
            digit @ b'0'..=b'9' => {
                let sum = value
                    .unwrap_or(0u64)
                    .checked_mul(10)
                    .and_then(|v| v.checked_add(u64::from(digit - b'0')));
                value = Some(sum.ok_or_else(bad)?);
                continue;
            }
            b's' if !seconds_seen => {
                seconds_seen = true;
                1
            }
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return Err(bad()),
        };
        let part = value.take().and_then(|v| v.checked_mul(unit)).ok_or_else(bad)?;
        total = total.checked_add(part).ok_or_else(bad)?;
    }
    match value {
        Some(_) if seconds_seen => return Err(bad()),
        Some(seconds) => total = total.checked_add(seconds).ok_or_else(bad)?,
        None if word.is_empty() => return Err(bad()),
        None => {}
    }
    if i32::try_from(total).is_err() {
        return Err(bad());
    }
    Ok(Duration::from_secs(total))
}

/// A number of bytes, whole or decimal, with an optional unit from K to E, each 1024 of the one before; `None` for
/// `default`.
pub(crate) fn bytes(word: &str) -> Result<Option<u64>, String> {
    if word == "default" {
        return Ok(None);
    }
    let bad = || format!("{word:?} is not a size such as 512M or default");
    let unit = match word.as_bytes().last() {
        Some(letter) if letter.is_ascii_alphabetic() => {
            let power = "BKMGTPE".find(char::from(letter.to_ascii_uppercase())).ok_or_else(bad)?;
            Some(1u64 << (10 * power))
        }
        _ => None,
    };
    let digits = if unit.is_some() { &word[..word.len() - 1] } else { word };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    // No unit has more than 19 digits to divide.
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || fraction.len() > 18 {
        return Err(bad());
    }
    let unit = unit.unwrap_or(1);
    let whole = whole.parse::<u64>().ok().and_then(|whole| whole.checked_mul(unit)).ok_or_else(bad)?;
    let part = fraction
        .bytes()
        .fold((0u128, 1u128), |(part, scale), digit| (part * 10 + u128::from(digit - b'0'), scale * 10));
    let part = u64::try_from(part.0 * u128::from(unit) / part.1).map_err(|_| bad())?;
    match whole.checked_add(part).filter(|size| i64::try_from(*size).is_ok()).ok_or_else(bad)? {
        0 => Ok(None),
        1..16 => Err(format!("{word:?} is too small, 16 bytes is the least")),
        size => Ok(Some(size)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemorySource;

    #[test]
    fn times() {
        let seconds = |text| time(text).map(|t| t.map(|t| t.as_secs()));
        assert_eq!(seconds("none"), Ok(None));
        assert_eq!(seconds("90"), Ok(Some(90)));
        assert_eq!(seconds("1h30m"), Ok(Some(5_400)));
        assert_eq!(seconds("1w2D3h4m5"), Ok(Some(604_800 + 2 * 86_400 + 3 * 3_600 + 4 * 60 + 5)));
        for bad in ["", "x", "1x", "m", "1s2", "1s2s", "-1", "99999999999999999999", "4000w"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_ports_sizes_and_flags() {
        assert_eq!(number("3"), Ok(3));
        assert!(number("-1").is_err() && number("+1").is_err() && number("").is_err());
        assert!(number("2147483648").is_err());
        let source = MemorySource::new("a", "/h").file("/etc/services", "x 1/udp\nhttp\t80/tcp www # web\n");
        assert_eq!((port("22", &source), port("+22", &source)), (Ok(22), Ok(22)));
        assert_eq!((port("www", &source), port("ssh", &source)), (Ok(80), Ok(22)));
        for bad in ["0", "65536", "++22", "+", "", "x", "web"] {
            assert!(port(bad, &source).is_err(), "{bad}");
        }
        assert_eq!(port_or_zero("0", &source), Ok(0));
        assert_eq!(bytes("1G"), Ok(Some(1 << 30)));
        assert_eq!(bytes("default"), Ok(None));
        assert_eq!(
            (bytes("1.5m"), bytes("17b"), bytes("2T")),
            (Ok(Some(3 << 19)), Ok(Some(17)), Ok(Some(2 << 40)))
        );
        assert!(
            bytes("8E").is_err() && bytes(".5G").is_err() && bytes("1..5G").is_err() && bytes("1Z").is_err()
        );
        assert!(
            bytes("1").is_err()
                && bytes("G").is_err()
                && bytes("é").is_err()
                && bytes("99999999999g").is_err()
        );
        assert_eq!(flag("YES"), Ok(true));
        assert!(flag("maybe").is_err());
        assert_eq!(mask("0177"), Ok(0o177));
        assert!(mask("1000").is_err() && mask("8").is_err() && mask("+7").is_err() && mask("").is_err());
        assert_eq!(domain("Example.COM."), Ok("example.com".to_owned()));
        assert!(domain("-a").is_err() && domain("a..b").is_err() && domain("").is_err());
    }
}
