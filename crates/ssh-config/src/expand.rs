//! Tokens (`%h`), environment variables (`${NAME}`) and `~`. Errors are the middle of a sentence.

use std::net::Ipv6Addr;

use sha1::{Digest, Sha1};

use crate::args;
use crate::{Source, valid_hostname, valid_user};

/// The tokens that nearly everything accepts: paths, commands, variables to set.
pub(crate) const ALL_TOKENS: &str = "CdhijkLlnpru";
/// Those of User: neither itself nor the hash that it is part of.
pub(crate) const USER_TOKENS: &str = "dhijkLlnpu";
/// Those of ProxyCommand and ProxyJump.
pub(crate) const PROXY_TOKENS: &str = "hknpr";

/// What tokens stand for.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// The host as the user named it.
    pub(crate) alias: String,
    /// The host to connect to.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) key_alias: String,
    /// The last jump host; empty without one.
    pub(crate) jump_host: String,
    local_user: Option<String>,
    user_id: Option<u32>,
    home: Option<String>,
    local_host: Option<String>,
}

/// What an expansion is for, which decides what its tokens may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A path or another value of this program's own.
    Value,
    /// A line that a shell reads: names with characters that mean something to it are refused (CVE-2023-51385,
    /// CVE-2025-61984).
    CommandLine,
}

impl Facts {
    /// What the machine knows, for this alias; the rest is for the caller to fill in.
    pub(crate) fn gather(alias: &str, source: &dyn Source) -> Facts {
        Facts {
            alias: alias.to_owned(),
            host: alias.to_owned(),
            port: 22,
            user: String::new(),
            key_alias: alias.to_owned(),
            jump_host: String::new(),
            local_user: source.user(),
            user_id: source.user_id(),
            home: source.home(None),
            local_host: source.host(),
        }
    }

    fn token(&self, token: char) -> Result<String, String> {
        let known = |fact: &Option<String>, what: &str| fact.clone().ok_or_else(|| what.to_owned());
        let local_host = || known(&self.local_host, "this machine's name is not known");
        Ok(match token {
            'h' => self.host.clone(),
            'n' => self.alias.clone(),
            'k' => self.key_alias.clone(),
            'p' => self.port.to_string(),
            'r' => self.user.clone(),
            'j' => self.jump_host.clone(),
            'u' => known(&self.local_user, "the local user's name is not known")?,
            'i' => self.user_id.ok_or("this system has no numbers for users (%i)")?.to_string(),
            'd' => known(&self.home, "the home directory is not known: set HOME")?,
            'l' => local_host()?,
            'L' => local_host()?.split('.').next().unwrap_or_default().to_owned(),
            'C' => self.connection_hash(&local_host()?),
            other => return Err(format!("%{other} has no meaning")),
        })
    }

    fn connection_hash(&self, local_host: &str) -> String {
        let mut hash = Sha1::new();
        for part in [local_host, &self.host, &self.port.to_string(), &self.user, &self.jump_host] {
            hash.update(part.as_bytes());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A token's text for this purpose.
    fn checked(&self, token: char, purpose: Purpose) -> Result<String, String> {
        let text = self.token(token)?;
        let fits = match (purpose, token) {
            (Purpose::Value, _) => true,
            // ssh lets a dollar sign pass, and the shell makes something else of `a$IFS-x`.
            (Purpose::CommandLine, 'r') => valid_user(&text) && !text.contains('$'),
            (Purpose::CommandLine, 'h' | 'n' | 'k') => valid_hostname(&text),
            (Purpose::CommandLine, 'j') => text.is_empty() || valid_hostname(&text),
            (Purpose::CommandLine, _) => !text.contains(char::is_control),
        };
        let harmless = !cfg!(windows) || purpose == Purpose::Value || means_nothing_to_cmd(token, &text);
        if fits && harmless {
            return Ok(text);
        }
        Err(format!("%{token} is {text:?}, which has characters that must not get into a command"))
    }
}

/// Whether names, which others may have chosen, are free of what `cmd.exe` expands or takes away; the scope of an address
/// stands behind the one `%` that may be there.
fn means_nothing_to_cmd(token: char, text: &str) -> bool {
    let text = match (token, text.split_once('%')) {
        ('h' | 'n' | 'k' | 'j', Some((address, scope))) if address.parse::<Ipv6Addr>().is_ok() => scope,
        ('h' | 'n' | 'k' | 'j' | 'r', _) => text,
        // This machine's own.
        _ => return true,
    };
    !text.contains(['%', '^', '!'])
}

/// How a text is expanded: which tokens it may have, with what in them, and whether the environment is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Expansion<'a> {
    pub(crate) tokens: &'a str,
    /// Tokens that this one text has, with their values.
    pub(crate) extra: &'a [(char, &'a str)],
    pub(crate) environment: Option<&'a dyn Source>,
    pub(crate) purpose: Purpose,
}

