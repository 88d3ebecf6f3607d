//! A file from the far side, as `cat` writes it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rustle_session::{Child, ChildStdout, ExitStatus};

use crate::commands::entries::nonsense;
use crate::commands::failure::{MARK, failed, not_run, script_said};
use crate::commands::listing::SILENCE;
use crate::commands::pace::Pace;
use crate::commands::{Commands, Of, PATIENCE, operand, patience, script, stat};
use crate::error::{Error, ErrorKind, Result};
use crate::local::target::{Durability, Finish, Placing, Target};
use crate::local::writer::Writing;
use crate::metadata::Metadata;
use crate::transfer::get::{new_mode, preserved};
use crate::transfer::options::{Options, Scope};
use crate::transfer::progress::Meter;
use crate::transfer::remote_command::hash_in;
use crate::transfer::summary::{Resumed, Summary, Verified};

impl Commands {
    pub(crate) async fn read(&self, path: &[u8]) -> Result<Bytes> {
        let of = Of { operation: "read", path };
        let mut child = self.start_deaf(of, script::READ, &[&operand("read", path)?]).await?;
        let mut stdout = child.take_stdout().ok_or_else(|| lost(of))?;
        let mut content = BytesMut::new();
        while let Some(bytes) = next_chunk(&mut stdout, of).await? {
            content.extend_from_slice(&bytes);
        }
        let (status, said) = account(&mut child, of, PATIENCE).await?;
        if status.success() { Ok(content.freeze()) } else { Err(failed(of, &status, &said)) }
    }

    pub(crate) async fn get(
        &self,
        remote: &Bytes,
        local: PathBuf,
        options: &Options,
        meter: &Meter,
    ) -> Result<Summary> {
        let begun = Instant::now();
        let of = Of { operation: "get", path: remote };
        refuse_resume(of, options)?;
        if options.preserve && !self.programs().knows_times() {
            let text = "the times of a file cannot be asked for: the server has no program `stat`";
            return Err(Error::new(ErrorKind::Unsupported, "get", text).at(remote));
        }
        let path = operand("get", remote)?;
        let mut child = match options.limit {
            Some(_) => self.start(of, script::GET_PACED, &[&path]).await?,
            None => self.start_deaf(of, script::GET, &[&path]).await?,
        };
        let mut stdout = child.take_stdout().ok_or_else(|| lost(of))?;
        let mut first = BytesMut::new();
        let head = loop {
            if let Some(end) = first.iter().position(|byte| *byte == b'\n') {
                break first.split_to(end + 1);
            }
            match next_chunk(&mut stdout, of).await? {
                Some(bytes) if first.len() < LONGEST_HEAD => first.extend_from_slice(&bytes),
                Some(_) => return Err(nonsense(of)),
                None => {
                    let (status, said) = account(&mut child, of, PATIENCE).await?;
                    return Err(if status.success() { nonsense(of) } else { failed(of, &status, &said) });
                }
            }
        };
        let before = stat::metadata(&head).ok_or_else(|| nonsense(of))?;
        let attributes = before.attributes();
        let placing = if options.atomic { Placing::Atomic } else { Placing::InPlace };
        let mode = new_mode(attributes, options);
        let target = match options.no_follow {
            false => Target::create(local, placing, mode).await?,
            true => Target::create_inside(local, placing, mode).await?,
        };
        let mut writer = target.writer(Writing::default())?;
        if options.scope == Scope::Alone {
            meter.expect(before.len());
            meter.expect_no_more();
        }
        let counted = meter.file(remote.clone(), before.len());
        let pace = options.limit.zip(options.limiter()).map(|(limit, limiter)| Pace::new(limit, limiter));
        let receiving = async {
            let mut length = 0;
            let mut pieces = vec![first.freeze()];
            loop {
                let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
                writer.write(length, pieces.drain(..)).await?;
                length += bytes;
                counted.moved(bytes);
                if let Some(pace) = &pace {
                    pace.came(bytes);
                }
                match tokio::time::timeout(SILENCE, stdout.chunks(&mut pieces, AT_ONCE)).await {
                    Ok(Ok(0)) => break Ok(length),
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => break Err(lost(of).with_source(error)),
                    Err(_) => break Err(silent(of)),
                }
            }
        };
        let length = match (&pace, child.take_stdin()) {
            (Some(pace), Some(stdin)) => pace.kept(stdin, before.len().unwrap_or(0), receiving).await?,
            _ => receiving.await?,
        };
        let (status, said) = account(&mut child, of, PATIENCE).await?;
        if !status.success() {
            return Err(failed(of, &status, &said));
        }
        writer.finish(false).await?;
        let changed = is_changed(&before, &said, length);
        if before.len().is_some_and(|said| said > length) {
            let text = format!("the file was cut while it was fetched: {length} bytes came");
            return Err(Error::new(ErrorKind::Changed, "get", text).at(remote));
        }
        if options.verify && changed {
            let text = "the file was written to while it was fetched";
            return Err(Error::new(ErrorKind::Changed, "get", text).at(remote));
        }
        let verified = match options.verify {
            true => self.compared(of, &target, length).await?,
            false => Verified::NotAsked,
        };
        let durability = if options.atomic { Durability::Synced } else { Durability::Lazy };
        let finish = Finish { preserved: preserved(attributes, options), durability, length: Some(length) };
        target.commit(finish).await?;
        counted.done();
        let duration = begun.elapsed();
        Ok(Summary {
            length,
            moved: length,
            duration,
            resumed: Resumed::NotAsked,
            verified,
            changed,
            channels: 1,
            losses: 0,
        })
    }

