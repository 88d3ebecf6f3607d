//! A file to the far side, as `cat` reads it.

use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use rustle_session::ChildStdin;
use rustle_sftp_proto::FileKind;
use tokio::io::AsyncWriteExt;

use crate::commands::entries::touch_time;
use crate::commands::failure::failed;
use crate::commands::get::{NO_HASH, account, refuse_resume, silent};
use crate::commands::{Commands, Of, PATIENCE, operand, patience, script};
use crate::error::{Error, ErrorKind, Result};
use crate::local::details::Details;
use crate::local::reader::{Piece, Plan, Reader};
use crate::local::whole;
use crate::transfer::options::{Options, Scope};
use crate::transfer::progress::Meter;
use crate::transfer::summary::{Resumed, Summary, Verified};
use crate::transfer::temporary::beside;

impl Commands {
    pub(crate) async fn put(
        &self,
        local: PathBuf,
        remote: &Bytes,
        options: &Options,
        meter: &Meter,
    ) -> Result<Summary> {
        let begun = Instant::now();
        let of = Of { operation: "put", path: remote };
        refuse_resume(of, options)?;
        let mut reader = Reader::open(local.clone(), Plan::new(BLOCK)).await?;
        let details = *reader.details();
        let length = details.length();
        // The far side compares before the file takes its place, so it has to know beforehand.
        let hashed = options.verify && self.programs().hashes();
        let sha256 = match hashed {
            true => Some(whole::sha256(local, 0..length).await?),
            false => None,
        };
        let parameters = self.parameters(of, &details, sha256, options).await?;
        let parameters: Vec<&[u8]> = parameters.iter().map(|parameter| &parameter[..]).collect();
        let mut child = self.start(of, &script::put(self.programs()), &parameters).await?;
        let counted = meter.file(remote.clone(), Some(length));
        if options.scope == Scope::Alone {
            meter.expect(Some(length));
            meter.expect_no_more();
        }
        let limiter = options.limiter();
        let mut stdin = child.take_stdin();
        // What becomes of the file is told behind its last block. So that one stays here until it is known: a script that has
        // got as many bytes as it was promised gives them the file's name, whatever they are.
        let mut held = None;
        while stdin.is_some() {
            let next = reader.next().await?;
            let was_last = next.is_none();
            let next = next.and_then(|piece| match piece {
                Piece::Block(block) => Some(block.into_bytes()),
                Piece::Hole { .. } => None,
            });
            if let Some(block) = if was_last { held.take() } else { next.and_then(|next| held.replace(next)) }
            {
                let bytes = block.len() as u64;
                if let Some(limiter) = &limiter {
                    limiter.take(bytes).await;
                }
                if feed(&mut stdin, block, of).await? {
                    counted.moved(bytes);
                }
            }
            if was_last {
                break;
            }
        }
        let read_all = stdin.is_some();
        end(stdin).await;
        let (status, said) = account(&mut child, of, patience(length)).await?;
        if !status.success() || !read_all {
            return Err(failed(of, &status, &said));
        }
        counted.done();
        let verified = match sha256 {
            Some(sha256) => Verified::Sha256(sha256),
            None if options.verify => Verified::Impossible(NO_HASH.into()),
            None => Verified::NotAsked,
        };
        Ok(Summary {
            length,
            moved: length,
            duration: begun.elapsed(),
            resumed: Resumed::NotAsked,
            verified,
            changed: false,
            channels: 1,
            losses: 0,
        })
    }

    /// What the script is to know; see [`script::put`].
    async fn parameters(
        &self,
        of: Of<'_>,
        details: &Details,
        sha256: Option<[u8; 32]>,
        options: &Options,
    ) -> Result<[Vec<u8>; 8]> {
        let asked = options.mode.or_else(|| Some(details.mode()).filter(|_| options.preserve));
        let (name, mode) = match options.atomic {
            false => (Vec::new(), asked),
            // What takes a file's place has its permissions.
            true => (beside(of.path)?, asked.or(self.replaced(of).await?)),
        };
        let times = details.modified().filter(|_| options.preserve);
        let times = times.map(|modified| (details.accessed().unwrap_or(modified), modified));
        let text = |value: Option<String>| value.unwrap_or_default().into_bytes();
        Ok([
            operand("put", of.path)?.to_vec(),
            name,
            details.length().to_string().into_bytes(),
            text(mode.map(octal)),
            octal(options.mode.unwrap_or_else(|| details.mode())).into_bytes(),
            text(times.map(|(accessed, _)| touch_time(accessed))),
            text(times.map(|(_, modified)| touch_time(modified))),
            text(sha256.map(|hash| hash.iter().map(|byte| format!("{byte:02x}")).collect())),
        ])
    }

    /// The permissions of what is replaced, if there is something.
    async fn replaced(&self, of: Of<'_>) -> Result<Option<u32>> {
        let there = match self.metadata(of.path).await {
            Ok(there) => there,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match there.kind() {
            Some(FileKind::Directory) => {
                Err(Error::new(ErrorKind::IsADirectory, of.operation, "a directory").at(of.path))
            }
            Some(FileKind::Other) => {
                let text = "a device, a pipe or a socket, which a file cannot replace";
                Err(Error::new(ErrorKind::InvalidArgument, of.operation, text).at(of.path))
            }
            _ => Ok(there.permissions()),
        }
    }
}

impl Commands {
    pub(crate) async fn write(&self, path: &[u8], content: Bytes) -> Result<()> {
        let length = content.len() as u64;
        let of = Of { operation: "write", path };
        let told = length.to_string();
        let parameters: [&[u8]; 2] = [&operand("write", path)?, told.as_bytes()];
        let mut child = self.start(of, script::WRITE, &parameters).await?;
        let (mut stdin, mut rest) = (child.take_stdin(), content);
        while !rest.is_empty() && feed(&mut stdin, rest.split_to(rest.len().min(BLOCK)), of).await? {}
        end(stdin).await;
        let (status, said) = account(&mut child, of, patience(length)).await?;
        if status.success() { Ok(()) } else { Err(failed(of, &status, &said)) }
    }
}

/// Sends these bytes. Where the other side reads no more, the input is gone afterwards, and how the command ended says why.
async fn feed(stdin: &mut Option<ChildStdin>, bytes: Bytes, of: Of<'_>) -> Result<bool> {
    let Some(open) = stdin else { return Ok(false) };
    match tokio::time::timeout(PATIENCE, open.write_bytes(bytes)).await {
        Ok(Ok(())) => Ok(true),
        Ok(Err(_)) => {
            *stdin = None;
            Ok(false)
        }
        Err(_) => Err(silent(of)),
    }
}

/// Ends the input. Where the other side reads no more, its exit code says so.
async fn end(stdin: Option<ChildStdin>) {
    if let Some(mut stdin) = stdin
        && let Err(error) = stdin.shutdown().await
    {
        tracing::debug!(%error, "the end of the input was not taken");
    }
}

fn octal(mode: u32) -> String {
    format!("{mode:o}")
}

/// What is read and sent at a time.
const BLOCK: usize = 256 * 1024;
