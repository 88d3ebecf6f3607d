//! The conditions of `Host` and `Match`.

use std::cell::{Cell, OnceCell};
use std::net::IpAddr;

use crate::expand::{self, ALL_TOKENS, Expansion, Facts};
use crate::networks::Networks;
use crate::pattern::{matches_host_list, matches_list, matches_pattern};
use crate::{ConfigError, ConfigErrorKind, SessionType, Source};

/// What `Match` compares with.
pub(crate) struct Subject<'a> {
    /// What is known of the connection so far; its host is the name as it stands now.
    pub(crate) facts: &'a Facts,
    pub(crate) local_user: Option<&'a str>,
    pub(crate) tag: &'a str,
    /// What is to run on the far side, as it was asked for beside the configuration.
    pub(crate) command: &'a str,
    pub(crate) session_type: Option<SessionType>,
    /// Whether the files are being read for the second time, with the final host name.
    pub(crate) final_pass: bool,
    /// Whether nothing below the line can apply, whatever it says.
    pub(crate) dead: bool,
    pub(crate) source: &'a dyn Source,
    pub(crate) outside: &'a Outside,
}

/// What was asked of the machine for one host: twice the same is asked once, and commands are counted.
pub(crate) struct Outside {
    commands_left: Cell<usize>,
    version: OnceCell<String>,
    addresses: OnceCell<Vec<IpAddr>>,
}

impl Outside {
    pub(crate) fn new(commands: usize) -> Outside {
        Outside { commands_left: Cell::new(commands), version: OnceCell::new(), addresses: OnceCell::new() }
    }
}

/// The outcome of a `Match` line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Matched {
    pub(crate) applies: bool,
    /// Whether it asks for a second reading.
    pub(crate) wants_final_pass: bool,
}

/// Whether a `Host` line applies: one of its patterns fits, and no negated one does.
pub(crate) fn host(patterns: &[Vec<u8>], host: &str) -> Result<bool, ConfigError> {
    let mut applies = false;
    for pattern in patterns {
        match pattern.strip_prefix(b"!") {
            _ if pattern.is_empty() => return Err(syntax("Host has an empty pattern")),
            Some(negated) if matches_pattern(host.as_bytes(), negated) => return Ok(false),
            Some(_) => {}
            None => applies |= matches_pattern(host.as_bytes(), pattern),
        }
    }
    Ok(applies)
}

/// The conditions that take their argument after `=` as well.
const WITH_EQUALS: [&str; 9] =
    ["host", "originalhost", "user", "localuser", "localnetwork", "version", "tagged", "command", "exec"];

/// Whether a `Match` line applies. Every condition is read, and a command is run only where the conditions before it
/// leave the answer to it.
pub(crate) fn matches(args: &[Vec<u8>], subject: &Subject<'_>) -> Result<Matched, ConfigError> {
    let mut result = Matched { applies: !subject.dead, wants_final_pass: false };
    let mut count = 0;
    let mut args = args.iter().map(Vec::as_slice).take_while(|arg| !arg.starts_with(b"#"));
    while let Some(word) = args.next() {
        let negated = word.starts_with(b"!");
        let word = word.strip_prefix(b"!").unwrap_or(word);
        if word.eq_ignore_ascii_case(b"all") {
            if count > 1 || args.next().is_some_and(|arg| !arg.is_empty()) {
                return Err(syntax(
                    "\"all\" cannot stand with other conditions, except after final or canonical",
                ));
            }
            result.applies &= !negated;
            return Ok(result);
        }
        count += 1;
        if word.eq_ignore_ascii_case(b"final") || word.eq_ignore_ascii_case(b"canonical") {
            result.wants_final_pass |= word.eq_ignore_ascii_case(b"final") && !negated;
            result.applies &= subject.final_pass != negated;
            continue;
        }
        let text = String::from_utf8_lossy(word);
        let split = text.split_once('=').map(|(name, _)| name.to_ascii_lowercase());
        let (name, value) = match split.filter(|name| WITH_EQUALS.contains(&name.as_str())) {
            Some(name) => {
                let value = &word[name.len() + 1..];
                (name, Some(value))
            }
            None => (text.to_ascii_lowercase(), args.next()),
        };
        let value = value.ok_or_else(|| syntax(format!("Match {name} has no argument")))?;
        if value.is_empty() && !matches!(name.as_str(), "tagged" | "command") {
            return Err(syntax(format!("Match {name} has an empty argument")));
        }
        let fits = subject.fits(&name, value, result.applies)?;
        result.applies &= fits != negated;
    }
    if count == 0 {
        return Err(syntax("Match has no condition"));
    }
    Ok(result)
}

