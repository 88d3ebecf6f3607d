//! What is known of a file, as `scp -f` tells it before it would send it.

use rustle_sftp_proto::Attributes;

use crate::error::{ErrorKind, Result};
use crate::metadata::Metadata;
use crate::scp::talk::Talk;
use crate::scp::wire::Record;
use crate::scp::{Scp, WITHIN};

impl Scp {
    /// Permissions, length and times; of a link, of what it leads to. Nothing is sent: with its first words known, it is ended.
    ///
    /// # Errors
    /// What `scp` says of the path: what it may not read has no metadata here either.
    ///
    /// # Cancel safety
    /// Nothing is changed by it.
    pub(crate) async fn metadata(&self, path: &[u8]) -> Result<Metadata> {
        let mut talk = Talk::start("stat", path, self.command("stat", "-r -p -f", path)?).await?;
        let told = tokio::time::timeout(WITHIN, described(&mut talk)).await.unwrap_or_else(|_| {
            let text = format!("`scp` did not answer within {} s", WITHIN.as_secs());
            Err(talk.error(ErrorKind::Timeout, text))
        });
        talk.over().await;
        told
    }

    pub(crate) async fn exists(&self, path: &[u8]) -> Result<bool> {
        match self.metadata(path).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

async fn described(talk: &mut Talk) -> Result<Metadata> {
    let mut attributes = Attributes::new();
    let mut has_times = false;
    talk.agree().await?;
    loop {
        attributes = match talk.hear().await? {
            Record::Times { modified, accessed } if !has_times => {
                has_times = true;
                talk.agree().await?;
                attributes.with_times(accessed, modified)
            }
            Record::File { mode, length, .. } => {
                return Ok(Metadata::new(
                    attributes.with_permissions(FILE | mode & 0o7777).with_size(length),
                ));
            }
            Record::Directory { mode, .. } | Record::Nameless { mode } => {
                return Ok(Metadata::new(attributes.with_permissions(DIRECTORY | mode & 0o7777)));
            }
            other => return Err(talk.unexpected(&other)),
        }
    }
}

const FILE: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
