//! The wildcards of `Include`: `*`, `?` and `[…]` in any part of a path.

use std::io;

use crate::Source;

/// No path of a system is longer; a pattern that is would only take time.
const LONGEST_PATTERN: usize = 4_096;

/// The paths that match, sorted; a path without wildcards is itself, and behind a wildcard a part without one may not be
/// there. The parts before a wildcard are listed
/// through the source, and a directory that is not there has no names in it. `limit` is how many paths may match,
/// and `listings` how many directories may still be listed.
pub(crate) fn expand(
    pattern: &str,
    source: &dyn Source,
    limit: usize,
    listings: &mut usize,
) -> io::Result<Vec<String>> {
    if pattern.len() > LONGEST_PATTERN {
        return Err(io::Error::other(format!("the pattern is longer than {LONGEST_PATTERN} bytes")));
    }
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
            *listings =
                listings.checked_sub(1).ok_or_else(|| io::Error::other("too many directories to list"))?;
            let names = source.list(directory)?;
            next.extend(names.iter().filter(|name| fits(name, part)).map(|name| joined(name)));
            if next.len() > limit {
                return Err(io::Error::other("too many files match"));
            }
        }
        found = next;
    }
    // By whole paths, as glob(3): `x.d/c` before `x/c`.
    found.sort();
    Ok(found)
}

/// Whether the names that match were seen in a directory, so that each is there.
pub(crate) fn lists_names(pattern: &str) -> bool {
    pattern.rsplit(is_separator).next().is_some_and(|last| last.contains(['*', '?', '[']))
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
        if first == '['
            && let Some((class, length)) = class(&pattern[at..])
        {
            ranges.extend(class);
            at += length;
            continue;
        }
        let (first, length) = member(&pattern[at..])?;
        at += length;
        match (pattern.get(at), pattern.get(at + 1)) {
            (Some('-'), Some(last)) if *last != ']' => {
                let (last, length) = member(&pattern[at + 1..])?;
                ranges.push((first, last));
                at += 1 + length;
            }
            _ => ranges.push((first, first)),
        }
    }
}

/// One character of a set, and how many it takes to write it.
fn member(pattern: &[char]) -> Option<(char, usize)> {
    match pattern {
        ['\\', escaped, ..] => Some((*escaped, 2)),
        [plain, ..] => Some((*plain, 1)),
        [] => None,
    }
}

/// `[:class:]`, `[=x=]` or `[.x.]` in a set (POSIX 9.3.5), as in the C locale.
fn class(pattern: &[char]) -> Option<(Vec<(char, char)>, usize)> {
    let kind = *pattern.get(1).filter(|kind| matches!(kind, ':' | '=' | '.'))?;
    let end = pattern.windows(2).skip(2).position(|pair| pair == [kind, ']'])? + 2;
    let name: String = pattern.get(2..end)?.iter().collect();
    let ranges: &[(char, char)] = match (kind, name.as_str()) {
        (':', "alnum") => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        (':', "alpha") => &[('A', 'Z'), ('a', 'z')],
        (':', "blank") => &[('\t', '\t'), (' ', ' ')],
        (':', "cntrl") => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        (':', "digit") => &[('0', '9')],
        (':', "graph") => &[('!', '~')],
        (':', "lower") => &[('a', 'z')],
        (':', "print") => &[(' ', '~')],
        (':', "punct") => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        (':', "space") => &[('\t', '\r'), (' ', ' ')],
        (':', "upper") => &[('A', 'Z')],
        (':', "xdigit") => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        (':', _) => return None,
        (_, one) => {
            let one = one.chars().next().filter(|first| first.len_utf8() == one.len())?;
            return Some((vec![(one, one)], end + 2));
        }
    };
    Some((ranges.to_vec(), end + 2))
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
            ("10-web", "[[:digit:]]*", true),
            ("web", "[[:digit:]]*", false),
            ("web", "[![:digit:]_]*", true),
            ("_web", "[![:digit:]_]*", false),
            ("aX7", "[[:lower:]][[:upper:]][[:xdigit:]]", true),
            ("]", r"[\]]", true),
            ("b", r"[\a-c]", true),
            ("a", "[[=a=]]", true),
            ("a", "[[.a.]b]", true),
            (":", "[[:]", true),
        ] {
            assert_eq!(fits(name, pattern), expected, "{name} {pattern}");
        }
    }

    #[test]
    fn wildcards_in_any_part_and_in_order() {
        let source = ["/c/b/2", "/c/b/1", "/c/a/1", "/c/.h/1", "/c/a/x/1"]
            .iter()
            .fold(MemorySource::new("u", "/u"), |source, path| source.file(*path, ""));
        let expand = |pattern: &str, source: &MemorySource, limit| expand(pattern, source, limit, &mut 3);
        assert_eq!(expand("/c/*/1", &source, 9).unwrap(), ["/c/a/1", "/c/b/1"]);
        assert_eq!(expand("/c/b/*", &source, 9).unwrap(), ["/c/b/1", "/c/b/2"]);
        assert_eq!(expand("/*/b/1", &source, 9).unwrap(), ["/c/b/1"]);
        assert_eq!(expand("/c/none/1", &source, 9).unwrap(), ["/c/none/1"]);
        assert_eq!(expand("/none/*", &source, 9).unwrap(), [""; 0]);
        let dotted = ["/c/x/1", "/c/x.d/1", "/c/x-/1"]
            .iter()
            .fold(MemorySource::new("u", "/u"), |source, path| source.file(*path, ""));
        assert_eq!(expand("/c/*/1", &dotted, 9).unwrap(), ["/c/x-/1", "/c/x.d/1", "/c/x/1"]);
        assert!(expand("/c/*/*", &source, 2).is_err());
        // Five directories, and three may be listed.
        assert!(expand("/c/*/*/*", &source, 99).unwrap_err().to_string().contains("directories"));
        assert!(expand(&"/*".repeat(4_000), &source, 99).is_err());
    }
}
