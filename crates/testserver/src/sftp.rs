//! SFTP: what files there are, what the server does with them, and which engine speaks.

mod convert;
mod entry;
mod handles;
mod independent;
mod limits;
mod long_name;
mod native;
mod outbox;
mod service;
mod session;
mod spoil;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use bytes::Bytes;
use rustle_sftp_proto::Extension;
use tokio_util::sync::CancellationToken;

use crate::{
    call::Call,
    connection::Connection,
    error::{Error, ErrorKind},
    exit::Exit,
    server::TestServer,
    sftp::{
        handles::HandleBytes,
        limits::LimitSettings,
        service::{Access, Service},
    },
    storage::{Directory, Links, Memory, Storage},
};

pub use entry::SftpEntry;

/// How SFTP is served; see [`Builder::sftp`](crate::Builder::sftp).
///
/// Paths are bytes and need not be UTF-8. Clients see the tree as `/`, which is everybody's home.
///
/// The server's own engine speaks version 3 as OpenSSH's `sftp-server` does: its answers, its limits, its extensions,
/// its `ls -l` lines. Handles are bytes with a meaning to the server alone, and replies come in the order of the requests unless a
/// [fault](crate::Fault::sftp) says otherwise.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
///
/// use rustle_testserver::{Sftp, SftpEntry, TestServer};
///
/// let sftp = Sftp::memory()
///     .file("/etc/motd", "Welcome.\n")
///     .directory_entry("/empty")
///     .symlink("/latest", "etc/motd")
///     .entry(
///         b"/data/not-utf8-\xff",
///         SftpEntry::file("secret").mode(0o600).modified(UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
///     )
///     .entry("/sparse", SftpEntry::file("").size(10 << 30)) // 10 GiB of nothing
///     .quota(64 << 20)
///     .without_extension("posix-rename@openssh.com")
///     .max_handles(10)
///     .binary_handles();
/// let builder = TestServer::builder().sftp(sftp);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Sftp {
    files: Files,
    entries: Vec<(Bytes, SftpEntry)>,
    memory: InMemory,
    extensions: Vec<Extension>,
    unknown: Vec<String>,
    limits: LimitSettings,
    access: Access,
    engine: SftpEngine,
    handle_bytes: HandleBytes,
    link_order: LinkOrder,
    noise: Bytes,
}

/// What only a tree in memory can be told.
#[derive(Debug, Clone, Default)]
struct InMemory {
    quota: Option<u64>,
    umask: Option<u32>,
    clock: Option<Clock>,
}

#[derive(Clone)]
struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

#[derive(Debug, Clone)]
enum Files {
    Memory,
    TempDir,
    Directory(PathBuf),
}

/// Who speaks SFTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SftpEngine {
    /// The server's own: byte exact, with faults.
    #[default]
    Native,
    /// One that others wrote, over a real directory and without any settings but [`link_order`](Sftp::link_order), to
    /// hold against the first: what passes with both is no accident of either. It takes names and handles for UTF-8, has
    /// three extensions, and opens regular files alone.
    /// It is no prison for a client that exchanges directories for links in a second session.
    Independent,
}

/// Which of its two paths a SYMLINK has first; see [`Sftp::link_order`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum LinkOrder {
    /// The target, then the link: OpenSSH's (its `PROTOCOL`, section 4.1), a mistake that was kept.
    #[default]
    OpenSsh,
    /// The link, then its target, as draft-ietf-secsh-filexfer-02 says in section 6.10.
    Draft,
}

impl Sftp {
    /// Serves a tree in memory, which is the server's alone and all of its sessions'.
    pub fn memory() -> Self {
        Self::of(Files::Memory)
    }

    /// Serves the server's temporary directory, [`TestServer::directory`](crate::TestServer::directory).
    ///
    /// ```
    /// use rustle_testserver::{Sftp, TestServer};
    ///
    /// let builder = TestServer::builder().sftp(Sftp::temp_dir());
    /// ```
    pub fn temp_dir() -> Self {
        Self::of(Files::TempDir)
    }

