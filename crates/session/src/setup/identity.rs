//! What connections may be shared by: all that says how a host is reached, trusted and logged in to.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use crate::auth::{AgentSource, Prompter};
use crate::error::Result;
use crate::host_trust::DnsResolver;
use crate::session::Session;
use crate::setup::configuration::HostSetting;
use crate::setup::jump::ErrorLines;
use crate::setup::trust::HostKeyPrompter;
use crate::setup::{HostSetup, HostSetupBuilder};

/// Whatever two setups with the same identity reach is the same host, trusted and logged in to in the same way: they may share
/// a connection. All that the configuration says of the host is part of it, but for what is no matter of the connection: its
/// forwards and terminals. Of the hosts on the way to it ([`HostSetup::jump_host`]) it is their own identities, whatever they are
/// called: two files may mean other hosts by the same name.
///
/// ```
/// use rustle_session::HostSetup;
///
/// let identity = |option: &str| {
///     let builder = HostSetup::builder("web-1").without_config_files().option(option);
///     builder.resolve().map(|setup| setup.identity().clone())
/// };
/// assert_eq!(identity("User=deploy")?, identity("User=deploy")?);
/// assert_ne!(identity("User=deploy")?, identity("User=root")?);
/// # Ok::<(), rustle_session::Error>(())
/// ```
#[derive(Clone)]
pub struct HostIdentity {
    /// The settings, one a line.
    settings: String,
    agent: Option<AgentSource>,
    resolver: Option<DnsResolver>,
    prompter: Option<Arc<dyn Prompter>>,
    host_key_prompter: Option<Arc<dyn HostKeyPrompter>>,
    proxy_errors: Option<ErrorLines>,
    /// A password is compared with none: whoever has one shares with its own clones.
    password: Option<Arc<()>>,
    /// What the host on the way to it is, which has the one before it in turn.
    jump: Option<Arc<Self>>,
}

/// What is no matter of the connection.
const OF_NO_MATTER: &[&str] = &[
    "clearallforwardings",
    "controlpath",
    "dynamicforward",
    "exitonforwardfailure",
    "gatewayports",
    "localforward",
    "remoteforward",
    "requesttty",
];

impl HostIdentity {
    pub(super) fn new(
        builder: &HostSetupBuilder,
        settings: &[HostSetting],
        jump: Option<&Arc<HostIdentity>>,
    ) -> Self {
        let matters = |one: &&HostSetting| !OF_NO_MATTER.contains(&one.name());
        let goes_by = |tokens: [&str; 2]| {
            let has_one = |one: &HostSetting| tokens.iter().any(|token| one.value().contains(*token));
            settings.iter().filter(matters).any(has_one)
        };
        // A command or a file may go by the name that was typed (`%n`, and `%k` where there is no HostKeyAlias), or by what the
        // host on the way is called (`%j`, of which `%C` is made too).
        let (goes_by_name, goes_by_way) = (goes_by(["%n", "%k"]), goes_by(["%j", "%C"]));
        let matters = |one: &&HostSetting| match one.name() {
            "host" => goes_by_name,
            "proxyjump" => goes_by_way || jump.is_none(),
            _ => matters(one),
        };
        let lines = settings.iter().filter(matters).map(|one| format!("{} {}\n", one.name(), one.value()));
        let buffers = format!("buffers {:?}\n", builder.buffers);
        Self {
            settings: lines.chain([buffers]).collect(),
            agent: builder.agent.clone(),
            resolver: builder.resolver.clone(),
            prompter: builder.prompter.clone(),
            host_key_prompter: builder.host_key_prompter.clone(),
            proxy_errors: builder.proxy_errors.clone(),
            password: builder.password.as_ref().map(|_| Arc::default()),
            jump: jump.cloned(),
        }
    }
}

impl PartialEq for HostIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
            && self.agent == other.agent
            && self.resolver == other.resolver
            && is_same(self.prompter.as_ref(), other.prompter.as_ref())
            && is_same(self.host_key_prompter.as_ref(), other.host_key_prompter.as_ref())
            && is_same(self.proxy_errors.as_ref(), other.proxy_errors.as_ref())
            && is_same(self.password.as_ref(), other.password.as_ref())
            && self.jump == other.jump
    }
}

impl Eq for HostIdentity {}

impl Hash for HostIdentity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.settings.hash(state);
    }
}

impl fmt::Debug for HostIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The settings may hold variables with tokens in them.
        f.debug_struct("HostIdentity").finish_non_exhaustive()
    }
}

/// Whether both are the same thing, and not only like each other; or both are nothing.
fn is_same<T: ?Sized>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other)),
        (None, None) => true,
        _ => false,
    }
}

impl HostSetup {
    /// What connections may be shared by.
    #[must_use]
    pub fn identity(&self) -> &HostIdentity {
        &self.parts.identity
    }

