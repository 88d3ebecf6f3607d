//! How much one SFTP session may ask for: what was set, held against what can be kept, and what that leaves.

use crate::storage::LONGEST_READ;

/// What was set; the rest is OpenSSH's.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LimitSettings {
    pub(super) packet: Option<usize>,
    pub(super) read: Option<usize>,
    pub(super) write: Option<usize>,
    pub(super) handles: Option<usize>,
}

/// How much one session may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionLimits {
    pub(crate) packet: usize,
    pub(crate) read: usize,
    pub(crate) write: usize,
    pub(crate) handles: usize,
}

/// The draft, section 3: a packet of this length must be taken.
const SHORTEST_PACKET: usize = 34_000;

/// OpenSSH's SFTP_MAX_MSG_LENGTH.
const PACKET: usize = 256 * 1024;

/// What OpenSSH keeps of a packet for all that is not file data.
const AROUND_DATA: usize = 1024;

/// What a DATA has around its data: type, id and length.
const AROUND_READ: usize = 1 + 4 + 4;

/// What a WRITE has around its data: type, id, the longest handle this server gives, offset and length.
const AROUND_WRITE: usize = 1 + 4 + (4 + 9) + 8 + 4;

/// What OpenSSH says with the usual limit of 1024 files: five are its own.
const HANDLES: usize = 1019;

impl LimitSettings {
    pub(super) fn is_empty(&self) -> bool {
        [self.packet, self.read, self.write, self.handles].iter().all(Option::is_none)
    }

    /// The limits, or what is wrong with a setting.
    pub(super) fn resolve(&self) -> Result<SessionLimits, String> {
        let packet = self.packet.unwrap_or(PACKET);
        if packet < SHORTEST_PACKET {
            return Err(format!(
                "max_packet({packet}): the protocol asks every server to take packets of {SHORTEST_PACKET} bytes"
            ));
        }
        // No more than OpenSSH's, where the packet has room for that.
        let data = (packet - AROUND_DATA).min(PACKET - AROUND_DATA);
        let (read, write) = (self.read.unwrap_or(data), self.write.unwrap_or(data));
        let handles = self.handles.unwrap_or(HANDLES);
        for (name, value) in [("max_read", read), ("max_write", write), ("max_handles", handles)] {
            if value == 0 {
                return Err(format!("{name}(0): with that, no file could be used at all"));
            }
        }
        for (name, value, around) in [("max_read", read, AROUND_READ), ("max_write", write, AROUND_WRITE)] {
            let room = packet - around;
            if value > room {
                return Err(format!("{name}({value}): a packet of {packet} bytes carries {room} at most"));
            }
        }
        if read > LONGEST_READ {
            return Err(format!("max_read({read}): one READ returns {LONGEST_READ} bytes at most"));
        }
        Ok(SessionLimits { packet, read, write, handles })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(packet: usize, read: usize, write: usize) -> Result<SessionLimits, String> {
        let some = |value| (value > 0).then_some(value);
        LimitSettings { packet: some(packet), read: some(read), write: some(write), handles: None }.resolve()
    }

    #[test]
    fn what_is_not_set_is_openssh_s() {
        let limits = SessionLimits { packet: 262_144, read: 261_120, write: 261_120, handles: 1019 };
        assert_eq!(LimitSettings::default().resolve(), Ok(limits));
    }

    #[test]
    fn data_has_its_place_in_a_packet_of_any_length() {
        let small = resolve(34_000, 0, 0).unwrap();
        assert_eq!((small.read, small.write), (32_976, 32_976));
        let large = resolve(1 << 30, 0, 0).unwrap();
        assert_eq!((large.read, large.write), (261_120, 261_120));
        assert!(resolve(34_000, 33_991, 33_970).is_ok());
        assert!(resolve(34_000, 33_992, 0).is_err());
        assert!(resolve(34_000, 0, 33_971).is_err());
        assert!(resolve(2 << 20, 1 << 20, 0).is_ok());
        assert!(resolve(2 << 20, (1 << 20) + 1, 0).is_err());
    }
}
