//! How a path becomes a place in a tree: POSIX path resolution (XBD 4.16), the same for memory and disk.

use std::borrow::Cow;

use bytes::Bytes;

use crate::storage::{Existing, Links, StorageError};

/// What a walk asks of the tree it walks on.
pub(crate) trait Ground {
    /// A file or directory of the tree.
    type Place: Clone;

    fn root(&self) -> Self::Place;

    /// The directory above; the root's is the root.
    fn parent(&self, directory: &Self::Place) -> Self::Place;

    /// Whether names in this directory may be looked up. Called before each [`look`](Self::look).
    fn search(&self, directory: &Self::Place) -> Result<(), StorageError>;

    /// What this name means in this directory.
    fn look(&self, directory: &Self::Place, name: &[u8]) -> Result<Found<Self::Place>, StorageError>;
}

/// What a name was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found<P> {
    Missing,
    Directory(P),
    /// A symbolic link, and what it reads.
    Link(P, Bytes),
    /// Anything that is neither.
    File(P),
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spot<P> {
    /// A directory, named by `/`, `.` or `..` as the last part.
    Unnamed(P),
    /// A name in a directory, and what it was found to be.
    Named { parent: P, name: Bytes, found: Found<P>, slash: Slash },
}

/// Whether the path ended in a slash, and so meant a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slash {
    Yes,
    No,
}

/// What the last part of a path is to be taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// What a link leads to.
    Target,
    /// What is there, be it a link; a link and a slash are what it leads to.
    Itself,
    /// A name, to be made, moved or removed: a link and a slash are still the link.
    Name,
}

/// POSIX's limits as Linux has them, and the number of links it follows.
pub(crate) const LONGEST_NAME: usize = 255;
pub(crate) const LONGEST_PATH: usize = 4096;
const MOST_LINKS: usize = 40;

/// Follows a path from the root on. The last part need not exist.
pub(crate) fn walk<G: Ground>(ground: &G, path: &[u8], last: Last) -> Result<Spot<G::Place>, StorageError> {
    if path.is_empty() {
        return Err(StorageError::NotFound);
    }
    if path.len() > LONGEST_PATH {
        return Err(StorageError::InvalidName);
    }
    let mut slash = ends_in_slash(path);
    let mut current = ground.root();
    // The parts still to go, the next one last.
    let mut ahead: Vec<Cow<'_, [u8]>> = parts(path).rev().map(Cow::Borrowed).collect();
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        ground.search(&current)?;
        match &*part {
            b"." => continue,
            b".." => {
                current = ground.parent(&current);
                continue;
            }
            name => check_name(name)?,
        }
        let is_last = ahead.is_empty();
        let found = ground.look(&current, &part)?;
        match found {
            Found::Link(_, target)
                if !is_last || last == Last::Target || (last == Last::Itself && slash == Slash::Yes) =>
            {
                links += 1;
                if links > MOST_LINKS {
                    return Err(StorageError::Loop);
                }
                if target.starts_with(b"/") {
                    current = ground.root();
                }
                if is_last && ends_in_slash(&target) == Slash::Yes {
                    slash = Slash::Yes;
                }
                ahead.extend(parts(&target).rev().map(|part| Cow::Owned(part.to_vec())));
            }
            found if is_last => {
                if slash == Slash::Yes && last != Last::Name && matches!(found, Found::File(_)) {
                    return Err(StorageError::NotADirectory);
                }
                return Ok(Spot::Named {
                    parent: current,
                    name: Bytes::from(part.into_owned()),
                    found,
                    slash,
                });
            }
            Found::Directory(place) => current = place,
            Found::Missing => return Err(StorageError::NotFound),
            Found::File(_) | Found::Link(..) => return Err(StorageError::NotADirectory),
        }
    }
    Ok(Spot::Unnamed(current))
}

impl<P> Spot<P> {
    /// The place, which has to be there.
    pub(crate) fn existing(self) -> Result<P, StorageError> {
        match self {
            Self::Unnamed(place) => Ok(place),
            Self::Named { found, .. } => found.place().ok_or(StorageError::NotFound),
        }
    }

    /// The place, which has to be a directory.
    pub(crate) fn directory(self) -> Result<P, StorageError> {
        match self {
            Self::Unnamed(place) | Self::Named { found: Found::Directory(place), .. } => Ok(place),
            Self::Named { found: Found::Missing, .. } => Err(StorageError::NotFound),
            Self::Named { .. } => Err(StorageError::NotADirectory),
        }
    }

