//! Forwards: what clients may have forwarded, and what answers there.

use rustle_testserver::{Builder, Target};
use serde::Deserialize;

use super::personality::Personality;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForwardKeys {
    direct_tcpip: Option<bool>,
    direct_streamlocal: Option<bool>,
    #[serde(default)]
    remote_tcpip: Listening,
    #[serde(default)]
    remote_streamlocal: bool,
    #[serde(default)]
    agent: bool,
    #[serde(default)]
    x11: bool,
    #[serde(default)]
    targets: Vec<TargetEntry>,
}

/// Where ports are listened on for clients.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Listening {
    #[default]
    None,
    Loopback,
    AsAsked,
}

/// What answers at an address.
#[derive(Deserialize)]
#[serde(try_from = "TargetKeys")]
struct TargetEntry {
    place: Place,
    target: Target,
}

enum Place {
    Host(String, Option<u16>),
    Path(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetKeys {
    host: Option<String>,
    port: Option<u16>,
    path: Option<String>,
    answer: Answer,
    code: Option<u32>,
    text: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Real,
    Echo,
    Reply,
    Refuse,
}

impl ForwardKeys {
    /// A key that asks for forwards.
    pub(super) fn asked_for(&self) -> Option<&'static str> {
        let asked = [
            ("direct_tcpip", self.direct_tcpip == Some(true)),
            ("direct_streamlocal", self.direct_streamlocal == Some(true)),
            ("remote_tcpip", self.remote_tcpip != Listening::None),
            ("remote_streamlocal", self.remote_streamlocal),
            ("agent", self.agent),
            ("x11", self.x11),
            ("targets", !self.targets.is_empty()),
        ];
        asked.into_iter().find(|(_, asked)| *asked).map(|(key, _)| key)
    }

    /// The personality says what there is where the script does not say.
    pub(super) fn apply(self, mut builder: Builder, personality: Personality) -> Builder {
        if self.direct_tcpip.unwrap_or(personality == Personality::Server) {
            builder = builder.direct_tcpip();
        }
        if self.direct_streamlocal.unwrap_or(false) {
            builder = builder.direct_streamlocal();
        }
        builder = match self.remote_tcpip {
            Listening::None => builder,
            Listening::Loopback => builder.tcpip_forward(),
            Listening::AsAsked => builder.tcpip_forward_as_asked(),
        };
        if self.remote_streamlocal {
            builder = builder.streamlocal_forward();
        }
        if self.agent {
            builder = builder.agent_forwarding();
        }
        if self.x11 {
            builder = builder.x11_forwarding();
        }
        self.targets.into_iter().fold(builder, |builder, TargetEntry { place, target }| match place {
            Place::Host(host, port) => builder.forward_target(host, port, target),
            Place::Path(path) => builder.streamlocal_target(path, target),
        })
    }
}

impl TryFrom<TargetKeys> for TargetEntry {
    type Error = &'static str;

    fn try_from(keys: TargetKeys) -> Result<Self, Self::Error> {
        let place = match (keys.host, keys.port, keys.path) {
            (Some(host), port, None) => Place::Host(host, port),
            (None, None, Some(path)) => Place::Path(path),
            _ => return Err("a target has `host`, with or without `port`, or `path`"),
        };
        let target = match (keys.answer, keys.code, keys.text) {
            (Answer::Real, None, None) => Target::real(),
            (Answer::Echo, None, None) => Target::echo(),
            (Answer::Reply, None, Some(text)) => Target::reply(text),
            (Answer::Refuse, Some(code), Some(text)) => Target::refuse(code, text),
            _ => {
                return Err(
                    "with `answer`, \"reply\" needs `text`, \"refuse\" needs `code` and `text`, and no other has either",
                );
            }
        };
        Ok(Self { place, target })
    }
}
