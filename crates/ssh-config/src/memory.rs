//! A source in memory.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use crate::source::GRAMMAR;
use crate::{AddressFamily, FoundHost, Source, SourceFile, Standing};

/// A [`Source`] in memory, for tests and for programs that bring their own configuration.
///
/// Names of files are absolute and written with `/`.
#[derive(Clone, Debug)]
pub struct MemorySource {
    files: BTreeMap<String, (Vec<u8>, Standing)>,
    env: BTreeMap<String, String>,
    user: String,
    home: String,
    host: String,
    commands: BTreeMap<String, bool>,
    found: BTreeMap<String, FoundHost>,
    interfaces: Vec<IpAddr>,
    ssh_version: Option<String>,
}

impl MemorySource {
    /// No files, no environment, and this local user with this home directory.
    #[must_use]
    pub fn new(user: impl Into<String>, home: impl Into<String>) -> MemorySource {
        MemorySource {
            files: BTreeMap::new(),
            env: BTreeMap::new(),
            user: user.into(),
            home: home.into(),
            host: "localhost".to_owned(),
            commands: BTreeMap::new(),
            found: BTreeMap::new(),
            interfaces: Vec::new(),
            ssh_version: None,
        }
    }

    /// With a file that only its user may write to.
    #[must_use]
    pub fn file(self, path: impl Into<String>, text: impl Into<Vec<u8>>) -> MemorySource {
        self.file_with(path, text, Standing::Trusted)
    }

    /// With a file of this standing.
    #[must_use]
    pub fn file_with(
        mut self,
        path: impl Into<String>,
        text: impl Into<Vec<u8>>,
        standing: Standing,
    ) -> MemorySource {
        self.files.insert(path.into(), (text.into(), standing));
        self
    }

    /// With an environment variable.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> MemorySource {
        self.env.insert(name.into(), value.into());
        self
    }

    /// With this machine's name, which is `localhost` otherwise.
    #[must_use]
    pub fn host_name(mut self, host: impl Into<String>) -> MemorySource {
        self.host = host.into();
        self
    }

    /// With a command of `Match exec` that succeeds, or does not. Others are refused.
    #[must_use]
    pub fn command(mut self, line: impl Into<String>, succeeds: bool) -> MemorySource {
        self.commands.insert(line.into(), succeeds);
        self
    }

    /// With a name that the name service knows. Others it does not know.
    #[must_use]
    pub fn found(mut self, name: impl Into<String>, host: FoundHost) -> MemorySource {
        self.found.insert(name.into(), host);
        self
    }

    /// With an address of an interface of this machine, which has none otherwise.
    #[must_use]
    pub fn interface(mut self, address: IpAddr) -> MemorySource {
        self.interfaces.push(address);
        self
    }

    /// With another version of ssh for `Match version`.
    #[must_use]
    pub fn ssh_version(mut self, version: impl Into<String>) -> MemorySource {
        self.ssh_version = Some(version.into());
        self
    }
}

impl Source for MemorySource {
    fn run(&self, line: &str) -> io::Result<bool> {
        let known = self.commands.get(line).copied();
        known.ok_or_else(|| io::Error::other(format!("there is no command {line:?}")))
    }

    fn look_up(&self, name: &str, _: AddressFamily) -> io::Result<Option<FoundHost>> {
        Ok(self.found.get(name).cloned())
    }

    fn interface_addresses(&self) -> io::Result<Vec<IpAddr>> {
        Ok(self.interfaces.clone())
    }

    fn ssh_version(&self) -> String {
        self.ssh_version.clone().unwrap_or_else(|| GRAMMAR.to_owned())
    }

    fn read(&self, path: &str, limit: u64) -> io::Result<Option<SourceFile>> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
        Ok(self
            .files
            .get(path)
            .map(|(text, standing)| SourceFile::new(text.iter().take(limit).copied().collect(), *standing)))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let prefix = if directory.ends_with('/') { directory.to_owned() } else { format!("{directory}/") };
        let inside = self.files.keys().filter_map(|path| path.strip_prefix(&prefix));
        let mut names: Vec<String> =
            inside.filter_map(|rest| rest.split('/').next()).map(str::to_owned).collect();
        names.dedup();
        Ok(names)
    }

    fn env(&self, name: &str) -> Option<String> {
        self.env.get(name).cloned()
    }

    fn home(&self, user: Option<&str>) -> Option<String> {
        (user.is_none() || user == Some(&self.user)).then(|| self.home.clone())
    }

    fn user(&self) -> Option<String> {
        Some(self.user.clone())
    }

    fn user_id(&self) -> Option<u32> {
        Some(1000)
    }

    fn host(&self) -> Option<String> {
        Some(self.host.clone())
    }

    fn system_directory(&self) -> String {
        "/etc/ssh".to_owned()
    }
}
