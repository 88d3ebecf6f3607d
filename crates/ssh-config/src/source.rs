//! Where files, environment and local identity come from.

use std::io;
use std::net::IpAddr;

use crate::AddressFamily;

/// The release of OpenSSH whose grammar this crate reads.
pub(crate) const GRAMMAR: &str = "OpenSSH_10.5p1";
/// The list of services that systems install has some 20 KiB.
pub(crate) const MAX_SERVICES: u64 = 1 << 20;

/// The outside world as the configuration sees it. Paths are text as it stands in the configuration, with `/`
/// or the system's own separator.
pub trait Source {
    /// Reads at most `limit + 1` bytes of a file; `None` when there is none.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    fn read(&self, path: &str, limit: u64) -> io::Result<Option<SourceFile>>;

    /// The names in a directory, for wildcards in `Include`; empty when there is no such directory.
    ///
    /// # Errors
    /// When the directory is there and cannot be listed.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;

    /// The value of an environment variable.
    fn env(&self, name: &str) -> Option<String>;

    /// The home directory of the local user, or of the named one (`~name`).
    fn home(&self, user: Option<&str>) -> Option<String>;

    /// The local user's name (`%u`).
    fn user(&self) -> Option<String>;

    /// The local user's number (`%i`); `None` where the system has no such numbers.
    fn user_id(&self) -> Option<u32>;

    /// The local machine's name (`%l`, and its first part is `%L`).
    fn host(&self) -> Option<String>;

    /// Runs a line of `Match exec` by the user's shell, without input and without its output, and tells whether it
    /// succeeded. By default an error: nothing is run.
    ///
    /// # Errors
    /// When it cannot be run, does not end by itself, or takes too long.
    fn run(&self, line: &str) -> io::Result<bool> {
        let _ = line;
        Err(io::Error::new(io::ErrorKind::Unsupported, "no commands are run here"))
    }

    /// Looks a host's name up, for canonical names; `None` when there is no such host. By default an error: the
    /// network is not asked.
    ///
    /// # Errors
    /// When the name service cannot tell.
    fn look_up(&self, name: &str, family: AddressFamily) -> io::Result<Option<FoundHost>> {
        let _ = (name, family);
        Err(io::Error::new(io::ErrorKind::Unsupported, "no names are looked up here"))
    }

    /// The addresses of this machine's interfaces that are up, for `Match localnetwork`. By default an error: they
    /// are not looked at.
    ///
    /// # Errors
    /// When the system does not tell.
    fn interface_addresses(&self) -> io::Result<Vec<IpAddr>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "the network's interfaces are not looked at here"))
    }

    /// What `Match version` compares with. By default the release of OpenSSH whose grammar this crate reads.
    fn ssh_version(&self) -> String {
        GRAMMAR.to_owned()
    }

    /// The TCP port of a service by its name, which may stand wherever a port may. By default it is looked up in
    /// `/etc/services`, read through [`read`](Source::read), and `ssh` is 22 in any case.
    fn service_port(&self, name: &str) -> Option<u16> {
        if name == "ssh" {
            return Some(22);
        }
        self.read("/etc/services", MAX_SERVICES).ok()??.service_port(name)
    }

    /// The directory of the system-wide files: `/etc/ssh`, or `ssh` in Windows' program data.
    fn system_directory(&self) -> String;
}

/// The port in a line `name port/tcp alias… # comment` that is about this service.
fn service(line: &[u8], wanted: &str) -> Option<u16> {
    let line = std::str::from_utf8(line).ok()?;
    let mut words = line.split('#').next()?.split_ascii_whitespace();
    let (name, port) = (words.next()?, words.next()?.strip_suffix("/tcp")?);
    let named = name == wanted || words.any(|alias| alias == wanted);
    if named { port.parse().ok() } else { None }
}

/// A host that the name service knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundHost {
    canonical: Option<String>,
    unknown_aliases: bool,
}

impl FoundHost {
    /// A host without another name than the one that was asked for.
    #[must_use]
    pub fn new() -> FoundHost {
        FoundHost::default()
    }

    /// With the name that the one asked for is an alias of.
    #[must_use]
    pub fn canonical_name(self, name: impl Into<String>) -> FoundHost {
        FoundHost { canonical: Some(name.into()), ..self }
    }

    /// Found by a resolver that does not tell whether the name is an alias.
    #[must_use]
    pub fn with_unknown_aliases(self) -> FoundHost {
        FoundHost { unknown_aliases: true, ..self }
    }

    pub(crate) fn has_unknown_aliases(&self) -> bool {
        self.unknown_aliases
    }

    pub(crate) fn canonical(&self) -> Option<&str> {
        self.canonical.as_deref()
    }
}

/// A file's content and whose word it is.
#[derive(Clone, Debug)]
pub struct SourceFile {
    bytes: Vec<u8>,
    standing: Standing,
}

impl SourceFile {
    /// A file with this content.
    #[must_use]
    pub fn new(bytes: Vec<u8>, standing: Standing) -> SourceFile {
        SourceFile { bytes, standing }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The port of a service, where this is a list of them.
    pub(crate) fn service_port(&self, name: &str) -> Option<u16> {
        self.bytes.split(|b| *b == b'\n').find_map(|line| service(line, name))
    }

    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }
}

/// Who but its user could have written a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// Nobody but root.
    Trusted,
    /// Its group or everybody.
    WritableByOthers,
    /// It belongs to another user.
    OtherOwner,
    /// This system's permissions are not looked at.
    Unchecked,
}
