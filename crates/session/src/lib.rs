//! One SSH connection: dial, trust, authenticate, run commands, forward, close. Pure Rust.
//!
//! ```no_run
//! # async fn example() -> rustle_session::Result<()> {
//! use rustle_session::Session;
//!
//! let session = Session::connect("deploy@web-1").await?; // ~/.ssh/config, agent, known_hosts, as ssh would
//! let output = session.output("uname -a").await?;
//! println!("{}", output.stdout_text());
//! # Ok(())
//! # }
//! ```
//!
//! The steps behind it are [`Connector`] → [`Unauthenticated`] → [`Session`]. Unknown host keys fail closed
//! ([`HostTrust`]); nothing waits for ever ([`TransportOptions`]); whatever is dropped ends its remote process
//! and closes its channel ([`Child`]); one reader that stops does not stop the others ([`BufferLimits`]).
//!
//! The SSH implementation underneath is `russh`, whose keys module is today's name of the former `russh-keys`
//! crate; no type of it is in this crate's interface.

mod algorithms;
mod apart;
mod auth;
mod backend;
mod base;
mod command;
mod connect;
pub mod danger;
mod driver;
mod ending;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod host_trust;
mod listener;
mod options;
pub mod quote;
mod secret;
mod session;
mod setup;
mod stream;
mod target;

pub use rustle_trust::TrustRules;
pub use secrecy::{SecretSlice, SecretString};

pub use crate::algorithms::{Algorithms, Compression, Negotiated};
pub use crate::auth::{
    AgentSource, AuthMethod, Credentials, Echo, KeysToAgent, Prompt, PromptError, PromptKind, PromptRequest,
    Prompter,
};
pub use crate::backend::{CryptoBackend, crypto_backend};
pub use crate::base::CloseReason;
pub use crate::command::{
    Child, ChildStderr, ChildStdin, ChildStdout, Command, EnvFallback, ExitStatus, Interruption, Output,
    Reporting, Terminal, Until,
};
pub use crate::connect::dial::{AddressFamily, DialOptions, TcpKeepalive};
pub use crate::connect::{
    ConnectTimings, Connector, JumpHost, ProxyCommand, Rejected, TerminalUse, Unauthenticated,
};
pub use crate::ending::Ended;
pub use crate::error::{Error, ErrorKind, Result};
pub use crate::host_trust::{
    AnnouncedKeys, DnsFinding, DnsResolver, HostHashing, HostKeyOffer, HostKeysChange, HostTrust, KnownHosts,
    KnownHostsCommand, PinnedHostKey,
};
pub use crate::listener::{Incoming, RemoteListener};
pub use crate::options::{BufferLimits, TransportOptions, TransportOptionsBuilder};
pub use crate::quote::Shell;
pub use crate::session::{ChannelUse, Lane, OpenedAhead, Place, Places, Session, Stalls, Stats};
pub use crate::setup::{
    ForwardPlace, ForwardSide, HostForward, HostIdentity, HostKeyAnswer, HostKeyPrompter, HostSetting,
    HostSettings, HostSetup, HostSetupBuilder, RunSettings, SessionKind, SetupWarning, TerminalWish,
    Verbosity,
};
pub use crate::stream::ForwardStream;
pub use crate::target::Target;

/// A boxed future, as this crate's traits return it.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
