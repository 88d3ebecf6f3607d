//! Patterns, and what fits them.

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};

/// A pattern, taken apart at its slashes.
#[derive(Debug)]
pub(crate) struct Pattern {
    is_absolute: bool,
    components: Vec<Component>,
    wants_directories: bool,
}

/// What stands between two slashes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Component {
    /// A name without anything special, as it is.
    Plain(Bytes),
    /// `**`.
    AnyDepth,
    Matching(Vec<Token>),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Character(u32),
    One,
    Any,
    Of { ranges: Vec<(u32, u32)>, are_excluded: bool },
}

impl Pattern {
    pub(crate) fn new(pattern: &[u8]) -> Result<Self> {
        let mut components: Vec<Component> = Vec::new();
        for part in split(pattern) {
            let component = Component::new(part);
            // Twice in a row it means the same as once.
            if component == Component::AnyDepth && components.last() == Some(&Component::AnyDepth) {
                continue;
            }
            let goes_up = component == Component::Plain(Bytes::from_static(b".."));
            if goes_up && components.contains(&Component::AnyDepth) {
                let text = "a pattern cannot go up behind **, from where it may be anywhere";
                return Err(Error::new(ErrorKind::InvalidArgument, "glob", text).at(pattern));
            }
            if component != Component::Plain(Bytes::from_static(b".")) {
                components.push(component);
            }
        }
        let is_absolute = pattern.starts_with(b"/");
        if pattern.is_empty() {
            return Err(Error::new(ErrorKind::InvalidArgument, "glob", "the pattern is empty"));
        }
        let wants_directories = pattern.ends_with(b"/");
        Ok(Self { is_absolute, components, wants_directories })
    }

    /// Where it begins.
    pub(crate) fn root(&self) -> &'static [u8] {
        if self.is_absolute { b"/" } else { b"" }
    }

    /// The components that may be next at a place: behind a `**` too, which may be nothing.
    pub(crate) fn at(&self, place: usize) -> Vec<usize> {
        match self.components.get(place) {
            Some(Component::AnyDepth) => vec![place, place + 1],
            _ => vec![place],
        }
    }

    pub(crate) fn component(&self, place: usize) -> Option<&Component> {
        self.components.get(place)
    }

    /// Whether nothing is left of it here.
    pub(crate) fn is_end(&self, place: usize) -> bool {
        place >= self.components.len()
    }

    pub(crate) fn wants_directories(&self) -> bool {
        self.wants_directories
    }
}

impl Component {
    fn new(part: &[u8]) -> Self {
        if part == b"**" {
            return Self::AnyDepth;
        }
        let tokens = tokens(part);
        if tokens.iter().any(|token| !matches!(token, Token::Character(_))) {
            return Self::Matching(tokens);
        }
        let name = tokens.iter().flat_map(|token| match token {
            Token::Character(value) => bytes_of(*value),
            _ => Vec::new(),
        });
        Self::Plain(name.collect())
    }

    /// Whether a name fits it, `**` left aside.
    pub(crate) fn fits(&self, name: &[u8]) -> bool {
        match self {
            Self::Plain(plain) => *plain == name,
            Self::AnyDepth => false,
            Self::Matching(tokens) => {
                let hidden =
                    name.starts_with(b".") && tokens.first() != Some(&Token::Character(u32::from(b'.')));
                !hidden && matches(tokens, &characters(name))
            }
        }
    }
}

/// Each `*` is tried with as little as possible first, and only the last one is gone back to: the time is the product
/// of both lengths at most.
fn matches(tokens: &[Token], name: &[u32]) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < name.len() {
        match tokens.get(token) {
            Some(Token::Any) => {
                star = Some((token, at));
                token += 1;
            }
            Some(one) if one.fits(name[at]) => {
                token += 1;
                at += 1;
            }
            _ => match &mut star {
                Some((any, from)) => {
                    *from += 1;
                    (token, at) = (*any + 1, *from);
                }
                None => return false,
            },
        }
    }
    tokens[token..].iter().all(|token| *token == Token::Any)
}

impl Token {
    fn fits(&self, character: u32) -> bool {
        match self {
            Self::Character(value) => *value == character,
            Self::One => true,
            Self::Any => false,
            Self::Of { ranges, are_excluded } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&character)) != *are_excluded
            }
        }
    }
}

