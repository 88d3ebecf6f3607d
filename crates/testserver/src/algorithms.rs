//! Which algorithms the server offers: all that the base has, or fewer, as an old server would.

use std::borrow::Cow;

use russh::{Preferred, cipher, compression, kex, keys::Algorithm, mac};

use crate::{
    error::{Error, ErrorKind},
    raw::{CIPHERS, MACS, Offer},
};

/// A restriction of the server's algorithms. What is not named stays as it is.
///
/// ```
/// use rustle_testserver::Algorithms;
///
/// let old = Algorithms::new()
///     .key_exchange(["diffie-hellman-group14-sha256"])
///     .ciphers(["aes128-ctr"])
///     .macs(["hmac-sha2-256"])
///     .host_keys(["rsa-sha2-256"])
///     .without_strict_kex();
/// ```
#[derive(Debug, Clone, Default)]
pub struct Algorithms {
    key_exchange: Option<Vec<String>>,
    ciphers: Option<Vec<String>>,
    macs: Option<Vec<String>>,
    host_keys: Option<Vec<String>>,
    strict_kex: Strict,
    extensions: ExtInfo,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Strict {
    #[default]
    Offered,
    Hidden,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum ExtInfo {
    #[default]
    Sent,
    Unsent,
}

impl Algorithms {
    /// No restriction yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// As a server of about 2014: ciphers in counter mode with plain HMACs, no AEAD and no encrypt-then-MAC, and no strict
    /// key exchange.
    ///
    /// ```
    /// use rustle_testserver::{Algorithms, TestServer};
    ///
    /// let builder = TestServer::builder().algorithms(Algorithms::old_ctr_hmac());
    /// ```
    #[must_use]
    pub fn old_ctr_hmac() -> Self {
        Self::new()
            .key_exchange([
                "curve25519-sha256@libssh.org",
                "diffie-hellman-group-exchange-sha256",
                "diffie-hellman-group14-sha1",
            ])
            .ciphers(["aes128-ctr", "aes192-ctr", "aes256-ctr"])
            .macs(["hmac-sha2-256", "hmac-sha2-512", "hmac-sha1"])
            .without_strict_kex()
    }

    /// As an appliance that knows no elliptic curves: key exchange by group 14 only, with SHA-256 or SHA-1.
    ///
    /// ```
    /// use rustle_testserver::{Algorithms, TestServer};
    ///
    /// let builder = TestServer::builder().algorithms(Algorithms::group14_only().without_strict_kex());
    /// ```
    #[must_use]
    pub fn group14_only() -> Self {
        Self::new().key_exchange(["diffie-hellman-group14-sha256", "diffie-hellman-group14-sha1"])
    }

    /// Host keys by RSA with SHA-2 only, neither SHA-1 nor anything newer. Needs a host key of
    /// [that sort](crate::HostKeyKind::Rsa).
    ///
    /// ```
    /// use rustle_testserver::{Algorithms, HostKeyKind, TestServer};
    ///
    /// let builder = TestServer::builder().host_key(HostKeyKind::Rsa).algorithms(Algorithms::rsa_sha2_only());
    /// ```
    #[must_use]
    pub fn rsa_sha2_only() -> Self {
        Self::new().host_keys(["rsa-sha2-512", "rsa-sha2-256"])
    }

    /// Only these key exchange methods, in this order.
    #[must_use]
    pub fn key_exchange<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.key_exchange = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Only these ciphers, in this order.
    #[must_use]
    pub fn ciphers<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.ciphers = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Only these MACs, in this order.
    #[must_use]
    pub fn macs<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.macs = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Only these host key algorithms, in this order. The base also tells the client that these are the signature
    /// algorithms it takes from users (`server-sig-algs`, RFC 8308).
    #[must_use]
    pub fn host_keys<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.host_keys = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Leaves out the strict key exchange (`kex-strict-s-v00@openssh.com`), as servers before 2024 do.
    #[must_use]
    pub fn without_strict_kex(mut self) -> Self {
        self.strict_kex = Strict::Hidden;
        self
    }

    /// Sends no `SSH_MSG_EXT_INFO` (RFC 8308), as servers before OpenSSH 7.2 do: a client that asks for it waits in vain to
    /// be told which signatures the server takes (`server-sig-algs`), and has to find out whether its RSA key may sign
    /// with SHA-2. The server takes what it takes otherwise: SHA-2 for RSA keys, and never SHA-1, to which OpenSSH's `ssh`
    /// falls back where it is told nothing and allowed to.
    ///
    /// Only the [raw peer](crate::RawPeer) can leave it out. The base of the other personality sends it to every client
    /// that asks, so that [`Builder::start`](crate::Builder::start) refuses this there.
    ///
    /// ```
    /// use rustle_testserver::{Algorithms, RawPeer, TestServer};
    ///
    /// let builder = TestServer::builder()
    ///     .raw_peer(RawPeer::new())
    ///     .algorithms(Algorithms::new().without_ext_info().without_strict_kex());
    /// ```
    #[must_use]
    pub fn without_ext_info(mut self) -> Self {
        self.extensions = ExtInfo::Unsent;
        self
    }

    pub(crate) fn to_preferred(&self) -> Result<Preferred, Error> {
        if self.extensions == ExtInfo::Unsent {
            let message = "only the raw peer can do this: Algorithms::without_ext_info(); give the builder \
                           raw_peer(RawPeer::new())";
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        let mut preferred =
            Preferred { compression: Cow::Borrowed(&[compression::NONE]), ..Preferred::default() };
        let strict = kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER;
        if let Some(names) = &self.key_exchange {
            let mut methods: Vec<kex::Name> = names
                .iter()
                .map(|name| known("key exchange method", name, |name| kex::Name::try_from(name).ok()))
                .collect::<Result<_, _>>()?;
            methods.push(strict);
            preferred.kex = Cow::Owned(methods);
        }
        if self.strict_kex == Strict::Hidden {
            preferred.kex = preferred.kex.iter().filter(|name| **name != strict).copied().collect();
        }
        if let Some(names) = &self.ciphers {
            preferred.cipher = names
                .iter()
                .map(|name| known("cipher", name, |name| cipher::Name::try_from(name).ok()))
                .collect::<Result<_, _>>()?;
        }
        if let Some(names) = &self.macs {
            preferred.mac = names
                .iter()
                .map(|name| known("MAC", name, |name| mac::Name::try_from(name).ok()))
                .collect::<Result<_, _>>()?;
        }
        if let Some(names) = &self.host_keys {
            preferred.key = names
                .iter()
                .map(|name| known("host key algorithm", name, |name| name.parse::<Algorithm>().ok()))
                .collect::<Result<_, _>>()?;
        }
        Ok(preferred)
    }
}

/// What the raw peer offers fewer of; nothing is all.
#[derive(Debug, Clone, Default)]
pub(crate) struct RawOffer {
    restriction: Algorithms,
}

impl RawOffer {
    pub(crate) fn apply(&self, mut offer: Offer) -> Offer {
        if let Some(names) = &self.restriction.key_exchange {
            offer.set_methods(names);
        }
        if let Some(names) = &self.restriction.ciphers {
            offer.ciphers.clone_from(names);
        }
        if let Some(names) = &self.restriction.macs {
            offer.macs.clone_from(names);
        }
        if self.restriction.extensions == ExtInfo::Unsent {
            offer = offer.without_extensions();
        }
        match self.restriction.strict_kex {
            Strict::Offered => offer,
            Strict::Hidden => offer.without_strict(),
        }
    }
}

impl Algorithms {
    /// The same for the raw peer, which has few.
    pub(crate) fn to_raw_offer(&self) -> Result<RawOffer, Error> {
        let lists = [
            ("key exchange method", &self.key_exchange, Offer::methods()),
            ("cipher", &self.ciphers, &CIPHERS),
            ("MAC", &self.macs, &MACS),
        ];
        for (what, names, has) in lists {
            let unknown = names.iter().flatten().find(|name| !has.contains(&name.as_str()));
            if let Some(name) = unknown {
                let message = format!("the raw peer has no {what} named {name:?}; it has {}", has.join(", "));
                return Err(Error::new(ErrorKind::Configuration, message));
            }
        }
        if self.host_keys.is_some() {
            let message =
                "the raw peer offers the algorithm of its first host key alone; choose it by host_key()";
            return Err(Error::new(ErrorKind::Configuration, message));
        }
        Ok(RawOffer { restriction: self.clone() })
    }
}

fn known<T>(what: &str, name: &str, look_up: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
    look_up(name).ok_or_else(|| {
        Error::new(ErrorKind::Configuration, format!("the base of this server has no {what} named {name:?}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_name_is_refused_by_name() {
        let error = Algorithms::new().ciphers(["rot13"]).to_preferred().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("rot13"));
    }

    #[test]
    fn strict_kex_stays_with_a_restriction_unless_hidden() {
        let strict = kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER;
        let offered = Algorithms::new().key_exchange(["curve25519-sha256"]);
        assert!(offered.to_preferred().unwrap().kex.contains(&strict));
        assert!(!offered.without_strict_kex().to_preferred().unwrap().kex.contains(&strict));
        assert!(!Algorithms::new().without_strict_kex().to_preferred().unwrap().kex.contains(&strict));
    }
}
