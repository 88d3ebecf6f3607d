//! The base's callbacks: they run inside the connection's loop, so they count, file and hand on, no more.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use russh::client::{self, ChannelOpenHandle, DisconnectReason, Msg};
use russh::{Channel, ChannelId, ChannelOpenFailure, Names};
use tokio::sync::{mpsc, oneshot};

use crate::base::CloseReason;
use crate::base::driver::{self, Company};
use crate::base::forwarded::ForwardedChannel;
use crate::base::inbound::Inbound;
use crate::base::intake::{End, Intake, Stream};
use crate::base::listeners::Place;
use crate::base::negotiate::{self, HostProof};
use crate::base::shared::{Refusal, Shared, sanitised};

/// The question whether a host key is to be trusted, and where its answer goes.
pub(crate) struct HostKeyQuestion {
    pub(crate) wire: Vec<u8>,
    pub(crate) answer: oneshot::Sender<bool>,
}

/// The callbacks of channels that the server opens and nobody here asked for: each is refused. Without them the base
/// would accept them all.
macro_rules! refuse_channels {
    ($($callback:ident($($about:ty),*) => $kind:literal,)*) => {
        $(
            async fn $callback(
                &mut self,
                _: Channel<Msg>,
                $(_: $about,)*
                reply: ChannelOpenHandle,
                _: &mut client::Session,
            ) -> Result<(), Self::Error> {
                Box::pin(self.shared.inbound.refuse(reply, $kind)).await;
                Ok(())
            }
        )*
    };
}

/// One connection's callbacks.
pub(crate) struct Handler {
    shared: Arc<Shared>,
    /// Where to ask, once: the base asks about the host key in the first exchange alone.
    questions: Option<mpsc::Sender<HostKeyQuestion>>,
    intakes: HashMap<ChannelId, Arc<Intake>>,
    proof: HostProof,
}

impl Handler {
    pub(super) fn new(shared: Arc<Shared>, questions: mpsc::Sender<HostKeyQuestion>) -> Self {
        Self { shared, questions: Some(questions), intakes: HashMap::new(), proof: HostProof::Key }
    }

    /// Counts a message for its channel and, over the limits, makes room or ends the channel.
    async fn account(
        &mut self,
        id: ChannelId,
        bytes: usize,
        stream: Option<Stream>,
        session: &mut client::Session,
    ) -> Result<(), russh::Error> {
        if !self.intakes.contains_key(&id) {
            // The base tells nothing more of a channel that this side closed: such are forgotten here.
            self.intakes.retain(|_, intake| intake.end_seen().is_none());
        }
        let intake = match self.intakes.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => match self.shared.intake_if_open(id) {
                Some(intake) => new.insert(intake),
                None => return Ok(()),
            },
        };
        let fits = intake.arrived(bytes);
        if stream.is_some_and(|stream| intake.output_for_nobody(stream)) {
            intake.tell_orphaned();
        }
        let is_due_for_a_breath = intake.is_due_for_a_breath(bytes);
        if fits && !is_due_for_a_breath {
            return Ok(());
        }
        let intake = Arc::clone(intake);
        let alone = self.intakes.len() == 1 && self.shared.opening.load(Ordering::Relaxed) == 0;
        let company = if alone { Company::Alone } else { Company::Others };
        if is_due_for_a_breath && alone {
            Box::pin(driver::breathe(&self.shared.control)).await;
        }
        if fits {
            return Ok(());
        }
        // Boxed, as all that is seldom waited for here: each connection's task has room for the largest callback, twice over.
        if Box::pin(driver::make_room(id.number(), &intake, company, &self.shared)).await {
            return Ok(());
        }
        self.shared.stalls.overruns();
        tracing::warn!(channel = id.number(), "output was not read: its buffers ran over, the channel ends");
        self.intakes.remove(&id);
        self.shared.forget(id);
        let closed = session.close(id);
        // Last: whoever gets its place finds it free.
        Box::pin(driver::throw_away(intake.end(End::Overrun))).await;
        closed
    }
}

