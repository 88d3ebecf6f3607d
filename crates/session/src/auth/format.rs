//! What sort of key file a text is, told from its frame alone; and what is wrong with a frame.

/// The sorts of text found where a private key is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `BEGIN OPENSSH PRIVATE KEY`; whether it is encrypted stands inside.
    OpenSsh,
    /// PKCS#1, `BEGIN RSA PRIVATE KEY`.
    Rsa(PemCipher),
    /// SEC1, `BEGIN EC PRIVATE KEY`.
    Ec(PemCipher),
    /// `BEGIN PRIVATE KEY`.
    Pkcs8,
    /// `BEGIN ENCRYPTED PRIVATE KEY`.
    Pkcs8Encrypted,
    /// PuTTY's own format, version 2 or 3.
    Ppk(Protection),
}

/// Whether a file says that it is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    Plain,
    Encrypted,
}

/// The cipher of a PEM file with RFC 1421 headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PemCipher {
    None,
    Aes128Cbc,
    Aes192Cbc,
    Aes256Cbc,
}

/// Why a text is no private key this crate reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotPrivate {
    Empty,
    /// It holds a public key, or a certificate.
    Public,
    /// The frame was opened and never closed.
    Truncated,
    /// A known format, or a variant of one, that is not read; the text says which.
    Unsupported(String),
    /// No key format at all.
    Unknown,
}

impl Format {
    /// Tells the format of `text`.
    pub(crate) fn of(text: &[u8]) -> Result<Self, NotPrivate> {
        if text.starts_with(b"SSH PRIVATE KEY FILE FORMAT 1.1\n") {
            return Err(NotPrivate::Unsupported("a key of SSH protocol 1".to_owned()));
        }
        let text = std::str::from_utf8(text).map_err(|_| NotPrivate::Unknown)?;
        if text.trim().is_empty() {
            return Err(NotPrivate::Empty);
        }
        if let Some(header) = text.trim_start().strip_prefix("PuTTY-User-Key-File-") {
            return ppk(header);
        }
        let Some(label) = text.lines().find_map(begin_label) else {
            return Err(if is_public_line(text) { NotPrivate::Public } else { NotPrivate::Unknown });
        };
        let end = format!("-----END {label}-----");
        let closed = text.lines().any(|line| line.trim() == end);
        let format = match label {
            "OPENSSH PRIVATE KEY" => Self::OpenSsh,
            "RSA PRIVATE KEY" => Self::Rsa(pem_cipher(text)?),
            "EC PRIVATE KEY" => Self::Ec(pem_cipher(text)?),
            "PRIVATE KEY" => Self::Pkcs8,
            "ENCRYPTED PRIVATE KEY" => Self::Pkcs8Encrypted,
            "DSA PRIVATE KEY" => return Err(NotPrivate::Unsupported("a DSA key".to_owned())),
            _ if label.contains("PUBLIC KEY") || label.contains("CERTIFICATE") => {
                return Err(NotPrivate::Public);
            }
            other => return Err(NotPrivate::Unsupported(format!("a {:?} file", shortened(other)))),
        };
        if closed { Ok(format) } else { Err(NotPrivate::Truncated) }
    }
}

/// The label of a line `-----BEGIN label-----`, or of SSH2's public `---- BEGIN label ----`.
fn begin_label(line: &str) -> Option<&str> {
    let line = line.trim();
    if let Some(rest) = line.strip_prefix("-----BEGIN ") {
        return Some(rest.strip_suffix("-----").unwrap_or(rest));
    }
    line.strip_prefix("---- BEGIN ").map(|rest| rest.strip_suffix(" ----").unwrap_or(rest))
}

/// RFC 1421 headers, as OpenSSL writes them: `Proc-Type: 4,ENCRYPTED` and `DEK-Info: cipher,iv`.
fn pem_cipher(text: &str) -> Result<PemCipher, NotPrivate> {
    let Some((cipher, _iv)) = dek_info(text) else {
        let encrypted = text.lines().any(|line| line.starts_with("Proc-Type:") && line.contains("ENCRYPTED"));
        return if encrypted { Err(NotPrivate::Truncated) } else { Ok(PemCipher::None) };
    };
    match cipher {
        "AES-128-CBC" => Ok(PemCipher::Aes128Cbc),
        "AES-192-CBC" => Ok(PemCipher::Aes192Cbc),
        "AES-256-CBC" => Ok(PemCipher::Aes256Cbc),
        other => Err(NotPrivate::Unsupported(format!(
            "a PEM file encrypted with {} in OpenSSL's old way",
            shortened(other)
        ))),
    }
}

/// The cipher's name and the initialisation vector of the first `DEK-Info` header.
pub(crate) fn dek_info(text: &str) -> Option<(&str, &str)> {
    let info = text.lines().find_map(|line| line.trim().strip_prefix("DEK-Info:"))?.trim();
    Some(info.split_once(',').unwrap_or((info, "")))
}

