//! The types of values, and how each is read from its argument. Errors are the middle of a sentence.

use std::fmt;
use std::time::Duration;

/// A type whose values are words, each with the spelling that `ssh -G` prints first.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident: $($word:literal)|+,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$vmeta])* $variant,)* }

        impl $name {
            pub(crate) fn parse(word: &str) -> Result<$name, String> {
                $($(if word.eq_ignore_ascii_case($word) { return Ok($name::$variant); })+)*
                let known: &[&str] = &[$($($word),+),*];
                Err(format!("{word:?} is none of {}", known.join(", ")))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($name::$variant => [$($word),+][0],)* })
            }
        }
    };
}

words! {
    /// What to do with a host whose key is not known.
    StrictHostKeyChecking {
        /// Refuse it.
        Yes: "true" | "yes",
        /// Accept any key, a changed one included.
        No: "false" | "no" | "off",
        /// Ask the user. The default.
        Ask: "ask",
        /// Accept and remember it; refuse a changed one.
        AcceptNew: "accept-new",
    }
}

words! {
    /// Which addresses of a host may be used.
    AddressFamily {
        /// IPv4 and IPv6.
        Any: "any",
        /// IPv4.
        Inet: "inet",
        /// IPv6.
        Inet6: "inet6",
    }
}

words! {
    /// Whether a terminal is asked for.
    RequestTty {
        /// Where standard input is one.
        Yes: "true" | "yes",
        /// Never.
        No: "false" | "no",
        /// Always.
        Force: "force",
        /// For a shell, not for a command. The default.
        Auto: "auto",
    }
}

words! {
    /// Whether public keys are tried, and bound to the host's key (OpenSSH's PROTOCOL, hostbound).
    PubkeyAuthentication {
        /// Both forms.
        Yes: "true" | "yes",
        /// Not at all.
        No: "false" | "no",
        /// Without the binding.
        Unbound: "unbound",
        /// With the binding.
        HostBound: "host-bound",
    }
}

words! {
    /// How much is logged.
    LogLevel {
        /// Nothing.
        Quiet: "SILENT" | "QUIET",
        /// What ends the program.
        Fatal: "FATAL",
        /// Errors.
        Error: "ERROR",
        /// The default.
        Info: "INFO",
        /// A little more.
        Verbose: "VERBOSE",
        /// For debugging.
        Debug1: "DEBUG" | "DEBUG1",
        /// More of it.
        Debug2: "DEBUG2",
        /// All of it.
        Debug3: "DEBUG3",
    }
}

/// A list of algorithms, and what is done with the defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AlgorithmList {
    /// These instead of the defaults.
    Only(Vec<String>),
    /// `+`: the defaults, then these.
    Append(Vec<String>),
    /// `-`: the defaults without these, which may be patterns.
    Remove(Vec<String>),
    /// `^`: these, then the defaults.
    Prepend(Vec<String>),
}

impl AlgorithmList {
    pub(crate) fn parse(text: &str) -> Result<AlgorithmList, String> {
        let (make, names): (fn(Vec<String>) -> AlgorithmList, &str) = match text.as_bytes() {
            [b'+', ..] => (AlgorithmList::Append, &text[1..]),
            [b'-', ..] => (AlgorithmList::Remove, &text[1..]),
            [b'^', ..] => (AlgorithmList::Prepend, &text[1..]),
            _ => (AlgorithmList::Only, text),
        };
        let names: Vec<String> = names.split(',').map(str::to_owned).collect();
        // RFC 4251 section 6: names are of 1 to 64 printable US-ASCII characters.
        let fits =
            |name: &String| (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
        match names.iter().find(|name| !fits(name)) {
            Some(bad) => Err(format!("{bad:?} is not an algorithm's name")),
            None => Ok(make(names)),
        }
    }

    /// The list that results, starting from `defaults`.
    ///
    /// ```
    /// use rustle_ssh_config::AlgorithmList;
    ///
    /// let list = AlgorithmList::Remove(vec!["aes*-ctr".to_owned()]);
    /// assert_eq!(list.apply(&["aes256-gcm@openssh.com", "aes256-ctr"]), ["aes256-gcm@openssh.com"]);
    /// ```
    #[must_use]
    pub fn apply(&self, defaults: &[&str]) -> Vec<String> {
        let defaults = defaults.iter().map(|name| (*name).to_owned());
        let mut list: Vec<String> = Vec::new();
        let mut push = |name: String| {
            if !list.contains(&name) {
                list.push(name);
            }
        };
        match self {
            AlgorithmList::Only(names) => names.iter().cloned().for_each(&mut push),
            AlgorithmList::Append(names) => defaults.chain(names.iter().cloned()).for_each(&mut push),
            AlgorithmList::Prepend(names) => names.iter().cloned().chain(defaults).for_each(&mut push),
            AlgorithmList::Remove(patterns) => defaults
                .filter(|name| {
                    !patterns.iter().any(|p| crate::matches_pattern(name.as_bytes(), p.as_bytes()))
                })
                .for_each(&mut push),
        }
        list
    }
}

impl fmt::Display for AlgorithmList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AlgorithmList::Only(names) => f.write_str(&names.join(",")),
            AlgorithmList::Append(names) => write!(f, "+{}", names.join(",")),
            AlgorithmList::Remove(names) => write!(f, "-{}", names.join(",")),
            AlgorithmList::Prepend(names) => write!(f, "^{}", names.join(",")),
        }
    }
}

