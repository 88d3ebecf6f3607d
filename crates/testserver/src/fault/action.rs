//! What a fault does when it strikes.

use std::fmt;

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cut {
    /// The server closes its side properly, as a process that exits.
    Fin,
    /// The connection is reset, as by a firewall or a crash.
    Rst,
    /// The server vanishes: it neither reads nor writes again, and the socket stays open until the server stops.
    Silence,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fin => "FIN",
            Self::Rst => "RST",
            Self::Silence => "silence",
        })
    }
}

/// What a fault does. Whoever asks for the actions of a moment carries out those that make sense there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Cut(Cut),
    Stall,
    Withhold,
    Refuse { code: u32, text: String },
}

/// As the error about an unfired fault begins.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(how) => write!(f, "cut ({how})"),
            Self::Stall => f.write_str("stall"),
            Self::Withhold => f.write_str("no answer"),
            Self::Refuse { code, text } => write!(f, "refusal (code {code}, {text:?})"),
        }
    }
}
