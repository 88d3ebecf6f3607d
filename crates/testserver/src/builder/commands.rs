//! Setting up what a server answers to commands, shells and subsystems.

use bytes::Bytes;

use super::Builder;
use crate::{
    call::Call,
    command::{Answer, Reply},
    exit::Exit,
    sftp::Sftp,
};

impl Builder {
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
    pub fn login_shell(self, reply: Reply) -> Self {
        self.settings.shell_script.exact("", Answer::Reply(reply));
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
    pub fn login_shell_fn<F, Fut>(self, answer: F) -> Self
    where
        F: Fn(Call) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Exit> + Send + 'static,
    {
        self.settings.shell_script.exact("", Answer::closure(answer));
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

    /// Each scripted command, login shell and subsystem has to be asked for: one that no client asks for is an error of
    /// [`stop`](crate::TestServer::stop) and panics on drop, as a fault does that never strikes. Otherwise they need not,
    /// since a server may well know more than one test wants to hear.
    ///
    /// ```
    /// use rustle_testserver::{Reply, TestServer};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # runtime.block_on(async {
    /// let server =
    ///     TestServer::builder().command("systemctl restart web", Reply::new()).expect_commands().start().await?;
    /// // … the client deploys, and forgets the restart …
    /// let error = server.stop().await.unwrap_err();
    /// assert!(error.to_string().contains("the command \"systemctl restart web\""), "{error}");
    /// # Ok::<(), rustle_testserver::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn expect_commands(mut self) -> Self {
        self.settings.expect_commands = true;
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

    /// Serves SFTP over the server's temporary directory, [`TestServer::directory`](crate::TestServer::directory), which
    /// clients see as `/`; as `sftp(Sftp::temp_dir())`.
    ///
    /// ```
    /// use rustle_testserver::{TestServer};
    ///
    /// let builder = TestServer::builder().sftp_temp_dir();
    /// ```
    pub fn sftp_temp_dir(self) -> Self {
        self.sftp(Sftp::temp_dir())
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

    /// Prints this on standard output before anything a command, login shell or subsystem prints: what a `.bashrc` with
    /// an `echo` does, and breaks SFTP and `scp` with. A [user](crate::User::startup_noise)'s own goes before it.
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
}