    /// Serves this directory, which must exist. No path and no link leads out of it.
    ///
    /// ```
    /// use rustle_testserver::{Sftp, TestServer};
    ///
    /// let builder = TestServer::builder().sftp(Sftp::directory("tests/fixtures").read_only());
    /// ```
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self::of(Files::Directory(path.into()))
    }

    /// Has this in its tree when the server starts. Directories above it are made.
    pub fn entry(mut self, path: impl AsRef<[u8]>, entry: SftpEntry) -> Self {
        self.entries.push((Bytes::copy_from_slice(path.as_ref()), entry));
        self
    }

    /// Has a file of this content, with mode 0644.
    pub fn file(self, path: impl AsRef<[u8]>, content: impl Into<Bytes>) -> Self {
        self.entry(path, SftpEntry::file(content))
    }

    /// Has a directory, with mode 0755.
    pub fn directory_entry(self, path: impl AsRef<[u8]>) -> Self {
        self.entry(path, SftpEntry::directory())
    }

    /// Has a symbolic link that reads `target`.
    pub fn symlink(self, path: impl AsRef<[u8]>, target: impl Into<Bytes>) -> Self {
        self.entry(path, SftpEntry::symlink(target))
    }

    /// At most so many bytes in the tree in memory; more fails as on a full disk. 4 GiB otherwise. A hole is not counted
    /// where it spans whole blocks of 64 KiB.
    pub fn quota(mut self, bytes: u64) -> Self {
        self.memory.quota = Some(bytes);
        self
    }

    /// The permission bits that new files in memory do not get. 0o022 otherwise.
    ///
    /// ```
    /// use rustle_testserver::{Sftp};
    ///
    /// let group_may_write = Sftp::memory().umask(0o002);
    /// ```
    pub fn umask(mut self, bits: u32) -> Self {
        self.memory.umask = Some(bits);
        self
    }

    /// Files in memory that clients change carry the time that this tells. Otherwise the first change is at
    /// 1 700 000 000 seconds after 1970 and each one a second after the last, whatever the clock says, so that one test
    /// gives the same times in every run. The function is called while the tree is locked: it must not ask this server for a
    /// file.
    pub fn clock(mut self, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.memory.clock = Some(Clock(Arc::new(now)));
        self
    }

    /// Neither announces nor answers this extension of OpenSSH, such as `posix-rename@openssh.com`.
    pub fn without_extension(mut self, name: &str) -> Self {
        match service::of_openssh(name) {
            Some(extension) => self.extensions.retain(|known| *known != extension),
            None => self.unknown.push(name.to_owned()),
        }
        self
    }

    /// Has these extensions of OpenSSH and no others. All eleven otherwise.
    ///
    /// ```
    /// use rustle_testserver::{Sftp};
    ///
    /// let old_server = Sftp::memory().extensions(["posix-rename@openssh.com", "statvfs@openssh.com"]);
    /// ```
    pub fn extensions<S: AsRef<str>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.extensions.clear();
        for name in names {
            match service::of_openssh(name.as_ref()) {
                Some(extension) => self.extensions.push(extension),
                None => self.unknown.push(name.as_ref().to_owned()),
            }
        }
        self
    }

    /// The longest packet taken, in bytes; a longer one ends the session, as with OpenSSH. At least 34 000, which the
    /// draft asks of every server (section 3). 262 144 otherwise, as OpenSSH's.
    pub fn max_packet(mut self, bytes: usize) -> Self {
        self.limits.packet = Some(bytes);
        self
    }

    /// What a READ returns at most, in bytes: from 1 to 1 MiB, and to 9 less than the longest packet. Otherwise 1024 less
    /// than the longest packet and no more than 261 120, as OpenSSH's.
    ///
    /// ```
    /// use rustle_testserver::{Sftp};
    ///
    /// let small = Sftp::memory().max_read(32 * 1024).max_write(32 * 1024);
    /// ```
    pub fn max_read(mut self, bytes: usize) -> Self {
        self.limits.read = Some(bytes);
        self
    }

    /// What a WRITE may carry, in bytes; a longer one fails. From 1 to 30 less than the longest packet. Otherwise 1024
    /// less than the longest packet and no more than 261 120, as OpenSSH says.
    pub fn max_write(mut self, bytes: usize) -> Self {
        self.limits.write = Some(bytes);
        self
    }

    /// How many files and directories a session may have open, at least 1; one more fails. 1019 otherwise, as OpenSSH
    /// says with the usual limit of open files.
    pub fn max_handles(mut self, n: usize) -> Self {
        self.limits.handles = Some(n);
        self
    }

    /// Which path of a SYMLINK is taken for the target. OpenSSH's order otherwise, as nearly every server has it.
    ///
    /// The wire does not say which order a client uses. Some clients, asyncssh and ssh2 among them, send OpenSSH's to
    /// servers whose identification says OpenSSH, and the draft's to all others: to this server too, whose identification
    /// is its own. Their links are right with [`LinkOrder::Draft`], or in OpenSSH's order with an
    /// [`identification`](crate::Builder::identification) as OpenSSH's; those of OpenSSH's `sftp` and of paramiko, which
    /// do not look who listens, are right in OpenSSH's order alone.
    ///
    /// ```
    /// use rustle_testserver::{LinkOrder, Sftp};
    ///
    /// let as_the_draft_says = Sftp::memory().link_order(LinkOrder::Draft);
    /// ```
    pub fn link_order(mut self, order: LinkOrder) -> Self {
        self.link_order = order;
        self
    }

    /// Refuses whatever would change a file, as OpenSSH's `sftp-server -R`.
    pub fn read_only(mut self) -> Self {
        self.access = Access::ReadOnly;
        self
    }

    /// Gives handles that are not UTF-8 from the first file on, so that a client that takes them for text fails at once.
    /// Otherwise they are numbers, as OpenSSH's are, and such a client fails when it comes
    /// to number 128: at the 129th file it opens. OpenSSH gives free numbers again, so there it takes 129 open at once.
    pub fn binary_handles(mut self) -> Self {
        self.handle_bytes = HandleBytes::NeverText;
        self
    }

    /// Speaks by this engine. A setting that it has not is an error of [`start`](crate::Builder::start).
    ///
    /// ```
    /// use rustle_testserver::{Sftp, SftpEngine};
    ///
    /// let the_other_one = Sftp::temp_dir().engine(SftpEngine::Independent);
    /// ```
    pub fn engine(mut self, engine: SftpEngine) -> Self {
        self.engine = engine;
        self
    }

    /// Sends this before anything else, as a shell whose start-up file prints something does; to SFTP alone, where
    /// [`Builder::startup_noise`](crate::Builder::startup_noise) is for commands too.
    ///
    /// ```
    /// use rustle_testserver::{Sftp};
    ///
    /// let chatty = Sftp::memory().banner_noise("Welcome to web-1!\n");
    /// ```
    pub fn banner_noise(mut self, noise: impl Into<Bytes>) -> Self {
        self.noise = noise.into();
        self
    }

    fn of(files: Files) -> Self {
        Self {
            files,
            entries: Vec::new(),
            memory: InMemory::default(),
            extensions: Extension::OPENSSH.to_vec(),
            unknown: Vec::new(),
            limits: LimitSettings::default(),
            access: Access::ReadWrite,
            engine: SftpEngine::default(),
            handle_bytes: HandleBytes::Numbers,
            link_order: LinkOrder::default(),
            noise: Bytes::new(),
        }
    }

    /// As it is served; `directory` is the server's temporary one.
    pub(crate) fn open(self, directory: &Path) -> Result<Server, Error> {
        self.check()?;
        let limits = self.limits.resolve().map_err(|text| configuration(format!("Sftp::{text}")))?;
        let root = match &self.files {
            Files::Memory => None,
            Files::TempDir => Some(directory),
            Files::Directory(path) => Some(path.as_path()),
        };
        let storage: Box<dyn Storage> = match root {
            None => Box::new(self.plant()?),
            Some(root) => {
                let tree = Directory::new(root)
                    .map_err(|source| Error::io("open the directory that SFTP serves", source))?;
                self.fill(&tree)?;
                Box::new(tree)
            }
        };
        if let (SftpEngine::Independent, Some(root)) = (self.engine, root) {
            return Ok(Server::Independent { root: root.to_owned(), links: self.link_order });
        }
        let owner = storage.attributes(b"/", Links::Follow).map(|root| root.uid);
        Ok(Server::Native(Arc::new(Service {
            storage,
            extensions: self.extensions,
            limits,
            access: self.access,
            handle_bytes: self.handle_bytes,
            link_order: self.link_order,
            noise: self.noise,
            owner: owner.unwrap_or_default(),
        })))
    }

    /// The tree in memory.
    fn plant(&self) -> Result<Memory, Error> {
        let mut tree = Memory::new();
        if let Some(bytes) = self.memory.quota {
            tree = tree.quota(bytes);
        }
        if let Some(bits) = self.memory.umask {
            tree = tree.umask(bits);
        }
        // Only root can give a file away.
        let root = tree.as_user(0, 0);
        self.fill(&root)?;
        if let Some(Clock(now)) = self.memory.clock.clone() {
            tree = tree.clock(move || now());
        }
        Ok(match self.access {
            Access::ReadWrite => tree,
            Access::ReadOnly => tree.read_only(),
        })
    }

    /// Puts the entries into the tree. Their modes and times are set when all are there, the deepest first: what is put
    /// into a directory changes it, and one that cannot be written to is filled before.
    fn fill(&self, storage: &dyn Storage) -> Result<(), Error> {
        let failed = |path: &Bytes, error| {
            configuration(format!("SFTP entry {:?}: {error}", String::from_utf8_lossy(path)))
        };
        let owner = matches!(self.files, Files::Memory).then_some((OWNER, OWNER));
        for (path, entry) in &self.entries {
            entry.place(storage, path, owner).map_err(|error| failed(path, error))?;
        }
        let mut finished: Vec<_> = self.entries.iter().collect();
        finished.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        for (path, entry) in finished {
            entry.finish(storage, path, owner).map_err(|error| failed(path, error))?;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        if let Some(name) = self.unknown.first() {
            return Err(configuration(format!("{name:?} is no SFTP extension of OpenSSH")));
        }
        let InMemory { quota, umask, clock } = &self.memory;
        let told = quota.is_some() || umask.is_some() || clock.is_some();
        if told && !matches!(self.files, Files::Memory) {
            return Err(configuration("an SFTP quota, umask or clock needs Sftp::memory()"));
        }
        if self.engine == SftpEngine::Independent {
            let plain = self.limits.is_empty()
                && self.access == Access::ReadWrite
                && self.noise.is_empty()
                && self.handle_bytes == HandleBytes::Numbers
                && self.extensions == Extension::OPENSSH;
            if !plain {
                return Err(configuration("SftpEngine::Independent has no settings but link_order"));
            }
            if matches!(self.files, Files::Memory) {
                return Err(configuration("SftpEngine::Independent needs a directory"));
            }
        }
        Ok(())
    }
}

