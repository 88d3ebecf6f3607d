//! A file on the server that takes another's place when it is whole.

use bytes::{BufMut, Bytes, BytesMut};
use rustle_sftp_proto::Request;
use sha2::{Digest, Sha256};

use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::local::details::Stamp;
use crate::sftp::Sftp;
use crate::shown::Shown;
use crate::transfer::parts::{Claim, Claimed, Parts};

/// A file under a name of its own beside the one that it is for. Dropped, it is removed, unless it is kept.
pub(crate) struct Temporary {
    sftp: Sftp,
    path: Bytes,
    target: Bytes,
    stays: bool,
    /// Where it is one of a tree that may begin again.
    claim: Option<Claim>,
}

impl Temporary {
    /// A name in the same directory that nobody else has: with a random part, so that it says nothing of the process that
    /// made it. Nothing is created yet.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn beside(sftp: &Sftp, target: &Bytes) -> Result<Self> {
        let path = named(target, &random_suffix()?);
        Ok(Self { sftp: sftp.clone(), path, target: target.clone(), stays: false, claim: None })
    }

    /// The name that each attempt at the same file uses, so that a later one finds what an earlier one left. Where an
    /// earlier one of the same tree may still do something about that name, it is another, and what that one left has got it.
    /// It stays when this is dropped.
    ///
    /// # Errors
    /// What an earlier attempt left can be neither moved nor removed, or the system has no random numbers.
    pub(crate) async fn to_resume(
        sftp: &Sftp,
        target: &Bytes,
        parts: Option<&Parts>,
        original: Stamp,
    ) -> Result<Self> {
        let (path, target) = (named(target, ".rustle-part"), target.clone());
        let mut temporary = Self { sftp: sftp.clone(), path, target, stays: true, claim: None };
        let Some(parts) = parts else { return Ok(temporary) };
        let (claim, claimed) = parts.claim(&temporary.path, original);
        match claimed {
            Claimed::As(path) => temporary.path = path,
            Claimed::Elsewhere { names, is_kept } => {
                temporary.path = named(&temporary.target, &random_suffix()?);
                claim.moves_to(&temporary.path);
                temporary.take_over(&names, is_kept).await?;
                claim.has_moved(original);
            }
        }
        temporary.claim = Some(claim);
        Ok(temporary)
    }

    /// Has nothing left under these names: what is there has this one then, or is removed. Whatever is still to be done about
    /// them finds nothing.
    async fn take_over(&self, names: &[Bytes], is_kept: bool) -> Result<()> {
        let engine = self.sftp.engine();
        let mut is_found = !is_kept;
        for name in names.iter().rev() {
            let taken = match is_found {
                false => self.sftp.rename(name, &self.path).await,
                true => engine.done("remove", Request::Remove { path: name.clone() }).await,
            };
            let Err(error) = taken else {
                is_found = true;
                continue;
            };
            let is_answered = error.status().is_some();
            if error.kind() != ErrorKind::NotFound && !(is_answered && is_gone(engine, name).await) {
                return Err(error.at(name));
            }
        }
        Ok(())
    }

    /// A request that makes, renames or removes it is on its way. Where it is not [heard](Self::hears) of, it may be carried out
    /// late.
    pub(crate) fn asks(&self) {
        if let Some(claim) = &self.claim {
            claim.is_asked();
        }
    }

    /// What came of it.
    pub(crate) fn hears<T>(&self, answer: Result<T>) -> Result<T> {
        let is_answered = !answer.as_ref().is_err_and(|error| error.status().is_none());
        if let Some(claim) = self.claim.as_ref().filter(|_| is_answered) {
            claim.is_answered();
        }
        answer
    }

    pub(crate) fn path(&self) -> &Bytes {
        &self.path
    }

    /// It stays where it is when this is dropped.
    pub(crate) fn keep(&mut self) {
        self.stays = true;
    }

    /// What is done with it from now on goes over this channel of the same server, where its own is lost.
    pub(crate) fn stay_with(&mut self, sftp: &Sftp) {
        if self.sftp.is_closed() && !sftp.is_closed() {
            self.sftp.hand_over_to(sftp);
            self.sftp = sftp.clone();
        }
    }

    /// Removes it, in the background: nothing can be made of it.
    pub(crate) fn discard(mut self) {
        self.stays = false;
        self.asks();
    }

    /// Takes the target's place, at once or not at all; see [`Sftp::rename`] for servers without
    /// `posix-rename@openssh.com`.
    ///
    /// # Errors
    /// The server refused; the temporary file is removed then, unless it is kept. Or it is lost; the error says what it
    /// has still.
    pub(crate) async fn take_place(mut self) -> Result<()> {
        self.asks();
        let renamed = self.hears(self.sftp.rename(&self.path, &self.target).await);
        renamed.map_err(|error| self.named_in(error))?;
        self.stays = true;
        for path in self.claim.as_ref().map(Claim::is_done).unwrap_or_default() {
            self.sftp.engine().tell(Request::Remove { path });
        }
        Ok(())
    }

    /// What ended the transfer, with this file's name where the server cannot be told any more to remove it.
    pub(crate) fn named_in(&self, error: Error) -> Error {
        if !self.sftp.is_closed() {
            return error;
        }
        let path = Shown::of(&self.path);
        let is_usual = self.claim.as_ref().is_none_or(|claim| *claim.usual() == self.path);
        error.and_hint(match self.stays && is_usual {
            true => {
                format!("what the server has of it is {path} there, where an attempt with resume goes on")
            }
            false => format!("what the server has of it may still be there as {path}, which can be removed"),
        })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.stays {
            self.sftp.engine().tell(Request::Remove { path: self.path.clone() });
        }
    }
}

