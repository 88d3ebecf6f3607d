//! From a destination as a person types it to a session, as `ssh` would make it: `~/.ssh/config` and all.

mod agents;
mod configuration;
mod driver;
mod forwards;
mod identity;
mod jump;
mod run;
mod settings;
mod trust;
mod warning;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustle_ssh_config::{ConfigError, ConfigFile, OsSource, Query, Source, resolve};
use secrecy::SecretString;

use crate::auth::{AgentSource, Credentials, Prompter};
use crate::connect::Connector;
use crate::error::{Error, ErrorKind, Result};
use crate::host_trust::{DnsResolver, HostTrust};
use crate::options::BufferLimits;
use crate::session::Session;
use crate::setup::forwards::Maker;
use crate::setup::jump::{ErrorLines, Trail};
use crate::setup::settings::TrafficClasses;
use crate::setup::trust::{ConfiguredTrust, SharedTrust};
use crate::target::Target;

pub use crate::setup::configuration::{HostSetting, HostSettings};
pub use crate::setup::forwards::{ForwardPlace, ForwardSide, HostForward};
pub use crate::setup::identity::HostIdentity;
pub use crate::setup::run::{RunSettings, SessionKind, TerminalWish, Verbosity};
pub use crate::setup::trust::{HostKeyAnswer, HostKeyPrompter};
pub use crate::setup::warning::SetupWarning;

/// How to reach and log in to one host: a destination, `ssh`'s configuration for it, and ssh's defaults.
///
/// ```no_run
/// # async fn example() -> rustle_session::Result<()> {
/// use rustle_session::HostSetup;
///
/// let setup = HostSetup::builder("deploy@web-1").option("StrictHostKeyChecking=accept-new").resolve()?;
/// for warning in setup.warnings() {
///     eprintln!("{warning}");
/// }
/// let session = setup.connect().await?;
/// # Ok(())
/// # }
/// ```
///
/// A clone is the same once more and takes next to nothing: a thousand names may have one.
#[derive(Clone)]
pub struct HostSetup {
    parts: Arc<Parts>,
}

#[derive(Clone)]
struct Parts {
    connector: Connector,
    trust: Arc<ConfiguredTrust>,
    credentials: Credentials,
    lent_agent: Option<AgentSource>,
    environment: Vec<(String, String)>,
    run: RunSettings,
    classes: TrafficClasses,
    warnings: Vec<SetupWarning>,
    identity: Arc<HostIdentity>,
    forwards: Arc<[HostForward]>,
    exits_on_forward_failure: bool,
    kept_idle: Option<Duration>,
    /// The host on the way, by its name.
    jump: Option<Arc<(String, HostSetup)>>,
}

impl HostSetup {
    /// Begins with a destination: `host`, `user@host` or `ssh://user@host:port`. The host may be an alias of the
    /// configuration.
    pub fn builder(destination: impl Into<String>) -> HostSetupBuilder {
        HostSetupBuilder {
            destination: destination.into(),
            command: None,
            user: None,
            port: None,
            identities: Vec::new(),
            options: Vec::new(),
            files: Files::Usual,
            connect_timeout: None,
            buffers: None,
            agent: None,
            password: None,
            prompter: None,
            host_key_prompter: None,
            resolver: None,
            proxy_errors: None,
            forwards: Maker::Nobody,
        }
    }

    /// The same for a session with a terminal: its packets carry the class that `IPQoS` has for those, in place of the
    /// one for all others.
    #[must_use]
    pub fn for_terminal(mut self) -> Self {
        let parts = Arc::make_mut(&mut self.parts);
        parts.connector = parts.connector.clone().traffic_class(parts.classes.interactive);
        self
    }

    /// What the configuration says about the command to run.
    #[must_use]
    pub fn run(&self) -> &RunSettings {
        &self.parts.run
    }

    /// How the host is reached and whether it is trusted.
    pub fn connector(&self) -> &Connector {
        &self.parts.connector
    }

    /// The trust that the configuration asks for, which [`connector`](Self::connector) has already: for a trust
    /// of one's own that asks it too.
    #[must_use]
    pub fn host_trust(&self) -> Arc<dyn HostTrust> {
        Arc::<ConfiguredTrust>::clone(&self.parts.trust)
    }

