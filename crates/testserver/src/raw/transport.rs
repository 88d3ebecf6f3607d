//! An SSH transport of our own (RFC 4253): bytes in, messages out, and the other way round. It reads no socket and no
//! clock.
//!
//! It is the server's side; its tests have a client's side of it too.

#[cfg(test)]
pub(crate) mod client;
mod emission;
mod exchange;
mod identification;
mod keying;
mod protection;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, fmt};

use bytes::BytesMut;
use russh::keys::PrivateKey;

#[cfg(test)]
use crate::raw::transport::exchange::Curve;
use crate::raw::{
    message,
    transport::{
        exchange::{Way, host_key_algorithms},
        keying::Exchange,
        protection::Protection,
    },
};

#[cfg(test)]
pub(crate) use emission::Faithful;
pub(crate) use emission::{Cover, Emission, Tamper};
pub(crate) use exchange::{Offer, user_signatures};
pub(crate) use protection::{CIPHERS, Flaw, Integrity, MACS};

/// Why a connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    reason: String,
}

/// One SSH connection, as far as its messages.
pub(crate) struct Transport {
    role: Role,
    offer: Offer,
    identification: Vec<u8>,
    their_identification: Option<Vec<u8>>,
    input: BytesMut,
    output: Vec<u8>,
    inbound: Direction,
    outbound: Direction,
    exchange: Option<Exchange>,
    session: Option<[u8; 32]>,
    strict: bool,
    /// What may not be sent during a key exchange.
    held: VecDeque<Vec<u8>>,
    held_bytes: usize,
    events: VecDeque<Event>,
    exchanges: usize,
    rekeys_wanted: usize,
    tamper: Box<dyn Tamper>,
}

/// Which side this is.
enum Role {
    Server(Box<PrivateKey>),
    #[cfg(test)]
    Client(Curve),
}

/// What a transport tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A key exchange has been completed.
    Keyed,
    /// A message that is not the transport's own, and the number of its packet.
    Message { sequence: u32, payload: Vec<u8> },
}

struct Direction {
    protection: Protection,
    sequence: u32,
}

impl Broken {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Broken {}

impl Transport {
    /// The server's side. Its identification and its `KEXINIT` are in the output at once, as RFC 4253 allows.
    pub(crate) fn server(
        identification: &str,
        host_key: PrivateKey,
        offer: Offer,
        tamper: Box<dyn Tamper>,
    ) -> Result<Self, Broken> {
        Self::new(Role::Server(Box::new(host_key)), identification, offer, tamper)
    }

    fn new(role: Role, identification: &str, offer: Offer, tamper: Box<dyn Tamper>) -> Result<Self, Broken> {
        let clear = || Direction { protection: Protection::Clear, sequence: 0 };
        let mut transport = Self {
            role,
            offer,
            identification: identification.as_bytes().to_vec(),
            their_identification: None,
            input: BytesMut::new(),
            output: format!("{identification}\r\n").into_bytes(),
            inbound: clear(),
            outbound: clear(),
            exchange: None,
            session: None,
            strict: false,
            held: VecDeque::new(),
            held_bytes: 0,
            events: VecDeque::new(),
            exchanges: 0,
            rekeys_wanted: 0,
            tamper,
        };
        transport.begin_exchange()?;
        Ok(transport)
    }

    /// Takes in what has been received.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.input.extend_from_slice(bytes);
        if self.their_identification.is_none() && !self.read_identification()? {
            return Ok(());
        }
        while let Some(payload) = self.inbound.protection.open(self.inbound.sequence, &mut self.input)? {
            let sequence = self.inbound.sequence;
            self.inbound.sequence = sequence.wrapping_add(1);
            self.dispatch(sequence, payload)?;
        }
        Ok(())
    }

    /// What has happened next.
    pub(crate) fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What is to be sent; whoever sends takes it off the front.
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Sends a message; during a key exchange it waits for that to end if it has to.
    pub(crate) fn send(&mut self, payload: Vec<u8>) {
        let waits = self.exchange.as_ref().is_some_and(|exchange| exchange.ours.is_some() && !exchange.sent);
        let may_pass = payload.first().is_some_and(|number| may_pass(*number));
        if waits && !may_pass {
            let cost = payload.len().saturating_add(size_of::<Vec<u8>>());
            self.held_bytes = self.held_bytes.saturating_add(cost);
            self.held.push_back(payload);
        } else {
            self.emit(payload);
        }
    }

