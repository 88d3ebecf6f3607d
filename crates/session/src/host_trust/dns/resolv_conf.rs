//! `resolv.conf(5)`, as far as it concerns one question: which servers, how long, and whether their word counts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::DnsResolver;

const PORT: u16 = 53;
/// The C library's own limits.
const MOST_SERVERS: usize = 3;
const DEFAULT_TIMEOUT: u64 = 5;
const LONGEST_TIMEOUT: u64 = 30;
const DEFAULT_ATTEMPTS: u32 = 2;
const MOST_ATTEMPTS: u32 = 5;

pub(super) fn parse(text: &str) -> DnsResolver {
    let mut resolver = DnsResolver {
        nameservers: Vec::new(),
        timeout: Duration::from_secs(DEFAULT_TIMEOUT),
        attempts: DEFAULT_ATTEMPTS,
        trusts_ad: false,
    };
    let mut names_a_server = false;
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        // A keyword stands at the beginning of its line; `;` and `#` begin comments there.
        if line.starts_with(|first: char| first.is_ascii_whitespace()) {
            continue;
        }
        match words.next() {
            Some("nameserver") => {
                names_a_server = true;
                match words.next().and_then(server) {
                    Some(server) if resolver.nameservers.len() < MOST_SERVERS => {
                        resolver.nameservers.push(server);
                    }
                    Some(_) => {}
                    None => tracing::debug!(line, "a DNS server of resolv.conf is passed over"),
                }
            }
            Some("options") => words.for_each(|option| set(&mut resolver, option)),
            _ => {}
        }
    }
    // Not where lines name others: `trust-ad` is the administrator's word for those.
    if !names_a_server {
        resolver.nameservers.push(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT));
    }
    resolver
}

/// An address; one with a scope only where that is a number (`fe80::1%2`). The number of `eth0` is the system's to know.
fn server(address: &str) -> Option<SocketAddr> {
    let plain = || address.parse().map(|address: IpAddr| SocketAddr::new(address, PORT));
    plain().or_else(|_| format!("[{address}]:{PORT}").parse()).ok()
}

fn set(resolver: &mut DnsResolver, option: &str) {
    if option == "trust-ad" {
        resolver.trusts_ad = true;
    } else if let Some(Ok(seconds)) = option.strip_prefix("timeout:").map(str::parse::<u64>) {
        resolver.timeout = Duration::from_secs(seconds.clamp(1, LONGEST_TIMEOUT));
    } else if let Some(Ok(attempts)) = option.strip_prefix("attempts:").map(str::parse::<u32>) {
        resolver.attempts = attempts.clamp(1, MOST_ATTEMPTS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_options_are_read_as_the_c_library_reads_them() {
        let text = "# nameserver 192.0.2.9\n; options trust-ad\nsearch example.com\nnameserver 192.0.2.1\n\
                    nameserver\t2001:db8::1 # first\n nameserver 192.0.2.7\nnameserver nonsense\nnameserver fe80::1%eth0\n\
                    nameserver 192.0.2.2\nnameserver 192.0.2.3\noptions ndots:3 timeout:7\noptions attempts:99 edns0\n";
        let resolver = parse(text);
        let servers: Vec<String> = resolver.nameservers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.2:53"]);
        assert_eq!((resolver.timeout, resolver.attempts), (Duration::from_secs(7), 5));
        assert!(!resolver.trusts_ad, "a comment sets nothing");
        assert!(parse("options trust-ad").trusts_ad);
        assert!(!parse("options no-trust-ad trust-add").trusts_ad);
    }

    #[test]
    fn no_other_server_is_believed_than_those_that_are_named() {
        for unusable in ["fe80::1%eth0", "nonsense", "", "[::1]", "1.2.3.4:53", "::1]:53#"] {
            let resolver = parse(&format!("nameserver {unusable}\noptions trust-ad\n"));
            assert_eq!(resolver.nameservers, [], "{unusable}");
        }
        let scoped = parse("nameserver fe80::1%2\n").nameservers;
        assert_eq!(scoped, ["[fe80::1%2]:53".parse().unwrap()]);
    }

    #[test]
    fn an_empty_file_means_the_server_of_this_machine() {
        let resolver = parse("");
        assert_eq!(resolver.nameservers, ["127.0.0.1:53".parse().unwrap()]);
        assert_eq!((resolver.timeout, resolver.attempts), (Duration::from_secs(5), 2));
    }
}
