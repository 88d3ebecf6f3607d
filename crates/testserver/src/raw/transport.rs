//! An SSH transport of our own (RFC 4253): bytes in, messages out, and the other way round. It reads no socket and no
//! clock.
//!
//! It is the server's side; its tests have a client's side of it too.

#[cfg(test)]
pub(crate) mod client;
mod exchange;
mod protection;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, fmt};

use bytes::BytesMut;
use russh::keys::{PrivateKey, signature::Signer};

use crate::raw::{
    message,
    transport::{
        exchange::{Agreed, Curve, Secrets, Transcript, Way, host_key_algorithms, user_signatures},
        protection::Protection,
    },
    wire::{Reader, Writer},
};

pub(crate) use exchange::Offer;
pub(crate) use protection::{CIPHERS, Flaw, Integrity, MACS};

/// As RFC 4253 section 4.2 limits the identification line.
const LONGEST_IDENTIFICATION: usize = 255;

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

/// Decides what becomes of each message on its way out.
pub(crate) trait Tamper: Send + Sync {
    /// What is sent in place of this message.
    fn tamper(&mut self, payload: Vec<u8>) -> Vec<Emission>;
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

struct Direction {
    protection: Protection,
    sequence: u32,
}

/// A key exchange under way.
#[derive(Default)]
struct Exchange {
    ours: Option<Vec<u8>>,
    theirs: Option<Vec<u8>>,
    agreed: Option<Agreed>,
    ignore_next: bool,
    secrets: Option<Secrets>,
    /// Whether our NEWKEYS is out.
    sent: bool,
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
    fn tamper(&mut self, payload: Vec<u8>) -> Vec<Emission> {
        vec![Emission::message(payload)]
    }
}

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

