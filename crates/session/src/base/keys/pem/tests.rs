//! Keys made for these tests by `ssh-keygen -m PEM` and `openssl ec`, and used nowhere, under one passphrase.

use super::super::frames::Frame;
use super::super::{Undecoded, decode};
use super::*;
use crate::auth::format::{Format, NotPrivate};

const PASSPHRASE: &str = "correct horse";

/// `ssh-keygen -m PEM -t ecdsa`.
const P256: &str = "-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-128-CBC,DFCB5302F24332B9F89B653DFE7D574F

SLYvehZgv2n7NL9TmBmXw6WdGo8Liw4BT4CjbK+uBUyxRo3z344po77x+D7Voci8
8YR6jycUNMTDBYfbIDvNbWFp+U2wyUq56F2K6lt3lNl7Bx28DUkycc7BkX5CTGZ4
qOLwsEFRzvwjA5gNTxvA6udLeeYK+uC1FRxD5khBCV8=
-----END EC PRIVATE KEY-----
";

/// `ssh-keygen -m PEM -t ecdsa`.
const P384: &str = "-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-128-CBC,5D1ADE03600772AECA19781547149BCA

eZ2OoedJUMebJ2xxbPABgsYq7KTqeujMTY5ochkogdIfayh7YHPr/am3Qf1MmBxR
Qh6wOKiP5Fy5YbWdidRPQeL1qFRRV5HoKW6uMDM3PMc2DydWKI22DaLe2Ux84e64
TDK2C1qYIA5iHTp+2qAOAGy8Ip6BbpIFwbHtfdKRTBo9UJ/sct1Ebrv2faAGTPkV
o1ypkCnRI7ayzlvgMR74a/WJQKVld2QMIBImWUchPy8=
-----END EC PRIVATE KEY-----
";

/// `ssh-keygen -m PEM -t ecdsa`.
const P521: &str = "-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-128-CBC,23CE844DD0FA45AA931B71D19EA1D2D0

TDdlsLtMCHYf9Et7S6TM02KX2eShRR44Qu+ac+cdclAeRxAfYqK9YgrC997BVF+3
sxjkt2bcPx9qkDrHGUYQAGeZDBUanxEfnEoWVJKIGHMg9OZhtvbCMDV0qJHfNnkf
d9nc24t5FBPSrcX16wsv03dTOoLLuLuWR9uzqaUUal9D1DX6Qox5IdRIGN/T/PS/
OI297G9RF9j02dtSktQD4IHz4gTZ8NQ5PCApTy3SV9KiApCfQ0WIjoMiVSXyKcHY
7Q1lrGin2NcaB0UW6nR7Fn0Q45E0tT3ECZjG+ppoYsY=
-----END EC PRIVATE KEY-----
";

/// `openssl ec -aes192`.
const P256_AES192: &str = "-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-192-CBC,BCF7D3C8C6D25B77C766A9311BD13097

ZJV0q1LHv7K9y0iR5k9GdHOsmfPtrnce5T576IEWZlVgGSWb8cWpe+l2aiBjbP1Q
7iWkRoIcoOCWg817JkgToJLhmKsOGRdrlZa5h72yWm9uxHVrlPUpB2saRaciSqnh
VlDdOTwcpTfVPXDz8jkDFp3GCrRTvXSg11DCw5y39Ec=
-----END EC PRIVATE KEY-----
";

/// `openssl ec -aes256`.
const P384_AES256: &str = "-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-256-CBC,8ECEB1214645F335DCDB260889C0A317

MO67bcCqpnIxYhtT9lme69ZyBnuA7q34vBl21ljukypZVkHlTFGnppmctmWcEbmy
85omiRZxSWjThwGwY9u6vB+TLXKtUxz3OzMkngB/ZIh+kdsiv5uDbNJP0V0u7Mv1
kvDCKEYJZQTEtapTsZmANBQL2Ny6OUXpWOEc7crCcUkWMKSYIqk0mrAFKzRh8YKR
N3nn6MN5ecpW7b4PyRzaZD6LIbvNY78NpsMGwp70s8M=
-----END EC PRIVATE KEY-----
";

