//! The arguments of one line, and how each shape of them is read.

use std::collections::HashSet;
use std::fmt::Display;

use crate::lexer::Line;
use crate::value::forward::Direction;
use crate::{ConfigError, ConfigErrorKind, Forward, Keyword, Origin, Source, expand};

/// As many as ssh takes of each.
const MAX_KNOWN_HOSTS_FILES: usize = 32;
/// ssh has no limit here; this one is far above any use.
pub(crate) const MAX_WORDS: usize = 1_024;
/// The longest name of a host that systems resolve; all patterns are compared with names.
pub(crate) const MAX_NAME: usize = 1_025;

pub(crate) struct Args<'a> {
    keyword: Keyword,
    rest: &'a [u8],
    args: std::slice::Iter<'a, Vec<u8>>,
    source: &'a dyn Source,
}

impl<'a> Args<'a> {
    pub(crate) fn new(keyword: Keyword, line: &'a Line<'_>, source: &'a dyn Source) -> Args<'a> {
        Args { keyword, rest: line.rest, args: line.args.iter(), source }
    }

    /// The next argument, which has to be there.
    pub(crate) fn one<T>(&mut self, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, ConfigError> {
        let arg = self.args.next().filter(|arg| !arg.is_empty());
        let arg = arg.ok_or_else(|| self.bad("it has no value"))?;
        parse(self.utf8(arg)?).map_err(|message| self.bad(message))
    }

    /// The next argument, where there is one.
    pub(crate) fn another(&mut self) -> Result<Option<String>, ConfigError> {
        match self.args.next() {
            Some(arg) => self.word(arg).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn all(&mut self) -> Result<Vec<String>, ConfigError> {
        let args = std::mem::take(&mut self.args);
        if args.len() > MAX_WORDS {
            return Err(self.bad(format!("more than {MAX_WORDS} values")));
        }
        let words: Result<Vec<String>, ConfigError> = args.map(|arg| self.word(arg)).collect();
        let words = words?;
        if words.is_empty() { Err(self.bad("it has no value")) } else { Ok(words) }
    }

    /// Words none of which is empty, where `none` stands alone.
    pub(crate) fn words(&mut self) -> Result<Vec<String>, ConfigError> {
        let words = self.all()?;
        if words.iter().any(String::is_empty) {
            return Err(self.bad("it has an empty value"));
        }
        if words.len() > 1 && words.iter().any(|word| word.eq_ignore_ascii_case("none")) {
            return Err(self.bad("\"none\" stands with other values"));
        }
        Ok(words)
    }

    /// As [`words`](Self::words), where `none` is no word at all.
    pub(crate) fn words_or_none(&mut self) -> Result<Vec<String>, ConfigError> {
        let mut words = self.words()?;
        words.retain(|word| !word.eq_ignore_ascii_case("none"));
        Ok(words)
    }

    /// Names of files, as many as ssh takes.
    pub(crate) fn files(&mut self) -> Result<Vec<String>, ConfigError> {
        let files = self.words_or_none()?;
        if files.len() > MAX_KNOWN_HOSTS_FILES {
            return Err(self.bad(format!("it names more than {MAX_KNOWN_HOSTS_FILES} files")));
        }
        Ok(files)
    }

    /// `NAME=VALUE` words, the first of each name.
    pub(crate) fn variables(&mut self) -> Result<Vec<(String, String)>, ConfigError> {
        let mut variables: Vec<(String, String)> = Vec::new();
        let mut names = HashSet::new();
        for word in self.all()? {
            // Not the word itself: it may hold a secret.
            let (name, value) = word
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| self.bad("a word is not of the form NAME=VALUE"))?;
            if names.insert(name.to_owned()) {
                variables.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(variables)
    }

    /// A forwarding's one or two arguments.
    pub(crate) fn forward(&mut self, origin: &Origin) -> Result<Forward, ConfigError> {
        let listen = self.one(text)?;
        let target = if self.keyword == Keyword::DynamicForward { None } else { self.another()? };
        let direction = match (self.keyword, &target) {
            (Keyword::DynamicForward, _) => Direction::Dynamic,
            (Keyword::RemoteForward, None) => Direction::RemoteDynamic,
            (Keyword::RemoteForward, Some(_)) => Direction::Remote,
            (_, None) => return Err(self.bad("it has no target")),
            _ => Direction::Local,
        };
        let spec = target.map_or(listen.clone(), |target| format!("{listen}:{target}"));
        let source = self.source;
        expand::environment(&spec, source)
            .and_then(|spec| Forward::parse(&spec, direction, origin, source))
            .map_err(|message| self.bad(message))
    }

    /// The rest of the line as it stands, with its quotes and spaces.
    pub(crate) fn rest(&mut self) -> Result<String, ConfigError> {
        self.args = std::slice::Iter::default();
        let rest = self.rest.trim_ascii_start();
        let start = rest.iter().position(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n' | b'='));
        let rest = self.utf8(&rest[start.unwrap_or(rest.len())..])?;
        text(rest).map_err(|message| self.bad(message))
    }

    pub(crate) fn end(&mut self) -> Result<(), ConfigError> {
        match self.args.next() {
            Some(_) => Err(self.bad("there is more on the line than it takes; quote a value with blanks")),
            None => Ok(()),
        }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.args.as_slice().is_empty()
    }

    pub(crate) fn bad(&self, message: impl Display) -> ConfigError {
        ConfigError::new(ConfigErrorKind::InvalidValue, format!("{}: {message}", self.keyword))
    }

    fn word(&self, arg: &[u8]) -> Result<String, ConfigError> {
        text(self.utf8(arg)?).map_err(|message| self.bad(message))
    }

    fn utf8<'t>(&self, arg: &'t [u8]) -> Result<&'t str, ConfigError> {
        std::str::from_utf8(arg).map_err(|_| self.bad("its value is not UTF-8"))
    }
}

/// Text as it stands, without control characters: it reaches names, paths, command lines and messages.
pub(crate) fn text(word: &str) -> Result<String, String> {
    if word.contains(|c: char| c.is_control() && c != '\t') {
        return Err("its value has a control character".to_owned());
    }
    Ok(word.to_owned())
}

/// A name with which patterns are compared.
pub(crate) fn name(word: &str) -> Result<String, String> {
    if word.len() > MAX_NAME {
        return Err(format!("it has {} bytes; names have {MAX_NAME} at most", word.len()));
    }
    text(word)
}
