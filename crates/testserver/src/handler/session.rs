//! The session channels: what is asked on one before it runs something, and the start.

use std::{sync::Arc, time::Duration};

use russh::{
    Channel, ChannelId,
    server::{Msg, Session},
};
use tokio::sync::oneshot;

use crate::{
    builder::forwarding::Grant,
    connection::{Reached, SessionSlot},
    driver,
    fault::Phase,
    handler::{CROWDED, Handler, HandlerError, Waiting, request_kind},
    record::{ChannelKind, CommandKind},
    session_channel::{SessionChannel, Start},
};

impl Handler {
    /// Starts a program on a channel, and answers the request.
    pub(super) fn start(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
        kind: CommandKind,
        text: &[u8],
    ) -> Result<(), HandlerError> {
        let delay = match self.connection.reach(Phase::Request) {
            Reached::Lost => return Err(HandlerError::Cut),
            Reached::Withhold(None) | Reached::Leaving => return Ok(()),
            Reached::Withhold(Some(time)) => time,
            Reached::Go | Reached::Refuse { .. } => Duration::ZERO,
        };
        let refused = self.connection.refuses(request_kind(kind));
        let Some(waiting) = self.channels.get_mut(&channel) else {
            return self.fail(channel, session, delay);
        };
        let shared = &self.connection.shared;
        let under = self.entrance.restrictions();
        let ordered = if refused { None } else { shared.order(kind, text, self.entrance.user(), under) };
        // RFC 4254 section 6.5: only one of these requests can succeed per channel.
        let start = ordered.and_then(|ordered| Some((ordered, waiting.start.take()?)));
        let Some((ordered, start)) = start else {
            self.note_refused(channel, request_kind(kind).as_str());
            return self.fail(channel, session, delay);
        };
        shared.keeper.accepted(waiting.number, kind, text, &waiting.env, waiting.pty.as_ref());
        let set = std::mem::take(&mut waiting.env);
        let mut env = shared.accounts.env(self.entrance.user());
        env.extend(set.iter().cloned());
        env.extend(ordered.original.map(|text| ("SSH_ORIGINAL_COMMAND".to_owned(), text)));
        let order = Start {
            kind,
            text: ordered.text,
            user: self.entrance.user().to_owned(),
            set,
            env,
            pty: waiting.pty.take(),
            agent: waiting.agent,
            x11: waiting.x11.take(),
            program: ordered.program,
        };
        if delay.is_zero() {
            session.channel_success(channel)?;
            // The channel's task is gone only when the channel is.
            drop(start.send(order));
        } else {
            let handle = session.handle();
            driver::later(&self.connection, delay, async move {
                // As above; and a connection that is gone needs no answer.
                let _ = handle.channel_success(channel).await;
                drop(start.send(order));
            });
        }
        Ok(())
    }

    pub(super) fn refuse_request(
        &self,
        channel: ChannelId,
        session: &mut Session,
        name: &str,
    ) -> Result<(), HandlerError> {
        self.note_refused(channel, name);
        self.fail(channel, session, Duration::ZERO)
    }

    fn note_refused(&self, channel: ChannelId, name: &str) {
        if let Some(waiting) = self.channels.get(&channel) {
            self.connection.shared.keeper.request_refused(waiting.number, name);
        }
    }

    fn fail(&self, channel: ChannelId, session: &mut Session, delay: Duration) -> Result<(), HandlerError> {
        if delay.is_zero() {
            return Ok(session.channel_failure(channel)?);
        }
        let handle = session.handle();
        driver::later(&self.connection, delay, async move {
            // A connection that is gone needs no answer.
            let _ = handle.channel_failure(channel).await;
        });
        Ok(())
    }

    pub(super) fn open_session(&mut self, channel: Channel<Msg>, session: &Session, slot: SessionSlot) {
        let id = channel.id();
        let number =
            self.connection.shared.keeper.channel_opened(self.connection.number, ChannelKind::Session);
        let (start, started) = oneshot::channel();
        let slot = Arc::new(slot);
        if self.channels.len() >= self.crowded {
            self.channels.retain(|_, waiting| waiting.slot.strong_count() > 0);
            self.crowded = (2 * self.channels.len()).max(CROWDED);
        }
        self.channels.insert(
            id,
            Waiting {
                number,
                env: Vec::new(),
                pty: None,
                agent: Grant::Refused,
                x11: None,
                start: Some(start),
                slot: Arc::downgrade(&slot),
            },
        );
        let (read, write) = channel.split();
        driver::serve_channel(
            &self.connection,
            SessionChannel {
                connection: Arc::clone(&self.connection),
                number,
                handle: session.handle(),
                read,
                write,
                start: started,
                slot,
            }
            .serve(),
        );
    }
}
