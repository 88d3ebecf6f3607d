//! Channels that the server opens: all refused, but those to the agent while a command forwards it, and those for who
//! connects to where the server was asked to listen ([`forwarded`](super::forwarded)).
//!
//! The base takes every one of them unless it is told otherwise; RFC 4254 sections 6.3.2 and 7.2 want those refused
//! that nobody asked for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{ChannelOpenHandle, Msg};
use russh::{Channel as BaseChannel, ChannelOpenFailure};
use tokio::sync::mpsc;

use crate::base::forwarded::ForwardedChannel;
use crate::base::listeners::Listeners;
use crate::base::shared::Shared;
use crate::base::{Channel, Connection};
use crate::options::BufferLimits;

/// How many may wait to be taken or refused; those past it are refused in the loop.
const WAITING: usize = 16;

/// The kind of channels to the agent.
const AGENT: &str = "auth-agent@openssh.com";

/// Where channels go that the server opens.
#[derive(Default)]
pub(super) struct Inbound {
    agent: Mutex<Option<mpsc::Sender<AgentChannel>>>,
    pub(super) listeners: Listeners<ForwardedChannel>,
    /// The kinds that have been refused, and said so.
    refused: Mutex<BTreeSet<&'static str>>,
}

/// A channel to the agent that the server would like to open (`auth-agent@openssh.com`). Dropped, it is refused.
pub(crate) struct AgentChannel {
    channel: BaseChannel<Msg>,
    reply: ChannelOpenHandle,
    shared: Arc<Shared>,
}

impl Inbound {
    fn set_agent(&self, taker: Option<mpsc::Sender<AgentChannel>>) {
        *self.agent.lock().unwrap_or_else(PoisonError::into_inner) = taker;
    }

    /// Hands a channel to whoever takes such, or refuses it.
    pub(super) async fn agent(shared: &Arc<Shared>, channel: BaseChannel<Msg>, reply: ChannelOpenHandle) {
        let taker = shared.inbound.agent.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let place = match taker {
            Some(taker) => taker.try_reserve_owned(),
            None => return shared.inbound.refuse(reply, AGENT).await,
        };
        match place {
            Ok(place) => {
                place.send(AgentChannel { channel, reply, shared: Arc::clone(shared) });
            }
            Err(mpsc::error::TrySendError::Closed(_)) => shared.inbound.refuse(reply, AGENT).await,
            Err(mpsc::error::TrySendError::Full(_)) => {
                reply.reject(ChannelOpenFailure::ResourceShortage).await;
            }
        }
    }

    /// Refuses a channel that nobody here asked for. Said once of each kind: a server that goes on does not fill a log.
    pub(super) async fn refuse(&self, reply: ChannelOpenHandle, kind: &'static str) {
        if self.refused.lock().unwrap_or_else(PoisonError::into_inner).insert(kind) {
            tracing::warn!(kind, "the server opened a channel that nobody asked for; such are refused");
        }
        reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
    }
}

impl AgentChannel {
    /// Opens it. Past `limits` of what was not taken from it, it ends.
    ///
    /// # Cancel safety
    /// Does not suspend.
    pub(crate) async fn accept(self, limits: BufferLimits) -> Channel {
        self.shared.limit(self.channel.id(), limits);
        self.reply.accept().await;
        Channel::new(self.channel, self.shared)
    }

    /// Refuses it, since there is no agent to be reached.
    ///
    /// # Cancel safety
    /// Does not suspend.
    pub(crate) async fn refuse_unreachable(self) {
        self.reply.reject(ChannelOpenFailure::ConnectFailed).await;
    }

    /// Refuses it, since there are too many.
    ///
    /// # Cancel safety
    /// Does not suspend.
    pub(crate) async fn refuse_for_now(self) {
        self.reply.reject(ChannelOpenFailure::ResourceShortage).await;
    }
}

impl Connection {
    /// The channels to the agent that the server opens from now on, until [`Connection::refuse_agent_channels`] or
    /// until the receiver is dropped.
    pub(crate) fn agent_channels(&self) -> mpsc::Receiver<AgentChannel> {
        let (sender, receiver) = mpsc::channel(WAITING);
        self.shared.inbound.set_agent(Some(sender));
        receiver
    }

    /// Refuses such channels from now on; those that are open stay.
    pub(crate) fn refuse_agent_channels(&self) {
        self.shared.inbound.set_agent(None);
    }
}
