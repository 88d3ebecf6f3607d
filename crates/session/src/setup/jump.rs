//! The way to a host as the configuration has it: `ProxyJump`, `ProxyCommand`, or neither.

use std::sync::Arc;

use rustle_ssh_config as config;
use rustle_ssh_config::{Keyword, Settings, Source};

use crate::connect::route::DEEPEST;
use crate::connect::{Connector, JumpHost, ProxyCommand, TerminalUse};
use crate::error::Result;
use crate::setup::{Files, HostSetup, HostSetupBuilder, SetupWarning, refused, unusable};

/// The hosts on the way from the one that was asked for, each with whether its own `ProxyJump` is followed.
#[derive(Default)]
pub(super) struct Trail {
    hosts: Vec<String>,
    /// Those whose configuration decides how they are reached.
    deciding: Vec<String>,
}

impl Trail {
    /// A trail that begins with the host asked for.
    pub(super) fn from(destination: &str) -> Self {
        Self { hosts: vec![destination.to_owned()], deciding: vec![destination.to_owned()] }
    }

    /// Goes on to another host.
    fn step(&mut self, host: &config::JumpHost, decides: Decides, origin: &config::Origin) -> Result<()> {
        let name = bare(host);
        self.hosts.push(name.clone());
        let way = || self.hosts.join(" needs ");
        if decides == Decides::Itself && self.deciding.contains(&name) {
            return Err(refused(format!(
                "{origin}: ProxyJump: the way to {name} leads through itself: {}",
                way()
            ))
            .with_hint(
                "give the jump host a `Host` block of its own with `ProxyJump none`, above the others",
            ));
        }
        if self.hosts.len() > DEEPEST + 1 {
            return Err(refused(format!("{origin}: ProxyJump: more than {DEEPEST} jump hosts: {}", way())));
        }
        if decides == Decides::Itself {
            self.deciding.push(name);
        }
        Ok(())
    }
}

/// Who says how a jump host is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decides {
    /// Its own configuration: it is the first of a list.
    Itself,
    /// The list, by the host before it.
    List,
}

/// Gives the connector the way that the configuration asks for.
pub(super) fn way(
    connector: Connector,
    builder: &HostSetupBuilder,
    settings: &Settings,
    source: &dyn Source,
    trail: &mut Trail,
    warnings: &mut Vec<SetupWarning>,
) -> Result<(Connector, Option<(String, HostSetup)>)> {
    if let Some((last, before)) = settings.proxy_jump().split_last() {
        let origin = settings.origin(Keyword::ProxyJump);
        let decides = if before.is_empty() { Decides::Itself } else { Decides::List };
        trail.step(last, decides, origin)?;
        let hop = jump_builder(builder, last, before).resolve_along(source, trail).map_err(|error| {
            // What cannot be read of a jump host is said of it.
            error.through(last.host(), connector.target())
        })?;
        let connector = connector.jump(adopt(&hop, last, warnings));
        return Ok((connector, Some((last.host().to_owned(), hop))));
    }
    let Some(line) = settings.proxy_command_line().map_err(|error| unusable(&error))? else {
        return Ok((connector, None));
    };
    let origin = settings.origin(Keyword::ProxyCommand);
    if line.trim() == "-" {
        return Err(refused(format!(
            "{origin}: ProxyCommand: standard streams cannot be the connection here"
        )));
    }
    if settings.proxy_use_fdpass() {
        let origin = settings.origin(Keyword::ProxyUseFdpass);
        return Err(refused(format!(
            "{origin}: ProxyUseFdpass: a socket from the ProxyCommand is not taken"
        ))
        .with_hint("let the command carry the data itself: `-o ProxyUseFdpass=no`, and nc without -F"));
    }
    let mut command = ProxyCommand::new(line);
    if builder.prompter.is_some() && !settings.batch_mode() {
        command = command.terminal(TerminalUse::Shared);
    }
    if let Some(listener) = builder.proxy_errors.clone() {
        command = command.on_error_line(move |line| listener(line));
    }
    Ok((connector.proxy_command(command), None))
}

/// What is asked of the configuration for a jump host: as ssh runs itself for one, by the same files and without the
/// options that were given for the host behind it. A password for that one is not for this one either.
fn jump_builder(
    above: &HostSetupBuilder,
    host: &config::JumpHost,
    before: &[config::JumpHost],
) -> HostSetupBuilder {
    let place = if host.host().contains(':') { format!("[{}]", host.host()) } else { host.host().to_owned() };
    // It carries one connection, no forwards and no terminal (as ssh's -W): nobody is asked anything at the terminal once
    // what is behind it may be using that.
    let mut options = vec!["ClearAllForwardings=yes".to_owned(), "RequestTTY=no".to_owned()];
    if !before.is_empty() {
        let list: Vec<String> = before.iter().map(ToString::to_string).collect();
        // Its tokens have been expanded: what looks like one is a scope of an address.
        options.push(format!("ProxyJump={}", list.join(",").replace('%', "%%")));
    }
    HostSetupBuilder {
        user: host.user().map(str::to_owned),
        port: host.port(),
        options,
        files: match &above.files {
            Files::Usual => Files::Usual,
            Files::These(paths) => Files::These(paths.clone()),
        },
        connect_timeout: above.connect_timeout,
        agent: above.agent.clone(),
        prompter: above.prompter.clone(),
        host_key_prompter: above.host_key_prompter.clone(),
        proxy_errors: above.proxy_errors.clone(),
        resolver: above.resolver.clone(),
        ..HostSetup::builder(place)
    }
}

fn adopt(hop: &HostSetup, host: &config::JumpHost, warnings: &mut Vec<SetupWarning>) -> JumpHost {
    for warning in hop.warnings() {
        // The same line of a file speaks to several hosts.
        if !warnings.contains(warning) {
            warnings.push(warning.clone());
        }
    }
    JumpHost::new(hop.connector().clone(), hop.credentials().clone()).name(host.host())
}

/// `[user@]host[:port]`, an address without its brackets where no port follows.
fn bare(host: &config::JumpHost) -> String {
    let user = host.user().map(|user| format!("{user}@")).unwrap_or_default();
    match host.port() {
        Some(port) => format!("{user}{}", crate::target::host_and_port(host.host(), port)),
        None => format!("{user}{}", host.host()),
    }
}

/// Who gets what a `ProxyCommand` writes to standard error.
pub(super) type ErrorLines = Arc<dyn Fn(&str) + Send + Sync>;

#[cfg(test)]
mod tests;
