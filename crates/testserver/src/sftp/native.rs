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
    fault::{SftpFault, SftpFaultKind, SftpRequest},
    pipe::Stdin,
    sftp::{
        outbox::Outbox,
        service::Service,
        session::Session,
        spoil::{self, Sending},
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
                    return ControlFlow::Break(TOO_LONG);
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
                if !self.strike_instead(SftpRequest::Init).is_empty() {
                    return ControlFlow::Break(Exit::Silent);
                }
                let version = ServerPacket::Version(self.session.greet());
                self.reply(SftpRequest::Init, version).await
            }
            Ok(_) | Err(_) if self.greeted == Greeted::No => ControlFlow::Break(NONSENSE),
            Ok(ClientPacket::Request { id, request }) => {
                let sort = spoil::sort(&request);
                // Of several, the first.
                let reply = match self.strike_instead(sort).into_iter().next().map(|fault| fault.kind) {
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

    /// OpenSSH ends at a packet that ends too early. What is only too long for this server is refused, as a system call
    /// would refuse it there.
    fn refuse(&mut self, error: &Error) -> Step {
        tracing::debug!(%error, "an SFTP packet that cannot be read");
        let code = match error.kind() {
            ErrorKind::TooLong { field: "handle", .. } => StatusCode::FAILURE,
            ErrorKind::TooLong { .. } | ErrorKind::TooMany { .. } => StatusCode::BAD_MESSAGE,
            _ => return ControlFlow::Break(NONSENSE),
        };
        let Some(id) = error.id() else { return ControlFlow::Break(NONSENSE) };
        queued(self.outbox.packet(&ServerPacket::Reply { id, reply: code.into() }))
    }

    async fn reply(&mut self, sort: SftpRequest, packet: ServerPacket) -> Step {
        let faults = self.strike(sort, |fault| !fault.is_instead() && spoil::applies(fault, &packet));
        if faults.is_empty() {
            return queued(self.outbox.packet(&packet));
        }
        let spoiled = match spoil::spoil(&faults, packet) {
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

    /// The faults that take the place of carrying the request out.
    fn strike_instead(&self, sort: SftpRequest) -> Vec<SftpFault> {
        self.strike(sort, |fault| {
            let for_init = sort != SftpRequest::Init || fault.kind == SftpFaultKind::CloseChannel;
            fault.is_instead() && for_init
        })
    }

    fn strike(&self, sort: SftpRequest, applies: impl Fn(&SftpFault) -> bool) -> Vec<SftpFault> {
        let shared = &self.connection.shared;
        let struck = shared.faults.strike_sftp(self.connection.number, sort, applies);
        for fault in &struck {
            tracing::debug!(connection = self.connection.number, request = %sort, %fault, "fault strikes");
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
