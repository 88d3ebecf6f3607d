//! How much of what a peer says is believed.

/// Limits on what a peer may send, checked before anything is allocated for it.
///
/// ```
/// use rustle_sftp_proto::Limits;
///
/// let limits = Limits::default().with_max_packet(1 << 20).with_max_names(20_000);
/// assert_eq!(limits.max_packet(), 1 << 20);
/// assert_eq!(limits.max_handle(), 256);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    packet: usize,
    path: usize,
    handle: usize,
    text: usize,
    names: usize,
    ids: usize,
    extensions: usize,
    attributes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // SFTP_MAX_MSG_LENGTH of OpenSSH: 255 KiB of data and 1 KiB for all around it. OpenSSH hangs up on more.
            packet: 256 * 1024,
            // Eight times PATH_MAX of Linux, and as many bytes as Windows has units for its longest path.
            path: 32 * 1024,
            // The draft, section 6.2: a handle is at most 256 bytes.
            handle: 256,
            // A message for a person, a language tag, the name or the value of an extension: none seen above 1 KiB.
            text: 8 * 1024,
            // OpenSSH sends 100 names in a packet. A server that fills packets of 256 KiB with short names and their
            // `ls -l` lines has about 2500.
            names: 8 * 1024,
            // As many users or groups as there may be names in a listing, each with an owner of its own.
            ids: 8 * 1024,
            // OpenSSH announces 11, others about 20.
            extensions: 128,
            // Attributes beyond the draft's: hardly any server sends one.
            attributes: 32,
        }
    }
}

impl Limits {
    /// Another limit for a packet, in bytes, counted from its type on, as the length field does.
    #[must_use]
    pub fn with_max_packet(mut self, bytes: usize) -> Self {
        self.packet = bytes;
        self
    }

    /// Another limit for a path, a file name, a link's target or an `ls -l` line, in bytes.
    #[must_use]
    pub fn with_max_path(mut self, bytes: usize) -> Self {
        self.path = bytes;
        self
    }

    /// Another limit for a handle, in bytes.
    #[must_use]
    pub fn with_max_handle(mut self, bytes: usize) -> Self {
        self.handle = bytes;
        self
    }

    /// Another limit for a message, a language tag, an extension's name or its value, in bytes.
    #[must_use]
    pub fn with_max_text(mut self, bytes: usize) -> Self {
        self.text = bytes;
        self
    }

    /// Another limit for the names in one packet.
    #[must_use]
    pub fn with_max_names(mut self, count: usize) -> Self {
        self.names = count;
        self
    }

    /// Another limit for the users, and for the groups, in one `users-groups-by-id@openssh.com`.
    #[must_use]
    pub fn with_max_ids(mut self, count: usize) -> Self {
        self.ids = count;
        self
    }

    /// Another limit for the extensions in INIT or VERSION.
    #[must_use]
    pub fn with_max_extensions(mut self, count: usize) -> Self {
        self.extensions = count;
        self
    }

    /// Another limit for the extended attributes of one file.
    #[must_use]
    pub fn with_max_extended_attributes(mut self, count: usize) -> Self {
        self.attributes = count;
        self
    }

    /// The longest packet, in bytes, its length field not counted. 262 144 by default, as OpenSSH's.
    #[must_use]
    pub fn max_packet(&self) -> usize {
        self.packet
    }

    /// The most file data that a DATA can bring within [`max_packet`](Self::max_packet), in bytes: a READ that asks for no more is
    /// never answered by a packet that is too long. 262 135 by default.
    #[must_use]
    pub fn max_data(&self) -> usize {
        // A type, an id and the data's length.
        self.packet.saturating_sub(9)
    }

    /// The longest path, file name, link target or `ls -l` line, in bytes. 32 KiB by default.
    #[must_use]
    pub fn max_path(&self) -> usize {
        self.path
    }

    /// The longest handle, in bytes. 256 by default, as the draft says (section 6.2).
    #[must_use]
    pub fn max_handle(&self) -> usize {
        self.handle
    }

    /// The longest message, language tag, extension name or extension value, in bytes. 8 KiB by default.
    #[must_use]
    pub fn max_text(&self) -> usize {
        self.text
    }

    /// How many names one packet may hold. 8192 by default.
    #[must_use]
    pub fn max_names(&self) -> usize {
        self.names
    }

    /// How many users, and how many groups, may be asked for or answered at once. 8192 by default.
    #[must_use]
    pub fn max_ids(&self) -> usize {
        self.ids
    }

    /// How many extensions INIT or VERSION may hold. 128 by default.
    #[must_use]
    pub fn max_extensions(&self) -> usize {
        self.extensions
    }

    /// How many extended attributes a file may have. 32 by default.
    #[must_use]
    pub fn max_extended_attributes(&self) -> usize {
        self.attributes
    }
}
