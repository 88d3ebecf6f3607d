//! Faults by the names of their constructors.

use rustle_testserver::{Cut, Moment, Phase};
use serde::Deserialize;

use super::units::Size;

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
    how: Option<How>,
    bytes: Option<Size>,
    code: Option<u32>,
    text: Option<String>,
    nth: Option<usize>,
    times: Option<usize>,
    #[serde(default)]
    once: bool,
    on_connection: Option<usize>,
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
    WithholdChannelOpen,
    WithholdRequest,
    RefuseChannel,
    RefuseChannelWith,
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

impl Fault {
    pub(crate) fn into_fault(self) -> rustle_testserver::Fault {
        self.0
    }
}

impl TryFrom<Keys> for Fault {
    type Error = String;

    fn try_from(mut keys: Keys) -> Result<Self, String> {
        use rustle_testserver::Fault as F;

        let mut fault = match keys.kind {
            Kind::Cut => F::cut(keys.moment()?, keys.how()?),
            Kind::Stall => F::stall(keys.moment()?),
            Kind::CutAfter => F::cut_after(keys.bytes()?, keys.how()?),
            Kind::StallAfter => F::stall_after(keys.bytes()?),
            Kind::CutAfterReceived => F::cut_after_received(keys.bytes()?, keys.how()?),
            Kind::StallAfterReceived => F::stall_after_received(keys.bytes()?),
            Kind::WithholdChannelOpen => F::withhold_channel_open(),
            Kind::WithholdRequest => F::withhold_request(),
            Kind::RefuseChannel => F::refuse_channel(),
            Kind::RefuseChannelWith => {
                F::refuse_channel_with(needed("code", keys.code.take())?, keys.text()?)
            }
        };
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
        Ok(Self(fault))
    }
}

/// Each takes what its kind of fault needs, so that what is left is too much.
impl Keys {
    fn moment(&mut self) -> Result<Moment, String> {
        match (self.phase.take(), self.sent.take(), self.received.take()) {
            (Some(phase), None, None) => Ok(Phase::from(phase).into()),
            (None, Some(bytes), None) => Ok(Moment::sent(bytes.bytes())),
            (None, None, Some(bytes)) => Ok(Moment::received(bytes.bytes())),
            _ => Err("a fault of this kind needs one of the keys `phase`, `sent` and `received`".to_owned()),
        }
    }

    fn how(&mut self) -> Result<Cut, String> {
        needed("how", self.how.take()).map(Cut::from)
    }

    fn bytes(&mut self) -> Result<u64, String> {
        needed("bytes", self.bytes.take()).map(Size::bytes)
    }

    fn text(&mut self) -> Result<String, String> {
        needed("text", self.text.take())
    }

    fn refuse_the_rest(&self) -> Result<(), String> {
        let left = [
            ("phase", self.phase.is_some()),
            ("sent", self.sent.is_some()),
            ("received", self.received.is_some()),
            ("how", self.how.is_some()),
            ("bytes", self.bytes.is_some()),
            ("code", self.code.is_some()),
            ("text", self.text.is_some()),
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
