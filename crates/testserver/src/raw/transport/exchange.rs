//! The key exchange: what is offered, what is agreed on, and the keys that come of it.

use curve25519_dalek::montgomery::MontgomeryPoint;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey};
use sha2::{Digest, Sha256};

use crate::raw::{
    message,
    transport::{
        Broken,
        protection::{AES_256_GCM, CIPHERS, Keys, MACS, Protection, key_lengths},
    },
    wire::{Reader, Writer},
};

/// RFC 8731, and its name from before that.
const CURVE25519: [&str; 2] = ["curve25519-sha256", "curve25519-sha256@libssh.org"];

/// The strict key exchange of OpenSSH's PROTOCOL section 1.10.
const STRICT_SERVER: &str = "kex-strict-s-v00@openssh.com";
const STRICT_CLIENT: &str = "kex-strict-c-v00@openssh.com";

/// RFC 8308 section 2.1.
const EXT_INFO_CLIENT: &str = "ext-info-c";

/// What one side offers, best first.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) exchange: Vec<String>,
    pub(crate) host_keys: Vec<String>,
    pub(crate) ciphers: Vec<String>,
    pub(crate) macs: Vec<String>,
    pub(crate) extensions: Extensions,
}

/// Whether a server tells a client that asks for them which extensions it has (RFC 8308).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extensions {
    Told,
    Untold,
}

/// As much of a peer's list of names goes into an error, in bytes.
const QUOTED: usize = 200;

/// A `KEXINIT` that has been read.
#[derive(Debug)]
struct Init {
    exchange: Vec<String>,
    host_keys: Vec<String>,
    ciphers: [Vec<String>; 2],
    macs: [Vec<String>; 2],
    guess_follows: bool,
}

/// What both sides settled on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub(crate) host_key: String,
    /// Cipher and MAC from client to server, and from server to client.
    pub(crate) to_server: (String, String),
    pub(crate) to_client: (String, String),
    pub(crate) strict: bool,
    pub(crate) wants_extensions: bool,
    /// The client has sent the first message of another method, which is to be ignored.
    pub(crate) wrong_guess: bool,
}

/// What the keys are made of.
pub(crate) struct Secrets {
    pub(crate) shared: [u8; 32],
    pub(crate) hash: [u8; 32],
}

/// Everything that is hashed into the exchange hash, RFC 8731 section 3.1.
pub(crate) struct Transcript<'a> {
    pub(crate) client_identification: &'a [u8],
    pub(crate) server_identification: &'a [u8],
    pub(crate) client_init: &'a [u8],
    pub(crate) server_init: &'a [u8],
    pub(crate) host_key: &'a [u8],
    pub(crate) client_point: &'a [u8],
    pub(crate) server_point: &'a [u8],
}

/// One side of a Diffie-Hellman exchange over curve25519.
pub(crate) struct Curve {
    scalar: [u8; 32],
}

/// Which way packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

impl Offer {
    /// All there is, with these host key algorithms.
    pub(crate) fn new(host_keys: Vec<String>) -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut exchange: Vec<String> = owned(&CURVE25519);
        exchange.push(STRICT_SERVER.to_owned());
        let (ciphers, macs) = (owned(&CIPHERS), owned(&MACS));
        Self { exchange, host_keys, ciphers, macs, extensions: Extensions::Told }
    }

    /// The names of the key exchange methods there are.
    pub(crate) fn methods() -> &'static [&'static str] {
        &CURVE25519
    }

    /// Only these methods; the signal for the strict key exchange stays.
    pub(crate) fn set_methods(&mut self, names: &[String]) {
        self.exchange = names.iter().cloned().chain([STRICT_SERVER.to_owned()]).collect();
    }

    pub(crate) fn without_strict(mut self) -> Self {
        self.exchange.retain(|name| name != STRICT_SERVER);
        self
    }

    pub(crate) fn without_extensions(self) -> Self {
        Self { extensions: Extensions::Untold, ..self }
    }

    /// The same as a client offers it.
    #[cfg(test)]
    pub(crate) fn for_client(mut self) -> Self {
        for name in &mut self.exchange {
            if name == STRICT_SERVER {
                STRICT_CLIENT.clone_into(name);
            }
        }
        self.exchange.push(EXT_INFO_CLIENT.to_owned());
        self
    }

    /// RFC 4253 section 7.1.
    pub(crate) fn to_message(&self, cookie: [u8; 16]) -> Vec<u8> {
        let none = ["none".to_owned()];
        Writer::message(message::KEXINIT)
            .raw(&cookie)
            .names(&self.exchange)
            .names(&self.host_keys)
            .names(&self.ciphers)
            .names(&self.ciphers)
            .names(&self.macs)
            .names(&self.macs)
            .names(&none)
            .names(&none)
            .string("")
            .string("")
            .boolean(false)
            .u32(0)
            .finish()
    }
}

