//! The conditions of `Host` and `Match`.

use crate::pattern::{matches_host_list, matches_list, matches_pattern};
use crate::{ConfigError, ConfigErrorKind};

/// What `Match` compares with.
pub(crate) struct Subject<'a> {
    /// The host name as it is known so far.
    pub(crate) host: &'a str,
    /// As the user named it.
    pub(crate) alias: &'a str,
    pub(crate) user: &'a str,
    pub(crate) local_user: Option<&'a str>,
    pub(crate) tag: &'a str,
    /// Whether the files are being read for the second time, with the final host name.
    pub(crate) final_pass: bool,
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

/// Whether a `Match` line applies. A condition that is not supported is an error only where the supported ones
/// leave the answer to it.
pub(crate) fn matches(args: &[Vec<u8>], subject: &Subject<'_>) -> Result<Matched, ConfigError> {
    let mut result = Matched { applies: true, wants_final_pass: false };
    let mut unsupported = None;
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
            return decided(result, unsupported);
        }
        count += 1;
        if word.eq_ignore_ascii_case(b"final") || word.eq_ignore_ascii_case(b"canonical") {
            result.wants_final_pass |= word.eq_ignore_ascii_case(b"final") && !negated;
            result.applies &= subject.final_pass != negated;
            continue;
        }
        let (name, value) = match word.iter().position(|&b| b == b'=') {
            Some(at) => (&word[..at], Some(&word[at + 1..])),
            None => (word, args.next()),
        };
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let value = value.ok_or_else(|| syntax(format!("Match {name} has no argument")))?;
        if value.is_empty() && !matches!(name.as_str(), "tagged" | "command") {
            return Err(syntax(format!("Match {name} has an empty argument")));
        }
        let fits = match name.as_str() {
            "host" => matches_host_list(subject.host, value),
            "originalhost" => matches_host_list(subject.alias, value),
            "user" => matches_list(subject.user.as_bytes(), value),
            "localuser" => match subject.local_user {
                Some(user) => matches_list(user.as_bytes(), value),
                None => {
                    let message = "Match localuser: the local user's name is not known";
                    return Err(ConfigError::new(ConfigErrorKind::LocalUnknown, message));
                }
            },
            "tagged" if subject.tag.is_empty() => value.is_empty(),
            "tagged" => matches_list(subject.tag.as_bytes(), value),
            "exec" | "localnetwork" | "version" | "command" | "sessiontype" => {
                unsupported.get_or_insert(name);
                continue;
            }
            _ => return Err(syntax(format!("{name:?} is no condition of Match"))),
        };
        result.applies &= fits != negated;
    }
    if count == 0 {
        return Err(syntax("Match has no condition"));
    }
    decided(result, unsupported)
}

fn decided(result: Matched, unsupported: Option<String>) -> Result<Matched, ConfigError> {
    match unsupported {
        Some(name) if result.applies => Err(ConfigError::new(
            ConfigErrorKind::NotSupported,
            format!(
                "\"Match {name}\" is not supported yet, and whether the lines below it apply depends on it; \
                 put a condition before it that does not fit this host, or use another file with --config"
            ),
        )),
        _ => Ok(result),
    }
}

fn syntax(message: impl Into<String>) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Syntax, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECT: Subject<'_> = Subject {
        host: "web.example.com",
        alias: "Web",
        user: "bob",
        local_user: Some("alice"),
        tag: "",
        final_pass: false,
    };

    fn args(text: &str) -> Vec<Vec<u8>> {
        crate::lexer::split(text.as_bytes()).unwrap()
    }

    fn applies(text: &str) -> bool {
        matches(&args(text), &SUBJECT).unwrap().applies
    }

    #[test]
    fn hosts_with_negation() {
        let applies = |text: &str| host(&args(text), "web").unwrap();
        assert!(applies("web") && applies("db w*") && applies("* !db"));
        assert!(!applies("Web") && !applies("!db") && !applies("* !web") && !applies("!web *"));
        assert!(host(&args("a \"\""), "web").is_err());
    }

    #[test]
    fn each_supported_condition() {
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
            "!final",
            "!canonical",
            "HOST web*",
            "host web* all",
        ] {
            assert!(applies(yes), "{yes}");
        }
        for no in [
            "!all",
            "host *.org",
            "!host web*",
            "user bob localuser bob",
            "tagged x",
            "final",
            "canonical all",
        ] {
            assert!(!applies(no), "{no}");
        }
    }

    #[test]
    fn a_final_condition_asks_for_a_second_reading() {
        let matched = matches(&args("final host web*"), &SUBJECT).unwrap();
        assert_eq!(matched, Matched { applies: false, wants_final_pass: true });
        let second = Subject { final_pass: true, ..SUBJECT };
        assert!(matches(&args("final all"), &second).unwrap().applies);
    }

    #[test]
    fn an_unsupported_condition_is_an_error_only_where_it_decides() {
        for text in
            ["exec \"true\"", "host web* exec x", "localnetwork 10.0.0.0/8", "version OpenSSH*", "exec=x"]
        {
            let error = matches(&args(text), &SUBJECT).unwrap_err();
            assert_eq!(error.kind(), ConfigErrorKind::NotSupported, "{text}");
        }
        assert!(!applies("host other exec \"true\""));
        assert!(!applies("exec \"true\" host other"));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["host", "", "color red", "host \"\"", "host a user b all", "all host a"] {
            let error = matches(&args(text), &SUBJECT).unwrap_err();
            assert_eq!(error.kind(), ConfigErrorKind::Syntax, "{text}");
        }
    }
}
