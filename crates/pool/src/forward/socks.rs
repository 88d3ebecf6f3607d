//! SOCKS 4, 4a and 5 as values: what a client says comes in, what is to be done about it goes out.
//!
//! There is no authentication, since whoever reaches the port is let in by its address; and of the commands there is
//! CONNECT alone (RFC 1928 section 4), since SSH carries neither UDP nor a port that is listened on for one client.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest user id of SOCKS 4, and longest name of 4a: its protocol has no limit, a name of SOCKS 5 has this one.
const LONGEST: usize = 255;

const CONNECT: u8 = 1;

/// The two protocols, by the byte that each of their requests begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Four,
    Five,
}

/// What a client is told about its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    Granted,
    /// None of the others.
    Failed,
    NotAllowed,
    NetworkUnreachable,
    HostUnreachable,
    Refused,
    CommandUnknown,
    AddressUnknown,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// More bytes have to come.
    More,
    /// Say this, and go on.
    Answer(Vec<u8>),
    /// Connect, say what became of it, and carry what follows.
    Connect(Wanted),
    /// Say this, if it is anything, and hang up.
    Refuse { answer: Vec<u8>, why: &'static str },
}

/// Where a client wants to be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) version: Version,
    /// A name or an address, for the server to make sense of.
    pub(super) host: String,
    pub(super) port: u16,
}

/// One client's side of the conversation, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Socks {
    /// What has come and was not made sense of yet.
    bytes: Vec<u8>,
    /// Whether a client of SOCKS 5 was told the method.
    is_greeted: bool,
}

impl Version {
    /// What a client is told, with no address: it is the server's, and SSH does not tell it.
    pub(super) fn answer(self, reply: Reply) -> Vec<u8> {
        match self {
            Self::Four => {
                let code = if reply == Reply::Granted { 0x5a } else { 0x5b };
                vec![0, code, 0, 0, 0, 0, 0, 0]
            }
            // RFC 1928 section 6.
            Self::Five => {
                let code = match reply {
                    Reply::Granted => 0,
                    Reply::Failed => 1,
                    Reply::NotAllowed => 2,
                    Reply::NetworkUnreachable => 3,
                    Reply::HostUnreachable => 4,
                    Reply::Refused => 5,
                    Reply::CommandUnknown => 7,
                    Reply::AddressUnknown => 8,
                };
                vec![5, code, 0, 1, 0, 0, 0, 0, 0, 0]
            }
        }
    }

    fn refuse(self, reply: Reply, why: &'static str) -> Verdict {
        Verdict::Refuse { answer: self.answer(reply), why }
    }
}

impl Socks {
    /// Takes in what came. What is kept is bounded as long as each piece is, and a verdict is asked for after each.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// What is to be done about all that came. After [`Verdict::Connect`] and [`Verdict::Refuse`] it is over.
    pub(super) fn verdict(&mut self) -> Verdict {
        match self.bytes.first() {
            None => Verdict::More,
            Some(_) if self.is_greeted => self.five(),
            Some(4) => self.four(),
            Some(5) => self.greeting(),
            Some(_) => Verdict::Refuse { answer: Vec::new(), why: "it does not speak SOCKS" },
        }
    }

    /// What came after the request: for whom the client is connected to.
    pub(super) fn rest(self) -> Vec<u8> {
        self.bytes
    }

    /// VER, NMETHODS, METHODS (RFC 1928 section 3).
    fn greeting(&mut self) -> Verdict {
        const NO_AUTHENTICATION: u8 = 0;

        let Some(&count) = self.bytes.get(1) else { return Verdict::More };
        let end = 2 + usize::from(count);
        let Some(methods) = self.bytes.get(2..end) else { return Verdict::More };
        if !methods.contains(&NO_AUTHENTICATION) {
            return Verdict::Refuse {
                answer: vec![5, 0xff],
                why: "it wants to authenticate, and there is nobody to do it for",
            };
        }
        self.bytes.drain(..end);
        self.is_greeted = true;
        Verdict::Answer(vec![5, NO_AUTHENTICATION])
    }

