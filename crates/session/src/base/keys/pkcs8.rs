//! Encrypted PKCS#8 files, which may ask for any amount of memory or time: looked at before the base's parser pays.

use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::pkcs5::pbes2::Kdf;
use zeroize::Zeroizing;

use super::{Undecoded, container, too_costly};

/// 1 GiB; OpenSSL asks for 16 MiB, and a fuzzer's seeds for 1 MiB.
const MAX_MEMORY: u64 = if cfg!(feature = "fuzzing") { 1024 * 1024 } else { 1024 * 1024 * 1024 };

/// 64 GiB, filled in as many passes as it likes: about two minutes.
const MAX_FILLED: u64 = if cfg!(feature = "fuzzing") { 2 * MAX_MEMORY } else { 64 * MAX_MEMORY };

/// Rounds of PBKDF2: some ten seconds with SHA-256. OpenSSL asks for 2048, OWASP for 600 000.
const MAX_ROUNDS: u32 = if cfg!(feature = "fuzzing") { 4_096 } else { 10_000_000 };

/// The file again, if its passphrase costs what one may cost.
pub(super) fn bounded(text: &str) -> Result<Zeroizing<String>, Undecoded> {
    let bytes = container::bytes(text).ok_or(Undecoded::Damaged)?;
    // Whatever else is wrong with it, the parser says; without parameters it does not get to stretching.
    let is_too_costly = EncryptedPrivateKeyInfoRef::try_from(bytes.as_slice()).ok().and_then(|info| {
        match &info.encryption_algorithm.pbes2()?.kdf {
            Kdf::Scrypt(costs) => Some(scrypt_is_too_costly(
                costs.cost_parameter,
                costs.block_size.into(),
                costs.parallelization.into(),
            )),
            Kdf::Pbkdf2(costs) => Some(costs.iteration_count > MAX_ROUNDS),
            // The parser knows no other.
            _ => None,
        }
    });
    if is_too_costly == Some(true) {
        return Err(too_costly());
    }
    // Framed anew, so that the parser reads what was looked at here, should a file hold several.
    Ok(container::framed("ENCRYPTED PRIVATE KEY", &bytes))
}

/// RFC 7914 section 2: a block takes 128 bytes for each `r`; `n` of them are held, `p` times one after the other.
fn scrypt_is_too_costly(n: u64, r: u64, p: u64) -> bool {
    let memory = n.max(p).saturating_mul(r).saturating_mul(128);
    n == 0 || memory > MAX_MEMORY || memory.saturating_mul(p) > MAX_FILLED
}

#[cfg(test)]
mod tests {
    use super::super::decode;
    use super::*;
    use crate::auth::format::Format;

    /// Made for this test by `openssl pkcs8 -topk8 -scrypt -scrypt_N 1024`, and used nowhere.
    const SCRYPT: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHkME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAiCV4CUi3rdZAICBAAC
AQgCAQEwHQYJYIZIAWUDBAEqBBDFIn1c9IXMBDRw12yszpU/BIGQaVL5r0x8cBBz
8Y1myOtW7a8r7ksFlwBsoLLK33ec/MxFjd87vyfvxPoujvuH5DjZRaDfK5YWghBu
o/yrjfR9ms+UNkRZW+RDXE7G90TWaACQB/lgIrPkFCALcgPi/vaAkIJj01w4nBBh
4WMHBws9GeiiTgD811xy4OHFBYgkSo2jAZwZS8Zz6GF80ejupQCH
-----END ENCRYPTED PRIVATE KEY-----
";

    /// The same, and then changed to ask for 1 PiB.
    const GREEDY: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHoMFMGCSqGSIb3DQEFDTBGMCUGCSsGAQQB2kcECzAYBAiCV4CUi3rdZAIGAQAA
AAAAAgEIAgEBMB0GCWCGSAFlAwQBKgQQxSJ9XPSFzAQ0cNdsrM6VPwSBkGlS+a9M
fHAQc/GNZsjrVu2vK+5LBZcAbKCyyt93nPzMRY3fO78n78T6Lo77h+Q42UWg3yuW
FoIQbqP8q430fZrPlDZEWVvkQ1xOxvdE1mgAkAf5YCKz5BQgC3ID4v72gJCCY9Nc
OJwQYeFjBwcLPRnook4A/NdccuDhxQWIJEqNowGcGUvGc+hhfNHo7qUAhw==
-----END ENCRYPTED PRIVATE KEY-----
";

    #[test]
    fn a_file_that_asks_for_more_memory_than_there_is_does_not_get_it() {
        let opened = decode(SCRYPT, Format::Pkcs8Encrypted, Some("correct horse"));
        assert!(opened.is_ok(), "{opened:?}");
        for text in [GREEDY.to_owned(), format!(" {GREEDY}{SCRYPT}")] {
            let refused = decode(&text, Format::Pkcs8Encrypted, Some("correct horse"));
            assert!(matches!(refused, Err(Undecoded::Unsupported(_))), "{refused:?}");
        }
        // What stands behind the first file is not opened, however its first line is spelled.
        assert!(decode(&format!(" {SCRYPT}{GREEDY}"), Format::Pkcs8Encrypted, Some("correct horse")).is_ok());
    }

    /// Made for this test by `openssl pkcs8 -topk8 -iter 16777217`, and used nowhere.
    const SLOW: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGdMFkGCSqGSIb3DQEFDTBMMCsGCSqGSIb3DQEFDDAeBAhS8uHSquDHzAIEAQAA
ATAMBggqhkiG9w0CCQUAMB0GCWCGSAFlAwQBKgQQmt2Rl/TldidEPPTown6eVQRA
l7yrkwEjGw9SGUq0JCUTMQC64qyut4w6jAhm2pfJKSXXBxklwK5h/GAjWjewgJUc
uPc0cfOK2trnloSdnbfiXA==
-----END ENCRYPTED PRIVATE KEY-----
";

    #[test]
    fn a_file_that_asks_for_minutes_of_stretching_does_not_get_them() {
        let refused = decode(SLOW, Format::Pkcs8Encrypted, Some("secret"));
        assert!(matches!(refused, Err(Undecoded::Unsupported(_))), "{refused:?}");
    }

    #[test]
    fn the_costs_of_scrypt_are_counted_in_memory_and_in_time() {
        for (n, r, p) in [(1 << 14, 8, 1), (1 << 20, 8, 1), (1 << 20, 8, 64), (1, 1, 1)] {
            assert!(!scrypt_is_too_costly(n, r, p), "{n} {r} {p}");
        }
        for (n, r, p) in
            [(1 << 21, 8, 1), (1 << 20, 8, 65), (0, 8, 1), (1, 65535, 65535), (u64::MAX, 65535, 65535)]
        {
            assert!(scrypt_is_too_costly(n, r, p), "{n} {r} {p}");
        }
    }
}
