//! The agent lent to the far side: while a command with it runs, programs there may list its keys and have it sign.
//!
//! The server opens a channel for each of its programs that asks (`auth-agent@openssh.com`, OpenSSH's PROTOCOL). Each
//! gets a connection to the agent of its own, on which the agent first learns which host it is lent to
//! (`session-bind@openssh.com`, PROTOCOL.agent section 1): so it can hold keys back that are restricted to others.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::auth::AgentSource;
use crate::auth::agent::{Agent, AgentBinding, AgentError, Lent, MAX_MESSAGE, take};
use crate::base::{self, AgentChannel, Channel, Stream};
use crate::driver::Task;
use crate::error::{Error, ErrorKind, Result};
use crate::options::BufferLimits;
use crate::session::{Inner, Session};

/// So many programs on the far side may speak with the agent at once; OpenSSH's agent itself takes a few hundred. More
/// are refused until one is done.
const AT_ONCE: usize = 64;

/// What a visitor may have sent beyond what the agent has taken: two of the longest requests. Whoever floods ends its
/// visit; nothing of it goes to disk, and the connection waits for nothing.
const VISITOR_MEMORY: u32 = 512 * 1024;

/// What the far side may ask of the agent: to list its keys, to sign, and two extensions. Not to add keys, to forget them,
/// to lock itself or to load a library for them (CVE-2023-38408), all of which are for its owner alone.
const REQUEST_IDENTITIES: u8 = 11;
const SIGN_REQUEST: u8 = 13;
const EXTENSION: u8 = 27;
const EXTENSIONS: [&[u8]; 2] = [b"session-bind@openssh.com", b"query"];

/// The answer to everything else: `SSH_AGENT_FAILURE`.
const FAILURE: [u8; 1] = [5];

/// Which agent is lent, and to how many commands.
#[derive(Default)]
pub(super) struct Lending {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    commands: usize,
    agent: AgentSource,
    /// The server said yes once.
    agreed: bool,
    /// Ends the visits of the loan under way.
    over: CancellationToken,
}

/// Keeps the agent lent. With the last one dropped, visits end, and further programs on the far side are refused.
pub(crate) struct AgentLease {
    inner: Weak<Inner>,
}

impl Lending {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Lends the agent that `source` means, until the lease is dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] while another agent is lent: the server does not say for which command a
    /// program asks.
    pub(crate) fn lend_agent(&self, source: &AgentSource) -> Result<AgentLease> {
        let inner = &self.inner;
        let mut state = inner.lending.state();
        if state.commands > 0 && state.agent != *source {
            return Err(Error::new(
                ErrorKind::Configuration,
                "forward agent",
                "another agent is lent to a command on this connection already",
            )
            .at(self.target())
            .with_hint("lend the same agent to all commands of a connection, or use another connection"));
        }
        if state.commands == 0 {
            state.agent = source.clone();
            let channels = inner.connection.agent_channels();
            let binding = inner.connection.agent_binding();
            state.over = CancellationToken::new();
            let serving = serve(channels, source.clone(), binding, state.over.clone());
            inner.tasks.send(Task::Serve(Box::pin(serving)));
        }
        state.commands += 1;
        Ok(AgentLease { inner: Arc::downgrade(inner) })
    }
}

impl AgentLease {
    /// The server's answer for one command; what is left of the loan.
    ///
    /// OpenSSH's server agrees once per connection, refuses every further request, and tells all later commands where
    /// the agent is all the same.
    pub(crate) fn answered(self, agreed: bool) -> Option<Self> {
        let agreed = {
            let inner = self.inner.upgrade()?;
            let mut state = inner.lending.state();
            state.agreed |= agreed;
            state.agreed
        };
        agreed.then_some(self)
    }
}

impl Drop for AgentLease {
    fn drop(&mut self) {
        let Some(inner) = self.inner.upgrade() else { return };
        let mut state = inner.lending.state();
        state.commands = state.commands.saturating_sub(1);
        if state.commands == 0 {
            inner.connection.refuse_agent_channels();
            state.over.cancel();
        }
    }
}

