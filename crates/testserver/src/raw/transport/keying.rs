//! A key exchange from one KEXINIT to the other NEWKEYS (RFC 4253 sections 7 and 8, RFC 8731).

use russh::keys::{PrivateKey, signature::Signer};

use crate::raw::{
    message,
    transport::{
        Broken, Event, Role, Transport,
        exchange::{self, Agreed, Curve, Extensions, Secrets, Transcript, Way, user_signatures},
        protection::Protection,
    },
    wire::{Reader, Writer},
};

/// A key exchange under way.
#[derive(Default)]
pub(super) struct Exchange {
    pub(super) ours: Option<Vec<u8>>,
    pub(super) theirs: Option<Vec<u8>>,
    pub(super) agreed: Option<Agreed>,
    pub(super) ignore_next: bool,
    pub(super) secrets: Option<Secrets>,
    /// Whether our NEWKEYS is out.
    pub(super) sent: bool,
}

impl Transport {
    pub(super) fn begin_exchange(&mut self) -> Result<(), Broken> {
        let mut cookie = [0; 16];
        exchange::random(&mut cookie)?;
        let init = self.offer.to_message(cookie);
        self.exchange.get_or_insert_default().ours = Some(init.clone());
        self.emit(init);
        Ok(())
    }

    pub(super) fn their_init(&mut self, payload: Vec<u8>) -> Result<(), Broken> {
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

    pub(super) fn their_point(&mut self, payload: &[u8]) -> Result<(), Broken> {
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
        self.announce_new_keys()?;
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

    /// Sends our NEWKEYS. New keys for what is sent come into use where it is in the stream, and if it is lost on the way
    /// out they do so all the same.
    fn announce_new_keys(&mut self) -> Result<(), Broken> {
        let emissions = self.tampered(vec![message::NEWKEYS]);
        let place = emissions.iter().position(|emission| emission.origin.is_message());
        let (before, after) = emissions.split_at(place.map_or(emissions.len(), |place| place + 1));
        before.iter().for_each(|emission| self.seal(emission));
        if let Some(exchange) = self.exchange.as_ref() {
            self.outbound.protection = self.new_protection(exchange, self.role.outbound())?;
        }
        if self.strict {
            self.outbound.sequence = 0;
        }
        after.iter().for_each(|emission| self.seal(emission));
        Ok(())
    }

    /// New keys for what is sent have come into use: what had to wait goes out.
    fn after_our_new_keys(&mut self) {
        self.change(|exchange| exchange.sent = true);
        let wants_extensions = self
            .exchange
            .as_ref()
            .and_then(|exchange| exchange.agreed.as_ref())
            .is_some_and(|agreed| agreed.wants_extensions);
        let tells = matches!(self.role, Role::Server(_)) && self.offer.extensions == Extensions::Told;
        if self.exchanges == 0 && wants_extensions && tells {
            let extensions = Writer::message(message::EXT_INFO)
                .u32(1)
                .string("server-sig-algs")
                .names(&user_signatures())
                .finish();
            self.emit(extensions);
        }
        self.held_bytes = 0;
        for payload in std::mem::take(&mut self.held) {
            self.emit(payload);
        }
    }

    pub(super) fn their_new_keys(&mut self) -> Result<(), Broken> {
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
}
