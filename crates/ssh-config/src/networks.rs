//! Lists of networks in CIDR notation (RFC 4632, RFC 4291 section 2.3), for `Match localnetwork`.

use std::net::IpAddr;

/// A list of networks.
#[derive(Debug)]
pub(crate) struct Networks(Vec<(IpAddr, u8)>);

impl Networks {
    /// Addresses, each with or without the length of its mask, separated by commas. Bits behind the mask have to be
    /// zero: a network with others is a mistake of some kind.
    pub(crate) fn parse(text: &str) -> Result<Networks, String> {
        let networks: Result<Vec<_>, String> = text.split(',').map(network).collect();
        networks.map(Networks)
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|(network, length)| match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(*length)).unwrap_or(0);
                u32::from(address) & mask == u32::from(*network)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(*length)).unwrap_or(0);
                u128::from(address) & mask == u128::from(*network)
            }
            _ => false,
        })
    }
}

fn network(text: &str) -> Result<(IpAddr, u8), String> {
    let bad = || format!("{text:?} is no network such as 10.0.0.0/8 or 2001:db8::/32");
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| bad())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = match length {
        None => most,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| bad())?,
        Some(_) => return Err(bad()),
    };
    if length > most {
        return Err(bad());
    }
    if !Networks(vec![(address, length)]).contains(address) {
        return Err(format!("{text:?} has bits that its mask of {length} leaves out"));
    }
    Ok((address, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_and_out() {
        let networks = Networks::parse("10.0.0.0/8,192.0.2.1,2001:db8::/32,::/128").unwrap();
        for (address, expected) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("2001:db8:1::1", true),
            ("2001:db9::", false),
            ("::", true),
            ("::1", false),
        ] {
            assert_eq!(networks.contains(address.parse().unwrap()), expected, "{address}");
        }
        let all = Networks::parse("0.0.0.0/0").unwrap();
        assert!(all.contains("1.2.3.4".parse().unwrap()) && !all.contains("::1".parse().unwrap()));
        assert!(Networks::parse("::/0").unwrap().contains("::1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network() {
        for bad in ["", "x", "10.0.0.0/33", "10.0.0.1/8", "::1/64", "10.0.0.0/8,", "10.0.0.0/+8", "1.2.3/8"] {
            assert!(Networks::parse(bad).is_err(), "{bad}");
        }
    }
}
