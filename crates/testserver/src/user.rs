//! Who may log in, and what each has to show.

mod account;
mod round;

use std::{fmt, time::Duration};

use bytes::Bytes;
use russh::keys::PublicKey;

use crate::{
    auth::{
        codes::OneTimeCodes,
        dialog::{Dialog, Verdict},
        scripts::Interactive,
    },
    error::{Error, ErrorKind},
};

pub(crate) use account::{Account, PasswordCheck};
use account::{Password, Settings};
pub use round::Round;

/// An authentication method, by its name on the wire (RFC 4252 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// `none`: no proof at all, and the probe with which clients ask for the methods.
    None,
    /// `password`.
    Password,
    /// `publickey`, user certificates included.
    PublicKey,
    /// `keyboard-interactive` (RFC 4256).
    KeyboardInteractive,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Someone who may log in. Any of the ways given is enough, unless [`steps`](User::steps) asks for several in turn.
///
/// ```
/// use rustle_testserver::{Method, Round, User};
///
/// let alice = User::new("alice").password("wonderland");
/// let bob = User::new("bob").public_key(
///     "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti bob@example",
/// );
/// let carol = User::new("carol").keyboard_interactive([
///     Round::new().instruction("Two questions.").prompt("Name: ", "carol").hidden_prompt("Code: ", "123456"),
///     Round::new().instruction("Welcome."), // a round without prompts
/// ]);
/// let dave = User::new("dave").password("first").keyboard_interactive([Round::new().hidden_prompt("Code: ", "second")])
///     .steps([Method::Password, Method::KeyboardInteractive]);
/// ```
#[derive(Clone)]
pub struct User {
    name: String,
    none: Option<()>,
    passwords: Vec<Password>,
    keys: Vec<String>,
    authorities: Vec<String>,
    interactive: Option<Interactive>,
    steps: Vec<Method>,
    startup_noise: Bytes,
    methods: Vec<Method>,
    delay: Option<Duration>,
    lock_after: Option<u32>,
    env: Vec<(String, String)>,
    sftp: bool,
}