/// `openssl genrsa -traditional -aes256`.
const RSA_AES256: &str = "-----BEGIN RSA PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-256-CBC,B45FED5F2ADD333B50E9E6E361A385EA

jytG6ij1LNkHESFr6zf+ECQi5qXq/r5FK65Os0h018VXhDexD1FwnIwDv+TCK48o
xQfaUtcKpweq90v0A/fslKZKA3A0QtuwzAkxyrHmiGPDYk3xLzHrHdsEDDf7eG9q
Hx7xBNWEjdx3GoiIn/L3udHOhlBN9U+gqKuCteQWlbh76NxDbfwQWM51PwpqYwp1
Cpj2x1p8JeeJWdSjeSUP+ICEQw5taXOVlOsnTRdrDhpwnXojGCIwg7FXeBTfk5FI
1M/c+OOBX0/CrhVYxfWmG/BYD314ZoIUdivAyDNCa1UvsihJJzyY0zwj52soHJYE
D5uH97v8L9pYVXw01Y4YKiTXdS0MIoXH3Pt4Nj6l007ecut8McQNq5pUwXWCcffa
n+CVnXXCl4G/FObJathKlB7nkIqRlEimXNIX8HGZ4QoCsIhXxLi59iOiltBd1nvU
6KfhqMKHjE0BHI+JkTxQfBk9ohnn8+gy+b0XzYnQZrx57SBP6y+ZmvnxsDeh2L4u
ELmd5bVqCX1DNLePzfGTovVC8VB7LDYR1j4GcsoJNdyDG6JpXE58UEAdDOD6HCR3
u4+Xu3GH7MGLpcUcPyFwspQimI3jqjOMGXBMu5Xq8rZHAaTDtPXv44BmrwnHCtFO
rF7wSPlpgJEqufrC5A0OZ3CUato+tdU7gZcGSvwXk3xll5VngFoJocov+lGQw+7z
BrhgDXtPRo3gx8JfgjBwRpxabZEeXSaOEFN2s/+dlMZMlGgMBTltu24t1YZc21ss
cEkCVyDqyIBRp65zCcgqY4yNmaJvbXIb16b/WoW0EByQiIfw8By8i5DH8j3ctFlo
1jHT2DiNj77DkHq0SRBppwhM+1M8UgtF6eyhbcDiUZPAugLTBH97PhN5NfG9tge2
1FVVeMH6SHQ8Lhn8uEReLu49w37cc+uTOQjBMF6cnzJya6qJbNgHy4LV5P0YrdL7
9CZrHJeW9elixTyuGxB2r9wYMLocFR/9Frw6xqVGXN8rHUbz2WvHbugJ75wkiajM
Xj8bSkUwSSFP5FX2QcMKABhfuuTTeYjd9Z3PfehnqGOYTeyZBmHF8jti+NudKlJx
FZjMYFdkybtQkfHkBL15FKn3Ez7catCHh6RLrH/JFz1LiMEqNLPr2Qau5eus/Vp2
3SSL/BdQGKDOK5cbu2Sy61lUSNd5nOZUY8tgy0sltFCkeCpS+fGc3ifvpxPGN0Ph
nO3826FacPqAzz9tOMsjKUphNoxa1jF3hV9rKYc6xA3KO1ZG63AnWtP05XrBcCaW
T6KYNuq/1IKYTmfSM/Ro6rqtThQ/a3BWg3EWR2nA3MXRz6ORuDTX/3c1r/XBlwkk
6PKvwKjY2+3TcLviso2N8gd4n1vlrEtpLnJhJqmSxzSajI5+f4aLiTeLvr2d9zTo
hO+F71+VULRRjGGtQ0J0ymQ3qmB1jRP1cEFew/28cIFjWGYnJCEhjrY67DSGo0nV
ixjqeQuYSRTT9tBYRfn/myQzXB9jHPGn3Fq8cNiXCzZgf2szFnPmrvsg66KP26Qk
ve4bKVaKgC4X10LLp7q/O8MtlMShvavOr6eW+EoXhUKvOXMlMYkAh7/PMtKSWi7z
-----END RSA PRIVATE KEY-----
";

