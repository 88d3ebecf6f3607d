//! Whether files of both sides have the same content, many at a time.

use std::path::PathBuf;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use rustle_sftp_proto::{Attributes, Extension, OpenFlags, Request};

use crate::error::Result;
use crate::local::whole;
use crate::sftp::Sftp;
use crate::transfer::tree::Tree;
use crate::transfer::verify::Remote;

/// A file that both sides have.
#[derive(Debug, Clone)]
pub(super) struct Both {
    pub(super) local: PathBuf,
    pub(super) remote: Bytes,
    pub(super) length: u64,
}

/// Whether each pair is equal; `None` where the server has no way to say what it has.
///
/// The server's own extension is asked where it has one, a request for each file; otherwise one command of the account
/// for all of them.
///
/// # Errors
/// For each by itself: a file of this side cannot be read.
pub(super) async fn compare(tree: &Tree<'_>, files: &[Both]) -> Vec<Result<Option<bool>>> {
    let (here, there) = futures_util::join!(hashes_here(files), hashes_there(tree, files));
    let equal = here.into_iter().zip(there).map(|(here, there)| Ok((here?, there)));
    equal.map(|both| both.map(|(here, there)| there.map(|there| here == there))).collect()
}

async fn hashes_here(files: &[Both]) -> Vec<Result<[u8; 32]>> {
    let mut hashes = Vec::with_capacity(files.len());
    for file in files {
        // One after the other: the disk is busy with one.
        hashes.push(whole::sha256(file.local.clone(), 0..file.length).await);
    }
    hashes
}

async fn hashes_there(tree: &Tree<'_>, files: &[Both]) -> Vec<Option<[u8; 32]>> {
    let sftp = tree.sftp;
    if sftp.engine().has(Extension::CheckFile) {
        let asked: Vec<_> = files.iter().map(|file| by_extension(sftp, file)).collect();
        return stream::iter(asked).buffered(tree.room.comparing).collect().await;
    }
    let (Some(account), Some(hashes)) = (sftp.account(), &tree.options.hashes) else {
        return vec![None; files.len()];
    };
    // A command may begin elsewhere than SFTP does, which absolute paths make up for.
    let engine = sftp.engine();
    let asked: Vec<_> =
        files.iter().map(|file| engine.submit(Request::RealPath { path: file.remote.clone() })).collect();
    let absolute = join_all(asked.into_iter().map(|asked| asked.path("realpath"))).await;
    // All are asked before any is waited for.
    let asked: Vec<_> = absolute
        .into_iter()
        .zip(files)
        .map(|(path, file)| Some((hashes.ask(account, path.ok()?, file.length), file.length)))
        .collect();
    join_all(asked.into_iter().map(async |asked| {
        let (asked, length) = asked?;
        asked.await.ok().filter(|seen| seen.length == length).map(|seen| seen.sha256)
    }))
    .await
}

async fn by_extension(sftp: &Sftp, file: &Both) -> Option<[u8; 32]> {
    let opening =
        Request::Open { path: file.remote.clone(), flags: OpenFlags::READ, attributes: Attributes::new() };
    let opened = sftp.engine().handle("open", opening).await.ok()?;
    let remote = Remote { sftp, path: &file.remote, file: Some(&opened), hashes: None };
    remote.check_file(file.length).await
}
