//! Names of the server as names of this side, and the other way round.
//!
//! A server chooses the names in its listings. Whatever it sends, what is made of one is a file directly inside the
//! directory asked for, or a refusal that says why: nothing is replaced, shortened or unescaped into another name.
//!
//! On Unix every byte but `/` and NUL is kept as it is. On Windows a name has to be UTF-8 and one that the system
//! takes as it stands: Win32 would read `a:b` as a stream of `a`, `NUL.txt` as a device, and `a.` as `a`.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::error::{Error, ErrorKind};
use crate::shown::Shown;

/// A name of the server as this system has it, where it is that of a single file here and means that file alone.
///
/// On Unix every byte but `/` and NUL is kept as it is, except that `.` and `..` are refused. On Windows the name has to be
/// UTF-8 and one that the system takes as it stands: it would read `a:b` as a stream of `a`, `NUL.txt` as a device, and `a.`
/// as `a`. Nothing is replaced or shortened, so that two names never become one.
///
/// ```
/// assert_eq!(rustle_sftp::local_name(b"app.log")?, "app.log");
/// assert!(rustle_sftp::local_name(b"../app.log").is_err());
/// # Ok::<(), rustle_sftp::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::InvalidName`] with the reason.
pub fn local_name(name: &[u8]) -> Result<OsString, Error> {
    component(name).map_err(|why| why.about(name))
}

/// The file `name`, an entry of a listing, directly inside `directory`.
///
/// # Errors
/// [`ErrorKind::InvalidName`] with the reason, where the name is none of a single file on this system.
pub(crate) fn join(directory: &Path, name: &[u8]) -> Result<PathBuf, Error> {
    local_name(name).map(|name| directory.join(name))
}

/// What a file of this side is called on the server: the same bytes on Unix, UTF-8 elsewhere.
///
/// # Errors
/// [`ErrorKind::InvalidName`] for a name of Windows that is no Unicode: it has no spelling in bytes.
pub(crate) fn for_server(name: &OsStr) -> Result<Bytes, Error> {
    #[cfg(unix)]
    return Ok(Bytes::copy_from_slice(std::os::unix::ffi::OsStrExt::as_bytes(name)));
    #[cfg(not(unix))]
    return match name.to_str() {
        Some(name) => Ok(Bytes::copy_from_slice(name.as_bytes())),
        None => Err(Refusal::NotUnicode.about(name.to_string_lossy().as_bytes())),
    };
}

/// The same bytes for names that are one file on this system.
pub(crate) fn as_one(name: &[u8]) -> Vec<u8> {
    Rules::HERE.folded(name)
}

/// The same bytes for names that differ only in the case of their letters, which are one file on some systems.
pub(crate) fn without_case(name: &[u8]) -> Vec<u8> {
    Rules::Windows.folded(name)
}

/// The names of one directory that is being fetched, each of which may come once.
///
/// A server that lists a name twice, first as a link and then as a directory, would have the second written through
/// the first. Where the file system of this side takes `README` and `readme` for one file, as on Windows and macOS,
/// the second of them is refused as well, rather than written over the first. Letters are compared by their lower
/// case; that APFS also takes composed and decomposed accents for one is not seen here.
///
/// It keeps sixteen bytes for each name, whatever its length, and takes [`Siblings::MOST`] names.
#[derive(Debug)]
pub(crate) struct Siblings {
    seen: HashSet<u128>,
    // Two, since one hash of 64 bits would now and then refuse a name of a directory with millions. Their keys are
    // chosen at random, so that a server cannot choose names that meet.
    hashers: [RandomState; 2],
    rules: Rules,
    most: usize,
}

impl Siblings {
    /// More names than this are refused in one directory: a listing without an end must not fill the memory.
    pub(crate) const MOST: usize = 1 << 22;

    pub(crate) fn new() -> Self {
        Self::by(Rules::HERE, Self::MOST)
    }

    fn by(rules: Rules, most: usize) -> Self {
        Self { seen: HashSet::new(), hashers: [RandomState::new(), RandomState::new()], rules, most }
    }

    /// Takes one more name of the directory.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`] where this name, or one that is the same on this system, was there before.
    pub(crate) fn admit(&mut self, name: &[u8]) -> Result<(), Error> {
        if self.seen.len() >= self.most {
            return Err(Refusal::TooMany.about(name));
        }
        let folded = self.rules.folded(name);
        let [high, low] = &self.hashers;
        let hash = u128::from(high.hash_one(&folded)) << 64 | u128::from(low.hash_one(&folded));
        match self.seen.insert(hash) {
            true => Ok(()),
            false => Err(Refusal::Twice.about(name)),
        }
    }
}