/// `openssl ec -des3`.
const P256_DES3: &str = "-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: DES-EDE3-CBC,974A9559E183F2A7

LOuUuXrjSOdSn/tGp+ZocRHSGD3D4FMYSQPPSUu515hl5rBx0jtuiq7QMxpJg5tA
/QAHSZhqo8nZsT5TqU4O/wuog+9VNba3WSmIVeMDEAgzQBurabvCw6Zh3B3zTsyu
vdsKjJIy9+y7cXxu5Xn471mTt4i4xhgT4C+NSsKO1O8=
-----END EC PRIVATE KEY-----
";

/// Each with the public half that `ssh-keygen -y` derives.
const ALL: [(&str, &str); 6] = [
    (
        P256,
        "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBGpwANdYwNocw0iKECTHeSwGyVq4jjF6tTGgGBZZr9e9ojyOlWVJuFpa7ApbibyCZFxd7SVJeDb8Bk1GqdGDS3E=",
    ),
    (
        P384,
        "AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBKwKYdRaHkJXxUfrAozX1C9sgUEW1Z+g87xrxRaV5QpnqCA+Jpu4Ad/ihLMglsyskxupxm64Fu0nVwGEZLYw5uWn3Pn01tYFtUBKn37B1XRRJ+ilV/PPlDg3r5as/BQWjg==",
    ),
    (
        P521,
        "AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBAGnFWgaA9xJI+n8kCqMEUqW70VJs5jPClh061ffpSn1yfvSC4hnknf3FNtaazemvbOqgktmAydeAAbe4LkkITuEygGTxSErhPRsGqgh1OTtqzzDLkBCK80hFEEj1JOdtCjYrMT+1Wmj8g4w70BF7qBT3TYz0s5262YhEmTLIV/rxvGDJw==",
    ),
    (
        P256_AES192,
        "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBNkNpuvYw3EhWUybtMd9AP/6swrYWTlpEeFqBsQloFiEXIYn9tjAClOmJ+I8YICjuqAKMLIvR9DD+l41BP1XSPA=",
    ),
    (
        P384_AES256,
        "AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBMimUG40AfDQ+MS3GnQYlNRQ37Yv7mWljYUjnsyL1Bow5wPVTL36DL5wJSL8qkU2iMP5q3jldM/Dne2PQDVdNK/XudgT0BwKXM9EvS8IlbE03skTkJ4r7Y8KG1zkZUPQ8A==",
    ),
    (
        RSA_AES256,
        "AAAAB3NzaC1yc2EAAAADAQABAAABAQCRgjLJpU9suSMtZuuXcoj93zZAopto7fDy4jF8e1joOGTh3kZvYcNq2pM3VLtDjYl5T3zTf9fJHwjaJPj4Uasq67quGRCb8J9FlFCSsQOVdBCis9FkXXe0d7ZPBSlCjR4d5fZa8XxNwh3X6nV+x+VoL1YBFfOLpqhg0Nm0KbI80KLCkoBaBfnHL+Wt322Zx2YIYlfdXWfXbTSFomLRUhYfsKkAAQVWb7a5RNJrejwb0Kb0gw6tgkMJ6o0IwXcms3Br3dP6n2MKZ9YzEtnYVNiCpkOHi2xY3OLiWkWmq17y5oyH/8EyQdNXfimOp0PyEP4GTLGsBEcqjsOchYRUgr+v",
    ),
];

fn format(text: &str) -> Format {
    Format::of(text.as_bytes()).unwrap()
}

