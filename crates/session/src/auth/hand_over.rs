//! Keys from files handed over to the agent, so that their passphrase is asked for once (`AddKeysToAgent`).

use std::time::Duration;

use ssh_key::PrivateKey;

use super::agent::{Agent, AgentError};
use super::person::{Answered, Person};
use super::prompt::{Echo, PromptKind};

/// That keys opened from files are handed over to the agent, and on which terms.
///
/// ```
/// use std::time::Duration;
/// use rustle_session::{Credentials, KeysToAgent};
///
/// let for_an_hour = KeysToAgent::new().lifetime(Duration::from_secs(3600)).confirm_each_use();
/// let credentials = Credentials::new().add_keys_to_agent(for_an_hour);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use]
pub struct KeysToAgent {
    asking: bool,
    confirm: bool,
    lifetime: Option<Duration>,
}

impl KeysToAgent {
    /// Without a question, and for as long as the agent runs (`AddKeysToAgent yes`).
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks the person first, for each key (`AddKeysToAgent ask`). Nobody to ask is a no.
    pub fn ask_first(mut self) -> Self {
        self.asking = true;
        self
    }

    /// Has the agent ask whenever the key is to sign (`AddKeysToAgent confirm`, `ssh-add -c`).
    pub fn confirm_each_use(mut self) -> Self {
        self.confirm = true;
        self
    }

    /// Has the agent forget the key after this long, in whole seconds (`ssh-add -t`); at most 2³² − 1 s, 136 years.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// The constraints as the agent's protocol has them (draft-ietf-sshm-ssh-agent, section 5.2.7).
    pub(super) fn constraints(&self) -> Vec<u8> {
        const LIFETIME: u8 = 1;
        const CONFIRM: u8 = 2;
        let mut constraints = Vec::new();
        if let Some(lifetime) = self.lifetime {
            constraints.push(LIFETIME);
            // None at all would be for ever; what is less than a second is one.
            let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX).max(1);
            constraints.extend_from_slice(&seconds.to_be_bytes());
        }
        if self.confirm {
            constraints.push(CONFIRM);
        }
        constraints
    }
}

/// Hands the key of a file over. Whatever keeps it from being taken is noted, and does no harm to the login.
///
/// # Cancel safety
/// Dropped, `slot` is empty: half a message may be under way.
pub(super) async fn hand_over(
    key: &PrivateKey,
    label: &str,
    terms: KeysToAgent,
    slot: &mut Option<Agent>,
    person: &Person<'_>,
) {
    if slot.is_none() {
        tracing::debug!(key = label, "no agent to hand the key over to");
        return;
    }
    if terms.asking && !agreed(label, person).await {
        tracing::debug!(key = label, "the key is not handed over to the agent");
        return;
    }
    let Some(mut agent) = slot.take() else { return };
    match agent.add(key, label, terms).await {
        Ok(()) => tracing::debug!(key = label, "the agent has the key now"),
        Err(AgentError::Refused) => tracing::warn!(key = label, "the agent did not take the key"),
        Err(error) => {
            tracing::warn!(key = label, %error, "the key could not be handed over to the agent");
            return;
        }
    }
    *slot = Some(agent);
}

async fn agreed(label: &str, person: &Person<'_>) -> bool {
    use secrecy::ExposeSecret;

    let text = format!("Add the key '{label}' to the agent (yes/no)? ");
    let question = person.request(PromptKind::AddKeyToAgent).with_prompt(&text, Echo::Visible);
    match person.ask(question).await {
        Answered::Yes(answers) => {
            answers.first().is_some_and(|answer| answer.expose_secret().trim().eq_ignore_ascii_case("yes"))
        }
        Answered::Nobody | Answered::Cancelled(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_are_those_of_the_protocol() {
        assert!(KeysToAgent::new().ask_first().constraints().is_empty());
        let hour = KeysToAgent::new().confirm_each_use().lifetime(Duration::from_secs(3600));
        assert_eq!(hour.constraints(), [1, 0, 0, 0x0e, 0x10, 2]);
        assert_eq!(KeysToAgent::new().lifetime(Duration::from_millis(3)).constraints(), [1, 0, 0, 0, 1]);
        assert_eq!(KeysToAgent::new().lifetime(Duration::MAX).constraints(), [1, 255, 255, 255, 255]);
    }
}
