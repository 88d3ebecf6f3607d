//! Faults by the names of their constructors.

use std::time::Duration;

use rustle_testserver::{Cut, Direction, DisconnectReason, Moment, Phase, RequestKind};
use serde::Deserialize;

use super::units::{Size, Time};
use super::user::Step;

/// Something the server does wrong.
#[derive(Deserialize)]
#[serde(try_from = "Keys")]
pub(crate) struct Fault(rustle_testserver::Fault);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    kind: Kind,
    phase: Option<When>,
    sent: Option<Size>,
    received: Option<Size>,
    elapsed: Option<Time>,
    how: Option<How>,
    bytes: Option<Size>,
    time: Option<Time>,
    direction: Option<Way>,
    every: Option<Time>,
    offset: Option<Size>,
    mask: Option<u8>,
    reason: Option<Reason>,
    code: Option<u32>,
    text: Option<String>,
    methods: Option<Vec<Step>>,
    request: Option<Asked>,
    nth: Option<usize>,
    times: Option<usize>,
    #[serde(default)]
    once: bool,
    on_connection: Option<usize>,
    for_time: Option<Time>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Cut,
    Stall,
    CutAfter,
    StallAfter,
    CutAfterReceived,
    StallAfterReceived,
    CutAt,
    StallAt,
    Delay,
    Drip,
    CorruptSent,
    CorruptReceived,
    Disconnect,
    WithholdChannelOpen,
    WithholdRequest,
    RefuseChannel,
    RefuseChannelWith,
    RefuseLogin,
    RefuseLoginWith,
    RefuseRequest,
    OmitExitStatus,
    OmitEof,
    OmitClose,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum When {
    Accept,
    Banner,
    KeyExchange,
    Authentication,
    ChannelOpen,
    Request,
    Data,
    Close,
}

/// How a connection is cut.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    Fin,
    #[default]
    Rst,
    Silence,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Way {
    Sent,
    Received,
    Both,
}

/// By the names on the wire.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Asked {
    PtyReq,
    Env,
    Exec,
    Shell,
    Subsystem,
}

/// RFC 4253 section 11.1.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reason {
    HostNotAllowedToConnect,
    ProtocolError,
    KeyExchangeFailed,
    MacError,
    CompressionError,
    ServiceNotAvailable,
    ProtocolVersionNotSupported,
    HostKeyNotVerifiable,
    ConnectionLost,
    ByApplication,
    TooManyConnections,
    AuthCancelledByUser,
    NoMoreAuthMethodsAvailable,
    IllegalUserName,
}

impl Fault {
    pub(crate) fn into_fault(self) -> rustle_testserver::Fault {
        self.0
    }
}

impl TryFrom<Keys> for Fault {
    type Error = String;

    fn try_from(mut keys: Keys) -> Result<Self, String> {
        let mut fault = keys.fault()?;
        keys.refuse_the_rest()?;
        if let Some(n) = keys.nth {
            fault = fault.nth(counted("nth", n)?);
        }
        fault = match (keys.times, keys.once) {
            (None, false) => fault,
            (None, true) => fault.once(),
            (Some(n), false) => fault.times(counted("times", n)?),
            (Some(_), true) => return Err("a fault has `times` or `once`, not both".to_owned()),
        };
        if let Some(n) = keys.on_connection {
            fault = fault.on_connection(counted("on_connection", n)?);
        }
        if let Some(time) = keys.for_time {
            let ends = [
                Kind::Stall,
                Kind::StallAfter,
                Kind::StallAfterReceived,
                Kind::StallAt,
                Kind::Drip,
                Kind::WithholdChannelOpen,
                Kind::WithholdRequest,
            ];
            if !ends.contains(&keys.kind) {
                return Err("a fault of this kind has no length: it takes no key `for_time`".to_owned());
            }
            fault = fault.for_time(time.duration());
        }
        Ok(Self(fault))
    }
}

/// Each takes what its kind of fault needs, so that what is left is too much.
impl Keys {
    fn fault(&mut self) -> Result<rustle_testserver::Fault, String> {
        use rustle_testserver::Fault as F;

        Ok(match self.kind {
            Kind::Cut => F::cut(self.moment()?, self.how()?),
            Kind::Stall => F::stall(self.moment()?),
            Kind::CutAfter => F::cut_after(self.bytes()?, self.how()?),
            Kind::StallAfter => F::stall_after(self.bytes()?),
            Kind::CutAfterReceived => F::cut_after_received(self.bytes()?, self.how()?),
            Kind::StallAfterReceived => F::stall_after_received(self.bytes()?),
            Kind::CutAt => F::cut_at(self.time()?, self.how()?),
            Kind::StallAt => F::stall_at(self.time()?),
            Kind::Delay => F::delay(self.moment()?, self.time()?),
            Kind::Drip => {
                let direction = needed("direction", self.direction.take())?.into();
                let every = needed("every", self.every.take())?.duration();
                F::drip(self.moment()?, direction, self.bytes()?, every)
            }
            Kind::CorruptSent => F::corrupt_sent(self.offset()?, self.mask()?),
            Kind::CorruptReceived => F::corrupt_received(self.offset()?, self.mask()?),
            Kind::Disconnect => {
                let reason = needed("reason", self.reason.take())?.into();
                F::disconnect(self.moment()?, reason, self.text()?)
            }
            Kind::WithholdChannelOpen => F::withhold_channel_open(),
            Kind::WithholdRequest => F::withhold_request(),
            Kind::RefuseChannel => F::refuse_channel(),
            Kind::RefuseChannelWith => {
                F::refuse_channel_with(needed("code", self.code.take())?, self.text()?)
            }
            Kind::RefuseLogin => F::refuse_login(),
            Kind::RefuseLoginWith => {
                let methods = needed("methods", self.methods.take())?;
                F::refuse_login_with(methods.into_iter().map(rustle_testserver::Method::from))
            }
            Kind::RefuseRequest => F::refuse_request(needed("request", self.request.take())?.into()),
            Kind::OmitExitStatus => F::omit_exit_status(),
            Kind::OmitEof => F::omit_eof(),
            Kind::OmitClose => F::omit_close(),
        })
    }