    /// The name of something that is there, what it is, and the directory it is in.
    pub(crate) fn occupied(self) -> Result<(P, Bytes, Found<P>), StorageError> {
        match self {
            Self::Unnamed(_) => Err(StorageError::Invalid("the path does not end in a name")),
            Self::Named { found: Found::Missing, .. } => Err(StorageError::NotFound),
            Self::Named { found: Found::File(_) | Found::Link(..), slash: Slash::Yes, .. } => {
                Err(StorageError::NotADirectory)
            }
            Self::Named { parent, name, found, .. } => Ok((parent, name, found)),
        }
    }

    /// What a symbolic link reads.
    pub(crate) fn link_text(self) -> Result<Bytes, StorageError> {
        match self {
            Self::Named { found: Found::Link(_, text), .. } => Ok(text),
            Self::Named { found: Found::Missing, .. } => Err(StorageError::NotFound),
            _ => Err(StorageError::Invalid("not a symbolic link")),
        }
    }

    /// The name, which has to be free, and the directory it is to be in.
    pub(crate) fn vacant(self) -> Result<(P, Bytes, Slash), StorageError> {
        match self {
            Self::Named { parent, name, found: Found::Missing, slash } => Ok((parent, name, slash)),
            _ => Err(StorageError::Exists),
        }
    }
}

impl Slash {
    /// What is made is no directory, so its name cannot end in a slash.
    pub(crate) fn refuse(self) -> Result<(), StorageError> {
        match self {
            Self::Yes => Err(StorageError::NotFound),
            Self::No => Ok(()),
        }
    }
}

/// A rename that is allowed as far as the paths tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Renaming<P> {
    pub(crate) moved: Found<P>,
    pub(crate) from: (P, Bytes),
    pub(crate) to: (P, Bytes),
    /// What is at the new name: of the same sort as what moves.
    pub(crate) replaced: Option<Found<P>>,
}

impl<P> Renaming<P> {
    /// Checks both ends: that there is something to move, and that what is at its new name may be replaced.
    pub(crate) fn new(source: Spot<P>, target: Spot<P>, existing: Existing) -> Result<Self, StorageError> {
        let (old_parent, old_name, moved) = source.occupied()?;
        let Spot::Named { parent, name, found, slash } = target else { return Err(StorageError::Exists) };
        let moves_directory = matches!(moved, Found::Directory(_));
        let replaced = match (found, existing) {
            (Found::Missing, _) if slash == Slash::Yes && !moves_directory => {
                return Err(StorageError::NotADirectory);
            }
            (Found::Missing, _) => None,
            (_, Existing::Refuse) => return Err(StorageError::Exists),
            (Found::Directory(_), Existing::Replace) if !moves_directory => {
                return Err(StorageError::IsADirectory);
            }
            (Found::File(_) | Found::Link(..), Existing::Replace)
                if moves_directory || slash == Slash::Yes =>
            {
                return Err(StorageError::NotADirectory);
            }
            (found, Existing::Replace) => Some(found),
        };
        Ok(Self { moved, from: (old_parent, old_name), to: (parent, name), replaced })
    }
}

impl<P> Found<P> {
    /// The place, if there is one.
    pub(crate) fn place(self) -> Option<P> {
        match self {
            Self::Missing => None,
            Self::Directory(place) | Self::Link(place, _) | Self::File(place) => Some(place),
        }
    }
}

impl From<Links> for Last {
    fn from(links: Links) -> Self {
        match links {
            Links::Follow => Self::Target,
            Links::Keep => Self::Itself,
        }
    }
}

/// Refuses what no symbolic link can read.
pub(crate) fn check_link_text(text: &[u8]) -> Result<(), StorageError> {
    if text.is_empty() {
        Err(StorageError::NotFound)
    } else if text.len() >= LONGEST_PATH || text.contains(&0) {
        Err(StorageError::InvalidName)
    } else {
        Ok(())
    }
}

/// Refuses a name that no file can have anywhere.
fn check_name(name: &[u8]) -> Result<(), StorageError> {
    if name.len() > LONGEST_NAME || name.contains(&0) { Err(StorageError::InvalidName) } else { Ok(()) }
}

fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|part| !part.is_empty())
}

fn ends_in_slash(path: &[u8]) -> Slash {
    if path.ends_with(b"/") { Slash::Yes } else { Slash::No }
}