    fn read_identification(&mut self) -> Result<bool, Broken> {
        loop {
            let Some(end) = self.input.iter().position(|byte| *byte == b'\n') else {
                if self.input.len() > LONGEST_IDENTIFICATION {
                    return Err(Broken::new("an identification line without end"));
                }
                return Ok(false);
            };
            if end >= LONGEST_IDENTIFICATION {
                return Err(Broken::new("an identification line that is too long"));
            }
            let line = self.input.split_to(end + 1);
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.starts_with(b"SSH-2.0-") {
                self.their_identification = Some(line.to_vec());
                return Ok(true);
            }
            // A server may say more before it; a client may not, RFC 4253 section 4.2.
            if matches!(self.role, Role::Server(_)) {
                return Err(Broken::new("the peer does not say that it speaks SSH 2.0"));
            }
        }
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

    fn begin_exchange(&mut self) -> Result<(), Broken> {
        let mut cookie = [0; 16];
        exchange::random(&mut cookie)?;
        let init = self.offer.to_message(cookie);
        self.exchange.get_or_insert_default().ours = Some(init.clone());
        self.emit(init);
        Ok(())
    }

    fn their_init(&mut self, payload: Vec<u8>) -> Result<(), Broken> {
        let first = self.session.is_none();
        if self.exchange.as_ref().is_some_and(|exchange| exchange.theirs.is_some()) {
            return Err(Broken::new("a second KEXINIT in one key exchange"));
        }
        if self.exchange.is_none() {
            self.begin_exchange()?;
        }
        let ours = self.exchange.as_ref().and_then(|exchange| exchange.ours.clone()).unwrap_or_default();
        let agreed = match self.role {
            Role::Server(_) => Agreed::between(&payload, &ours)?,
            #[cfg(test)]
            Role::Client(_) => Agreed::between(&ours, &payload)?,
        };
        if first && agreed.strict {
            // OpenSSH's PROTOCOL section 1.10: nothing may come before it.
            if self.inbound.sequence != 1 {
                return Err(Broken::new("the first packet of a strict key exchange is no KEXINIT"));
            }
            self.strict = true;
        }
        self.change(|exchange| {
            exchange.ignore_next = agreed.wrong_guess;
            exchange.agreed = Some(agreed);
            exchange.theirs = Some(payload);
        });
        #[cfg(test)]
        if let Role::Client(curve) = &self.role {
            let point = Writer::message(message::KEX_ECDH_INIT).string(curve.point()).finish();
            self.emit(point);
        }
        Ok(())
    }

    fn their_point(&mut self, payload: &[u8]) -> Result<(), Broken> {
        let Some(exchange) = self.exchange.as_ref().filter(|exchange| exchange.secrets.is_none()) else {
            return Err(Broken::new("a key exchange message outside a key exchange"));
        };
        let (Some(ours), Some(theirs), Some(_)) = (&exchange.ours, &exchange.theirs, &exchange.agreed) else {
            return Err(Broken::new("a key exchange message before KEXINIT"));
        };
        let (secrets, reply) = match &self.role {
            Role::Server(host_key) => self.answer(host_key, payload, ours, theirs)?,
            #[cfg(test)]
            Role::Client(curve) => (self.check(curve, payload, ours, theirs)?, None),
        };
        self.session.get_or_insert(secrets.hash);
        self.change(|exchange| exchange.secrets = Some(secrets));
        if let Some(reply) = reply {
            self.emit(reply);
        }
        self.emit(vec![message::NEWKEYS]);
        self.after_our_new_keys();
        Ok(())
    }

    /// RFC 8731 section 3: our point, and the signature over all that was said.
    fn answer(
        &self,
        host_key: &PrivateKey,
        payload: &[u8],
        ours: &[u8],
        theirs: &[u8],
    ) -> Result<(Secrets, Option<Vec<u8>>), Broken> {
        let mut reader = Reader::new(payload);
        let client_point = match (reader.byte(), reader.string()) {
            (Some(message::KEX_ECDH_INIT), Some(point)) => point,
            _ => return Err(Broken::new("a KEX_ECDH_INIT cannot be read")),
        };
        let curve = Curve::random()?;
        let server_point = curve.point();
        let shared = curve.agree(client_point)?;
        let key = host_key
            .public_key()
            .to_bytes()
            .map_err(|_| Broken::new("the host key cannot be written for the wire"))?;
        let hash = Transcript {
            client_identification: self.their_identification(),
            server_identification: &self.identification,
            client_init: theirs,
            server_init: ours,
            host_key: &key,
            client_point,
            server_point: &server_point,
        }
        .hash(&shared);
        let signature = host_key.try_sign(&hash).map_err(|_| Broken::new("the host key cannot sign"))?;
        let signature =
            Writer::bare().string(signature.algorithm().as_str()).string(signature.as_bytes()).finish();
        let reply = Writer::message(message::KEX_ECDH_REPLY)
            .string(key)
            .string(server_point)
            .string(signature)
            .finish();
        Ok((Secrets { shared, hash }, Some(reply)))
    }

    /// New keys for what is sent have come into use: what had to wait goes out.
    fn after_our_new_keys(&mut self) {
        self.change(|exchange| exchange.sent = true);
        let wants_extensions = self
            .exchange
            .as_ref()
            .and_then(|exchange| exchange.agreed.as_ref())
            .is_some_and(|agreed| agreed.wants_extensions);
        if self.exchanges == 0 && wants_extensions && matches!(self.role, Role::Server(_)) {
            let extensions = Writer::message(message::EXT_INFO)
                .u32(1)
                .string("server-sig-algs")
                .string(user_signatures())
                .finish();
            self.emit(extensions);
        }
        self.held_bytes = 0;
        for payload in std::mem::take(&mut self.held) {
            self.emit(payload);
        }
    }

    fn their_new_keys(&mut self) -> Result<(), Broken> {
        let Some(exchange) = self.exchange.take_if(|exchange| exchange.sent) else {
            return Err(Broken::new("a NEWKEYS without a key exchange"));
        };
        self.inbound.protection = self.new_protection(&exchange, self.role.inbound())?;
        if self.strict {
            self.inbound.sequence = 0;
        }
        self.exchanges += 1;
        self.events.push_back(Event::Keyed);
        if self.rekeys_wanted > 0 {
            self.rekeys_wanted -= 1;
            self.begin_exchange()?;
        }
        Ok(())
    }

    fn new_protection(&self, exchange: &Exchange, way: Way) -> Result<Protection, Broken> {
        exchange
            .agreed
            .as_ref()
            .zip(exchange.secrets.as_ref())
            .zip(self.session.as_ref())
            .and_then(|((agreed, secrets), session)| agreed.protection(way, secrets, session))
            .ok_or_else(|| Broken::new("no keys have been agreed on"))
    }

    fn emit(&mut self, payload: Vec<u8>) {
        let new_keys = payload == [message::NEWKEYS];
        let mut switched = !new_keys;
        for emission in self.tamper.tamper(payload) {
            if !switched && emission.origin == Origin::Added {
                self.seal(&emission);
                continue;
            }
            self.seal(&emission);
            if !switched {
                self.switch();
                switched = true;
            }
        }
        // A NEWKEYS that was never sent counts all the same.
        if !switched {
            self.switch();
        }
    }

    fn seal(&mut self, emission: &Emission) {
        let Direction { protection, sequence } = &mut self.outbound;
        protection.seal(*sequence, &emission.payload, emission.flaw, &mut self.output);
        *sequence = sequence.wrapping_add(1);
    }

    fn switch(&mut self) {
        let Some(exchange) = self.exchange.as_ref() else { return };
        // A NEWKEYS outside an exchange comes from a test; it changes nothing here.
        let Ok(protection) = self.new_protection(exchange, self.role.outbound()) else { return };
        self.outbound.protection = protection;
        if self.strict {
            self.outbound.sequence = 0;
        }
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