    fn moment(&mut self) -> Result<Moment, String> {
        match (self.phase.take(), self.sent.take(), self.received.take(), self.elapsed.take()) {
            (Some(phase), None, None, None) => Ok(Phase::from(phase).into()),
            (None, Some(bytes), None, None) => Ok(Moment::sent(bytes.bytes())),
            (None, None, Some(bytes), None) => Ok(Moment::received(bytes.bytes())),
            (None, None, None, Some(time)) => Ok(time.duration().into()),
            _ => Err("a fault of this kind needs one of the keys `phase`, `sent`, `received` and `elapsed`"
                .to_owned()),
        }
    }

    fn how(&mut self) -> Result<Cut, String> {
        needed("how", self.how.take()).map(Cut::from)
    }

    fn bytes(&mut self) -> Result<u64, String> {
        needed("bytes", self.bytes.take()).map(Size::bytes)
    }

    fn time(&mut self) -> Result<Duration, String> {
        needed("time", self.time.take()).map(Time::duration)
    }

    fn offset(&mut self) -> Result<u64, String> {
        needed("offset", self.offset.take()).map(Size::bytes)
    }

    fn mask(&mut self) -> Result<u8, String> {
        match needed("mask", self.mask.take())? {
            0 => Err("a `mask` of 0 changes nothing".to_owned()),
            mask => Ok(mask),
        }
    }

    fn text(&mut self) -> Result<String, String> {
        needed("text", self.text.take())
    }

    fn refuse_the_rest(&self) -> Result<(), String> {
        let left = [
            ("phase", self.phase.is_some()),
            ("sent", self.sent.is_some()),
            ("received", self.received.is_some()),
            ("elapsed", self.elapsed.is_some()),
            ("how", self.how.is_some()),
            ("bytes", self.bytes.is_some()),
            ("time", self.time.is_some()),
            ("direction", self.direction.is_some()),
            ("every", self.every.is_some()),
            ("offset", self.offset.is_some()),
            ("mask", self.mask.is_some()),
            ("reason", self.reason.is_some()),
            ("code", self.code.is_some()),
            ("text", self.text.is_some()),
            ("methods", self.methods.is_some()),
            ("request", self.request.is_some()),
        ];
        match left.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(format!("a fault of this kind takes no key `{name}`")),
            None => Ok(()),
        }
    }
}

fn needed<T>(name: &str, value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| format!("a fault of this kind needs the key `{name}`"))
}

fn counted(name: &str, n: usize) -> Result<usize, String> {
    match n {
        0 => Err(format!("`{name}` is counted from 1")),
        n => Ok(n),
    }
}

impl From<When> for Phase {
    fn from(when: When) -> Self {
        match when {
            When::Accept => Self::Accept,
            When::Banner => Self::Banner,
            When::KeyExchange => Self::KeyExchange,
            When::Authentication => Self::Authentication,
            When::ChannelOpen => Self::ChannelOpen,
            When::Request => Self::Request,
            When::Data => Self::Data,
            When::Close => Self::Close,
        }
    }
}

impl From<How> for Cut {
    fn from(how: How) -> Self {
        match how {
            How::Fin => Self::Fin,
            How::Rst => Self::Rst,
            How::Silence => Self::Silence,
        }
    }
}

impl From<Way> for Direction {
    fn from(way: Way) -> Self {
        match way {
            Way::Sent => Self::Sent,
            Way::Received => Self::Received,
            Way::Both => Self::Both,
        }
    }
}

impl From<Asked> for RequestKind {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::PtyReq => Self::Pty,
            Asked::Env => Self::Env,
            Asked::Exec => Self::Exec,
            Asked::Shell => Self::Shell,
            Asked::Subsystem => Self::Subsystem,
        }
    }
}

impl From<Reason> for DisconnectReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::HostNotAllowedToConnect => Self::HostNotAllowedToConnect,
            Reason::ProtocolError => Self::ProtocolError,
            Reason::KeyExchangeFailed => Self::KeyExchangeFailed,
            Reason::MacError => Self::MacError,
            Reason::CompressionError => Self::CompressionError,
            Reason::ServiceNotAvailable => Self::ServiceNotAvailable,
            Reason::ProtocolVersionNotSupported => Self::ProtocolVersionNotSupported,
            Reason::HostKeyNotVerifiable => Self::HostKeyNotVerifiable,
            Reason::ConnectionLost => Self::ConnectionLost,
            Reason::ByApplication => Self::ByApplication,
            Reason::TooManyConnections => Self::TooManyConnections,
            Reason::AuthCancelledByUser => Self::AuthCancelledByUser,
            Reason::NoMoreAuthMethodsAvailable => Self::NoMoreAuthMethodsAvailable,
            Reason::IllegalUserName => Self::IllegalUserName,
        }
    }
}
