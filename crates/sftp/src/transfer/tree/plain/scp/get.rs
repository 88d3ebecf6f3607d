//! A directory that `scp -r -f` sends.
//!
//! The far side says what comes, and waits for consent: what is refused it leaves out, and goes on. It follows links by itself,
//! and a circle of them ends where its system, [`DEEPEST`] or [`MOST_DIRECTORIES`] says so.

use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use rustle_sftp_proto::Attributes;

use super::Trip;
use crate::error::{Error, ErrorKind, Result};
use crate::local::preserve::Preserved;
use crate::local::target::{Durability, Finish, Placing, Target};
use crate::local::tree::{self as local, Links};
use crate::local::writer::{Writer, Writing};
use crate::path::join;
use crate::scp::Scp;
use crate::scp::get::summary;
use crate::scp::talk::Talk;
use crate::scp::wire::Record;
use crate::shown::Shown;
use crate::transfer::get::{new_mode, preserved};
use crate::transfer::names::{self, Siblings};
use crate::transfer::options::Options;
use crate::transfer::tree::account::Ends;
use crate::transfer::tree::listing::LONGEST_NAME;
use crate::transfer::tree::report::TreeSummary;

pub(super) async fn get(scp: &Scp, remote: Bytes, local: PathBuf, trip: Trip<'_>) -> Result<TreeSummary> {
    let command = scp.command("get", &format!("{} -f", trip.flags()), &remote)?;
    let talk = Talk::start("get", &remote, command).await?;
    let mut get = Get { trip, talk, levels: Vec::new(), names: 0, local, remote };
    let done = get.run().await;
    get.talk.over().await;
    done.map(|()| get.trip.account.summary)
}

/// A tree that is being fetched.
struct Get<'a> {
    trip: Trip<'a>,
    talk: Talk,
    /// The directories that are open, the outermost first.
    levels: Vec<Level>,
    /// Names that are remembered of all of them.
    names: usize,
    /// The innermost on this side, and there.
    local: PathBuf,
    remote: Bytes,
}

/// A directory of which more may come.
struct Level {
    siblings: Siblings,
    names: usize,
    mode: u32,
    times: Option<Times>,
    /// The directory that it is in, there.
    above: Bytes,
}

/// When something was last read and changed.
#[derive(Clone, Copy)]
struct Times {
    accessed: u32,
    modified: u32,
}

