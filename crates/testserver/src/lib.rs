//! A real SSH and SFTP server inside the test process, deterministic, with faults on request.
//!
//! A [`TestServer`] listens on 127.0.0.1, or serves a client [in memory](TestServer::duplex). It knows the
//! [users](User) it was told of, answers [commands](Builder::command) as scripted or runs them, does
//! [wrong](Fault) what a test wants to see handled, and keeps a [record](Record) of what clients did.
//!
//! It has two personalities. The SSH protocol of the first is that of the `russh` crate, of which nothing shows in this
//! crate's API. The second, the [raw peer](RawPeer), is this crate's own and small, and can do everything wrong that a
//! proper implementation cannot: lie, repeat itself, forget, freeze. Users, commands and the record are the same.
//! A server that was told of something its personality cannot do does not start, and says which can.
//! What has to be wrong before the key exchange, a [`RawServer`] says byte by byte.

mod algorithms;
mod assertions;
mod auth;
mod builder;
mod builtin;
mod call;
mod command;
mod connection;
mod driver;
mod duplex;
mod entrance;
mod error;
mod exit;
mod fault;
mod forward;
mod handler;
mod host_certificate;
mod input;
mod keys;
mod line;
mod link;
mod listener;
mod listening;
mod live;
mod name;
mod network;
mod panics;
mod pipe;
#[cfg(unix)]
mod process;
mod program;
mod random;
mod raw;
mod record;
mod server;
mod session_channel;
mod sftp;
mod startups;
mod storage;
mod timeline;
mod user;

pub use algorithms::Algorithms;
pub use auth::{
    codes::OneTimeCodes,
    dialog::{Answers, Dialog, Verdict},
};
pub use builder::Builder;
pub use call::{Call, Output, Signals, X11Request};
pub use command::Reply;
pub use duplex::Duplex;
pub use error::{Error, ErrorKind};
pub use exit::{Exit, Signal};
pub use fault::{
    Cut, Direction, DisconnectReason, Fault, Moment, Phase, RequestKind, SftpFault, SftpRequest,
};
pub use forward::{stream::ChannelStream, target::Target};
pub use host_certificate::HostCertificate;
pub use keys::HostKeyKind;
pub use live::FaultReport;
pub use name::UnknownName;
pub use network::Network;
pub use pipe::Stdin;
pub use raw::{Damage, RawPeer, RawScript, RawServer, RawSession, RequestAnswer, message};
pub use record::{
    AuthAttempt, AuthOutcome, ChannelKind, ChannelRecord, CommandKind, CommandRecord, ConnectionRecord, End,
    Event, ForwardPlace, ForwardRecord, ForwardState, Happening, Pty, Record, Side, TerminalSize, Transcript,
};
pub use server::TestServer;
pub use sftp::{LinkOrder, Sftp, SftpEngine, SftpEntry};
pub use user::{Method, Round, User};
