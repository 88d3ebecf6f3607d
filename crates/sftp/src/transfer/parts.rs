//! The parts that a tree has on the server, for the attempt that begins again after a loss.
//!
//! What a lost connection was told may be done late, since its server process reads its pipe to the end. A request about
//! an open file does no harm then: it writes what stands there, as long as the original is what it was. One about a name
//! does: a REMOVE would take away what the next attempt writes, and a RENAME would put it into the target's place before
//! it is whole.
//!
//! So where such a request was not answered, the next attempt uses another name, and has what is under the old one renamed
//! to it before it goes on. Once that is answered, the late request finds nothing. Where the original was written to
//! meanwhile, what is under the old name is removed and not gone on with: late WRITEs carry what the original was.
//!
//! Where all was answered, as it is for most of the time that a long file takes, a part keeps the name by which a later
//! transfer finds it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::local::details::Stamp;

/// The parts of files that are not in their places yet, by the name that each has usually. Clones are the same ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts(Arc<Mutex<HashMap<Bytes, Part>>>);

#[derive(Debug)]
struct Part {
    name: Bytes,
    /// Names that it had. Late requests may have made something there again.
    before: Vec<Bytes>,
    /// What the original was.
    original: Stamp,
    /// A request about its name was not answered.
    is_in_doubt: bool,
    /// It is in its place, and is here for what may still be done about the names that it had: the file may be sent again.
    is_done: bool,
}

/// One of them, for who is at work on it.
#[derive(Debug)]
pub(crate) struct Claim {
    parts: Parts,
    usual: Bytes,
}

/// How a part is gone on with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claimed {
    /// Under this name.
    As(Bytes),
    /// Under a name of its own, once nothing is left under these: what the last of them leads to is kept, or else nothing
    /// is.
    Elsewhere { names: Vec<Bytes>, is_kept: bool },
}

impl Parts {
    /// Takes up the part that usually has this name, to put into it what is in this original.
    pub(crate) fn claim(&self, usual: &Bytes, original: Stamp) -> (Claim, Claimed) {
        let mut parts = self.lock();
        let part = parts.entry(usual.clone()).or_insert_with(|| Part {
            name: usual.clone(),
            before: Vec::new(),
            original,
            is_in_doubt: false,
            is_done: false,
        });
        part.is_done = false;
        let is_kept = part.original == original;
        let claimed = match is_kept && !part.is_in_doubt {
            true => Claimed::As(part.name.clone()),
            false => Claimed::Elsewhere { names: part.names().cloned().collect(), is_kept },
        };
        (Claim { parts: self.clone(), usual: usual.clone() }, claimed)
    }

    /// Names under which something may be, and where no later transfer looks for it.
    pub(crate) fn elsewhere(&self) -> Vec<Bytes> {
        let parts = self.lock();
        let open = parts.iter().filter(|(_, part)| !part.is_done);
        let names = open.flat_map(|(usual, part)| part.names().filter(move |name| *name != usual));
        names.cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Bytes, Part>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    /// All names that it may have, the newest last.
    fn names(&self) -> impl Iterator<Item = &Bytes> {
        self.before.iter().chain([&self.name])
    }
}

impl Claim {
    /// The name by which a later transfer finds it.
    pub(crate) fn usual(&self) -> &Bytes {
        &self.usual
    }

    /// It is to have this name, and may have those that it had.
    pub(crate) fn moves_to(&self, name: &Bytes) {
        self.change(|part| {
            part.before.push(std::mem::replace(&mut part.name, name.clone()));
            part.is_in_doubt = true;
        });
    }

    /// Nothing is left under the names that it had, and from now on it is filled from this original.
    pub(crate) fn has_moved(&self, original: Stamp) {
        self.change(|part| {
            part.original = original;
            part.is_in_doubt = false;
        });
    }

    /// A request about its name is on its way.
    pub(crate) fn is_asked(&self) {
        self.change(|part| part.is_in_doubt = true);
    }

    /// It is answered.
    pub(crate) fn is_answered(&self) {
        self.change(|part| part.is_in_doubt = false);
    }

