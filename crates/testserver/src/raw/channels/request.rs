//! The requests on a channel, and what each starts (RFC 4254 section 6).

use std::time::Duration;

use crate::{
    auth::certificate::Permit,
    builder::forwarding::Grant,
    connection::Reached,
    entrance::Entrance,
    exit::Signal,
    fault::{Phase, RequestKind},
    handler::{HandlerError, request_kind},
    raw::{
        channels::{Channels, State, first},
        conversation::Heard,
        faults::{Point, RequestAnswer, Wrong},
        message,
        transport::Broken,
        wire::Reader,
    },
    record::{CommandKind, Pty, TerminalSize},
    session_channel::Start,
};

impl Channels {
    /// A `CHANNEL_REQUEST`.
    pub(super) fn request(
        &mut self,
        id: u32,
        mut reader: Reader<'_>,
        entrance: &Entrance,
    ) -> Result<Heard, HandlerError> {
        let malformed = || Broken::new("a CHANNEL_REQUEST cannot be read");
        let (Some(name), Some(wants_reply)) = (reader.text(), reader.boolean()) else {
            return Err(malformed().into());
        };
        // RFC 4254 section 5.3: nothing more is said of a channel after our CLOSE.
        let Some(channel) = self.open.get_mut(&id).filter(|channel| channel.state == State::Open) else {
            return Ok(Heard::nothing());
        };
        let keeper = &self.connection.shared.keeper;
        let answers = match name {
            "exec" => {
                let line = reader.string().ok_or_else(malformed)?;
                return self.start(id, CommandKind::Exec, line, entrance, wants_reply);
            }
            "shell" => return self.start(id, CommandKind::Shell, b"", entrance, wants_reply),
            "subsystem" => {
                let name = reader.string().ok_or_else(malformed)?;
                return self.start(id, CommandKind::Subsystem, name, entrance, wants_reply);
            }
            "env" => {
                // RFC 4254 has them as bytes; what is no text is no variable here.
                let name = reader.string().ok_or_else(malformed)?;
                let value = reader.string().ok_or_else(malformed)?;
                let texts = std::str::from_utf8(name).ok().zip(std::str::from_utf8(value).ok());
                let refused = self.connection.refuses(RequestKind::Env);
                let accepted =
                    texts.filter(|(name, _)| !refused && self.connection.shared.settings.accepts_env(name));
                if let Some((name, value)) = accepted {
                    channel.env.push((name.to_owned(), value.to_owned()));
                    message::CHANNEL_SUCCESS
                } else {
                    keeper.request_refused(channel.number, "env");
                    message::CHANNEL_FAILURE
                }
            }
            "pty-req" => {
                let pty = pty(&mut reader).ok_or_else(malformed)?;
                if self.connection.refuses(RequestKind::Pty) || !entrance.restrictions().permits(Permit::Pty)
                {
                    keeper.request_refused(channel.number, "pty-req");
                    message::CHANNEL_FAILURE
                } else {
                    channel.pty = Some(pty);
                    message::CHANNEL_SUCCESS
                }
            }
            "window-change" => {
                let size = size(&mut reader).ok_or_else(malformed)?;
                keeper.window_change(channel.number, size);
                channel.signals.resize(size);
                message::CHANNEL_SUCCESS
            }
            "signal" => {
                let signal = Signal::new(String::from_utf8_lossy(reader.string().ok_or_else(malformed)?));
                keeper.signal(channel.number, signal.clone());
                channel.signals.signal(signal);
                message::CHANNEL_SUCCESS
            }
            name => {
                keeper.request_refused(channel.number, name);
                message::CHANNEL_FAILURE
            }
        };
        Ok(Heard::Answers(channel.reply(wants_reply, &[answers])))
    }