    async fn compared(&self, of: Of<'_>, target: &Target, length: u64) -> Result<Verified> {
        if !self.programs().hashes() {
            return Ok(Verified::Impossible(NO_HASH.into()));
        }
        let (script, path) = (script::sha256(), operand("verify", of.path)?);
        let count = length.to_string();
        let parameters: [&[u8]; 2] = [&path, count.as_bytes()];
        let answer = self.run_for(of, &script, &parameters, Some(patience(length)));
        let (answer, ours) = tokio::join!(answer, target.sha256(0..length));
        let (answer, ours) = (answer?, ours?);
        match answer.split(|byte| *byte == b'\n').find_map(hash_in) {
            Some(theirs) if theirs == ours => Ok(Verified::Sha256(ours)),
            Some(_) => {
                let text = "the server's file has another SHA-256 than what arrived";
                Err(Error::new(ErrorKind::Mismatch, "verify", text).at(of.path))
            }
            None => Err(nonsense(of)),
        }
    }
}

/// What a transfer by commands cannot do is said before anything is done.
pub(super) fn refuse_resume(of: Of<'_>, options: &Options) -> Result<()> {
    if !options.resume {
        return Ok(());
    }
    let text = "a transfer by commands moves the whole file: it does not go on from a part";
    Err(Error::new(ErrorKind::Unsupported, of.operation, text)
        .at(of.path)
        .with_hint("transfer it without `resume`, or let the account use SFTP"))
}

/// Whether the line that was printed behind the file says something else than the one before it.
fn is_changed(before: &Metadata, said: &[u8], length: u64) -> bool {
    let marked = said.split(|byte| *byte == b'\n').rev().find_map(|line| line.strip_prefix(b"rustle:"));
    let same = |after: Metadata| after.len() == before.len() && after.modified() == before.modified();
    before.len() != Some(length) || !marked.and_then(stat::metadata).is_some_and(same)
}

/// The next output; `None` at its end.
pub(super) async fn next_chunk(stdout: &mut ChildStdout, of: Of<'_>) -> Result<Option<Bytes>> {
    match tokio::time::timeout(SILENCE, stdout.chunk()).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(lost(of).with_source(error)),
        Err(_) => Err(silent(of)),
    }
}

/// How the command ended, and the beginning and the end of what it said.
pub(super) async fn account(
    child: &mut Child,
    of: Of<'_>,
    patience: Duration,
) -> Result<(ExitStatus, Vec<u8>)> {
    let mut said = Vec::new();
    let ending = async {
        if let Some(mut stderr) = child.take_stderr() {
            while let Ok(Some(bytes)) = stderr.chunk().await {
                said.extend_from_slice(&bytes);
                if said.len() > 2 * MOST_SAID {
                    // A start-up file may say much at first; what became of the file is said last.
                    let script_s = said.len() - script_said(&said).map_or(said.len(), <[u8]>::len);
                    said.drain(..script_s.saturating_sub(MARK.len()));
                    if said.len() > 2 * MOST_SAID {
                        said.drain(MOST_SAID / 2..said.len() - MOST_SAID / 2);
                    }
                }
            }
        }
        child.wait().await
    };
    match tokio::time::timeout(patience, ending).await {
        Ok(Ok(status)) => Ok((status, said)),
        Ok(Err(error)) => Err(not_run(of, error)),
        Err(_) => {
            let text = format!("the command did not end within {} s", patience.as_secs());
            Err(Error::new(ErrorKind::Timeout, of.operation, text).at(of.path))
        }
    }
}

pub(super) fn lost(of: Of<'_>) -> Error {
    Error::new(ErrorKind::Disconnected, of.operation, "the command's channel was lost").at(of.path)
}

pub(super) fn silent(of: Of<'_>) -> Error {
    let text = format!("nothing came for {} s", SILENCE.as_secs());
    Error::new(ErrorKind::Timeout, of.operation, text).at(of.path)
}

pub(super) const NO_HASH: &str = "the server has no program for SHA-256";

/// A line about a file, behind which its bytes begin.
const LONGEST_HEAD: usize = 4096;

/// What is taken from the channel in one go.
const AT_ONCE: usize = 1024 * 1024;

const MOST_SAID: usize = 4096;
