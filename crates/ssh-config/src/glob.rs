//! The wildcards of `Include`: `*`, `?` and `[…]` in any part of a path.

use std::io;

use crate::Source;

/// The paths that match, sorted; a path without wildcards is itself. The parts before a wildcard are listed
/// through the source, and a directory that is not there has no names in it.
pub(crate) fn expand(pattern: &str, source: &dyn Source, limit: usize) -> io::Result<Vec<String>> {
    let mut found = vec![String::new()];
    for (index, part) in pattern.split(is_separator).enumerate() {
        let mut next = Vec::new();
        for path in found {
            let joined = |name: &str| if index == 0 { name.to_owned() } else { format!("{path}/{name}") };
            if !part.contains(['*', '?', '[']) {
                next.push(joined(&part.replace('\\', "")));
                continue;
            }
            let directory = if path.is_empty() { "/" } else { &path };
            let mut names = source.list(directory)?;
            names.sort();
            next.extend(names.iter().filter(|name| fits(name, part)).map(|name| joined(name)));
            if next.len() > limit {
                return Err(io::Error::other("too many files match"));
            }
        }
        found = next;
    }
    Ok(found)
}

/// On Windows `\` separates; elsewhere it escapes.
fn is_separator(c: char) -> bool {
    c == '/' || (cfg!(windows) && c == '\\')
}

/// Whether a name matches; a leading dot has to be named.
fn fits(name: &str, pattern: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let name: Vec<char> = name.chars().collect();
    let items = items(&pattern.chars().collect::<Vec<_>>());
    let (mut n, mut i, mut retry) = (0, 0, None);
    while n < name.len() {
        match items.get(i) {
            Some(Item::Run) => {
                retry = Some((n, i));
                i += 1;
            }
            Some(item) if item.takes(name[n]) => {
                n += 1;
                i += 1;
            }
            _ => match retry {
                Some((start, run)) => {
                    retry = Some((start + 1, run));
                    n = start + 1;
                    i = run + 1;
                }
                None => return false,
            },
        }
    }
    items[i..].iter().all(|item| matches!(item, Item::Run))
}

enum Item {
    Run,
    Any,
    One(char),
    Set { negated: bool, ranges: Vec<(char, char)> },
}

impl Item {
    fn takes(&self, c: char) -> bool {
        match self {
            Item::Run => false,
            Item::Any => true,
            Item::One(one) => *one == c,
            Item::Set { negated, ranges } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&c)) != *negated
            }
        }
    }
}

fn items(pattern: &[char]) -> Vec<Item> {
    let mut items = Vec::new();
    let mut at = 0;
    while at < pattern.len() {
        let (item, length) = match pattern[at] {
            '*' => (Item::Run, 1),
            '?' => (Item::Any, 1),
            '\\' if at + 1 < pattern.len() => (Item::One(pattern[at + 1]), 2),
            // A bracket that is never closed is an ordinary character (POSIX 2.13.1).
            '[' => set(&pattern[at..]).unwrap_or((Item::One('['), 1)),
            c => (Item::One(c), 1),
        };
        items.push(item);
        at += length;
    }
    items
}

fn set(pattern: &[char]) -> Option<(Item, usize)> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let start = if negated { 2 } else { 1 };
    let mut ranges = Vec::new();
    let mut at = start;
    loop {
        let first = *pattern.get(at)?;
        // A closing bracket in the first place is a member.
        if first == ']' && at > start {
            return Some((Item::Set { negated, ranges }, at + 1));
        }
        match (pattern.get(at + 1), pattern.get(at + 2)) {
            (Some('-'), Some(last)) if *last != ']' => {
                ranges.push((first, *last));
                at += 3;
            }
            _ => {
                ranges.push((first, first));
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemorySource;

    #[test]
    fn names_and_patterns() {
        for (name, pattern, expected) in [
            ("a.conf", "*.conf", true),
            (".a.conf", "*.conf", false),
            (".a.conf", ".*", true),
            ("b", "[a-c]", true),
            ("d", "[a-c]", false),
            ("d", "[!a-c]", true),
            ("]", "[]a]", true),
            ("-", "[a-]", true),
            ("[", "[", true),
            ("*", r"\*", true),
            ("x", r"\*", false),
            ("10-web", "??-*", true),
        ] {
            assert_eq!(fits(name, pattern), expected, "{name} {pattern}");
        }
    }

    #[test]
    fn wildcards_in_any_part_and_in_order() {
        let source = ["/c/b/2", "/c/b/1", "/c/a/1", "/c/.h/1", "/c/a/x/1"]
            .iter()
            .fold(MemorySource::new("u", "/u"), |source, path| source.file(*path, ""));
        assert_eq!(expand("/c/*/1", &source, 9).unwrap(), ["/c/a/1", "/c/b/1"]);
        assert_eq!(expand("/c/b/*", &source, 9).unwrap(), ["/c/b/1", "/c/b/2"]);
        assert_eq!(expand("/*/b/1", &source, 9).unwrap(), ["/c/b/1"]);
        assert_eq!(expand("/c/none/1", &source, 9).unwrap(), ["/c/none/1"]);
        assert_eq!(expand("/none/*", &source, 9).unwrap(), [""; 0]);
        assert!(expand("/c/*/*", &source, 2).is_err());
    }
}
