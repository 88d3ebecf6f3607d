//! Setting up a server.

pub(crate) mod forwarding;
mod limits;

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use russh::Preferred;

use crate::{
    algorithms::{Algorithms, RawOffer},
    auth::Accounts,
    call::Call,
    command::{Answer, Reply},
    error::{Error, ErrorKind},
    exit::Exit,
    fault::{Fault, Faults},
    host_certificate::HostCertificate,
    keys::{HostKeyKind, HostKeySource},
    network::Network,
    raw::RawPeer,
    server::{Settings, TestServer},
    sftp::Sftp,
    user::User,
};

pub(crate) use limits::Limits;

/// How a [`TestServer`] is to be; see [`TestServer::builder`].
#[must_use]
pub struct Builder {
    users: Vec<User>,
    host_keys: Vec<HostKeySource>,
    algorithms: Algorithms,
    faults: Vec<Fault>,
    settings: Settings,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            users: Vec::new(),
            host_keys: Vec::new(),
            algorithms: Algorithms::new(),
            faults: Vec::new(),
            settings: Settings::default(),
        }
    }

    /// Someone who may log in. Two of one name are an error of [`start`](Self::start).
    pub fn user(mut self, user: User) -> Self {
        self.users.push(user);
        self
    }

    /// Answers this command, compared byte for byte. Of several that match, the one given last wins; scripted commands
    /// go before built-in ones, and those before the shell.
    pub fn command(self, command: impl AsRef<str>, reply: Reply) -> Self {
        self.settings.script.exact(command.as_ref(), Answer::Reply(reply));
        self
    }

    /// Answers each command that matches the pattern, in which `*` stands for any run of bytes.
    ///
    /// ```
    /// use rustle_testserver::{Reply, TestServer};
    ///
    /// let builder = TestServer::builder()
    ///     .command_matching("systemctl * nginx", Reply::new())
    ///     .command_matching("systemctl * apache", Reply::stderr("Unit not found.\n").exit(5));
    /// ```
    pub fn command_matching(self, pattern: impl AsRef<str>, reply: Reply) -> Self {
        self.settings.script.matching(pattern.as_ref(), Answer::Reply(reply));
        self
    }

    /// Answers each command that matches the pattern (`*` for any run of bytes) by code.
    ///
    /// ```
    /// use rustle_testserver::{Call, Exit, TestServer};
    ///
    /// let builder = TestServer::builder().command_fn("greet *", async |mut call: Call| {
    ///     let name = String::from_utf8_lossy(&call.command()[6..]).into_owned();
    ///     match call.stdout().send(format!("Hello, {name}!\n")).await {
    ///         Ok(()) => Exit::SUCCESS,
    ///         Err(_) => Exit::Silent,
    ///     }
    /// });
    /// ```
    pub fn command_fn<F, Fut>(self, pattern: impl AsRef<str>, answer: F) -> Self
    where
        F: Fn(Call) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Exit> + Send + 'static,
    {
        self.settings.script.matching(pattern.as_ref(), Answer::closure(answer));
        self
    }

    /// Answers the request for a login shell.
    ///
    /// ```
    /// use rustle_testserver::{Reply, TestServer};
    ///
    /// let builder = TestServer::builder().login_shell(Reply::stdout("This account is not available.\n").exit(1));
    /// ```
    pub fn login_shell(mut self, reply: Reply) -> Self {
        self.settings.shell_script = Some(Answer::Reply(reply));
        self
    }

    /// Answers the request for a login shell by code.
    ///
    /// ```
    /// use rustle_testserver::{Call, Exit, TestServer};
    ///
    /// // A router's command line, which echoes what it is told.
    /// let builder = TestServer::builder().login_shell_fn(async |mut call: Call| {
    ///     while let Some(line) = call.stdin().chunk().await {
    ///         if call.stdout().send(line).await.is_err() {
    ///             return Exit::Silent;
    ///         }
    ///     }
    ///     Exit::SUCCESS
    /// });
    /// ```
    pub fn login_shell_fn<F, Fut>(mut self, answer: F) -> Self
    where
        F: Fn(Call) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Exit> + Send + 'static,
    {
        self.settings.shell_script = Some(Answer::closure(answer));
        self
    }

    /// Answers the request for this subsystem by code.
    ///
    /// ```
    /// use rustle_testserver::{Call, Exit, TestServer};
    ///
    /// let builder = TestServer::builder().subsystem_fn("netconf", async |mut call: Call| {
    ///     match call.stdout().send("<hello/>]]>]]>").await {
    ///         Ok(()) => Exit::SUCCESS,
    ///         Err(_) => Exit::Silent,
    ///     }
    /// });
    /// ```
    pub fn subsystem_fn<F, Fut>(self, name: impl AsRef<str>, answer: F) -> Self
    where
        F: Fn(Call) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Exit> + Send + 'static,
    {
        self.settings.subsystems.exact(name.as_ref(), Answer::closure(answer));
        self
    }

    /// Runs commands that nothing else answers with `/bin/sh -c`, and the login shell with `/bin/sh`, in a temporary
    /// directory of this server, each in a process group that is killed with its channel. Needs a Unix.
    ///
    /// The commands are real and run with the rights of the test: this keeps files in one place, it is no prison.
    /// A process runs in real time, whatever tokio's clock does. One that leaves its group (`setsid`) is on its own.
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// if cfg!(unix) {
    ///     let server = TestServer::builder().shell().start().await?;
    ///     std::fs::write(server.directory().join("motd"), "hello\n").unwrap();
    ///     // … `cat motd` and `ls | wc -l` work now …
    ///     server.stop().await?;
    /// } else {
    ///     assert!(TestServer::builder().shell().start().await.is_err());
    /// }
    /// # Ok::<(), rustle_testserver::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn shell(mut self) -> Self {
        self.settings.shell = true;
        self
    }

    /// Answers a few commands inside the server, on every platform: `true`, `false`, `exit N`, `echo`, `cat`,
    /// `sleep N`, `yes`, `sha256sum` and `wc -c` (of standard input), `env`, `pwd`; and of its own, `bytes N`
    /// (N bytes of a fixed pattern), `stderr TEXT` and `stall` (never ends). Arguments may be quoted as for a shell;
    /// a line with more shell syntax than that is not answered here.
    pub fn builtins(mut self) -> Self {
        self.settings.builtins = true;
        self
    }

    /// Serves SFTP, the subsystem `sftp`. Without it the subsystem is refused.
    ///
    /// Links are made as OpenSSH makes them, with the target first, against the draft. Clients that do so only for
    /// OpenSSH (asyncssh, ssh2 for Node.js) need an [`identification`](Self::identification) that says OpenSSH.
    pub fn sftp(mut self, sftp: Sftp) -> Self {
        self.settings.sftp = Some(sftp);
        self
    }

    /// Serves SFTP over the server's temporary directory, [`TestServer::directory`], which clients see as `/`; as
    /// `sftp(Sftp::temp_dir())`.
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// let builder = TestServer::builder().sftp_temp_dir();
    /// ```
    pub fn sftp_temp_dir(self) -> Self {
        self.sftp(Sftp::temp_dir())
    }

    /// Connects `direct-tcpip` channels to their targets (RFC 4254 section 7.2). Otherwise they are refused.
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// let builder = TestServer::builder().direct_tcpip(); // ssh -L, -W, -D
    /// ```
    pub fn direct_tcpip(mut self) -> Self {
        self.settings.direct_tcpip = true;
        self
    }

    /// Connects `direct-streamlocal@openssh.com` channels to their targets. Otherwise they are refused. Needs a Unix.
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// let builder = TestServer::builder().direct_streamlocal(); // ssh -L port:/path, needs a Unix
    /// ```
    pub fn direct_streamlocal(mut self) -> Self {
        self.settings.direct_streamlocal = true;
        self
    }

    /// At most so many session channels at once on a connection, as OpenSSH's `MaxSessions`. No limit otherwise.
    pub fn max_sessions(mut self, n: usize) -> Self {
        self.settings.max_sessions = Some(n);
        self
    }

    /// Takes only these environment variables and refuses others, as OpenSSH's `AcceptEnv`. Takes all otherwise.
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// let builder = TestServer::builder().accept_env(["LANG", "LC_ALL"]);
    /// ```
    pub fn accept_env<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.settings.accept_env = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// After so many refused attempts on a connection (the probe by `none` included), the next one is answered by a
    /// disconnect, code 14, whatever it shows: the base's own rule. No limit otherwise. For OpenSSH's rule, see
    /// [`max_auth_tries`](Self::max_auth_tries).
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// let builder = TestServer::builder().auth_attempts(3);
    /// ```
    pub fn auth_attempts(mut self, n: usize) -> Self {
        self.settings.auth_attempts = n;
        self
    }

    /// Waits this long before each answer to an attempt to authenticate.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rustle_testserver::TestServer;
    ///
    /// let builder = TestServer::builder().auth_delay(Duration::from_secs(2)); // as pam_faildelay
    /// ```
    pub fn auth_delay(mut self, delay: Duration) -> Self {
        self.settings.auth_delay = delay;
        self
    }

    /// Shows this text before authentication (RFC 4252 section 5.4).
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// let builder = TestServer::builder().banner("Authorised use only.\r\n");
    /// ```
    pub fn banner(mut self, text: impl Into<String>) -> Self {
        self.settings.banner = Some(text.into());
        self
    }

    /// The whole identification line (RFC 4253 section 4.2), such as `SSH-2.0-OpenSSH_9.2` or `SSH-1.99-Old`.
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// let builder = TestServer::builder().identification("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3");
    /// ```
    pub fn identification(mut self, line: impl Into<String>) -> Self {
        self.settings.identification = line.into();
        self
    }

    /// Has a generated host key of this sort. May be called again for a server with several keys, which all differ.
    /// Without any, the server has an Ed25519 key.
    ///
    /// A process makes few keys and all its servers share them, since some take seconds to make; so two servers may well
    /// have the same key. Where a test has to tell them apart, there is [`fresh_host_key`](Self::fresh_host_key).
    ///
    /// ```
    /// use rustle_testserver::{HostKeyKind, TestServer};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # runtime.block_on(async {
    /// let one = TestServer::builder().host_key(HostKeyKind::Ed25519).start().await?;
    /// let other = TestServer::builder().fresh_host_key(HostKeyKind::Ed25519).start().await?;
    /// assert_ne!(one.host_key_openssh(), other.host_key_openssh());
    /// # Ok::<(), rustle_testserver::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn host_key(mut self, kind: HostKeyKind) -> Self {
        self.host_keys.push(HostKeySource::Generated(kind));
        self
    }

    /// Has a host key of this sort that is made for this server alone.
    pub fn fresh_host_key(mut self, kind: HostKeyKind) -> Self {
        self.host_keys.push(HostKeySource::Fresh(kind));
        self
    }

    /// Has this host key, an unencrypted private key in OpenSSH's format.
    pub fn host_key_openssh(mut self, private_key: impl Into<String>) -> Self {
        self.host_keys.push(HostKeySource::Given(private_key.into()));
        self
    }

    /// Shows its host keys with this certificate to clients that take such; the others see the bare keys. A key that comes
    /// later, by [`swap_host_key`](TestServer::swap_host_key), gets one by the same authority.
    pub fn host_certificate(mut self, certificate: HostCertificate) -> Self {
        self.settings.host_certificate = Some(certificate);
        self
    }

    /// Offers only these algorithms.
    ///
    /// ```
    /// use rustle_testserver::{Algorithms, HostKeyKind, TestServer};
    ///
    /// let builder = TestServer::builder()
    ///     .host_key(HostKeyKind::EcdsaP256)
    ///     .algorithms(Algorithms::new().ciphers(["aes128-ctr"]).macs(["hmac-sha2-256"]));
    /// ```
    pub fn algorithms(mut self, algorithms: Algorithms) -> Self {
        self.algorithms = algorithms;
        self
    }

    /// The window the server grants to each channel, in bytes. OpenSSH's 2 MiB otherwise.
    pub fn window(mut self, bytes: u32) -> Self {
        self.settings.window = bytes;
        self
    }

    /// Starts a new key exchange each time so many bytes have been sent, or received, since the last.
    ///
    /// The base rekeys by these numbers only and not on demand. A number smaller than a transfer has it in the middle of
    /// that, and 1 has a storm: a new key exchange after each burst of messages. Counting begins at the login; with a
    /// script of the raw peer, at the first key exchange.
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// let builder = TestServer::builder().rekey_after(1 << 20); // each MiB either way
    /// ```
    pub fn rekey_after(mut self, bytes: usize) -> Self {
        self.settings.rekey_after = bytes;
        self
    }

    /// Prints this on standard output before anything a command, login shell or subsystem prints: what a `.bashrc` with
    /// an `echo` does, and breaks SFTP and `scp` with. A [user](User::startup_noise)'s own goes before it.
    ///
    /// ```
    /// use rustle_testserver::{TestServer, User};
    ///
    /// let builder = TestServer::builder()
    ///     .startup_noise("Welcome!\n")
    ///     .startup_noise_stderr("stdin: is not a tty\n")
    ///     .user(User::new("bob").password("x").startup_noise("bob's own greeting\n"));
    /// ```
    pub fn startup_noise(mut self, stdout: impl Into<Bytes>) -> Self {
        self.settings.noise.stdout = stdout.into();
        self
    }

    /// As [`startup_noise`](Self::startup_noise), on standard error.
    pub fn startup_noise_stderr(mut self, stderr: impl Into<Bytes>) -> Self {
        self.settings.noise.stderr = stderr.into();
        self
    }

    /// Does this wrong.
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Puts every connection behind this network.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rustle_testserver::{Network, TestServer};
    ///
    /// let builder = TestServer::builder().network(Network::new().round_trip(Duration::from_millis(80)));
    /// ```
    pub fn network(mut self, network: Network) -> Self {
        self.settings.network = Some(network);
        self
    }

    /// The seed for all that is random here: the network's jitter and loss, and whom `max_startups` drops. Otherwise that of the environment variable
    /// `RUSTLE_TEST_SEED`, or a new one, which [`TestServer::seed`] tells and a failing wait or drop prints.
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// let builder = TestServer::builder().seed(42);
    /// ```
    pub fn seed(mut self, seed: u64) -> Self {
        self.settings.seed = Some(seed);
        self
    }

    /// Speaks SSH by the [raw peer](RawPeer), this crate's own and able to do everything wrong, in place of the `russh`
    /// crate's server half. What this builder says of users, commands, faults and the network holds for it too.
    ///
    /// ```
    /// use rustle_testserver::{Damage, Fault, RawPeer, TestServer, User, message};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # runtime.block_on(async {
    /// let server = TestServer::builder()
    ///     .user(User::new("alice").password("wonderland"))
    ///     .builtins()
    ///     .raw_peer(RawPeer::new())
    ///     .fault(Fault::frozen_window(64 * 1024))
    ///     .fault(Fault::message(message::CHANNEL_SUCCESS, Damage::duplicated()).once())
    ///     .start()
    ///     .await?;
    ///
    /// // … the client under test uploads more than 64 KiB, and should say that it is stuck …
    ///
    /// server.expect_unfired();
    /// server.stop().await?;
    /// # Ok::<(), rustle_testserver::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn raw_peer(mut self, peer: RawPeer) -> Self {
        self.settings.raw_peer = Some(peer);
        self
    }

    /// Starts the server on 127.0.0.1, on a port of the system's choice.
    ///
    /// # Errors
    /// The setting makes no sense, a key cannot be read, or the port or the temporary directory cannot be had.
    ///
    /// # Cancel safety
    /// Nothing is left when this future is dropped.
    pub async fn start(mut self) -> Result<TestServer, Error> {
        if cfg!(not(unix)) && self.settings.shell {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "shell() needs a Unix with /bin/sh; use builtins() or command() in tests for this platform",
            ));
        }
        if let Some(setting) = self.needs_unix_sockets().filter(|_| cfg!(not(unix))) {
            return Err(Error::new(ErrorKind::Unsupported, format!("{setting} needs a Unix")));
        }
        if self.host_keys.is_empty() {
            self.host_keys.push(HostKeySource::Generated(HostKeyKind::Ed25519));
        }
        self.check_personality()?;
        self.check_names()?;
        let accounts = self.users.into_iter().map(User::compile).collect::<Result<_, _>>()?;
        let (preferred, raw_offer) = match self.settings.raw_peer {
            Some(_) => (Preferred::default(), self.algorithms.to_raw_offer()?),
            None => (self.algorithms.to_preferred()?, RawOffer::default()),
        };
        let faults = Faults::default();
        for fault in self.faults {
            faults.add(fault);
        }
        TestServer::launch(
            self.settings,
            Accounts::new(accounts),
            preferred,
            raw_offer,
            self.host_keys,
            Arc::new(faults),
        )
        .await
    }

    /// Of two users with one name the second could never log in.
    fn check_names(&self) -> Result<(), Error> {
        let mut known = HashSet::new();
        match self.users.iter().find(|user| !known.insert(user.name())) {
            Some(twice) => Err(Error::new(
                ErrorKind::Configuration,
                format!("two users are called {:?}; say all about one in one place", twice.name()),
            )),
            None => Ok(()),
        }
    }

    /// What was asked for must be something that the personality asked for can do.
    fn check_personality(&self) -> Result<(), Error> {
        let refuse = |message: String| Err(Error::new(ErrorKind::Configuration, message));
        if self.settings.raw_peer.is_none() {
            return match self.faults.iter().find(|fault| fault.needs_raw_peer()) {
                Some(fault) => refuse(format!(
                    "only the raw peer can do this: {fault}; give the builder raw_peer(RawPeer::new())"
                )),
                None => Ok(()),
            };
        }
        let cannot = if self.wants_forwards() {
            "forwards nothing; leave out direct_tcpip() and all else about forwards"
        } else if self.settings.limits.client_alive.is_some() {
            "asks no client whether it is alive; leave out client_alive()"
        } else if self.settings.host_certificate.is_some() {
            "shows no certificate; leave out host_certificate()"
        } else {
            return Ok(());
        };
        refuse(format!("the raw peer {cannot}, or raw_peer()"))
    }
}
