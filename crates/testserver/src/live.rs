//! What a running server can be told besides its faults: more commands, more users.

use crate::{
    command::{Answer, Reply},
    error::Error,
    server::TestServer,
    user::User,
};

/// A fault of a server, and how often it has struck so far; see [`TestServer::faults`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultReport {
    description: String,
    fired: usize,
}

impl FaultReport {
    pub(crate) fn new(description: String, fired: usize) -> Self {
        Self { description, fired }
    }

    /// What the fault does and when, in words.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// How often it has struck.
    #[must_use]
    pub fn fired(&self) -> usize {
        self.fired
    }
}

/// What holds from now on. Commands that run already, and connections that are logged in, go on as they are.
///
/// ```
/// use rustle_testserver::{Fault, Reply, TestServer, User};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let server = TestServer::builder().command("deploy", Reply::stdout("ok\n")).start().await?;
/// // … the client deploys …
/// server.add_command("deploy", Reply::stderr("disk full\n").exit(1));
/// server.add_command_matching("df *", Reply::stdout("100%\n"));
/// server.add_user(User::new("bob").password("builder"))?;
/// // … the client, or Bob's, deploys again …
///
/// server.add_fault(Fault::refuse_channel());
/// assert_eq!(server.faults()[0].fired(), 0);
/// assert!(server.verify().is_err());
/// # server.expect_unfired();
/// # Ok::<(), rustle_testserver::Error>(())
/// # }).unwrap();
/// ```
impl TestServer {
    /// Answers this command from now on; see [`Builder::command`](crate::Builder::command).
    pub fn add_command(&self, command: impl AsRef<str>, reply: Reply) {
        self.settings().script.exact(command.as_ref(), Answer::Reply(reply));
    }

    /// Answers each command that matches the pattern from now on; see
    /// [`Builder::command_matching`](crate::Builder::command_matching).
    pub fn add_command_matching(&self, pattern: impl AsRef<str>, reply: Reply) {
        self.settings().script.matching(pattern.as_ref(), Answer::Reply(reply));
    }

    /// Lets this user log in from now on, in the place of whoever had the name.
    ///
    /// # Errors
    /// A key cannot be read, or a step has nothing to pass it with.
    pub fn add_user(&self, user: User) -> Result<(), Error> {
        self.accounts().add(user.compile()?);
        Ok(())
    }

    /// The faults that were scripted, in the order given, and how often each has struck.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultReport> {
        self.fault_table().reports()
    }

    /// Whether all that was scripted has happened by now: what [`stop`](Self::stop) will say unless more happens.
    ///
    /// # Errors
    /// Some has not; the error names it.
    pub fn verify(&self) -> Result<(), Error> {
        self.shared.verify()
    }
}
