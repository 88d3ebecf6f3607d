//! What may be typed.

mod sync;
mod transfer;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};

pub(crate) use self::sync::SyncArgs;
pub(crate) use self::transfer::{GetArgs, LinksArg, LsRemoteArgs, MannerArgs, PutArgs, TreeArgs};

const EXIT_CODES: &str = "\
Exit codes:
  0-254  of the remote command; 0 of other commands that did what they were to do
  255    a failure of this program or of the connection, or a remote command ended by a signal
  128+n  this program was ended by signal n

Environment:
  RUSTLE_SSH_CONFIG          as --config
  RUSTLE_SSH_KEY_PATH        as --identity, where none is given
  RUSTLE_CONNECTION_TIMEOUT  as --connection-timeout
  SSH_AUTH_SOCK, SSH_ASKPASS, SSH_ASKPASS_REQUIRE, NO_COLOR  as in ssh and elsewhere";

const TEST_SERVER_ENDS: &str = "\
Exit codes:
  0      it was ended, and every scripted fault had happened
  255    it could not start, or a scripted fault never happened
  128+n  it was ended by signal n";

/// Run commands on hosts over SSH, move files, and test connections.
#[derive(Debug, Parser)]
#[command(
    name = "rustle-connect",
    version,
    after_help = EXIT_CODES,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    #[command(subcommand)]
    pub(crate) command: CommandArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CommandArgs {
    Exec(ExecArgs),
    Get(GetArgs),
    Put(PutArgs),
    Sync(SyncArgs),
    LsRemote(LsRemoteArgs),
    #[command(visible_alias = "test")]
    TestConnection(TestConnectionArgs),
    SshConfig(SshConfigArgs),
    Demo(DemoArgs),
    TestServer(TestServerArgs),
    Completions(CompletionsArgs),
}

/// Run a command on a host.
///
/// Standard input, output and error are those of the command, and so is the exit code.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Quote each word, so that the command gets exactly these arguments
    #[arg(long)]
    pub(crate) argv: bool,
    /// The remote shell, for --argv and for how a running command is ended
    #[arg(long, value_name = "SHELL", default_value = "posix")]
    pub(crate) shell: ShellArg,
    /// Send the words as they are, without what makes the command's end certain on every server
    #[arg(long, conflicts_with_all = ["argv", "shell"])]
    pub(crate) raw: bool,
    /// Do not read standard input
    #[arg(short = 'n', long)]
    pub(crate) no_stdin: bool,
    /// Run it on a terminal where standard input is one; twice: in any case
    #[arg(short = 't', long, action = ArgAction::Count)]
    pub(crate) tty: u8,
    /// Run it without a terminal, whatever the configuration says
    #[arg(short = 'T', long, conflicts_with = "tty")]
    pub(crate) no_tty: bool,
    /// Where to run it: host, user@host or ssh://user@host:port
    #[arg(value_name = "HOST")]
    pub(crate) host: String,
    /// What stands there without `--`, as with ssh: who types it is told where the command stands
    #[arg(hide = true)]
    pub(crate) misplaced: Vec<String>,
    /// The command; its words are joined by spaces and left to the remote shell, as ssh does. Without it, RemoteCommand
    /// of the configuration is run
    #[arg(value_name = "COMMAND", last = true)]
    pub(crate) command: Vec<OsString>,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// Connect to a host step by step, and say how long each step took and what went wrong.
#[derive(Debug, clap::Args)]
pub(crate) struct TestConnectionArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// host, user@host or ssh://user@host:port
    #[arg(value_name = "HOST")]
    pub(crate) host: String,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// Print the settings for a host, as `ssh -G` does, with this program's own defaults. Nothing is connected to.
///
/// Warnings name what a connection would not get. With --format json each value has its origin: file and line,
/// command line, or default.
#[derive(Debug, clap::Args)]
pub(crate) struct SshConfigArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// host, user@host or ssh://user@host:port
    #[arg(value_name = "HOST")]
    pub(crate) host: String,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// Show what this program does, against an SSH server of its own.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Run an SSH server for tests on 127.0.0.1, until whoever started it ends, or Ctrl-C is pressed.
