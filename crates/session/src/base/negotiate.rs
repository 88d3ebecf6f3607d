//! Our names for algorithms into the base's, what it agreed on back into ours, and how long a key may serve.

use std::borrow::Cow;

use russh::keys::Algorithm;
use russh::{AlgorithmKind, Names, Preferred, cipher, compression, kex, mac};

use crate::algorithms::{AlgorithmFamily, Algorithms, Negotiated, is_certificate, plain_name};
use crate::error::{Error, ErrorKind, Result};

/// How many of the peer's names an error shows, and how many characters of each: the peer chose both.
const SHOWN_NAMES: usize = 32;
const SHOWN_NAME_CHARS: usize = 64;

/// The base's form of what to offer.
///
/// # Errors
/// [`ErrorKind::Configuration`] when the base has not got an algorithm of ours: the two lists drifted apart.
pub(super) fn preferred(algorithms: &Algorithms) -> Result<Preferred> {
    let (certificates, plain): (Vec<_>, Vec<_>) =
        algorithms.host_keys().iter().copied().partition(|name| is_certificate(name));
    let mut methods = translated(algorithms.kex(), |name| kex::Name::try_from(name).ok())?;
    methods.reserve_exact(2);
    // Announcements that travel in the method list: RFC 8308 §2.1, and OpenSSH PROTOCOL §1.10. Without the
    // second a connection is open to Terrapin (CVE-2023-48795), so it is no one's choice to leave out.
    methods.push(kex::EXTENSION_SUPPORT_AS_CLIENT);
    methods.push(kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT);
    Ok(Preferred {
        kex: Cow::Owned(methods),
        key: Cow::Owned(translated(&plain, host_key)?),
        host_key_certificates: Cow::Owned(translated(&certificates, host_key)?),
        cipher: Cow::Owned(translated(algorithms.ciphers(), |name| cipher::Name::try_from(name).ok())?),
        mac: Cow::Owned(translated(algorithms.macs(), |name| mac::Name::try_from(name).ok())?),
        compression: Cow::Owned(translated(algorithms.compression(), |name| {
            compression::Name::try_from(name).ok()
        })?),
    })
}

/// What was agreed on. The base does not say whether the server showed a certificate; who checked it knows.
pub(super) fn negotiated(names: &Names, shown: HostProof) -> Negotiated {
    let cipher = names.cipher.as_ref();
    Negotiated {
        kex: names.kex.as_ref().to_owned(),
        host_key: match shown {
            HostProof::Key => names.key.to_string(),
            HostProof::Certificate => names.key.to_certificate_type(),
        },
        cipher: cipher.to_owned(),
        // The base reports whatever MAC both sides listed; with an AEAD none is in use.
        mac: if is_aead(cipher) { None } else { Some(names.client_mac.as_ref().to_owned()) },
        // Both directions have the same list, and the server chooses by this side's order.
        compression: compression_name(&names.client_compression).to_owned(),
        strict_kex: names.strict_kex(),
    }
}

fn compression_name(method: &compression::Compression) -> &'static str {
    match method {
        compression::Compression::None => "none",
        compression::Compression::Zlib => "zlib",
        compression::Compression::ZlibOpenSSH => "zlib@openssh.com",
    }
}

/// How the server proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostProof {
    /// By a plain key.
    Key,
    /// By a certificate.
    Certificate,
}

/// After how many bytes in one direction we ask for new keys.
///
/// RFC 4344 §3.2 sets 2^(L/4) blocks for a block cipher of L ≥ 128 bits, 64 GiB for AES, and about 1 GiB for
/// smaller blocks; OpenSSH counts chacha20-poly1305, a stream cipher, with the latter. Ours is a quarter
/// above that: the base cannot take much data between its own request and the peer's answer, so the peer,
/// whose limit is the RFC's, should be the one to start.
pub(crate) fn rekey_limit(cipher: &str) -> u64 {
    const GIB: u64 = 1 << 30;
    let at_rfc = if cipher.starts_with("aes") { 64 * GIB } else { GIB };
    at_rfc + at_rfc / 4
}

