//! The numbers of SSH's messages, and a few whole messages to storm a client with.
//!
//! A *payload* is what an SSH packet carries: the message number and its fields, without length, padding and MAC.

use bytes::Bytes;

use crate::{name::UnknownName, raw::wire::Writer};

/// `SSH_MSG_DISCONNECT`, RFC 4253 section 11.1.
pub const DISCONNECT: u8 = 1;
/// `SSH_MSG_IGNORE`, RFC 4253 section 11.2.
pub const IGNORE: u8 = 2;
/// `SSH_MSG_UNIMPLEMENTED`, RFC 4253 section 11.4.
pub const UNIMPLEMENTED: u8 = 3;
/// `SSH_MSG_DEBUG`, RFC 4253 section 11.3.
pub const DEBUG: u8 = 4;
/// `SSH_MSG_SERVICE_REQUEST`, RFC 4253 section 10.
pub const SERVICE_REQUEST: u8 = 5;
/// `SSH_MSG_SERVICE_ACCEPT`, RFC 4253 section 10.
pub const SERVICE_ACCEPT: u8 = 6;
/// `SSH_MSG_EXT_INFO`, RFC 8308 section 2.3.
pub const EXT_INFO: u8 = 7;
/// `SSH_MSG_KEXINIT`, RFC 4253 section 7.1.
pub const KEXINIT: u8 = 20;
/// `SSH_MSG_NEWKEYS`, RFC 4253 section 7.3.
pub const NEWKEYS: u8 = 21;
/// `SSH_MSG_KEX_ECDH_INIT`, RFC 5656 section 7.1.
pub const KEX_ECDH_INIT: u8 = 30;
/// `SSH_MSG_KEX_ECDH_REPLY`, RFC 5656 section 7.1.
pub const KEX_ECDH_REPLY: u8 = 31;
/// `SSH_MSG_USERAUTH_REQUEST`, RFC 4252 section 5.
pub const USERAUTH_REQUEST: u8 = 50;
/// `SSH_MSG_USERAUTH_FAILURE`, RFC 4252 section 5.1.
pub const USERAUTH_FAILURE: u8 = 51;
/// `SSH_MSG_USERAUTH_SUCCESS`, RFC 4252 section 5.1.
pub const USERAUTH_SUCCESS: u8 = 52;
/// `SSH_MSG_USERAUTH_BANNER`, RFC 4252 section 5.4.
pub const USERAUTH_BANNER: u8 = 53;
/// `SSH_MSG_USERAUTH_PK_OK`, RFC 4252 section 7.
pub const USERAUTH_PK_OK: u8 = 60;
/// `SSH_MSG_USERAUTH_PASSWD_CHANGEREQ`, RFC 4252 section 8; the same number as [`USERAUTH_PK_OK`].
pub const USERAUTH_PASSWD_CHANGEREQ: u8 = 60;
/// `SSH_MSG_USERAUTH_INFO_REQUEST`, RFC 4256 section 3.2; the same number as [`USERAUTH_PK_OK`].
pub const USERAUTH_INFO_REQUEST: u8 = 60;
/// `SSH_MSG_USERAUTH_INFO_RESPONSE`, RFC 4256 section 3.4.
pub const USERAUTH_INFO_RESPONSE: u8 = 61;
/// `SSH_MSG_GLOBAL_REQUEST`, RFC 4254 section 4.
pub const GLOBAL_REQUEST: u8 = 80;
/// `SSH_MSG_REQUEST_SUCCESS`, RFC 4254 section 4.
pub const REQUEST_SUCCESS: u8 = 81;
/// `SSH_MSG_REQUEST_FAILURE`, RFC 4254 section 4.
pub const REQUEST_FAILURE: u8 = 82;
/// `SSH_MSG_CHANNEL_OPEN`, RFC 4254 section 5.1.
pub const CHANNEL_OPEN: u8 = 90;
/// `SSH_MSG_CHANNEL_OPEN_CONFIRMATION`, RFC 4254 section 5.1.
pub const CHANNEL_OPEN_CONFIRMATION: u8 = 91;
/// `SSH_MSG_CHANNEL_OPEN_FAILURE`, RFC 4254 section 5.1.
pub const CHANNEL_OPEN_FAILURE: u8 = 92;
/// `SSH_MSG_CHANNEL_WINDOW_ADJUST`, RFC 4254 section 5.2.
pub const CHANNEL_WINDOW_ADJUST: u8 = 93;
/// `SSH_MSG_CHANNEL_DATA`, RFC 4254 section 5.2.
pub const CHANNEL_DATA: u8 = 94;
/// `SSH_MSG_CHANNEL_EXTENDED_DATA`, RFC 4254 section 5.2.
pub const CHANNEL_EXTENDED_DATA: u8 = 95;
/// `SSH_MSG_CHANNEL_EOF`, RFC 4254 section 5.3.
pub const CHANNEL_EOF: u8 = 96;
/// `SSH_MSG_CHANNEL_CLOSE`, RFC 4254 section 5.3.
pub const CHANNEL_CLOSE: u8 = 97;
/// `SSH_MSG_CHANNEL_REQUEST`, RFC 4254 section 5.4.
pub const CHANNEL_REQUEST: u8 = 98;
/// `SSH_MSG_CHANNEL_SUCCESS`, RFC 4254 section 5.4.
pub const CHANNEL_SUCCESS: u8 = 99;
/// `SSH_MSG_CHANNEL_FAILURE`, RFC 4254 section 5.4.
pub const CHANNEL_FAILURE: u8 = 100;