impl Get<'_> {
    async fn run(&mut self) -> Result<()> {
        self.talk.agree().await?;
        self.open_top().await?;
        while !self.levels.is_empty() {
            let (times, record) = self.next().await?;
            match record {
                Record::File { mode, length, name } => self.file((mode, times), length, name).await?,
                Record::Directory { mode, name } => self.directory(mode, times, &name).await?,
                Record::Nameless { .. } => {
                    return Err(self.talk.error(ErrorKind::InvalidName, "a name that would lead elsewhere"));
                }
                Record::End if times.is_none() => self.close().await?,
                Record::Error { text, is_fatal: false } => self.told(&text),
                Record::Error { text, is_fatal: true } => return Err(self.talk.told(&text, None)),
                other => return Err(self.talk.unexpected(&other)),
            }
        }
        self.trip.meter.expect_no_more();
        self.talk.finish().await
    }

    /// What comes next, and the times that were said of it.
    async fn next(&mut self) -> Result<(Option<Times>, Record)> {
        match self.talk.record().await? {
            Record::Times { modified, accessed } if self.trip.options.preserve => {
                self.talk.agree().await?;
                Ok((Some(Times { accessed, modified }), self.talk.record().await?))
            }
            record => Ok((None, record)),
        }
    }

    /// The directory that was asked for. Its name there decides nothing here, but a server that sends another sends something
    /// else than was asked for.
    async fn open_top(&mut self) -> Result<()> {
        let (times, record) = self.next().await?;
        let mode = match record {
            Record::Directory { mode, name } if is_meant(&self.remote, &name) => mode,
            Record::Nameless { mode } if is_meant(&self.remote, b"") => mode,
            Record::Nameless { .. } => {
                return Err(self.talk.error(ErrorKind::InvalidName, "a name that would lead elsewhere"));
            }
            Record::Directory { name, .. } => {
                let text = format!("`scp` sent a directory {}, which was not asked for", Shown::of(&name));
                return Err(self.talk.error(ErrorKind::InvalidName, text));
            }
            Record::File { .. } => return Err(self.talk.error(ErrorKind::NotADirectory, "not a directory")),
            Record::Error { text, .. } => return Err(self.talk.told(&text, None)),
            other => return Err(self.talk.unexpected(&other)),
        };
        let fill = self.trip.options.preserve;
        match self.trip.keep_out {
            true => local::make_dir(self.local.clone(), mode, fill).await?,
            false => local::create_dir_all(self.local.clone(), fill).await?,
        }
        self.enter(mode, times, self.remote.clone());
        self.talk.agree().await
    }

    fn enter(&mut self, mode: u32, times: Option<Times>, above: Bytes) {
        self.trip.account.summary.directories += 1;
        self.levels.push(Level { siblings: Siblings::new(), names: 0, mode, times, above });
    }

    /// A directory in the innermost one.
    async fn directory(&mut self, mode: u32, times: Option<Times>, name: &[u8]) -> Result<()> {
        let remote = join(&self.remote, name);
        let made = match self.place(name) {
            Ok(place) => match too_many(self.levels.len(), self.trip.account.summary.directories) {
                Some(error) => Err(error.at(&remote)),
                None => {
                    let made = local::make_dir(place.clone(), mode, self.trip.options.preserve).await;
                    made.map(|()| place)
                }
            },
            Err(error) => Err(error),
        };
        match made {
            Ok(place) => {
                let above = std::mem::replace(&mut self.remote, remote);
                self.local = place;
                self.enter(mode, times, above);
                self.talk.agree().await
            }
            Err(error) => self.refuse(&remote, error).await,
        }
    }

    /// The innermost directory is over: it gets what it is to have.
    async fn close(&mut self) -> Result<()> {
        let Some(level) = self.levels.pop() else { return Ok(()) };
        self.names -= level.names;
        let is_top = self.levels.is_empty();
        if self.trip.options.preserve {
            // The first may be named by a link.
            let links = if is_top && !self.trip.keep_out { Links::Follow } else { Links::Keep };
            let mut preserved = Preserved::NOTHING.mode(level.mode);
            if let Some(times) = level.times {
                preserved = preserved.times(times.accessed, times.modified);
            }
            if let Err(error) = local::preserve(self.local.clone(), links, preserved).await {
                self.trip.account.fail(&self.remote, error);
            }
        }
        self.remote = level.above;
        if !is_top {
            self.local.pop();
        }
        self.talk.agree().await
    }

    /// A file in the innermost directory.
    async fn file(&mut self, (mode, times): (u32, Option<Times>), length: u64, name: Bytes) -> Result<()> {
        let begun = Instant::now();
        let (options, remote) = (self.trip.options, join(&self.remote, &name));
        self.trip.meter.expect(Some(length));
        let mut attributes = Attributes::new().with_permissions(mode);
        if let Some(times) = times {
            attributes = attributes.with_times(times.accessed, times.modified);
        }
        let made = match self.place(&name) {
            Ok(place) => {
                let placing = if options.atomic { Placing::Atomic } else { Placing::InPlace };
                let target =
                    Target::create_inside(place.clone(), placing, new_mode(&attributes, options)).await;
                target.and_then(|target| Ok((place, target.writer(Writing::default())?, target)))
            }
            Err(error) => Err(error),
        };
        let (place, mut writer, target) = match made {
            Ok(made) => made,
            Err(error) => return self.refuse(&remote, error).await,
        };
        self.talk.agree().await?;
        let counted = self.trip.meter.file(remote.clone(), Some(length));
        let (mut came, mut failed) = (0, None);
        while came < length {
            let data = self.talk.data(length - came).await?;
            let (at, bytes) = (came, data.len() as u64);
            came += bytes;
            if failed.is_none() {
                // The far side sends all of it whatever becomes of it here, and only then can be told.
                failed = writer.write(at, [data]).await.err();
                counted.moved(bytes);
            }
        }
        match self.talk.record().await? {
            Record::Ok => {}
            // Where reading failed over there, what came instead has the right length.
            Record::Error { text, is_fatal: false } => {
                failed.get_or_insert_with(|| self.talk.told(&text, Some(&remote)));
            }
            Record::Error { text, is_fatal: true } => return Err(self.talk.told(&text, Some(&remote))),
            other => return Err(self.talk.unexpected(&other)),
        }
        let stored = match failed {
            Some(error) => Err(error),
            None => store(writer, target, &attributes, length, options).await,
        };
        if let Err(error) = stored {
            return self.refuse(&remote, error).await;
        }
        counted.done();
        let ends = Ends { source: &remote, destination: place.as_os_str().as_encoded_bytes() };
        self.trip.account.alone(ends, &summary(begun, length, options));
        self.talk.agree().await
    }

    /// Where a name of the innermost directory goes on this side.
    fn place(&mut self, name: &[u8]) -> Result<PathBuf> {
        let invalid = |text: &str| {
            Error::new(ErrorKind::InvalidName, "use name", text).at(&name[..name.len().min(LONGEST_NAME)])
        };
        if name.len() > LONGEST_NAME {
            return Err(invalid("the name is longer than any file system takes"));
        }
        let place = names::join(&self.local, name)?;
        if self.names >= Siblings::MOST {
            return Err(invalid("there are more names in directories within each other than are remembered"));
        }
        if let Some(level) = self.levels.last_mut() {
            level.siblings.admit(name)?;
            level.names += 1;
            self.names += 1;
        }
        Ok(place)
    }

    async fn refuse(&mut self, remote: &[u8], error: Error) -> Result<()> {
        self.trip.account.fail(remote, error);
        self.talk.refuse().await
    }

    /// Something that the far side leaves out. Its words have the path of it, mostly.
    fn told(&mut self, text: &[u8]) {
        let path = path_in(text, &self.remote).unwrap_or(&self.remote);
        let error = self.talk.told(text, Some(path));
        self.trip.account.fail(path, error);
    }
}