///
/// It prints one line of JSON: its address, host key, known_hosts lines, users, and where its control listens. It
/// answers a few commands by itself (true, false, exit, echo, cat, sleep, yes, sha256sum, wc -c, env, pwd) and serves
/// SFTP; a script says what else it does. See docs/test-server.md for the script and the control.
#[derive(Debug, clap::Args)]
#[command(after_help = TEST_SERVER_ENDS)]
pub(crate) struct TestServerArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// How the server is to be: users, commands, faults and more, in TOML
    #[arg(long, value_name = "FILE", conflicts_with_all = ["login", "password_file", "authorized_keys", "real_shell"])]
    pub(crate) script: Option<PathBuf>,
    /// The user who may log in
    #[arg(long, value_name = "USER", default_value = "test")]
    pub(crate) login: String,
    /// The user's password from a file; a random one otherwise
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// A file of public keys that may log in, as authorized_keys
    #[arg(long, value_name = "FILE")]
    pub(crate) authorized_keys: Option<PathBuf>,
    /// Run other commands with /bin/sh, with the rights of whoever started this server
    #[arg(long)]
    pub(crate) real_shell: bool,
    /// Run on when the parent or standard input ends, until a signal or the control ends it
    #[arg(long)]
    pub(crate) keep: bool,
    /// Take it as it comes where a scripted fault never happened
    #[arg(long)]
    pub(crate) allow_unfired: bool,
}

/// Print a completion script for a shell.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Default, Clone, Copy, clap::Args)]
pub(crate) struct OutputArgs {
    /// How results and errors are written
    #[arg(long, value_name = "FORMAT")]
    pub(crate) format: Option<FormatArg>,
    /// Say more on standard error; may be repeated
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say nothing on standard error but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// Log in under this name
    #[arg(short, long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Port of the server
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// Private key to log in with; may be repeated
    #[arg(short, long, value_name = "KEY_FILE")]
    pub(crate) identity: Vec<PathBuf>,
    /// Any keyword of ssh_config(5); may be repeated
    #[arg(short = 'o', long, value_name = "KEY=VALUE")]
    pub(crate) ssh_option: Vec<String>,
    /// Password from a file that nobody else can read, `-` for a line of standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Whether to use the keys of an agent [default: where one answers]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) use_agent: Option<bool>,
    /// Seconds for TCP, handshake and authentication, without the time that a person needs [default: 10]
    #[arg(long, value_name = "SECS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connection_timeout: Option<u32>,
    /// SSH configuration file, `none` for none [default: ~/.ssh/config, then the system's]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    Human,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShellArg {
    /// sh, bash, zsh, dash, ksh
    Posix,
    /// csh, tcsh
    Csh,
    Fish,
    /// cmd.exe
    Cmd,
    Powershell,
}

impl OutputArgs {
    /// Options before the command's name, then those after it, which go first where only one can count.
    pub(crate) fn then(self, after: Self) -> Self {
        Self {
            format: after.format.or(self.format),
            verbose: self.verbose.saturating_add(after.verbose),
            quiet: self.quiet || after.quiet,
        }
    }
}

impl ConnectionArgs {
    /// As [`OutputArgs::then`]; what may be repeated adds up.
    pub(crate) fn then(mut self, after: Self) -> Self {
        self.identity.extend(after.identity);
        self.ssh_option.extend(after.ssh_option);
        Self {
            user: after.user.or(self.user),
            port: after.port.or(self.port),
            identity: self.identity,
            ssh_option: self.ssh_option,
            password_file: after.password_file.or(self.password_file),
            use_agent: after.use_agent.or(self.use_agent),
            connection_timeout: after.connection_timeout.or(self.connection_timeout),
            config: after.config.or(self.config),
        }
    }
}
