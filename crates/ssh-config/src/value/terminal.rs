//! Values about the session's terminal and how long a shared connection stays.

use std::fmt;
use std::time::Duration;

use crate::value;

/// The character that begins a local command at the start of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EscapeChar {
    /// None: everything goes to the far side.
    None,
    /// This byte; `~` by default.
    Byte(u8),
}

impl EscapeChar {
    /// One character, `^` and a letter for a control character, or `none`.
    pub(crate) fn parse(word: &str) -> Result<EscapeChar, String> {
        match *word.as_bytes() {
            _ if word == "none" => Ok(EscapeChar::None),
            [byte] => Ok(EscapeChar::Byte(byte)),
            [b'^', letter @ 64..128] => Ok(EscapeChar::Byte(letter & 31)),
            _ => Err(format!("{word:?} is neither one character, nor ^ and a letter, nor none")),
        }
    }
}

impl fmt::Display for EscapeChar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            EscapeChar::None => f.write_str("none"),
            EscapeChar::Byte(b'\\') => f.write_str(r"\\"),
            EscapeChar::Byte(b' ') => f.write_str(r"\040"),
            EscapeChar::Byte(byte @ b'!'..=b'~') => write!(f, "{}", char::from(byte)),
            EscapeChar::Byte(0x7f) => f.write_str(r"\^?"),
            EscapeChar::Byte(byte @ 0..0x20) => write!(f, r"\^{}", char::from(byte | 0x40)),
            EscapeChar::Byte(byte) => write!(f, r"\{byte:03o}"),
        }
    }
}

/// How long a shared connection stays when its first user is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlPersist {
    /// Not at all. The default.
    No,
    /// Until it is told to end.
    Yes,
    /// Until nobody has used it for so long.
    For(Duration),
}

impl ControlPersist {
    pub(crate) fn parse(word: &str) -> Result<ControlPersist, String> {
        // These words in lower case only, as ssh.
        match word {
            "no" | "false" => Ok(ControlPersist::No),
            "yes" | "true" => Ok(ControlPersist::Yes),
            word => Ok(match value::seconds(word)? {
                Duration::ZERO => ControlPersist::Yes,
                time => ControlPersist::For(time),
            }),
        }
    }
}

impl fmt::Display for ControlPersist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ControlPersist::No => f.write_str("no"),
            ControlPersist::Yes => f.write_str("yes"),
            ControlPersist::For(time) => write!(f, "{}", time.as_secs()),
        }
    }
}

/// Between keystrokes, where they are sent at a steady pace: `yes`, `no`, or `interval:` and milliseconds. Zero is
/// `no`.
pub(crate) fn keystroke_interval(word: &str) -> Result<Duration, String> {
    let bad = || format!("{word:?} is none of yes, no and interval:MILLISECONDS, which are from 1 to 1000");
    match word {
        "yes" | "true" => Ok(Duration::from_millis(20)),
        "no" | "false" => Ok(Duration::ZERO),
        word => {
            let number = word.strip_prefix("interval:").and_then(|text| value::number(text).ok());
            match number {
                Some(number @ 1..=1000) => Ok(Duration::from_millis(u64::from(number))),
                _ => Err(bad()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_printed_visibly() {
        let shown = |text: &str| EscapeChar::parse(text).map(|escape| escape.to_string());
        for (text, expected) in [("~", "~"), ("none", "none"), ("^A", r"\^A"), ("^[", r"\^["), ("\\", r"\\")]
        {
            assert_eq!(shown(text).unwrap(), expected, "{text}");
        }
        assert!(shown("ab").is_err() && shown("^1").is_err() && shown("é").is_err());
    }

    #[test]
    fn a_shared_connection_stays_for_a_time() {
        let shown = |text: &str| ControlPersist::parse(text).map(|persist| persist.to_string());
        for (text, expected) in [("yes", "yes"), ("no", "no"), ("0", "yes"), ("10m", "600")] {
            assert_eq!(shown(text).unwrap(), expected, "{text}");
        }
        assert!(shown("YES").is_err() && shown("soon").is_err());
    }

    #[test]
    fn keystrokes_have_an_interval() {
        assert_eq!(keystroke_interval("yes").unwrap().as_millis(), 20);
        assert_eq!(keystroke_interval("interval:80").unwrap().as_millis(), 80);
        for bad in ["interval:0", "interval:1001", "interval:", "YES", ""] {
            assert!(keystroke_interval(bad).is_err(), "{bad}");
        }
    }
}