impl Init {
    fn read(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        // The number and the cookie.
        reader.take(17)?;
        Some(Self {
            exchange: reader.names()?,
            host_keys: reader.names()?,
            ciphers: [reader.names()?, reader.names()?],
            macs: [reader.names()?, reader.names()?],
            guess_follows: {
                for _ in 0..4 {
                    reader.string()?;
                }
                reader.boolean()?
            },
        })
    }
}

impl Agreed {
    /// What these two `KEXINIT`s agree on.
    pub(crate) fn between(client: &[u8], server: &[u8]) -> Result<Self, Broken> {
        let malformed = || Broken::new("a KEXINIT cannot be read");
        let client = Init::read(client).ok_or_else(malformed)?;
        let server = Init::read(server).ok_or_else(malformed)?;
        common("key exchange method", &client.exchange, &server.exchange)?;
        let host_key = common("host key algorithm", &client.host_keys, &server.host_keys)?;
        let one_way = |[client_ciphers, client_macs]: [&[String]; 2],
                       [server_ciphers, server_macs]: [&[String]; 2]| {
            let cipher = common("cipher", client_ciphers, server_ciphers)?;
            let mac = match cipher.as_str() {
                AES_256_GCM => String::new(),
                _ => common("MAC", client_macs, server_macs)?,
            };
            Ok((cipher, mac))
        };
        let has = |names: &[String], name: &str| names.iter().any(|known| known == name);
        let guessed = |init: &Init| (init.exchange.first().cloned(), init.host_keys.first().cloned());
        let [client_up, client_down] = &client.ciphers;
        let [server_up, server_down] = &server.ciphers;
        let [client_up_mac, client_down_mac] = &client.macs;
        let [server_up_mac, server_down_mac] = &server.macs;
        Ok(Self {
            to_server: one_way([client_up, client_up_mac], [server_up, server_up_mac])?,
            to_client: one_way([client_down, client_down_mac], [server_down, server_down_mac])?,
            strict: has(&client.exchange, STRICT_CLIENT) && has(&server.exchange, STRICT_SERVER),
            wants_extensions: has(&client.exchange, EXT_INFO_CLIENT),
            wrong_guess: client.guess_follows && guessed(&client) != guessed(&server),
            host_key,
        })
    }

    /// The protection of one direction, RFC 4253 section 7.2.
    pub(crate) fn protection(&self, way: Way, secrets: &Secrets, session: &[u8; 32]) -> Option<Protection> {
        let ((cipher, mac), [iv, key, integrity]) = match way {
            Way::ToServer => (&self.to_server, [b'A', b'C', b'E']),
            Way::ToClient => (&self.to_client, [b'B', b'D', b'F']),
        };
        let (iv_length, key_length, mac_length) = key_lengths(cipher);
        let keys = Keys {
            iv: secrets.derive(iv, session, iv_length),
            cipher: secrets.derive(key, session, key_length),
            mac: secrets.derive(integrity, session, mac_length),
        };
        Protection::new(cipher, mac, &keys)
    }
}

impl Secrets {
    /// One digest is as long as the longest key here.
    fn derive(&self, letter: u8, session: &[u8; 32], length: usize) -> Vec<u8> {
        let digest = Sha256::new()
            .chain_update(Writer::bare().mpint(&self.shared).finish())
            .chain_update(self.hash)
            .chain_update([letter])
            .chain_update(session)
            .finalize();
        digest.iter().copied().take(length).collect()
    }
}

impl Transcript<'_> {
    pub(crate) fn hash(&self, shared: &[u8; 32]) -> [u8; 32] {
        let text = Writer::bare()
            .string(self.client_identification)
            .string(self.server_identification)
            .string(self.client_init)
            .string(self.server_init)
            .string(self.host_key)
            .string(self.client_point)
            .string(self.server_point)
            .mpint(shared)
            .finish();
        Sha256::digest(text).into()
    }
}

impl Curve {
    pub(crate) fn random() -> Result<Self, Broken> {
        let mut scalar = [0; 32];
        random(&mut scalar)?;
        Ok(Self { scalar })
    }

    pub(crate) fn point(&self) -> [u8; 32] {
        MontgomeryPoint::mul_base_clamped(self.scalar).to_bytes()
    }