impl<'a> Expansion<'a> {
    /// Tokens of `tokens` and `${NAME}`.
    pub(crate) fn value(tokens: &'a str, source: &'a dyn Source) -> Expansion<'a> {
        Expansion { tokens, extra: &[], environment: Some(source), purpose: Purpose::Value }
    }

    /// Tokens of `tokens`; the shell sees to the environment.
    pub(crate) fn command(tokens: &'a str) -> Expansion<'a> {
        Expansion { tokens, extra: &[], environment: None, purpose: Purpose::CommandLine }
    }
}

/// Expands HostName, which knows `%h` and no environment.
pub(crate) fn host_name(text: &str, alias: &str) -> Result<String, String> {
    let tokens = |token: char| match token {
        'h' => Ok(alias.to_owned()),
        token => Err(meaningless(token)),
    };
    expand(text, &tokens, None)
}

/// Expands `${NAME}` alone.
pub(crate) fn environment(text: &str, source: &dyn Source) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        let (value, after) = variable(&rest[at + 2..], source)?;
        out.push_str(&value);
        rest = after;
        within_bounds(&out)?;
    }
    out.push_str(rest);
    Ok(out)
}

/// Expands a path: `~`, then tokens and environment.
pub(crate) fn path(text: &str, facts: &Facts, source: &dyn Source) -> Result<String, String> {
    text_of(&tilde(text, source)?, facts, Expansion::value(ALL_TOKENS, source))
}

/// Expands any text.
pub(crate) fn text_of(text: &str, facts: &Facts, expansion: Expansion<'_>) -> Result<String, String> {
    let tokens = |token: char| match expansion.extra.iter().find(|(known, _)| *known == token) {
        Some((_, value)) => Ok((*value).to_owned()),
        None if expansion.tokens.contains(token) => facts.checked(token, expansion.purpose),
        None => Err(meaningless(token)),
    };
    expand(text, &tokens, expansion.environment)
}

/// Expands `~` and `~name` at the start.
pub(crate) fn tilde(text: &str, source: &dyn Source) -> Result<String, String> {
    let Some(rest) = text.strip_prefix('~') else {
        return Ok(text.to_owned());
    };
    let end = rest.find(is_separator).unwrap_or(rest.len());
    let (user, rest) = rest.split_at(end);
    let home = if user.is_empty() {
        source.home(None).ok_or("the home directory is not known: set HOME, or write the whole path")?
    } else {
        source.home(Some(user)).ok_or_else(|| {
            format!("the home directory of {user:?} is not known on this machine: write the whole path")
        })?
    };
    Ok(format!("{}/{}", home.trim_end_matches(is_separator), rest.trim_start_matches(is_separator)))
}

fn is_separator(c: char) -> bool {
    c == '/' || (cfg!(windows) && c == '\\')
}

fn meaningless(token: char) -> String {
    format!("%{token} has no meaning here: write %% for a percent sign")
}

/// An expansion longer than this is refused: no path, name or value comes near it.
const LONGEST: usize = 64 * 1024;

fn within_bounds(text: &str) -> Result<(), String> {
    if text.len() > LONGEST { Err(format!("it expands to more than {LONGEST} bytes")) } else { Ok(()) }
}

/// The value of the variable that the text begins with, and what follows its brace.
fn variable<'t>(text: &'t str, source: &dyn Source) -> Result<(String, &'t str), String> {
    let (name, rest) = text.split_once('}').ok_or("\"${\" is not closed")?;
    let value = source.env(name).ok_or_else(|| format!("the environment variable {name:?} is not set"))?;
    let value = args::text(&value).map_err(|why| format!("the environment variable {name:?}: {why}"))?;
    Ok((value, rest))
}

