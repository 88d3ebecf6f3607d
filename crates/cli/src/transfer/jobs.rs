//! Which file goes where: a directory as the destination gives each source its last name.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rustle_sftp::{Error, ErrorKind, Files, Means, local_name};

use crate::failure::Failure;
use crate::names::Shown;
use crate::remote_path;

/// One file or directory to be moved.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) source: Place,
    /// Or why there is none.
    pub(super) destination: Result<Place, Failure>,
    /// Who chose the name of the destination.
    pub(super) name: Name,
    pub(super) kind: Kind,
}

/// What is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file, or what will turn out to be none.
    File,
    /// A directory with all that is in it.
    Tree,
}

/// Whether directories are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    Files,
    Trees,
}

/// Who chose a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Typed,
    /// The host, in a listing that a pattern was held against.
    Listed,
}

/// A path on one of the two sides.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Here(PathBuf),
    There(Vec<u8>),
}

impl Place {
    /// The same for all paths that name one file: macOS and Windows do not tell upper case from lower.
    fn as_one(&self) -> Self {
        match self {
            Self::Here(path) if cfg!(any(windows, target_os = "macos")) => {
                Self::Here(path.to_string_lossy().to_lowercase().into())
            }
            other => other.clone(),
        }
    }

    /// On Windows, a name that is no Unicode is in an encoding of its own.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Here(path) => path.as_os_str().as_encoded_bytes(),
            Self::There(path) => path,
        }
    }
}

/// Files of the host, to be fetched.
///
/// # Errors
/// The destination has to be a directory and is none, or the channel is over.
///
/// # Cancel safety
/// Nothing is changed by it.
pub(super) async fn to_here(
    files: &Files,
    sources: &[Vec<u8>],
    destination: &Path,
    depth: Depth,
    target: &str,
) -> Result<Vec<Job>, Failure> {
    let sources = found(files, sources, depth, target).await;
    let is_directory = destination.is_dir();
    let text = destination.as_os_str().as_encoded_bytes();
    let names_directory = text.ends_with(b"/") || cfg!(windows) && text.ends_with(b"\\");
    // What could not even be looked for is written nowhere.
    let mut wanted = sources.iter().filter(|source| source.is_there.is_ok());
    let is_tree = wanted.next().is_some_and(|source| source.kind == Kind::Tree);
    let more = wanted.count();
    if !is_directory && (more > 0 || names_directory && !is_tree) {
        return Err(no_directory(ErrorKind::Local, &Shown::of_local(destination.as_os_str()), 1 + more));
    }
    let mut jobs = Vec::with_capacity(sources.len());
    for Source { path: source, name, kind, is_there } in sources {
        let own_name = match kind {
            Kind::File => last_name(&source),
            Kind::Tree => last_name(without_slashes(&source)),
        };
        let destination = match (is_directory, own_name) {
            (false, _) => Ok(Place::Here(destination.to_owned())),
            (true, Some(own_name)) => match local_name(own_name) {
                Ok(own_name) => Ok(Place::Here(destination.join(own_name))),
                Err(refused) => Err(Failure::sftp(&or_missing(files, &source, name, refused).await, target)),
            },
            (true, None) if kind == Kind::Tree => Ok(Place::Here(destination.to_owned())),
            (true, None) => {
                Err(failed(ErrorKind::IsADirectory, &source, "a directory, and only files are moved")
                    .at(target))
            }
        };
        // Where the file could not even be looked for, that is what is said.
        let destination = is_there.and(destination);
        // The host chooses the name in a directory; another destination is what was typed, a link too.
        let name = if is_directory { name } else { Name::Typed };
        jobs.push(Job { source: Place::There(source), destination, name, kind });
    }
    Ok(each_by_itself(jobs))
}