/// Whose the files in memory are: the first ordinary user of most systems, who is also who clients are there.
const OWNER: u32 = 1000;

fn configuration(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Configuration, text)
}

/// SFTP as a running server has it.
#[derive(Debug)]
pub(crate) enum Server {
    Native(Arc<Service>),
    Independent { root: PathBuf, links: LinkOrder },
}

impl TestServer {
    /// What a file holds that is served over SFTP, as a client could read it now. Of sparse files, the holes too.
    ///
    /// # Errors
    /// There is no such file, clients could not read it, or the server's own engine does not serve SFTP: what others
    /// serve is in [`directory`](Self::directory).
    pub fn sftp_content(&self, path: impl AsRef<[u8]>) -> Result<Vec<u8>, Error> {
        let path = path.as_ref();
        match &self.shared.sftp {
            Some(Server::Native(service)) => service.content(path).map_err(|error| {
                let path = String::from_utf8_lossy(path);
                Error::new(ErrorKind::Io, format!("the file {path:?} that SFTP serves: {error}"))
            }),
            _ => Err(configuration("SFTP is not served by the server's own engine")),
        }
    }
}

/// Serves SFTP on a channel until its input ends or `hangup`, and says how it ended. Nothing of it is left then.
pub(crate) async fn serve(
    server: &Server,
    connection: &Arc<Connection>,
    channel: usize,
    call: Call,
    hangup: &CancellationToken,
) -> Exit {
    match server {
        Server::Native(service) => native::serve(service, connection, channel, call, hangup).await,
        Server::Independent { root, links } => {
            independent::serve(root, *links, call, hangup).await;
            Exit::SUCCESS
        }
    }
}
