//! OpenSSH's binary revocation lists (PROTOCOL.krl).
//!
//! Sections of signatures are passed over, as OpenSSH does since 9.4: it never finished them, and nobody makes any.
//! Everything else that is not understood makes the list unusable.

use std::collections::HashSet;

use sha1::{Digest, Sha1};

use crate::{
    certificate::HostCertificate,
    key::{PublicKey, shown},
    known_hosts::PresentedKey,
    revocation::RevokedBy,
    wire::Reader,
};

/// How a list begins.
pub(super) const MAGIC: &[u8] = b"SSHKRL\n\0";
const FORMAT: u32 = 1;

const CERTIFICATES: u8 = 1;
const EXPLICIT_KEYS: u8 = 2;
const FINGERPRINTS_SHA1: u8 = 3;
const SIGNATURE: u8 = 4;
const FINGERPRINTS_SHA256: u8 = 5;
const EXTENSION: u8 = 255;

const SERIAL_LIST: u8 = 0x20;
const SERIAL_RANGE: u8 = 0x21;
const SERIAL_BITMAP: u8 = 0x22;
const KEY_ID: u8 = 0x23;
const CERTIFICATE_EXTENSION: u8 = 0x39;

/// The largest `mpint` that OpenSSH reads, in bytes.
const MAX_BITMAP: usize = 2048;

/// How many authorities a list may have certificates of. An empty section takes 13 bytes of the list and ten times as
/// many here.
const MOST_AUTHORITIES: usize = 65_536;

/// One list.
#[derive(Clone, Debug)]
pub(super) struct Krl {
    pub(super) version: u64,
    pub(super) generated: u64,
    pub(super) comment: String,
    keys: HashSet<Box<[u8]>>,
    sha1: HashSet<[u8; 20]>,
    sha256: HashSet<[u8; 32]>,
    certificates: Vec<Certificates>,
}

/// The certificates of one authority that are revoked, or of any.
#[derive(Clone, Debug)]
struct Certificates {
    authority: Option<PublicKey>,
    /// First and last of each range.
    serials: Vec<(u64, u64)>,
    bitmaps: Vec<Bitmap>,
    key_ids: HashSet<Box<[u8]>>,
}

/// Serial numbers from `first` on, one for each bit; kept as it came, so that a few bytes cannot become many numbers.
#[derive(Clone, Debug)]
struct Bitmap {
    first: u64,
    /// The highest bits first, no zero byte in front.
    bits: Box<[u8]>,
}

impl Krl {
    /// Reads a list that begins with [`MAGIC`]; the error says what is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader::new(bytes.strip_prefix(MAGIC).ok_or("it does not begin as a list")?);
        let format = reader.u32().ok_or(CUT_SHORT)?;
        if format != FORMAT {
            return Err(format!("its format {format} is not known"));
        }
        let (version, generated, _flags) = header(&mut reader).ok_or(CUT_SHORT)?;
        let _reserved = reader.string().ok_or(CUT_SHORT)?;
        let comment = text(&mut reader)?;
        let mut krl = Self {
            version,
            generated,
            comment: shown(comment),
            keys: HashSet::new(),
            sha1: HashSet::new(),
            sha256: HashSet::new(),
            certificates: Vec::new(),
        };
        while !reader.is_empty() {
            let kind = reader.u8().ok_or(CUT_SHORT)?;
            let section = reader.string().ok_or(CUT_SHORT)?;
            if kind == SIGNATURE {
                // The section was the key; the signature stands behind it.
                reader.string().ok_or(CUT_SHORT)?;
            } else {
                krl.section(kind, Reader::new(section))?;
            }
        }
        Ok(krl)
    }

    /// By what the list revokes it. The key and its fingerprints go first, then the certificate, then its authority.
    pub(super) fn revokes(&self, presented: &PresentedKey) -> Option<RevokedBy> {
        if self.has_key(presented.key()) {
            return Some(RevokedBy::Key);
        }
        let PresentedKey::Certificate(certificate) = presented else { return None };
        let revoked = self.certificates.iter().find_map(|revoked| revoked.revokes(certificate));
        revoked.or_else(|| self.has_key(certificate.authority()).then_some(RevokedBy::Authority))
    }

    fn has_key(&self, key: &PublicKey) -> bool {
        let sha1: [u8; 20] = Sha1::digest(key.wire()).into();
        self.sha1.contains(&sha1)
            || self.sha256.contains(key.fingerprint_sha256().as_bytes())
            || self.keys.contains(key.wire())
    }

    fn section(&mut self, kind: u8, mut section: Reader<'_>) -> Result<(), String> {
        match kind {
            CERTIFICATES if self.certificates.len() >= MOST_AUTHORITIES => {
                return Err(format!("it has certificates of more than {MOST_AUTHORITIES} authorities"));
            }
            CERTIFICATES => self.certificates.push(Certificates::read(section)?),
            EXPLICIT_KEYS => {
                while !section.is_empty() {
                    self.keys.insert(section.string().ok_or(CUT_SHORT)?.into());
                }
            }
            FINGERPRINTS_SHA1 => fingerprints(section, &mut self.sha1)?,
            FINGERPRINTS_SHA256 => fingerprints(section, &mut self.sha256)?,
            EXTENSION => extension(section)?,
            other => return Err(format!("its section of type {other} is not known")),
        }
        Ok(())
    }
}

