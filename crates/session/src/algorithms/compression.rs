//! Whether data is compressed.

/// Whether data is compressed on its way, where the server can.
///
/// It helps on a slow link with text; on a fast one, and with data that is compressed already, the processor becomes
/// the limit. So it is off unless asked for, as in ssh. Compression begins after authentication
/// (`zlib@openssh.com`, OpenSSH's PROTOCOL section 1.2): who has not logged in reaches no inflater, and no password is
/// compressed beside text of an attacker's choice.
///
/// ```
/// use rustle_session::{Algorithms, Compression};
///
/// let slow_link = Algorithms::default().with_compression(Compression::On);
/// assert_eq!(slow_link.compression(), ["zlib@openssh.com", "none"]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// `none` alone is offered.
    #[default]
    Off,
    /// `zlib@openssh.com` is offered first, then `none`.
    On,
}

impl Compression {
    pub(super) fn methods(self) -> &'static [&'static str] {
        match self {
            Self::Off => &["none"],
            Self::On => &["zlib@openssh.com", "none"],
        }
    }
}