    /// Whether `VisualHostKey` asks for a picture of the host's key wherever it is shown: see
    /// [`HostKeyOffer::randomart`](crate::HostKeyOffer::randomart).
    #[must_use]
    pub fn shows_host_key(&self) -> bool {
        self.parts.trust.shows_picture()
    }

    /// What there is to log in with.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.parts.credentials
    }

    /// The agent that `ForwardAgent` lends to commands on this host; a caller hands it to
    /// [`Command::forward_agent`](crate::Command::forward_agent).
    #[must_use]
    pub fn lent_agent(&self) -> Option<&AgentSource> {
        self.parts.lent_agent.as_ref()
    }

    /// The variables that `SetEnv` sets for commands on this host; a caller hands them to
    /// [`Command::offer_env`](crate::Command::offer_env), as ssh does.
    #[must_use]
    pub fn environment(&self) -> &[(String, String)] {
        &self.parts.environment
    }

    /// What the configuration asks for and does not get, or gets in another form.
    #[must_use]
    pub fn warnings(&self) -> &[SetupWarning] {
        &self.parts.warnings
    }

    /// Connects and logs in.
    ///
    /// # Errors
    /// As [`Connector::connect`] and [`Unauthenticated::authenticate`](crate::Unauthenticated::authenticate).
    ///
    /// # Cancel safety
    /// Dropped, the connection is closed; the server may have seen a password or a key.
    pub async fn connect(&self) -> Result<Session> {
        Ok(self.parts.connector.connect().await?.authenticate(&self.parts.credentials).await?)
    }
}

impl fmt::Debug for HostSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &*self.parts;
        // Of the variables the names alone: tokens stand in them.
        let environment: Vec<&str> = parts.environment.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("HostSetup")
            .field("connector", &parts.connector)
            .field("trust", &parts.trust)
            .field("credentials", &parts.credentials)
            .field("lent_agent", &parts.lent_agent)
            .field("environment", &environment)
            .field("run", &parts.run)
            .field("classes", &parts.classes)
            .field("warnings", &parts.warnings)
            .finish()
    }
}

impl Session {
    /// Connects as `ssh` would: by `~/.ssh/config` and the system's configuration, `known_hosts`, the agent and
    /// the usual keys. Nobody is asked anything; a host that is not known is refused.
    ///
    /// The destination is `host`, `user@host` or `ssh://user@host:port`. [`HostSetup`] has the same with options,
    /// passwords, and people to ask.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] for a destination or configuration that cannot be followed, and as
    /// [`HostSetup::connect`].
    ///
    /// # Cancel safety
    /// Dropped, the connection is closed; the server may have seen a key.
    pub async fn connect(destination: &str) -> Result<Self> {
        HostSetup::builder(destination).load().await?.connect().await
    }
}

/// Builds a [`HostSetup`]. What is set here goes before what the configuration says.
#[derive(Clone)]
#[must_use = "nothing is read until it is resolved"]
pub struct HostSetupBuilder {
    destination: String,
    command: Option<String>,
    user: Option<String>,
    port: Option<u16>,
    identities: Vec<PathBuf>,
    options: Vec<String>,
    files: Files,
    connect_timeout: Option<Duration>,
    buffers: Option<BufferLimits>,
    agent: Option<AgentSource>,
    password: Option<SecretString>,
    prompter: Option<Arc<dyn Prompter>>,
    host_key_prompter: Option<Arc<dyn HostKeyPrompter>>,
    resolver: Option<DnsResolver>,
    proxy_errors: Option<ErrorLines>,
    forwards: Maker,
}

#[derive(Debug, Clone)]
enum Files {
    Usual,
    These(Vec<PathBuf>),
}

