//! Names of the values that a test may want to read from a file or a command line: one list for both directions.

use std::str::FromStr;

use crate::{
    fault::{Cut, Direction, DisconnectReason, Phase, RequestKind, SftpRequest},
    keys::HostKeyKind,
    raw::RequestAnswer,
    sftp::{LinkOrder, SftpEngine},
    user::Method,
};

/// A name that means nothing here; see [`Phase`], [`DisconnectReason`] and the others that are read from text.
///
/// ```
/// use rustle_testserver::{DisconnectReason, Phase};
///
/// assert_eq!("by_application".parse(), Ok(DisconnectReason::ByApplication));
/// assert_eq!(Phase::KeyExchange.as_str(), "key_exchange");
/// let error = "breakfast".parse::<Phase>().unwrap_err();
/// assert!(error.known().contains(&"channel_open"));
/// assert!(error.to_string().starts_with("there is no phase \"breakfast\"; there are accept, banner, "));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {what} {given:?}; there are {}", known.join(", "))]
pub struct UnknownName {
    what: &'static str,
    given: String,
    known: &'static [&'static str],
}

impl UnknownName {
    pub(crate) fn new(what: &'static str, given: &str, known: &'static [&'static str]) -> Self {
        Self { what, given: given.to_owned(), known }
    }

    /// The names that there are.
    #[must_use]
    pub fn known(&self) -> &'static [&'static str] {
        self.known
    }
}

/// The names of a type, in both directions. The `match` of the first has every variant, or does not compile.
macro_rules! names {
    ($type:ident, $what:literal, $about:literal, $($name:literal = $variant:ident),+ $(,)?) => {
        impl $type {
            #[doc = $about]
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }

        /// By the names of [`as_str`](Self::as_str).
        impl FromStr for $type {
            type Err = UnknownName;

            fn from_str(name: &str) -> Result<Self, UnknownName> {
                match name {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(UnknownName::new($what, name, &[$($name),+])),
                }
            }
        }
    };
}

names!(
    Phase,
    "phase",
    "The name, as scripts have it.",
    "accept" = Accept,
    "banner" = Banner,
    "key_exchange" = KeyExchange,
    "authentication" = Authentication,
    "channel_open" = ChannelOpen,
    "request" = Request,
    "data" = Data,
    "close" = Close,
);

names!(Cut, "way to cut", "The name, as scripts have it.", "fin" = Fin, "rst" = Rst, "silence" = Silence,);

names!(
    Direction,
    "direction",
    "The name, as scripts have it.",
    "sent" = Sent,
    "received" = Received,
    "both" = Both,
);

names!(
    DisconnectReason,
    "reason",
    "The name in RFC 4253 section 11.1, in small letters and without `SSH_DISCONNECT`.",
    "host_not_allowed_to_connect" = HostNotAllowedToConnect,
    "protocol_error" = ProtocolError,
    "key_exchange_failed" = KeyExchangeFailed,
    "mac_error" = MacError,
    "compression_error" = CompressionError,
    "service_not_available" = ServiceNotAvailable,
    "protocol_version_not_supported" = ProtocolVersionNotSupported,
    "host_key_not_verifiable" = HostKeyNotVerifiable,
    "connection_lost" = ConnectionLost,
    "by_application" = ByApplication,
    "too_many_connections" = TooManyConnections,
    "auth_cancelled_by_user" = AuthCancelledByUser,
    "no_more_auth_methods_available" = NoMoreAuthMethodsAvailable,
    "illegal_user_name" = IllegalUserName,
);

names!(
    RequestKind,
    "request",
    "The name on the wire.",
    "pty-req" = Pty,
    "env" = Env,
    "exec" = Exec,
    "shell" = Shell,
    "subsystem" = Subsystem,
);

names!(
    SftpRequest,
    "SFTP request",
    "The name in draft-ietf-secsh-filexfer-02, in small letters and without `SSH_FXP`.",
    "any" = Any,
    "init" = Init,
    "open" = Open,
    "close" = Close,
    "read" = Read,
    "write" = Write,
    "lstat" = Lstat,
    "fstat" = Fstat,
    "setstat" = SetStat,
    "fsetstat" = FsetStat,
    "opendir" = OpenDir,
    "readdir" = ReadDir,
    "remove" = Remove,
    "mkdir" = MkDir,
    "rmdir" = RmDir,
    "realpath" = RealPath,
    "stat" = Stat,
    "rename" = Rename,
    "readlink" = ReadLink,
    "symlink" = Symlink,
    "extended" = Extended,
);

names!(
    SftpEngine,
    "SFTP engine",
    "The name, as scripts have it.",
    "native" = Native,
    "independent" = Independent,
);

names!(LinkOrder, "order", "The name, as scripts have it.", "openssh" = OpenSsh, "draft" = Draft,);

names!(
    RequestAnswer,
    "answer",
    "The name, as scripts have it.",
    "failure" = Failure,
    "nothing" = Nothing,
    "twice" = Twice,
    "both" = Both,
    "after_output" = AfterOutput,
);

names!(
    HostKeyKind,
    "kind of host key",
    "The name, as scripts have it.",
    "ed25519" = Ed25519,
    "ecdsa-p256" = EcdsaP256,
    "ecdsa-p384" = EcdsaP384,
    "ecdsa-p521" = EcdsaP521,
    "rsa" = Rsa,
);

names!(
    Method,
    "method",
    "The name on the wire.",
    "none" = None,
    "password" = Password,
    "publickey" = PublicKey,
    "keyboard-interactive" = KeyboardInteractive,
);

#[cfg(test)]
mod tests {
    use super::*;

    /// Every name that the error lists is one, and is the value's own.
    fn listed<T: FromStr<Err = UnknownName> + Copy>(
        as_str: fn(T) -> &'static str,
    ) -> &'static [&'static str] {
        let Err(error) = "no such name".parse::<T>() else { panic!("a name that is none") };
        for name in error.known() {
            assert_eq!(as_str(name.parse().unwrap_or_else(|_| panic!("{name}"))), *name);
        }
        error.known()
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        assert_eq!(listed(Phase::as_str).len(), 8);
        assert_eq!(listed(Cut::as_str), ["fin", "rst", "silence"]);
        assert_eq!(listed(Direction::as_str), ["sent", "received", "both"]);
        assert_eq!(listed(RequestKind::as_str).len(), 5);
        assert_eq!(listed(SftpRequest::as_str).len(), 21);
        assert_eq!(listed(SftpEngine::as_str), ["native", "independent"]);
        assert_eq!(listed(LinkOrder::as_str), ["openssh", "draft"]);
        assert_eq!(listed(RequestAnswer::as_str).len(), 5);
        assert_eq!(listed(HostKeyKind::as_str).len(), 5);
        assert_eq!(listed(Method::as_str).len(), 4);
    }

    #[test]
    fn reasons_have_the_names_of_the_rfc() {
        // RFC 4253 section 11.1; 4 is reserved.
        let numbered: Vec<u32> = listed(DisconnectReason::as_str)
            .iter()
            .map(|name| name.parse::<DisconnectReason>().unwrap().code())
            .collect();
        assert_eq!(numbered, [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    }

    #[test]
    fn names_are_compared_letter_by_letter() {
        for name in ["", "Accept", "accept ", "key exchange"] {
            assert!(name.parse::<Phase>().is_err(), "{name:?}");
        }
    }
}