    /// The host that this one is reached through (`ProxyJump`, the last of its list), by its name there.
    #[must_use]
    pub fn jump_host(&self) -> Option<(&str, &HostSetup)> {
        self.parts.jump.as_deref().map(|(name, setup)| (name.as_str(), setup))
    }

    /// How long a connection that others share is kept when nobody uses it (`ControlPersist`, where there is a `ControlMaster`);
    /// [`Duration::MAX`] until it is told to end, and `None` where the configuration does not say. A pool does so; a single
    /// session lasts as long as somebody has it.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use rustle_session::HostSetup;
    ///
    /// let builder = HostSetup::builder("web-1").without_config_files().option("ControlPersist=30s");
    /// assert_eq!(builder.resolve()?.kept_idle(), None);
    /// let shared = builder.option("ControlMaster=auto").resolve()?;
    /// assert_eq!(shared.kept_idle(), Some(Duration::from_secs(30)));
    /// # Ok::<(), rustle_session::Error>(())
    /// ```
    #[must_use]
    pub fn kept_idle(&self) -> Option<Duration> {
        self.parts.kept_idle
    }

    /// As [`connect`](Self::connect), over a channel of a session with the [jump host](Self::jump_host) that is there already:
    /// see [`Connector::connect_through`](crate::Connector::connect_through).
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// As [`connect`](Self::connect); the session with the jump host is left as it is.
    pub async fn connect_through(&self, jump_host: &Session) -> Result<Session> {
        let unauthenticated = self.connector().connect_through(jump_host).await?;
        Ok(unauthenticated.authenticate(self.credentials()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identities<const N: usize>(config: &str, names: [&str; N]) -> [HostIdentity; N] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), config).unwrap();
        names.map(|name| {
            HostSetup::builder(name).config_file(file.path()).resolve().unwrap().identity().clone()
        })
    }

    #[test]
    fn names_that_lead_to_the_same_host_in_the_same_way_share_it() {
        let [one, other] =
            identities("Host web www\n  HostName web.example\n  User deploy\n", ["web", "www"]);
        assert_eq!(one, other);
    }

    #[test]
    fn what_differs_in_anything_shares_nothing() {
        for line in
            ["HostName b.example", "User b", "Port 23", "IdentityFile b", "ProxyJump c", "Ciphers aes128-ctr"]
        {
            let [one, other] =
                identities(&format!("Host b\n  {line}\nHost *\n  HostName a.example\n"), ["a", "b"]);
            assert_ne!(one, other, "{line}");
        }
    }

    #[test]
    fn a_way_is_by_what_its_hosts_are_and_not_by_their_names() {
        let config = |line: &str| {
            let defaults =
                "Host inner\n  HostName 10.0.0.9\n  ProxyJump bastion\nHost bastion\n  HostName b.example\n";
            format!("Host web\n  ProxyJump inner\n{line}\n{defaults}")
        };
        let [plain] = identities(&config(""), ["web"]);
        for line in [
            "Host inner\n  HostName 10.0.0.8",
            "Host inner\n  Port 2200",
            "Host inner\n  User ops",
            "Host inner\n  IdentityFile inner",
            "Host inner\n  UserKnownHostsFile inner",
            "Host inner\n  Ciphers aes128-ctr",
            "Host inner\n  ProxyJump other",
            "Host bastion\n  HostName a.example",
            "Host bastion\n  User ops",
        ] {
            let [other] = identities(&config(line), ["web"]);
            assert_ne!(plain, other, "{line}");
        }
        let [again] = identities(&config("Host inner\n  LocalForward 8080 db:80"), ["web"]);
        assert_eq!(plain, again);
    }

    #[test]
    fn two_names_of_the_host_on_the_way_are_one_way_unless_something_goes_by_them() {
        let ways =
            "Host a\n  ProxyJump one\nHost b\n  ProxyJump two\nHost one two\n  HostName bastion.example\n";
        let targets = "Host a b\n  HostName a.example\n";
        let [one, other] = identities(&format!("{ways}{targets}"), ["a", "b"]);
        assert_eq!(one, other);
        let files = "Host *\n  UserKnownHostsFile /keys/%j\n";
        let [one, other] = identities(&format!("{ways}{targets}{files}"), ["a", "b"]);
        assert_ne!(one, other);
    }

    #[test]
    fn what_is_no_matter_of_the_connection_keeps_nobody_from_sharing_it() {
        for line in
            ["LocalForward 8080 db:80", "RequestTTY force", "ControlPath /tmp/%n", "ExitOnForwardFailure no"]
        {
            let config = format!("Host b\n  {line}\nHost *\n  HostName a.example\n");
            let [one, other] = identities(&config, ["a", "b"]);
            assert_eq!(one, other, "{line}");
        }
    }

    #[test]
    fn names_that_a_command_goes_by_share_nothing() {
        let config = "Host vm-*\n  HostName localhost\n  ProxyCommand connect %n\n";
        let [one, other] = identities(config, ["vm-a", "vm-b"]);
        assert_ne!(one, other);
    }
}
