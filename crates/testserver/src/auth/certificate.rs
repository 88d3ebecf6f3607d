//! What a user certificate allows (OpenSSH's PROTOCOL.certkeys): whom it lets in, from where, and to do what.

use std::net::{IpAddr, Ipv4Addr};

use russh::keys::Certificate;

use crate::user::Account;

/// What someone who came with a certificate must leave alone. Nothing, for all others.
#[derive(Debug, Clone, Default)]
pub(crate) struct Restrictions {
    force_command: Option<String>,
    denied: Vec<Permit>,
}

/// What a certificate allows by an extension, and forbids by having none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permit {
    Pty,
    PortForwarding,
    AgentForwarding,
    X11Forwarding,
}

const PERMITS: [(Permit, &str); 4] = [
    (Permit::Pty, "permit-pty"),
    (Permit::PortForwarding, "permit-port-forwarding"),
    (Permit::AgentForwarding, "permit-agent-forwarding"),
    (Permit::X11Forwarding, "permit-X11-forwarding"),
];

/// Where every client is: the server listens nowhere else. Those in memory count as if they were there too.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl Restrictions {
    pub(crate) fn permits(&self, what: Permit) -> bool {
        !self.denied.contains(&what)
    }

    /// What runs instead of whatever is asked for.
    pub(crate) fn force_command(&self) -> Option<&str> {
        self.force_command.as_deref()
    }
}

/// The base has checked the certificate's own signature and its dates; this checks who signed it, for whom and as what,
/// and reads its options.
pub(crate) fn admit(account: &Account, certificate: &Certificate) -> Option<Restrictions> {
    let trusted = certificate.cert_type().is_user()
        && account.settings.authorities.iter().any(|authority| authority.key_data() == certificate.signature_key())
        // PROTOCOL.certkeys: no principals at all means any; sshd asks for one by default, and so does this.
        && certificate.valid_principals().contains(&account.settings.name);
    if !trusted {
        return None;
    }
    let mut force_command = None;
    for (name, value) in certificate.critical_options().iter() {
        match name.as_str() {
            "force-command" => force_command = Some(value.clone()),
            "source-address" if is_listed(CLIENT, value) => {}
            // PROTOCOL.certkeys: an option that is not understood refuses the certificate.
            _ => return None,
        }
    }
    let extensions = certificate.extensions();
    let denied = PERMITS.iter().filter(|(_, name)| !extensions.contains_key(*name));
    Some(Restrictions { force_command, denied: denied.map(|(permit, _)| *permit).collect() })
}

/// Whether an address is in a list such as `10.0.0.0/8,127.0.0.1`. One entry that makes no sense spoils the list.
fn is_listed(address: IpAddr, list: &str) -> bool {
    let matched: Option<Vec<bool>> = list.split(',').map(|entry| is_within(address, entry)).collect();
    matched.is_some_and(|matched| matched.contains(&true))
}

fn is_within(address: IpAddr, entry: &str) -> Option<bool> {
    let (network, length) = match entry.split_once('/') {
        Some((network, length)) => (network, Some(length.parse::<u32>().ok()?)),
        None => (entry, None),
    };
    let (address, network, bits) = match (address, network.parse().ok()?) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (u128::from(u32::from(address)), u128::from(u32::from(network)), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (u128::from(address), u128::from(network), 128),
        (_, IpAddr::V4(_)) => return (length.unwrap_or(32) <= 32).then_some(false),
        (_, IpAddr::V6(_)) => return (length.unwrap_or(128) <= 128).then_some(false),
    };
    let host_bits = u32::checked_sub(bits, length.unwrap_or(bits))?;
    // All bits are the host's: every address is in the network.
    let prefix = |value: u128| value.checked_shr(host_bits).unwrap_or(0);
    Some(prefix(address) == prefix(network))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_found_in_lists_of_networks() {
        let listed = |list| is_listed(CLIENT, list);
        assert!(listed("127.0.0.1"));
        assert!(listed("10.0.0.0/8,127.0.0.0/8"));
        assert!(listed("::1/128,127.0.0.1/32"));
        assert!(listed("0.0.0.0/0"));
        assert!(!listed("10.0.0.0/8,::/0"));
        assert!(!listed("127.0.0.0/32"));
        for nonsense in ["", "127.0.0.1,", "127.0.0.1/33", "127.0.0.1,::1/129", "localhost", "127.0.0.1/x"] {
            assert!(!listed(nonsense), "{nonsense}");
        }
        assert!(is_listed("fe80::1".parse().unwrap(), "fe80::/10"));
        assert!(is_listed("fe80::1".parse().unwrap(), "::/0"));
    }
}