/// Files of this side, to be sent.
///
/// # Errors
/// As [`to_here`].
///
/// # Cancel safety
/// Nothing is changed by it.
pub(super) async fn to_there(
    files: &Files,
    sources: &[PathBuf],
    destination: &[u8],
    depth: Depth,
    target: &str,
) -> Result<Vec<Job>, Failure> {
    let destination =
        remote_path::expanded(files, destination).await.map_err(|error| Failure::sftp(&error, target))?;
    let names_directory = last_name(&destination).is_none();
    let is_directory = match files.metadata(&destination).await {
        Ok(metadata) => metadata.is_dir(),
        // What there is cannot be asked: a slash says it. Without one, a directory takes a file under its own name all the same.
        Err(_) if files.means() == Means::Scp => names_directory,
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(Failure::sftp(&error, target)),
    };
    let kind_of = |source: &PathBuf| match depth {
        Depth::Trees if source.is_dir() => Kind::Tree,
        Depth::Trees | Depth::Files => Kind::File,
    };
    let is_tree = sources.first().is_some_and(|source| kind_of(source) == Kind::Tree);
    if !is_directory && (sources.len() > 1 || names_directory && !is_tree) {
        return Err(
            no_directory(ErrorKind::NotADirectory, &Shown::of(&destination), sources.len()).at(target)
        );
    }
    let job = |source: &PathBuf| {
        let shown = source.as_os_str().as_encoded_bytes();
        let kind = kind_of(source);
        let own_name = source.file_name().filter(|_| kind == Kind::File || !is_contents(shown));
        let destination = match (is_directory, own_name) {
            (false, _) if kind == Kind::Tree => Ok(Place::There(without_slashes(&destination).to_vec())),
            (false, _) => Ok(Place::There(destination.clone())),
            (true, None) if kind == Kind::Tree => Ok(Place::There(destination.clone())),
            (true, None) => Err(failed(ErrorKind::Local, shown, "a directory, and only files are moved")),
            // On Windows, what is not Unicode has no spelling that a server would understand.
            (true, Some(name)) if cfg!(unix) || name.to_str().is_some() => {
                Ok(Place::There(joined(&destination, name.as_encoded_bytes())))
            }
            (true, Some(_)) => Err(failed(ErrorKind::InvalidName, shown, "the name is not Unicode")),
        };
        Job { source: Place::Here(source.clone()), destination, name: Name::Typed, kind }
    };
    Ok(each_by_itself(sources.iter().map(job).collect()))
}

/// Why a file cannot have its name on this side. What was typed may be a pattern that fits nothing, which is seldom a name
/// on Windows: then it is said that there is no such file.
async fn or_missing(files: &Files, source: &[u8], name: Name, refused: Error) -> Error {
    match name {
        Name::Typed => files.metadata(source).await.err().unwrap_or(refused),
        Name::Listed => refused,
    }
}

/// Where two would be written to the same place, the second is not: it would replace what was just moved.
fn each_by_itself(mut jobs: Vec<Job>) -> Vec<Job> {
    let mut taken = HashSet::new();
    for job in &mut jobs {
        if let Ok(place) = &job.destination
            && !taken.insert(place.as_one())
        {
            let text = format!("{} is written by an earlier operand already", Shown::of(place.bytes()));
            let again = failed(ErrorKind::AlreadyExists, job.source.bytes(), &text);
            job.destination = Err(again.hint("move it by itself, to another name"));
        }
    }
    jobs
}

/// Something of the host that was typed or listed.
struct Source {
    path: Vec<u8>,
    name: Name,
    kind: Kind,
    is_there: Result<(), Failure>,
}

