//! What to log in with: [`Credentials`], built by value, with ssh's own defaults.

use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use secrecy::{ExposeSecret, SecretSlice, SecretString};

use super::hand_over::KeysToAgent;
use super::keys::KeyFile;
use super::prompt::Prompter;

/// The files tried when no key is named, in ssh's order. Security keys (`_sk`) are tried through the agent.
const DEFAULT_KEY_FILES: [&str; 5] = ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"];

/// As ssh's `NumberOfPasswordPrompts`: enough for a typing error or two, below the six refusals after which
/// OpenSSH's server hangs up.
const DEFAULT_PROMPTS: NonZeroU32 = NonZeroU32::new(3).unwrap();

/// As ssh's `RequiredRSASize`: shorter ones have been factored.
const DEFAULT_LEAST_RSA_BITS: u32 = 1024;

/// What to log in with.
///
/// [`Credentials::new`] does what `ssh` does: agent keys, the usual key files in `~/.ssh` with the
/// certificates beside them, then, where a [`Prompter`] is set, questions to the person. Everything else is
/// added by value:
///
/// ```
/// use rustle_session::{Credentials, SecretString};
///
/// let credentials = Credentials::new()
///     .key_file("/home/deploy/.ssh/id_ci")
///     .passphrase(SecretString::from("correct horse"))
///     .identities_only();
/// assert!(!format!("{credentials:?}").contains("horse"));
/// ```
///
/// Secrets are wiped when the last clone is dropped, and `Debug` never shows them. A server sees a password
/// at most once unless it accepts it: a wrong one is never repeated, since that locks accounts.
#[derive(Clone)]
pub struct Credentials {
    pub(super) password: Option<SecretString>,
    pub(super) keys: Vec<KeyOrigin>,
    pub(super) default_keys: Vec<PathBuf>,
    pub(super) passphrase: Option<SecretString>,
    pub(super) certificates: Vec<PathBuf>,
    pub(super) agent: AgentSource,
    pub(super) identities_only: bool,
    pub(super) begin_with_keys: bool,
    pub(super) prompter: Option<Arc<dyn Prompter>>,
    pub(super) methods: Vec<AuthMethod>,
    pub(super) prompts: NonZeroU32,
    pub(super) batch: bool,
    pub(super) rsa_sha1: bool,
    pub(super) accepted: Option<Vec<String>>,
    pub(super) to_agent: Option<KeysToAgent>,
    pub(super) least_rsa_bits: u32,
}

impl Credentials {
    /// The signature algorithms by which keys and certificates are offered unless
    /// [`accepted_algorithms`](Self::accepted_algorithms) says otherwise: OpenSSH's, which leave SHA-1 out.
    pub const DEFAULT_ALGORITHMS: [&'static str; 16] = rustle_trust::SIGNATURE_ALGORITHMS;

    /// The agent in the environment, the usual key files, and no person to ask.
    #[must_use]
    pub fn new() -> Self {
        Self {
            password: None,
            keys: Vec::new(),
            default_keys: usual_key_files(),
            passphrase: None,
            certificates: Vec::new(),
            agent: AgentSource::Env,
            identities_only: false,
            begin_with_keys: false,
            prompter: None,
            methods: AuthMethod::DEFAULT_ORDER.to_vec(),
            prompts: DEFAULT_PROMPTS,
            batch: false,
            rsa_sha1: false,
            accepted: None,
            to_agent: None,
            least_rsa_bits: DEFAULT_LEAST_RSA_BITS,
        }
    }

    /// A password known beforehand.
    ///
    /// It serves the `password` method and answers a keyboard-interactive round of exactly one hidden prompt
    /// that does not ask for a one-time code. It is sent until it is refused once, then never again.
    #[must_use]
    pub fn password(mut self, password: SecretString) -> Self {
        self.password = Some(password);
        self
    }

    /// A private key file, tried in the order added: OpenSSH, PEM (PKCS#1, SEC1), PKCS#8 or PuTTY format.
    ///
    /// With a key named, the usual files are not tried. A certificate `<file>-cert.pub` beside it is offered
    /// too, as ssh does. The path of a public key file picks the agent's key of that name. On Unix a file that
    /// is ours and open to others is refused, as ssh does; on Windows access control lists are not read. A
    /// file that does not exist is an error only if nothing else lets us in.
    #[must_use]
    pub fn key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.keys.push(KeyOrigin::File(path.into()));
        self
    }

