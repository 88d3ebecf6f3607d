//! The known answers of the self-test.
//!
//! AES-GCM: those of McGrew and Viega's specification (appendix B) that have 96-bit nonces, which are also
//! NIST's first; test case 1 to 4 for AES-128, 13 to 16 for AES-256. Then, for each, one text long enough for
//! the batches of either back end, whose tag was computed by OpenSSL.
//!
//! OpenSSH's ChaCha20-Poly1305: of the vectors that `tests/vectors/openssh_chacha20_poly1305.py` derives.

use super::pattern;
use crate::aead::KeySize;

/// A text to seal.
#[derive(Clone)]
pub(crate) enum Text {
    Bytes(&'static [u8]),
    Pattern { len: usize, seed: usize },
}

impl Text {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match *self {
            Self::Bytes(bytes) => bytes.to_vec(),
            Self::Pattern { len, seed } => pattern(len, seed),
        }
    }
}

#[derive(Clone)]
pub(crate) struct AesGcmVector {
    pub(crate) key: &'static [u8],
    pub(crate) nonce: [u8; 12],
    pub(crate) aad: &'static [u8],
    pub(crate) plaintext: Text,
    /// Left out where the tag, which depends on all of it, is enough.
    pub(crate) ciphertext: Option<&'static [u8]>,
    pub(crate) tag: [u8; 16],
}

impl AesGcmVector {
    pub(crate) fn size(&self) -> KeySize {
        if self.key.len() == KeySize::Aes128.bytes() { KeySize::Aes128 } else { KeySize::Aes256 }
    }
}

#[derive(Clone)]
pub(crate) struct OpenSshVector {
    pub(crate) sequence_number: u32,
    pub(crate) key: [u8; 64],
    /// The packet length in the clear.
    pub(crate) length: [u8; 4],
    pub(crate) payload: Text,
    /// Left out where the tag, which depends on all of it, is enough.
    pub(crate) sealed: Option<&'static [u8]>,
    pub(crate) tag: [u8; 16],
}

const KEY: [u8; 16] = hex("feffe9928665731c6d6a8f9467308308");
const KEY_TWICE: [u8; 32] = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
const NONCE: [u8; 12] = hex("cafebabefacedbaddecaf888");
const AAD: [u8; 20] = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
const PLAINTEXT: [u8; 64] = hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
     1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255");
const CIPHERTEXT_128: [u8; 64] = hex("42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e\
     21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985");
