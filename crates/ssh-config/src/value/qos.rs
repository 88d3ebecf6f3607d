//! The class of service that packets ask for.

use std::fmt;

/// The classes of interactive and of other sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpQos {
    interactive: TrafficClass,
    bulk: TrafficClass,
}

/// What stands in the traffic class field of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrafficClass {
    /// What the system puts there.
    System,
    /// This byte: the differentiated services code point, shifted by two (RFC 2474).
    Byte(u8),
}

/// RFC 2474, 2597, 3246, 5865 and 8622; the last three names are of RFC 1349, and one of them has
/// a newer name for the same byte.
const NAMES: [(&str, u8); 26] = [
    ("af11", 0x28),
    ("af12", 0x30),
    ("af13", 0x38),
    ("af21", 0x48),
    ("af22", 0x50),
    ("af23", 0x58),
    ("af31", 0x68),
    ("af32", 0x70),
    ("af33", 0x78),
    ("af41", 0x88),
    ("af42", 0x90),
    ("af43", 0x98),
    ("cs0", 0x00),
    ("cs1", 0x20),
    ("cs2", 0x40),
    ("cs3", 0x60),
    ("cs4", 0x80),
    ("cs5", 0xa0),
    ("cs6", 0xc0),
    ("cs7", 0xe0),
    ("ef", 0xb8),
    ("le", 0x04),
    ("va", 0xb0),
    ("lowdelay", 0x10),
    ("throughput", 0x08),
    ("reliability", 0x04),
];

impl IpQos {
    /// What ssh uses where nothing is said: since 10.1 expedited forwarding for interactive sessions, and the
    /// ordinary class for others.
    pub(crate) const DEFAULT: IpQos =
        IpQos { interactive: TrafficClass::Byte(0xb8), bulk: TrafficClass::Byte(0) };

    pub(crate) fn new(interactive: TrafficClass, bulk: TrafficClass) -> IpQos {
        IpQos { interactive, bulk }
    }

    /// The class of sessions with a terminal.
    #[must_use]
    pub fn interactive(&self) -> TrafficClass {
        self.interactive
    }

    /// The class of all others.
    #[must_use]
    pub fn bulk(&self) -> TrafficClass {
        self.bulk
    }
}

impl fmt::Display for IpQos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.interactive, self.bulk)
    }
}

impl TrafficClass {
    pub(crate) fn parse(word: &str) -> Result<TrafficClass, String> {
        if word.eq_ignore_ascii_case("none") {
            return Ok(TrafficClass::System);
        }
        let named = NAMES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
        let number = || match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => {
                u8::from_str_radix(digits, 16).ok()
            }
            None if word.bytes().all(|b| b.is_ascii_digit()) => word.parse().ok(),
            _ => None,
        };
        named
            .map(|(_, byte)| *byte)
            .or_else(number)
            .map(TrafficClass::Byte)
            .ok_or_else(|| format!("{word:?} is no class such as ef, af21, cs1, a number up to 255, or none"))
    }
}

impl fmt::Display for TrafficClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrafficClass::System => f.write_str("none"),
            TrafficClass::Byte(byte) => match NAMES.iter().find(|(_, known)| known == byte) {
                Some((name, _)) => f.write_str(name),
                None => write!(f, "0x{byte:02x}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_by_name_and_by_number() {
        let shown = |text| TrafficClass::parse(text).map(|class| class.to_string());
        for (text, expected) in [
            ("AF21", "af21"),
            ("0", "cs0"),
            ("0x10", "lowdelay"),
            ("3", "0x03"),
            ("none", "none"),
            ("184", "ef"),
        ] {
            assert_eq!(shown(text).unwrap(), expected, "{text}");
        }
        for bad in ["", "256", "af99", "0x", "-1", "0x100"] {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }
}
