//! The connections that the files of a tree come over.
//!
//! Everything about directories goes over the connection that the tree was begun on. A file comes over whichever has the
//! least under way, and over another one where that is lost meanwhile. None is sent over another but a long one, which is
//! opened there a second time: what a connection was told before it was lost may be done after the same was done over
//! another, and a late OPEN would empty a file that is complete by then.

use std::future::pending;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use rustle_sftp_proto::{Attributes, OpenFlags, Request};

use crate::blocks::{Blocks, Extent};
use crate::error::{Error, ErrorKind, Result};
use crate::sftp::Sftp;
use crate::transfer::others::Other;
use crate::transfer::stripe::is_alike;
use crate::transfer::tree::Tree;
use crate::transfer::tree::room::Room;
use crate::transfer::witness::another;

/// The connections of a tree, its own first.
pub(super) struct Routes<'a> {
    tree: &'a Tree<'a>,
    lines: Vec<Line>,
    joining: FuturesUnordered<BoxFuture<'a, Option<Sftp>>>,
    /// How many of the others were asked to join.
    invited: usize,
    /// Bytes of files that were found.
    bytes: u64,
}

struct Line {
    sftp: Sftp,
    under_way: usize,
    is_trusted: bool,
}

/// Which connection a file goes over.
#[derive(Debug, Clone)]
pub(super) struct Route {
    number: usize,
    pub(super) sftp: Sftp,
}

impl Route {
    /// Whether it is not the tree's own.
    pub(super) fn is_another(&self) -> bool {
        self.number > 0
    }
}

impl<'a> Routes<'a> {
    pub(super) fn new(tree: &'a Tree<'a>) -> Self {
        let own = Line { sftp: tree.sftp.clone(), under_way: 0, is_trusted: true };
        Self { tree, lines: vec![own], joining: FuturesUnordered::new(), invited: 0, bytes: 0 }
    }

    /// A file of so many bytes was found: other connections are asked to join where they are worth it by now, and have to
    /// read the same from the file that `proof` names. It is only called where one is, and names none where that shows
    /// nothing.
    pub(super) fn found(&mut self, bytes: u64, proof: impl Fn() -> Option<Bytes>) {
        self.bytes = self.bytes.saturating_add(bytes);
        while let Some(other) = self.tree.options.others.nth_worth(self.invited, self.bytes)
            && let Some(proof) = proof()
        {
            self.invited += 1;
            self.joining.push(Box::pin(join_in(self.tree, other.clone(), proof)));
        }
    }

    /// Waits for the next that has joined, as long as it is polled.
    pub(super) async fn join(&mut self) {
        loop {
            match self.joining.next().await {
                Some(Some(sftp)) => {
                    self.lines.push(Line { sftp, under_way: 0, is_trusted: true });
                    return;
                }
                Some(None) => {}
                None => pending().await,
            }
        }
    }

    /// The one with the least under way, which has one file more from now on.
    pub(super) fn least(&mut self) -> Route {
        let usable = |line: &Line| line.is_trusted && !line.sftp.is_closed();
        let others = self.lines.iter().enumerate().skip(1).filter(|(_, line)| usable(line));
        let least = others.min_by_key(|(_, line)| line.under_way);
        // The tree's own has the rest to do as well: it comes first only where it has less.
        let number = match least {
            Some((number, line)) if line.under_way <= self.lines[0].under_way => number,
            _ => 0,
        };
        self.at(number)
    }

    /// The one for a file that is not small. A long one has channels on every connection, beside the first on the tree's
    /// own, unless it may be resumed.
    pub(super) fn for_large(&mut self, length: u64) -> Route {
        if length < LONG || self.tree.options.resume { self.least() } else { self.at(0) }
    }

    fn at(&mut self, number: usize) -> Route {
        let line = &mut self.lines[number];
        line.under_way += 1;
        Route { number, sftp: line.sftp.clone() }
    }

    /// The file is done, well or not.
    pub(super) fn done(&mut self, route: &Route) {
        self.lines[route.number].under_way -= 1;
    }

    /// Whether a file that failed there is to be moved by another one: the connection is lost, or leads elsewhere.
    pub(super) fn is_lost(&mut self, route: &Route, error: &Error) -> bool {
        if !route.is_another() {
            return false;
        }
        // A file that is not as it was listed, for one.
        let leads_elsewhere = error.kind() == ErrorKind::Changed;
        if leads_elsewhere {
            tracing::info!(%error, "a tree goes on without a connection");
            self.lines[route.number].is_trusted = false;
        }
        leads_elsewhere || route.sftp.is_closed()
    }
}

/// The channel of a connection that was shown to lead to the same files. What is refused, lost or leads elsewhere is done
/// without.
async fn join_in(tree: &Tree<'_>, other: Other, proof: Bytes) -> Option<Sftp> {
    let session = other.session().await?;
    let joined = async {
        let sftp = Sftp::open(&session).await?;
        let (theirs, ours) = (sftp.limits().await?, tree.room);
        let room = Room::new(theirs, tree.options);
        if room.read < ours.read {
            return Err(another());
        }
        reads(tree, &sftp, &proof).await?;
        Ok(sftp)
    };
    let joined: Result<Sftp> = joined.await;
    joined.inspect_err(|error| tracing::info!(%error, "a tree goes on with the connections that it has")).ok()
}

/// Whether a file has the same length, time and beginning over both.
async fn reads(tree: &Tree<'_>, sftp: &Sftp, path: &Bytes) -> Result<()> {
    let (ours, theirs) = tokio::try_join!(beginning(tree.sftp, path), beginning(sftp, path))?;
    match is_alike(&ours.0, &theirs.0) && ours.1 == theirs.1 {
        true => Ok(()),
        false => Err(another()),
    }
}

async fn beginning(sftp: &Sftp, path: &Bytes) -> Result<(Attributes, Bytes)> {
    let opening = Request::Open { path: path.clone(), flags: OpenFlags::READ, attributes: Attributes::new() };
    let file = sftp.engine().handle("open", opening).await?;
    let asked = Request::Fstat { handle: file.handle().clone() };
    let attributes = sftp.engine().attributes("fstat", asked).await?;
    let blocks = Blocks { handle: &file, limits: sftp.limits().await? };
    Ok((attributes, blocks.read("read", 0, Extent::Length(ENOUGH)).await?))
}

/// One connection moves this much in 80 ms at best: for less, two files have one each.
const LONG: u64 = 64 * 1024 * 1024;

/// So many bytes are compared: what every server reads at once (draft-ietf-secsh-filexfer-02, section 3).
const ENOUGH: u64 = 32 * 1024;
