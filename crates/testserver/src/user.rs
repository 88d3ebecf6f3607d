//! Who may log in, and what each has to show.

use std::fmt;

use bytes::Bytes;
use russh::keys::PublicKey;
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, ErrorKind};

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

impl Method {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Password => "password",
            Self::PublicKey => "publickey",
            Self::KeyboardInteractive => "keyboard-interactive",
        }
    }
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
    passwords: Vec<SecretString>,
    keys: Vec<String>,
    authorities: Vec<String>,
    rounds: Vec<Round>,
    steps: Vec<Method>,
    startup_noise: Bytes,
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
            rounds: Vec::new(),
            steps: Vec::new(),
            startup_noise: Bytes::new(),
        }
    }

    /// Lets the user in without any proof.
    #[must_use]
    pub fn none(mut self) -> Self {
        self.none = Some(());
        self
    }

    /// Accepts this password. Several may be given.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.passwords.push(SecretString::from(password.into()));
        self
    }

    /// Accepts this key, written as in `authorized_keys` or a `.pub` file. Several may be given.
    #[must_use]
    pub fn public_key(mut self, openssh: impl Into<String>) -> Self {
        self.keys.push(openssh.into());
        self
    }

    /// Accepts certificates for this user (as principal) signed by this authority, written as in a `.pub` file.
    ///
    /// A server that trusts an authority answers every key offered to it with "try it" and decides when it sees
    /// the signature, since the base does not say at the offer whether a certificate is behind it.
    #[must_use]
    pub fn certificate_authority(mut self, openssh: impl Into<String>) -> Self {
        self.authorities.push(openssh.into());
        self
    }

    /// Asks these rounds of questions, one after the other; all must be answered as scripted.
    #[must_use]
    pub fn keyboard_interactive(mut self, rounds: impl IntoIterator<Item = Round>) -> Self {
        self.rounds = rounds.into_iter().collect();
        self
    }

    /// Asks for these methods in this order, each but the last answered with "partial success" (RFC 4252 section 5.1).
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

    /// The user's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn compile(self) -> Result<Account, Error> {
        let keys = self.keys.iter().map(|line| parse_key(&self.name, line)).collect::<Result<_, _>>()?;
        let authorities =
            self.authorities.iter().map(|line| parse_key(&self.name, line)).collect::<Result<_, _>>()?;
        let account = Account {
            name: self.name,
            none: self.none.is_some(),
            passwords: self.passwords,
            keys,
            authorities,
            rounds: self.rounds,
            steps: self.steps,
            startup_noise: self.startup_noise,
        };
        for step in &account.steps {
            if !account.has(*step) {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    format!(
                        "user {:?} must pass {step}, but has no {step} to pass it with; give them one",
                        account.name
                    ),
                ));
            }
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

/// One round of keyboard-interactive questions (RFC 4256 section 3.2); one without prompts is legal, and some servers end with it.
#[derive(Clone, Default)]
pub struct Round {
    name: String,
    instruction: String,
    prompts: Vec<Prompt>,
}

#[derive(Clone)]
struct Prompt {
    text: String,
    echo: Echo,
    answer: SecretString,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Echo {
    On,
    Off,
}

impl Round {
    /// A round with no name, instruction or prompt.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The name shown above the questions.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The instruction shown above the questions.
    #[must_use]
    pub fn instruction(mut self, instruction: impl Into<String>) -> Self {
        self.instruction = instruction.into();
        self
    }

    /// A question whose answer may be seen as it is typed.
    #[must_use]
    pub fn prompt(self, text: impl Into<String>, answer: impl Into<String>) -> Self {
        self.push(text.into(), Echo::On, answer.into())
    }

    /// A question whose answer must not be seen as it is typed.
    #[must_use]
    pub fn hidden_prompt(self, text: impl Into<String>, answer: impl Into<String>) -> Self {
        self.push(text.into(), Echo::Off, answer.into())
    }

    fn push(mut self, text: String, echo: Echo, answer: String) -> Self {
        self.prompts.push(Prompt { text, echo, answer: SecretString::from(answer) });
        self
    }

    pub(crate) fn to_auth(&self) -> russh::server::Auth {
        russh::server::Auth::Partial {
            name: self.name.clone().into(),
            instructions: self.instruction.clone().into(),
            prompts: self
                .prompts
                .iter()
                .map(|prompt| (prompt.text.clone().into(), prompt.echo == Echo::On))
                .collect::<Vec<_>>()
                .into(),
        }
    }

    pub(crate) fn accepts(&self, answers: &[Bytes]) -> bool {
        answers.len() == self.prompts.len()
            && self
                .prompts
                .iter()
                .zip(answers)
                .all(|(prompt, answer)| prompt.answer.expose_secret().as_bytes() == answer.as_ref())
    }
}

/// The questions, never the answers.
impl fmt::Debug for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prompts: Vec<&str> = self.prompts.iter().map(|prompt| prompt.text.as_str()).collect();
        f.debug_struct("Round")
            .field("name", &self.name)
            .field("instruction", &self.instruction)
            .field("prompts", &prompts)
            .finish()
    }
}

/// A [`User`] whose keys have been read.
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) none: bool,
    pub(crate) passwords: Vec<SecretString>,
    pub(crate) keys: Vec<PublicKey>,
    pub(crate) authorities: Vec<PublicKey>,
    pub(crate) rounds: Vec<Round>,
    pub(crate) steps: Vec<Method>,
    pub(crate) startup_noise: Bytes,
}

impl Account {
    pub(crate) fn has(&self, method: Method) -> bool {
        match method {
            Method::None => self.none,
            Method::Password => !self.passwords.is_empty(),
            Method::PublicKey => !self.keys.is_empty() || !self.authorities.is_empty(),
            Method::KeyboardInteractive => !self.rounds.is_empty(),
        }
    }

    pub(crate) fn accepts_password(&self, password: &str) -> bool {
        self.passwords.iter().any(|known| known.expose_secret() == password)
    }

    pub(crate) fn accepts_key(&self, key: &PublicKey) -> bool {
        self.keys.iter().any(|known| known.key_data() == key.key_data())
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