impl HostSetupBuilder {
    /// What is going to run on the host, as the words behind ssh's destination: for `Match command` and
    /// `Match sessiontype`, and because a command has the terminal to itself: with one, `UpdateHostKeys ask` asks nobody.
    /// By default nothing is known of it. It is not run by this.
    ///
    /// ```
    /// use rustle_session::HostSetup;
    ///
    /// let builder = HostSetup::builder("web-1").without_config_files().option("UpdateHostKeys=ask");
    /// let settings = builder.command("uptime").settings()?;
    /// let asks = settings.settings().iter().find(|setting| setting.name() == "updatehostkeys");
    /// assert_eq!(asks.map(|setting| setting.value()), Some("false"));
    /// # Ok::<(), rustle_session::Error>(())
    /// ```
    pub fn command(mut self, line: impl Into<String>) -> Self {
        self.command = Some(line.into());
        self
    }

    /// The user to log in as; goes before the one in the destination, as ssh's `-l`.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// The port; goes before the one in the destination, as ssh's `-p`.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// A private key file, tried before those of the configuration, as ssh's `-i`; may be repeated.
    pub fn identity(mut self, path: impl Into<PathBuf>) -> Self {
        self.identities.push(path.into());
        self
    }

    /// A keyword of `ssh_config(5)`, `KEYWORD=VALUE`, as ssh's `-o`; may be repeated, and the first one counts.
    pub fn option(mut self, option: impl Into<String>) -> Self {
        self.options.push(option.into());
        self
    }

