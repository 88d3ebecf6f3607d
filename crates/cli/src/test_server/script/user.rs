//! Users: who may log in, and with what.

use std::path::{Path, PathBuf};

use rustle_testserver::{Method, Round};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::complaint::CODE;
use super::secret::Secret;
use crate::failure::Failure;
use crate::password_file::PasswordFile;

/// Someone who may log in.
#[derive(Deserialize)]
#[serde(try_from = "Keys")]
pub(crate) struct User(Keys);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    name: String,
    #[serde(default)]
    none: bool,
    password: Option<Secret>,
    password_file: Option<PathBuf>,
    #[serde(default)]
    public_keys: Vec<String>,
    authorized_keys: Option<PathBuf>,
    #[serde(default)]
    certificate_authorities: Vec<String>,
    #[serde(default)]
    rounds: Vec<RoundKeys>,
    #[serde(default)]
    steps: Vec<Step>,
    startup_noise: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoundKeys {
    #[serde(default)]
    name: String,
    #[serde(default)]
    instruction: String,
    #[serde(default)]
    prompts: Vec<PromptKeys>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptKeys {
    text: String,
    answer: Secret,
    #[serde(default)]
    echo: bool,
}

/// By the names on the wire (RFC 4252 section 5).
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Step {
    None,
    Password,
    #[serde(rename = "publickey")]
    PublicKey,
    KeyboardInteractive,
}

impl User {
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// Reads the files that are named, relative to `folder`; without one, files may not be named.
    ///
    /// # Errors
    /// A file cannot be read, or may not be named.
    pub(crate) fn into_user(self, folder: Option<&Path>) -> Result<rustle_testserver::User, Failure> {
        let keys = self.0;
        let mut user = rustle_testserver::User::new(keys.name);
        if keys.none {
            user = user.none();
        }
        if let Some(password) = &keys.password {
            user = user.password(password.expose());
        }
        if let Some(path) = keys.password_file {
            let password = PasswordFile::new(within(folder, "password_file", &path)?).read()?;
            user = user.password(password.expose_secret());
        }
        for line in keys.public_keys {
            user = user.public_key(line);
        }
        if let Some(path) = keys.authorized_keys {
            for line in authorized_keys(&within(folder, "authorized_keys", &path)?)? {
                user = user.public_key(line);
            }
        }
        for line in keys.certificate_authorities {
            user = user.certificate_authority(line);
        }
        if !keys.rounds.is_empty() {
            user = user.keyboard_interactive(keys.rounds.into_iter().map(RoundKeys::into_round));
        }
        if let Some(noise) = keys.startup_noise {
            user = user.startup_noise(noise);
        }
        Ok(user.steps(keys.steps.into_iter().map(Method::from)))
    }
}

/// The keys of a file in the form of `authorized_keys`.
///
/// # Errors
/// It cannot be read.
pub(crate) fn authorized_keys(path: &Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::io(format!("the file {} cannot be read", path.display()), &error))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

fn within(folder: Option<&Path>, key: &str, path: &Path) -> Result<PathBuf, Failure> {
    match folder {
        Some(folder) => Ok(folder.join(path)),
        None => Err(Failure::new(CODE, format!("`{key}` names a file, which only a script may do"))
            .hint("send what is in the file")),
    }
}

impl TryFrom<Keys> for User {
    type Error = &'static str;

    fn try_from(keys: Keys) -> Result<Self, Self::Error> {
        match (&keys.password, &keys.password_file) {
            (Some(_), Some(_)) => Err("a user has `password` or `password_file`, not both"),
            _ => Ok(Self(keys)),
        }
    }
}

impl RoundKeys {
    fn into_round(self) -> Round {
        let round = Round::new().name(self.name).instruction(self.instruction);
        self.prompts.into_iter().fold(round, |round, prompt| match prompt.echo {
            true => round.prompt(prompt.text, prompt.answer.expose()),
            false => round.hidden_prompt(prompt.text, prompt.answer.expose()),
        })
    }
}

impl From<Step> for Method {
    fn from(step: Step) -> Self {
        match step {
            Step::None => Self::None,
            Step::Password => Self::Password,
            Step::PublicKey => Self::PublicKey,
            Step::KeyboardInteractive => Self::KeyboardInteractive,
        }
    }
}
