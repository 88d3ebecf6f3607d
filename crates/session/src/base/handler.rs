//! The base's callbacks: they run inside the connection's loop, so they count, file and hand on, no more.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use russh::client::{self, DisconnectReason};
use russh::{ChannelId, ChannelOpenFailure, Names};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::algorithms::Negotiated;
use crate::base::driver::{self, Company};
use crate::base::intake::{End, Intake, Stream};
use crate::base::negotiate::{self, HostProof};
use crate::base::wire::{CutReason, WireControl};
use crate::base::{CloseReason, Gone};
use crate::options::BufferLimits;

/// Longest text of a server that is kept (a banner, a refusal): what a person would still read.
const TEXT_LIMIT: usize = 8 * 1024;

/// How many refusal texts wait for their readers at the most.
const REFUSALS_KEPT: usize = 64;

/// How many closed channels are remembered, for the loop may still hand on what came before it knew. It knows as
/// soon as it takes the close from its queue, which holds ten messages.
const CLOSED_KEPT: usize = 64;

/// What the loop, the channels and their owner share.
pub(crate) struct Shared {
    pub(super) control: Arc<WireControl>,
    pub(super) limits: BufferLimits,
    state: Mutex<SharedState>,
    refused: Notify,
    rekeys: watch::Sender<u64>,
    channels_open: AtomicUsize,
    /// Channels that were asked for and not answered yet.
    pub(super) opening: AtomicUsize,
}

#[derive(Default)]
struct SharedState {
    reason: Option<CloseReason>,
    banner: String,
    negotiated: Option<Negotiated>,
    intakes: HashMap<ChannelId, Arc<Intake>>,
    /// The channels closed last; the base gives no number twice.
    closed: VecDeque<ChannelId>,
    refusals: VecDeque<Refusal>,
}

/// Why the server did not open a channel (RFC 4254 section 5.1).
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) code: u32,
    pub(crate) text: String,
}

impl Shared {
    pub(super) fn new(control: Arc<WireControl>, limits: BufferLimits) -> Arc<Self> {
        Arc::new(Self {
            control,
            limits,
            state: Mutex::default(),
            refused: Notify::new(),
            rekeys: watch::Sender::new(0),
            channels_open: AtomicUsize::new(0),
            opening: AtomicUsize::new(0),
        })
    }

    fn state(&self) -> MutexGuard<'_, SharedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records why the connection ends; the first reason is the one that counts.
    pub(super) fn set_reason(&self, reason: CloseReason) {
        self.state().reason.get_or_insert(reason);
    }

    /// Why the connection ended, or [`CloseReason::PeerClosed`] where nobody said.
    pub(super) fn reason(&self) -> CloseReason {
        match self.control.cut_reason() {
            Some(CutReason::WriteDeadline(deadline)) => CloseReason::WriteDeadline(deadline),
            Some(CutReason::Aborted) => self.state().reason.clone().unwrap_or(CloseReason::Aborted),
            None => self.state().reason.clone().unwrap_or(CloseReason::PeerClosed),
        }
    }

    pub(super) fn reason_seen(&self) -> Option<CloseReason> {
        self.state().reason.clone()
    }

    pub(super) fn banner(&self) -> String {
        self.state().banner.clone()
    }

    pub(super) fn negotiated(&self) -> Option<Negotiated> {
        self.state().negotiated.clone()
    }

    pub(super) fn rekeys(&self) -> u64 {
        *self.rekeys.borrow()
    }

    /// Waits until there were more key exchanges than this.
    pub(super) async fn rekeyed_since(&self, before: u64) -> Result<(), Gone> {
        let mut rekeys = self.rekeys.subscribe();
        tokio::select! {
            done = rekeys.wait_for(|count| *count > before) => done.map(drop).map_err(|_| Gone),
            () = self.control.gone().cancelled() => Err(Gone),
        }
    }

    pub(super) fn channels_open(&self) -> usize {
        self.channels_open.load(Ordering::Relaxed)
    }

    /// The account of a channel for its opener; made here by whoever comes first, the loop or the opener.
    pub(super) fn intake(&self, id: ChannelId) -> Arc<Intake> {
        // The peer may have closed it before its opener knew of it; what came until then waits in the base's queue.
        self.intake_if_open(id).unwrap_or_else(|| Intake::new(self.limits))
    }

