//! What the configuration says of agents: which one is asked, which one is lent, what it is given.

use std::path::PathBuf;

use rustle_ssh_config::{AddKeysMode, ForwardAgent, IdentityAgent, Settings, Source};

use crate::auth::{AgentSource, KeysToAgent};

/// The agent that is asked.
pub(super) fn asked(settings: &Settings, source: &dyn Source) -> AgentSource {
    match settings.identity_agent() {
        IdentityAgent::None => AgentSource::None,
        IdentityAgent::Path(path) => AgentSource::Path(PathBuf::from(path)),
        IdentityAgent::Environment(name) => named_by(name, source),
        // Kinds of agents may be added; one that is not understood is not asked.
        _ => AgentSource::None,
    }
}

/// The agent that commands are lent; `asked` is the one that this side asks itself.
pub(super) fn lent(settings: &Settings, source: &dyn Source, asked: &AgentSource) -> Option<AgentSource> {
    let agent = match settings.forward_agent() {
        ForwardAgent::Yes => asked.clone(),
        ForwardAgent::Path(path) => AgentSource::Path(PathBuf::from(path)),
        ForwardAgent::Environment(name) => named_by(name, source),
        _ => AgentSource::None,
    };
    // Without an agent there is none to lend. On Windows the usual one needs no variable.
    let is_there = match &agent {
        AgentSource::None => false,
        AgentSource::Env => cfg!(windows) || source.env("SSH_AUTH_SOCK").is_some_and(|path| !path.is_empty()),
        _ => true,
    };
    is_there.then_some(agent)
}

/// Whether the agent is given the keys that were opened.
pub(super) fn given(settings: &Settings) -> Option<KeysToAgent> {
    let wanted = settings.add_keys_to_agent();
    let terms = match wanted.mode() {
        AddKeysMode::Yes => KeysToAgent::new(),
        AddKeysMode::Ask => KeysToAgent::new().ask_first(),
        AddKeysMode::Confirm => KeysToAgent::new().confirm_each_use(),
        _ => return None,
    };
    Some(match wanted.lifetime() {
        Some(lifetime) => terms.lifetime(lifetime),
        None => terms,
    })
}

fn named_by(variable: &str, source: &dyn Source) -> AgentSource {
    match source.env(variable).filter(|path| !path.is_empty()) {
        _ if variable == "SSH_AUTH_SOCK" => AgentSource::Env,
        Some(path) => AgentSource::Path(PathBuf::from(path)),
        None => AgentSource::None,
    }
}
