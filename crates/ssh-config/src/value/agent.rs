//! Agents: which one is asked, which one is forwarded, what is added to it.

use std::fmt;
use std::time::Duration;

use crate::{Source, expand, value};

/// Which agent to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentityAgent {
    /// None.
    None,
    /// The one whose socket this environment variable names.
    Environment(String),
    /// The one at this path.
    Path(String),
}

/// Which agent the far side may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardAgent {
    /// None. The default.
    No,
    /// The one that this side asks itself.
    Yes,
    /// The one whose socket this environment variable names.
    Environment(String),
    /// The one at this path.
    Path(String),
}

/// The path of an agent's socket, or the variable that names it: what it needs of the environment has to be there.
pub(crate) fn socket(word: &str, source: &dyn Source) -> Result<String, String> {
    expand::environment(word, source)?;
    match word.strip_prefix('$').filter(|name| !name.starts_with('{')) {
        Some(name) if !value::is_variable(name) => Err(format!("{name:?} is no environment variable's name")),
        _ => Ok(word.to_owned()),
    }
}

/// Whether a key that was used is added to the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddKeysToAgent {
    mode: AddKeysMode,
    lifetime: Option<Duration>,
}

/// How keys are added to the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddKeysMode {
    /// Not at all. The default.
    No,
    /// Without a question.
    Yes,
    /// After asking the user.
    Ask,
    /// Without a question, and the agent asks at each use.
    Confirm,
}

impl AddKeysToAgent {
    pub(crate) const NO: AddKeysToAgent = AddKeysToAgent { mode: AddKeysMode::No, lifetime: None };

    /// A word, a time, or `confirm` and a time.
    pub(crate) fn parse(word: &str, time: Option<&str>) -> Result<AddKeysToAgent, String> {
        let known = [
            ("yes", AddKeysMode::Yes),
            ("true", AddKeysMode::Yes),
            ("no", AddKeysMode::No),
            ("false", AddKeysMode::No),
            ("ask", AddKeysMode::Ask),
            ("confirm", AddKeysMode::Confirm),
        ];
        let mode = known.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, mode)| *mode);
        let bad = || format!("{word:?} is none of yes, no, ask, confirm, nor a time such as 1h");
        let lifetime = |text: &str| value::seconds(text).map(|time| (!time.is_zero()).then_some(time));
        match (mode, time) {
            (Some(mode), None) => Ok(AddKeysToAgent { mode, lifetime: None }),
            (Some(mode @ AddKeysMode::Confirm), Some(text)) => {
                Ok(AddKeysToAgent { mode, lifetime: lifetime(text)? })
            }
            (None, None) => {
                Ok(AddKeysToAgent { mode: AddKeysMode::Yes, lifetime: lifetime(word).map_err(|_| bad())? })
            }
            _ => Err("a time stands after confirm alone".to_owned()),
        }
    }

    /// How.
    #[must_use]
    pub fn mode(&self) -> AddKeysMode {
        self.mode
    }

    /// How long the agent keeps the key; `None` for as long as it runs.
    #[must_use]
    pub fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }
}

impl fmt::Display for AddKeysToAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.mode, self.lifetime) {
            (AddKeysMode::Confirm, Some(time)) => write!(f, "confirm {}", time.as_secs()),
            (_, Some(time)) => write!(f, "{}", time.as_secs()),
            (AddKeysMode::No, None) => f.write_str("false"),
            (AddKeysMode::Yes, None) => f.write_str("true"),
            (AddKeysMode::Ask, None) => f.write_str("ask"),
            (AddKeysMode::Confirm, None) => f.write_str("confirm"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_added_by_word_by_time_or_by_both() {
        let shown = |word, time| AddKeysToAgent::parse(word, time).map(|add| add.to_string());
        assert_eq!(shown("YES", None).unwrap(), "true");
        assert_eq!(shown("1h", None).unwrap(), "3600");
        assert_eq!(shown("confirm", Some("5m")).unwrap(), "confirm 300");
        assert_eq!(shown("0", None).unwrap(), "true");
        assert!(shown("ask", Some("5m")).is_err());
        assert!(shown("5m", Some("5m")).is_err());
        assert!(shown("maybe", None).is_err());
    }
}