    /// Starts a program on a channel, and answers the request.
    fn start(
        &mut self,
        id: u32,
        kind: CommandKind,
        text: &[u8],
        entrance: &Entrance,
        wants_reply: bool,
    ) -> Result<Heard, HandlerError> {
        let delay = match self.connection.reach(Phase::Request) {
            Reached::Lost => return Err(HandlerError::Cut),
            Reached::Withhold(None) | Reached::Leaving => return Ok(Heard::nothing()),
            Reached::Withhold(Some(time)) => time,
            Reached::Go | Reached::Refuse { .. } => Duration::ZERO,
        };
        let refused = self.connection.refuses(request_kind(kind));
        let shared = &self.connection.shared;
        let Some(channel) = self.open.get_mut(&id) else { return Ok(Heard::nothing()) };
        let ordered = (!refused && channel.start.is_some())
            .then(|| shared.order(kind, text, entrance.user(), entrance.restrictions()))
            .flatten();
        let mut wrong = None;
        shared.strike_wrongs(self.connection.number, Point::Request, |one| match one {
            // To a request that is refused, or to none that is waited for, there is no other answer.
            Wrong::Answer(answer) if ordered.is_some() => {
                (wants_reply || *answer == RequestAnswer::Failure) && first(&mut wrong, *answer)
            }
            _ => false,
        });
        let ordered = ordered.filter(|_| wrong != Some(RequestAnswer::Failure));
        // RFC 4254 section 6.5: only one of these requests can succeed per channel.
        let Some((ordered, start)) = ordered.and_then(|ordered| Some((ordered, channel.start.take()?)))
        else {
            shared.keeper.request_refused(channel.number, request_kind(kind).as_str());
            let failure = channel.reply(wants_reply, &[message::CHANNEL_FAILURE]);
            return Ok(self.answer_after(Some(id), delay, failure, || {}));
        };
        shared.keeper.accepted(channel.number, kind, text, &channel.env, channel.pty.as_ref());
        let set = std::mem::take(&mut channel.env);
        let mut env = shared.accounts.env(entrance.user());
        env.extend(set.iter().cloned());
        env.extend(ordered.original.map(|text| ("SSH_ORIGINAL_COMMAND".to_owned(), text)));
        let order = Start {
            kind,
            text: ordered.text,
            user: entrance.user().to_owned(),
            set,
            env,
            pty: channel.pty.take(),
            agent: Grant::Refused,
            x11: None,
            program: ordered.program,
        };
        let (success, failure) = (message::CHANNEL_SUCCESS, message::CHANNEL_FAILURE);
        let answers = match wrong {
            None => channel.reply(wants_reply, &[success]),
            Some(RequestAnswer::Twice) => channel.reply(wants_reply, &[success, success]),
            Some(RequestAnswer::Both) => channel.reply(wants_reply, &[success, failure]),
            Some(RequestAnswer::AfterOutput) => {
                channel.owed = channel.reply(wants_reply, &[success]).pop();
                Vec::new()
            }
            Some(RequestAnswer::Nothing | RequestAnswer::Failure) => Vec::new(),
        };
        // The channel's task is gone only when the channel is.
        Ok(self.answer_after(Some(id), delay, answers, || drop(start.send(order))))
    }
}

fn size(reader: &mut Reader<'_>) -> Option<TerminalSize> {
    Some(TerminalSize {
        columns: reader.u32()?,
        rows: reader.u32()?,
        pixel_width: reader.u32()?,
        pixel_height: reader.u32()?,
    })
}

/// RFC 4254 sections 6.2 and 8.
fn pty(reader: &mut Reader<'_>) -> Option<Pty> {
    let term = String::from_utf8_lossy(reader.string()?);
    let size = size(reader)?;
    let mut encoded = Reader::new(reader.string()?);
    let mut modes = Vec::new();
    while let Some(mode @ 1..=159) = encoded.byte() {
        let Some(value) = encoded.u32() else { break };
        modes.push((mode, value));
    }
    Some(Pty::new(&term, size, modes))
}
