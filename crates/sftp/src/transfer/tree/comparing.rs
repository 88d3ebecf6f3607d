//! What is done with a file that the target may have already, in either direction.

use crate::error::{Error, ErrorKind, Result};
use crate::local::details::PERMISSIONS;
use crate::transfer::tree::compare::{self, Both};
use crate::transfer::tree::moving::{Candidate, Moving};
use crate::transfer::tree::room::BATCHES;
use crate::transfer::tree::rules::Verdict;
use crate::transfer::tree::{IN_PLACE, Tree};

/// Files of which only the content can tell whether they are the same.
pub(super) struct Comparing<F> {
    doubtful: Vec<F>,
    /// Batches of them that are being compared.
    under_way: usize,
    /// Files that are the same but for their permissions, and those that they are to have.
    other_modes: Vec<(F, u32)>,
    /// Batches of them that are being given these.
    setting: usize,
}

/// Files that were compared, and of each whether it is the same.
pub(super) struct Compared<F> {
    files: Vec<F>,
    equal: Vec<Result<Option<bool>>>,
}

/// Files that were to be given other permissions, and those that each has now, as far as that is known.
pub(super) struct ModesSet<F> {
    pub(super) files: Vec<(F, u32)>,
    pub(super) now: Result<Vec<Result<Option<u32>>>>,
}

impl<F: Candidate> Moving<'_, F> {
    /// The file, where it is known that it has to be moved.
    pub(super) fn compared(&mut self, found: F) -> Result<Option<F>> {
        let Some(rules) = &self.tree.rules else { return Ok(Some(found)) };
        match rules.judge(found.length(), found.modified(), found.there()) {
            Verdict::Same => self.same(found),
            Verdict::Taken => {
                let error = Error::new(ErrorKind::AlreadyExists, "sync", IN_PLACE).at(&found.both().remote);
                self.failed(&found, error)?;
            }
            Verdict::Doubtful => self.comparing.doubtful.push(found),
            Verdict::Move => return Ok(self.unless_dry(found)),
        }
        Ok(None)
    }

    /// Where nothing is to be changed, it is only told.
    fn unless_dry(&mut self, found: F) -> Option<F> {
        if !self.tree.is_dry() {
            return Some(found);
        }
        self.account.file(found.ends(), found.length().unwrap_or(0));
        self.one_less(found.directory());
        None
    }

    /// The target has its content. Where it has other permissions, these are all that it gets.
    fn same(&mut self, found: F) {
        match self.tree.other_mode(&found) {
            Some(mode) if !self.tree.is_dry() => return self.comparing.other_modes.push((found, mode)),
            Some(_) => self.account.permissions(found.ends()),
            None => self.account.unchanged(found.ends()),
        }
        self.one_less(found.directory());
    }

    /// The files of them that have to be moved.
    pub(super) fn take_modes_set(&mut self, modes: ModesSet<F>) -> Result<Vec<F>> {
        self.comparing.setting -= 1;
        let mut to_move = Vec::new();
        // Without a thread to set them there is nothing that could go on.
        for ((found, _), now) in modes.files.into_iter().zip(modes.now?) {
            let before = found.there().and_then(|there| there.mode);
            match now {
                Ok(now) => {
                    // FAT file systems, for one, take permissions and keep their own: told as set, they would be each time.
                    match now.is_some() && now == before {
                        true => self.account.unchanged(found.ends()),
                        false => self.account.permissions(found.ends()),
                    }
                    self.one_less(found.directory());
                }
                Err(error) if self.tree.sftp.is_closed() => return Err(error),
                // It may be somebody else's, in a directory of this user: then it can still be replaced.
                Err(error) => {
                    tracing::debug!(%error, "a file is moved since its permissions cannot be set");
                    to_move.push(found);
                }
            }
        }
        Ok(to_move)
    }

    /// The files of them that have to be moved.
    pub(super) fn take_compared(&mut self, compared: Compared<F>) -> Result<Vec<F>> {
        self.comparing.under_way -= 1;
        let mut to_move = Vec::new();
        for (found, equal) in compared.files.into_iter().zip(compared.equal) {
            match equal {
                Ok(Some(true)) => self.same(found),
                Ok(equal) => {
                    self.account.summary.uncompared += u64::from(equal.is_none());
                    to_move.extend(self.unless_dry(found));
                }
                Err(error) => self.failed(&found, error)?,
            }
        }
        Ok(to_move)
    }
}

impl<F> Comparing<F> {
    pub(super) fn is_idle(&self) -> bool {
        self.waiting() == 0 && self.under_way == 0 && self.setting == 0
    }

    /// Files of which nothing is under way yet.
    pub(super) fn waiting(&self) -> usize {
        self.doubtful.len() + self.other_modes.len()
    }

    /// The next files to be compared, if there are any and they may be now.
    pub(super) fn batch(&mut self) -> Option<Vec<F>> {
        if self.under_way >= AT_ONCE || self.doubtful.is_empty() {
            return None;
        }
        self.under_way += 1;
        Some(self.doubtful.split_off(self.doubtful.len().saturating_sub(TOGETHER)))
    }

    /// The next files to be given other permissions, likewise.
    pub(super) fn batch_of_modes(&mut self) -> Option<Vec<(F, u32)>> {
        if self.setting >= AT_ONCE || self.other_modes.is_empty() {
            return None;
        }
        self.setting += 1;
        Some(self.other_modes.split_off(self.other_modes.len().saturating_sub(TOGETHER)))
    }
}

impl<F> Default for Comparing<F> {
    fn default() -> Self {
        Self { doubtful: Vec::new(), under_way: 0, other_modes: Vec::new(), setting: 0 }
    }
}

impl Tree<'_> {
    /// What the permissions of a file of the target are to be, where they are others and are to be the original's. This
    /// side's system may know less of them than the other, and decides over no more.
    fn other_mode(&self, found: &impl Candidate) -> Option<u32> {
        let wanted = found.mode().filter(|_| self.options.preserve)?;
        let there = found.there()?.mode?;
        let mode = there & !PERMISSIONS | wanted & PERMISSIONS;
        (mode != there).then_some(mode)
    }
}

/// Holds the content of files against that of the target's.
pub(super) async fn compare<F: Candidate>(tree: &Tree<'_>, files: Vec<F>) -> Compared<F> {
    let both: Vec<Both> = files.iter().map(F::both).collect();
    let equal = compare::compare(tree, &both).await;
    Compared { files, equal }
}

/// Files whose content is compared with one command, and how many such commands there are at once: OpenSSH grants ten
/// channels, and a disk is busy with less.
const TOGETHER: usize = 64;
const AT_ONCE: usize = BATCHES;