    /// VER, CMD, RSV, ATYP, DST.ADDR, DST.PORT (RFC 1928 section 4).
    fn five(&mut self) -> Verdict {
        let version = Version::Five;
        let [first, ref head @ ..] = self.bytes[..] else { return Verdict::More };
        if first != 5 {
            return version.refuse(Reply::Failed, "its request is not one of SOCKS 5");
        }
        let [command, _reserved, kind, ref address @ ..] = *head else { return Verdict::More };
        let (length, address) = match kind {
            1 => (4, address),
            4 => (16, address),
            3 => match address {
                [] => return Verdict::More,
                [length, name @ ..] => (usize::from(*length), name),
            },
            _ => {
                return version
                    .refuse(Reply::AddressUnknown, "it names its target in a way that is not known");
            }
        };
        let (Some(name), Some(&[high, low])) = (address.get(..length), address.get(length..length + 2))
        else {
            return Verdict::More;
        };
        if command != CONNECT {
            return version.refuse(Reply::CommandUnknown, ONLY_CONNECT);
        }
        let host = match (kind, <[u8; 4]>::try_from(name), <[u8; 16]>::try_from(name)) {
            (1, Ok(address), _) => Some(Ipv4Addr::from(address).to_string()),
            (4, _, Ok(address)) => Some(Ipv6Addr::from(address).to_string()),
            _ => host_name(name),
        };
        let port = u16::from_be_bytes([high, low]);
        let end = self.bytes.len() - (address.len() - length - 2);
        match host {
            Some(host) => {
                self.bytes.drain(..end);
                Verdict::Connect(Wanted { version, host, port })
            }
            None => version.refuse(Reply::Failed, NO_NAME),
        }
    }

    /// VN, CD, DSTPORT, DSTIP, USERID, NULL; in 4a, behind an address of 0.0.0.x, the name and another NULL.
    fn four(&mut self) -> Verdict {
        let version = Version::Four;
        let [_, command, high, low, a, b, c, d, ref strings @ ..] = self.bytes[..] else {
            return Verdict::More;
        };
        let names_it = [a, b, c] == [0; 3] && d != 0;
        let user = match ended(strings) {
            Ended::At(end) => end,
            Ended::NotYet => return Verdict::More,
            Ended::TooLong => return version.refuse(Reply::Failed, "its user id is too long"),
        };
        let mut end = 8 + user + 1;
        let mut host = Some(Ipv4Addr::new(a, b, c, d).to_string());
        if names_it {
            let name = &self.bytes[end..];
            let length = match ended(name) {
                Ended::At(end) => end,
                Ended::NotYet => return Verdict::More,
                Ended::TooLong => return version.refuse(Reply::Failed, "the name of its target is too long"),
            };
            host = host_name(&name[..length]);
            end += length + 1;
        }
        if command != CONNECT {
            return version.refuse(Reply::CommandUnknown, ONLY_CONNECT);
        }
        match host {
            Some(host) => {
                self.bytes.drain(..end);
                Verdict::Connect(Wanted { version, host, port: u16::from_be_bytes([high, low]) })
            }
            None => version.refuse(Reply::Failed, NO_NAME),
        }
    }
}

const ONLY_CONNECT: &str = "it asks for something else than a connection, and SSH carries nothing else";
const NO_NAME: &str = "the name of its target is none";

/// Where a text ends that has a NUL behind it.
enum Ended {
    At(usize),
    NotYet,
    TooLong,
}

fn ended(text: &[u8]) -> Ended {
    match text.iter().take(LONGEST + 1).position(|byte| *byte == 0) {
        Some(end) => Ended::At(end),
        None if text.len() > LONGEST => Ended::TooLong,
        None => Ended::NotYet,
    }
}

/// A name that may be handed on: the server's resolver and both sides' logs see it.
fn host_name(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let is_fit = !name.is_empty() && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    is_fit.then(|| name.to_owned())
}

#[cfg(test)]
mod tests;
