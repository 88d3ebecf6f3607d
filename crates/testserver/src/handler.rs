//! What the SSH engine calls: each callback decides at once or hands on, since it runs inside the connection's one loop.

mod forward;
mod session;

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use russh::{
    Channel, ChannelId, ChannelOpenFailure,
    keys::Certificate,
    server::{self, Auth, ChannelOpenHandle, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey},
};
use tokio::sync::oneshot;

use crate::{
    auth::{Proof, certificate::Permit},
    builder::forwarding::Grant,
    call::{X11Connections, X11Request},
    connection::{Connection, Reached, SessionSlot},
    driver,
    entrance::Entrance,
    fault::{Phase, RequestKind},
    raw::Broken,
    record::{ChannelKind, CommandKind, ForwardPlace, Pty, TerminalSize},
    session_channel::Start,
};

/// Why a connection ends from inside a callback.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandlerError {
    #[error(transparent)]
    Base(#[from] russh::Error),
    #[error("a scripted fault has cut the connection")]
    Cut,
    /// The raw peer will not go on.
    #[error(transparent)]
    Raw(#[from] Broken),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

pub(crate) struct Handler {
    connection: Arc<Connection>,
    entrance: Entrance,
    channels: HashMap<ChannelId, Waiting>,
    /// With so many channels those that are gone are looked for.
    crowded: usize,
}

/// As few channels are not worth a look.
const CROWDED: usize = 16;

/// A session channel on which nothing runs yet.
struct Waiting {
    number: usize,
    env: Vec<(String, String)>,
    pty: Option<Pty>,
    agent: Grant,
    x11: Option<X11Request>,
    start: Option<oneshot::Sender<Start>>,
    /// Gone when the channel is. The base does not tell of the client's close where the server's came first.
    slot: Weak<SessionSlot>,
}

impl Handler {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        let entrance = Entrance::new(Arc::clone(&connection));
        Self { connection, entrance, channels: HashMap::new(), crowded: CROWDED }
    }

    async fn authenticate(&mut self, user: &str, proof: Proof<'_>) -> Result<Auth, HandlerError> {
        self.entrance.authenticate(user, proof).await
    }

    /// Decides about a channel. What is admitted is to be answered after this time, with yes or no; the other answers go
    /// out when the callback returns, or never.
    async fn admit(
        &self,
        reply: ChannelOpenHandle,
    ) -> Result<Option<(ChannelOpenHandle, Duration)>, HandlerError> {
        match self.connection.reach(Phase::ChannelOpen) {
            Reached::Go => Ok(Some((reply, Duration::ZERO))),
            Reached::Lost => Err(HandlerError::Cut),
            Reached::Withhold(Some(time)) => Ok(Some((reply, time))),
            Reached::Withhold(None) | Reached::Leaving => {
                driver::withhold(&self.connection, reply);
                Ok(None)
            }
            Reached::Refuse { code, text } => {
                let failure = ChannelOpenFailure::Other { code, reason: text };
                self.refuse(reply, failure, Duration::ZERO).await;
                Ok(None)
            }
        }
    }

    async fn refuse(&self, reply: ChannelOpenHandle, failure: ChannelOpenFailure, delay: Duration) {
        self.connection.shared.keeper.channel_refused(self.connection.number);
        if delay.is_zero() {
            reply.reject(failure).await;
        } else {
            driver::later(&self.connection, delay, reply.reject(failure));
        }
    }
}

impl server::Handler for Handler {
    type Error = HandlerError;

    async fn auth_none(&mut self, user: &str) -> Result<Auth, HandlerError> {
        self.authenticate(user, Proof::None).await
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, HandlerError> {
        self.authenticate(user, Proof::Password(password)).await
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, HandlerError> {
        self.authenticate(user, Proof::KeyOffer(offer.public_key)).await
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, HandlerError> {
        self.authenticate(user, Proof::Key(key.public_key)).await
    }

    async fn auth_openssh_certificate(
        &mut self,
        user: &str,
        certificate: &Certificate,
    ) -> Result<Auth, HandlerError> {
        self.authenticate(user, Proof::Certificate(certificate)).await
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, HandlerError> {
        self.authenticate(user, Proof::Answers(response.map(Iterator::collect))).await
    }

    async fn authentication_banner(&mut self) -> Result<Option<String>, HandlerError> {
        Ok(self.connection.shared.settings.banner.clone())
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), HandlerError> {
        self.connection.logged_in();
        let keeper = &self.connection.shared.keeper;
        keeper.logged_in(self.connection.number, self.entrance.user(), session.remote_sshid());
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), HandlerError> {
        let Some((reply, delay)) = self.admit(reply).await? else { return Ok(()) };
        match self.connection.take_session() {
            Some(slot) => {
                self.open_session(channel, session, slot);
                if delay.is_zero() {
                    reply.accept().await;
                } else {
                    driver::later(&self.connection, delay, reply.accept());
                }
            }
            // As OpenSSH answers past its MaxSessions: code 2 and this text.
            None => {
                let failure = ChannelOpenFailure::Other { code: 2, reason: "open failed".to_owned() };
                self.refuse(reply, failure, delay).await;
            }
        }
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), HandlerError> {
        let kind = ChannelKind::DirectTcpip(host.to_owned(), port);
        self.forward(channel, reply, kind).await
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), HandlerError> {
        self.forward(channel, reply, ChannelKind::DirectStreamlocal(path.to_owned())).await
    }

    async fn channel_eof(&mut self, _channel: ChannelId, _session: &mut Session) -> Result<(), HandlerError> {
        self.connection.shared.keeper.eof();
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), HandlerError> {
        self.channels.remove(&channel);
        self.connection.shared.keeper.close();
        match self.connection.reach(Phase::Close) {
            Reached::Lost => Err(HandlerError::Cut),
            _ => Ok(()),
        }
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        pixel_width: u32,
        pixel_height: u32,
        modes: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), HandlerError> {
        if self.connection.refuses(RequestKind::Pty) || !self.entrance.restrictions().permits(Permit::Pty) {
            return self.refuse_request(channel, session, "pty-req");
        }
        let size = TerminalSize { columns, rows, pixel_width, pixel_height };
        let modes = modes.iter().map(|(mode, value)| (*mode as u8, *value)).collect();
        match self.channels.get_mut(&channel) {
            Some(waiting) => {
                waiting.pty = Some(Pty::new(term, size, modes));
                Ok(session.channel_success(channel)?)
            }
            None => Ok(session.channel_failure(channel)?),
        }
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), HandlerError> {
        let refused = self.connection.refuses(RequestKind::Env);
        if refused || !self.connection.shared.settings.accepts_env(name) {
            return self.refuse_request(channel, session, "env");
        }
        if let Some(waiting) = self.channels.get_mut(&channel) {
            waiting.env.push((name.to_owned(), value.to_owned()));
        }
        Ok(session.channel_success(channel)?)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), HandlerError> {
        self.start(channel, session, CommandKind::Exec, command)
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), HandlerError> {
        self.start(channel, session, CommandKind::Shell, b"")
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), HandlerError> {
        self.start(channel, session, CommandKind::Subsystem, name.as_bytes())
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        single_connection: bool,
        protocol: &str,
        cookie: &str,
        screen: u32,
        session: &mut Session,
    ) -> Result<(), HandlerError> {
        let granted = self.connection.shared.settings.forwarding.x11 == Grant::Granted
            && self.entrance.restrictions().permits(Permit::X11Forwarding);
        let Some(waiting) = self.channels.get_mut(&channel).filter(|_| granted) else {
            return self.refuse_request(channel, session, "x11-req");
        };
        waiting.x11 = Some(X11Request {
            connections: if single_connection { X11Connections::One } else { X11Connections::Any },
            protocol: protocol.to_owned(),
            cookie: cookie.to_owned().into(),
            screen,
        });
        self.connection.shared.keeper.request_granted(waiting.number, "x11-req");
        Ok(session.channel_success(channel)?)
    }

    /// The base answers with what this returns.
    async fn agent_request(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<bool, HandlerError> {
        let (name, keeper) = ("auth-agent-req@openssh.com", &self.connection.shared.keeper);
        let Some(waiting) = self.channels.get_mut(&channel) else { return Ok(false) };
        if self.entrance.restrictions().permits(Permit::AgentForwarding) {
            waiting.agent = self.connection.shared.settings.forwarding.agent;
        }
        match waiting.agent {
            Grant::Granted => keeper.request_granted(waiting.number, name),
            Grant::Refused => keeper.request_refused(waiting.number, name),
        }
        Ok(waiting.agent == Grant::Granted)
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, HandlerError> {
        let place = ForwardPlace::Tcpip(address.to_owned(), *port);
        let begun = self.listen("tcpip-forward", place, session.handle()).await;
        if let Some(Some(chosen)) = begun {
            *port = u32::from(chosen);
        }
        Ok(begun.is_some())
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _session: &mut Session,
    ) -> Result<bool, HandlerError> {
        Ok(self.cancel("cancel-tcpip-forward", &ForwardPlace::Tcpip(address.to_owned(), port)).await)
    }

    async fn streamlocal_forward(&mut self, path: &str, session: &mut Session) -> Result<bool, HandlerError> {
        let place = ForwardPlace::Streamlocal(path.to_owned());
        Ok(self.listen("streamlocal-forward@openssh.com", place, session.handle()).await.is_some())
    }

    async fn cancel_streamlocal_forward(
        &mut self,
        path: &str,
        _session: &mut Session,
    ) -> Result<bool, HandlerError> {
        let place = ForwardPlace::Streamlocal(path.to_owned());
        Ok(self.cancel("cancel-streamlocal-forward@openssh.com", &place).await)
    }
}

pub(crate) fn request_kind(kind: CommandKind) -> RequestKind {
    match kind {
        CommandKind::Exec => RequestKind::Exec,
        CommandKind::Shell => RequestKind::Shell,
        CommandKind::Subsystem => RequestKind::Subsystem,
    }
}
