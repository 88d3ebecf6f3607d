//! The client's side of the transport, and a small client on it that sees every byte: for tests alone.

use russh::keys::{PublicKey, signature::Verifier, ssh_key::Signature};

use crate::raw::{
    message,
    transport::{
        Broken, Faithful, Offer, Role, Transport,
        exchange::{Curve, Secrets, Transcript},
    },
    wire::Reader,
};

impl Transport {
    pub(crate) fn client(offer: Offer) -> Self {
        let role = Role::Client(Curve::random().unwrap());
        Self::new(role, "SSH-2.0-Probe", offer.for_client(), Box::new(Faithful)).unwrap()
    }

    /// Sends this whether or not it may be sent now.
    pub(crate) fn emit_now(&mut self, payload: Vec<u8>) {
        self.emit(payload);
    }

    /// The client's half of what [`answer`](Self::answer) does.
    pub(super) fn check(
        &self,
        curve: &Curve,
        payload: &[u8],
        ours: &[u8],
        theirs: &[u8],
    ) -> Result<Secrets, Broken> {
        let malformed = || Broken::new("a KEX_ECDH_REPLY cannot be read");
        let mut reader = Reader::new(payload);
        if reader.byte() != Some(message::KEX_ECDH_REPLY) {
            return Err(malformed());
        }
        let host_key = reader.string().ok_or_else(malformed)?;
        let server_point = reader.string().ok_or_else(malformed)?;
        let signature = reader.string().ok_or_else(malformed)?;
        let shared = curve.agree(server_point)?;
        let hash = Transcript {
            client_identification: &self.identification,
            server_identification: self.their_identification(),
            client_init: ours,
            server_init: theirs,
            host_key,
            client_point: &curve.point(),
            server_point,
        }
        .hash(&shared);
        let key = PublicKey::from_bytes(host_key).map_err(|_| malformed())?;
        let signature = Signature::try_from(signature).map_err(|_| malformed())?;
        key.key_data().verify(&hash, &signature).map_err(|_| Broken::new("the host's signature is wrong"))?;
        Ok(Secrets { shared, hash })
    }
}
