//! `ssh_config(5)` to the settings of one host.
//!
//! [`resolve`] reads the configuration files as `ssh` does (Host and Match blocks, Include, the first value of
//! a keyword wins, tokens, `~`, `${ENV}`) and returns [`Settings`]: typed values, each with the file and line
//! it came from.
//!
//! Nothing is swallowed. Every keyword that OpenSSH documents has a row in one table, [`Keyword`], that says
//! what is done with it: it becomes a setting, or it is ignored with a [`Warning`], or, where ignoring it would
//! change whom one connects to or whom one trusts, it is an error that names file and line.
//!
//! The crate opens no sockets and runs nothing. Files, the environment and the local user come in through
//! [`Source`]: [`OsSource`] is the real thing and [`MemorySource`] a table in memory.
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

mod conditions;
mod dump;
mod engine;
mod error;
mod expand;
mod glob;
mod keyword;
mod lexer;
mod memory;
mod options;
mod origin;
mod os;
mod pattern;
mod query;
mod settings;
mod source;
mod validate;
mod value;

pub use crate::engine::resolve;
pub use crate::error::{ConfigError, ConfigErrorKind};
pub use crate::keyword::{Keyword, Support};
pub use crate::memory::MemorySource;
pub use crate::origin::{Origin, Warning};
pub use crate::os::OsSource;
pub use crate::pattern::{matches_list, matches_pattern};
pub use crate::query::{ConfigFile, Query};
pub use crate::settings::{FileSetting, Settings};
pub use crate::source::{Source, SourceFile, Standing};
pub use crate::validate::{valid_hostname, valid_user};
pub use crate::value::{
    AddressFamily, AlgorithmList, IdentityAgent, LogLevel, PubkeyAuthentication, RekeyLimit, RequestTty,
    StrictHostKeyChecking,
};
