//! From the name that is written to the one that is connected to: addresses in their usual form, short names
//! completed by CanonicalDomains, aliases of the name service followed where CanonicalizePermittedCNAMEs permits it.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::options::Options;
use crate::value::jump::is_domain;
use crate::{
    AddressFamily, CanonicalizeHostname, ConfigError, ConfigErrorKind, FoundHost, Keyword, Origin, Source,
    Warning,
};

pub(crate) struct Names<'a> {
    pub(crate) options: &'a Options,
    pub(crate) source: &'a dyn Source,
    /// What the name service could not tell.
    pub(crate) warnings: Vec<Warning>,
}

/// What canonicalisation made of a name.
enum Outcome {
    /// It was found, under this name.
    Found(String),
    /// It was left alone.
    Left(String),
}

impl Names<'_> {
    /// The name to connect to.
    pub(crate) fn settle(&mut self, name: String) -> Result<String, ConfigError> {
        if looks_like_address(&name) || ipv4(&name).is_some() {
            return Ok(canonical_address(&name, self.family()).unwrap_or(name));
        }
        let name = name.to_ascii_lowercase();
        // A name that a proxy looks up means there what it means there.
        let asked = match self.options.canonicalize_hostname.unwrap_or(CanonicalizeHostname::No) {
            CanonicalizeHostname::No => false,
            CanonicalizeHostname::Yes => self.options.is_direct(),
            CanonicalizeHostname::Always => true,
        };
        if !asked {
            return Ok(name);
        }
        match self.complete(name)? {
            Outcome::Found(name) => Ok(name),
            Outcome::Left(name) => self.follow(name),
        }
    }

    /// Looks the name up in each of the domains.
    fn complete(&mut self, name: String) -> Result<Outcome, ConfigError> {
        if name.ends_with('.') {
            return match self.look_up(&name) {
                Some(found) => Ok(Outcome::Found(self.permitted(name.trim_end_matches('.'), &found))),
                None => self.not_found(name),
            };
        }
        let dots = name.bytes().filter(|b| *b == b'.').count();
        let most = self.options.canonicalize_max_dots.unwrap_or(1);
        if u32::try_from(dots).is_ok_and(|dots| dots > most) {
            return Ok(Outcome::Left(name));
        }
        for domain in self.options.canonical_domains.as_deref().unwrap_or_default() {
            if domain == "none" {
                break;
            }
            let whole = format!("{name}.{domain}");
            if let Some(found) = self.look_up(&format!("{whole}.")) {
                return Ok(Outcome::Found(self.permitted(&whole, &found)));
            }
        }
        self.not_found(name)
    }

    fn not_found(&self, name: String) -> Result<Outcome, ConfigError> {
        if self.options.canonicalize_fallback_local.unwrap_or(true) {
            return Ok(Outcome::Left(name));
        }
        let message = format!(
            "{name:?} is in none of the CanonicalDomains, and CanonicalizeFallbackLocal forbids to look elsewhere"
        );
        Err(ConfigError::new(ConfigErrorKind::InvalidName, message)
            .at(&self.origin(Keyword::CanonicalizeHostname)))
    }

    /// An alias of the name service, for a name that was not completed.
    fn follow(&mut self, name: String) -> Result<String, ConfigError> {
        if self.options.canonicalize_permitted_cnames.as_ref().is_none_or(Vec::is_empty) {
            return Ok(name);
        }
        match self.look_up(&name) {
            Some(found) => Ok(self.permitted(&name, &found)),
            // Only the proxy may know it.
            None if !self.options.is_direct() => Ok(name),
            None => {
                let message =
                    format!("the name service does not know {name:?}; check the name and the network");
                Err(ConfigError::new(ConfigErrorKind::Outside, message)
                    .at(&self.origin(Keyword::CanonicalizeHostname)))
            }
        }
    }

    /// The canonical name where a rule leads from this one to it; this one otherwise.
    fn permitted(&mut self, name: &str, found: &FoundHost) -> String {
        let canonical = found.canonical().map(|canonical| canonical.strip_suffix('.').unwrap_or(canonical));
        let rules = self.options.canonicalize_permitted_cnames.as_deref().unwrap_or_default();
        if found.has_unknown_aliases() && !rules.is_empty() {
            let message =
                "this system's resolver does not tell which names are aliases, so that none is followed";
            let keyword = Keyword::CanonicalizePermittedCnames;
            self.warnings.push(Warning::new(self.origin(keyword), keyword.name(), message).notice());
        }
        match canonical.filter(|canonical| is_domain(canonical)) {
            Some(canonical) if rules.iter().any(|rule| rule.permits(name, canonical)) => {
                canonical.to_ascii_lowercase()
            }
            _ => name.to_owned(),
        }
    }

    /// As ssh, a name service that cannot tell has not found it; but that is said.
    fn look_up(&mut self, name: &str) -> Option<FoundHost> {
        match self.source.look_up(name, self.family()) {
            Ok(found) => found,
            Err(error) => {
                let message = format!("{name} could not be looked up: {error}");
                let warning = Warning::new(
                    self.origin(Keyword::CanonicalizeHostname),
                    Keyword::CanonicalizeHostname.name(),
                    message,
                );
                self.warnings.push(warning.notice());
                None
            }
        }
    }

    fn family(&self) -> AddressFamily {
        self.options.address_family.unwrap_or(AddressFamily::Any)
    }

    fn origin(&self, keyword: Keyword) -> Origin {
        let mark = self.options.marks.get(&keyword);
        mark.map_or(Origin::Default, |mark| mark.origin.clone())
    }
}