fn public(key: &ssh_key::PrivateKey) -> String {
    let line = key.public_key().to_openssh().unwrap();
    line.split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn every_curve_and_every_length_of_aes_is_opened() {
    for (text, expected) in ALL {
        let key = decode(text, format(text), Some(PASSPHRASE)).unwrap();
        assert_eq!(public(&key), expected, "{text}");
        let hash = matches!(format(text), Format::Rsa(_)).then_some(ssh_key::HashAlg::Sha256);
        assert!(!super::super::sign(&key, hash, b"data").unwrap().is_empty());
        let windows = text.replace('\n', "\r\n");
        assert_eq!(public(&decode(&windows, format(&windows), Some(PASSPHRASE)).unwrap()), expected);
    }
}

#[test]
fn a_wrong_passphrase_is_told_from_none_and_from_damage() {
    for (text, _) in ALL {
        assert_eq!(decode(text, format(text), None).unwrap_err(), Undecoded::NeedsPassphrase);
        // Enough of them that by chance some leave a padding that looks right.
        for number in 0..1500 {
            let wrong = decode(text, format(text), Some(&format!("battery staple {number}")));
            assert_eq!(wrong.unwrap_err(), Undecoded::WrongPassphrase, "{number}");
        }
        assert_eq!(decode(text, format(text), Some("")).unwrap_err(), Undecoded::WrongPassphrase);
    }
}

#[test]
fn triple_des_is_refused_by_name() {
    let Err(NotPrivate::Unsupported(what)) = Format::of(P256_DES3.as_bytes()) else { panic!() };
    assert!(what.contains("DES-EDE3-CBC"), "{what}");
}

#[test]
fn a_cut_file_and_one_with_a_changed_bit_never_give_another_key() {
    for (text, expected) in [ALL[0], ALL[2], ALL[4]] {
        let frame = Frame::of(text);
        for cut in frame.cut(1) {
            assert!(decode(&cut, format(text), Some(PASSPHRASE)).is_err(), "{cut}");
        }
        for changed in frame.changed(1) {
            if let Ok(key) = decode(&changed, format(text), Some(PASSPHRASE)) {
                assert_eq!(public(&key), expected, "{changed}");
            }
        }
    }
}

#[test]
fn a_header_that_is_cut_or_changed_never_gives_another_key() {
    let (text, expected) = ALL[0];
    let (start, end) = (text.find("DEK-Info").unwrap(), text.find("\n\n").unwrap());
    for index in start..end {
        let cut = format!("{}{}", &text[..index], &text[end..]);
        let changed = format!("{}{}{}", &text[..index], "0", &text[index + 1..]);
        for damaged in [cut, changed] {
            let Ok(format) = Format::of(damaged.as_bytes()) else { continue };
            if let Ok(key) = decode(&damaged, format, Some(PASSPHRASE)) {
                assert_eq!(public(&key), expected, "{damaged}");
            }
        }
    }
}

#[test]
fn padding_is_taken_whole_or_not_at_all() {
    let block = |last: &[u8]| [&[9; 16][last.len()..], last].concat();
    assert_eq!(unpadded(&block(&[1])).unwrap().len(), 15);
    assert_eq!(unpadded(&block(&[3, 3, 3])).unwrap().len(), 13);
    assert_eq!(unpadded(&[16; 16]), Some(&[][..]));
    for wrong in [&[0][..], &[2], &[1, 2], &[2, 3, 3], &[17; 16], &[255]] {
        assert_eq!(unpadded(&block(wrong)), None, "{wrong:?}");
    }
    assert_eq!(unpadded(&[]), None);
}

#[test]
fn the_key_is_the_one_that_openssl_derives() {
    // `openssl enc -aes-256-cbc -md md5 -P -k 'correct horse' -S 0001020304050607`
    let iv = [0, 1, 2, 3, 4, 5, 6, 7, 255, 255, 255, 255, 255, 255, 255, 255];
    let key = derived(PASSPHRASE, &iv);
    assert_eq!(Some(key.to_vec()), hex("E0F73587E34C3D27E658B26999358AE4E1D03CD6305D935C07BCD4F3CA3D2587"));
}
