//! What makes the transfer of a tree a synchronisation.

use rustle_sftp_proto::{Attributes, Extension, FileKind};

use crate::error::{Error, ErrorKind, Result};
use crate::glob::pattern::{Component, Pattern};
use crate::local::details::{Details, Kind};
use crate::sftp::Sftp;

/// How a target is made equal to its source.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) compare: Compare,
    /// What only the target has is removed.
    pub(super) delete: bool,
    /// Nothing is changed.
    pub(super) dry: bool,
    pub(super) excluded: Vec<Pattern>,
}

/// When a file of the target is taken for the same as its source.
///
/// ```
/// assert_eq!(rustle_sftp::Compare::default(), rustle_sftp::Compare::TimeAndSize);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Compare {
    /// It was last changed in the same second, and is as long: what a listing says, so that nothing is read. The default.
    #[default]
    TimeAndSize,
    /// It is as long, and has the same SHA-256: both sides read all of it. Times are not looked at.
    Checksum,
}

/// What the target has under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct There {
    pub(super) kind: Kind,
    pub(super) length: Option<u64>,
    pub(super) modified: Option<u32>,
    /// Its permissions, as far as they are known.
    pub(super) mode: Option<u32>,
}

/// What is to be done about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Move,
    Same,
    /// Only what is in it can tell.
    Doubtful,
    /// Something is in its place that a file cannot replace.
    Taken,
}

impl Rules {
    /// Whether a path below the top of the tree is left alone on both sides.
    pub(super) fn excludes(&self, relative: &[u8], is_directory: bool) -> bool {
        self.excluded.iter().any(|pattern| fits(pattern, relative, is_directory))
    }

    /// Whether files of the server are opened to be compared.
    pub(super) fn opens_to_compare(&self, sftp: &Sftp) -> bool {
        self.compare == Compare::Checksum && sftp.engine().has(Extension::CheckFile)
    }

    /// What is to be done about a file of this length and time.
    pub(super) fn judge(&self, length: Option<u64>, modified: Option<u32>, there: Option<There>) -> Verdict {
        let Some(there) = there else { return Verdict::Move };
        match there.kind {
            Kind::Directory => return Verdict::Taken,
            // A link is replaced, and so is a device of the target.
            Kind::Link | Kind::Special => return Verdict::Move,
            Kind::File => {}
        }
        if length.is_none() || length != there.length {
            return Verdict::Move;
        }
        match self.compare {
            Compare::Checksum => Verdict::Doubtful,
            Compare::TimeAndSize if modified.is_some() && modified == there.modified => Verdict::Same,
            Compare::TimeAndSize => Verdict::Move,
        }
    }
}

impl From<&Details> for There {
    fn from(details: &Details) -> Self {
        let (length, mode) = (Some(details.length()), Some(details.mode()));
        Self { kind: details.kind(), length, modified: details.modified(), mode }
    }
}

impl From<&Attributes> for There {
    fn from(attributes: &Attributes) -> Self {
        // A server that does not say what it is has a file there, or an error when it is written.
        let kind = attributes.kind().map_or(Kind::File, Kind::from);
        let mode = attributes.permissions().map(|mode| mode & 0o777);
        Self { kind, length: attributes.size(), modified: attributes.modified(), mode }
    }
}

impl From<FileKind> for Kind {
    fn from(kind: FileKind) -> Self {
        match kind {
            FileKind::File => Self::File,
            FileKind::Directory => Self::Directory,
            FileKind::Symlink => Self::Link,
            _ => Self::Special,
        }
    }
}

/// As a line of `.gitignore`: a pattern without a slash, but for one at its end, is for a name at any depth, others are for
/// paths from the top on; one with a slash at its end is for directories alone.
pub(super) fn excluding(text: &[u8]) -> Result<Pattern> {
    let within = text.strip_suffix(b"/").unwrap_or(text);
    if within.is_empty() || within == b"/" {
        // It would be everything.
        let why = "the pattern is for no name";
        return Err(Error::new(ErrorKind::InvalidArgument, "exclude", why).at(text));
    }
    match within.strip_prefix(b"/") {
        Some(_) => Pattern::new(text.strip_prefix(b"/").unwrap_or(text)),
        None if within.contains(&b'/') => Pattern::new(text),
        None => Pattern::new(&[b"**/", text].concat()),
    }
}

fn fits(pattern: &Pattern, relative: &[u8], is_directory: bool) -> bool {
    if pattern.wants_directories() && !is_directory {
        return false;
    }
    let mut places = vec![0];
    for name in relative.split(|byte| *byte == b'/') {
        let mut next = Vec::new();
        for place in places.iter().flat_map(|place| pattern.at(*place)) {
            let after = match pattern.component(place) {
                Some(Component::AnyDepth) => place,
                Some(component) if component.fits(name) => place + 1,
                _ => continue,
            };
            if !next.contains(&after) {
                next.push(after);
            }
        }
        places = next;
    }
    places.iter().flat_map(|place| pattern.at(*place)).any(|place| pattern.is_end(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excludes(pattern: &str, path: &str, is_directory: bool) -> bool {
        fits(&excluding(pattern.as_bytes()).unwrap(), path.as_bytes(), is_directory)
    }

    #[test]
    fn a_pattern_is_for_names_anywhere_for_paths_or_for_directories() {
        assert!(excludes("*.o", "a/b/c.o", false) && excludes("*.o", "c.o", false));
        assert!(!excludes("*.o", "c.obj", false) && !excludes("*.o", "c.o/x", false));
        assert!(excludes("target/", "a/target", true) && !excludes("target/", "a/target", false));
        assert!(excludes("/build", "build", true) && !excludes("/build", "a/build", true));
        assert!(excludes("a/*.txt", "a/b.txt", false) && !excludes("a/*.txt", "c/a/b.txt", false));
        assert!(excludes("a/**/z", "a/b/c/z", false) && excludes("a/**/z", "a/z", false));
        assert!([&b""[..], b"/", b"//"].iter().all(|empty| excluding(empty).is_err()));
    }

    #[test]
    fn what_is_as_long_and_as_old_is_the_same_unless_the_content_is_asked_for() {
        let there = |kind, length, modified| {
            Some(There { kind, length: Some(length), modified: Some(modified), mode: None })
        };
        let rules = Rules::default();
        let judge = |there| rules.judge(Some(5), Some(100), there);
        assert_eq!(judge(None), Verdict::Move);
        assert_eq!(judge(there(Kind::File, 5, 100)), Verdict::Same);
        assert_eq!(judge(there(Kind::File, 5, 99)), Verdict::Move);
        assert_eq!(judge(there(Kind::File, 6, 100)), Verdict::Move);
        assert_eq!(judge(there(Kind::Link, 5, 100)), Verdict::Move);
        assert_eq!(judge(there(Kind::Directory, 5, 100)), Verdict::Taken);
        assert_eq!(rules.judge(Some(5), None, there(Kind::File, 5, 100)), Verdict::Move);
        let rules = Rules { compare: Compare::Checksum, ..Rules::default() };
        assert_eq!(rules.judge(Some(5), Some(100), there(Kind::File, 5, 7)), Verdict::Doubtful);
        assert_eq!(rules.judge(Some(6), Some(100), there(Kind::File, 5, 100)), Verdict::Move);
    }
}
