//! Directories of the server that their owner has closed.

use bytes::Bytes;
use rustle_sftp_proto::{Attributes, Request};

use crate::engine::Engine;
use crate::error::Result;

/// Whether the owner of a directory with these permissions may not list it, or change what is in it.
pub(crate) fn is_shut(mode: Option<u32>) -> bool {
    mode.is_some_and(|mode| mode & OWNERS != OWNERS)
}

/// Lets the owner of a directory with these permissions fill it, or empty it.
///
/// # Errors
/// The channel is lost. Whoever may not do that may still be allowed to write, and is told of each file otherwise.
pub(crate) async fn open_up(engine: &Engine, path: &Bytes, mode: u32) -> Result<()> {
    set_mode(engine, path, mode & 0o7777 | OWNERS).await
}

/// The permissions that it had before.
///
/// # Errors
/// As those of [`open_up`].
pub(crate) async fn set_mode(engine: &Engine, path: &Bytes, mode: u32) -> Result<()> {
    let attributes = Attributes::new().with_permissions(mode & 0o7777);
    match engine.done("setstat", Request::SetStat { path: path.clone(), attributes }).await {
        Err(error) if error.status().is_none() => Err(error),
        _ => Ok(()),
    }
}

const OWNERS: u32 = 0o700;