    /// Reads this configuration file and no other, as ssh's `-F`. It has to be there.
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files = Files::These(vec![path.into()]);
        self
    }

    /// Reads no configuration file.
    pub fn without_config_files(mut self) -> Self {
        self.files = Files::These(Vec::new());
        self
    }

    /// Time for the look-up, TCP, the handshake and authentication together; goes before `ConnectTimeout`.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = Some(timeout);
        self
    }

    /// What is kept of output that is not read; see [`BufferLimits`].
    pub fn buffers(mut self, buffers: BufferLimits) -> Self {
        self.buffers = Some(buffers);
        self
    }

    /// Where the agent is; goes before `IdentityAgent`.
    pub fn agent(mut self, source: AgentSource) -> Self {
        self.agent = Some(source);
        self
    }

    /// A password known beforehand; see [`Credentials::password`].
    pub fn password(mut self, password: SecretString) -> Self {
        self.password = Some(password);
        self
    }

    /// Who answers the questions of authentication. Without one, methods that need a person are skipped.
    pub fn prompter(mut self, prompter: Arc<dyn Prompter>) -> Self {
        self.prompter = Some(prompter);
        self
    }

    /// Who is asked about the key of a host that is not known (`StrictHostKeyChecking ask`, the default of ssh).
    /// Without one, such a host is refused.
    pub fn host_key_prompter(mut self, prompter: Arc<dyn HostKeyPrompter>) -> Self {
        self.host_key_prompter = Some(prompter);
        self
    }

    /// Which DNS servers are asked for host keys (`VerifyHostKeyDNS`), in place of the system's.
    pub fn resolver(mut self, resolver: DnsResolver) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// Who gets what a `ProxyCommand` writes to standard error, of the host's and of its jump hosts'; see
    /// [`ProxyCommand::on_error_line`](crate::ProxyCommand::on_error_line).
    pub fn proxy_errors(mut self, listener: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.proxy_errors = Some(Arc::new(listener));
        self
    }

    /// As [`resolve`](Self::resolve), on a thread where blocking does no harm.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    ///
    /// # Cancel safety
    /// Dropped, the thread finishes its reading; nothing was changed.
    pub async fn load(&self) -> Result<HostSetup> {
        driver::resolve(self.clone()).await
    }

    /// Reads the configuration and puts it all together. Blocks for as long as the files take to read, and the
    /// commands in them (`Match exec`) to run: on an asynchronous runtime, [`load`](Self::load) is the one to call.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`], with the file and line, for what cannot be understood and for what must not
    /// be ignored.
    pub fn resolve(&self) -> Result<HostSetup> {
        self.resolve_from(&OsSource::new())
    }

    pub(crate) fn resolve_from(&self, source: &dyn Source) -> Result<HostSetup> {
        self.resolve_along(source, &mut Trail::from(&self.destination))
    }

    /// As a host on the way to another.
    fn resolve_along(&self, source: &dyn Source, trail: &mut Trail) -> Result<HostSetup> {
        let query = self.query()?;
        let settings =
            resolve(&query, &self.config_files(source)?, source).map_err(|error| unusable(&error))?;
        let settings = Arc::new(settings);
        let mut warnings = warning::of(&settings, self.forwards).map_err(|error| unusable(&error))?;
        let target =
            Target::new(settings.hostname())?.with_user(settings.user())?.with_port(settings.port())?;
        let transport = settings::transport(&settings, self.connect_timeout, self.buffers)?;
        let algorithms = settings::algorithms(&settings, &mut warnings)?;
        let told = configuration::told(&settings, &algorithms, self.connect_timeout);
        let connector = Connector::new(target).transport(transport).algorithms(algorithms);
        let prompter = self.host_key_prompter.clone();
        let trust = ConfiguredTrust::new(&settings, prompter, self.resolver.clone(), &mut warnings)?;
        let trust = Arc::new(trust);
        let connector = connector.host_trust(SharedTrust(Arc::clone(&trust)));
        let mut credentials = settings::credentials(&settings, source, &mut warnings);
        let asked = self.agent.clone().unwrap_or_else(|| agents::asked(&settings, source));
        let lent_agent = agents::lent(&settings, source, &asked);
        credentials = credentials.agent(asked);
        if let Some(password) = &self.password {
            credentials = credentials.password(password.clone());
        }
        if let Some(prompter) = &self.prompter {
            credentials = credentials.prompter(Arc::clone(prompter));
        }
        let (mut connector, jump) = jump::way(connector, self, &settings, source, trail, &mut warnings)?;
        let identity = HostIdentity::new(self, &told, jump.as_ref().map(|(_, hop)| &hop.parts.identity));
        if connector.dials() {
            connector = connector.dial(settings::dial(&settings)?);
        }
        let parts = Parts {
            connector,
            trust,
            credentials,
            lent_agent,
            environment: settings.set_env().to_vec(),
            run: RunSettings::new(&settings),
            classes: settings::traffic_classes(&settings),
            warnings,
            identity: Arc::new(identity),
            forwards: forwards::of(&settings).into(),
            exits_on_forward_failure: settings.exit_on_forward_failure(),
            kept_idle: settings::kept_idle(&settings),
            jump: jump.map(Arc::new),
        };
        Ok(HostSetup { parts: Arc::new(parts) })
    }

    fn query(&self) -> Result<Query> {
        let target = Target::parse(&self.destination)?;
        let mut query = Query::new(target.host());
        if let Some(command) = &self.command {
            query = query.command(command);
        }
        if let Some(user) = self.user.as_deref().or(target.user()) {
            query = query.user(user);
        }
        if let Some(port) = self.port.or(target.port()) {
            query = query.port(port);
        }
        for identity in &self.identities {
            query = query.identity_file(text(identity)?);
        }
        for option in &self.options {
            query = query.option(option);
        }
        Ok(query)
    }

    fn config_files(&self, source: &dyn Source) -> Result<Vec<ConfigFile>> {
        match &self.files {
            Files::Usual => ConfigFile::defaults(source).map_err(|error| unusable(&error)),
            Files::These(paths) => paths.iter().map(|path| Ok(ConfigFile::explicit(text(path)?))).collect(),
        }
    }
}

impl fmt::Debug for HostSetupBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the password nor the options, which may set variables to anything.
        f.debug_struct("HostSetupBuilder")
            .field("destination", &self.destination)
            .field("user", &self.user)
            .field("port", &self.port)
            .field("identities", &self.identities)
            .field("files", &self.files)
            .field("prompter", &self.prompter.is_some())
            .field("host_key_prompter", &self.host_key_prompter.is_some())
            .finish_non_exhaustive()
    }
}

/// A path as the configuration's own, which are text.
fn text(path: &std::path::Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        refused(format!(
            "the path {} is not UTF-8, which file names in the configuration have to be",
            path.display()
        ))
        .with_hint("rename the file, or make a link to it under another name")
    })
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Configuration, "read configuration", message)
}

fn unusable(error: &ConfigError) -> Error {
    use std::error::Error as _;

    let message = error.to_string();
    match error.source() {
        Some(cause) => refused(message).with_source(cause.to_string()),
        None => refused(message),
    }
}

#[cfg(test)]
mod tests;
