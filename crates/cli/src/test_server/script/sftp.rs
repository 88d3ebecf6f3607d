//! SFTP: what files there are, who serves them, and what the server lets clients do with them.

mod file;

use std::path::{Path, PathBuf};

use rustle_testserver::{Builder, LinkOrder, Sftp, SftpEngine};
use serde::Deserialize;

use self::file::File;
use super::named::Named;
use super::units::Size;

/// The table, of which no two keys contradict each other.
#[derive(Default, Deserialize)]
#[serde(try_from = "Keys")]
pub(super) struct SftpKeys(Keys);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    serve: Option<Serve>,
    directory: Option<PathBuf>,
    engine: Option<Named<SftpEngine>>,
    #[serde(default)]
    files: Vec<File>,
    quota: Option<Size>,
    umask: Option<u32>,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    binary_handles: bool,
    banner_noise: Option<String>,
    link_order: Option<Named<LinkOrder>>,
    extensions: Option<Vec<String>>,
    without_extensions: Option<Vec<String>>,
    max_packet: Option<Size>,
    max_read: Option<Size>,
    max_write: Option<Size>,
    max_handles: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Serve {
    /// The server's temporary directory, where no other is named.
    Directory,
    Memory,
    None,
}

impl SftpKeys {
    /// Whether the server's own engine serves, which alone has faults.
    pub(super) fn is_native(&self) -> bool {
        self.0.serve != Some(Serve::None) && !self.0.is_independent()
    }

    pub(super) fn apply(self, builder: Builder, folder: &Path) -> Builder {
        let keys = self.0;
        let mut sftp = match (keys.serve, keys.directory) {
            (Some(Serve::None), _) => return builder,
            (Some(Serve::Memory), _) => Sftp::memory(),
            (_, Some(path)) => Sftp::directory(folder.join(path)),
            (_, None) => Sftp::temp_dir(),
        };
        if let Some(engine) = keys.engine {
            sftp = sftp.engine(engine.value());
        }
        for file in keys.files {
            sftp = file.put_into(sftp);
        }
        if let Some(size) = keys.quota {
            sftp = sftp.quota(size.bytes());
        }
        if let Some(bits) = keys.umask {
            sftp = sftp.umask(bits);
        }
        if keys.read_only {
            sftp = sftp.read_only();
        }
        if keys.binary_handles {
            sftp = sftp.binary_handles();
        }
        if let Some(noise) = keys.banner_noise {
            sftp = sftp.banner_noise(noise);
        }
        if let Some(order) = keys.link_order {
            sftp = sftp.link_order(order.value());
        }
        if let Some(names) = keys.extensions {
            sftp = sftp.extensions(names);
        }
        for name in keys.without_extensions.unwrap_or_default() {
            sftp = sftp.without_extension(&name);
        }
        if let Some(size) = keys.max_packet {
            sftp = sftp.max_packet(length(size));
        }
        if let Some(size) = keys.max_read {
            sftp = sftp.max_read(length(size));
        }
        if let Some(size) = keys.max_write {
            sftp = sftp.max_write(length(size));
        }
        if let Some(n) = keys.max_handles {
            sftp = sftp.max_handles(n);
        }
        builder.sftp(sftp)
    }
}

fn length(size: Size) -> usize {
    usize::try_from(size.bytes()).unwrap_or(usize::MAX)
}

impl TryFrom<Keys> for SftpKeys {
    type Error = String;

    fn try_from(keys: Keys) -> Result<Self, String> {
        let told = keys.told();
        if let (Some(Serve::None), Some(key)) = (keys.serve, told.first()) {
            return Err(format!("where `serve` is \"none\", there is nothing for `{key}` to say"));
        }
        if keys.serve == Some(Serve::Memory) && keys.directory.is_some() {
            return Err("what is served is in memory, or is a `directory`, not both".to_owned());
        }
        if keys.serve != Some(Serve::Memory)
            && let Some(key) = told.iter().find(|key| IN_MEMORY.contains(key))
        {
            return Err(format!("`{key}` needs `serve` = \"memory\""));
        }
        if keys.is_independent() {
            if keys.serve == Some(Serve::Memory) {
                return Err("the independent engine serves no memory, but a directory".to_owned());
            }
            if let Some(key) = told.iter().find(|key| !OF_EACH_ENGINE.contains(key)) {
                return Err(format!("the independent engine has no such settings: leave out `{key}`"));
            }
        }
        if keys.umask.is_some_and(|bits| bits > 0o777) {
            return Err("`umask` is at most 0o777".to_owned());
        }
        if keys.extensions.is_some() && keys.without_extensions.is_some() {
            return Err("there is `extensions` or `without_extensions`, not both".to_owned());
        }
        Ok(Self(keys))
    }
}

/// What only a tree in memory has.
const IN_MEMORY: [&str; 2] = ["quota", "umask"];
/// What is said of what is served and not of who serves it, and the one thing that both engines can do.
const OF_EACH_ENGINE: [&str; 4] = ["directory", "engine", "files", "link_order"];

impl Keys {
    fn is_independent(&self) -> bool {
        self.engine.is_some_and(|engine| engine.value() == SftpEngine::Independent)
    }

    /// The keys, but for `serve`, that say something.
    fn told(&self) -> Vec<&'static str> {
        let told = [
            ("directory", self.directory.is_some()),
            ("engine", self.engine.is_some()),
            ("files", !self.files.is_empty()),
            ("quota", self.quota.is_some()),
            ("umask", self.umask.is_some()),
            ("read_only", self.read_only),
            ("binary_handles", self.binary_handles),
            ("banner_noise", self.banner_noise.is_some()),
            ("link_order", self.link_order.is_some()),
            ("extensions", self.extensions.is_some()),
            ("without_extensions", self.without_extensions.is_some()),
            ("max_packet", self.max_packet.is_some()),
            ("max_read", self.max_read.is_some()),
            ("max_write", self.max_write.is_some()),
            ("max_handles", self.max_handles.is_some()),
        ];
        told.into_iter().filter(|(_, told)| *told).map(|(key, _)| key).collect()
    }
}