    /// Begins a new key exchange, now or after the one under way.
    pub(crate) fn rekey(&mut self) -> Result<(), Broken> {
        if self.exchange.is_some() {
            self.rekeys_wanted = self.rekeys_wanted.saturating_add(1);
            return Ok(());
        }
        self.begin_exchange()
    }

    /// The hash that identifies the session, once there is one.
    pub(crate) fn session(&self) -> Option<&[u8; 32]> {
        self.session.as_ref()
    }

    /// The peer's identification line, without its end.
    pub(crate) fn their_identification(&self) -> &[u8] {
        self.their_identification.as_deref().unwrap_or_default()
    }

    /// How many bytes wait for the end of the key exchange, with what it costs to keep them.
    pub(crate) fn held(&self) -> usize {
        self.held_bytes
    }

    /// Whether a key exchange is under way.
    pub(crate) fn is_exchanging(&self) -> bool {
        self.exchange.is_some()
    }

    /// How many key exchanges have been completed.
    pub(crate) fn exchanges(&self) -> usize {
        self.exchanges
    }

    fn dispatch(&mut self, sequence: u32, payload: Vec<u8>) -> Result<(), Broken> {
        let number = payload.first().copied().unwrap_or_default();
        // RFC 4253 section 7: the packet that was guessed, whatever it is.
        if self.exchange.as_ref().is_some_and(|exchange| exchange.ignore_next) {
            self.change(|exchange| exchange.ignore_next = false);
            return Ok(());
        }
        let first = self.exchanges == 0;
        // From the peer's KEXINIT to its NEWKEYS; in the first exchange from the beginning.
        let exchanging = first || self.exchange.as_ref().is_some_and(|exchange| exchange.theirs.is_some());
        match number {
            message::KEXINIT => self.their_init(payload),
            message::NEWKEYS => self.their_new_keys(),
            message::KEX_ECDH_INIT | message::KEX_ECDH_REPLY => self.their_point(&payload),
            // One that says goodbye ends the connection either way, and may be a client that does not know the host.
            _ if self.strict && first && number != message::DISCONNECT => {
                Err(Broken::new(format!("message {number} in a strict key exchange")))
            }
            _ if exchanging && !may_pass(number) => {
                Err(Broken::new(format!("message {number} in a key exchange")))
            }
            _ => {
                self.events.push_back(Event::Message { sequence, payload });
                Ok(())
            }
        }
    }

    fn emit(&mut self, payload: Vec<u8>) {
        for emission in self.tampered(payload) {
            self.seal(&emission);
        }
    }

    fn tampered(&mut self, payload: Vec<u8>) -> Vec<Emission> {
        self.tamper.tamper(payload, self.outbound.protection.cover())
    }

    fn seal(&mut self, emission: &Emission) {
        let Direction { protection, sequence } = &mut self.outbound;
        protection.seal(*sequence, &emission.payload, emission.flaw, &mut self.output);
        *sequence = sequence.wrapping_add(1);
    }

    fn change(&mut self, change: impl FnOnce(&mut Exchange)) {
        if let Some(exchange) = &mut self.exchange {
            change(exchange);
        }
    }
}

impl Role {
    fn inbound(&self) -> Way {
        match self {
            Self::Server(_) => Way::ToServer,
            #[cfg(test)]
            Self::Client(_) => Way::ToClient,
        }
    }

    fn outbound(&self) -> Way {
        match self {
            Self::Server(_) => Way::ToClient,
            #[cfg(test)]
            Self::Client(_) => Way::ToServer,
        }
    }
}

/// The offer of a server with this host key.
pub(crate) fn offer_for(host_key: &PrivateKey) -> Offer {
    Offer::new(host_key_algorithms(host_key))
}

/// What may be sent between our `KEXINIT` and our `NEWKEYS`, RFC 4253 section 7.1.
fn may_pass(number: u8) -> bool {
    matches!(number, 1..=4 | 20..=49)
}
