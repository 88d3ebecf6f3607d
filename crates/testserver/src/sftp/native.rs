//! The server's own engine: bytes of a channel to requests, replies to bytes of the channel.

use std::{ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use rustle_sftp_proto::{
    ClientPacket, Error, ErrorKind, Framer, Limits, Reply, ServerPacket, Status, StatusCode,
};
use tokio_util::sync::CancellationToken;

use crate::{
    call::{Call, Output},
    connection::Connection,
    exit::Exit,
    fault::{SftpFault, SftpFaultKind, SftpRequest, Trigger},
    pipe::Stdin,
    sftp::{
        outbox::Outbox,
        service::Service,
        session::Session,
        spoil::{self, Sending, Spoiler},
    },
};

/// Replies are gathered up to here while there are requests to answer: one large reply, or many small ones.
const GATHER: usize = 256 * 1024;

/// As OpenSSH's sftp-server exits after a packet that is too long, and after one that makes no sense.
const TOO_LONG: Exit = Exit::Code(11);
const NONSENSE: Exit = Exit::Code(255);

/// Serves SFTP on a channel until its input ends or `hangup`, and says how it ended.
pub(super) async fn serve(
    service: &Arc<Service>,
    connection: &Arc<Connection>,
    channel: usize,
    call: Call,
    hangup: &CancellationToken,
) -> Exit {
    let keeper = Arc::clone(&connection.shared.keeper);
    let Call { user, stdin, stdout, .. } = call;
    let limits = Limits::default().with_max_packet(service.limits().packet);
    let mut engine = Engine {
        connection: Arc::clone(connection),
        session: Session::new(Arc::clone(service), keeper, channel, user),
        framer: Framer::new(limits),
        greeted: Greeted::No,
        outbox: Outbox::default(),
        stdout,
    };
    tokio::select! {
        // Of a request and the close behind it the request comes first, in every run.
        biased;
        exit = engine.converse(stdin, service.noise().clone()) => exit,
        () = hangup.cancelled() => Exit::Silent,
    }
}

struct Engine {
    connection: Arc<Connection>,
    session: Session,
    framer: Framer,
    greeted: Greeted,
    outbox: Outbox,
    stdout: Output,
}

/// Whether INIT has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Greeted {
    No,
    Yes,
}

/// Goes on, or ends the session.
type Step = ControlFlow<Exit>;

impl Engine {
    async fn converse(&mut self, mut stdin: Stdin, noise: Bytes) -> Exit {
        if !noise.is_empty() {
            self.outbox.bytes(&noise);
        }
        let mut step = self.flush().await;
        while step.is_continue() {
            let Some(chunk) = stdin.chunk().await else { break };
            self.framer.push(chunk);
            step = self.work().await;
        }
        // What was answered before the end is sent.
        let sent = self.flush().await;
        match (step, sent) {
            (ControlFlow::Break(exit), _) | (_, ControlFlow::Break(exit)) => exit,
            _ => Exit::SUCCESS,
        }
    }

