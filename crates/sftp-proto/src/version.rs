//! INIT and VERSION: how a stream begins.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    error::Error,
    extension::Extension,
    wire::{Reader, check_count, put_string},
};

/// The version this crate speaks.
pub const VERSION: u32 = 3;

/// The contents of INIT, which a client sends first, and of VERSION, which answers it (draft section 4).
///
/// ```
/// use rustle_sftp_proto::{Extension, Hello};
///
/// let server = Hello::new().with(Extension::Fsync).with_pair("newline@example.com", "\n");
/// assert!(server.supports(Extension::Fsync) && !server.supports(Extension::CopyData));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    version: u32,
    extensions: Vec<ExtensionPair>,
}

/// One extension as it is announced: a name, and mostly a version in digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionPair {
    name: Bytes,
    data: Bytes,
}

impl Hello {
    /// [Version 3](VERSION) without extensions.
    #[must_use]
    pub fn new() -> Self {
        Self { version: VERSION, extensions: Vec::new() }
    }

    /// Another version.
    #[must_use]
    pub fn with_version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// With an extension, in the version that OpenSSH has.
    #[must_use]
    pub fn with(self, extension: Extension) -> Self {
        self.with_pair(extension.name(), extension.version())
    }

    /// With any pair of a name and data.
    #[must_use]
    pub fn with_pair(mut self, name: impl Into<Bytes>, data: impl Into<Bytes>) -> Self {
        self.extensions.push(ExtensionPair { name: name.into(), data: data.into() });
        self
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The extensions in their order.
    #[must_use]
    pub fn extensions(&self) -> &[ExtensionPair] {
        &self.extensions
    }

    /// Whether the extension is announced in the version that [`Extension::version`] says; `check-file` in any, as it has none.
    #[must_use]
    pub fn supports(&self, extension: Extension) -> bool {
        self.extensions.iter().any(|pair| extension.is_announced_by(&pair.name, &pair.data))
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let version = reader.u32("version")?;
        let mut extensions = Vec::new();
        while !reader.is_empty() {
            check_count("extensions", extensions.len() + 1, reader.limits().max_extensions())?;
            let (name, data) = (reader.text("extension name")?, reader.text("extension data")?);
            extensions.push(ExtensionPair { name, data });
        }
        Ok(Self { version, extensions })
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) -> Result<(), Error> {
        out.put_u32(self.version);
        for pair in &self.extensions {
            put_string(out, "extension name", &pair.name)?;
            put_string(out, "extension data", &pair.data)?;
        }
        Ok(())
    }
}

impl Default for Hello {
    fn default() -> Self {
        Self::new()
    }
}

impl ExtensionPair {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &Bytes {
        &self.name
    }

    /// What is said about it.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }
}