/// A name as this system has it, if it is that of a single file.
fn component(name: &[u8]) -> Result<OsString, Refusal> {
    Rules::HERE.check(name)?;
    #[cfg(unix)]
    return Ok(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name).to_owned());
    #[cfg(not(unix))]
    return str::from_utf8(name).map(OsString::from).map_err(|_invalid| Refusal::NotUtf8);
}

/// What a file system lets a file be called. Both are on every system, so that both are tested on each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), expect(dead_code, reason = "a program is built for one system"))]
enum Rules {
    /// Linux and what is like it: bytes.
    Unix,
    /// Bytes too, but upper and lower case are one.
    Mac,
    /// Unicode without what Win32 reads as something else.
    Windows,
}

impl Rules {
    #[cfg(windows)]
    const HERE: Self = Self::Windows;
    #[cfg(target_vendor = "apple")]
    const HERE: Self = Self::Mac;
    #[cfg(not(any(windows, target_vendor = "apple")))]
    const HERE: Self = Self::Unix;

    fn check(self, name: &[u8]) -> Result<(), Refusal> {
        match name {
            b"" => return Err(Refusal::Empty),
            b"." | b".." => return Err(Refusal::Dots),
            _ if name.contains(&b'/') => return Err(Refusal::Separator),
            _ if name.contains(&0) => return Err(Refusal::Nul),
            _ => {}
        }
        match self {
            Self::Unix | Self::Mac => Ok(()),
            Self::Windows => check_for_windows(name),
        }
    }

    /// The same bytes for names that are one to the file system.
    fn folded(self, name: &[u8]) -> Vec<u8> {
        match (self, str::from_utf8(name)) {
            // By way of the upper case, since some letters have two lower ones (sigma, long s).
            (Self::Mac | Self::Windows, Ok(name)) => name.to_uppercase().to_lowercase().into_bytes(),
            (Self::Unix | Self::Mac | Self::Windows, _) => name.to_vec(),
        }
    }
}

/// "Naming Files, Paths, and Namespaces" of the Win32 documentation.
fn check_for_windows(name: &[u8]) -> Result<(), Refusal> {
    let name = str::from_utf8(name).map_err(|_invalid| Refusal::NotUtf8)?;
    let is_forbidden = |char: &char| char.is_ascii_control() || r#"<>:"\|?*"#.contains(*char);
    if let Some(char) = name.chars().find(is_forbidden) {
        return Err(Refusal::Character(char));
    }
    if name.ends_with(['.', ' ']) {
        return Err(Refusal::End);
    }
    // A device keeps its meaning with an extension, and with spaces before that.
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem).trim_end_matches(' ');
    if is_device(stem) {
        return Err(Refusal::Device);
    }
    Ok(())
}

fn is_device(stem: &str) -> bool {
    const ALONE: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];
    // The superscripts are in Latin-1, where they count as digits.
    const NUMBERS: [&str; 13] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³"];
    let stem = stem.to_ascii_lowercase();
    let port = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    ALONE.contains(&stem.as_str()) || port.is_some_and(|number| NUMBERS.contains(&number))
}

/// Why a name is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Empty,
    Dots,
    Separator,
    Nul,
    NotUtf8,
    #[cfg_attr(unix, expect(dead_code, reason = "every name of Unix is bytes"))]
    NotUnicode,
    Character(char),
    End,
    Device,
    Twice,
    TooMany,
}

impl Refusal {
    fn about(self, name: &[u8]) -> Error {
        // Names may be as long as a packet, and people read this.
        const SHOWN: usize = 1024;
        Error::new(ErrorKind::InvalidName, "use name", self.to_string()).at(&name[..name.len().min(SHOWN)])
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Empty => "a part of the path has no name",
            Self::Dots => "it would lead to another directory",
            Self::Separator => "a name with `/` in it would lead to another directory",
            Self::Nul => "no file can have a NUL in its name",
            Self::NotUtf8 => "the name is not UTF-8, and on this system a file's name is Unicode",
            Self::NotUnicode => "the name is not Unicode, so the server cannot be told it",
            Self::Character(char) => {
                let mut bytes = [0; 4];
                let shown = Shown::of(char.encode_utf8(&mut bytes).as_bytes());
                return write!(f, "on this system no file can have {shown} in its name");
            }
            Self::End => "on this system a name that ends in a dot or a space means another file",
            Self::Device => "on this system the name means a device",
            Self::Twice => "the directory has it already: the names are equal, or are on this system",
            Self::TooMany => "the server lists more names in one directory than are taken here",
        };
        f.write_str(text)
    }
}

#[cfg(test)]
mod tests;