    /// The account of a channel for the loop; `None` where the channel was closed.
    fn intake_if_open(&self, id: ChannelId) -> Option<Arc<Intake>> {
        let limits = self.limits;
        let mut state = self.state();
        if state.closed.contains(&id) {
            return None;
        }
        let intake = state.intakes.entry(id).or_insert_with(|| {
            self.channels_open.fetch_add(1, Ordering::Relaxed);
            Intake::new(limits)
        });
        Some(Arc::clone(intake))
    }

    /// Forgets a channel that one side has closed.
    pub(super) fn forget(&self, id: ChannelId) {
        let mut state = self.state();
        if state.intakes.remove(&id).is_some() {
            self.channels_open.fetch_sub(1, Ordering::Relaxed);
        }
        if !state.closed.contains(&id) {
            if state.closed.len() == CLOSED_KEPT {
                state.closed.pop_front();
            }
            state.closed.push_back(id);
        }
    }

    /// The server's text for a refusal with this code, which the loop files right after the refusal itself.
    pub(super) async fn refusal(&self, code: u32) -> Refusal {
        const TEXT_FOLLOWS_WITHIN: Duration = Duration::from_millis(500);
        let found = async {
            loop {
                let filed = self.refused.notified();
                if let Some(refusal) = self.take_refusal(code) {
                    return refusal;
                }
                filed.await;
            }
        };
        tokio::time::timeout(TEXT_FOLLOWS_WITHIN, found)
            .await
            .unwrap_or(Refusal { code, text: String::new() })
    }

    fn take_refusal(&self, code: u32) -> Option<Refusal> {
        let mut state = self.state();
        let at = state.refusals.iter().position(|refusal| refusal.code == code)?;
        state.refusals.remove(at)
    }
}

/// The question whether a host key is to be trusted, and where its answer goes.
pub(crate) struct HostKeyQuestion {
    pub(crate) wire: Vec<u8>,
    pub(crate) answer: oneshot::Sender<bool>,
}

/// One connection's callbacks.
pub(crate) struct Handler {
    shared: Arc<Shared>,
    questions: mpsc::Sender<HostKeyQuestion>,
    intakes: HashMap<ChannelId, Arc<Intake>>,
    proof: HostProof,
}

impl Handler {
    pub(super) fn new(shared: Arc<Shared>, questions: mpsc::Sender<HostKeyQuestion>) -> Self {
        Self { shared, questions, intakes: HashMap::new(), proof: HostProof::Key }
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
        if fits {
            return Ok(());
        }
        let intake = Arc::clone(intake);
        let alone = self.intakes.len() == 1 && self.shared.opening.load(Ordering::Relaxed) == 0;
        let company = if alone { Company::Alone } else { Company::Others };
        if driver::make_room(&intake, company, &self.shared.control).await {
            return Ok(());
        }
        tracing::warn!(channel = id.number(), "output was not read: its buffers ran over, the channel ends");
        intake.end(End::Overrun);
        self.intakes.remove(&id);
        self.shared.forget(id);
        session.close(id)
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
        if self.questions.send(question).await.is_err() {
            return Ok(false);
        }
        Ok(answered.await.unwrap_or(false))
    }

    async fn kex_done(
        &mut self,
        _: Option<&[u8]>,
        names: &Names,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        let shared = &self.shared;
        let negotiated = negotiate::negotiated(names, self.proof);
        let first = {
            let mut state = shared.state();
            // A rekey repeats the negotiation but not the announcement of strict key exchange.
            let first = state.negotiated.is_none();
            if first {
                state.negotiated = Some(negotiated);
            }
            first
        };
        if !first {
            shared.rekeys.send_modify(|count| *count += 1);
        }
        shared.control.set_alarm(negotiate::rekey_limit(names.cipher.as_ref()));
        Ok(())
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut client::Session) -> Result<(), Self::Error> {
        let mut state = self.shared.state();
        let room = TEXT_LIMIT.saturating_sub(state.banner.len());
        state.banner.extend(sanitised(banner).chars().take(room / 4));
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
        let refusal = Refusal { code: reason.code(), text: sanitised(description) };
        {
            let mut state = self.shared.state();
            if state.refusals.len() == REFUSALS_KEPT {
                state.refusals.pop_front();
            }
            state.refusals.push_back(refusal);
        }
        self.shared.refused.notify_waiters();
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
        if let Some(intake) = self.intakes.remove(&id) {
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

/// A server's text without what could move a terminal's cursor or fill its screen.
pub(super) fn sanitised(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).take(TEXT_LIMIT / 4).collect()
}