    /// A private key in memory, in any format that [`Credentials::key_file`] reads. At most 1 MiB is read.
    ///
    /// One that is not encrypted is decoded once for these credentials and all their clones: for many connections it
    /// costs less than a file, which is read for each.
    #[must_use]
    pub fn key_bytes(mut self, key: SecretSlice<u8>) -> Self {
        self.keys.push(KeyOrigin::Memory(MemoryKey::new(key)));
        self
    }

    /// The passphrase of encrypted key files; tried on each before a person is asked.
    #[must_use]
    pub fn passphrase(mut self, passphrase: SecretString) -> Self {
        self.passphrase = Some(passphrase);
        self
    }

    /// A user certificate file; its private key is looked for among the agent's keys and the key files.
    ///
    /// As in ssh, naming one stops the search for certificates beside key files.
    #[must_use]
    pub fn certificate_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.certificates.push(path.into());
        self
    }

    /// Where the authentication agent is; [`AgentSource::Env`] unless set.
    #[must_use]
    pub fn agent(mut self, source: AgentSource) -> Self {
        self.agent = source;
        self
    }

    /// Offers only the keys and certificates named here (or the usual files), not whatever else an agent holds.
    ///
    /// OpenSSH's server hangs up after six refused keys; an agent full of keys reaches that before the right one.
    #[must_use]
    pub fn identities_only(mut self) -> Self {
        self.identities_only = true;
        self
    }

    /// Begins with the first key, without the `none` request by which ssh asks for the methods there are: one round
    /// trip less, for a server that is known to take keys.
    ///
    /// The server's answer to that key tells its methods just as well, and where there is no key after all, they
    /// are asked for. To a server that takes none (RFC 4252 section 5.2), the attempt counts as a failed one.
    #[must_use]
    pub fn begin_with_keys(mut self) -> Self {
        self.begin_with_keys = true;
        self
    }

    /// Tries no key file that was not named.
    #[must_use]
    pub fn without_default_keys(mut self) -> Self {
        self.default_keys.clear();
        self
    }

    /// Who answers questions. Without one, methods that need a person are skipped.
    #[must_use]
    pub fn prompter(mut self, prompter: Arc<dyn Prompter>) -> Self {
        self.prompter = Some(prompter);
        self
    }

    /// The methods to try, in this order; [`AuthMethod::DEFAULT_ORDER`] unless set. One left out is not tried.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = AuthMethod>) -> Self {
        self.methods.clear();
        for method in methods {
            if !self.methods.contains(&method) {
                self.methods.push(method);
            }
        }
        self
    }

    /// How often a person is asked for one password, or one passphrase; 3 unless set, as in ssh.
    #[must_use]
    pub fn number_of_password_prompts(mut self, count: NonZeroU32) -> Self {
        self.prompts = count;
        self
    }

    /// Asks nobody, even where a [`Prompter`] is set; as ssh's `BatchMode`.
    #[must_use]
    pub fn batch_mode(mut self) -> Self {
        self.batch = true;
        self
    }

    /// Lets RSA keys sign with SHA-1 (`ssh-rsa`) where the server offers nothing better.
    ///
    /// Off unless asked for: SHA-1 signatures can be forged for about the price of a car, and every server
    /// since OpenSSH 7.2 (2016) takes `rsa-sha2-512`.
    #[must_use]
    pub fn allow_rsa_sha1(mut self) -> Self {
        self.rsa_sha1 = true;
        self
    }

    /// Offers keys and certificates by these signature algorithms alone (`PubkeyAcceptedAlgorithms`); `*` and `?` match
    /// as in file names. Without it, all but `ssh-rsa`.
    ///
    /// A list that has `ssh-rsa` allows it, as [`allow_rsa_sha1`](Self::allow_rsa_sha1) does.
    ///
    /// ```
    /// use rustle_session::Credentials;
    ///
    /// let credentials = Credentials::new().accepted_algorithms(["ssh-ed25519", "sk-*"]);
    /// ```
    #[must_use]
    pub fn accepted_algorithms(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.accepted = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Hands keys that were opened from files over to the agent, when they are about to sign (`AddKeysToAgent`). Keys
    /// given [in memory](Self::key_bytes) stay here. An agent that refuses is no reason to be refused oneself.
    #[must_use]
    pub fn add_keys_to_agent(mut self, terms: KeysToAgent) -> Self {
        self.to_agent = Some(terms);
        self
    }

    /// Offers no RSA key shorter than this, in bits (`RequiredRSASize`); 1024 unless set, as in ssh.
    #[must_use]
    pub fn required_rsa_size(mut self, bits: u32) -> Self {
        self.least_rsa_bits = bits;
        self
    }

    /// Whether a signature by this algorithm may be offered.
    pub(super) fn accepts(&self, algorithm: &str) -> bool {
        match &self.accepted {
            None => algorithm != "ssh-rsa" && !algorithm.starts_with("ssh-rsa-cert-") || self.rsa_sha1,
            Some(names) => names
                .iter()
                .any(|name| rustle_ssh_config::matches_pattern(algorithm.as_bytes(), name.as_bytes())),
        }
    }

    /// Whether every key is decoded already, so that finding them reads no file.
    pub(super) fn keys_are_at_hand(&self) -> bool {
        let at_hand = |key: &KeyOrigin| matches!(key, KeyOrigin::Memory(key) if key.opened.get().is_some());
        self.certificates.is_empty() && !self.keys.is_empty() && self.keys.iter().all(at_hand)
    }

    /// The person to ask, if there is one and it is allowed.
    pub(super) fn person(&self) -> Option<&Arc<dyn Prompter>> {
        self.prompter.as_ref().filter(|_| !self.batch)
    }
}

