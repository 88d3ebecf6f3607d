//! Keys made for these tests by `puttygen`, and used nowhere: their seeds begin or end with zero bytes.

use super::super::{Undecoded, decode};
use crate::auth::format::Format;

const PASSPHRASE: &str = "correct horse";

/// Its first byte is zero, and the next below 0x80.
const FIRST_2: &str = "PuTTY-User-Key-File-2: ssh-ed25519
Encryption: none
Comment: first
Public-Lines: 2
AAAAC3NzaC1lZDI1NTE5AAAAIMQiF6CMLyHkYxgcGUSDPH+JNiUR+1w80MN1cS+q
v9c6
Private-Lines: 1
AAAAIAAhFhxUbYCc8Z0EhOUzxxhySWk6ni6/Vpmvx1nxAnP2
Private-MAC: d722696847adb4adcd7d4118c9056d1779066ca4
";

/// Its first byte is zero, and the next below 0x80.
const FIRST_3_LOCKED: &str = "PuTTY-User-Key-File-3: ssh-ed25519
Encryption: aes256-cbc
Comment: first
Public-Lines: 2
AAAAC3NzaC1lZDI1NTE5AAAAIMQiF6CMLyHkYxgcGUSDPH+JNiUR+1w80MN1cS+q
v9c6
Key-Derivation: Argon2id
Argon2-Memory: 256
Argon2-Passes: 2
Argon2-Parallelism: 1
Argon2-Salt: 9c7dc52b71ca8ce09488e94b67e59ffb
Private-Lines: 1
4TYfDhONHO4P1r01Vx7DC4g12AWHuAAJlkrJszy8sGgoQfTJ7rRBrl7nl8FWXpfk
Private-MAC: c2f746c9f2d99fac5446202cc236bdd122af335dab8799b7103b20fa5edac671
";

/// Its first byte is zero, and the next above 0x80.
const FIRST_THEN_HIGH_3: &str = "PuTTY-User-Key-File-3: ssh-ed25519
Encryption: none
Comment: firsthigh
Public-Lines: 2
AAAAC3NzaC1lZDI1NTE5AAAAIDYAuubEn/EdwwaovHhscasV4cNh812CCBX7V18I
hIl+
Private-Lines: 1
AAAAIADB7e40rWjIX88uzP8P9LM6byV7YlBCzOLFXvvjhszZ
Private-MAC: c5797ab95dc8c5e40c31ae404b7a4b5eb8de525a53254eaca0aa7ad9f45fad7f
";

/// Its last byte is zero.
const LAST_3: &str = "PuTTY-User-Key-File-3: ssh-ed25519
Encryption: none
Comment: last
Public-Lines: 2
AAAAC3NzaC1lZDI1NTE5AAAAIL0eJ5zDz0mXSGb2mf0PuB4ooEyOcHAdpOq7JH9T
ozg8
Private-Lines: 1
AAAAIHuBzMZjSbjD5vmtUKl5sdKYxb2JpLQRstdlf5lunsQA
Private-MAC: 96ae2acac239a33468941d78e079959a3fcce03cea6687cad9f969bea2846ee3
";

/// Its last byte is zero.
const LAST_2_LOCKED: &str = "PuTTY-User-Key-File-2: ssh-ed25519
Encryption: aes256-cbc
Comment: last
Public-Lines: 2
AAAAC3NzaC1lZDI1NTE5AAAAIL0eJ5zDz0mXSGb2mf0PuB4ooEyOcHAdpOq7JH9T
ozg8
Private-Lines: 1
yW4V0zV+03I/pFXYbK7XSuNN5tDHDMB3QtBdTvTsJyMx0p5f3UUgqB2Dv5oEkILp
Private-MAC: bbcca3858c51d09e4d1b8f8fe4a7c6baa500a056
";

/// Its first byte is zero, and its last two.
const BOTH_2: &str = "PuTTY-User-Key-File-2: ssh-ed25519
Encryption: none
Comment: both
Public-Lines: 2
AAAAC3NzaC1lZDI1NTE5AAAAIHR3hnccxqjKyS4fqz37cq0t9A2it83jmucgqdMY
3a41
Private-Lines: 1
AAAAIAAROEifZIu2DNldDBy0o15++rVGZ5Y1KR4cc5hbbgAA
Private-MAC: 22bb222ce9b1d4f0fce45aa02316d1f0c84db964
";

