//! SSH_MSG_DISCONNECT: its reasons, and its bytes where the base sends none.

use russh::Disconnect;

/// Why a server says goodbye: the reason codes of RFC 4253 section 11.1, by their names there.
///
/// The base knows no others; a [`RawServer`](crate::RawServer) can send any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// 1
    HostNotAllowedToConnect,
    /// 2, which OpenSSH's `sshd` gives for nearly everything
    ProtocolError,
    /// 3
    KeyExchangeFailed,
    /// 5
    MacError,
    /// 6
    CompressionError,
    /// 7
    ServiceNotAvailable,
    /// 8
    ProtocolVersionNotSupported,
    /// 9
    HostKeyNotVerifiable,
    /// 10
    ConnectionLost,
    /// 11
    ByApplication,
    /// 12
    TooManyConnections,
    /// 13
    AuthCancelledByUser,
    /// 14
    NoMoreAuthMethodsAvailable,
    /// 15
    IllegalUserName,
}

impl DisconnectReason {
    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u32 {
        self.to_base() as u32
    }

    pub(crate) fn to_base(self) -> Disconnect {
        match self {
            Self::HostNotAllowedToConnect => Disconnect::HostNotAllowedToConnect,
            Self::ProtocolError => Disconnect::ProtocolError,
            Self::KeyExchangeFailed => Disconnect::KeyExchangeFailed,
            Self::MacError => Disconnect::MACError,
            Self::CompressionError => Disconnect::CompressionError,
            Self::ServiceNotAvailable => Disconnect::ServiceNotAvailable,
            Self::ProtocolVersionNotSupported => Disconnect::ProtocolVersionNotSupported,
            Self::HostKeyNotVerifiable => Disconnect::HostKeyNotVerifiable,
            Self::ConnectionLost => Disconnect::ConnectionLost,
            Self::ByApplication => Disconnect::ByApplication,
            Self::TooManyConnections => Disconnect::TooManyConnections,
            Self::AuthCancelledByUser => Disconnect::AuthCancelledByUser,
            Self::NoMoreAuthMethodsAvailable => Disconnect::NoMoreAuthMethodsAvailable,
            Self::IllegalUserName => Disconnect::IllegalUserName,
        }
    }
}

/// What a SSH_MSG_DISCONNECT says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Farewell {
    pub(crate) reason: DisconnectReason,
    pub(crate) text: String,
}

/// RFC 4253 section 12.
const SSH_MSG_DISCONNECT: u8 = 1;

/// The unit of length before there are keys, and the least padding: RFC 4253 section 6.
const BLOCK: usize = 8;
const LEAST_PADDING: usize = 4;

impl Farewell {
    /// As a whole packet, for a connection without keys.
    pub(crate) fn to_packet(&self) -> Vec<u8> {
        let mut payload = vec![SSH_MSG_DISCONNECT];
        payload.extend(self.reason.code().to_be_bytes());
        for text in [self.text.as_str(), ""] {
            // A text of 4 GiB is nobody's goodbye.
            let length = u32::try_from(text.len()).unwrap_or_default();
            payload.extend(length.to_be_bytes());
            payload.extend(text.as_bytes().iter().take(length as usize));
        }
        let bare = 4 + 1 + payload.len();
        let padding = LEAST_PADDING + (BLOCK - (bare + LEAST_PADDING) % BLOCK) % BLOCK;
        let length = u32::try_from(1 + payload.len() + padding).unwrap_or(u32::MAX);
        let mut packet = length.to_be_bytes().to_vec();
        packet.push(u8::try_from(padding).unwrap_or_default());
        packet.extend(payload);
        packet.extend(std::iter::repeat_n(0, padding));
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_rfc() {
        assert_eq!(DisconnectReason::HostNotAllowedToConnect.code(), 1);
        assert_eq!(DisconnectReason::MacError.code(), 5);
        assert_eq!(DisconnectReason::ByApplication.code(), 11);
        assert_eq!(DisconnectReason::IllegalUserName.code(), 15);
    }

    #[test]
    fn packet_is_whole_blocks_and_says_it() {
        for text in ["", "bye", "a longer goodbye", "seven77", "eight888"] {
            let farewell = Farewell { reason: DisconnectReason::ProtocolError, text: text.to_owned() };
            let packet = farewell.to_packet();
            assert_eq!(packet.len() % BLOCK, 0, "{text}");
            assert_eq!(packet[..4], u32::try_from(packet.len() - 4).unwrap().to_be_bytes());
            let padding = usize::from(packet[4]);
            assert!((LEAST_PADDING..LEAST_PADDING + BLOCK).contains(&padding), "{text}: {padding}");
            assert_eq!(packet[5..10], [1, 0, 0, 0, 2]);
            assert_eq!(packet.len(), 4 + 1 + 1 + 4 + 4 + text.len() + 4 + padding);
        }
    }
}
