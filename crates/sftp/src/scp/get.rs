//! A file that `scp -f` sends.

use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use rustle_sftp_proto::Attributes;

use crate::error::{Error, ErrorKind, Result};
use crate::local::target::{Durability, Finish, Placing, Target};
use crate::local::writer::Writing;
use crate::scp::talk::Talk;
use crate::scp::wire::Record;
use crate::scp::{IMPOSSIBLE, Scp, refuse};
use crate::shown::Shown;
use crate::transfer::get::{new_mode, preserved};
use crate::transfer::options::{Options, Scope};
use crate::transfer::progress::Meter;
use crate::transfer::summary::{Resumed, Summary, Verified};

impl Scp {
    pub(crate) async fn get(
        &self,
        remote: &Bytes,
        local: PathBuf,
        options: &Options,
        meter: &Meter,
    ) -> Result<Summary> {
        let begun = Instant::now();
        // A local file can be given its name at the end, whatever the far side is.
        refuse("get", remote, &Options { atomic: false, ..options.clone() })?;
        if options.limit.is_some() {
            let text = "scp's protocol has no way to slow down what the far side sends";
            return Err(Error::new(ErrorKind::Unsupported, "get", text).at(remote));
        }
        let way = if options.preserve { "-p -f" } else { "-f" };
        let mut talk = Talk::start("get", remote, self.command("get", way, remote)?).await?;
        let length = fetch(&mut talk, remote, local, options, meter).await;
        talk.over().await;
        Ok(summary(begun, length?, options))
    }
}

/// The one file that is sent; how long it is.
async fn fetch(
    talk: &mut Talk,
    remote: &Bytes,
    local: PathBuf,
    options: &Options,
    meter: &Meter,
) -> Result<u64> {
    talk.agree().await?;
    let mut attributes = Attributes::new();
    let (mode, length, name) = loop {
        match talk.hear().await? {
            Record::Times { modified, accessed } if options.preserve => {
                attributes = attributes.with_times(accessed, modified);
                talk.agree().await?;
            }
            Record::File { mode, length, name } => break (mode, length, name),
            Record::Directory { .. } | Record::Nameless { .. } => {
                return Err(talk.error(ErrorKind::IsADirectory, "a directory"));
            }
            other => return Err(talk.unexpected(&other)),
        }
    };
    // The name decides nothing here. A server that sends another than was asked for sends something else.
    // A colon is part of a name for a Unix host, and for a device what ends the name of its disk.
    let in_directory = remote.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let on_disk = in_directory.rsplit(|byte| *byte == b':').next().unwrap_or_default();
    if name != in_directory && name != on_disk {
        let text = format!("`scp` sent a file {}, which was not asked for", Shown::of(&name));
        return Err(talk.error(ErrorKind::InvalidName, text));
    }
    let attributes = attributes.with_permissions(mode);
    let placing = if options.atomic { Placing::Atomic } else { Placing::InPlace };
    let new = new_mode(&attributes, options);
    let target = match options.no_follow {
        false => Target::create(local, placing, new).await?,
        true => Target::create_inside(local, placing, new).await?,
    };
    let mut writer = target.writer(Writing::default())?;
    if options.scope == Scope::Alone {
        meter.expect(Some(length));
        meter.expect_no_more();
    }
    let counted = meter.file(remote.clone(), Some(length));
    talk.agree().await?;
    let mut moved = 0;
    while moved < length {
        let data = talk.data(length - moved).await?;
        let bytes = data.len() as u64;
        writer.write(moved, [data]).await?;
        moved += bytes;
        counted.moved(bytes);
    }
    // Where reading failed over there, what came instead has the right length.
    talk.consent().await?;
    writer.finish(false).await?;
    talk.agree().await?;
    talk.finish().await?;
    let durability = if options.atomic { Durability::Synced } else { Durability::Lazy };
    let finish = Finish { preserved: preserved(&attributes, options), durability, length: Some(length) };
    target.commit(finish).await?;
    counted.done();
    Ok(length)
}

pub(crate) fn summary(begun: Instant, length: u64, options: &Options) -> Summary {
    let verified = if options.verify { Verified::Impossible(IMPOSSIBLE.into()) } else { Verified::NotAsked };
    Summary {
        length,
        moved: length,
        duration: begun.elapsed(),
        resumed: Resumed::NotAsked,
        verified,
        changed: false,
        channels: 1,
        losses: 0,
    }
}