/// The error for two sides without a common algorithm: both lists, and the option that would help.
pub(super) fn no_common_algorithm(kind: &AlgorithmKind, ours: &[String], theirs: &[String]) -> Error {
    let family = match kind {
        AlgorithmKind::Kex => AlgorithmFamily::Kex,
        AlgorithmKind::Key => AlgorithmFamily::HostKey,
        AlgorithmKind::Cipher => AlgorithmFamily::Cipher,
        AlgorithmKind::Mac => AlgorithmFamily::Mac,
        AlgorithmKind::Compression => {
            return error("compression method", ours, theirs).with_hint(
                "the server has to allow `none`, or `zlib@openssh.com` with `-o Compression=yes`",
            );
        }
    };
    let error = error(family.noun(), ours, theirs);
    let option = family.option();
    let wanted = family.supported().into_iter().filter(|name| theirs.iter().any(|their| their == name));
    // The sound ones stand first. A plain key serves without an authority; a certificate does not.
    match wanted.min_by_key(|name| is_certificate(name)) {
        Some(name) if is_certificate(name) => error.with_hint(format!(
            "the server has host certificates alone: name their authority with a `@cert-authority` line in \
             known_hosts, or offer one with `-o {option}=+{name}`"
        )),
        Some(name) if family.is_weak(name) => error.with_hint(format!(
            "better update the server: what it has is weak and only offered when asked for, with \
             `-o {option}=+{name}`"
        )),
        Some(name) => error.with_hint(format!(
            "the server has `{name}`, which your settings leave out: offer it with `-o {option}=+{name}`"
        )),
        None => error.with_hint(format!(
            "none of the server's can be had here by any option; the server has to allow one of {}",
            family.supported().join(", ")
        )),
    }
}

fn error(noun: &str, ours: &[String], theirs: &[String]) -> Error {
    Error::new(
        ErrorKind::NoCommonAlgorithm,
        "handshake",
        format!("no common {noun}: we offer {}; the server offers {}", shown(ours), shown(theirs)),
    )
}

fn shown(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let mut text = names
        .iter()
        .take(SHOWN_NAMES)
        .map(|name| name.chars().take(SHOWN_NAME_CHARS).flat_map(char::escape_debug).collect::<String>())
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN_NAMES {
        text.push_str(&format!(" and {} more", names.len() - SHOWN_NAMES));
    }
    text
}