impl Default for Credentials {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = |present: bool| if present { "[redacted]" } else { "none" };
        f.debug_struct("Credentials")
            .field("password", &set(self.password.is_some()))
            .field("keys", &self.keys)
            .field("default_keys", &self.default_keys)
            .field("passphrase", &set(self.passphrase.is_some()))
            .field("certificates", &self.certificates)
            .field("agent", &self.agent)
            .field("identities_only", &self.identities_only)
            .field("begin_with_keys", &self.begin_with_keys)
            .field("prompter", &self.prompter.is_some())
            .field("methods", &self.methods)
            .field("prompts", &self.prompts)
            .field("batch", &self.batch)
            .field("rsa_sha1", &self.rsa_sha1)
            .field("accepted", &self.accepted)
            .field("to_agent", &self.to_agent)
            .field("least_rsa_bits", &self.least_rsa_bits)
            .finish()
    }
}

/// Where a private key comes from.
#[derive(Clone)]
pub(crate) enum KeyOrigin {
    File(PathBuf),
    Memory(Arc<MemoryKey>),
}

/// A key's text, and what it turned out to be.
pub(crate) struct MemoryKey {
    pub(super) text: SecretSlice<u8>,
    /// Once decoded, and only if that took no passphrase.
    pub(super) opened: OnceLock<Arc<KeyFile>>,
}

impl MemoryKey {
    pub(super) fn new(text: SecretSlice<u8>) -> Arc<Self> {
        Arc::new(Self { text, opened: OnceLock::new() })
    }
}

