//! Which algorithms to offer, in which order, and what two sides agreed on.
//!
//! The lists are names as the protocol spells them, changed by OpenSSH's list syntax; no type of the base
//! shows here. Strict key exchange and `ext-info-c` are always offered and are not part of the lists: they
//! are announcements, not choices (OpenSSH PROTOCOL §1.10; RFC 8308 §2.1).

mod compression;
mod names;

use std::fmt;
use std::sync::{Arc, LazyLock};

use names::Family;

use crate::error::{Error, ErrorKind, Result};

pub use compression::Compression;
pub(crate) use names::{Family as AlgorithmFamily, is_certificate, plain_name};

/// The algorithms to offer a server, each list most preferred first.
///
/// The default offers what is held to be sound today: post-quantum hybrid key exchange first, AES-GCM first
/// where the processor has AES (about ten times cheaper per byte there than ChaCha20-Poly1305, which comes
/// first elsewhere), encrypt-then-MAC before plain MACs. SHA-1, CBC and `ssh-rsa` are offered only when asked
/// for by name. Both directions use the same lists, and nothing is
/// compressed.
///
/// Each `with_…` method takes a list as OpenSSH's configuration does (ssh_config(5), `Ciphers`): `a,b`
/// replaces, `+a,b` appends, `-a,b` removes, `^a,b` moves to the front; `*` and `?` match as in file names.
/// What `+`, `-` and `^` change is the list as it stands.
///
/// ```
/// use rustle_session::Algorithms;
///
/// let algorithms = Algorithms::default()
///     .with_kex("+diffie-hellman-group14-sha1")?
///     .with_ciphers("^chacha20-poly1305@openssh.com")?
///     .with_macs("-*sha2-512*")?;
/// assert_eq!(algorithms.kex().last(), Some(&"diffie-hellman-group14-sha1"));
/// assert_eq!(algorithms.ciphers()[0], "chacha20-poly1305@openssh.com");
/// # Ok::<(), rustle_session::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Algorithms {
    // Shared by clones: thousands of hosts have the same.
    kex: Arc<[&'static str]>,
    host_keys: Arc<[&'static str]>,
    ciphers: Arc<[&'static str]>,
    macs: Arc<[&'static str]>,
    compression: Compression,
    host_key_order: HostKeyOrder,
    left_out: Vec<String>,
}

impl Default for Algorithms {
    fn default() -> Self {
        static DEFAULT: LazyLock<Algorithms> =
            LazyLock::new(|| Algorithms::for_processor(Processor::detect()));
        DEFAULT.clone()
    }
}

impl Algorithms {
    fn for_processor(processor: Processor) -> Self {
        Self {
            kex: Family::Kex.defaults().into(),
            host_keys: Family::HostKey.defaults().into(),
            ciphers: match processor {
                Processor::WithAes => Family::Cipher.defaults().into(),
                Processor::WithoutAes => {
                    let mut ciphers = Family::Cipher.defaults();
                    // A stable sort: only ChaCha20-Poly1305 moves.
                    ciphers.sort_by_key(|&name| name != names::CHACHA20_POLY1305);
                    ciphers.into()
                }
            },
            macs: Family::Mac.defaults().into(),
            compression: Compression::Off,
            host_key_order: HostKeyOrder::ByWhatIsKnown,
            left_out: Vec::new(),
        }
    }

    /// Changes the key exchange methods (`KexAlgorithms`).
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for a name that nobody knows, or when nothing is left to offer.
    pub fn with_kex(mut self, list: &str) -> Result<Self> {
        self.kex = self.changed(Family::Kex, list)?.into();
        Ok(self)
    }

    /// Changes the host key algorithms (`HostKeyAlgorithms`), certificates included.
    ///
    /// Unless the list was replaced, or its front was set with `^`, each host is asked first for the key
    /// types on record for it, and for certificates only where the trust store names an authority.
    /// Certificate algorithms are offered ahead of plain ones whatever their place in the list.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for a name that nobody knows, or when nothing is left to offer.
    pub fn with_host_keys(mut self, list: &str) -> Result<Self> {
        self.host_keys = self.changed(Family::HostKey, list)?.into();
        if matches!(Change::split(list.trim()).0, Change::Replace | Change::Prepend) {
            self.host_key_order = HostKeyOrder::AsGiven;
        }
        Ok(self)
    }

    /// Changes the ciphers (`Ciphers`).
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for a name that nobody knows, or when nothing is left to offer.
    pub fn with_ciphers(mut self, list: &str) -> Result<Self> {
        self.ciphers = self.changed(Family::Cipher, list)?.into();
        Ok(self)
    }

    /// Changes the message authentication codes (`MACs`), used with the ciphers that need one.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for a name that nobody knows, or when nothing is left to offer.
    pub fn with_macs(mut self, list: &str) -> Result<Self> {
        self.macs = self.changed(Family::Mac, list)?.into();
        Ok(self)
    }

    /// The key exchange methods, most preferred first.
    #[must_use]
    pub fn kex(&self) -> &[&'static str] {
        &self.kex
    }

    /// The host key algorithms, most preferred first.
    #[must_use]
    pub fn host_keys(&self) -> &[&'static str] {
        &self.host_keys
    }

    /// The ciphers, most preferred first.
    #[must_use]
    pub fn ciphers(&self) -> &[&'static str] {
        &self.ciphers
    }

    /// The message authentication codes, most preferred first.
    #[must_use]
    pub fn macs(&self) -> &[&'static str] {
        &self.macs
    }

    /// Whether data is compressed where the server can (`Compression`).
    #[must_use]
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// The compression methods, most preferred first.
    #[must_use]
    pub fn compression(&self) -> &[&'static str] {
        self.compression.methods()
    }

    /// Names that were asked for, that OpenSSH has and this library has not: they are not offered.
    ///
    /// A configuration file written for `ssh` may list them beside others; leaving them out offers less,
    /// never something else.
    #[must_use]
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// The same algorithms with the host key list arranged by what is on record for one host: `provable` are
    /// the algorithms whose keys, or whose certificates' authorities, the trust store can judge.
    ///
    /// As OpenSSH does: those come first, so that a server with several keys shows one that can be checked.
    /// An order that a person set stays.
    pub(crate) fn arranged_for(mut self, provable: &[String]) -> Self {
        if self.host_key_order == HostKeyOrder::AsGiven {
            return self;
        }
        // A certificate that no known authority signed says no more than its plain key, and the base offers
        // every certificate ahead of every plain key: with none to check against, a server would show the
        // certificate of a key type that is not on record. They stay when there is nothing else to offer.
        let has_authority = provable.iter().any(|name| is_certificate(name));
        let mut host_keys = self.host_keys.to_vec();
        if !has_authority && host_keys.iter().any(|name| !is_certificate(name)) {
            host_keys.retain(|name| !is_certificate(name));
        }
        // A stable sort: both halves keep their order.
        host_keys.sort_by_key(|&name| !provable.iter().any(|known| known == name));
        self.host_keys = host_keys.into();
        self
    }

    fn list(&self, family: Family) -> &[&'static str] {
        match family {
            Family::Kex => &self.kex,
            Family::HostKey => &self.host_keys,
            Family::Cipher => &self.ciphers,
            Family::Mac => &self.macs,
        }
    }

    fn changed(&mut self, family: Family, text: &str) -> Result<Vec<&'static str>> {
        let (change, patterns) = Change::split(text.trim());
        let current = self.list(family).to_vec();
        let mut chosen = Vec::new();
        for pattern in patterns.split(',').map(str::trim) {
            if pattern.is_empty() {
                return Err(unusable(
                    family,
                    &format!("the list `{}` has an empty name in it", text.escape_debug()),
                ));
            }
            let matched = family.matching(pattern);
            if matched.is_empty() {
                if family.is_foreign(pattern) {
                    if change != Change::Remove && !self.left_out.iter().any(|name| name == pattern) {
                        self.left_out.push(pattern.to_owned());
                    }
                // ssh, too, lets a removal name what it does not have: `-umac-*` has to work everywhere.
                } else if change != Change::Remove || !pattern.contains(['*', '?']) {
                    return Err(unusable(family, &format!("`{}` is no known name", pattern.escape_debug())));
                }
            }
            for name in matched {
                if !chosen.contains(&name) {
                    chosen.push(name);
                }
            }
        }
        let kept = current.iter().copied().filter(|name| !chosen.contains(name));
        let list: Vec<_> = match change {
            Change::Replace => chosen,
            Change::Remove => kept.collect(),
            Change::Prepend => chosen.iter().copied().chain(kept).collect(),
            Change::Append => {
                let added = chosen.iter().copied().filter(|name| !current.contains(name));
                current.iter().copied().chain(added).collect()
            }
        };
        if list.is_empty() {
            return Err(unusable(
                family,
                &format!("the list `{}` leaves nothing to offer", text.escape_debug()),
            ));
        }
        Ok(list)
    }
}

/// What one connection agreed on.
///
/// Shown by `test-connection` and in listings; the names are the protocol's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    pub(crate) kex: String,
    pub(crate) host_key: String,
    pub(crate) cipher: String,
    pub(crate) mac: Option<String>,
    pub(crate) compression: String,
    pub(crate) strict_kex: bool,
}

impl Negotiated {
    /// The key exchange method.
    #[must_use]
    pub fn kex(&self) -> &str {
        &self.kex
    }

    /// The host key algorithm; a certificate's own name where the server showed one.
    #[must_use]
    pub fn host_key(&self) -> &str {
        &self.host_key
    }

    /// The cipher, the same in both directions.
    #[must_use]
    pub fn cipher(&self) -> &str {
        &self.cipher
    }

    /// The message authentication code, or `None` where the cipher authenticates by itself.
    #[must_use]
    pub fn mac(&self) -> Option<&str> {
        self.mac.as_deref()
    }

    /// The compression method: `none`, or `zlib@openssh.com`.
    #[must_use]
    pub fn compression(&self) -> &str {
        &self.compression
    }

    /// Whether both sides hold to strict key exchange (the answer to the Terrapin attack, CVE-2023-48795).
    #[must_use]
    pub fn strict_kex(&self) -> bool {
        self.strict_kex
    }
}

impl fmt::Display for Negotiated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.kex, self.host_key, self.cipher)?;
        match &self.mac {
            Some(mac) => write!(f, ", {mac}"),
            None => Ok(()),
        }
    }
}