/// With no room to spare: a connection has these lists as long as it is there.
fn translated<T>(names: &[&'static str], base: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
    let mut translated = Vec::with_capacity(names.len());
    for name in names {
        translated.push(base(name).ok_or_else(|| {
            Error::new(
                ErrorKind::Configuration,
                "choose algorithms",
                format!("this build does not have `{name}`"),
            )
            .with_hint("leave it out of the list")
        })?);
    }
    Ok(translated)
}

/// The algorithm of a plain or certificate name; the base takes a certificate by its plain name.
fn host_key(name: &str) -> Option<Algorithm> {
    match plain_name(name).parse() {
        Ok(Algorithm::Other(_)) | Err(_) => None,
        Ok(algorithm) => Some(algorithm),
    }
}

fn is_aead(cipher: &str) -> bool {
    cipher.contains("-gcm@") || cipher.contains("-poly1305@")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> Algorithms {
        Algorithms::default()
            .with_kex("*")
            .and_then(|all| all.with_host_keys("*"))
            .and_then(|all| all.with_ciphers("*"))
            .and_then(|all| all.with_macs("*"))
            .unwrap()
    }

    #[test]
    fn every_supported_name_is_one_the_base_has() {
        let all = everything();
        let preferred = preferred(&all).unwrap();
        let kex: Vec<_> = preferred.kex.iter().map(AsRef::as_ref).collect();
        assert_eq!(kex[..all.kex().len()], *all.kex());
        assert_eq!(kex[all.kex().len()..], ["ext-info-c", "kex-strict-c-v00@openssh.com"]);
        let certificates = preferred.host_key_certificates.iter().map(Algorithm::to_certificate_type);
        let offered: Vec<_> = certificates.chain(preferred.key.iter().map(ToString::to_string)).collect();
        let mut ours = all.host_keys().to_vec();
        ours.sort_by_key(|name| !is_certificate(name));
        assert_eq!(offered, ours);
        assert_eq!(preferred.cipher.iter().map(AsRef::as_ref).collect::<Vec<_>>(), all.ciphers());
        assert_eq!(preferred.mac.iter().map(AsRef::as_ref).collect::<Vec<_>>(), all.macs());
        assert_eq!(preferred.compression.iter().map(AsRef::as_ref).collect::<Vec<_>>(), all.compression());
    }

    #[test]
    fn every_name_of_the_base_is_supported_or_left_out_on_purpose() {
        let all = everything();
        let purpose = ["none", "clear", "diffie-hellman-group15-sha512", "diffie-hellman-group17-sha512"];
        let kex = kex::ALL_KEX_ALGORITHMS.iter().map(|name| (*name).as_ref());
        let ciphers = cipher::ALL_CIPHERS.iter().map(|name| (*name).as_ref());
        let macs = mac::ALL_MAC_ALGORITHMS.iter().map(|name| (*name).as_ref());
        for (list, names) in [
            (all.kex(), kex.collect::<Vec<&str>>()),
            (all.ciphers(), ciphers.collect()),
            (all.macs(), macs.collect()),
        ] {
            for name in names {
                assert!(list.contains(&name) || purpose.contains(&name), "{name} is new in the base");
            }
        }
    }

    #[test]
    fn rekey_limits_stand_a_quarter_above_the_rfcs() {
        const GIB: u64 = 1 << 30;
        assert_eq!(rekey_limit("aes128-gcm@openssh.com"), 80 * GIB);
        assert_eq!(rekey_limit("aes256-ctr"), 80 * GIB);
        assert_eq!(rekey_limit("chacha20-poly1305@openssh.com"), GIB + GIB / 4);
        assert_eq!(rekey_limit("3des-cbc"), GIB + GIB / 4);
        assert_eq!(rekey_limit("something-new"), GIB + GIB / 4);
    }

    #[test]
    fn the_lists_of_a_connection_have_no_room_to_spare() {
        let preferred = preferred(&everything()).unwrap();
        let Cow::Owned(methods) = preferred.kex else { panic!("there is no such list in the base") };
        let Cow::Owned(keys) = preferred.key else { panic!("there is no such list in the base") };
        assert_eq!((methods.capacity(), keys.capacity()), (methods.len(), keys.len()));
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_option_that_would_help_is_named() {
        let theirs = names(&["diffie-hellman-group1-sha1", "diffie-hellman-group14-sha1", "foo"]);
        let error = no_common_algorithm(&AlgorithmKind::Kex, &names(&["curve25519-sha256"]), &theirs);
        assert_eq!(error.kind(), ErrorKind::NoCommonAlgorithm);
        assert_eq!(
            error.to_string(),
            "no common key exchange method: we offer curve25519-sha256; the server offers \
             diffie-hellman-group1-sha1, diffie-hellman-group14-sha1, foo"
        );
        assert!(error.hint().unwrap().contains("-o KexAlgorithms=+diffie-hellman-group14-sha1"), "{error:?}");

        let error =
            no_common_algorithm(&AlgorithmKind::Cipher, &names(&["aes256-ctr"]), &names(&["arcfour"]));
        assert!(error.hint().unwrap().starts_with("none of the server's can be had here"), "{error:?}");

        let ours = names(&["ssh-ed25519"]);
        let both = names(&["ssh-ed25519-cert-v01@openssh.com", "ssh-rsa"]);
        let error = no_common_algorithm(&AlgorithmKind::Key, &ours, &both);
        assert!(error.hint().unwrap().contains("-o HostKeyAlgorithms=+ssh-rsa"), "{error:?}");
        let error = no_common_algorithm(&AlgorithmKind::Key, &ours, &both[..1]);
        assert!(error.hint().unwrap().contains("@cert-authority"), "{error:?}");
        assert!(no_common_algorithm(&AlgorithmKind::Compression, &names(&["none"]), &[]).hint().is_some());
    }

    #[test]
    fn a_hostile_list_is_shown_escaped_and_short() {
        let mut theirs = names(&["\u{1b}[2J"]);
        theirs.extend((0..10_000).map(|_| "x".repeat(1000)));
        let text = no_common_algorithm(&AlgorithmKind::Mac, &[], &theirs).to_string();
        assert!(!text.contains('\u{1b}') && text.len() < 4096, "{} bytes", text.len());
        assert!(text.ends_with("and 9969 more"));
    }
}
