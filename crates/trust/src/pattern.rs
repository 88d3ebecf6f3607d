//! The host field of a line: patterns with wildcards and negation, or one hashed name.

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// OpenSSH's limit for one pattern of a list; a longer one makes the whole list match nothing.
const MAX_PATTERN: usize = 1022;
const HASH_PREFIX: &str = "|1|";
/// The length of a SHA-1 digest, and of the salt, which OpenSSH makes the same.
const HASH_LENGTH: usize = 20;

/// Which hosts a line speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostPattern {
    /// A comma-separated list, in lower case.
    List(Box<[u8]>),
    /// HMAC-SHA1 of the name under a salt.
    Hashed { salt: [u8; HASH_LENGTH], hash: [u8; HASH_LENGTH] },
}

/// Why a host field is unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadPattern {
    Hash,
    TooLong,
}

impl HostPattern {
    pub(crate) fn parse(field: &[u8]) -> Result<Self, BadPattern> {
        if field.first() == Some(&b'|') {
            return parse_hashed(field).ok_or(BadPattern::Hash);
        }
        let patterns = field.split(|byte| *byte == b',').map(|p| p.strip_prefix(b"!").unwrap_or(p));
        if patterns.into_iter().any(|pattern| pattern.len() > MAX_PATTERN) {
            return Err(BadPattern::TooLong);
        }
        Ok(Self::List(field.to_ascii_lowercase().into()))
    }

    /// Whether the line is about `name`, which is a [`HostName`](crate::HostName)'s: all but the scope of an address is in
    /// lower case already. In a list the case of that does not count either, as in OpenSSH.
    pub(crate) fn matches(&self, name: &str) -> bool {
        match self {
            Self::List(list) if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                list_matches(list, name.to_ascii_lowercase().as_bytes())
            }
            Self::List(list) => list_matches(list, name.as_bytes()),
            Self::Hashed { salt, hash } => match mac(salt, name) {
                Some(mac) => mac.verify_slice(hash).is_ok(),
                None => false,
            },
        }
    }
}

/// `|1|salt|hash`: the name as OpenSSH's `HashKnownHosts` writes it.
pub(crate) fn hashed(name: &str, salt: &[u8; HASH_LENGTH]) -> String {
    // HMAC takes a key of any length, so the digest is always there; an empty one would match no name.
    let digest = mac(salt, name).map(|mac| mac.finalize().into_bytes().to_vec()).unwrap_or_default();
    format!("{HASH_PREFIX}{}|{}", Base64::encode_string(salt), Base64::encode_string(&digest))
}

/// Whether `pattern`, in which `*` stands for any bytes and `?` for one, is the whole of `text`.
///
/// Two cursors and one point to return to: the time is bounded by the product of the lengths.
pub(crate) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut resume: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                p += 1;
                resume = Some((p, t));
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((after_star, taken)) = resume else { return false };
                p = after_star;
                t = taken + 1;
                resume = Some((after_star, t));
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// One match of a negated pattern excludes the whole line, wherever it stands.
fn list_matches(list: &[u8], name: &[u8]) -> bool {
    let mut matched = false;
    for pattern in list.split(|byte| *byte == b',') {
        match pattern.strip_prefix(b"!") {
            Some(negated) if glob(negated, name) => return false,
            Some(_) => {}
            None => matched |= glob(pattern, name),
        }
    }
    matched
}

fn parse_hashed(field: &[u8]) -> Option<HostPattern> {
    let (salt, hash) = std::str::from_utf8(field).ok()?.strip_prefix(HASH_PREFIX)?.split_once('|')?;
    Some(HostPattern::Hashed { salt: digest(salt)?, hash: digest(hash)? })
}

fn digest(text: &str) -> Option<[u8; HASH_LENGTH]> {
    let mut out = [0; HASH_LENGTH];
    (Base64::decode(text, &mut out).ok()?.len() == HASH_LENGTH).then_some(out)
}

fn mac(salt: &[u8; HASH_LENGTH], name: &str) -> Option<Hmac<Sha1>> {
    let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(salt).ok()?;
    mac.update(name.as_bytes());
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(list: &str, name: &str) -> bool {
        HostPattern::parse(list.as_bytes()).unwrap().matches(name)
    }

    #[test]
    fn the_case_of_a_scope_does_not_count_in_a_list() {
        assert!(matches("fe80::1%Eth0", "fe80::1%Eth0"));
        assert!(matches("fe80::1%eth0", "fe80::1%Eth0"));
        assert!(!matches("!fe80::1%Eth0,*", "fe80::1%Eth0"));
    }

    #[test]
    fn wildcards_stand_for_any_or_one_character() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "abc", true),
            ("?", "", false),
            ("a?c", "abc", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*ab", "aab", true),
            ("[10.0.0.?]:22*", "[10.0.0.7]:2222", true),
        ] {
            assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_exponential_time() {
        let pattern = "a*".repeat(500) + "b";
        assert!(!glob(pattern.as_bytes(), "a".repeat(1000).as_bytes()));
    }

    #[test]
    fn a_negated_match_excludes_the_line_wherever_it_stands() {
        assert!(matches("*.example.com,!bad.example.com", "good.example.com"));
        assert!(!matches("*.example.com,!bad.example.com", "bad.example.com"));
        assert!(!matches("!bad.example.com,*.example.com", "bad.example.com"));
        assert!(!matches("!bad.example.com", "good.example.com"), "a negation alone matches nothing");
        assert!(!matches("!!a", "a"), "the second mark belongs to the name");
    }

    #[test]
    fn case_of_the_pattern_makes_no_difference() {
        assert!(matches("WEB-*.Example.com", "web-1.example.com"));
    }

    #[test]
    fn a_hashed_name_matches_that_name_alone() {
        let pattern = HostPattern::parse(hashed("web-1", &[7; 20]).as_bytes()).unwrap();
        assert!(pattern.matches("web-1"));
        assert!(!pattern.matches("web-2"));
        assert!(!pattern.matches(""));
    }

    #[test]
    fn a_damaged_hash_is_refused() {
        let good = hashed("web-1", &[7; 20]);
        for bad in [
            "|",
            "|1|",
            "|1||",
            "|2|AAAA|AAAA",
            "|1|AAAA|AAAA",
            &format!("{good},x"),
            &good[..good.len() - 4],
        ] {
            assert_eq!(HostPattern::parse(bad.as_bytes()), Err(BadPattern::Hash), "{bad}");
        }
    }

    #[test]
    fn an_overlong_pattern_is_refused() {
        let at_limit = "a".repeat(MAX_PATTERN);
        assert!(HostPattern::parse(format!("x,!{at_limit}").as_bytes()).is_ok());
        assert_eq!(HostPattern::parse(format!("x,{at_limit}a").as_bytes()), Err(BadPattern::TooLong));
    }
}
