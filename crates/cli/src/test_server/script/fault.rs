//! Faults by the names of their constructors.

mod answers;
mod keys;
mod kind;
mod message;
mod sftp;
mod wire;

use serde::Deserialize;

pub(crate) use self::kind::Needs;

use self::keys::Keys;
use self::kind::Kind;

/// Something the server does wrong.
#[derive(Deserialize)]
#[serde(try_from = "Keys")]
pub(crate) struct Fault {
    kind: Kind,
    fault: rustle_testserver::Fault,
}

impl Fault {
    /// Its `kind`.
    pub(crate) fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// What the server has to have, or the fault could never strike.
    pub(crate) fn needs(&self) -> Needs {
        self.kind.needs()
    }

    pub(crate) fn into_fault(self) -> rustle_testserver::Fault {
        self.fault
    }
}

/// The kinds that end by themselves after a `for_time`.
const LASTING: [&str; 7] = [
    "stall",
    "stall_after",
    "stall_after_received",
    "stall_at",
    "drip",
    "withhold_channel_open",
    "withhold_request",
];

impl TryFrom<Keys> for Fault {
    type Error = String;

    fn try_from(mut keys: Keys) -> Result<Self, String> {
        let kind = keys.kind;
        let mut fault = kind.make(&mut keys)?;
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
            if !LASTING.contains(&kind.name()) {
                return Err("a fault of this kind has no length: it takes no key `for_time`".to_owned());
            }
            fault = fault.for_time(time.duration());
        }
        Ok(Self { kind, fault })
    }
}

fn counted(name: &str, n: usize) -> Result<usize, String> {
    match n {
        0 => Err(format!("`{name}` is counted from 1")),
        n => Ok(n),
    }
}