const CIPHERTEXT_256: [u8; 64] = hex("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
     8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad");

pub(crate) const AES_GCM: &[AesGcmVector] = &[
    // Test case 1.
    AesGcmVector {
        key: &[0; 16],
        nonce: [0; 12],
        aad: &[],
        plaintext: Text::Bytes(&[]),
        ciphertext: Some(&[]),
        tag: hex("58e2fccefa7e3061367f1d57a4e7455a"),
    },
    // Test case 2.
    AesGcmVector {
        key: &[0; 16],
        nonce: [0; 12],
        aad: &[],
        plaintext: Text::Bytes(&[0; 16]),
        ciphertext: Some(&hex::<16>("0388dace60b6a392f328c2b971b2fe78")),
        tag: hex("ab6e47d42cec13bdf53a67b21257bddf"),
    },
    // Test case 3.
    AesGcmVector {
        key: &KEY,
        nonce: NONCE,
        aad: &[],
        plaintext: Text::Bytes(&PLAINTEXT),
        ciphertext: Some(&CIPHERTEXT_128),
        tag: hex("4d5c2af327cd64a62cf35abd2ba6fab4"),
    },
    // Test case 4.
    AesGcmVector {
        key: &KEY,
        nonce: NONCE,
        aad: &AAD,
        plaintext: Text::Bytes(PLAINTEXT.split_at(60).0),
        ciphertext: Some(CIPHERTEXT_128.split_at(60).0),
        tag: hex("5bc94fbc3221a5db94fae95ae7121a47"),
    },
    // Test case 13.
    AesGcmVector {
        key: &[0; 32],
        nonce: [0; 12],
        aad: &[],
        plaintext: Text::Bytes(&[]),
        ciphertext: Some(&[]),
        tag: hex("530f8afbc74536b9a963b4f1c4cb738b"),
    },
    // Test case 14.
    AesGcmVector {
        key: &[0; 32],
        nonce: [0; 12],
        aad: &[],
        plaintext: Text::Bytes(&[0; 16]),
        ciphertext: Some(&hex::<16>("cea7403d4d606b6e074ec5d3baf39d18")),
        tag: hex("d0d1c8a799996bf0265b98b5d48ab919"),
    },
    // Test case 15.
    AesGcmVector {
        key: &KEY_TWICE,
        nonce: NONCE,
        aad: &[],
        plaintext: Text::Bytes(&PLAINTEXT),
        ciphertext: Some(&CIPHERTEXT_256),
        tag: hex("b094dac5d93471bdec1a502270e3cc6c"),
    },
    // Test case 16.
    AesGcmVector {
        key: &KEY_TWICE,
        nonce: NONCE,
        aad: &AAD,
        plaintext: Text::Bytes(PLAINTEXT.split_at(60).0),
        ciphertext: Some(CIPHERTEXT_256.split_at(60).0),
        tag: hex("76fc6ece0f4e1768cddf8853bb2d551b"),
    },
    // Long, AES-128.
    AesGcmVector {
        key: &KEY,
        nonce: NONCE,
        aad: &AAD,
        plaintext: Text::Pattern { len: 4171, seed: 3 },
        ciphertext: None,
        tag: hex("01c925b97319c53070048f9e7af7a259"),
    },
    // Long, AES-256.
    AesGcmVector {
        key: &KEY_TWICE,
        nonce: NONCE,
        aad: &AAD,
        plaintext: Text::Pattern { len: 4171, seed: 3 },
        ciphertext: None,
        tag: hex("c2d6e9b5b6599893fd1861a76b58f78b"),
    },
];

pub(crate) const OPENSSH: &[OpenSshVector] = &[
    OpenSshVector {
        sequence_number: 4_294_967_295,
        key: hex("98216d2796c634b40f4a5ca2c2c33e9957b3e888643acbf10d711a54e0e66ce1\
             a74fe3145abd91a28e9878470dc08c1cd1d3a9dff8fef6ce55dd7fd6a2ffae77"),
        length: [0, 0, 0, 61],
        payload: Text::Pattern { len: 61, seed: 8 },
        sealed: Some(&hex::<65>(
            "ea73956ecfaf4f0f781362cde85948242c683138de507818ad0cb2e28b6d1605\
             022c085508e57c2d0fd1e671c76d16a8fc7e06f293a6253ca6fb0b70349d123d\
             76",
        )),
        tag: hex("e2e338efa789bbd46652acf9f4691c1e"),
    },
    OpenSshVector {
        sequence_number: 2_000,
        key: hex("717494e6a930aaf6276cf701f4e7c36f2d119342a13539ae8ab4a81718ea2d66\
             5ad857fd907cca1a183cb99e711b252343d65f2bc6a44d24695b44329003738f"),
        length: [0, 0, 16, 3],
        payload: Text::Pattern { len: 4_099, seed: 2 },
        sealed: None,
        tag: hex("b44c360a63be2473472a9ea1f40168dd"),
    },
    OpenSshVector {
        sequence_number: 3_000,
        key: hex("eb734061bac06024212f09587c71ec78bdd2098ad96e734a83126f9fd04366bc\
             5c84ff5fd18717af92507fa5922290e9c969f9922ce6906db22e24a069165a63"),
        length: [0, 0, 128, 0],
        payload: Text::Pattern { len: 32_768, seed: 3 },
        sealed: None,
        tag: hex("8acc883e8bb76623f8cc7e918a464df7"),
    },
];

/// Hexadecimal digits as bytes, when compiled.
const fn hex<const N: usize>(digits: &str) -> [u8; N] {
    let digits = digits.as_bytes();
    assert!(digits.len() == 2 * N, "two digits for each byte");
    let mut bytes = [0; N];
    let mut i = 0;
    while i < N {
        bytes[i] = digit(digits[2 * i]) << 4 | digit(digits[2 * i + 1]);
        i += 1;
    }
    bytes
}

const fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => panic!("not a hexadecimal digit"),
    }
}
