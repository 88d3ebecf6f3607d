//! How a command ends, and the signals it may get.

use std::fmt;

use russh::Sig;

/// How a command ended by itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Exit {
    /// With this exit code (`exit-status`, RFC 4254 section 6.10).
    Code(u32),
    /// By this signal (`exit-signal`), with the message sent along.
    Signal {
        /// The signal.
        signal: Signal,
        /// The message for the user.
        message: String,
    },
    /// Without a word, as some servers do: the channel just closes.
    Silent,
}

impl Exit {
    /// A successful end.
    pub const SUCCESS: Self = Self::Code(0);

    /// Death by this signal.
    #[must_use]
    pub fn signal(signal: Signal) -> Self {
        Self::Signal { signal, message: String::new() }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal { signal, .. } => write!(f, "signal {signal}"),
            Self::Silent => f.write_str("no exit status"),
        }
    }
}

/// A signal, by its name without `SIG` (RFC 4254 section 6.10).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Signal(String);

impl Signal {
    /// A signal of this name, such as `TERM`.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// `HUP`.
    #[must_use]
    pub fn hup() -> Self {
        Self::new("HUP")
    }

    /// `INT`.
    #[must_use]
    pub fn int() -> Self {
        Self::new("INT")
    }

    /// `TERM`.
    #[must_use]
    pub fn term() -> Self {
        Self::new("TERM")
    }

    /// `KILL`.
    #[must_use]
    pub fn kill() -> Self {
        Self::new("KILL")
    }

    /// The name without `SIG`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    pub(crate) fn from_wire(signal: &Sig) -> Self {
        Self::new(match signal {
            Sig::ABRT => "ABRT",
            Sig::ALRM => "ALRM",
            Sig::FPE => "FPE",
            Sig::HUP => "HUP",
            Sig::ILL => "ILL",
            Sig::INT => "INT",
            Sig::KILL => "KILL",
            Sig::PIPE => "PIPE",
            Sig::QUIT => "QUIT",
            Sig::SEGV => "SEGV",
            Sig::TERM => "TERM",
            Sig::USR1 => "USR1",
            Sig::Custom(name) => name,
        })
    }

    pub(crate) fn to_wire(&self) -> Sig {
        match self.0.as_str() {
            "ABRT" => Sig::ABRT,
            "ALRM" => Sig::ALRM,
            "FPE" => Sig::FPE,
            "HUP" => Sig::HUP,
            "ILL" => Sig::ILL,
            "INT" => Sig::INT,
            "KILL" => Sig::KILL,
            "PIPE" => Sig::PIPE,
            "QUIT" => Sig::QUIT,
            "SEGV" => Sig::SEGV,
            "TERM" => Sig::TERM,
            "USR1" => Sig::USR1,
            other => Sig::Custom(other.to_owned()),
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