/// Who decides in which order host key algorithms are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HostKeyOrder {
    ByWhatIsKnown,
    AsGiven,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Replace,
    Append,
    Remove,
    Prepend,
}

impl Change {
    fn split(text: &str) -> (Self, &str) {
        let changes = [('+', Self::Append), ('-', Self::Remove), ('^', Self::Prepend)];
        changes
            .into_iter()
            .find_map(|(sign, change)| Some((change, text.strip_prefix(sign)?)))
            .unwrap_or((Self::Replace, text))
    }
}

/// What decides whether AES-GCM or ChaCha20-Poly1305 is the cheaper cipher.
#[derive(Clone, Copy)]
enum Processor {
    WithAes,
    WithoutAes,
}

impl Processor {
    fn detect() -> Self {
        // GHASH needs the carry-less multiplication; Arm's `aes` feature means both there.
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        let aes =
            std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
        #[cfg(target_arch = "aarch64")]
        let aes = std::arch::is_aarch64_feature_detected!("aes");
        // Elsewhere the standard library cannot tell; ChaCha20 is never slow, AES in software is.
        #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
        let aes = false;
        if aes { Self::WithAes } else { Self::WithoutAes }
    }
}

fn unusable(family: Family, message: &str) -> Error {
    Error::new(ErrorKind::Configuration, "choose algorithms", format!("{}: {message}", family.option()))
        .with_hint(format!("the names supported are {}", family.supported().join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ciphers(list: &str) -> Result<Vec<&'static str>> {
        Algorithms::for_processor(Processor::WithAes)
            .with_ciphers(list)
            .map(|algorithms| algorithms.ciphers.to_vec())
    }

    #[test]
    fn the_processor_decides_which_cipher_leads_and_nothing_else() {
        let with = Algorithms::for_processor(Processor::WithAes);
        let without = Algorithms::for_processor(Processor::WithoutAes);
        assert_eq!(with.ciphers()[..2], ["aes256-gcm@openssh.com", "aes128-gcm@openssh.com"]);
        assert_eq!(without.ciphers()[..2], ["chacha20-poly1305@openssh.com", "aes256-gcm@openssh.com"]);
        assert_eq!(with.ciphers().len(), without.ciphers().len());
        assert_eq!((with.kex(), with.macs()), (without.kex(), without.macs()));
    }

    #[test]
    fn the_default_leads_with_the_hybrid_and_holds_nothing_weak() {
        let algorithms = Algorithms::default();
        assert_eq!(algorithms.kex()[0], "mlkem768x25519-sha256");
        assert_eq!(algorithms.macs()[0], "hmac-sha2-256-etm@openssh.com");
        assert_eq!(algorithms.host_keys()[0], "ssh-ed25519-cert-v01@openssh.com");
        let all =
            [algorithms.kex(), algorithms.host_keys(), algorithms.ciphers(), algorithms.macs()].concat();
        for name in all {
            assert!(!name.ends_with("sha1") && !name.contains("sha1-") && !name.contains("cbc"), "{name}");
            assert!(!name.starts_with("ssh-rsa"), "{name}");
        }
    }

    #[test]
    fn each_sign_changes_the_list_as_ssh_does() {
        assert_eq!(ciphers("aes128-ctr,aes256-ctr").unwrap(), ["aes128-ctr", "aes256-ctr"]);
        assert_eq!(ciphers("aes128-ctr,aes128-ctr").unwrap(), ["aes128-ctr"]);
        assert_eq!(ciphers("+aes128-cbc,aes128-ctr").unwrap().last(), Some(&"aes128-cbc"));
        assert_eq!(ciphers("^aes128-ctr").unwrap()[..2], ["aes128-ctr", "aes256-gcm@openssh.com"]);
        assert_eq!(
            ciphers("-*-ctr,chacha20*").unwrap(),
            ["aes256-gcm@openssh.com", "aes128-gcm@openssh.com"]
        );
        assert_eq!(ciphers("aes???-ctr").unwrap(), ["aes256-ctr", "aes192-ctr", "aes128-ctr"]);
    }

    #[test]
    fn changes_build_on_one_another() {
        let algorithms =
            Algorithms::default().with_macs("hmac-sha2-256").unwrap().with_macs("+hmac-sha1").unwrap();
        assert_eq!(algorithms.macs(), ["hmac-sha2-256", "hmac-sha1"]);
    }

    #[test]
    fn a_name_nobody_knows_is_an_error_that_lists_the_names() {
        for list in ["aes128-gcm", "+aes", "^x,aes128-ctr", "-aes128", "", "aes128-ctr,", "+", "a\u{1b}b"] {
            let error = ciphers(list).expect_err(list);
            assert_eq!(error.kind(), ErrorKind::Configuration, "{list:?}");
            assert!(error.to_string().starts_with("Ciphers: "), "{error}");
            assert!(!error.to_string().contains('\u{1b}'));
            assert!(error.hint().unwrap().contains("aes128-gcm@openssh.com, "), "{error:?}");
        }
    }

    #[test]
    fn names_only_ssh_has_are_left_out_and_listed() {
        let algorithms = Algorithms::default()
            .with_macs("umac-128-etm@openssh.com,hmac-sha2-256")
            .unwrap()
            .with_macs("-umac-*")
            .unwrap();
        assert_eq!(algorithms.macs(), ["hmac-sha2-256"]);
        assert_eq!(algorithms.left_out(), ["umac-128-etm@openssh.com"]);
        let error = Algorithms::default().with_macs("umac-64@openssh.com").unwrap_err();
        assert!(error.to_string().contains("leaves nothing to offer"), "{error}");
        assert!(Algorithms::default().with_macs("-*").is_err());
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    fn host_keys(provable: &[&str]) -> Vec<&'static str> {
        Algorithms::default().arranged_for(&names(provable)).host_keys.to_vec()
    }

    #[test]
    fn key_types_on_record_are_asked_for_first() {
        assert_eq!(host_keys(&[])[..2], ["ssh-ed25519", "ecdsa-sha2-nistp256"]);
        assert_eq!(
            host_keys(&["rsa-sha2-256", "rsa-sha2-512"])[..3],
            ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]
        );
        assert_eq!(host_keys(&["ecdsa-sha2-nistp384"])[..2], ["ecdsa-sha2-nistp384", "ssh-ed25519"]);
    }

    #[test]
    fn certificates_are_offered_only_where_an_authority_is_known() {
        let plain = host_keys(&["rsa-sha2-512"]);
        assert!(plain.iter().all(|name| !is_certificate(name)), "{plain:?}");
        let vouched = host_keys(&["ssh-ed25519-cert-v01@openssh.com", "rsa-sha2-512"]);
        assert_eq!(vouched[..2], ["ssh-ed25519-cert-v01@openssh.com", "rsa-sha2-512"]);
        assert_eq!(vouched.len(), Algorithms::default().host_keys().len());

        let only =
            Algorithms::default().with_host_keys("-ssh-ed25519,ecdsa-sha2-nistp???,rsa-sha2-???").unwrap();
        assert!(only.host_keys().iter().all(|name| is_certificate(name)), "{:?}", only.host_keys());
        assert_eq!(only.clone().arranged_for(&[]), only);
    }

    #[test]
    fn an_order_that_a_person_set_stays() {
        let hint = names(&["rsa-sha2-512"]);
        for list in ["ssh-ed25519,rsa-sha2-512", "^ecdsa-sha2-nistp256"] {
            let given = Algorithms::default().with_host_keys(list).unwrap();
            assert_eq!(given.clone().arranged_for(&hint), given, "{list}");
        }
        let trimmed = Algorithms::default().with_host_keys("-ssh-ed25519").unwrap().arranged_for(&hint);
        assert_eq!(trimmed.host_keys()[0], "rsa-sha2-512");
    }

    #[test]
    fn cve_2020_14145_a_host_known_by_the_preferred_type_is_asked_as_a_new_one() {
        let new = Algorithms::default().arranged_for(&[]);
        let known = Algorithms::default().arranged_for(&names(&["ssh-ed25519"]));
        assert_eq!(new, known);
    }
}
