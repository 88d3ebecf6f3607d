//! The agent protocol (draft-ietf-sshm-ssh-agent): list identities, sign, bind to a session.
//!
//! Written here and not taken from the base because one identity of an unknown type makes the base's
//! client give up on the whole list.

use std::fmt;
use std::io;
use std::time::Duration;

use ssh_key::{PrivateKey, PublicKey};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::hand_over::KeysToAgent;
use super::offer::{Offer, parse_certificate};
use crate::base::keys;
use crate::secret::SecretBuf;

/// How long an agent has to answer what needs no person: it is a process on this machine.
pub(crate) const AGENT_LIMIT: Duration = Duration::from_secs(10);

/// The largest message read from an agent, as OpenSSH's own limit.
pub(crate) const MAX_MESSAGE: usize = 256 * 1024;

/// The most identities read from one list; OpenSSH's own limit is 2048.
const MAX_IDENTITIES: usize = 2048;

const FAILURE: u8 = 5;
const SUCCESS: u8 = 6;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
const ADD_IDENTITY: u8 = 17;
const ADD_ID_CONSTRAINED: u8 = 25;
const EXTENSION: u8 = 27;

/// What an agent speaks over: a socket, a pipe, Pageant's shared memory.
pub(crate) trait AgentStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> AgentStream for S {}

/// A connection to an agent. After an error other than [`AgentError::Refused`] it must not be used again.
pub(crate) struct Agent {
    stream: Box<dyn AgentStream>,
}

/// One of an agent's keys or certificates.
#[derive(Debug, Clone)]
pub(crate) struct AgentIdentity {
    /// What the agent knows it by.
    pub(crate) blob: Vec<u8>,
    pub(crate) offer: Offer,
    pub(crate) comment: String,
}

/// What proves to an agent which session its signature is for, so that keys restricted to some hosts work.
#[derive(Debug, Clone)]
pub(crate) struct AgentBinding {
    pub(crate) host_key: Vec<u8>,
    pub(crate) session_id: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

/// Who will ask over a connection to an agent (PROTOCOL.agent section 1, `is_forwarding`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lent {
    /// This side, to log in.
    NotAtAll = 0,
    /// Programs on the host.
    ToTheFarSide = 1,
}

/// How an RSA key is to sign; other keys ignore it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignFlags {
    None = 0,
    RsaSha256 = 2,
    RsaSha512 = 4,
}

/// Why an agent did not do what was asked.
#[derive(Debug)]
pub(crate) enum AgentError {
    /// It said no: the key is gone, or a person declined.
    Refused,
    /// It did not answer in time.
    Silent,
    /// It broke the protocol.
    Nonsense(&'static str),
    /// It could not be reached, or hung up.
    Io(io::Error),
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("the agent refused"),
            Self::Silent => f.write_str("the agent did not answer in time"),
            Self::Nonsense(what) => write!(f, "the agent answered with {what}"),
            Self::Io(error) => write!(f, "the agent cannot be reached: {error}"),
        }
    }
}

impl std::error::Error for AgentError {}

impl From<io::Error> for AgentError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Agent {
    pub(crate) fn new(stream: impl AgentStream + 'static) -> Self {
        Self { stream: Box::new(stream) }
    }

    /// Tells the agent which session it will sign for, and from which side of it. An agent that does not know how is
    /// none the worse.
    ///
    /// # Cancel safety
    /// Not cancel safe: a dropped future leaves half a message behind, and the connection must be dropped too.
    pub(crate) async fn bind(&mut self, binding: &AgentBinding, lent: Lent) -> Result<(), AgentError> {
        let mut request = vec![EXTENSION];
        put(&mut request, b"session-bind@openssh.com");
        put(&mut request, &binding.host_key);
        put(&mut request, &binding.session_id);
        put(&mut request, &binding.signature);
        request.push(lent as u8);
        match self.call(&request, AGENT_LIMIT).await?.first() {
            Some(_) => Ok(()),
            None => Err(AgentError::Nonsense("an empty message")),
        }
    }

    /// The agent's identities, in its order; those of types unknown here are left out.
    ///
    /// # Cancel safety
    /// As [`Agent::bind`].
    pub(crate) async fn identities(&mut self) -> Result<Vec<AgentIdentity>, AgentError> {
        let reply = self.call(&[REQUEST_IDENTITIES], AGENT_LIMIT).await?;
        parse_identities(&reply)
    }

    /// Has the agent sign `data` with the key it knows as `blob`; gives the signature blob.
    ///
    /// A person may have to touch the key or confirm, and has `limit` for it.
    ///
    /// # Cancel safety
    /// As [`Agent::bind`].
    pub(crate) async fn sign(
        &mut self,
        blob: &[u8],
        data: &[u8],
        flags: SignFlags,
        limit: Duration,
    ) -> Result<Vec<u8>, AgentError> {
        let mut request = vec![SIGN_REQUEST];
        put(&mut request, blob);
        put(&mut request, data);
        request.extend_from_slice(&(flags as u32).to_be_bytes());
        let reply = self.call(&request, limit).await?;
        let (kind, mut rest) = reply.split_first().ok_or(AgentError::Nonsense("an empty message"))?;
        match *kind {
            SIGN_RESPONSE => {
                let signature = take(&mut rest).ok_or(AgentError::Nonsense("a cut signature"))?;
                check_signature(signature, flags)?;
                Ok(signature.to_vec())
            }
            FAILURE => Err(AgentError::Refused),
            _ => Err(AgentError::Nonsense("a message that is no signature")),
        }
    }