fn expand(
    text: &str,
    tokens: &dyn Fn(char) -> Result<String, String>,
    environment: Option<&dyn Source>,
) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['%', '$']) {
        out.push_str(&rest[..at]);
        let special = &rest[at..];
        if let (Some(source), Some(name)) = (environment, special.strip_prefix("${")) {
            let (value, after) = variable(name, source)?;
            out.push_str(&value);
            rest = after;
        } else if let Some(after) = special.strip_prefix('%') {
            let token = after.chars().next().ok_or("a percent sign at the end: write %% for one")?;
            match token {
                '%' => out.push('%'),
                token => out.push_str(&tokens(token)?),
            }
            rest = &after[token.len_utf8()..];
        } else {
            out.push('$');
            rest = &special[1..];
        }
        within_bounds(&out)?;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemorySource;

    fn source() -> MemorySource {
        MemorySource::new("alice", "/home/alice").variable("DIR", "/d").host_name("pc.example.com")
    }

    fn facts(source: &dyn Source) -> Facts {
        Facts {
            host: "web.example.com".to_owned(),
            port: 2222,
            user: "bob".to_owned(),
            ..Facts::gather("web", source)
        }
    }

    fn expanded(text: &str) -> Result<String, String> {
        path(text, &facts(&source()), &source())
    }

    #[test]
    fn every_token_of_a_path() {
        assert_eq!(
            expanded("%%.%d.%h.%i.%j.%k.%L.%l.%n.%p.%r.%u").unwrap(),
            "%./home/alice.web.example.com.1000..web.pc.pc.example.com.web.2222.bob.alice"
        );
        // printf 'pc.example.comweb.example.com2222bob' | sha1sum
        assert_eq!(expanded("%C").unwrap(), "038db01cae46f5c427f50ed45679084c91715a39");
    }

    #[test]
    fn homes_and_environment() {
        assert_eq!(expanded("~/.ssh/id").unwrap(), "/home/alice/.ssh/id");
        assert_eq!(expanded("~//x").unwrap(), "/home/alice/x");
        assert_eq!(expanded("~alice/x").unwrap(), "/home/alice/x");
        assert_eq!(expanded("a~/x").unwrap(), "a~/x");
        assert_eq!(expanded("${DIR}/x$DIR$").unwrap(), "/d/x$DIR$");
        assert_eq!(environment("a${DIR}%h$", &source()).unwrap(), "a/d%h$");
    }

    #[test]
    fn what_cannot_be_expanded_is_said() {
        for (text, said) in [
            ("%z", "%z has no meaning here"),
            ("a%", "percent sign at the end"),
            ("${NONE}", "\"NONE\" is not set"),
            ("${DIR", "not closed"),
            ("~nobody/x", "\"nobody\" is not known"),
            ("%é", "%é has no meaning here"),
        ] {
            let error = expanded(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn a_value_is_not_expanded_again() {
        let source = source().variable("X", "%h${X}");
        let expansion = Expansion::value(ALL_TOKENS, &source);
        assert_eq!(text_of("${X}", &facts(&source), expansion).unwrap(), "%h${X}");
    }

    #[test]
    fn names_that_a_shell_would_read_stay_out_of_commands() {
        let source = source();
        let command = |text: &str, facts: &Facts| text_of(text, facts, Expansion::command(ALL_TOKENS));
        let usual = facts(&source);
        assert_eq!(command("nc %h %p # %r$X", &usual).unwrap(), "nc web.example.com 2222 # bob$X");
        for user in ["a;id", "$(id)`", "-l", "a\nb", "a|b"] {
            let facts = Facts { user: user.to_owned(), ..usual.clone() };
            assert!(command("%r", &facts).unwrap_err().contains("must not get into a command"), "{user}");
            assert_eq!(command("%h", &facts).unwrap(), "web.example.com");
        }
        let facts = Facts { key_alias: "a;b".to_owned(), jump_host: "-x".to_owned(), ..usual };
        assert!(command("%k", &facts).is_err() && command("%j", &facts).is_err());
    }

    #[test]
    fn names_that_the_command_processor_of_windows_would_read_stay_out_of_commands() {
        for (token, text, harmless) in [
            ('r', "bob", true),
            ('r', "%PATH%", false),
            ('r', "a^b", false),
            ('r', "a!b", false),
            ('h', "web.example.com", true),
            ('h', "fe80::1%12", true),
            ('h', "fe80::1%PATH%", false),
            ('h', "web%PATH%", false),
            ('n', "%PATH%", false),
            ('k', "a^b", false),
            ('j', "%PATH%", false),
            ('d', "C:\\100%", true),
        ] {
            assert_eq!(means_nothing_to_cmd(token, text), harmless, "%{token} {text}");
        }
        let source = source();
        let facts = Facts { user: "%PATH%".to_owned(), ..facts(&source) };
        let expanded = text_of("nc %r", &facts, Expansion::command(ALL_TOKENS));
        assert_eq!(expanded.is_err(), cfg!(windows), "{expanded:?}");
        assert!(text_of("%r", &facts, Expansion::value(ALL_TOKENS, &source)).is_ok());
    }
}