macro_rules! numbers {
    ($($name:literal = $number:ident,)+) => {
        /// The number of the message that has this name among the constants here, in small letters.
        ///
        /// ```
        /// use rustle_testserver::message;
        ///
        /// assert_eq!(message::number("channel_data"), Ok(message::CHANNEL_DATA));
        /// assert!(message::number("telegram").is_err());
        /// ```
        ///
        /// # Errors
        /// There is no such message; the error lists those there are.
        pub fn number(name: &str) -> Result<u8, UnknownName> {
            match name {
                $($name => Ok($number),)+
                _ => Err(UnknownName::new("message", name, &[$($name),+])),
            }
        }
    };
}

numbers!(
    "disconnect" = DISCONNECT,
    "ignore" = IGNORE,
    "unimplemented" = UNIMPLEMENTED,
    "debug" = DEBUG,
    "service_request" = SERVICE_REQUEST,
    "service_accept" = SERVICE_ACCEPT,
    "ext_info" = EXT_INFO,
    "kexinit" = KEXINIT,
    "newkeys" = NEWKEYS,
    "kex_ecdh_init" = KEX_ECDH_INIT,
    "kex_ecdh_reply" = KEX_ECDH_REPLY,
    "userauth_request" = USERAUTH_REQUEST,
    "userauth_failure" = USERAUTH_FAILURE,
    "userauth_success" = USERAUTH_SUCCESS,
    "userauth_banner" = USERAUTH_BANNER,
    "userauth_pk_ok" = USERAUTH_PK_OK,
    "userauth_passwd_changereq" = USERAUTH_PASSWD_CHANGEREQ,
    "userauth_info_request" = USERAUTH_INFO_REQUEST,
    "userauth_info_response" = USERAUTH_INFO_RESPONSE,
    "global_request" = GLOBAL_REQUEST,
    "request_success" = REQUEST_SUCCESS,
    "request_failure" = REQUEST_FAILURE,
    "channel_open" = CHANNEL_OPEN,
    "channel_open_confirmation" = CHANNEL_OPEN_CONFIRMATION,
    "channel_open_failure" = CHANNEL_OPEN_FAILURE,
    "channel_window_adjust" = CHANNEL_WINDOW_ADJUST,
    "channel_data" = CHANNEL_DATA,
    "channel_extended_data" = CHANNEL_EXTENDED_DATA,
    "channel_eof" = CHANNEL_EOF,
    "channel_close" = CHANNEL_CLOSE,
    "channel_request" = CHANNEL_REQUEST,
    "channel_success" = CHANNEL_SUCCESS,
    "channel_failure" = CHANNEL_FAILURE,
);

/// An `IGNORE` with this data.
#[must_use]
pub fn ignore(data: impl AsRef<[u8]>) -> Bytes {
    Writer::message(IGNORE).string(data).finish().into()
}

/// A `DEBUG` that asks to be shown, with this text.
#[must_use]
pub fn debug(text: impl AsRef<str>) -> Bytes {
    Writer::message(DEBUG).boolean(true).string(text.as_ref()).string("").finish().into()
}

/// A `GLOBAL_REQUEST` of this name, without fields of its own, that wants a reply.
#[must_use]
pub fn global_request(name: impl AsRef<str>) -> Bytes {
    Writer::message(GLOBAL_REQUEST).string(name.as_ref()).boolean(true).finish().into()
}

/// A `CHANNEL_WINDOW_ADJUST` for the channel that the client knows by this number, by so many bytes.
#[must_use]
pub fn window_adjust(channel: u32, bytes: u32) -> Bytes {
    Writer::message(CHANNEL_WINDOW_ADJUST).u32(channel).u32(bytes).finish().into()
}

/// A `KEXINIT` that names no algorithm at all.
#[must_use]
pub fn empty_kexinit() -> Bytes {
    let begin = Writer::message(KEXINIT).raw(&[0; 16]);
    let lists = (0..10).fold(begin, |lists, _| lists.string(""));
    lists.boolean(false).u32(0).finish().into()
}
