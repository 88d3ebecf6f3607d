//! Users: who may log in, and with what.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rustle_testserver::{Method, OneTimeCodes, Round};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::complaint::CODE;
use super::named::Named;
use super::secret::{Secret, Secrets};
use super::units::Time;
use crate::failure::Failure;
use crate::password_file::PasswordFile;

/// Someone who may log in.
#[derive(Deserialize)]
#[serde(try_from = "Keys")]
pub(crate) struct User {
    keys: Keys,
    codes: Option<OneTimeCodes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    name: String,
    #[serde(default)]
    none: bool,
    password: Option<Secret>,
    password_file: Option<PathBuf>,
    #[serde(default)]
    password_expired: bool,
    password_from_attempt: Option<u32>,
    #[serde(default)]
    public_keys: Vec<String>,
    authorized_keys: Option<PathBuf>,
    #[serde(default)]
    certificate_authorities: Vec<String>,
    #[serde(default)]
    rounds: Vec<RoundKeys>,
    #[serde(default)]
    one_time_codes: Secrets,
    timed_codes: Option<TimedKeys>,
    #[serde(default)]
    keyboard_interactive_password: bool,
    #[serde(default)]
    steps: Vec<Named<Method>>,
    #[serde(default)]
    methods: Vec<Named<Method>>,
    auth_delay: Option<Time>,
    lock_after: Option<u32>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    sftp: Option<bool>,
    startup_noise: Option<String>,
}

/// Codes by the clock.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct TimedKeys {
    seed: u64,
    step: Time,
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
#[serde(try_from = "PromptEntries")]
struct PromptKeys {
    text: String,
    /// None takes any.
    answer: Option<Secret>,
    echo: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptEntries {
    text: String,
    answer: Option<Secret>,
    #[serde(default)]
    any_answer: bool,
    #[serde(default)]
    echo: bool,
}

impl User {
    pub(crate) fn name(&self) -> &str {
        &self.keys.name
    }

    /// The codes that let the user in; whoever holds them sees what has been used.
    pub(crate) fn codes(&self) -> Option<OneTimeCodes> {
        self.codes.clone()
    }

    /// Reads the files that are named, relative to `folder`; without one, files may not be named.
    ///
    /// # Errors
    /// A file cannot be read, or may not be named.
    pub(crate) fn into_user(self, folder: Option<&Path>) -> Result<rustle_testserver::User, Failure> {
        let Self { keys, codes } = self;
        let mut user = rustle_testserver::User::new(keys.name);
        if keys.none {
            user = user.none();
        }
        let with_password = |user: rustle_testserver::User, password: &str| match keys.password_from_attempt {
            _ if keys.password_expired => user.expired_password(password),
            Some(n) => user.password_from_attempt(password, n),
            None => user.password(password),
        };
        if let Some(password) = &keys.password {
            user = with_password(user, password.expose());
        }
        if let Some(path) = keys.password_file {
            let password = PasswordFile::new(within(folder, "password_file", &path)?).read()?;
            user = with_password(user, password.expose_secret());
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
        if let Some(codes) = codes {
            user = user.one_time_codes(codes);
        }
        if keys.keyboard_interactive_password {
            user = user.keyboard_interactive_password();
        }
        if let Some(delay) = keys.auth_delay {
            user = user.auth_delay(delay.duration());
        }
        if let Some(refusals) = keys.lock_after {
            user = user.lock_after(refusals);
        }
        for (name, value) in keys.env {
            user = user.env(name, value);
        }
        if keys.sftp == Some(false) {
            user = user.without_sftp();
        }
        if let Some(noise) = keys.startup_noise {
            user = user.startup_noise(noise);
        }
        let methods = |names: Vec<Named<Method>>| names.into_iter().map(Named::value);
        Ok(user.steps(methods(keys.steps)).methods(methods(keys.methods)))
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
        if keys.password.is_some() && keys.password_file.is_some() {
            return Err("a user has `password` or `password_file`, not both");
        }
        let has_password = keys.password.is_some() || keys.password_file.is_some();
        if (keys.password_expired
            || keys.password_from_attempt.is_some()
            || keys.keyboard_interactive_password)
            && !has_password
        {
            return Err(
                "`password_expired`, `password_from_attempt` and `keyboard_interactive_password` need `password` or `password_file`",
            );
        }
        match keys.password_from_attempt {
            Some(_) if keys.password_expired => {
                return Err("a user has `password_expired` or `password_from_attempt`, not both");
            }
            Some(0) => return Err("`password_from_attempt` is counted from 1"),
            _ => {}
        }
        let conversations = [
            !keys.rounds.is_empty(),
            !keys.one_time_codes.is_empty(),
            keys.timed_codes.is_some(),
            keys.keyboard_interactive_password,
            // The new password is asked for in this way too.
            keys.password_expired && !keys.keyboard_interactive_password,
        ];
        if conversations.iter().filter(|held| **held).count() > 1 {
            return Err(
                "keyboard-interactive asks for one thing: `rounds`, `one_time_codes`, `timed_codes`, or the password, which is expired or not",
            );
        }
        let codes = match keys.timed_codes {
            Some(TimedKeys { seed, step }) if !step.duration().is_zero() => {
                Some(OneTimeCodes::timed(seed, step.duration()))
            }
            Some(_) => return Err("`step` is longer than no time"),
            None if keys.one_time_codes.is_empty() => None,
            None => Some(OneTimeCodes::list(keys.one_time_codes.expose())),
        };
        Ok(Self { keys, codes })
    }
}

impl TryFrom<PromptEntries> for PromptKeys {
    type Error = &'static str;

    fn try_from(keys: PromptEntries) -> Result<Self, Self::Error> {
        match (&keys.answer, keys.any_answer) {
            (Some(_), false) | (None, true) => {
                Ok(Self { text: keys.text, answer: keys.answer, echo: keys.echo })
            }
            _ => Err("a question has an `answer`, or `any_answer` = true"),
        }
    }
}

impl RoundKeys {
    fn into_round(self) -> Round {
        let round = Round::new().name(self.name).instruction(self.instruction);
        self.prompts.into_iter().fold(round, |round, prompt| match (prompt.answer, prompt.echo) {
            (Some(answer), true) => round.prompt(prompt.text, answer.expose()),
            (Some(answer), false) => round.hidden_prompt(prompt.text, answer.expose()),
            (None, true) => round.question(prompt.text),
            (None, false) => round.hidden_question(prompt.text),
        })
    }
}