impl Subject<'_> {
    /// Whether one condition holds. `undecided` is whether those before it did.
    fn fits(&self, name: &str, value: &[u8], undecided: bool) -> Result<bool, ConfigError> {
        let text = || {
            std::str::from_utf8(value).map_err(|_| syntax(format!("Match {name}: its argument is not UTF-8")))
        };
        // Nothing matches only nothing.
        let optional = |known: &str| match known {
            "" => value.is_empty(),
            known => matches_list(known.as_bytes(), value),
        };
        Ok(match name {
            "host" => matches_host_list(&self.facts.host, value),
            "originalhost" => matches_host_list(&self.facts.alias, value),
            "user" => matches_list(self.facts.user.as_bytes(), value),
            "localuser" => match self.local_user {
                Some(user) => matches_list(user.as_bytes(), value),
                None => {
                    let message = "Match localuser: the local user's name is not known";
                    return Err(ConfigError::new(ConfigErrorKind::LocalUnknown, message));
                }
            },
            "tagged" => optional(self.tag),
            "command" => optional(self.command),
            "sessiontype" => {
                let session = match self.session_type {
                    Some(SessionType::Subsystem) => "subsystem",
                    Some(SessionType::None) => "none",
                    _ if self.command.is_empty() => "shell",
                    _ => "exec",
                };
                matches_list(session.as_bytes(), value)
            }
            "version" => {
                let version = self.outside.version.get_or_init(|| self.source.ssh_version());
                matches_list(version.as_bytes(), value)
            }
            "localnetwork" => {
                let networks =
                    Networks::parse(text()?).map_err(|why| syntax(format!("Match localnetwork: {why}")))?;
                undecided && self.is_in(&networks)?
            }
            "exec" => {
                let line = expand::text_of(text()?, self.facts, Expansion::command(ALL_TOKENS));
                let line = line.map_err(|why| {
                    ConfigError::new(ConfigErrorKind::InvalidValue, format!("Match exec: {why}"))
                })?;
                undecided && self.succeeds(&line)?
            }
            _ => return Err(syntax(format!("{name:?} is no condition of Match"))),
        })
    }

    fn is_in(&self, networks: &Networks) -> Result<bool, ConfigError> {
        let known = &self.outside.addresses;
        let addresses = match known.get() {
            Some(addresses) => addresses,
            None => {
                let found = self.source.interface_addresses().map_err(|error| {
                    let message = "Match localnetwork: this machine's addresses are not known";
                    ConfigError::new(ConfigErrorKind::Outside, message).because(error)
                })?;
                known.get_or_init(|| found)
            }
        };
        Ok(addresses.iter().any(|address| networks.contains(*address)))
    }

    fn succeeds(&self, line: &str) -> Result<bool, ConfigError> {
        let Some(left) = self.outside.commands_left.get().checked_sub(1) else {
            let message = "Match exec: too many commands for one host";
            return Err(ConfigError::new(ConfigErrorKind::TooLarge, message));
        };
        self.outside.commands_left.set(left);
        self.source.run(line).map_err(|error| {
            let message = format!("Match exec: {line:?} did not end as a command should; run it by hand");
            ConfigError::new(ConfigErrorKind::Outside, message).because(error)
        })
    }
}