/// Its first byte is zero, and its last two.
const BOTH_3: &str = "PuTTY-User-Key-File-3: ssh-ed25519
Encryption: none
Comment: both
Public-Lines: 2
AAAAC3NzaC1lZDI1NTE5AAAAIHR3hnccxqjKyS4fqz37cq0t9A2it83jmucgqdMY
3a41
Private-Lines: 1
AAAAIAAROEifZIu2DNldDBy0o15++rVGZ5Y1KR4cc5hbbgAA
Private-MAC: c6587cef179456d70c0fd6100cee0c104b7250a3fbaea24c20617d6f8fddbe40
";

/// Its first byte is zero, and its last two.
const BOTH_2_LOCKED: &str = "PuTTY-User-Key-File-2: ssh-ed25519
Encryption: aes256-cbc
Comment: both
Public-Lines: 2
AAAAC3NzaC1lZDI1NTE5AAAAIHR3hnccxqjKyS4fqz37cq0t9A2it83jmucgqdMY
3a41
Private-Lines: 1
HQkgvdNtgA50I5+/P8P7idgZzjcOruY/kOasSbTrXxXZCjb8EyL/SrGOEZ9LMQ2U
Private-MAC: 68a011b5dfac09d16155de8f010ebb3c26ef5c43
";

/// Its first byte is zero, and its last two.
const BOTH_3_LOCKED: &str = "PuTTY-User-Key-File-3: ssh-ed25519
Encryption: aes256-cbc
Comment: both
Public-Lines: 2
AAAAC3NzaC1lZDI1NTE5AAAAIHR3hnccxqjKyS4fqz37cq0t9A2it83jmucgqdMY
3a41
Key-Derivation: Argon2id
Argon2-Memory: 256
Argon2-Passes: 2
Argon2-Parallelism: 1
Argon2-Salt: db4cf110aa43e6dfffd5af74e58be22d
Private-Lines: 1
34BcK2Tvfzu6iJ/85Wa4V1+zqF458QLYkiSQRnIBLtwGn4tm8aQL17Krc+iAh+Ni
Private-MAC: dd814c47988313e9d9132e90c4bd408281948315bbd1c3c77c872dc006cac214
";

/// Each with the public half that `ssh-keygen -y` derives of the same seed.
const ALL: [(&str, &str); 9] = [
    (FIRST_2, "AAAAC3NzaC1lZDI1NTE5AAAAIMQiF6CMLyHkYxgcGUSDPH+JNiUR+1w80MN1cS+qv9c6"),
    (FIRST_3_LOCKED, "AAAAC3NzaC1lZDI1NTE5AAAAIMQiF6CMLyHkYxgcGUSDPH+JNiUR+1w80MN1cS+qv9c6"),
    (FIRST_THEN_HIGH_3, "AAAAC3NzaC1lZDI1NTE5AAAAIDYAuubEn/EdwwaovHhscasV4cNh812CCBX7V18IhIl+"),
    (LAST_3, "AAAAC3NzaC1lZDI1NTE5AAAAIL0eJ5zDz0mXSGb2mf0PuB4ooEyOcHAdpOq7JH9Tozg8"),
    (LAST_2_LOCKED, "AAAAC3NzaC1lZDI1NTE5AAAAIL0eJ5zDz0mXSGb2mf0PuB4ooEyOcHAdpOq7JH9Tozg8"),
    (BOTH_2, "AAAAC3NzaC1lZDI1NTE5AAAAIHR3hnccxqjKyS4fqz37cq0t9A2it83jmucgqdMY3a41"),
    (BOTH_3, "AAAAC3NzaC1lZDI1NTE5AAAAIHR3hnccxqjKyS4fqz37cq0t9A2it83jmucgqdMY3a41"),
    (BOTH_2_LOCKED, "AAAAC3NzaC1lZDI1NTE5AAAAIHR3hnccxqjKyS4fqz37cq0t9A2it83jmucgqdMY3a41"),
    (BOTH_3_LOCKED, "AAAAC3NzaC1lZDI1NTE5AAAAIHR3hnccxqjKyS4fqz37cq0t9A2it83jmucgqdMY3a41"),
];

fn open(text: &str, passphrase: Option<&str>) -> Result<String, Undecoded> {
    let format = Format::of(text.as_bytes()).map_err(|_| Undecoded::Damaged)?;
    let key = decode(text, format, passphrase)?;
    assert!(!super::super::sign(&key, None, b"data").unwrap().is_empty());
    let line = key.public_key().to_openssh().unwrap();
    Ok(line.split(' ').nth(1).unwrap().to_owned())
}

fn is_locked(text: &str) -> bool {
    text.contains("aes256-cbc")
}