fn ppk(header: &str) -> Result<Format, NotPrivate> {
    let (version, rest) = header.split_once(':').ok_or(NotPrivate::Truncated)?;
    if !matches!(version, "2" | "3") {
        return Err(NotPrivate::Unsupported(format!("a PuTTY key of version {}", shortened(version))));
    }
    let algorithm = rest.lines().next().unwrap_or_default().trim();
    if algorithm == "ssh-dss" {
        return Err(NotPrivate::Unsupported("a DSA key".to_owned()));
    }
    if algorithm == "ssh-ed448" {
        return Err(NotPrivate::Unsupported("an Ed448 key".to_owned()));
    }
    let value =
        |name: &str| rest.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    if value("Private-MAC").is_none() {
        return Err(NotPrivate::Truncated);
    }
    match value("Encryption") {
        Some("none") => Ok(Format::Ppk(Protection::Plain)),
        Some("aes256-cbc") => affordable(rest).map(|()| Format::Ppk(Protection::Encrypted)),
        Some(other) => {
            Err(NotPrivate::Unsupported(format!("a PuTTY key encrypted with {}", shortened(other))))
        }
        None => Err(NotPrivate::Truncated),
    }
}

/// The file chooses how much memory and time its passphrase costs. PuTTY itself writes 8 MiB and a tenth of a second.
fn affordable(file: &str) -> Result<(), NotPrivate> {
    // The largest of each name: not every parser takes the first.
    let most = |name: &str| {
        let values = file.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        values.map(|value| value.trim().parse().unwrap_or(u32::MAX)).max().unwrap_or(0)
    };
    let (kibibytes, passes) = (most("Argon2-Memory"), most("Argon2-Passes"));
    let what = if kibibytes > MAX_ARGON2_KIB {
        "1 GiB of memory"
    } else if u64::from(kibibytes) * u64::from(passes) > MAX_ARGON2_FILLED_KIB {
        "two minutes"
    } else {
        return Ok(());
    };
    Err(NotPrivate::Unsupported(format!("a PuTTY key that wants more than {what} to be opened")))
}

/// 1 GiB, 128 times what PuTTY chooses; a fuzzer's seeds choose 1 MiB.
const MAX_ARGON2_KIB: u32 = if cfg!(feature = "fuzzing") { 1024 } else { 1024 * 1024 };

/// 64 GiB, all passes together: a fast core fills twice as much in the two minutes that opening a key may take, and the
/// parser under the base fills it twice, to decrypt and to verify.
const MAX_ARGON2_FILLED_KIB: u64 = if cfg!(feature = "fuzzing") { 4 * 1024 } else { 64 * 1024 * 1024 };

/// A line as in `authorized_keys` or a `.pub` file: a known algorithm name, then base64.
fn is_public_line(text: &str) -> bool {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).any(|line| {
        let mut words = line.split_ascii_whitespace();
        let name = words.next().unwrap_or_default();
        let known = ["ssh-", "ecdsa-sha2-", "sk-", "rsa-sha2-"].iter().any(|start| name.starts_with(start));
        known && words.next().is_some_and(|blob| blob.starts_with("AAAA"))
    })
}

