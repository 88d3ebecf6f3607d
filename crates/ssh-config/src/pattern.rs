//! Patterns (`*`, `?`) and comma-separated pattern lists with negation.

use crate::{ConfigError, ConfigErrorKind};

/// Whether all of `text` matches `pattern`: `*` is any run of bytes, `?` any one byte.
///
/// The time is at most the product of the lengths, whatever the pattern.
///
/// ```
/// use rustle_ssh_config::matches_pattern;
///
/// assert!(matches_pattern(b"web-1.example.com", b"web-?.*"));
/// assert!(!matches_pattern(b"web-12.example.com", b"web-?.*"));
/// ```
#[must_use]
pub fn matches_pattern(text: &[u8], pattern: &[u8]) -> bool {
    let (mut t, mut p) = (0, 0);
    // Where to go on when the tail after the last `*` does not fit: that star takes one byte more.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((t, p));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                t += 1;
                p += 1;
            }
            _ => match retry {
                Some((start, star)) => {
                    retry = Some((start + 1, star));
                    t = start + 1;
                    p = star + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// Whether `text` matches a comma-separated list: at least one pattern, and none that is negated with `!`.
#[must_use]
pub fn matches_list(text: &[u8], list: &[u8]) -> bool {
    let mut found = false;
    for pattern in list.split(|&b| b == b',') {
        match pattern.strip_prefix(b"!") {
            Some(negated) if matches_pattern(text, negated) => return false,
            Some(_) => {}
            None => found |= matches_pattern(text, pattern),
        }
    }
    found
}

/// As [`matches_list`], with both in lower case: host names have none.
pub(crate) fn matches_host_list(host: &str, list: &[u8]) -> bool {
    matches_list(host.to_ascii_lowercase().as_bytes(), &list.to_ascii_lowercase())
}

/// How much the lines of all files had compared that may name many things and many patterns: `SendEnv -PATTERN` and
/// IgnoreUnknown.
#[derive(Debug, Default)]
pub(crate) struct Compared(usize);

impl Compared {
    /// Bytes of names times bytes of patterns: a thousand of each, of usual lengths, several times.
    const MAX: usize = 1 << 30;

    /// Counts what is about to be compared, in bytes; too much in all is an error of these words.
    pub(crate) fn count(&mut self, names: usize, patterns: usize, message: &str) -> Result<(), ConfigError> {
        self.0 = self.0.saturating_add(names.saturating_mul(patterns));
        if self.0 > Self::MAX {
            return Err(ConfigError::new(ConfigErrorKind::TooLarge, message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (text, pattern, expected) in [
            ("", "", true),
            ("", "*", true),
            ("", "?", false),
            ("abc", "abc", true),
            ("abc", "a*", true),
            ("abc", "*c", true),
            ("abc", "*b*", true),
            ("abc", "a?c", true),
            ("abc", "ab", false),
            ("ab", "abc", false),
            ("mississippi", "m*iss*ip*i", true),
            ("mississippi", "m*iss*ip*x", false),
            ("aaa", "**a**", true),
        ] {
            assert_eq!(matches_pattern(text.as_bytes(), pattern.as_bytes()), expected, "{text} {pattern}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_exponential_time() {
        let pattern = b"*a".repeat(2_000);
        assert!(!matches_pattern(&b"a".repeat(1_999), &pattern));
    }

    #[test]
    fn lists_and_negation() {
        assert!(matches_list(b"web", b"db,web"));
        assert!(!matches_list(b"web", b"*,!web"));
        assert!(!matches_list(b"web", b"!db"));
        assert!(matches_list(b"web", b"!db,*"));
        assert!(matches_host_list("WEB.example", b"web.EXAMPLE"));
    }
}
