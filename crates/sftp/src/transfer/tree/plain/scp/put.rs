//! A directory for `scp -r -t`.
//!
//! It goes into the directory above under its last name, as it would there if it had to be made: sent to its own path, it would
//! go into one that is there already.

use std::path::PathBuf;
use std::time::Instant;
use std::vec::IntoIter;

use bytes::Bytes;
use rustle_sftp_proto::FileKind;

use super::Trip;
use crate::error::{Error, ErrorKind, Result};
use crate::local::details::{Details, Kind};
use crate::local::reader::{Piece, Plan, Reader};
use crate::local::tree::{self as local, Entry, Links};
use crate::path::join;
use crate::scp::Scp;
use crate::scp::get::summary;
use crate::scp::talk::{Talk, is_about_attributes};
use crate::scp::wire::Record;
use crate::transfer::names;
use crate::transfer::tree::LinkPolicy;
use crate::transfer::tree::account::Ends;
use crate::transfer::tree::report::TreeSummary;

pub(super) async fn put(scp: &Scp, local: PathBuf, remote: Bytes, trip: Trip<'_>) -> Result<TreeSummary> {
    let details = local::details(local.clone(), Links::Follow).await?;
    let real = match trip.links {
        LinkPolicy::Follow => Some(local::real_path(local.clone()).await?),
        LinkPolicy::Skip | LinkPolicy::Copy => None,
    };
    // What cannot be read at all is known before anything is made.
    let opened = Opened::begin(local.clone()).await?;
    let (above, name) = above(&remote, scp.is_device());
    if name.is_some_and(|name| name.contains(&b'\n')) {
        return Err(unsendable(&remote));
    }
    // What is above has to be there: in its absence all would be made under its name.
    let command = scp.command("put", &format!("{} -d -t", trip.flags()), above)?;
    let name = name.map(Bytes::copy_from_slice);
    let talk = Talk::start("put", &remote, command).await?;
    let mut put = Put { trip, talk, levels: Vec::new(), local, remote, is_late: false };
    let done = put.run(name, details, real, opened).await;
    put.talk.over().await;
    done.map(|()| put.trip.account.summary)
}

/// A tree that is being sent.
struct Put<'a> {
    trip: Trip<'a>,
    talk: Talk,
    /// The directories that are open, the outermost first.
    levels: Vec<Level>,
    /// The innermost on this side, and there.
    local: PathBuf,
    remote: Bytes,
    /// What was sent last was given times and permissions after it was answered for.
    is_late: bool,
}

/// A directory of which more is to be sent.
struct Level {
    opened: Opened,
    /// What it is called there; none is the one that the far side is in.
    name: Option<Bytes>,
    details: Details,
    /// Where it is without links, where they are followed.
    real: Option<Bytes>,
    /// The directory that it is in, there.
    above: Bytes,
}

/// A directory that is being listed.
struct Opened {
    listing: local::Listing,
    entries: IntoIter<Entry>,
}

impl Opened {
    async fn begin(path: PathBuf) -> Result<Self> {
        let mut listing = local::list(path);
        let entries = listing.next().await?.unwrap_or_default().into_iter();
        Ok(Self { listing, entries })
    }

    async fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            if let Some(entry) = self.entries.next() {
                return Ok(Some(entry));
            }
            match self.listing.next().await? {
                Some(more) => self.entries = more.into_iter(),
                None => return Ok(None),
            }
        }
    }
}

