//! One line: marker, host names, key, comment.

use crate::{
    certificate::HostCertificate,
    error::{Error, ErrorKind},
    key::{PublicKey, shown, split_fields},
    known_hosts::{Marker, ProblemKind},
    pattern::{BadPattern, HostPattern},
    wire::Reader,
};

/// How the types of certificates end (OpenSSH's PROTOCOL.certkeys).
const CERTIFICATE_SUFFIX: &[u8] = b"-cert-v01@openssh.com";

/// A line that names hosts.
pub(super) struct Line {
    pub(super) marker: Marker,
    pub(super) hosts: HostPattern,
    pub(super) key: EntryKey,
}

/// The key of a line, or why it cannot be used. The line still tells that the host is known.
pub(super) enum EntryKey {
    Key(PublicKey),
    Unreadable(Error),
}

impl EntryKey {
    /// Whether the key might be one that a host can show, were it read. A type that is not known, and a size that is never
    /// accepted, is not.
    pub(super) fn is_damaged(&self) -> bool {
        match self {
            Self::Key(_) => false,
            Self::Unreadable(error) => {
                !matches!(error.kind(), ErrorKind::UnsupportedKey | ErrorKind::KeySize)
            }
        }
    }

    pub(super) fn into_key(self) -> Option<PublicKey> {
        match self {
            Self::Key(key) => Some(key),
            Self::Unreadable(_) => None,
        }
    }
}

impl Line {
    /// `Ok(None)` for an empty line or a comment.
    pub(super) fn parse(line: &[u8]) -> Result<Option<Self>, ProblemKind> {
        let mut rest = skip_blanks(line);
        // A Windows editor ends lines with CR LF.
        if matches!(rest, [] | [b'#', ..] | [b'\r']) {
            return Ok(None);
        }
        let mut marker = Marker::HostKey;
        if rest.first() == Some(&b'@') {
            let (word, after) = field(rest);
            marker = match word {
                b"@cert-authority" => Marker::CertAuthority,
                b"@revoked" => Marker::Revoked,
                other => return Err(ProblemKind::Marker(shown(other))),
            };
            rest = skip_blanks(after);
            if rest.first() == Some(&b'@') {
                return Err(ProblemKind::Marker(shown(field(rest).0)));
            }
        }
        let (hosts, after) = field(rest);
        let key = skip_blanks(after);
        let has_key = !matches!(key, [] | [b'#', ..] | [b'\r']);
        // What names hosts and revokes nothing that can be read is more than a line to pass over.
        if !has_key && (marker != Marker::Revoked || matches!(hosts, [] | [b'\r'])) {
            return Err(ProblemKind::NoKey);
        }
        let hosts = HostPattern::parse(hosts).map_err(|bad| match bad {
            BadPattern::Hash => ProblemKind::HashedName,
            BadPattern::TooLong => ProblemKind::PatternTooLong,
        })?;
        let key = match read_key(marker, if has_key { key } else { &[] }) {
            Ok(key) => EntryKey::Key(key),
            Err(error) => EntryKey::Unreadable(error),
        };
        Ok(Some(Self { marker, hosts, key }))
    }
}

/// A revoked line may hold a certificate, and then revokes the key it certifies; others hold plain keys.
fn read_key(marker: Marker, text: &[u8]) -> Result<PublicKey, Error> {
    let (name, _) = field(text);
    if marker == Marker::Revoked && name.ends_with(CERTIFICATE_SUFFIX) {
        let (_, wire) = split_fields(text)?;
        if Reader::new(&wire).string() != Some(name) {
            let message = format!("what follows `{}` is not a certificate of that type", shown(name));
            return Err(Error::new(ErrorKind::MalformedCertificate, message));
        }
        return Ok(HostCertificate::from_wire(&wire)?.key().clone());
    }
    PublicKey::from_fields(text)
}

/// The bytes up to a blank, and those from it on.
fn field(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(is_blank).unwrap_or(bytes.len());
    bytes.split_at(end)
}

fn skip_blanks(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !is_blank(byte)).unwrap_or(bytes.len());
    &bytes[start..]
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    fn parse(line: &str) -> Result<Option<Line>, ProblemKind> {
        Line::parse(line.as_bytes())
    }

    fn marker_of(line: &str) -> Marker {
        parse(line).unwrap().unwrap().marker
    }

    #[test]
    fn comments_and_empty_lines_say_nothing() {
        for line in ["", " \t", "\r", "#web-1 ssh-ed25519 AAAA", "  # x", "#"] {
            assert!(parse(line).unwrap().is_none(), "{line:?}");
        }
    }

    #[test]
    fn markers_are_followed_by_any_blanks() {
        assert_eq!(marker_of(&format!("web-1 {KEY}")), Marker::HostKey);
        assert_eq!(marker_of(&format!("@revoked \t web-1\t{KEY}\r")), Marker::Revoked);
        assert_eq!(marker_of(&format!("  @cert-authority\t* {KEY} the lab")), Marker::CertAuthority);
    }

    #[test]
    fn an_unknown_or_second_marker_is_named() {
        for (line, marker) in [
            ("@Revoked web-1 x", "@Revoked"),
            ("@ web-1 x", "@"),
            ("@revoked @cert-authority web-1 x", "@cert-authority"),
        ] {
            assert_eq!(parse(line).err(), Some(ProblemKind::Marker(marker.into())), "{line}");
        }
    }

    #[test]
    fn a_line_that_ends_before_its_key_is_cut_short() {
        for line in ["web-1", "web-1 ", "web-1 # comment", "@revoked", "@revoked \r", "web-1 \r"] {
            assert_eq!(parse(line).err(), Some(ProblemKind::NoKey), "{line:?}");
        }
        for line in ["@revoked web-1", "@revoked web-1 \r", "@revoked web-1 # comment"] {
            assert!(parse(line).unwrap().unwrap().key.is_damaged(), "{line:?}");
        }
    }

    #[test]
    fn a_comment_of_any_bytes_is_ignored() {
        let mut line = format!("web-1 {KEY} caf").into_bytes();
        line.extend_from_slice(b"\xe9 \xff\xfe\0");
        let parsed = Line::parse(&line).unwrap().unwrap();
        assert!(parsed.key.into_key().is_some());
    }

    #[test]
    fn a_line_whose_key_cannot_be_read_still_names_its_hosts() {
        for key in ["ssh-unknown AAAA", "ssh-ed25519 AAAA", "ssh-ed25519", "1024 35 123456789"] {
            let line = parse(&format!("web-1 {key}")).unwrap().unwrap();
            assert!(line.hosts.matches("web-1"), "{key}");
            assert!(line.key.into_key().is_none(), "{key}");
        }
    }
}
