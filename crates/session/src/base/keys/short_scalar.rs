//! The P-256 keys that the parser under the base refuses: one in 256.
//!
//! OpenSSH writes a private scalar as an `mpint`, without leading zero bytes (RFC 4251 section 5), and the
//! parser takes no P-256 scalar shorter than 32 bytes. Here such a key is opened, its scalar given its zeros back,
//! and the key handed to the parser again.

use ssh_key::PrivateKey;
use zeroize::Zeroizing;

use crate::auth::offer::decode_base64;

/// OpenSSH's PROTOCOL.key: what every such file begins with.
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// Bytes of a P-256 scalar.
const SCALAR: usize = 32;

/// The key in `text`, if a short scalar is all that is wrong with it.
///
/// Ciphers with a tag are left out: the parser keeps the tag to itself. `ssh-keygen` uses none of them
/// unless asked.
pub(super) fn decode(text: &str, passphrase: Option<&str>) -> Option<PrivateKey> {
    let file = body(text)?;
    let mut reader = Reader(file.strip_prefix(MAGIC)?);
    let cipher = reader.string()?;
    let (_kdf, _options, keys) = (reader.string()?, reader.string()?, reader.number()?);
    let (public, private) = (reader.string()?, reader.string()?);
    if keys != 1 {
        return None;
    }
    let section = match cipher {
        b"none" => Zeroizing::new(private.to_vec()),
        _ => decrypted(&file, passphrase?)?,
    };
    let padded = padded(&section)?;
    let mut rebuilt = Zeroizing::new(Vec::with_capacity(file.len() + 64));
    rebuilt.extend_from_slice(MAGIC);
    for part in [b"none".as_slice(), b"none", b""] {
        push(&mut rebuilt, part)?;
    }
    rebuilt.extend_from_slice(&1u32.to_be_bytes());
    push(&mut rebuilt, public)?;
    push(&mut rebuilt, &padded)?;
    PrivateKey::from_bytes(&rebuilt).ok()
}

/// The bytes between the file's first and last line.
fn body(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let base64 = Zeroizing::new(
        text.lines()
            .map(str::trim)
            .skip_while(|line| !line.starts_with("-----BEGIN "))
            .skip(1)
            .take_while(|line| !line.starts_with("-----END "))
            .fold(String::with_capacity(text.len()), |all, line| all + line),
    );
    decode_base64(&base64).map(Zeroizing::new)
}

fn decrypted(file: &[u8], passphrase: &str) -> Option<Zeroizing<Vec<u8>>> {
    let key = PrivateKey::from_bytes(file).ok()?;
    let cipher = key.cipher();
    let (secret, iv) = key.kdf().derive_key_and_iv(cipher, passphrase).ok()?;
    let mut section = Zeroizing::new(key.key_data().encrypted()?.to_vec());
    cipher.decrypt(&secret, &iv, &mut section, None).ok()?;
    Some(section)
}

/// The private section with the scalar at its full length; `None` where it is no short P-256 one.
fn padded(section: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut reader = Reader(section);
    let (check, again) = (reader.number()?, reader.number()?);
    let (kind, curve, point, scalar, comment) =
        (reader.string()?, reader.string()?, reader.string()?, reader.string()?, reader.string()?);
    let short = (1..SCALAR).contains(&scalar.len());
    // Unlike numbers are the sign of a wrong passphrase.
    if check != again || kind != b"ecdsa-sha2-nistp256" || !short {
        return None;
    }
    let mut full = Zeroizing::new([0; SCALAR]);
    full.get_mut(SCALAR - scalar.len()..)?.copy_from_slice(scalar);
    let mut padded = Zeroizing::new(Vec::with_capacity(section.len() + 64));
    padded.extend_from_slice(&check.to_be_bytes());
    padded.extend_from_slice(&again.to_be_bytes());
    for part in [kind, curve, point, &full[..], comment] {
        push(&mut padded, part)?;
    }
    let mut filler = 0;
    while padded.len() % 8 != 0 {
        filler += 1;
        padded.push(filler);
    }
    Some(padded)
}

fn push(into: &mut Vec<u8>, string: &[u8]) -> Option<()> {
    into.extend_from_slice(&u32::try_from(string.len()).ok()?.to_be_bytes());
    into.extend_from_slice(string);
    Some(())
}

/// Reads RFC 4251 section 5's types off the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (string, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(string)
    }
}

#[cfg(test)]
mod tests {
    use crate::auth::format::Format;

    /// Made for this test, and used nowhere: its scalar has 31 bytes.
    const PLAIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAaAAAABNlY2RzYS
1zaGEyLW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQRnV/onjqubhkWAa1kzuaBFdzLKIMXg
T1rXce/0DvjNOqtnu9PaiNUo8H1njrzu9MSSqo3NRM6/v7hmjgHqtl4bAAAAqBsjGEEbIx
hBAAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBGdX+ieOq5uGRYBr
WTO5oEV3MsogxeBPWtdx7/QO+M06q2e709qI1SjwfWeOvO70xJKqjc1Ezr+/uGaOAeq2Xh
sAAAAfdc3Eb8Zpvov43Oi8v5EOYvSB8McJhIIuY3szXuyyBgAAAAxzaG9ydCBzY2FsYXIB
AgMEBQ==
-----END OPENSSH PRIVATE KEY-----
";

    /// The same key under the passphrase `correct horse`.
    const ENCRYPTED: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABBkjS7z0F
lC30Cxx6QDRm6AAAAAAgAAAAEAAABoAAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlz
dHAyNTYAAABBBGdX+ieOq5uGRYBrWTO5oEV3MsogxeBPWtdx7/QO+M06q2e709qI1SjwfW
eOvO70xJKqjc1Ezr+/uGaOAeq2XhsAAACwaeYs66C0a0Vn/bGo3mDOn/83FXgE+xO5mcYW
laJnsKmqgT3OI4OCmfLQZq7+9oeR4FBNP//l1QK0JaRua/lRfd22M1gxY32p6+d2cLpm0h
eQQkhyNEe0+uuzhZ7Gr3QjEsphVOTADWNPdiaqBeJo3lMZM/do0zAK4kQ4zHBExEY2ZnFb
S9rhZozzfUTRm7HGAaaTbDOeY/RIDi9P9ULk/pclIBWgytdsTwkwffXTMRE=
-----END OPENSSH PRIVATE KEY-----
";

    #[test]
    fn a_key_with_a_short_scalar_is_opened_plain_and_encrypted() {
        let plain = super::super::decode(PLAIN, Format::OpenSsh, None).unwrap();
        let encrypted = super::super::decode(ENCRYPTED, Format::OpenSsh, Some("correct horse")).unwrap();
        assert_eq!(plain.public_key().key_data(), encrypted.public_key().key_data());
        let public = super::super::public_half(PLAIN).unwrap();
        assert_eq!(public.key_data(), plain.public_key().key_data());
        let signature = super::super::sign(&plain, None, b"data").unwrap();
        assert!(!signature.is_empty());
    }

    #[test]
    fn a_wrong_passphrase_stays_one() {
        let wrong = super::super::decode(ENCRYPTED, Format::OpenSsh, Some("battery staple"));
        assert_eq!(wrong.unwrap_err(), super::super::Undecoded::WrongPassphrase);
    }
}
