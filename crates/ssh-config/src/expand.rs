//! Tokens (`%h`), environment variables (`${NAME}`) and `~`. Errors are the middle of a sentence.

use sha1::{Digest, Sha1};

use crate::Source;

/// The tokens of a path: what IdentityFile, CertificateFile, IdentityAgent, UserKnownHostsFile, Include and
/// SetEnv accept.
pub(crate) const PATH_TOKENS: &str = "CdhijkLlnpru";
/// Those of User: neither itself nor the hash that it is part of.
pub(crate) const USER_TOKENS: &str = "dhijkLlnpu";
/// Those of HostName.
pub(crate) const HOST_TOKENS: &str = "h";

/// What tokens stand for.
pub(crate) struct Facts<'a> {
    pub(crate) source: &'a dyn Source,
    /// The host as the user named it.
    pub(crate) alias: &'a str,
    /// The host to connect to.
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) user: &'a str,
    pub(crate) host_key_alias: Option<&'a str>,
}

impl Facts<'_> {
    fn token(&self, token: char) -> Result<String, String> {
        Ok(match token {
            'h' => self.host.to_owned(),
            'n' => self.alias.to_owned(),
            'k' => self.host_key_alias.unwrap_or(self.alias).to_owned(),
            'p' => self.port.to_string(),
            'r' => self.user.to_owned(),
            // No jump host: one that is asked for is refused.
            'j' => String::new(),
            'u' => self.source.user().ok_or("the local user's name is not known")?,
            'i' => self.source.user_id().ok_or("this system has no numbers for users (%i)")?.to_string(),
            'd' => self.source.home(None).ok_or("the home directory is not known: set HOME")?,
            'l' => self.local_host()?,
            'L' => self.local_host()?.split('.').next().unwrap_or_default().to_owned(),
            'C' => self.connection_hash()?,
            other => return Err(format!("%{other} has no meaning")),
        })
    }

    fn local_host(&self) -> Result<String, String> {
        self.source.host().ok_or_else(|| "this machine's name is not known".to_owned())
    }

    fn connection_hash(&self) -> Result<String, String> {
        let mut hash = Sha1::new();
        for part in [&self.local_host()?, self.host, &self.port.to_string(), self.user] {
            hash.update(part.as_bytes());
        }
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// Expands tokens of `allowed`, and `${NAME}` too.
pub(crate) fn tokens_and_env(text: &str, allowed: &str, facts: &Facts<'_>) -> Result<String, String> {
    expand(text, allowed, facts, Some(facts.source))
}

/// Expands HostName, which knows `%h` and no environment.
pub(crate) fn host_name(text: &str, alias: &str, source: &dyn Source) -> Result<String, String> {
    let facts = Facts { source, alias, host: alias, port: 0, user: "", host_key_alias: None };
    expand(text, HOST_TOKENS, &facts, None)
}

/// Expands a path: `~`, then tokens and environment.
pub(crate) fn path(text: &str, facts: &Facts<'_>) -> Result<String, String> {
    tokens_and_env(&tilde(text, facts.source)?, PATH_TOKENS, facts)
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

/// An expansion longer than this is refused: no path, name or value comes near it.
const LONGEST: usize = 64 * 1024;

fn expand(text: &str, allowed: &str, facts: &Facts<'_>, env: Option<&dyn Source>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['%', '$']) {
        out.push_str(&rest[..at]);
        let special = &rest[at..];
        if let (Some(source), Some(name)) = (env, special.strip_prefix("${")) {
            let end = name.find('}').ok_or("\"${\" is not closed")?;
            let value = source.env(&name[..end]);
            out.push_str(
                &value.ok_or_else(|| format!("the environment variable {:?} is not set", &name[..end]))?,
            );
            rest = &name[end + 1..];
        } else if let Some(after) = special.strip_prefix('%') {
            let token = after.chars().next().ok_or("a percent sign at the end: write %% for one")?;
            match token {
                '%' => out.push('%'),
                token if allowed.contains(token) => out.push_str(&facts.token(token)?),
                token => return Err(format!("%{token} has no meaning here: write %% for a percent sign")),
            }
            rest = &after[token.len_utf8()..];
        } else {
            out.push('$');
            rest = &special[1..];
        }
        if out.len() > LONGEST {
            return Err(format!("it expands to more than {LONGEST} bytes"));
        }
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemorySource;

    fn expanded(text: &str) -> Result<String, String> {
        let source =
            MemorySource::new("alice", "/home/alice").variable("DIR", "/d").host_name("pc.example.com");
        let facts = Facts {
            source: &source,
            alias: "web",
            host: "web.example.com",
            port: 2222,
            user: "bob",
            host_key_alias: None,
        };
        path(text, &facts)
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
        let source = MemorySource::new("a", "/h").variable("X", "%h${X}");
        let facts =
            Facts { source: &source, alias: "n", host: "h", port: 1, user: "u", host_key_alias: None };
        assert_eq!(tokens_and_env("${X}", PATH_TOKENS, &facts).unwrap(), "%h${X}");
    }
}