fn syntax(message: impl Into<String>) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Syntax, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemorySource;

    fn args(text: &str) -> Vec<Vec<u8>> {
        crate::lexer::split(text.as_bytes()).unwrap()
    }

    fn source() -> MemorySource {
        MemorySource::new("alice", "/home/alice")
            .command("test web.example.com = bob", true)
            .command("false", false)
            .interface("192.0.2.7".parse().unwrap())
            .interface("2001:db8::1".parse().unwrap())
            .ssh_version("OpenSSH_9.9p1")
    }

    fn ask(text: &str, change: impl Fn(&mut Subject<'_>)) -> Result<Matched, ConfigError> {
        let source = source();
        let mut facts = Facts::gather("Web", &source);
        (facts.host, facts.user) = ("web.example.com".to_owned(), "bob".to_owned());
        let mut subject = Subject {
            facts: &facts,
            local_user: Some("alice"),
            tag: "",
            command: "",
            session_type: None,
            final_pass: false,
            dead: false,
            source: &source,
            outside: &Outside::new(1),
        };
        change(&mut subject);
        matches(&args(text), &subject)
    }

    fn applies(text: &str) -> bool {
        ask(text, |_| ()).unwrap().applies
    }

    #[test]
    fn hosts_with_negation() {
        let applies = |text: &str| host(&args(text), "web").unwrap();
        assert!(applies("web") && applies("db w*") && applies("* !db"));
        assert!(!applies("Web") && !applies("!db") && !applies("* !web") && !applies("!web *"));
        assert!(host(&args("a \"\""), "web").is_err());
    }

    #[test]
    fn each_condition() {
        for yes in [
            "all",
            "host *.EXAMPLE.com",
            "host=web.*",
            "originalhost web",
            "user bob",
            "!user alice",
            "localuser alice",
            "host db,web* user b?b",
            "tagged \"\"",
            "command \"\"",
            "tagged=",
            "!final",
            "!canonical",
            "HOST web*",
            "host web* all",
            "sessiontype shell",
            "version OpenSSH_9.*",
            "version=*,!OpenSSH_8*",
            "localnetwork 192.0.2.0/24",
            "localnetwork 10.0.0.0/8,2001:db8::/32",
            "localnetwork=192.0.2.7",
            "exec \"test %h = %r\"",
            "!exec false",
        ] {
            assert!(applies(yes), "{yes}");
        }
        for no in [
            "!all",
            "host *.org",
            "!host web*",
            "user bob localuser bob",
            "tagged x",
            "command *",
            "final",
            "canonical all",
            "sessiontype exec,none",
            "version OpenSSH_10*",
            "localnetwork 10.0.0.0/8",
            "exec=false",
        ] {
            assert!(!applies(no), "{no}");
        }
    }

    #[test]
    fn what_is_to_run_decides_about_command_and_session() {
        let with = |text: &str| {
            let uptime = |subject: &mut Subject<'_>| (subject.command, subject.tag) = ("uptime -p", "work");
            ask(text, uptime).unwrap().applies
        };
        assert!(with("command uptime*") && with("sessiontype exec") && with("tagged w*"));
        assert!(!with("command \"\"") && !with("sessiontype shell") && !with("tagged \"\""));
        let none = |subject: &mut Subject<'_>| subject.session_type = Some(SessionType::None);
        assert!(ask("sessiontype none", none).unwrap().applies);
    }

    #[test]
    fn a_final_condition_asks_for_a_second_reading() {
        let matched = ask("final host web*", |_| ()).unwrap();
        assert_eq!(matched, Matched { applies: false, wants_final_pass: true });
        assert!(ask("final all", |subject| subject.final_pass = true).unwrap().applies);
    }

    #[test]
    fn a_command_runs_only_where_the_answer_depends_on_it() {
        // There is no such command in the table: to run it would be an error.
        assert!(!applies("host other exec unknown"));
        assert!(!ask("exec unknown", |subject| subject.dead = true).unwrap().applies);
        let error = ask("exec unknown", |_| ()).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Outside);
        // One command is left to this subject.
        let error = ask("!exec false !exec false", |_| ()).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::TooLarge);
        // A token without a meaning is an error in any case.
        assert_eq!(ask("host other exec %z", |_| ()).unwrap_err().kind(), ConfigErrorKind::InvalidValue);
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "host",
            "",
            "color red",
            "host \"\"",
            "host a user b all",
            "all host a",
            "sessiontype=shell",
            "localnetwork 10.0.0.1/8",
            "localnetwork x",
            "localnetwork 10.0.0.0/8,,10.1.0.0/16",
            "exec",
        ] {
            let error = ask(text, |_| ()).unwrap_err();
            assert_eq!(error.kind(), ConfigErrorKind::Syntax, "{text}");
        }
    }
}
