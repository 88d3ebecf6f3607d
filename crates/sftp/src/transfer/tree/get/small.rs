//! A small file from the server, as a whole.

use bytes::Bytes;
use rustle_sftp_proto::{Answer, Attributes, OpenFlags, Request, StatusCode};

use crate::engine::Pending;
use crate::error::{Error, ErrorKind, Result};
use crate::explain::{Doing, explained};
use crate::local::writer::without_its_packet;
use crate::sftp::Sftp;
use crate::transfer::progress::FileMeter;
use crate::transfer::stripe::is_alike;
use crate::transfer::tree::Tree;
use crate::transfer::witness::another;

/// What a file holds.
pub(super) struct Fetched {
    pub(super) data: Vec<Bytes>,
    pub(super) length: u64,
    /// It was shorter than its directory said.
    pub(super) changed: bool,
    pub(super) counted: FileMeter,
}

/// Fetches a file that is thought to have `size` bytes, in two round trips: all of it is asked for at once, and whether it
/// ends there. `None` where it does not: it is to be fetched as a large one.
///
/// # Errors
/// [`ErrorKind::Changed`] where it is not as `expected`, among others.
pub(super) async fn fetch(
    tree: &Tree<'_>,
    sftp: &Sftp,
    remote: &Bytes,
    size: u64,
    expected: Option<&Attributes>,
) -> Result<Option<Fetched>> {
    let engine = sftp.engine();
    let opening =
        Request::Open { path: remote.clone(), flags: OpenFlags::READ, attributes: Attributes::new() };
    let opened = engine.handle("open", opening).await;
    let file = explained(engine, opened, Doing::Open { path: remote }).await?;
    let read = |offset: u64, end: u64| -> Pending {
        let length = u32::try_from(end - offset).unwrap_or(u32::MAX);
        engine.submit(Request::Read { handle: file.handle().clone(), offset, length })
    };
    let alike =
        expected.map(|expected| (expected, engine.submit(Request::Fstat { handle: file.handle().clone() })));
    let counted = tree.meter.file(remote.clone(), Some(size));
    let step = tree.room.read as u64;
    let starts = (0..size).step_by(tree.room.read);
    let parts: Vec<_> = starts.map(|start| (start, (start + step).min(size))).collect();
    let asked: Vec<Pending> = parts.iter().map(|(start, end)| read(*start, *end)).collect();
    let beyond = read(size, size + step);
    if let Some((expected, asked)) = alike
        && !is_alike(expected, &asked.attributes("fstat").await?)
    {
        return Err(another());
    }
    let mut fetched = Fetched { data: Vec::new(), length: 0, changed: false, counted };
    for ((start, end), mut pending) in parts.into_iter().zip(asked) {
        let mut at = start;
        while at < end {
            let Some(data) = data(pending, remote).await? else {
                fetched.changed = true;
                return Ok(Some(fetched));
            };
            let bytes = data.iter().map(|piece| piece.len() as u64).sum::<u64>();
            at += bytes;
            if at > end {
                let text = "the server answered more bytes than were asked for";
                return Err(Error::new(ErrorKind::Protocol, "read", text).at(remote));
            }
            tree.admit(bytes).await;
            fetched.counted.moved(bytes);
            fetched.length += bytes;
            fetched.data.extend(data);
            if at == end {
                break;
            }
            // A server answers fewer bytes than asked for when it likes (draft section 6.4).
            pending = read(at, end);
        }
    }
    match data(beyond, remote).await? {
        None => Ok(Some(fetched)),
        Some(_) => Ok(None),
    }
}

/// What a READ brought; `None` at the end of the file.
async fn data(pending: Pending, remote: &Bytes) -> Result<Option<Vec<Bytes>>> {
    match pending.answer("read").await.map_err(|error| error.at(remote))? {
        Answer::Data(data) if data.is_empty() => Ok(None),
        Answer::Data(data) => Ok(Some(data.into_pieces().map(without_its_packet).collect())),
        Answer::Status(status) if status.code() == StatusCode::EOF => Ok(None),
        answer => Err(crate::engine::refused("read", answer).at(remote)),
    }
}