/// What is meant by what was typed; what fits no pattern is a name, and may be there as such. What cannot be looked for is
/// a failure of its own.
async fn found(files: &Files, typed: &[Vec<u8>], depth: Depth, target: &str) -> Vec<Source> {
    let mut all = Vec::with_capacity(typed.len());
    for typed in typed {
        let not_there = |path: &[u8], error: &Error| {
            let is_there = Err(Failure::sftp(error, target));
            Source { path: path.to_vec(), name: Name::Typed, kind: Kind::File, is_there }
        };
        let found = match remote_path::matches(files, typed).await {
            Ok(found) if found.entries.is_empty() && found.refused.is_empty() => {
                remote_path::expanded(files, typed).await.map(|path| (Name::Typed, vec![path]))
            }
            Ok(found) => {
                for error in &found.refused {
                    all.push(not_there(error.path().unwrap_or(typed), error));
                }
                let paths = found.entries.iter().map(|entry| entry.path().to_vec());
                Ok((Name::Listed, paths.collect()))
            }
            Err(error) => Err(error),
        };
        match found {
            Ok((name, paths)) => {
                for path in paths {
                    let kind = kind_there(files, &path, depth).await;
                    all.push(Source { path, name, kind, is_there: Ok(()) });
                }
            }
            Err(error) => all.push(not_there(typed, &error)),
        }
    }
    all
}

/// What cannot be asked is taken for a file: what is wrong with it is said when it is moved.
async fn kind_there(files: &Files, path: &[u8], depth: Depth) -> Kind {
    match depth {
        Depth::Trees if files.metadata(path).await.is_ok_and(|metadata| metadata.is_dir()) => Kind::Tree,
        Depth::Trees | Depth::Files => Kind::File,
    }
}

/// Whether what is in the directory is meant, and not the directory by its name.
fn is_contents(path: &[u8]) -> bool {
    path.ends_with(b"/.") || cfg!(windows) && path.ends_with(b"\\.")
}

/// The path of a directory as that of an entry.
fn without_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(path.len().min(1), |last| last + 1);
    &path[..end]
}

/// The name at a path's end, if it is that of an entry of a directory.
fn last_name(path: &[u8]) -> Option<&[u8]> {
    let name = path.rsplit(|byte| *byte == b'/').next()?;
    (!matches!(name, b"" | b"." | b"..")).then_some(name)
}

fn joined(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match directory {
        b"." => name.to_vec(),
        directory if directory.ends_with(b"/") => [directory, name].concat(),
        directory => [directory, b"/", name].concat(),
    }
}

fn failed(kind: ErrorKind, path: &[u8], why: &str) -> Failure {
    Failure::new(kind.code(), format!("{}: {why}", Shown::of(path)))
}

fn no_directory(kind: ErrorKind, destination: &Shown<'_>, sources: usize) -> Failure {
    let failure = Failure::new(kind.code(), format!("{destination}: there is no such directory"));
    match sources {
        1 => failure.hint("make it first, or leave the slash at the end out to write a file of that name"),
        _ => failure.hint("several files go to a directory that exists: make it first"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_name_is_that_of_an_entry() {
        assert_eq!(last_name(b"/a/b"), Some(&b"b"[..]));
        assert_eq!(last_name(b"~x"), Some(&b"~x"[..]));
        for none in [&b"/"[..], b"a/", b".", b"a/..", b""] {
            assert_eq!(last_name(none), None);
        }
    }

    #[test]
    fn a_directory_has_its_name_with_slashes_behind_it_too() {
        let name = |path: &'static [u8]| last_name(without_slashes(path));
        assert_eq!((name(b"/srv/www//"), name(b"www")), (Some(&b"www"[..]), Some(&b"www"[..])));
        assert_eq!((name(b"/"), name(b"/srv/."), name(b"..")), (None, None, None));
        assert!(is_contents(b"a/.") && !is_contents(b"a.") && !is_contents(b"a/.."));
    }

    #[test]
    fn a_name_goes_into_its_directory_with_one_slash() {
        assert_eq!(joined(b"/srv", b"a"), b"/srv/a");
        assert_eq!(joined(b"/", b"a"), b"/a");
        assert_eq!(joined(b".", b"a"), b"a");
    }

    #[test]
    fn the_second_of_two_files_for_one_place_is_refused() {
        let job = |source: &str| Job {
            name: Name::Typed,
            kind: Kind::File,
            source: Place::There(source.into()),
            destination: Ok(Place::Here("dir/x".into())),
        };
        let jobs = each_by_itself(vec![job("a/x"), job("b/x")]);
        assert!(jobs[0].destination.is_ok() && jobs[1].destination.is_err());
    }
}
