//! What either side says of a host: its settings line by line, or why it will not tell them.

use std::fmt;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Settings(Vec<String>),
    Refused(Refusal),
}

impl Answer {
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        let lines: &[String] = match self {
            Self::Settings(lines) => lines,
            Self::Refused(_) => &[],
        };
        lines.iter().map(String::as_str)
    }

    /// What stands behind a keyword, where it has a line.
    pub(crate) fn value(&self, keyword: &str) -> Option<&str> {
        self.lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(name, _)| *name == keyword)
            .map(|(_, value)| value)
    }

    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Settings(_) => None,
            Self::Refused(refusal) => Some(refusal),
        }
    }
}

/// Why there are no settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    /// The file and the line of it, where one is named.
    pub(crate) place: Option<(String, usize)>,
    pub(crate) text: String,
}

/// What is wrong, as far as both sides tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// No such keyword.
    Keyword,
    /// The line cannot be taken apart, or its value does not fit.
    Line,
    /// The value is taken at first and refused once the tokens and variables in it are to be filled in, or once it
    /// meets others.
    Meaning,
    /// Who may write to the file.
    Permissions,
    /// The file cannot be read.
    File,
    /// Too many files within files.
    Depth,
    /// A name that cannot be one, or that is not found.
    Name,
    /// Something else; the text says it.
    Other,
}

impl Refusal {
    /// Whether it tells nothing of its reason: with LogLevel fatal and below, ssh keeps that to itself.
    pub(crate) fn is_silent(&self) -> bool {
        let says_nothing = self.text.contains("terminating,") || self.text.starts_with(SILENT);
        self.kind == Kind::Other && self.place.is_none() && says_nothing
    }
}

/// What is told of an ssh that ended without a word, before its code.
pub(crate) const SILENT: &str = "exit code ";

impl Kind {
    pub(crate) const ALL: [(&'static str, Kind); 8] = [
        ("keyword", Kind::Keyword),
        ("line", Kind::Line),
        ("meaning", Kind::Meaning),
        ("permissions", Kind::Permissions),
        ("file", Kind::File),
        ("depth", Kind::Depth),
        ("name", Kind::Name),
        ("other", Kind::Other),
    ];

    pub(crate) fn named(name: &str) -> Option<Kind> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused ({}", self.kind)?;
        if let Some((file, line)) = &self.place {
            write!(f, ", {file} line {line}")?;
        }
        write!(f, "): {}", self.text.trim_end())
    }
}