impl KeyOrigin {
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Memory(_) => None,
        }
    }
}

impl fmt::Debug for KeyOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.fmt(f),
            Self::Memory(key) => write!(f, "[{} bytes in memory, redacted]", key.text.expose_secret().len()),
        }
    }
}

/// Where the authentication agent is found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AgentSource {
    /// What `SSH_AUTH_SOCK` names; on Windows without it, OpenSSH's pipe, else Pageant. No agent is no error.
    #[default]
    Env,
    /// A Unix socket; on Windows a named pipe.
    Path(PathBuf),
    /// PuTTY's agent. It exists on Windows only; elsewhere this is noted as an agent that could not be reached.
    Pageant,
    /// No agent.
    None,
}

/// A way to authenticate, as RFC 4252 and RFC 4256 name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AuthMethod {
    /// Keys and certificates, from files and from the agent (RFC 4252 section 7).
    PublicKey,
    /// Questions of the server, answered by a person or a password given beforehand (RFC 4256).
    KeyboardInteractive,
    /// A password (RFC 4252 section 8).
    Password,
}

impl AuthMethod {
    /// The order of ssh: `publickey`, `keyboard-interactive`, `password`.
    pub const DEFAULT_ORDER: [Self; 3] = [Self::PublicKey, Self::KeyboardInteractive, Self::Password];

    /// The name on the wire, which ssh's `PreferredAuthentications` uses too.
    ///
    /// ```
    /// assert_eq!(rustle_session::AuthMethod::PublicKey.name(), "publickey");
    /// ```
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PublicKey => "publickey",
            Self::KeyboardInteractive => "keyboard-interactive",
            Self::Password => "password",
        }
    }

    /// The method of that name; `None` for one this crate does not speak (`hostbased`, `gssapi-with-mic`).
    ///
    /// ```
    /// use rustle_session::AuthMethod;
    ///
    /// assert_eq!(AuthMethod::from_name("password"), Some(AuthMethod::Password));
    /// assert_eq!(AuthMethod::from_name("hostbased"), None);
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::DEFAULT_ORDER.into_iter().find(|method| method.name() == name)
    }
}

impl fmt::Display for AuthMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn usual_key_files() -> Vec<PathBuf> {
    let Some(home) = std::env::home_dir().filter(|home| home.is_absolute()) else {
        return Vec::new();
    };
    DEFAULT_KEY_FILES.iter().map(|name| home.join(".ssh").join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret_in_any_form() {
        let credentials = Credentials::new()
            .password(SecretString::from("pass-hunter2"))
            .passphrase(SecretString::from("phrase-hunter2"))
            .key_bytes(SecretSlice::from(b"key-hunter2".to_vec()));
        let shown = format!("{credentials:?} {credentials:#?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!shown.contains("104, 117, 110"), "{shown}");
        assert!(shown.contains("11 bytes in memory"), "{shown}");
    }

    #[test]
    fn methods_are_kept_once_each_in_the_order_given() {
        let credentials =
            Credentials::new().methods([AuthMethod::Password, AuthMethod::PublicKey, AuthMethod::Password]);
        assert_eq!(credentials.methods, [AuthMethod::Password, AuthMethod::PublicKey]);
    }

    #[test]
    fn default_files_come_in_the_order_of_ssh() {
        let names: Vec<_> =
            usual_key_files().iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"]);
    }

    #[test]
    fn batch_mode_hides_the_person() {
        struct Nobody;
        impl Prompter for Nobody {
            fn ask(
                &self,
                _: super::super::PromptRequest,
            ) -> crate::BoxFuture<'_, Result<Vec<SecretString>, super::super::PromptError>> {
                Box::pin(async { Err(super::super::PromptError::Unavailable) })
            }
        }
        let credentials = Credentials::new().prompter(Arc::new(Nobody));
        assert!(credentials.person().is_some());
        assert!(credentials.batch_mode().person().is_none());
    }
}