    /// Answers all that has come.
    async fn work(&mut self) -> Step {
        loop {
            let packet = match self.framer.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => return self.flush().await,
                Err(error) => {
                    tracing::debug!(%error, "an SFTP stream that cannot be followed");
                    return ControlFlow::Break(match error.kind() {
                        // OpenSSH finds no type in it.
                        ErrorKind::Empty => NONSENSE,
                        _ => TOO_LONG,
                    });
                }
            };
            self.packet(packet).await?;
            if self.outbox.len() >= GATHER {
                self.flush().await?;
            }
            // All of this may be ready without a wait: others get their turn.
            tokio::task::yield_now().await;
        }
    }

    async fn packet(&mut self, packet: Bytes) -> Step {
        match ClientPacket::decode(packet, self.framer.limits()) {
            Ok(ClientPacket::Init(_)) => {
                self.greeted = Greeted::Yes;
                if self.strike_instead(SftpRequest::Init).is_some() {
                    return ControlFlow::Break(Exit::Silent);
                }
                let version = ServerPacket::Version(self.session.greet());
                self.reply(SftpRequest::Init, version).await
            }
            Ok(_) | Err(_) if self.greeted == Greeted::No => ControlFlow::Break(NONSENSE),
            Ok(ClientPacket::Request { id, request }) => {
                let sort = spoil::sort(&request);
                let reply = match self.strike_instead(sort) {
                    None => self.session.answer(request).await,
                    Some(SftpFaultKind::Status { code, text }) => {
                        Reply::Status(Status::new(StatusCode::new(code), text))
                    }
                    Some(_) => return ControlFlow::Break(Exit::Silent),
                };
                self.reply(sort, ServerPacket::Reply { id, reply }).await
            }
            Err(error) => self.refuse(&error),
        }
    }

    /// OpenSSH ends at a packet that ends too early, unless it asks for an extension that is not to be had: that one's
    /// body it does not read. What is only too long for this server is refused, as a system call would refuse it there.
    fn refuse(&mut self, error: &Error) -> Step {
        tracing::debug!(%error, "an SFTP packet that cannot be read");
        let refusal = error.extension().and_then(|extension| self.session.refusal(extension));
        let code = match (refusal, error.kind()) {
            (Some(code), _) => code,
            (None, ErrorKind::TooLong { field: "handle", .. }) => StatusCode::FAILURE,
            (None, ErrorKind::TooLong { .. } | ErrorKind::TooMany { .. }) => StatusCode::BAD_MESSAGE,
            _ => return ControlFlow::Break(NONSENSE),
        };
        let Some(id) = error.id() else { return ControlFlow::Break(NONSENSE) };
        queued(self.outbox.packet(&ServerPacket::Reply { id, reply: code.into() }))
    }

    async fn reply(&mut self, sort: SftpRequest, packet: ServerPacket) -> Step {
        let (connection, shared) = (self.connection.number, &self.connection.shared);
        let waited_for = |trigger: &Trigger| matches!(trigger, Trigger::Sftp(sorts) if sorts.covers(sort));
        if !shared.faults.watches(connection, waited_for) {
            return queued(self.outbox.packet(&packet));
        }
        // Whose turn it is does not depend on what the others do to the reply.
        let mut spoiler = Spoiler::new(packet.clone(), self.outbox.outgoing());
        if self.strike(sort, |fault| spoil::concerns(fault, &packet), |fault| spoiler.take(fault)) == 0 {
            return queued(self.outbox.packet(&packet));
        }
        let spoiled = match spoiler.finish() {
            Ok(spoiled) => spoiled,
            Err(error) => return queued(Err(error)),
        };
        if !spoiled.delay.is_zero() {
            // Those before it are not late.
            self.flush().await?;
            tokio::time::sleep(spoiled.delay).await;
        }
        match spoiled.sending {
            Sending::Never => {}
            Sending::Later => self.outbox.hold(spoiled.bytes),
            Sending::Twice => self.outbox.bytes(&[&spoiled.bytes[..], &spoiled.bytes[..]].concat()),
            Sending::Once => self.outbox.bytes(&spoiled.bytes),
        }
        ControlFlow::Continue(())
    }

    /// The fault that takes the place of carrying the request out: of several whose turn it is, the first.
    fn strike_instead(&self, sort: SftpRequest) -> Option<SftpFaultKind> {
        let concerns = |fault: &SftpFault| {
            let for_init = sort != SftpRequest::Init || fault.kind == SftpFaultKind::CloseChannel;
            fault.is_instead() && for_init
        };
        let mut instead = None;
        self.strike(sort, concerns, |fault| {
            let first = instead.is_none();
            if first {
                instead = Some(fault.kind.clone());
            }
            first
        });
        instead
    }

    fn strike(
        &self,
        sort: SftpRequest,
        concerns: impl Fn(&SftpFault) -> bool,
        mut act: impl FnMut(&SftpFault) -> bool,
    ) -> usize {
        let (connection, shared) = (self.connection.number, &self.connection.shared);
        let struck = shared.faults.strike_sftp(connection, sort, concerns, |fault| {
            let acts = act(fault);
            if acts {
                tracing::debug!(connection, request = %sort, %fault, "fault strikes");
            }
            acts
        });
        if struck > 0 {
            shared.keeper.touch();
        }
        struck
    }

    async fn flush(&mut self) -> Step {
        for part in self.outbox.take() {
            if self.stdout.send(part).await.is_err() {
                return ControlFlow::Break(Exit::Silent);
            }
        }
        ControlFlow::Continue(())
    }
}

/// A reply that has no place in a packet cannot be sent by anybody.
fn queued(result: Result<(), Error>) -> Step {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            tracing::error!(%error, "an SFTP reply cannot be written");
            ControlFlow::Break(NONSENSE)
        }
    }
}