/// What may be shown of a word taken from a file whose content might be secret.
fn shortened(word: &str) -> String {
    word.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-')).take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(label: &str) -> String {
        format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n")
    }

    #[test]
    fn tells_each_format_from_its_frame() {
        for (label, format) in [
            ("OPENSSH PRIVATE KEY", Format::OpenSsh),
            ("RSA PRIVATE KEY", Format::Rsa(PemCipher::None)),
            ("EC PRIVATE KEY", Format::Ec(PemCipher::None)),
            ("PRIVATE KEY", Format::Pkcs8),
            ("ENCRYPTED PRIVATE KEY", Format::Pkcs8Encrypted),
        ] {
            assert_eq!(Format::of(framed(label).as_bytes()), Ok(format));
            assert_eq!(Format::of(framed(label).replace('\n', "\r\n").as_bytes()), Ok(format));
            let cut = framed(label).replace("END", "EN");
            assert_eq!(Format::of(cut.as_bytes()), Err(NotPrivate::Truncated), "{label}");
        }
    }

    #[test]
    fn a_file_with_a_preamble_is_still_told() {
        let text = format!("Bag Attributes\n    friendlyName: me\n{}", framed("PRIVATE KEY"));
        assert_eq!(Format::of(text.as_bytes()), Ok(Format::Pkcs8));
    }

    #[test]
    fn public_files_are_told_from_private_ones() {
        for text in [
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@here\n",
            "# a comment\n\nssh-rsa AAAAB3NzaC1yc2E=",
            "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1l",
            &framed("PUBLIC KEY"),
            &framed("CERTIFICATE"),
            "---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----\n",
        ] {
            assert_eq!(Format::of(text.as_bytes()), Err(NotPrivate::Public), "{text}");
        }
    }

    #[test]
    fn empty_and_foreign_texts_are_named() {
        assert_eq!(Format::of(b""), Err(NotPrivate::Empty));
        assert_eq!(Format::of(b"\n \r\n"), Err(NotPrivate::Empty));
        assert_eq!(Format::of(b"hello"), Err(NotPrivate::Unknown));
        assert_eq!(Format::of(&[0xff, 0xfe, 0]), Err(NotPrivate::Unknown));
        assert!(matches!(
            Format::of(b"SSH PRIVATE KEY FILE FORMAT 1.1\n\0\0"),
            Err(NotPrivate::Unsupported(_))
        ));
        let dsa = Format::of(framed("DSA PRIVATE KEY").as_bytes());
        assert_eq!(dsa, Err(NotPrivate::Unsupported("a DSA key".to_owned())));
    }

    #[test]
    fn old_pem_encryption_is_told_by_cipher() {
        let with = |dek: &str| {
            format!(
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: {dek},00\n\nAAAA\n\
                 -----END RSA PRIVATE KEY-----\n"
            )
        };
        for (name, cipher) in [
            ("AES-128-CBC", PemCipher::Aes128Cbc),
            ("AES-192-CBC", PemCipher::Aes192Cbc),
            ("AES-256-CBC", PemCipher::Aes256Cbc),
        ] {
            let text = with(name);
            assert_eq!(Format::of(text.as_bytes()), Ok(Format::Rsa(cipher)));
            assert_eq!(Format::of(text.replace("RSA", "EC").as_bytes()), Ok(Format::Ec(cipher)));
            assert_eq!(dek_info(&text), Some((name, "00")));
        }
        let Err(NotPrivate::Unsupported(what)) = Format::of(with("DES-EDE3-CBC").as_bytes()) else {
            panic!("3DES is not read");
        };
        assert!(what.contains("DES-EDE3-CBC"), "{what}");
    }

    #[test]
    fn putty_files_are_told_by_version_encryption_and_cost() {
        let file = |version: &str, algorithm: &str, rest: &str| {
            format!("PuTTY-User-Key-File-{version}: {algorithm}\n{rest}Private-MAC: 00\n")
        };
        let plain = file("2", "ssh-ed25519", "Encryption: none\n");
        assert_eq!(Format::of(plain.as_bytes()), Ok(Format::Ppk(Protection::Plain)));
        let encrypted = file("3", "ssh-rsa", "Encryption: aes256-cbc\nArgon2-Memory: 8192\n");
        assert_eq!(Format::of(encrypted.as_bytes()), Ok(Format::Ppk(Protection::Encrypted)));
        for greedy in ["1048577", "4294967295", "99999999999", "x"] {
            let text = file("3", "ssh-rsa", &format!("Encryption: aes256-cbc\nArgon2-Memory: {greedy}\n"));
            assert!(matches!(Format::of(text.as_bytes()), Err(NotPrivate::Unsupported(_))), "{greedy}");
        }
        for (memory, passes, is_taken) in
            [(1_048_576, 64, true), (1_048_576, 65, false), (8, u32::MAX, false), (8192, 8192, true)]
        {
            let asked = format!("Encryption: aes256-cbc\nArgon2-Memory: {memory}\nArgon2-Passes: {passes}\n");
            let told = Format::of(file("3", "ssh-rsa", &asked).as_bytes());
            assert_eq!(told.is_ok(), is_taken, "{memory} KiB, {passes} passes");
        }
        // A second line of the name does not hide behind the first.
        let twice = "Encryption: aes256-cbc\nArgon2-Memory: 8\nArgon2-Memory: 4194304\n";
        assert!(Format::of(file("3", "ssh-rsa", twice).as_bytes()).is_err());
        for (version, algorithm) in [("1", "ssh-rsa"), ("9", "ssh-rsa"), ("3", "ssh-dss"), ("3", "ssh-ed448")]
        {
            let text = file(version, algorithm, "Encryption: none\n");
            assert!(matches!(Format::of(text.as_bytes()), Err(NotPrivate::Unsupported(_))));
        }
        let cut = plain.replace("Private-MAC", "");
        assert_eq!(Format::of(cut.as_bytes()), Err(NotPrivate::Truncated));
    }

    #[test]
    fn what_is_shown_of_a_file_is_short_and_plain() {
        let text = format!("-----BEGIN {}\u{1b}[2J-----\n", "SECRET".repeat(100));
        let Err(NotPrivate::Unsupported(what)) = Format::of(text.as_bytes()) else { panic!() };
        assert!(what.len() < 64 && !what.contains('\u{1b}'), "{what}");
    }
}