impl Put<'_> {
    async fn run(
        &mut self,
        name: Option<Bytes>,
        details: Details,
        real: Option<Bytes>,
        opened: Opened,
    ) -> Result<()> {
        self.talk.consent().await?;
        if let Some(name) = &name {
            let top = self.remote.clone();
            self.announce_directory(&details, (name, &top), Pass::First).await??;
        }
        self.trip.account.summary.directories += 1;
        self.levels.push(Level { opened, name, details, real, above: self.remote.clone() });
        while let Some(level) = self.levels.last_mut() {
            match level.opened.next().await {
                Ok(Some(entry)) => self.take(entry).await?,
                Ok(None) => self.close().await?,
                Err(error) => {
                    self.trip.account.fail(self.local.as_os_str().as_encoded_bytes(), error);
                    self.close().await?;
                }
            }
        }
        self.trip.meter.expect_no_more();
        for text in self.talk.last_words().await? {
            self.told_late(&text);
        }
        Ok(())
    }

    async fn take(&mut self, entry: Entry) -> Result<()> {
        let local = self.local.join(&entry.name);
        let both = names::for_server(&entry.name).and_then(|name| Ok((name, entry.details?)));
        let sendable = both.and_then(|(name, details)| match name.contains(&b'\n') {
            true => Err(unsendable(local.as_os_str().as_encoded_bytes())),
            false => Ok((name, details)),
        });
        let sent = match sendable {
            Ok((name, details)) => self.send(name, local.clone(), details).await?,
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            self.trip.account.fail(local.as_os_str().as_encoded_bytes(), error);
        }
        Ok(())
    }

    /// Sends what was found. The inner error is about it alone.
    async fn send(&mut self, name: Bytes, local: PathBuf, details: Details) -> Result<Result<()>> {
        let is_followed = details.kind() == Kind::Link && self.trip.links == LinkPolicy::Follow;
        let details = match is_followed {
            true => match local::details(local.clone(), Links::Follow).await {
                Ok(details) => details,
                Err(error) => return Ok(Err(error)),
            },
            false => details,
        };
        match details.kind() {
            Kind::Directory => self.directory(name, local, details, is_followed).await,
            Kind::File => self.file(&name, local).await,
            kind => {
                let kind = if kind == Kind::Link { FileKind::Symlink } else { FileKind::Other };
                self.trip.account.skip(local.as_os_str().as_encoded_bytes(), kind);
                Ok(Ok(()))
            }
        }
    }

    async fn directory(
        &mut self,
        name: Bytes,
        local: PathBuf,
        details: Details,
        is_followed: bool,
    ) -> Result<Result<()>> {
        let above = self.levels.last().and_then(|level| level.real.as_ref());
        let real = match (is_followed, above) {
            (true, _) => match local::real_path(local.clone()).await {
                Ok(real) => Some(real),
                Err(error) => return Ok(Err(error)),
            },
            (false, Some(above)) => {
                local.file_name().map(|name| local::below(above, name.as_encoded_bytes()))
            }
            (false, None) => None,
        };
        if real.is_some() && self.levels.iter().any(|level| level.real == real) {
            let text = "the link leads back to a directory that it is in";
            let path = local.as_os_str().as_encoded_bytes();
            return Ok(Err(Error::new(ErrorKind::InvalidArgument, "put", text).at(path)));
        }
        let opened = match Opened::begin(local.clone()).await {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error)),
        };
        let remote = join(&self.remote, &name);
        if let Err(error) = self.announce_directory(&details, (&name, &remote), Pass::First).await? {
            return Ok(Err(error));
        }
        self.trip.account.summary.directories += 1;
        self.local = local;
        let above = std::mem::replace(&mut self.remote, remote);
        self.levels.push(Level { opened, name: Some(name), details, real, above });
        Ok(Ok(()))
    }

    /// The innermost directory is over.
    async fn close(&mut self) -> Result<()> {
        let Some(level) = self.levels.pop() else { return Ok(()) };
        if let Some(name) = &level.name {
            let mut ended = self.end().await?;
            if ended.is_ok() && self.trip.options.preserve && is_shut(&level.details) {
                // It was left open to be filled. Once more, with nothing in it, it gets what it is to have.
                let remote = self.remote.clone();
                ended = self.announce_directory(&level.details, (name, &remote), Pass::Last).await?;
                if ended.is_ok() {
                    ended = self.end().await?;
                }
            }
            if let Err(error) = ended {
                self.trip.account.fail(self.local.as_os_str().as_encoded_bytes(), error);
            }
        } else if self.trip.options.preserve {
            let text =
                "the directory itself keeps its permissions and times: scp's protocol gives them by name";
            let error = Error::new(ErrorKind::Unsupported, "put", text).at(&self.remote);
            let error = error.with_hint("end the path in the name of the directory");
            self.trip.account.fail(self.local.as_os_str().as_encoded_bytes(), error);
        }
        self.remote = level.above;
        if !self.levels.is_empty() {
            self.local.pop();
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<Result<()>> {
        self.talk.say(Bytes::from_static(b"E\n")).await?;
        let remote = self.remote.clone();
        let answer = self.answer(&remote).await;
        self.is_late = self.trip.options.preserve;
        answer
    }

    /// Says that a directory comes: its owner can fill it in any case, until the last pass.
    async fn announce_directory(
        &mut self,
        details: &Details,
        ends: (&[u8], &[u8]),
        pass: Pass,
    ) -> Result<Result<()>> {
        let mode = match pass {
            Pass::First => details.mode() | 0o700,
            Pass::Last => details.mode(),
        };
        self.announce((b'D', mode, 0), details, ends).await
    }

    /// Says that something comes by this name, which is at this path there.
    async fn announce(
        &mut self,
        (letter, mode, length): (u8, u32, u64),
        details: &Details,
        (name, remote): (&[u8], &[u8]),
    ) -> Result<Result<()>> {
        if let (true, Some(modified)) = (self.trip.options.preserve, details.modified()) {
            let accessed = details.accessed().unwrap_or(modified);
            self.talk.say(format!("T{modified} 0 {accessed} 0\n").into()).await?;
            if let Err(error) = self.answer(remote).await? {
                return Ok(Err(error));
            }
        }
        let head = [&[letter][..], format!("{mode:04o} {length} ").as_bytes(), name, b"\n"].concat();
        self.talk.say(head.into()).await?;
        self.answer(remote).await
    }

    /// Leaves nothing of a file that could not be read to its end: with the length and the times of the original it would
    /// pass for a copy. Whatever comes of it, it is said that the file failed.
    async fn empty(&mut self, name: &[u8], remote: &[u8]) -> Result<()> {
        let head = [b"C0600 0 ", name, b"\n"].concat();
        self.talk.say(head.into()).await?;
        if self.answer(remote).await?.is_ok() {
            self.talk.agree().await?;
            let _ = self.answer(remote).await?;
        }
        Ok(())
    }

    /// Whether the far side takes what it was just told of.
    async fn answer(&mut self, remote: &[u8]) -> Result<Result<()>> {
        loop {
            match self.talk.record().await? {
                Record::Ok => return Ok(Ok(())),
                Record::Error { text, is_fatal: false } if self.is_late && is_about_attributes(&text) => {
                    self.told_late(&text);
                }
                Record::Error { text, is_fatal: false } => {
                    return Ok(Err(self.talk.told(&text, Some(remote))));
                }
                Record::Error { text, is_fatal: true } => return Err(self.talk.told(&text, Some(remote))),
                other => return Err(self.talk.unexpected(&other)),
            }
        }
    }

    fn told_late(&mut self, text: &[u8]) {
        let error = self.talk.told(text, None);
        self.trip.account.fail(self.local.as_os_str().as_encoded_bytes(), error);
    }

    async fn file(&mut self, name: &[u8], local: PathBuf) -> Result<Result<()>> {
        let begun = Instant::now();
        let remote = join(&self.remote, name);
        let mut reader = match Reader::open(local.clone(), Plan::new(BLOCK)).await {
            Ok(reader) => reader,
            Err(error) => return Ok(Err(error)),
        };
        let details = *reader.details();
        let length = details.length();
        self.trip.meter.expect(Some(length));
        let head = (b'C', details.mode(), length);
        if let Err(error) = self.announce(head, &details, (name, &remote)).await? {
            return Ok(Err(error));
        }
        let counted = self.trip.meter.file(remote.clone(), Some(length));
        let limiter = self.trip.options.limiter();
        let (mut sent, mut failed) = (0, None);
        while sent < length || failed.is_none() {
            let block = match failed {
                None => match reader.next().await {
                    Ok(Some(Piece::Block(block))) => block.into_bytes(),
                    Ok(Some(Piece::Hole { .. })) => continue,
                    Ok(None) => break,
                    Err(error) => {
                        failed = Some(error);
                        continue;
                    }
                },
                // As many as were promised, whatever they are: what is said behind them is that they are not the file's.
                Some(_) => Bytes::from_static(&ZEROS),
            };
            let left = usize::try_from(length - sent).unwrap_or(usize::MAX);
            let block = block.slice(..block.len().min(left));
            let bytes = block.len() as u64;
            if let Some(limiter) = &limiter {
                limiter.take(bytes).await;
            }
            self.talk.say(block).await?;
            sent += bytes;
            counted.moved(bytes);
        }
        match &failed {
            None => self.talk.agree().await?,
            Some(_) => self.talk.refuse().await?,
        }
        // The last word about this file, whatever it says.
        self.is_late = false;
        let answer = self.answer(&remote).await?;
        self.is_late = self.trip.options.preserve;
        if let Some(error) = failed {
            self.empty(name, &remote).await?;
            return Ok(Err(error));
        }
        if answer.is_ok() {
            counted.done();
            let ends = Ends { source: local.as_os_str().as_encoded_bytes(), destination: &remote };
            self.trip.account.alone(ends, &summary(begun, length, self.trip.options));
        }
        Ok(answer)
    }
}

/// Which time a directory is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    First,
    Last,
}

