//! The P-256 keys that the parser under the base refuses: one in 256.
//!
//! OpenSSH writes a private scalar as an `mpint`, without leading zero bytes (RFC 4251 section 5), and the
//! parser takes no P-256 scalar shorter than 32 bytes. Here such a key is opened, its scalar given its zeros back,
//! and the key handed to the parser again.

use ssh_key::PrivateKey;
use zeroize::Zeroizing;

use super::container::{Container, Reader, push};

/// The one type of key that this happens to.
const KIND: &[u8] = b"ecdsa-sha2-nistp256";

/// Bytes of a P-256 scalar.
const SCALAR: usize = 32;

/// The key in `file`, which is a `container`, if a short scalar is all that is wrong with it.
pub(super) fn decode(file: &[u8], container: &Container<'_>, passphrase: Option<&str>) -> Option<PrivateKey> {
    // Asked before a passphrase is tried again, which takes its time.
    if Reader(container.public).string()? != KIND {
        return None;
    }
    let section = match container.is_plain() {
        true => Zeroizing::new(container.private.to_vec()),
        false => decrypted(file, container, passphrase?)?,
    };
    let padded = padded(&section)?;
    let key = PrivateKey::from_bytes(&Container::plain(container.public, &padded)?).ok()?;
    signs_for_its_public_half(&key).then_some(key)
}