    /// The shared secret; RFC 8731 section 3 has a secret of all zeros refused.
    pub(crate) fn agree(&self, theirs: &[u8]) -> Result<[u8; 32], Broken> {
        let theirs = theirs.try_into().map_err(|_| Broken::new("a curve25519 point of a wrong length"))?;
        let shared = MontgomeryPoint(theirs).mul_clamped(self.scalar).to_bytes();
        if shared == [0; 32] {
            return Err(Broken::new("a curve25519 point of a small order"));
        }
        Ok(shared)
    }
}

/// The signature algorithms this key can be used with, best first. An RSA key signs with SHA-512, as its signer does.
pub(crate) fn host_key_algorithms(key: &PrivateKey) -> Vec<String> {
    match key.algorithm() {
        Algorithm::Rsa { .. } => vec![Algorithm::Rsa { hash: Some(HashAlg::Sha512) }.to_string()],
        other => vec![other.to_string()],
    }
}

/// The signature algorithms a server says it takes from users, RFC 8308 section 3.1.
pub(crate) fn user_signatures() -> Vec<String> {
    let ecdsa = [EcdsaCurve::NistP256, EcdsaCurve::NistP384, EcdsaCurve::NistP521];
    let mut names = vec![Algorithm::Ed25519.to_string()];
    names.extend(ecdsa.map(|curve| Algorithm::Ecdsa { curve }.to_string()));
    names.extend(
        [HashAlg::Sha512, HashAlg::Sha256].map(|hash| Algorithm::Rsa { hash: Some(hash) }.to_string()),
    );
    names
}

pub(crate) fn random(bytes: &mut [u8]) -> Result<(), Broken> {
    getrandom::fill(bytes).map_err(|error| Broken::new(format!("no random bytes to be had: {error}")))
}

/// The client's first choice that the server has too, RFC 4253 section 7.1.
fn common(what: &str, client: &[String], server: &[String]) -> Result<String, Broken> {
    let signal = [STRICT_CLIENT, STRICT_SERVER, EXT_INFO_CLIENT];
    client
        .iter()
        .find(|name| !signal.contains(&name.as_str()) && server.contains(name))
        .cloned()
        .ok_or_else(|| Broken::new(format!("no common {what}: the client has {}", quoted(client))))
}

/// These names as an error tells them: not all 256 KiB that a packet has room for.
fn quoted(names: &[String]) -> String {
    let mut text = names.join(",");
    if text.len() > QUOTED {
        text.truncate(text.floor_char_boundary(QUOTED));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer() -> Offer {
        Offer::new(vec!["ssh-ed25519".to_owned()])
    }

    #[test]
    fn the_clients_order_decides_and_signals_are_no_algorithms() {
        let mut client = offer().for_client();
        client.exchange.reverse();
        client.ciphers.reverse();
        let agreed = Agreed::between(&client.to_message([1; 16]), &offer().to_message([2; 16])).unwrap();
        assert_eq!(agreed.to_server, ("aes128-ctr".to_owned(), MACS[0].to_owned()));
        assert!(agreed.strict && agreed.wants_extensions && !agreed.wrong_guess);
        let lax = offer().without_strict().to_message([2; 16]);
        assert!(!Agreed::between(&client.to_message([1; 16]), &lax).unwrap().strict);
    }

    #[test]
    fn nothing_in_common_is_named() {
        let mut client = offer().for_client();
        client.ciphers = vec!["rot13".to_owned()];
        let error = Agreed::between(&client.to_message([0; 16]), &offer().to_message([0; 16])).unwrap_err();
        assert!(error.to_string().contains("no common cipher: the client has rot13"), "{error}");
        // However much a client has, an error stays one that can be read; and a cut within a character is none.
        client.ciphers = vec!["rot13".to_owned(), "é".repeat(100_000)];
        let error = Agreed::between(&client.to_message([0; 16]), &offer().to_message([0; 16])).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("the client has rot13,éé") && error.ends_with("é…"), "{error}");
        assert!(error.len() < 300, "{}", error.len());
    }

    #[test]
    fn an_init_cut_anywhere_is_refused() {
        let server = offer().to_message([0; 16]);
        let client = offer().for_client().to_message([0; 16]);
        for cut in 0..client.len() - 4 {
            assert!(Agreed::between(&client[..cut], &server).is_err(), "{cut}");
        }
    }

    #[test]
    fn both_sides_of_the_curve_agree_and_a_null_point_is_refused() {
        let (near, far) = (Curve::random().unwrap(), Curve::random().unwrap());
        assert_eq!(near.agree(&far.point()).unwrap(), far.agree(&near.point()).unwrap());
        assert!(near.agree(&[0; 32]).is_err());
        assert!(near.agree(&[9; 31]).is_err());
    }
}
