//! The directories of a tree that are not done yet.

use std::path::PathBuf;

use bytes::Bytes;
use rustle_sftp_proto::Attributes;

use crate::local::details::Details;
use crate::transfer::tree::targets::New;

/// A directory on both sides.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    pub(super) remote: Bytes,
    pub(super) local: PathBuf,
    /// Its path without links where it is read, if links are followed: a directory that comes again below itself is known
    /// by that.
    pub(super) real: Option<Bytes>,
    /// The permissions of the original.
    pub(super) mode: Option<u32>,
    /// When the original was last read and changed.
    pub(super) times: Option<(u32, u32)>,
    /// The target does not have it yet, as far as its listing says; known where the target is compared.
    pub(super) is_new: bool,
    /// How many directories its listing has brought so far.
    pub(super) below: usize,
    /// Something in it or below it is still to be removed: what it gets itself waits for that.
    pub(super) is_held: bool,
}

impl Directory {
    /// One whose original is on the server.
    pub(super) fn from_there(remote: Bytes, local: PathBuf, attributes: &Attributes) -> Self {
        let times = attributes.accessed().zip(attributes.modified());
        Self { mode: attributes.permissions(), times, ..Self::bare(remote, local) }
    }

    /// One whose original is on this side.
    pub(super) fn from_here(remote: Bytes, local: PathBuf, details: &Details) -> Self {
        let times = details.modified().map(|modified| (details.accessed().unwrap_or(modified), modified));
        Self { mode: Some(details.mode()), times, ..Self::bare(remote, local) }
    }

    fn bare(remote: Bytes, local: PathBuf) -> Self {
        Self { remote, local, real: None, mode: None, times: None, is_new: false, below: 0, is_held: false }
    }
}

/// The directories that something of is still to be done, each under a number that is given again after it.
#[derive(Debug, Default)]
pub(super) struct Directories {
    places: Vec<Option<Place>>,
    free: Vec<usize>,
}

#[derive(Debug)]
struct Place {
    directory: Directory,
    /// What its listing has brought that may be directories of the target by other names.
    new: Option<New>,
    above: Option<usize>,
    /// How much is to be done before it is: its listing, and all that is in it.
    left: usize,
}

impl Directories {
    /// One more, of which the listing is left.
    pub(super) fn add(&mut self, above: Option<usize>, directory: Directory) -> usize {
        if let Some(above) = above.and_then(|above| self.places.get_mut(above)?.as_mut()) {
            above.directory.below += 1;
        }
        let place = Some(Place { directory, new: None, above, left: 1 });
        match self.free.pop() {
            Some(number) => {
                self.places[number] = place;
                number
            }
            None => {
                self.places.push(place);
                self.places.len() - 1
            }
        }
    }

    pub(super) fn at(&self, number: usize) -> Option<&Directory> {
        self.place(number).map(|place| &place.directory)
    }

    /// One more thing is to be done in it.
    pub(super) fn one_more(&mut self, number: usize) {
        if let Some(Some(place)) = self.places.get_mut(number) {
            place.left += 1;
        }
    }

    /// One thing less. True when it was the last: what the directory itself gets is due then.
    pub(super) fn one_less(&mut self, number: usize) -> bool {
        match self.places.get_mut(number) {
            Some(Some(place)) => {
                place.left = place.left.saturating_sub(1);
                place.left == 0
            }
            _ => false,
        }
    }

    /// Something in it is to be removed when all else is done.
    pub(super) fn hold(&mut self, number: usize) {
        if let Some(Some(place)) = self.places.get_mut(number) {
            place.directory.is_held = true;
        }
    }

    pub(super) fn remember(&mut self, number: usize, new: New) {
        if let Some(Some(place)) = self.places.get_mut(number) {
            place.new = Some(new);
        }
    }

    /// What was to be remembered of it, once.
    pub(super) fn remembered(&mut self, number: usize) -> Option<New> {
        self.places.get_mut(number)?.as_mut()?.new.take()
    }

    /// It is done; the directory that it is in, if that is one of the tree.
    pub(super) fn remove(&mut self, number: usize) -> Option<usize> {
        let place = self.places.get_mut(number)?.take()?;
        self.free.push(number);
        if let Some(above) = place.above.filter(|_| place.directory.is_held) {
            self.hold(above);
        }
        place.above
    }

    /// Whether the listing of a directory may bring so many entries more, where so many directories wait to be listed or may
    /// be in what is on its way. One that has brought many waits until these are done; others are over soon, and what is
    /// below them goes first.
    pub(super) fn may_go_on(&self, number: usize, waiting: usize, part: usize) -> bool {
        let is_wide = self.at(number).is_some_and(|directory| directory.below >= part);
        waiting.saturating_add(part) <= if is_wide { MANY_WAITING } else { MOST_WAITING }
    }

    /// Whether the directory or one above it is at this path without links.
    pub(super) fn leads_back(&self, number: usize, real: &[u8]) -> bool {
        let mut next = self.place(number);
        while let Some(place) = next {
            if place.directory.real.as_deref() == Some(real) {
                return true;
            }
            next = place.above.and_then(|above| self.place(above));
        }
        false
    }

    fn place(&self, number: usize) -> Option<&Place> {
        self.places.get(number)?.as_ref()
    }
}

/// Directories that have many others in them are not listed on while so many wait.
const MANY_WAITING: usize = 8192;

/// More directories are not kept, whatever there is.
pub(super) const MOST_WAITING: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(real: &'static str) -> Directory {
        let real = Some(Bytes::from_static(real.as_bytes()));
        Directory {
            remote: Bytes::new(),
            local: PathBuf::new(),
            real,
            mode: None,
            times: None,
            is_new: false,
            below: 0,
            is_held: false,
        }
    }

    #[test]
    fn a_directory_is_done_after_all_that_is_in_it_and_its_number_is_given_again() {
        let mut directories = Directories::default();
        let top = directories.add(None, directory("/t"));
        directories.one_more(top);
        let below = directories.add(Some(top), directory("/t/a"));
        assert!(directories.leads_back(below, b"/t") && directories.leads_back(below, b"/t/a"));
        assert!(!directories.leads_back(below, b"/") && !directories.leads_back(top, b"/t/a"));
        assert!(!directories.one_less(top));
        assert!(directories.one_less(below));
        assert_eq!(directories.remove(below), Some(top));
        assert!(directories.one_less(top));
        assert_eq!(directories.add(None, directory("/u")), below);
    }
}
