//! A file for `scp -t`.

use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::local::reader::{Piece, Plan, Reader};
use crate::scp::get::summary;
use crate::scp::talk::Talk;
use crate::scp::{Scp, refuse};
use crate::transfer::names::for_server;
use crate::transfer::options::{Options, Scope};
use crate::transfer::progress::Meter;
use crate::transfer::summary::Summary;

impl Scp {
    pub(crate) async fn put(
        &self,
        local: PathBuf,
        remote: &Bytes,
        options: &Options,
        meter: &Meter,
    ) -> Result<Summary> {
        let begun = Instant::now();
        refuse("put", remote, options)?;
        // Where the path turns out to be a directory, the file goes into it by this name.
        let name = for_server(local.file_name().unwrap_or_default())?;
        if name.is_empty() || name.contains(&b'\n') {
            let text = "scp's protocol has no way to send a file of this name";
            return Err(
                Error::new(ErrorKind::InvalidName, "put", text).at(local.as_os_str().as_encoded_bytes())
            );
        }
        let reader = Reader::open(local, Plan::new(BLOCK)).await?;
        let length = reader.details().length();
        // With `-p` the permissions are those that are sent, without them less the mask of the far side.
        let exact = options.preserve || options.mode.is_some();
        let way = if exact { "-p -t" } else { "-t" };
        let mut talk = Talk::start("put", remote, self.command("put", way, remote)?).await?;
        let sent = send(&mut talk, reader, (remote, &name), options, meter).await;
        talk.over().await;
        sent.map(|()| summary(begun, length, options))
    }
}

/// The one file, under a name that counts where the path is a directory's.
async fn send(
    talk: &mut Talk,
    mut reader: Reader,
    (remote, name): (&Bytes, &[u8]),
    options: &Options,
    meter: &Meter,
) -> Result<()> {
    let details = *reader.details();
    let length = details.length();
    talk.consent().await?;
    if let (true, Some(modified)) = (options.preserve, details.modified()) {
        let accessed = details.accessed().unwrap_or(modified);
        talk.say(format!("T{modified} 0 {accessed} 0\n").into()).await?;
        talk.consent().await?;
    }
    let mode = options.mode.unwrap_or_else(|| details.mode());
    let head = [format!("C{mode:04o} {length} ").as_bytes(), name, b"\n"].concat();
    talk.say(head.into()).await?;
    talk.consent().await?;
    if options.scope == Scope::Alone {
        meter.expect(Some(length));
        meter.expect_no_more();
    }
    let counted = meter.file(remote.clone(), Some(length));
    let limiter = options.limiter();
    // What becomes of the file is told before it is said to be whole: where this side fails, the far side is not told
    // that it was.
    while let Some(piece) = reader.next().await? {
        let Piece::Block(block) = piece else { continue };
        let bytes = block.len() as u64;
        if let Some(limiter) = &limiter {
            limiter.take(bytes).await;
        }
        talk.say(block.into_bytes()).await?;
        counted.moved(bytes);
    }
    talk.agree().await?;
    talk.consent().await?;
    talk.finish().await?;
    counted.done();
    Ok(())
}

/// What is read and sent at a time.
const BLOCK: usize = 256 * 1024;