    /// It is in its place. The names that it had before are given back: a late OPEN may have made an empty file there. Where
    /// there are some, the next attempt at the same file uses another name again.
    pub(crate) fn is_done(&self) -> Vec<Bytes> {
        let mut parts = self.parts.lock();
        let Some(part) = parts.get_mut(&self.usual) else { return Vec::new() };
        if part.before.is_empty() {
            parts.remove(&self.usual);
            return Vec::new();
        }
        (part.is_done, part.is_in_doubt) = (true, true);
        part.before.clone()
    }

    fn change(&self, change: impl FnOnce(&mut Part)) {
        if let Some(part) = self.parts.lock().get_mut(&self.usual) {
            change(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::details::Details;

    /// Of a file that is so long.
    fn original(length: u64) -> Stamp {
        let file = tempfile::tempfile().unwrap();
        file.set_len(length).unwrap();
        let stamp = Details::from(&file.metadata().unwrap()).stamp();
        assert!(stamp == Details::from(&file.metadata().unwrap()).stamp());
        stamp
    }

    fn elsewhere(names: &[&'static str], is_kept: bool) -> Claimed {
        Claimed::Elsewhere {
            names: names.iter().map(|name| Bytes::from_static(name.as_bytes())).collect(),
            is_kept,
        }
    }

    #[test]
    fn a_part_keeps_its_name_where_all_about_that_was_answered() {
        let (parts, usual, original) = (Parts::default(), Bytes::from_static(b".a.part"), original(1));
        let (claim, first) = parts.claim(&usual, original);
        claim.is_asked();
        claim.is_answered();
        let (_, again) = parts.claim(&usual, original);
        assert_eq!([first, again], [Claimed::As(usual.clone()), Claimed::As(usual.clone())]);
        assert!(parts.elsewhere().is_empty());
        assert!(claim.is_done().is_empty());
        assert_eq!(parts.claim(&usual, original).1, Claimed::As(usual));
    }

    #[test]
    fn a_part_in_doubt_goes_on_elsewhere_and_stays_there() {
        let (parts, usual, original) = (Parts::default(), Bytes::from_static(b".a.part"), original(1));
        let (claim, _) = parts.claim(&usual, original);
        claim.is_asked();
        let (claim, claimed) = parts.claim(&usual, original);
        assert_eq!(claimed, elsewhere(&[".a.part"], true));
        // It is lost before it is known to have another name.
        claim.moves_to(&Bytes::from_static(b".a.1"));
        let (claim, claimed) = parts.claim(&usual, original);
        assert_eq!(claimed, elsewhere(&[".a.part", ".a.1"], true));
        claim.moves_to(&Bytes::from_static(b".a.2"));
        claim.has_moved(original);
        assert_eq!(parts.claim(&usual, original).1, Claimed::As(Bytes::from_static(b".a.2")));
        assert_eq!(parts.elsewhere(), [".a.1", ".a.2"]);
        assert_eq!(claim.is_done(), [".a.part", ".a.1"]);
        assert!(parts.elsewhere().is_empty());
        // The file is sent once more, and what was told about its first names may still be done.
        let again = parts.claim(&usual, original).1;
        assert_eq!(again, elsewhere(&[".a.part", ".a.1", ".a.2"], true));
    }

    #[test]
    fn what_was_made_of_another_original_is_not_kept() {
        let (parts, usual) = (Parts::default(), Bytes::from_static(b".a.part"));
        let (claim, _) = parts.claim(&usual, original(1));
        claim.is_asked();
        claim.is_answered();
        let now = original(2);
        let (claim, claimed) = parts.claim(&usual, now);
        assert_eq!(claimed, elsewhere(&[".a.part"], false));
        claim.moves_to(&Bytes::from_static(b".a.1"));
        // Until nothing is left there, late WRITEs may still be for it.
        assert_eq!(parts.claim(&usual, now).1, elsewhere(&[".a.part", ".a.1"], false));
        claim.has_moved(now);
        assert_eq!(parts.claim(&usual, now).1, Claimed::As(Bytes::from_static(b".a.1")));
    }
}