impl client::Handler for Handler {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        offered: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let (wire, is_certificate) = match offered {
            russh::keys::PublicKeyOrCertificate::PublicKey { key, .. } => (key.to_bytes(), false),
            russh::keys::PublicKeyOrCertificate::Certificate(certificate) => (certificate.to_bytes(), true),
        };
        self.proof = if is_certificate { HostProof::Certificate } else { HostProof::Key };
        // Whoever connects has the trust store and the person; no answer is a no.
        let (answer, answered) = oneshot::channel();
        let question = HostKeyQuestion { wire: wire.map_err(russh::Error::from)?, answer };
        match self.questions.take() {
            Some(questions) if questions.send(question).await.is_ok() => Ok(answered.await.unwrap_or(false)),
            _ => Ok(false),
        }
    }

    async fn kex_done(
        &mut self,
        _: Option<&[u8]>,
        names: &Names,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        let worn_after = negotiate::rekey_limit(names.cipher.as_ref());
        self.shared.keys_exchanged(negotiate::negotiated(names, self.proof), worn_after);
        Ok(())
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut client::Session) -> Result<(), Self::Error> {
        self.shared.add_banner(banner);
        Ok(())
    }

    async fn channel_open_failure(
        &mut self,
        _: ChannelId,
        reason: ChannelOpenFailure,
        description: &str,
        _: &str,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        self.shared.file_refusal(Refusal { code: reason.code(), text: sanitised(description) });
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        Box::pin(Inbound::agent(&self.shared, channel, reply)).await;
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        address: &str,
        port: u32,
        originator_address: &str,
        originator_port: u32,
        reply: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        let at = u16::try_from(port).ok().map(|port| Place::Tcpip { address: address.to_owned(), port });
        let channel =
            ForwardedChannel::new(channel, reply).with_originator(originator_address, originator_port);
        Box::pin(self.shared.inbound.forwarded(at, channel, "forwarded-tcpip")).await;
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        let at = Place::Streamlocal { path: path.to_owned() };
        let channel = ForwardedChannel::new(channel, reply);
        Box::pin(self.shared.inbound.forwarded(Some(at), channel, "forwarded-streamlocal@openssh.com")).await;
        Ok(())
    }

    refuse_channels! {
        server_channel_open_session() => "session",
        server_channel_open_direct_tcpip(&str, u32, &str, u32) => "direct-tcpip",
        server_channel_open_direct_streamlocal(&str) => "direct-streamlocal@openssh.com",
        server_channel_open_x11(&str, u32) => "x11",
    }

    async fn openssh_ext_host_keys_announced(
        &mut self,
        keys: Vec<russh::keys::PublicKey>,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        self.shared.announce(keys.iter().filter_map(|key| key.to_bytes().ok()).collect());
        Ok(())
    }

    async fn data(
        &mut self,
        id: ChannelId,
        data: &[u8],
        session: &mut client::Session,
    ) -> Result<(), Self::Error> {
        self.account(id, data.len(), Some(Stream::Out), session).await
    }

    async fn extended_data(
        &mut self,
        id: ChannelId,
        _: u32,
        data: &[u8],
        session: &mut client::Session,
    ) -> Result<(), Self::Error> {
        self.account(id, data.len(), Some(Stream::Err), session).await
    }

    async fn channel_success(
        &mut self,
        id: ChannelId,
        session: &mut client::Session,
    ) -> Result<(), Self::Error> {
        self.account(id, 0, None, session).await
    }

    async fn channel_failure(
        &mut self,
        id: ChannelId,
        session: &mut client::Session,
    ) -> Result<(), Self::Error> {
        self.account(id, 0, None, session).await
    }

    async fn channel_eof(&mut self, id: ChannelId, session: &mut client::Session) -> Result<(), Self::Error> {
        self.account(id, 0, None, session).await
    }

    async fn exit_status(
        &mut self,
        id: ChannelId,
        _: u32,
        session: &mut client::Session,
    ) -> Result<(), Self::Error> {
        self.account(id, 0, None, session).await
    }

    async fn exit_signal(
        &mut self,
        id: ChannelId,
        _: russh::Sig,
        _: bool,
        _: &str,
        _: &str,
        session: &mut client::Session,
    ) -> Result<(), Self::Error> {
        self.account(id, 0, None, session).await
    }

    async fn window_adjusted(
        &mut self,
        id: ChannelId,
        _: u32,
        session: &mut client::Session,
    ) -> Result<(), Self::Error> {
        self.account(id, 0, None, session).await
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut client::Session) -> Result<(), Self::Error> {
        // Nothing may have come for it before, not even an end of its data.
        if let Some(intake) = self.intakes.remove(&id).or_else(|| self.shared.intake_if_open(id)) {
            intake.arrived(0);
            intake.mark_closed_by_peer();
        }
        self.shared.forget(id);
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                self.shared.set_reason(CloseReason::Disconnected {
                    code: info.reason_code as u32,
                    message: sanitised(&info.message),
                });
                Ok(())
            }
            DisconnectReason::Error(error) => {
                self.shared.set_reason(CloseReason::from_base(&error));
                Err(error)
            }
        }
    }
}