fn tokens(part: &[u8]) -> Vec<Token> {
    let all = characters(part);
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&character) = all.get(at) {
        at += 1;
        let token = match char::from_u32(character) {
            Some('*') if tokens.last() == Some(&Token::Any) => continue,
            Some('*') => Token::Any,
            Some('?') => Token::One,
            Some('[') => match set(&all[at..]) {
                Some((set, length)) => {
                    at += length;
                    set
                }
                // Without its end it is a character as any other, as in a shell.
                None => Token::Character(character),
            },
            Some('\\') if at < all.len() => {
                at += 1;
                Token::Character(all[at - 1])
            }
            _ => Token::Character(character),
        };
        tokens.push(token);
    }
    tokens
}

/// What stands behind a `[`, and how long it is with its `]`.
fn set(all: &[u32]) -> Option<(Token, usize)> {
    let is = |at: usize, wanted: char| all.get(at) == Some(&u32::from(wanted));
    let are_excluded = is(0, '!') || is(0, '^');
    let start = usize::from(are_excluded);
    let mut at = start;
    let mut ranges = Vec::new();
    let one = |at: &mut usize| -> Option<u32> {
        if all.get(*at) == Some(&u32::from('\\')) && *at + 1 < all.len() {
            *at += 1;
        }
        *at += 1;
        all.get(*at - 1).copied()
    };
    loop {
        // One that comes first is not the end.
        if is(at, ']') && at > start {
            return Some((Token::Of { ranges, are_excluded }, at + 1));
        }
        let from = one(&mut at)?;
        let mut to = from;
        if is(at, '-') && !is(at + 1, ']') && at + 1 < all.len() {
            at += 1;
            to = one(&mut at)?;
        }
        ranges.push((from, to));
    }
}

/// The parts between slashes that are not escaped inside brackets: a slash always parts, as POSIX has it.
fn split(pattern: &[u8]) -> impl Iterator<Item = &[u8]> {
    pattern.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
}

/// Characters of UTF-8, and bytes that are none as numbers beyond them.
fn characters(bytes: &[u8]) -> Vec<u32> {
    let mut all = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        all.extend(chunk.valid().chars().map(u32::from));
        all.extend(chunk.invalid().iter().map(|byte| BEYOND + u32::from(*byte)));
    }
    all
}

fn bytes_of(value: u32) -> Vec<u8> {
    match char::from_u32(value) {
        Some(character) => character.to_string().into_bytes(),
        None => vec![value.to_le_bytes()[0]],
    }
}

/// Past the last character; its lowest byte is 0.
const BEYOND: u32 = 0x0020_0000;

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, name: &[u8]) -> bool {
        Component::new(pattern.as_bytes()).fits(name)
    }

    #[test]
    fn names_fit_as_in_a_shell() {
        for (pattern, name) in [
            ("*", "a"),
            ("a*", "a"),
            ("*b*b", "abcbb"),
            ("?", "ä"),
            ("[a-c]", "b"),
            ("[!a-c]", "d"),
            ("[]]", "]"),
            ("[^]a]", "x"),
            ("[a-]", "-"),
            ("a[", "a["),
            ("\\*", "*"),
            ("[\\]]x", "]x"),
            (".*", ".x"),
            ("plain", "plain"),
            ("[α-ω]*", "λx"),
        ] {
            assert!(fits(pattern, name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*", ".x"),
            ("?x", ".x"),
            ("[.]x", ".x"),
            ("a*b", "abc"),
            ("?", ""),
            ("??", "ä"),
            ("[a-c]", "d"),
            ("[!a]", "a"),
            ("\\*", "a"),
            ("A", "a"),
            ("a[", "a"),
            ("*.log", "log"),
        ] {
            assert!(!fits(pattern, name.as_bytes()), "{pattern} {name}");
        }
        assert!(fits("a?c*", b"a\xffc\xfe") && !fits("a?c", b"a\xff\xffc"));
        assert_eq!(Component::new(b"a\xff\\*"), Component::Plain(Bytes::from_static(b"a\xff*")));
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = format!("{}b", "*a".repeat(100));
        assert!(!fits(&pattern, &[b'a'; 30_000]));
    }

    #[test]
    fn a_pattern_is_taken_apart_at_its_slashes() {
        let pattern = Pattern::new(b"/srv//**/**/./*.rs/").unwrap();
        assert_eq!(pattern.components.len(), 3);
        assert!(pattern.wants_directories() && pattern.root() == b"/");
        assert_eq!((pattern.at(0), pattern.at(1), pattern.at(2)), (vec![0], vec![1, 2], vec![2]));
        assert!(pattern.is_end(3));
        assert_eq!(Pattern::new(b"**/../x").unwrap_err().kind(), ErrorKind::InvalidArgument);
        assert!(Pattern::new(b"../**").is_ok());
    }
}