/// Which agent to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentityAgent {
    /// None.
    None,
    /// The one whose socket this environment variable names.
    Environment(String),
    /// The one at this path.
    Path(String),
}

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

pub(crate) fn port(word: &str) -> Result<u16, String> {
    // The one name of the services database that makes sense here.
    if word == "ssh" {
        return Ok(22);
    }
    match word.parse::<u16>() {
        Ok(port) if port > 0 && word.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
        _ => Err(format!("{word:?} is not a port from 1 to 65535")),
    }
}

/// A time as in `sshd_config(5)`, TIME FORMATS: numbers with the units s, m, h, d and w, seconds without one.
/// `None` is the word `none`.
pub(crate) fn time(word: &str) -> Result<Option<Duration>, String> {
    if word == "none" {
        return Ok(None);
    }
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
    Ok(Some(Duration::from_secs(total)))
}

/// A number of bytes with an optional K, M or G; `None` for `default`.
pub(crate) fn bytes(word: &str) -> Result<Option<u64>, String> {
    if word == "default" {
        return Ok(None);
    }
    let bad = || format!("{word:?} is not a size such as 512M or default");
    let (digits, unit) = match word.as_bytes().last().map(u8::to_ascii_lowercase) {
        Some(b'k') => (&word[..word.len() - 1], 1 << 10),
        Some(b'm') => (&word[..word.len() - 1], 1 << 20),
        Some(b'g') => (&word[..word.len() - 1], 1 << 30),
        _ => (word, 1),
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(bad());
    }
    let size = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)).ok_or_else(bad)?;
    match size {
        0 => Ok(None),
        1..16 => Err(format!("{word:?} is too small, 16 bytes is the least")),
        _ => Ok(Some(size)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(port("22"), Ok(22));
        assert!(port("0").is_err() && port("65536").is_err() && port("+22").is_err());
        assert_eq!(bytes("1G"), Ok(Some(1 << 30)));
        assert_eq!(bytes("default"), Ok(None));
        assert!(
            bytes("1").is_err()
                && bytes("G").is_err()
                && bytes("é").is_err()
                && bytes("99999999999g").is_err()
        );
        assert_eq!(flag("YES"), Ok(true));
        assert!(flag("maybe").is_err());
    }

    #[test]
    fn words_are_read_in_any_case_and_printed_as_ssh_does() {
        assert_eq!(StrictHostKeyChecking::parse("OFF"), Ok(StrictHostKeyChecking::No));
        assert_eq!(StrictHostKeyChecking::No.to_string(), "false");
        assert_eq!(LogLevel::parse("debug1").unwrap().to_string(), "DEBUG");
        assert_eq!(AddressFamily::parse("ipv4").unwrap_err(), "\"ipv4\" is none of any, inet, inet6");
    }

    #[test]
    fn algorithm_lists_change_the_defaults() {
        let apply = |text| AlgorithmList::parse(text).unwrap().apply(&["a", "b", "c"]);
        assert_eq!(apply("x,a"), ["x", "a"]);
        assert_eq!(apply("+x,a"), ["a", "b", "c", "x"]);
        assert_eq!(apply("^c,x"), ["c", "x", "a", "b"]);
        assert_eq!(apply("-a,?"), Vec::<String>::new());
        assert!(AlgorithmList::parse("a,,b").is_err());
        assert!(AlgorithmList::parse("+").is_err());
        assert!(AlgorithmList::parse("é").is_err());
    }
}