impl Certificates {
    fn read(mut section: Reader<'_>) -> Result<Self, String> {
        let authority = match section.string().ok_or(CUT_SHORT)? {
            [] => None,
            wire => Some(PublicKey::from_wire(wire).map_err(|error| format!("an authority in it: {error}"))?),
        };
        let _reserved = section.string().ok_or(CUT_SHORT)?;
        let (serials, bitmaps, key_ids) = (Vec::new(), Vec::new(), HashSet::new());
        let mut revoked = Self { authority, serials, bitmaps, key_ids };
        while !section.is_empty() {
            let kind = section.u8().ok_or(CUT_SHORT)?;
            revoked.part(kind, Reader::new(section.string().ok_or(CUT_SHORT)?))?;
        }
        Ok(revoked)
    }

    fn part(&mut self, kind: u8, mut part: Reader<'_>) -> Result<(), String> {
        match kind {
            SERIAL_LIST => {
                while !part.is_empty() {
                    let serial = part.u64().ok_or(CUT_SHORT)?;
                    self.range(serial, serial)?;
                }
            }
            SERIAL_RANGE => {
                let (first, last) = (part.u64().ok_or(CUT_SHORT)?, part.u64().ok_or(CUT_SHORT)?);
                self.range(first, last)?;
            }
            SERIAL_BITMAP => self.bitmaps.push(Bitmap::read(&mut part)?),
            KEY_ID => {
                while !part.is_empty() {
                    self.key_ids.insert(text(&mut part)?.into());
                }
            }
            CERTIFICATE_EXTENSION => return extension(part),
            other => return Err(format!("its kind {other} of revoked certificates is not known")),
        }
        if part.is_empty() { Ok(()) } else { Err(TRAILING.to_owned()) }
    }

    fn range(&mut self, first: u64, last: u64) -> Result<(), String> {
        // 0 is the serial number of certificates that have none.
        if first == 0 || first > last {
            return Err(format!("{first} to {last} is no range of serial numbers"));
        }
        self.serials.push((first, last));
        Ok(())
    }

    fn revokes(&self, certificate: &HostCertificate) -> Option<RevokedBy> {
        if self.authority.as_ref().is_some_and(|authority| authority != certificate.authority()) {
            return None;
        }
        if self.key_ids.contains(certificate.key_id_bytes()) {
            return Some(RevokedBy::KeyId(shown(certificate.key_id_bytes())));
        }
        let serial = certificate.serial();
        let listed = self.serials.iter().any(|(first, last)| (*first..=*last).contains(&serial))
            || self.bitmaps.iter().any(|bitmap| bitmap.has(serial));
        (serial != 0 && listed).then_some(RevokedBy::Serial(serial))
    }
}

impl Bitmap {
    fn read(part: &mut Reader<'_>) -> Result<Self, String> {
        let first = part.u64().ok_or(CUT_SHORT)?;
        let number = part.string().ok_or(CUT_SHORT)?;
        // An `mpint` (RFC 4251 section 5) below zero is no set of bits.
        if number.first().is_some_and(|byte| byte & 0x80 != 0) {
            return Err("a bitmap in it is below zero".to_owned());
        }
        let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
        let bits = number.get(start..).unwrap_or_default();
        if bits.len() > MAX_BITMAP {
            return Err("a bitmap in it is too long".to_owned());
        }
        let bitmap = Self { first, bits: bits.into() };
        match bitmap.highest() {
            Some(highest) if first.checked_add(highest).is_none() => {
                Err("a bitmap in it reaches past the last serial number".to_owned())
            }
            _ if first == 0 && bitmap.bit(0) => Err("0 is no serial number".to_owned()),
            _ => Ok(bitmap),
        }
    }

