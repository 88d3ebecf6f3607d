//! What is meant by what was typed, and by the environment: flag before environment before default.

mod operand;
mod sync;
mod transfer;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustle_session::{
    AgentSource, BufferLimits, HostSettings, HostSetup, HostSetupBuilder, Shell, TerminalWish,
};

use crate::args::{
    Args, CommandArgs, ConnectionArgs, ExecArgs, FormatArg, OutputArgs, ShellArg, TestServerArgs,
};
use crate::failure::{Failure, USAGE};
use crate::password_file::PasswordFile;
use crate::printer;
use crate::prompt::Person;
use crate::words;

pub(crate) use self::sync::{SyncPlan, SyncWay};
pub(crate) use self::transfer::{ListPlan, Manner, MeansPlan, TransferPlan, TreeManner, Way};

/// How long output may wait for whoever reads this program's own: as good as for ever.
const PATIENCE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How to speak of what is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) voice: Voice,
}

impl Line {
    /// As the configuration's conditions see it.
    pub(crate) fn text(&self) -> String {
        let bytes = match self {
            Self::Shell { line, .. } | Self::Raw(line) => line.clone(),
            Self::Quoted { words, .. } => words.join(&b' '),
        };
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Human,
    Json,
}

/// How much is said on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    /// Errors alone.
    Quiet,
    Normal,
    /// With notes, and so many steps of logging: 1, 2, 3 and more.
    Verbose(u8),
}

pub(crate) enum Task {
    Exec(ExecPlan),
    Transfer(TransferPlan),
    Sync(SyncPlan),
    List(ListPlan),
    TestConnection(HostPlan),
    SshConfig(HostPlan),
    Demo,
    TestServer(TestServerPlan),
    Completions(clap_complete::Shell),
}

pub(crate) struct ExecPlan {
    pub(crate) host: HostPlan,
    /// None where no command was typed.
    pub(crate) line: Option<Line>,
    /// The remote shell.
    pub(crate) shell: Shell,
    pub(crate) input: Input,
    /// None where nothing was typed about it.
    pub(crate) terminal: Option<TerminalWish>,
}

/// The command in the form in which it is sent.
#[derive(Debug, Clone)]
pub(crate) enum Line {
    /// For the remote shell to read.
    Shell { shell: Shell, line: Vec<u8> },
    /// Each word quoted.
    Quoted { shell: Shell, words: Vec<Vec<u8>> },
    /// Exactly these bytes.
    Raw(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    Forward,
    None,
}

/// How one host is reached.
pub(crate) struct HostPlan {
    destination: String,
    builder: HostSetupBuilder,
    password: Option<PasswordFile>,
}

pub(crate) struct TestServerPlan {
    pub(crate) script: Option<PathBuf>,
    pub(crate) login: String,
    pub(crate) password: Option<PasswordFile>,
    pub(crate) authorized_keys: Option<PathBuf>,
    pub(crate) others: OtherCommands,
    pub(crate) life: Life,
    pub(crate) unfired: Unfired,
}

/// How long the test server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// As long as whoever started it.
    OfItsParent,
    UntilTold,
}

/// What a scripted fault that never happened is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfired {
    AnError,
    Fine,
}

/// What the test server does about commands that are not built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OtherCommands {
    Refuse,
    RunWithShell,
}

/// Reads the arguments, and the environment for what they do not say. A refusal names what makes no sense together,
/// and is told in the format that was asked for.
pub(crate) fn plan(args: Args, env: impl Fn(&str) -> Option<OsString>) -> (Output, Result<Task, Failure>) {
    let Args { output: before, connection, command } = args;
    let (after, command) = split_output(command);
    (Output::from(before.then(after)), task(command, connection, env))
}