/// Whether its owner could not fill it with its own permissions.
fn is_shut(details: &Details) -> bool {
    details.mode() & 0o700 != 0o700
}

fn unsendable(path: &[u8]) -> Error {
    Error::new(ErrorKind::InvalidName, "put", "scp's protocol has no way to send something of this name")
        .at(path)
}

/// The directory above a path, and the last name in the path; none for one that ends in no name, which is the directory itself.
fn above(path: &[u8], is_device: bool) -> (&[u8], Option<&[u8]>) {
    let end = path.iter().rposition(|byte| *byte != b'/').map_or(path.len().min(1), |last| last + 1);
    let path = &path[..end];
    // A device ends the name of a disk with a colon.
    let ends_directory = |byte: &u8| *byte == b'/' || is_device && *byte == b':';
    let cut = path.iter().rposition(ends_directory).map_or(0, |at| at + 1);
    let (above, name) = path.split_at(cut);
    match (above, name) {
        (_, b"" | b"." | b"..") => (path, None),
        (b"", name) => (b".", Some(name)),
        (above, name) => (above, Some(name)),
    }
}

/// What is read and sent at a time.
const BLOCK: usize = 256 * 1024;

static ZEROS: [u8; 32 * 1024] = [0; 32 * 1024];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_taken_apart_before_its_last_name() {
        let parts = |path: &'static str, is_device| above(path.as_bytes(), is_device);
        let named = |above: &'static str, name: &'static str| (above.as_bytes(), Some(name.as_bytes()));
        assert_eq!(parts("a", false), named(".", "a"));
        assert_eq!(parts("/a//", false), named("/", "a"));
        assert_eq!(parts("/a/b", false), named("/a/", "b"));
        assert_eq!(parts("flash:b", false), named(".", "flash:b"));
        assert_eq!(parts("flash:b", true), named("flash:", "b"));
        assert_eq!(parts("flash:/b", true), named("flash:/", "b"));
        for path in ["", ".", "..", "/", "a/.", "a/.."] {
            assert_eq!(parts(path, false), (path.as_bytes(), None), "{path}");
        }
    }
}