fn looks_like_address(name: &str) -> bool {
    name.contains(['%', ':']) || name.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// The address in its usual form: without zeros that say nothing (RFC 5952), and IPv4 in four decimal numbers.
fn canonical_address(name: &str, family: AddressFamily) -> Option<String> {
    if let Some(address) = ipv4(name) {
        return (family != AddressFamily::Inet6).then(|| address.to_string());
    }
    let (address, scope) = match name.split_once('%') {
        Some((address, scope)) => (address, Some(scope)),
        None => (name, None),
    };
    let address: Ipv6Addr = address.parse().ok().filter(|_| family != AddressFamily::Inet)?;
    let text = match scope {
        Some(scope) => format!("{address}%{scope}"),
        None => address.to_string(),
    };
    // What differs in case alone is left as it was written.
    (!text.eq_ignore_ascii_case(name)).then_some(text)
}

/// An IPv4 address in the forms that systems have always taken: one to four numbers, of which the last fills what
/// is left, in decimal, octal (`0`) or hexadecimal (`0x`).
fn ipv4(name: &str) -> Option<Ipv4Addr> {
    let mut numbers = [0u32; 4];
    let mut count = 0;
    for part in name.split('.') {
        let digits = part.strip_prefix("0x").or_else(|| part.strip_prefix("0X"));
        let (digits, radix) = match digits {
            Some(digits) => (digits, 16),
            None if part.len() > 1 && part.starts_with('0') => (&part[1..], 8),
            None => (part, 10),
        };
        if digits.starts_with('+') {
            return None;
        }
        *numbers.get_mut(count)? = u32::from_str_radix(digits, radix).ok()?;
        count += 1;
    }
    let (last, bytes) = numbers.get(..count)?.split_last()?;
    let mut address = 0u32;
    for byte in bytes {
        address = (address << 8) | u32::from(u8::try_from(*byte).ok()?);
    }
    let room = 32 - 8 * u32::try_from(bytes.len()).ok()?;
    if room < 32 && *last >> room != 0 {
        return None;
    }
    address = address.checked_shl(room).unwrap_or(0) | last;
    Some(Ipv4Addr::from(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_form() {
        let canonical = |name| canonical_address(name, AddressFamily::Any);
        for (name, expected) in [
            ("127.1", Some("127.0.0.1")),
            ("0x7f.0.0.1", Some("127.0.0.1")),
            ("010.0.0.1", Some("8.0.0.1")),
            ("2130706433", Some("127.0.0.1")),
            ("1.2.3.4", Some("1.2.3.4")),
            ("::0001", Some("::1")),
            ("FE80::0:1%eth0", Some("fe80::1%eth0")),
            ("::1", None),
            ("2001:DB8::1", None),
            ("1.2.3.4.5", None),
            ("256.0.0.1", None),
            ("1.2.3.256", None),
            ("1..2", None),
            ("web", None),
            ("", None),
        ] {
            assert_eq!(canonical(name).as_deref(), expected, "{name}");
        }
        assert_eq!(canonical_address("::0001", AddressFamily::Inet), None);
        assert_eq!(canonical_address("127.1", AddressFamily::Inet6), None);
    }
}
