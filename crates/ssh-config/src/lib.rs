//! `ssh_config(5)` to the settings of one host.
//!
//! [`resolve`] reads the configuration files as `ssh` does (Host and Match blocks, Include, the first value of
//! a keyword wins, tokens, `~`, `${ENV}`) and returns [`Settings`]: typed values, each with the file and line
//! it came from.
//!
//! Nothing is swallowed. Every keyword that OpenSSH documents has a row in one table, [`Keyword`], and an accessor
//! in [`Settings`]. What this program does not do is told by [`Settings::supported`]: an error that names file and
//! line where leaving it out would change whom one connects to or whom one trusts, a [`Warning`] elsewhere.
//!
//! Files, the environment and the local user come in through [`Source`]: [`OsSource`] is the real thing and
//! [`MemorySource`] a table in memory. [`Settings::lines`] prints the settings as `ssh -G` does.
//!
//! ```
//! use rustle_ssh_config::{ConfigFile, MemorySource, Query, resolve};
//!
//! let source = MemorySource::new("alice", "/home/alice").file(
//!     "/home/alice/.ssh/config",
//!     "Host web\n  HostName web-1.example.com\n  User deploy\n  IdentityFile ~/.ssh/%r\n",
//! );
//! let settings = resolve(&Query::new("web").port(2222), &ConfigFile::defaults(&source)?, &source)?;
//! assert_eq!(settings.hostname(), "web-1.example.com");
//! assert_eq!(settings.port(), 2222);
//! assert_eq!(settings.identity_files()[0].path(), "/home/alice/.ssh/deploy");
//! assert_eq!(settings.identity_files()[0].origin().to_string(), "/home/alice/.ssh/config:4");
//! # Ok::<(), rustle_ssh_config::ConfigError>(())
//! ```

mod args;
mod canonical;
mod conditions;
mod defaults;
mod dump;
mod engine;
mod error;
mod expand;
mod glob;
mod keyword;
mod lexer;
mod memory;
mod networks;
mod options;
mod origin;
mod os;
mod pattern;
mod query;
mod remembered;
mod settings;
mod source;
mod support;
mod validate;
mod value;

pub use crate::defaults::Defaults;
pub use crate::dump::PrintedSetting;
pub use crate::engine::resolve;
pub use crate::error::{ConfigError, ConfigErrorKind};
pub use crate::keyword::{Keyword, Support};
pub use crate::memory::MemorySource;
pub use crate::origin::{Origin, Warning, WarningLevel};
pub use crate::os::OsSource;
pub use crate::pattern::{matches_list, matches_pattern};
pub use crate::query::{ConfigFile, Query};
pub use crate::settings::{FileSetting, HostKeyQuestion, Settings};
pub use crate::source::{FoundHost, Source, SourceFile, Standing};
pub use crate::validate::{valid_hostname, valid_user};
pub use crate::value::{
    AddKeysMode, AddKeysToAgent, AddressFamily, AlgorithmList, CanonicalizeHostname, ChannelTimeout,
    CnameRule, ControlMaster, ControlPersist, EscapeChar, FingerprintHash, Forward, ForwardAgent,
    ForwardListen, ForwardTarget, IdentityAgent, IpQos, JumpHost, LogLevel, PermitRemoteOpen,
    PubkeyAuthentication, RekeyLimit, RemoteOpen, RequestTty, SessionType, StrictHostKeyChecking,
    SyslogFacility, TrafficClass, Tunnel, TunnelDevice, WarnWeakCrypto, YesNoAsk,
};