    fn has(&self, serial: u64) -> bool {
        serial.checked_sub(self.first).is_some_and(|index| self.bit(index))
    }

    fn bit(&self, index: u64) -> bool {
        let Ok(from_end) = usize::try_from(index / 8) else { return false };
        let byte = self.bits.iter().rev().nth(from_end);
        byte.is_some_and(|byte| byte >> (index % 8) & 1 == 1)
    }

    /// The highest bit that is set.
    fn highest(&self) -> Option<u64> {
        let first = self.bits.first()?;
        let below = u64::try_from(self.bits.len()).ok()?.checked_sub(1)?.checked_mul(8)?;
        below.checked_add(u64::from(first.checked_ilog2()?))
    }
}

const CUT_SHORT: &str = "it is damaged or cut short";
const TRAILING: &str = "a section of it is longer than what it holds";

fn header(reader: &mut Reader<'_>) -> Option<(u64, u64, u64)> {
    Some((reader.u64()?, reader.u64()?, reader.u64()?))
}

/// A string that is text: without NUL.
fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], String> {
    let text = reader.string().ok_or(CUT_SHORT)?;
    if text.contains(&0) { Err("a text in it holds a NUL".to_owned()) } else { Ok(text) }
}

fn fingerprints<const N: usize>(mut section: Reader<'_>, into: &mut HashSet<[u8; N]>) -> Result<(), String> {
    while !section.is_empty() {
        let fingerprint = section.string().ok_or(CUT_SHORT)?;
        let fingerprint = fingerprint.try_into();
        into.insert(fingerprint.map_err(|_| "a fingerprint in it has the wrong length".to_owned())?);
    }
    Ok(())
}

/// None is defined yet. One that is not critical may be passed over.
fn extension(mut section: Reader<'_>) -> Result<(), String> {
    let name = text(&mut section)?;
    let critical = section.u8().ok_or(CUT_SHORT)?;
    section.string().ok_or(CUT_SHORT)?;
    if !section.is_empty() {
        return Err(TRAILING.to_owned());
    }
    if critical != 0 {
        return Err(format!("its critical extension `{}` is not known", shown(name)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bitmap(first: u64, number: &[u8]) -> Result<Bitmap, String> {
        let mut part = first.to_be_bytes().to_vec();
        crate::wire::put_string(&mut part, number).unwrap();
        Bitmap::read(&mut Reader::new(&part))
    }

    #[test]
    fn a_list_of_empty_sections_takes_no_more_than_its_share_of_memory() {
        let list = |sections: usize| {
            let mut bytes = MAGIC.to_vec();
            bytes.extend(FORMAT.to_be_bytes());
            bytes.extend([0; 3 * 8 + 2 * 4]);
            for _ in 0..sections {
                bytes.extend([CERTIFICATES, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
            }
            Krl::parse(&bytes)
        };
        assert_eq!(list(MOST_AUTHORITIES).unwrap().certificates.len(), MOST_AUTHORITIES);
        assert!(list(MOST_AUTHORITIES + 1).unwrap_err().contains("more than 65536 authorities"));
    }

    #[test]
    fn the_lowest_bit_of_a_bitmap_is_its_first_number() {
        let map = bitmap(100, &[0, 0x80, 0b101]).unwrap();
        let revoked: Vec<u64> = (0..200).filter(|serial| map.has(*serial)).collect();
        assert_eq!(revoked, [100, 102, 115]);
        assert_eq!(map.highest(), Some(15));
        assert!(!map.has(u64::MAX));
    }

    #[test]
    fn a_bitmap_may_reach_the_last_number_and_not_past_it() {
        assert!(bitmap(u64::MAX - 1, &[0b11]).unwrap().has(u64::MAX));
        assert!(bitmap(u64::MAX - 1, &[0b111]).is_err());
        assert!(bitmap(0, &[1]).is_err(), "0 stands for no number");
        assert!(bitmap(0, &[2]).unwrap().has(1));
        assert!(bitmap(1, &[0x80]).is_err(), "below zero");
        assert!(bitmap(1, &[1; MAX_BITMAP + 1]).is_err());
        assert!(!bitmap(1, &[]).unwrap().has(1));
    }
}
