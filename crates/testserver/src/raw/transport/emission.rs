//! What becomes of a message on its way out.

use crate::raw::transport::protection::Flaw;

/// Decides what becomes of each message on its way out.
pub(crate) trait Tamper: Send + Sync {
    /// What is sent in place of this message.
    fn tamper(&mut self, payload: Vec<u8>, cover: Cover) -> Vec<Emission>;
}

/// Whether packets have a MAC, or a tag, yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cover {
    Bare,
    Keyed,
}

/// One packet to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Emission {
    pub(crate) payload: Vec<u8>,
    pub(crate) flaw: Flaw,
    pub(crate) origin: Origin,
}

/// Where a packet comes from: new keys come into use after the message that announces them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The message itself, whatever was done to it.
    Message,
    Added,
}

/// Sends everything as it is.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Faithful;

impl Emission {
    pub(crate) fn message(payload: Vec<u8>) -> Self {
        Self { payload, flaw: Flaw::default(), origin: Origin::Message }
    }

    pub(crate) fn added(payload: Vec<u8>) -> Self {
        Self { payload, flaw: Flaw::default(), origin: Origin::Added }
    }
}

impl Origin {
    pub(crate) fn is_message(self) -> bool {
        self == Self::Message
    }

    /// The same, sent later than its moment.
    pub(crate) fn late(self) -> Self {
        Self::Added
    }
}

#[cfg(test)]
impl Tamper for Faithful {
    fn tamper(&mut self, payload: Vec<u8>, _cover: Cover) -> Vec<Emission> {
        vec![Emission::message(payload)]
    }
}
