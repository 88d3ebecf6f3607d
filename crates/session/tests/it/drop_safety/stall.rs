//! Where the server stops while an operation is under way.

use std::fmt;

use rustle_testserver::{Fault, Phase, TestServer};

/// What the server does from the moment the operation begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stall {
    /// All that it should.
    None,
    /// Nothing at all, from before the first byte of the operation.
    Silent,
    /// Nothing at all, with every buffer on the way to it full.
    Jammed,
    /// Nothing any more once it comes to this phase.
    At(Phase),
    /// Everything but the answer to a channel open.
    WithheldOpen,
    /// Everything but the answer to the request for a command.
    WithheldRequest,
}

impl Stall {
    /// Those that a connection can meet before its session is there.
    pub(super) const CONNECTING: [Self; 6] = [
        Self::None,
        Self::Silent,
        Self::At(Phase::Accept),
        Self::At(Phase::Banner),
        Self::At(Phase::KeyExchange),
        Self::At(Phase::Authentication),
    ];

    /// Those that a session can meet.
    pub(super) const ON_SESSION: [Self; 9] = [
        Self::None,
        Self::Silent,
        Self::Jammed,
        Self::At(Phase::ChannelOpen),
        Self::At(Phase::Request),
        Self::At(Phase::Data),
        Self::At(Phase::Close),
        Self::WithheldOpen,
        Self::WithheldRequest,
    ];

    /// Has the server do so from now on.
    pub(super) fn arm(self, server: &TestServer) {
        match self {
            Self::None => {}
            Self::Silent | Self::Jammed => server.stall(),
            Self::At(phase) => server.add_fault(Fault::stall(phase).once()),
            Self::WithheldOpen => server.add_fault(Fault::withhold_channel_open().once()),
            Self::WithheldRequest => server.add_fault(Fault::withhold_request().once()),
        }
    }

    /// Whether the operation has come to it; one that never does needs no dropping there.
    pub(super) fn was_met(self, server: &TestServer) -> bool {
        matches!(self, Self::None | Self::Silent | Self::Jammed) || server.faults_fired() > 0
    }

    /// Whether the rest of the connection goes on all the while.
    pub(super) fn spares_the_connection(self) -> bool {
        matches!(self, Self::None | Self::WithheldOpen | Self::WithheldRequest)
    }
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no stall"),
            Self::Silent => f.write_str("silent server"),
            Self::Jammed => f.write_str("jammed server"),
            Self::At(phase) => write!(f, "stall at {phase}"),
            Self::WithheldOpen => f.write_str("withheld channel open"),
            Self::WithheldRequest => f.write_str("withheld request"),
        }
    }
}
