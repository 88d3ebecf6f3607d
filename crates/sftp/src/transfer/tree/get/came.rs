//! What is done with small files that have come: they are written here, many at a time.

use crate::error::Result;
use crate::local::target::{Durability, Finish, Placing};
use crate::local::whole::Wanted;
use crate::transfer::get as whole;
use crate::transfer::tree::account::Ends;
use crate::transfer::tree::get::Get;
use crate::transfer::tree::get::jobs::{Came, Found, Note};
use crate::transfer::tree::get::small::Fetched;

impl Get<'_> {
    pub(super) fn fetched(&mut self, found: Found, fetched: Result<Option<Fetched>>) -> Result<()> {
        let size = found.attributes.size().unwrap_or(0);
        match fetched {
            Ok(Some(fetched)) => {
                let options = self.moving.tree.options;
                let (placing, durability) = match options.atomic {
                    true => (Placing::Atomic, Durability::Synced),
                    false => (Placing::InPlace, Durability::Lazy),
                };
                let preserved = whole::preserved(&found.attributes, options);
                let wanted = Wanted {
                    path: found.local.clone(),
                    placing,
                    mode: whole::new_mode(&found.attributes, options),
                    data: fetched.data,
                    finish: Finish { preserved, durability, length: Some(fetched.length) },
                };
                let note = Note {
                    directory: found.directory,
                    remote: found.remote,
                    local: found.local.clone(),
                    size,
                    length: fetched.length,
                    changed: fetched.changed,
                    counted: fetched.counted,
                };
                self.unwritten += 1;
                self.came.push(Came { note, wanted });
            }
            Ok(None) => {
                self.bytes -= size;
                self.large.push_back(found);
            }
            Err(error) => {
                self.bytes -= size;
                self.moving.failed(&found, error)?;
            }
        }
        Ok(())
    }

    pub(super) fn written(&mut self, notes: Vec<Note>, written: Result<Vec<Result<()>>>) -> Result<()> {
        // Without a thread to write there is nothing that could go on.
        let written = written?;
        for (note, written) in notes.into_iter().zip(written) {
            self.bytes -= note.size;
            self.unwritten -= 1;
            match written {
                Ok(()) => {
                    note.counted.done();
                    let ends =
                        Ends { source: &note.remote, destination: note.local.as_os_str().as_encoded_bytes() };
                    self.moving.account.file(ends, note.length);
                    self.moving.account.summary.changed += u64::from(note.changed);
                }
                Err(error) => self.moving.fail(&note.remote, error)?,
            }
            self.moving.one_less(note.directory);
        }
        Ok(())
    }
}