/// Takes the output options out of the command's own arguments.
fn split_output(mut command: CommandArgs) -> (OutputArgs, CommandArgs) {
    let output = match &mut command {
        CommandArgs::Exec(args) => std::mem::take(&mut args.output),
        CommandArgs::Get(args) => std::mem::take(&mut args.output),
        CommandArgs::LsRemote(args) => std::mem::take(&mut args.output),
        CommandArgs::Put(args) => std::mem::take(&mut args.output),
        CommandArgs::Sync(args) => std::mem::take(&mut args.output),
        CommandArgs::TestConnection(args) => std::mem::take(&mut args.output),
        CommandArgs::SshConfig(args) => std::mem::take(&mut args.output),
        CommandArgs::Demo(args) => std::mem::take(&mut args.output),
        CommandArgs::TestServer(args) => std::mem::take(&mut args.output),
        CommandArgs::Completions(_) => OutputArgs::default(),
    };
    (output, command)
}

fn task(
    command: CommandArgs,
    before: ConnectionArgs,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<Task, Failure> {
    let local = |name: &str, before: &ConnectionArgs| {
        if *before == ConnectionArgs::default() {
            return Ok(());
        }
        let message = format!("{name} connects to no host of yours and takes no options for connections");
        Err(Failure::new(USAGE, message).hint(format!("see `rustle-connect {name} --help`")))
    };
    Ok(match command {
        CommandArgs::Exec(args) => Task::Exec(exec(args, before, env)?),
        CommandArgs::Get(args) => Task::Transfer(transfer::get(args, before, env)?),
        CommandArgs::Put(args) => Task::Transfer(transfer::put(args, before, env)?),
        CommandArgs::Sync(args) => Task::Sync(sync::sync(args, before, env)?),
        CommandArgs::LsRemote(args) => Task::List(transfer::list(args, before, env)?),
        CommandArgs::TestConnection(args) => {
            Task::TestConnection(host(args.host, before.then(args.connection), env)?)
        }
        CommandArgs::SshConfig(args) => Task::SshConfig(host(args.host, before.then(args.connection), env)?),
        CommandArgs::Demo(_) => {
            local("demo", &before)?;
            Task::Demo
        }
        CommandArgs::TestServer(args) => {
            local("test-server", &before)?;
            Task::TestServer(test_server(args))
        }
        CommandArgs::Completions(args) => {
            local("completions", &before)?;
            Task::Completions(args.shell)
        }
    })
}

fn exec(
    args: ExecArgs,
    before: ConnectionArgs,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<ExecPlan, Failure> {
    let destination = args.host;
    if let Some(second) = args.misplaced.first() {
        return Err(Failure::new(USAGE, "exec takes one host").hint(format!(
            "the command stands after `--`: rustle-connect exec {destination} -- {second} …"
        )));
    }
    let words = words::bytes(args.command)?;
    let shell = match args.shell {
        ShellArg::Posix => Shell::Posix,
        ShellArg::Csh => Shell::Csh,
        ShellArg::Fish => Shell::Fish,
        ShellArg::Cmd => Shell::Cmd,
        ShellArg::Powershell => Shell::PowerShell,
    };
    let line = if words.is_empty() {
        None
    } else if args.raw {
        Some(Line::Raw(words.join(&b' ')))
    } else if args.argv {
        Some(Line::Quoted { shell, words })
    } else {
        Some(Line::Shell { shell, line: words.join(&b' ') })
    };
    let terminal = match (args.no_tty, args.tty) {
        (true, _) => Some(TerminalWish::No),
        (false, 0) => None,
        (false, 1) => Some(TerminalWish::Yes),
        (false, _) => Some(TerminalWish::Force),
    };
    let input = if args.no_stdin { Input::None } else { Input::Forward };
    let host = host(destination, before.then(args.connection), env)?;
    Ok(ExecPlan { host, line, shell, input, terminal })
}

fn host(
    destination: String,
    args: ConnectionArgs,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<HostPlan, Failure> {
    let env = |name: &str| env(name).filter(|value| !value.is_empty());
    let mut builder = HostSetup::builder(&destination);
    if let Some(user) = args.user {
        builder = builder.user(user);
    }
    if let Some(port) = args.port {
        builder = builder.port(port);
    }
    let from_env = || env("RUSTLE_SSH_KEY_PATH").map(PathBuf::from).into_iter().collect();
    let identities: Vec<PathBuf> = if args.identity.is_empty() { from_env() } else { args.identity };
    for identity in identities {
        builder = builder.identity(identity);
    }
    for option in args.ssh_option {
        builder = builder.option(option);
    }
    if let Some(seconds) = args.connection_timeout {
        builder = builder.connect_timeout(Duration::from_secs(seconds.into()));
    } else if let Some(seconds) = env("RUSTLE_CONNECTION_TIMEOUT") {
        // After the options that were typed, and before the configuration files.
        builder = builder.option(format!("ConnectTimeout={}", timeout(&seconds)?));
    }
    match args.config.or_else(|| env("RUSTLE_SSH_CONFIG").map(PathBuf::from)) {
        Some(path) if path.as_os_str() == "none" => builder = builder.without_config_files(),
        Some(path) => builder = builder.config_file(path),
        None => {}
    }
    match args.use_agent {
        Some(true) => builder = builder.agent(AgentSource::Env),
        Some(false) => builder = builder.agent(AgentSource::None),
        None => {}
    }
    Ok(HostPlan { destination, builder, password: args.password_file.map(PasswordFile::new) })
}

fn timeout(text: &OsString) -> Result<u32, Failure> {
    text.to_str().and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0).ok_or_else(|| {
        Failure::new(USAGE, "RUSTLE_CONNECTION_TIMEOUT in the environment is not a number of seconds")
            .hint("set it to a whole number such as 10, or unset it")
    })
}

fn test_server(args: TestServerArgs) -> TestServerPlan {
    TestServerPlan {
        script: args.script,
        login: args.login,
        password: args.password_file.map(PasswordFile::new),
        authorized_keys: args.authorized_keys,
        others: if args.real_shell { OtherCommands::RunWithShell } else { OtherCommands::Refuse },
        life: if args.keep { Life::UntilTold } else { Life::OfItsParent },
        unfired: if args.allow_unfired { Unfired::Fine } else { Unfired::AnError },
    }
}

impl HostPlan {
    /// Host, user and port as they were typed.
    pub(crate) fn destination(&self) -> &str {
        &self.destination
    }

    /// Reads the configuration alone.
    ///
    /// # Errors
    /// What is wrong with it, with its place.
    pub(crate) fn settings(&self) -> Result<HostSettings, Failure> {
        Ok(self.builder.settings()?)
    }

    /// Reads the password file and the configuration, for this command where there is one. A person is asked through
    /// `person`.
    ///
    /// # Errors
    /// What is wrong with either, with its place.
    ///
    /// # Cancel safety
    /// Dropped, nothing was changed.
    pub(crate) async fn setup(
        &self,
        person: &Arc<Person>,
        command: Option<String>,
    ) -> Result<HostSetup, Failure> {
        let mut builder = self
            .builder
            .clone()
            // One command has the connection to itself: a reader that stops holds nobody else up, however long.
            .buffers(BufferLimits::default().pause(PATIENCE))
            .prompter(Arc::<Person>::clone(person))
            .host_key_prompter(Arc::<Person>::clone(person))
            .proxy_errors(printer::say_for_proxy);
        if let Some(command) = command {
            builder = builder.command(command);
        }
        if let Some(file) = &self.password {
            builder = builder.password(file.read()?);
        }
        Ok(builder.load().await?)
    }
}

impl From<OutputArgs> for Output {
    fn from(args: OutputArgs) -> Self {
        Self {
            format: match args.format {
                Some(FormatArg::Json) => Format::Json,
                Some(FormatArg::Human) | None => Format::Human,
            },
            voice: match (args.quiet, args.verbose) {
                (true, _) => Voice::Quiet,
                (false, 0) => Voice::Normal,
                (false, steps) => Voice::Verbose(steps),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    fn planned(typed: &str, env: &[(&str, &str)]) -> (Output, Result<Task, Failure>) {
        let args = Args::try_parse_from(typed.split(' ')).unwrap();
        let env: Vec<(String, OsString)> =
            env.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
        plan(args, |name| env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
    }

    fn task_of(typed: &str, env: &[(&str, &str)]) -> Task {
        planned(typed, env).1.map_err(|failure| failure.lines()).unwrap()
    }

    fn target(typed: &str, env: &[(&str, &str)]) -> String {
        let Task::TestConnection(host) = task_of(typed, env) else { panic!("another task") };
        let setup = host.builder.clone().resolve().unwrap();
        format!("{} {:?}", setup.connector().target(), setup.credentials())
    }

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn options_stand_before_or_after_the_commands_name() {
        let both = "rustle-connect --config none -p 2222 -i /before test web -u deploy -i /after -vv";
        let shown = target(both, &[]);
        assert!(shown.starts_with("deploy@web:2222 "), "{shown}");
        assert!(shown.contains(r#"keys: ["/before", "/after"]"#), "{shown}");
        let last = target("rustle-connect --config none -p 1 test -p 2 u@web", &[]);
        assert!(last.starts_with("u@web:2 "), "{last}");
        let voice = planned("rustle-connect -v --config none test -vv web", &[]).0.voice;
        assert_eq!(voice, Voice::Verbose(3));
    }

    #[test]
    fn a_flag_goes_before_the_environment_and_that_before_the_default() {
        let env = [("RUSTLE_SSH_KEY_PATH", "/env"), ("RUSTLE_SSH_CONFIG", "none")];
        assert!(target("rustle-connect test u@web", &env).contains(r#"keys: ["/env"]"#));
        assert!(target("rustle-connect test u@web -i /flag", &env).contains(r#"keys: ["/flag"]"#));
        let timeout = |typed: &str, env: &[(&str, &str)]| {
            let Task::TestConnection(host) = task_of(typed, env) else { panic!("another task") };
            let setup = host.builder.clone().without_config_files().resolve().unwrap();
            format!("{:?}", setup.connector())
        };
        let env = [("RUSTLE_CONNECTION_TIMEOUT", "7")];
        assert!(timeout("rustle-connect test u@web", &[]).contains("connect_timeout: 10s"));
        assert!(timeout("rustle-connect test u@web", &env).contains("connect_timeout: 7s"));
        assert!(
            timeout("rustle-connect test u@web -o ConnectTimeout=3", &env).contains("connect_timeout: 3s")
        );
        let flag = "rustle-connect test u@web -o ConnectTimeout=3 --connection-timeout 2";
        assert!(timeout(flag, &env).contains("connect_timeout: 2s"));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_hint() {
        let env = [("RUSTLE_CONNECTION_TIMEOUT", "soon")];
        for failure in [
            planned("rustle-connect test u@web", &env).1.err(),
            planned("rustle-connect exec web uname -- x", &[]).1.err(),
            planned("rustle-connect -p 22 demo", &[]).1.err(),
        ] {
            assert!(failure.unwrap().has_hint());
        }
    }

    #[test]
    fn words_are_joined_quoted_or_sent_as_they_are() {
        let line = |typed: &str| {
            let Task::Exec(exec) = task_of(typed, &[]) else { panic!("another task") };
            exec.line.unwrap()
        };
        assert!(matches!(line("rustle-connect exec web -- a b"), Line::Shell { line, .. } if line == b"a b"));
        assert!(
            matches!(line("rustle-connect exec web --argv -- a b"), Line::Quoted { words, .. } if words.len() == 2)
        );
        assert!(matches!(line("rustle-connect exec web --raw -- a b"), Line::Raw(line) if line == b"a b"));
    }
}