impl User {
    /// A user who cannot log in yet.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            none: None,
            passwords: Vec::new(),
            keys: Vec::new(),
            authorities: Vec::new(),
            interactive: None,
            steps: Vec::new(),
            startup_noise: Bytes::new(),
            methods: Vec::new(),
            delay: None,
            lock_after: None,
            env: Vec::new(),
            sftp: true,
        }
    }

    /// Lets the user in without any proof.
    ///
    /// ```
    /// use rustle_testserver::{User};
    ///
    /// let guest = User::new("guest").none();
    /// ```
    #[must_use]
    pub fn none(mut self) -> Self {
        self.none = Some(());
        self
    }

    /// Accepts this password. Several may be given.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.passwords.push(Password::good(password.into()));
        self
    }

    /// Accepts this password from the n-th time that it is shown, and refuses it before, as a server does whose
    /// directory service is not there yet. Counted over all connections, and whatever else is shown meanwhile.
    ///
    /// ```
    /// use rustle_testserver::{User};
    ///
    /// let patient = User::new("alice").password_from_attempt("wonderland", 3);
    /// ```
    #[must_use]
    pub fn password_from_attempt(mut self, password: impl Into<String>, n: u32) -> Self {
        self.passwords.push(Password::from_attempt(password.into(), n));
        self
    }

    /// Has this password, which must be changed before anything else. By keyboard-interactive the user is asked for a new
    /// one as PAM asks: the current password again, the new one, and that again. A mismatch asks anew, three times at
    /// most. The new one is then good for this server, by either method, and the old one no longer. Shown by the method
    /// `password`, an expired password is refused: the message that asks for a change there (RFC 4252 section 8) is not
    /// one the base can send. The [raw peer](crate::RawPeer) sends it.
    ///
    /// ```
    /// use rustle_testserver::{User};
    ///
    /// let stale = User::new("alice").expired_password("wonderland");
    /// ```
    #[must_use]
    pub fn expired_password(mut self, password: impl Into<String>) -> Self {
        self.passwords.push(Password::expired(password.into()));
        self.keyboard_interactive_password()
    }

    /// Accepts this key, written as in `authorized_keys` or a `.pub` file. Several may be given.
    #[must_use]
    pub fn public_key(mut self, openssh: impl Into<String>) -> Self {
        self.keys.push(openssh.into());
        self
    }

    /// Accepts certificates for this user (as principal) signed by this authority, written as in a `.pub` file.
    ///
    /// They are honoured as by sshd: dates, principals, the critical options `force-command` and `source-address` (every
    /// client counts as one at 127.0.0.1; any other option refuses the certificate), and the extensions `permit-pty`,
    /// `permit-port-forwarding`, `permit-agent-forwarding` and `permit-X11-forwarding`, without which these are refused.
    /// A certificate outside its dates is refused by the base before this server hears of it, and is not in the record.
    ///
    /// A server that trusts an authority answers every key offered to it with "try it" and decides when it sees
    /// the signature, since the base does not say at the offer whether a certificate is behind it.
    ///
    /// The base also asks about each key that comes signed without an offer before, so that such a request counts as an
    /// offer and an attempt in the record; the raw peer sees one attempt.
    ///
    /// ```
    /// use rustle_testserver::{User};
    ///
    /// let certified = User::new("alice").certificate_authority(
    ///     "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti ca@example",
    /// );
    /// ```
    #[must_use]
    pub fn certificate_authority(mut self, openssh: impl Into<String>) -> Self {
        self.authorities.push(openssh.into());
        self
    }

    /// Asks these rounds of questions, one after the other; all must be answered as scripted.
    #[must_use]
    pub fn keyboard_interactive(mut self, rounds: impl IntoIterator<Item = Round>) -> Self {
        let rounds: Vec<Round> = rounds.into_iter().collect();
        self.interactive = (!rounds.is_empty()).then_some(Interactive::Rounds(rounds));
        self
    }

    /// Asks for the user's password by keyboard-interactive, as servers with PAM do.
    ///
    /// ```
    /// use rustle_testserver::{User};
    ///
    /// let as_by_pam = User::new("alice").password("wonderland").keyboard_interactive_password();
    /// ```
    #[must_use]
    pub fn keyboard_interactive_password(mut self) -> Self {
        self.interactive = Some(Interactive::Password);
        self
    }

    /// Asks for one of these codes by keyboard-interactive. A code that was used before is refused, and shows in the
    /// record as [`Replayed`](crate::AuthOutcome::Replayed).
    #[must_use]
    pub fn one_time_codes(mut self, codes: OneTimeCodes) -> Self {
        self.interactive = Some(Interactive::Codes(codes));
        self
    }

    /// Asks by keyboard-interactive whatever this code asks, as often as it likes, and takes its verdict.
    ///
    /// ```
    /// use rustle_testserver::{Dialog, Round, User, Verdict};
    ///
    /// let user = User::new("alice").keyboard_interactive_fn(async |mut dialog: Dialog| {
    ///     let first = dialog.ask(Round::new().question("2 + 2 = ")).await;
    ///     let (text, wanted) = match first.text(0) {
    ///         "4" => ("And 4 + 4 = ", "8"),
    ///         _ => ("Once more, 1 + 1 = ", "2"),
    ///     };
    ///     match dialog.ask(Round::new().prompt(text, wanted)).await.are_right() {
    ///         true => Verdict::Right,
    ///         false => Verdict::Wrong,
    ///     }
    /// });
    /// ```
    ///
    /// The connection does nothing else while the code waits for anything but an answer.
    #[must_use]
    pub fn keyboard_interactive_fn<F, Fut>(mut self, code: F) -> Self
    where
        F: Fn(Dialog) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Verdict> + Send + 'static,
    {
        self.interactive = Some(Interactive::closure(code));
        self
    }

    /// Takes only these methods, and lists them to clients in this order. Otherwise each that the user has something to
    /// show for: publickey, password, keyboard-interactive.
    ///
    /// ```
    /// use rustle_testserver::{Method, User};
    ///
    /// let user = User::new("alice")
    ///     .password("wonderland")
    ///     .keyboard_interactive_password()
    ///     .methods([Method::KeyboardInteractive, Method::Password]);
    /// ```
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = methods.into_iter().collect();
        self
    }

    /// Waits this long before each answer to an attempt by this user, instead of the server's
    /// [`auth_delay`](crate::Builder::auth_delay).
    ///
    /// ```
    /// use std::time::Duration;
    /// use rustle_testserver::User;
    ///
    /// let slow = User::new("alice").password("wonderland").auth_delay(Duration::from_secs(5));
    /// ```
    #[must_use]
    pub fn auth_delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Lets the user in no more, whatever is shown, after so many refused attempts in a row, over all connections: as
    /// pam_faillock does. The probe by `none` and the offer of a key do not count. The attempts refused for this show in
    /// the record as [`Locked`](crate::AuthOutcome::Locked).
    ///
    /// ```
    /// use rustle_testserver::{User};
    ///
    /// let wary = User::new("alice").password("wonderland").lock_after(3);
    /// ```
    #[must_use]
    pub fn lock_after(mut self, refusals: u32) -> Self {
        self.lock_after = Some(refusals);
        self
    }

    /// Sets a variable for every command of this user, as the server's own files would; what the client sets goes over
    /// it.
    ///
    /// ```
    /// use rustle_testserver::{User};
    ///
    /// let user = User::new("alice").password("wonderland").env("HOME", "/home/alice");
    /// ```
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Asks for these methods in this order, each but the last answered with "partial success" (RFC 4252 section 5.1).
    /// Where publickey is asked for more than once, each time takes another key, as OpenSSH's `AuthenticationMethods`
    /// does; a certificate is as good as the key it certifies. A user with too few keys for that, and no authority, is
    /// an error of [`start`](crate::Builder::start).
    ///
    /// ```
    /// use rustle_testserver::{Method, User};
    ///
    /// let two_people_at_once = User::new("root")
    ///     .public_key("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti bob")
    ///     .certificate_authority("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ ca")
    ///     .steps([Method::PublicKey, Method::PublicKey]);
    /// ```
    #[must_use]
    pub fn steps(mut self, steps: impl IntoIterator<Item = Method>) -> Self {
        self.steps = steps.into_iter().collect();
        self
    }

    /// Prints this on standard output before anything this user's commands, login shells and subsystems print; see
    /// [`Builder::startup_noise`](crate::Builder::startup_noise).
    #[must_use]
    pub fn startup_noise(mut self, stdout: impl Into<Bytes>) -> Self {
        self.startup_noise = stdout.into();
        self
    }

    /// Refuses the subsystem `sftp` to this user, whatever the server serves.
    ///
    /// ```
    /// use rustle_testserver::{User};
    ///
    /// let no_files = User::new("alice").password("wonderland").without_sftp();
    /// ```
    #[must_use]
    pub fn without_sftp(mut self) -> Self {
        self.sftp = false;
        self
    }

    /// The user's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn compile(self) -> Result<Account, Error> {
        let keys = self.keys.iter().map(|line| parse_key(&self.name, line)).collect::<Result<_, _>>()?;
        let authorities =
            self.authorities.iter().map(|line| parse_key(&self.name, line)).collect::<Result<_, _>>()?;
        let wanted: Vec<Method> = self.steps.iter().chain(&self.methods).copied().collect();
        let settings = Settings {
            name: self.name,
            none: self.none.is_some(),
            keys,
            authorities,
            steps: self.steps,
            startup_noise: self.startup_noise,
            methods: self.methods,
            delay: self.delay,
            env: self.env,
            interactive: self.interactive,
            lock_after: self.lock_after,
            sftp: self.sftp,
        };
        let account = Account::new(settings, self.passwords);
        for step in wanted {
            if !account.has(step) {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    format!(
                        "user {:?} must pass {step}, but has no {step} to pass it with; give them one",
                        account.settings.name
                    ),
                ));
            }
        }
        let by_key = account.settings.steps.iter().filter(|step| **step == Method::PublicKey).count();
        let keys = account.different_keys();
        if account.settings.authorities.is_empty() && keys < by_key {
            return Err(Error::new(
                ErrorKind::Configuration,
                format!(
                    "user {:?} must pass publickey {by_key} times, each time with another key, but has {keys}",
                    account.settings.name
                ),
            ));
        }
        Ok(account)
    }
}

/// Names and kinds only: what the user has to show stays out of every log.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).field("steps", &self.steps).finish_non_exhaustive()
    }
}

fn parse_key(user: &str, line: &str) -> Result<PublicKey, Error> {
    PublicKey::from_openssh(line.trim()).map_err(|source| {
        Error::new(
            ErrorKind::Configuration,
            format!("the key given for user {user:?} is not one line in the form of a .pub file: {source}"),
        )
    })
}
