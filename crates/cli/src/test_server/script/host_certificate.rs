//! The certificate with which the server shows its host keys: given, or signed here.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustle_testserver::{Builder, HostCertificate};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::failure::Failure;

#[derive(Deserialize)]
#[serde(try_from = "Keys")]
pub(super) enum Certificate {
    File(PathBuf),
    Signed(Signing),
}

pub(super) struct Signing {
    principals: Vec<String>,
    authority: Option<PathBuf>,
    from: SystemTime,
    until: SystemTime,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    file: Option<PathBuf>,
    principals: Option<Vec<String>>,
    authority_file: Option<PathBuf>,
    valid_from: Option<u64>,
    valid_until: Option<u64>,
}

/// As late as the library's own: the last second that 32 bits can say.
const LATEST: u64 = u32::MAX as u64;

impl Certificate {
    /// Reads the files that are named, relative to `folder`.
    ///
    /// # Errors
    /// One cannot be read.
    pub(super) fn apply(self, builder: Builder, folder: &Path) -> Result<Builder, Failure> {
        let certificate = match self {
            Self::File(path) => HostCertificate::given(read(&folder.join(path))?.as_str()),
            Self::Signed(signing) => {
                let certificate = HostCertificate::signed(signing.principals);
                let certificate = match signing.authority {
                    Some(path) => certificate.authority(read(&folder.join(path))?.as_str()),
                    None => certificate,
                };
                certificate.valid(signing.from, signing.until)
            }
        };
        Ok(builder.host_certificate(certificate))
    }
}

/// An authority's private key may stand there.
fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::io(format!("the file {} cannot be read", path.display()), &error))?;
    Ok(Zeroizing::new(text))
}

impl TryFrom<Keys> for Certificate {
    type Error = &'static str;

    fn try_from(keys: Keys) -> Result<Self, Self::Error> {
        match (keys.file, keys.principals) {
            (Some(path), None) if keys.authority_file.is_none() => {
                match (keys.valid_from, keys.valid_until) {
                    (None, None) => Ok(Self::File(path)),
                    _ => Err("a certificate from a `file` has its dates in it"),
                }
            }
            (Some(_), _) => Err("a certificate has a `file`, or `principals` and all else, not both"),
            (None, None) => Err("a certificate has a `file` or `principals`, which may be empty"),
            (None, Some(principals)) => {
                let from = time(keys.valid_from.unwrap_or(0))?;
                let until = time(keys.valid_until.unwrap_or(LATEST))?;
                if until <= from {
                    return Err("`valid_until` is after `valid_from`");
                }
                Ok(Self::Signed(Signing { principals, authority: keys.authority_file, from, until }))
            }
        }
    }
}

fn time(seconds: u64) -> Result<SystemTime, &'static str> {
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(seconds))
        .ok_or("`valid_from` and `valid_until` are seconds since 1970")
}