/// Brings programs of the far side and the agent together, until the loan is over.
async fn serve(
    mut channels: mpsc::Receiver<AgentChannel>,
    source: AgentSource,
    binding: Option<AgentBinding>,
    over: CancellationToken,
) {
    let mut visits = FuturesUnordered::new();
    let mut open = true;
    while open || !visits.is_empty() {
        tokio::select! {
            channel = channels.recv(), if open => match channel {
                Some(channel) if visits.len() >= AT_ONCE => channel.refuse_for_now().await,
                Some(channel) => visits.push(visit(channel, &source, binding.as_ref(), &over)),
                None => open = false,
            },
            Some(()) = visits.next(), if !visits.is_empty() => {}
        }
    }
}

/// One program's visit.
async fn visit(
    channel: AgentChannel,
    source: &AgentSource,
    binding: Option<&AgentBinding>,
    over: &CancellationToken,
) {
    let Some(binding) = binding else {
        // It would take the far side for this one.
        tracing::warn!(
            "the far side asked for the agent, and nothing tells the agent which host it is lent to"
        );
        return channel.refuse_unreachable().await;
    };
    let agent = match base::agent::connect(source).await {
        Ok(Some(mut agent)) => agent.bind(binding, Lent::ToTheFarSide).await.map(|()| Some(agent)),
        other => other,
    };
    let agent = match agent {
        Ok(Some(agent)) => agent,
        Ok(None) => {
            tracing::warn!("the far side asked for the agent, and there is none");
            return channel.refuse_unreachable().await;
        }
        Err(error) => {
            tracing::warn!(%error, "the far side asked for the agent");
            return channel.refuse_unreachable().await;
        }
    };
    if over.is_cancelled() {
        return;
    }
    let limits = BufferLimits::default().memory(VISITOR_MEMORY).disk(0).pause(Duration::ZERO);
    let channel = channel.accept(limits).await;
    tracing::debug!(channel = channel.number(), "the agent is asked from the far side");
    tokio::select! {
        result = relay(&channel, agent) => {
            if let Err(error) = result {
                tracing::warn!(channel = channel.number(), %error, "a visit to the agent was cut short");
            }
        }
        _ = channel.ended() => {}
        () = over.cancelled() => {}
    }
    let _ = channel.close().await;
}

/// Carries each request to the agent and its answer back, until the far side has said its last.
///
/// Whole messages and not bytes: pipes cannot be half closed, so that only a count of answers tells when all is said.
async fn relay(channel: &Channel, mut agent: Agent) -> Result<(), AgentError> {
    let mut inbox = Inbox::default();
    while let Some(request) = inbox.next(channel).await? {
        let answer = if is_for_visitors(&request) {
            // As long as it takes: a person may have to confirm.
            agent.exchange(&request).await?
        } else {
            tracing::warn!(
                kind = request.first(),
                "the far side asked more of the agent than to list and sign"
            );
            FAILURE.to_vec()
        };
        let Ok(length) = u32::try_from(answer.len()) else { return Ok(()) };
        let mut message = Vec::with_capacity(answer.len().saturating_add(4));
        message.extend_from_slice(&length.to_be_bytes());
        message.extend_from_slice(&answer);
        if channel.send(message.into()).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn is_for_visitors(request: &[u8]) -> bool {
    match request.split_first() {
        Some((&(REQUEST_IDENTITIES | SIGN_REQUEST), _)) => true,
        Some((&EXTENSION, mut rest)) => take(&mut rest).is_some_and(|name| EXTENSIONS.contains(&name)),
        _ => false,
    }
}

/// What the far side has sent and was not taken yet.
#[derive(Default)]
struct Inbox {
    bytes: BytesMut,
}

impl Inbox {
    /// The next whole request; `None` at the end.
    async fn next(&mut self, channel: &Channel) -> Result<Option<Bytes>, AgentError> {
        loop {
            if let Some((length, rest)) = self.bytes.split_first_chunk::<4>() {
                let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
                if length > MAX_MESSAGE {
                    return Err(AgentError::Nonsense("a request from the far side that is too long"));
                }
                if rest.len() >= length {
                    self.bytes.advance(4);
                    return Ok(Some(self.bytes.split_to(length).freeze()));
                }
            }
            match channel.data(Stream::Out).await? {
                Some(more) => self.bytes.extend_from_slice(&more),
                None => return Ok(None),
            }
        }
    }
}