fn decrypted(file: &[u8], container: &Container<'_>, passphrase: &str) -> Option<Zeroizing<Vec<u8>>> {
    // The parser reads the cipher's and the passphrase's parameters, and keeps the tag to itself.
    let key = PrivateKey::from_bytes(file).ok()?;
    let cipher = key.cipher();
    let tag = match cipher.has_tag() {
        true => Some(<[u8; 16]>::try_from(container.tag).ok()?.into()),
        false => None,
    };
    let (secret, iv) = key.kdf().derive_key_and_iv(cipher, passphrase).ok()?;
    let mut section = Zeroizing::new(container.private.to_vec());
    cipher.decrypt(&secret, &iv, &mut section, tag).ok()?;
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
    if check != again || kind != KIND || !short {
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

/// Whether the scalar belongs to the point. The parser does not compare them, and a file without encryption has
/// nothing else that would show a changed byte.
fn signs_for_its_public_half(key: &PrivateKey) -> bool {
    let signature = super::sign(key, None, KIND).ok();
    let signature = signature.and_then(|blob| ssh_key::Signature::try_from(&blob[..]).ok());
    signature.is_some_and(|signature| super::verify(key.public_key(), KIND, &signature).is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::container::{self, Container};
    use super::super::frames::Frame;
    use super::super::{Undecoded, decode, public_half, sign};
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

    /// The same key under the same passphrase, with a cipher that has a tag, as the next two.
    const AES128_GCM: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAAFmFlczEyOC1nY21Ab3BlbnNzaC5jb20AAAAGYmNyeXB0AA
AAGAAAABBrCqW6RnOof+aZipR8uV2MAAAAAQAAAAEAAABoAAAAE2VjZHNhLXNoYTItbmlz
dHAyNTYAAAAIbmlzdHAyNTYAAABBBGdX+ieOq5uGRYBrWTO5oEV3MsogxeBPWtdx7/QO+M
06q2e709qI1SjwfWeOvO70xJKqjc1Ezr+/uGaOAeq2XhsAAACw6CVs+qcOaoNj57S6OMfI
cPcrVrIgEQNJYOuc8Locry1beahvayeqfMiMWAF8SJStpiMebCHOv0W36/hN9837u422dN
JsOl1O2D3vu1tX/wVOxY0LhTyn1236LftsJSXDg+aHJ/Kc+lVq8ABYb00rED6Qjcf+a0qF
fT4St0yA5BW8rIWuAZXjJsysGU9YpqrSrj5RvEMIeOYpdcKqnTciedgPI+ATrckPifBAlW
oxDN7tk4UxnwDMEqg0aiAfquK6
-----END OPENSSH PRIVATE KEY-----
";

    /// See above.
    const AES256_GCM: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAAFmFlczI1Ni1nY21Ab3BlbnNzaC5jb20AAAAGYmNyeXB0AA
AAGAAAABCuhyaea255KQko113aN9LyAAAAAQAAAAEAAABoAAAAE2VjZHNhLXNoYTItbmlz
dHAyNTYAAAAIbmlzdHAyNTYAAABBBGdX+ieOq5uGRYBrWTO5oEV3MsogxeBPWtdx7/QO+M
06q2e709qI1SjwfWeOvO70xJKqjc1Ezr+/uGaOAeq2XhsAAACwdyzUMUT0TO/aY19Wny6E
2iKEtywv6eGWZkqRWrOqqBBwOYTXPr6yl5OgrqTa7auf3hn1H5wVgqG3DDP9hIZmo40S0P
4SNZnqH9dNmGmlbv86Y/vx4aJNNoXW7fyRoYlIuKQlvbG7o5nemCbjT0lVmySISK2I9vp/
1Qo6EHq2HjSiMFyl1MNLGnPc/v5L6i7xKEm3F4z/mvPSvgKd2vS7Tyoih5xvdhG1hxiMi0
DjSAlV3cA4tN7Z2M9uRPyzww1L
-----END OPENSSH PRIVATE KEY-----
";

    /// See above.
    const CHACHA20_POLY1305: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAAHWNoYWNoYTIwLXBvbHkxMzA1QG9wZW5zc2guY29tAAAABm
JjcnlwdAAAABgAAAAQo4OSolihGh1gRRIegJkXnQAAAAEAAAABAAAAaAAAABNlY2RzYS1z
aGEyLW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQRnV/onjqubhkWAa1kzuaBFdzLKIMXgT1
rXce/0DvjNOqtnu9PaiNUo8H1njrzu9MSSqo3NRM6/v7hmjgHqtl4bAAAAqFUAycLmxWJP
HEGL28nI25vwa0ODejuQeijSTsv4w6OXjRAgUgfAzSaM9fItpCRsDMGkDWQR5HAHeRXhgr
UlwQsz0bjIk9N24EfZ5WX7VwIPtSuBiaun2p/PQGPaHEg8Q2+MPtLXV6oAwiewobm1+l4O
phitLdTg4nSUHs0VIRL4x/1jT4OpzYqN1xd0sX6xvyyrJ6Km/DUuh9fYIArieDE6SnjcNy
UJNgunc8cRPyR9/w3lyufXVKI=
-----END OPENSSH PRIVATE KEY-----
";

    const LOCKED: [&str; 4] = [ENCRYPTED, AES128_GCM, AES256_GCM, CHACHA20_POLY1305];

    const PASSPHRASE: &str = "correct horse";

    #[test]
    fn a_key_with_a_short_scalar_is_opened_plain_and_with_every_sort_of_cipher() {
        let plain = decode(PLAIN, Format::OpenSsh, None).unwrap();
        assert_eq!(public_half(PLAIN).unwrap().key_data(), plain.public_key().key_data());
        for text in LOCKED {
            let key = decode(text, Format::OpenSsh, Some(PASSPHRASE)).unwrap();
            assert_eq!(key.key_data(), plain.key_data(), "{text}");
            assert_eq!(public_half(text).unwrap().key_data(), plain.public_key().key_data());
            assert!(!sign(&key, None, b"data").unwrap().is_empty());
        }
    }

    #[test]
    fn a_wrong_passphrase_stays_one() {
        for text in LOCKED {
            let wrong = decode(text, Format::OpenSsh, Some("battery staple"));
            assert_eq!(wrong.unwrap_err(), Undecoded::WrongPassphrase, "{text}");
            assert_eq!(
                decode(text, Format::OpenSsh, None).unwrap_err(),
                Undecoded::NeedsPassphrase,
                "{text}"
            );
        }
    }

    #[test]
    fn a_cut_file_and_one_with_a_changed_bit_never_give_another_key() {
        let public = public_half(PLAIN).unwrap();
        // Each file that is encrypted takes its time, so that fewer of them are tried.
        for (text, passphrase, step) in
            [(PLAIN, None, 3), (AES128_GCM, Some(PASSPHRASE), 37), (CHACHA20_POLY1305, Some(PASSPHRASE), 41)]
        {
            let frame = Frame::of(text);
            for cut in frame.cut(step) {
                assert!(decode(&cut, Format::OpenSsh, passphrase).is_err());
            }
            for changed in frame.changed(step) {
                let file = container::bytes(&changed).unwrap();
                if Container::read(&file).is_ok_and(|container| container.rounds > 64) {
                    continue; // Would take minutes, or be refused for it.
                }
                if let Ok(key) = decode(&changed, Format::OpenSsh, passphrase) {
                    // The comment, the padding and the check numbers change no key.
                    assert_eq!(key.public_key().key_data(), public.key_data(), "{changed}");
                    assert!(super::signs_for_its_public_half(&key), "{changed}");
                }
            }
        }
    }
}