    /// Gives the agent a private key to keep, on these terms.
    ///
    /// # Cancel safety
    /// As [`Agent::bind`].
    pub(crate) async fn add(
        &mut self,
        key: &PrivateKey,
        comment: &str,
        terms: KeysToAgent,
    ) -> Result<(), AgentError> {
        let constraints = terms.constraints();
        let request = keys::agent_entry(key, |private| {
            let kind = if constraints.is_empty() { ADD_IDENTITY } else { ADD_ID_CONSTRAINED };
            let mut rest = Vec::new();
            put(&mut rest, comment.as_bytes());
            rest.extend_from_slice(&constraints);
            // Of its final length from the beginning: a buffer that grew would leave the key behind.
            let mut request = Vec::with_capacity(1 + private.len() + rest.len());
            request.push(kind);
            request.extend_from_slice(private);
            request.extend_from_slice(&rest);
            SecretBuf::from_vec(request)
        });
        let request = request.ok_or(AgentError::Nonsense("no way to take a key of this type"))?;
        match self.call(request.as_slice(), AGENT_LIMIT).await?.first() {
            Some(&SUCCESS) => Ok(()),
            Some(&FAILURE) => Err(AgentError::Refused),
            _ => Err(AgentError::Nonsense("a message that is no answer to a new key")),
        }
    }

    async fn call(&mut self, request: &[u8], limit: Duration) -> Result<Vec<u8>, AgentError> {
        timeout(limit, self.exchange(request)).await.map_err(|_| AgentError::Silent)?
    }

    /// One request and its answer, however long it takes.
    ///
    /// # Cancel safety
    /// As [`Agent::bind`].
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<Vec<u8>, AgentError> {
        let length = u32::try_from(request.len()).map_err(|_| AgentError::Nonsense("too long a request"))?;
        // It may hold a key.
        let mut message = Vec::with_capacity(request.len().saturating_add(4));
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(request);
        let message = SecretBuf::from_vec(message);
        self.stream.write_all(message.as_slice()).await?;
        self.stream.flush().await?;

        let mut length = [0; 4];
        self.stream.read_exact(&mut length).await?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > MAX_MESSAGE {
            return Err(AgentError::Nonsense("too long a message"));
        }
        let mut reply = vec![0; length];
        self.stream.read_exact(&mut reply).await?;
        Ok(reply)
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Agent")
    }
}

fn parse_identities(reply: &[u8]) -> Result<Vec<AgentIdentity>, AgentError> {
    let cut = AgentError::Nonsense("a cut list of keys");
    let Some((&kind, mut rest)) = reply.split_first() else { return Err(cut) };
    match kind {
        IDENTITIES_ANSWER => {}
        FAILURE | SUCCESS => return Err(AgentError::Refused),
        _ => return Err(AgentError::Nonsense("a message that is no list of keys")),
    }
    let Some((count, after)) = rest.split_first_chunk::<4>() else { return Err(cut) };
    rest = after;
    let count = usize::try_from(u32::from_be_bytes(*count)).unwrap_or(usize::MAX);
    if count > MAX_IDENTITIES {
        return Err(AgentError::Nonsense("too many keys"));
    }
    let mut identities = Vec::new();
    for _ in 0..count {
        let (Some(blob), Some(comment)) = (take(&mut rest), take(&mut rest)) else {
            return Err(AgentError::Nonsense("a cut list of keys"));
        };
        let Some(offer) = parse_blob(blob) else {
            tracing::debug!(bytes = blob.len(), "the agent holds a key of an unknown type");
            continue;
        };
        let comment = String::from_utf8_lossy(comment).into_owned();
        identities.push(AgentIdentity { blob: blob.to_vec(), offer, comment });
    }
    Ok(identities)
}

fn parse_blob(blob: &[u8]) -> Option<Offer> {
    let name = take(&mut &*blob)?;
    if name.ends_with(b"-cert-v01@openssh.com") {
        return parse_certificate(blob).map(|certificate| Offer::Certificate(Box::new(certificate)));
    }
    PublicKey::from_bytes(blob).ok().map(Offer::Key)
}

/// An agent that does not know the flag for SHA-2 signs with SHA-1 without a word.
fn check_signature(signature: &[u8], flags: SignFlags) -> Result<(), AgentError> {
    let mut rest = signature;
    let name = take(&mut rest).ok_or(AgentError::Nonsense("a cut signature"))?;
    let expected: &[u8] = match flags {
        SignFlags::None => return Ok(()),
        SignFlags::RsaSha256 => b"rsa-sha2-256",
        SignFlags::RsaSha512 => b"rsa-sha2-512",
    };
    if name == expected {
        Ok(())
    } else {
        Err(AgentError::Nonsense("a signature of another kind than asked"))
    }
}

fn put(message: &mut Vec<u8>, field: &[u8]) {
    // Fields come from packets of at most 256 KiB; a longer one ends as a length the agent refuses.
    let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(field);
}

/// The next string of a message (RFC 4251 section 5).
pub(crate) fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (field, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(field)
}

#[cfg(test)]
mod tests;