/// Gives a file that has come what it is to have, and its name.
async fn store(
    writer: Writer,
    target: Target,
    attributes: &Attributes,
    length: u64,
    options: &Options,
) -> Result<()> {
    writer.finish(false).await?;
    let durability = if options.atomic { Durability::Synced } else { Durability::Lazy };
    let finish = Finish { preserved: preserved(attributes, options), durability, length: Some(length) };
    target.commit(finish).await
}

/// Whether a directory that is sent by this name is the one that was asked for. One that was asked for as `.` may have any name.
fn is_meant(asked: &[u8], name: &[u8]) -> bool {
    let end = asked.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
    let in_directory = asked[..end].rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let on_disk = in_directory.rsplit(|byte| *byte == b':').next().unwrap_or_default();
    matches!(in_directory, b"" | b"." | b"..") || name == in_directory || name == on_disk
}

/// The path in what OpenSSH's scp says of something in a directory: `scp: PATH: REASON`.
fn path_in<'a>(text: &'a [u8], directory: &[u8]) -> Option<&'a [u8]> {
    let rest = text.strip_prefix(b"scp: ")?;
    let end = rest.windows(2).rposition(|two| two == b": ")?;
    let path = &rest[..end.min(LONGEST_PATH)];
    path.strip_prefix(directory)?.starts_with(b"/").then_some(path)
}

/// Why no directory more is taken in so many that are in one another, and after so many of all.
fn too_many(open: usize, taken: u64) -> Option<Error> {
    let text = if open >= DEEPEST {
        format!("more than {DEEPEST} directories are in one another: links may lead around")
    } else if taken >= MOST_DIRECTORIES {
        format!("more than {MOST_DIRECTORIES} directories came: links may lead around")
    } else {
        return None;
    };
    let error = Error::new(ErrorKind::InvalidArgument, "get", text);
    Some(error.with_hint(
        "the far side follows links: look for those that lead to what they are in, or fetch its parts",
    ))
}

/// Of honest trees none is as deep. Links that lead around are followed by the far side until its system refuses.
const DEEPEST: usize = 256;

/// Systems follow 40 links in one path: two of them in a directory that lead to it make 2^40 directories. The sources of the
/// largest systems have less than a fifth of this.
const MOST_DIRECTORIES: u64 = 1 << 18;

const LONGEST_PATH: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_that_was_asked_for_is_known_by_its_last_name() {
        for (asked, name) in [
            ("a/b", "b"),
            ("b//", "b"),
            ("flash:b", "b"),
            ("flash:b", "flash:b"),
            (".", "x"),
            ("", ""),
            ("/", ""),
        ] {
            assert!(is_meant(asked.as_bytes(), name.as_bytes()), "{asked}: {name}");
        }
        for (asked, name) in [("a/b", "a"), ("b", "c"), ("b", ""), ("b/", "")] {
            assert!(!is_meant(asked.as_bytes(), name.as_bytes()), "{asked}: {name}");
        }
    }

    #[test]
    fn directories_are_taken_up_to_a_depth_and_a_number() {
        let most = |open, taken| too_many(open, taken).map(|error| error.kind());
        assert_eq!(most(DEEPEST - 1, MOST_DIRECTORIES - 1), None);
        for (open, taken) in [(DEEPEST, 256), (2, MOST_DIRECTORIES), (40, u64::MAX)] {
            assert_eq!(most(open, taken), Some(ErrorKind::InvalidArgument), "{open}, {taken}");
        }
    }

    #[test]
    fn a_path_is_found_in_what_is_said_where_it_is_below_the_directory() {
        let found = |text: &str| path_in(text.as_bytes(), b"tree").map(<[u8]>::to_vec);
        assert_eq!(found("scp: tree/a: b: Permission denied"), Some(b"tree/a: b".to_vec()));
        for text in ["scp: other/a: Permission denied", "tree/a", "scp: tree/a", "scp: treetop/a: no", ""] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