#[test]
fn seeds_with_zeros_at_either_end_are_read_plain_and_encrypted() {
    for (text, expected) in ALL {
        let passphrase = is_locked(text).then_some(PASSPHRASE);
        assert_eq!(open(text, passphrase).unwrap(), expected, "{text}");
        assert_eq!(open(&text.replace('\n', "\r\n"), passphrase).unwrap(), expected);
        assert_eq!(open(&format!("\n{text}"), passphrase).unwrap(), expected);
    }
}

#[test]
fn a_passphrase_for_a_plain_file_is_not_asked() {
    assert_eq!(open(BOTH_3, Some("battery staple")).unwrap(), open(BOTH_3, None).unwrap());
}

#[test]
fn a_wrong_passphrase_is_told_from_none() {
    for (text, _) in ALL.into_iter().filter(|(text, _)| is_locked(text)) {
        assert_eq!(open(text, None), Err(Undecoded::NeedsPassphrase));
        for wrong in ["battery staple", ""] {
            assert_eq!(open(text, Some(wrong)), Err(Undecoded::WrongPassphrase), "{text}");
        }
    }
}

#[test]
fn every_cut_is_an_error() {
    for (text, _) in ALL {
        // Without its last line break a file is whole.
        for length in 0..text.len() - 1 {
            assert!(open(&text[..length], Some(PASSPHRASE)).is_err(), "{length} of {text}");
        }
    }
}

#[test]
fn every_changed_letter_is_an_error_or_changes_nothing() {
    for (text, expected) in ALL {
        for index in 0..text.len() {
            let letter = if &text[index..=index] == "A" { "B" } else { "A" };
            let changed = format!("{}{letter}{}", &text[..index], &text[index + 1..]);
            if let Ok(key) = open(&changed, Some(PASSPHRASE)) {
                assert_eq!(key, expected, "{changed}");
                // The code covers all but itself, and a hexadecimal digit may be of either size.
                assert!(changed.eq_ignore_ascii_case(text), "{changed}");
            }
        }
    }
}

/// A plain file has a code that anybody can make: it is not what keeps the halves together.
#[test]
fn a_public_half_of_another_key_is_refused() {
    use hmac::{Hmac, KeyInit, Mac};

    let file = super::File::read(BOTH_3).unwrap();
    let other = super::File::read(LAST_3).unwrap().public;
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"").unwrap();
    for part in [b"ssh-ed25519".as_slice(), b"none", b"both", &other, &file.private] {
        mac.update(&u32::try_from(part.len()).unwrap().to_be_bytes());
        mac.update(part);
    }
    let code: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let lines = |text: &str| text.lines().skip(4).take(2).map(|line| format!("{line}\n")).collect::<String>();
    let (head, _) = BOTH_3.split_once("Private-MAC").unwrap();
    let forged = format!("{}Private-MAC: {code}\n", head.replace(&lines(BOTH_3), &lines(LAST_3)));
    assert!(super::File::read(&forged).unwrap().is_authentic(b""), "{forged}");
    assert_eq!(open(&forged, None), Err(Undecoded::Damaged));
}

#[test]
fn a_number_longer_than_a_seed_is_refused() {
    let private = |length: u8| [&[0, 0, 0, length][..], &[1; 64][..usize::from(length)]].concat();
    for (length, is_taken) in [(0, true), (31, true), (32, true), (33, false), (64, false)] {
        assert_eq!(super::seed(&private(length)).is_some(), is_taken, "{length}");
    }
    assert!(super::seed(&[0, 0, 0, 32, 1]).is_none());
}

#[test]
fn other_derivations_of_argon2_are_known_and_an_unknown_one_is_named() {
    // The code differs, so that these end as a wrong passphrase does.
    for name in ["Argon2i", "Argon2d"] {
        let text = BOTH_3_LOCKED.replace("Argon2id", name);
        assert_eq!(open(&text, Some(PASSPHRASE)), Err(Undecoded::WrongPassphrase));
    }
    let unknown = open(&BOTH_3_LOCKED.replace("Argon2id", "Scrypt"), Some(PASSPHRASE));
    assert!(matches!(unknown, Err(Undecoded::Unsupported(_))), "{unknown:?}");
    for (field, value) in [
        ("Memory: 256", "Memory: 0"),
        ("Passes: 2", "Passes: 0"),
        ("Parallelism: 1", "Parallelism: 4000000000"),
    ] {
        assert!(open(&BOTH_3_LOCKED.replace(field, value), Some(PASSPHRASE)).is_err(), "{value}");
    }
}
