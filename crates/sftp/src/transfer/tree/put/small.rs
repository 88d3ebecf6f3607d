//! A small file to the server, as a whole.

use bytes::Bytes;
use rustle_sftp_proto::{ExtendedRequest, Extension, Request};

use crate::engine::Pending;
use crate::error::Result;
use crate::explain::{Doing, explained};
use crate::transfer::place::{Place, Source};
use crate::transfer::tree::Tree;

/// Sends a file, in two round trips where it goes into its place: what is written, what the file gets and its CLOSE follow
/// each other at once, since a server keeps the order of requests about one file (draft-ietf-secsh-filexfer-13, section
/// 4.1).
pub(super) async fn send(tree: &Tree<'_>, remote: &Bytes, source: Source<'_>, data: Bytes) -> Result<()> {
    let engine = tree.sftp.engine();
    let length = data.len() as u64;
    tree.admit(length).await;
    let place = Place::open(tree.sftp, remote, source, tree.options).await?;
    let Place { file, mut temporary, attributes, .. } = place;
    let counted = tree.meter.file(remote.clone(), Some(length));
    let handle = || file.handle().clone();
    let mut asked: Vec<(&'static str, Pending)> = Vec::new();
    let mut rest = data;
    let mut offset = 0;
    while !rest.is_empty() {
        let data = rest.split_to(rest.len().min(tree.room.write));
        let next = offset + data.len() as u64;
        asked.push(("write", engine.submit(Request::Write { handle: handle(), offset, data })));
        offset = next;
    }
    if !attributes.is_empty() {
        asked.push(("setstat", engine.submit(Request::FsetStat { handle: handle(), attributes })));
    }
    if tree.options.atomic && engine.has(Extension::Fsync) {
        let request = Request::Extended(ExtendedRequest::Fsync { handle: handle() });
        asked.push(("fsync", engine.submit(request)));
    }
    let closed = file.close("close").await;
    let mut done = Ok(());
    for (operation, pending) in asked {
        // The first that failed says why; those behind it may follow from that.
        done = done.and(pending.done(operation).await);
    }
    if let Some(temporary) = &mut temporary {
        // Where its own connection was lost, another one can still remove it.
        temporary.stay_with(tree.sftp);
    }
    explained(engine, done.and(closed), Doing::Write { path: remote, bytes: length }).await?;
    counted.moved(length);
    if let Some(temporary) = temporary {
        temporary.take_place().await?;
    }
    counted.done();
    Ok(())
}