async fn is_gone(engine: &Engine, path: &Bytes) -> bool {
    let asked = Request::Lstat { path: path.clone() };
    engine.attributes("lstat", asked).await.is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// The name alone of a temporary file that is to stand beside `target`, as [`Temporary::beside`] makes it.
///
/// # Errors
/// The system has no random numbers.
pub(crate) fn beside(target: &[u8]) -> Result<Vec<u8>> {
    let path = named(target, &random_suffix()?);
    Ok(path.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec())
}

fn random_suffix() -> Result<String> {
    let mut random = [0; 6];
    getrandom::fill(&mut random).map_err(|error| {
        Error::new(ErrorKind::Local, "put", "the system gives no random numbers").with_source(error)
    })?;
    let mut suffix = String::from(".rustle-");
    for byte in random {
        suffix.push_str(&format!("{byte:02x}"));
    }
    Ok(suffix)
}

/// `.NAME` and a suffix in the target's directory. A name too long for that is cut, since no file system takes more than
/// 255 bytes, and has a hash of all of it at its end: two long names that begin alike would have one part.
fn named(target: &[u8], suffix: &str) -> Bytes {
    let (directory, name) = match target.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => target.split_at(slash + 1),
        None => (&b""[..], target),
    };
    let room = LONGEST_NAME - 1 - suffix.len();
    let mut path = BytesMut::with_capacity(directory.len() + LONGEST_NAME);
    path.put_slice(directory);
    path.put_u8(b'.');
    if name.len() <= room {
        path.put_slice(name);
    } else {
        path.put_slice(&name[..room - HASH_DIGITS]);
        for byte in &Sha256::digest(name)[..HASH_DIGITS / 2] {
            path.put_slice(format!("{byte:02x}").as_bytes());
        }
    }
    path.put_slice(suffix.as_bytes());
    path.freeze()
}

const LONGEST_NAME: usize = 255;
const HASH_DIGITS: usize = 16;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustle_sftp_proto::{ClientPacket, Framer, Hello, Limits, Reply, ServerPacket, Status, StatusCode};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio::time::timeout;

    use super::*;

    /// A channel, and its other end, which has said which version it speaks.
    async fn channel() -> (Sftp, DuplexStream) {
        let (near, mut far) = tokio::io::duplex(64 * 1024);
        say(&mut far, &ServerPacket::Version(Hello::new())).await;
        let (reader, writer) = tokio::io::split(near);
        (Sftp::over(reader, writer).await.unwrap(), far)
    }

    async fn say(far: &mut DuplexStream, packet: &ServerPacket) {
        far.write_all(&packet.encode().unwrap().to_bytes()).await.unwrap();
    }

    /// The number of the request that removes something.
    async fn removal(far: &mut DuplexStream) -> u32 {
        let mut framer = Framer::new(Limits::default());
        loop {
            while let Some(packet) = framer.next_packet().unwrap() {
                if let ClientPacket::Request { id, request: Request::Remove { .. } } =
                    ClientPacket::decode(packet, framer.limits()).unwrap()
                {
                    return id;
                }
            }
            let mut bytes = BytesMut::with_capacity(4096);
            assert!(far.read_buf(&mut bytes).await.unwrap() > 0, "the end before the request");
            framer.push(bytes.freeze());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_channel_removes_is_waited_for() {
        let ((first, first_end), (second, second_end), (third, mut far)) =
            (channel().await, channel().await, channel().await);
        let mut temporary = Temporary::beside(&first, &"/srv/app".into()).unwrap();
        for (lost, end, heir) in [(&first, first_end, &second), (&second, second_end, &third)] {
            drop(end);
            lost.engine().ended().await;
            temporary.stay_with(heir);
        }
        drop((temporary, third));
        let id = removal(&mut far).await;
        let soon = timeout(Duration::from_secs(1), first.settled()).await;
        assert!(soon.is_err(), "it settled before the answer");
        let reply = Reply::Status(Status::from(StatusCode::OK));
        say(&mut far, &ServerPacket::Reply { id, reply }).await;
        timeout(Duration::from_secs(1), first.settled()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_channel_keeps_none_open_that_went_on_for_it() {
        let ((lost, end), (heir, mut far)) = (channel().await, channel().await);
        let mut temporary = Temporary::beside(&lost, &"/srv/app".into()).unwrap();
        drop(end);
        lost.engine().ended().await;
        temporary.stay_with(&heir);
        temporary.keep();
        drop((temporary, heir));
        let mut bytes = BytesMut::new();
        let left = async { while far.read_buf(&mut bytes).await.unwrap() > 0 {} };
        timeout(Duration::from_secs(60), left).await.expect("the end");
        lost.settled().await;
    }

    #[test]
    fn the_name_stays_in_the_directory_and_within_what_file_systems_take() {
        assert_eq!(named(b"/srv/app", ".x"), "/srv/.app.x");
        assert_eq!(named(b"app", ".x"), ".app.x");
        let long = named(&[b"d/".to_vec(), vec![b'n'; 250]].concat(), ".rustle-part");
        assert_eq!(long.len(), 2 + 255);
        assert!(long.starts_with(b"d/.nnn") && long.ends_with(b".rustle-part"));
        let other = named(&[b"d/".to_vec(), vec![b'n'; 251]].concat(), ".rustle-part");
        assert!(long != other && other.len() == 2 + 255, "each long name has a part of its own");
    }
}
