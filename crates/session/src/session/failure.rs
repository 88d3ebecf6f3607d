//! What a session says when something asked of it failed.

use std::time::Duration;

use crate::base::{Channel, CloseReason, End, Open, Refusal};
use crate::error::{Error, ErrorKind};
use crate::session::Session;

impl Session {
    /// The error for something asked of a connection that is gone, or going: then its reason is waited for.
    pub(crate) async fn gone_error(&self, operation: &'static str) -> Error {
        const REASON_WITHIN: Duration = Duration::from_secs(2);
        let _ = tokio::time::timeout(REASON_WITHIN, self.inner.connection.gone()).await;
        let reason = self.inner.connection.close_reason();
        let error =
            Error::new(ErrorKind::Disconnected, operation, format!("the connection is gone: {reason}"))
                .at(self.target());
        if matches!(reason, CloseReason::Local | CloseReason::Aborted) {
            return error;
        }
        match self.reason_below().await {
            Some(below) => error.with_source(below).with_hint("connect again"),
            None => {
                error.with_hint("connect again; the server's log says more where it ended the connection")
            }
        }
    }

    /// The error for a channel that ended before what was wanted of it.
    pub(crate) async fn channel_ended_error(&self, operation: &'static str, channel: &Channel) -> Error {
        match channel.intake().end_seen() {
            Some(End::Overrun) => Error::new(
                ErrorKind::Overrun,
                operation,
                format!(
                    "the output of channel {} was not read, and its buffers in memory and on disk ran over",
                    channel.number()
                ),
            )
            .at(self.target())
            .with_hint("read the output as it comes, or raise the limits of BufferLimits"),
            Some(End::Closed) => Error::new(
                ErrorKind::ChannelClosed,
                operation,
                "the server closed the channel before it answered",
            )
            .at(self.target()),
            Some(End::Released) => {
                Error::new(ErrorKind::ChannelClosed, operation, "the channel was closed on this side")
                    .at(self.target())
            }
            Some(End::Lost) | None => self.gone_error(operation).await,
        }
    }

    /// The server's refusal in words, told apart by code and type of channel.
    pub(super) fn refusal_error(&self, open: &Open, refusal: &Refusal) -> Error {
        let said = if refusal.text.is_empty() { String::new() } else { format!(": {}", refusal.text) };
        let (kind, message, hint) = match (open, refusal.code) {
            // OpenSSH refuses a session over MaxSessions with code 2, whose meaning in the RFC is another.
            (Open::Session, 2) => (
                ErrorKind::ChannelLimit,
                format!("the server opens no further session on this connection{said}"),
                "close a session or wait for one to end, use another connection, or raise MaxSessions in its sshd_config",
            ),
            (Open::DirectTcpip { host, port }, 2) => (
                ErrorKind::ChannelTarget,
                format!("the server could not connect to {host}:{port}{said}"),
                "check that something listens there and that the server can reach it",
            ),
            (Open::DirectStreamlocal { path }, 2) => (
                ErrorKind::ChannelTarget,
                format!("the server could not connect to the socket {path}{said}"),
                "check that something listens there and that the account may open it",
            ),
            (_, 4) => (
                ErrorKind::ChannelShortage,
                format!("the server is short of resources for another channel{said}"),
                "try again in a moment",
            ),
            (_, code) => (
                ErrorKind::ChannelProhibited,
                format!("the server does not permit this channel{said} (code {code})"),
                "its policy decides this: AllowTcpForwarding, PermitOpen and the like in its sshd_config",
            ),
        };
        Error::new(kind, "open channel", message).at(self.target()).with_hint(hint)
    }
}
