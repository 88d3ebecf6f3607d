//! SFTP as one server offers it, once it runs.

use bytes::Bytes;
use rustle_sftp_proto::Extension;

use crate::{
    sftp::{LinkOrder, handles::HandleBytes, limits::SessionLimits, session},
    storage::{LONGEST_READ, OpenOptions, Storage, StorageError},
};

/// What all sessions of a server share.
#[derive(Debug)]
pub(crate) struct Service {
    pub(super) storage: Box<dyn Storage>,
    pub(super) extensions: Vec<Extension>,
    pub(super) limits: SessionLimits,
    pub(super) access: Access,
    pub(super) handle_bytes: HandleBytes,
    pub(super) link_order: LinkOrder,
    /// What comes before the first packet.
    pub(super) noise: Bytes,
    /// The number of the user that the files of the server belong to.
    pub(super) owner: u32,
}

/// Whether files can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    ReadWrite,
    ReadOnly,
}

impl Service {
    pub(crate) fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    /// What a file holds, whole.
    pub(super) fn content(&self, path: &[u8]) -> Result<Vec<u8>, StorageError> {
        let file = self.storage.open(path, OpenOptions::new().read())?;
        let mut content = Vec::new();
        loop {
            let data = file.read_at(content.len() as u64, LONGEST_READ)?;
            if data.is_empty() {
                return Ok(content);
            }
            content.extend_from_slice(&data);
        }
    }

    pub(super) fn limits(&self) -> SessionLimits {
        self.limits
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.access == Access::ReadOnly
    }

    /// What is announced. OpenSSH announces nothing that its read-only mode refuses.
    pub(super) fn extensions(&self) -> impl Iterator<Item = Extension> {
        let hidden = |extension: Extension| self.is_read_only() && session::changes_files(extension);
        self.extensions.iter().copied().filter(move |extension| !hidden(*extension))
    }

    /// Whether it is switched on.
    pub(super) fn has(&self, extension: Extension) -> bool {
        self.extensions.contains(&extension)
    }

    pub(super) fn link_order(&self) -> LinkOrder {
        self.link_order
    }

    pub(super) fn handle_bytes(&self) -> HandleBytes {
        self.handle_bytes
    }

    /// What comes before the first packet.
    pub(super) fn noise(&self) -> &Bytes {
        &self.noise
    }

    /// The number of the user that the files of the server belong to.
    pub(super) fn owner(&self) -> u32 {
        self.owner
    }
}

/// The extension of this name, if it is one that is served: OpenSSH's are, and no others.
pub(super) fn of_openssh(name: &str) -> Option<Extension> {
    Extension::from_name(name.as_bytes()).filter(|extension| Extension::OPENSSH.contains(extension))
}
