//! DNS messages (RFC 1035 section 4), as far as one question for SSHFP records needs them.

use rustle_trust::SshfpRecord;

const SSHFP: u16 = 44;
const CNAME: u16 = 5;
const OPT: u16 = 41;
const IN: u16 = 1;

const RESPONSE: u16 = 0x8000;
const OPCODE: u16 = 0x7800;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const AUTHENTIC: u16 = 0x0020;
const RCODE: u16 = 0x000f;
const NO_SUCH_NAME: u16 = 3;

/// What is taken over UDP (the size that DNS flag day 2020 settled on): it fits every link.
pub(super) const UDP_SIZE: u16 = 1232;
/// DNSSEC OK (RFC 4035 section 3.2.1): without it no server says what it has verified.
const DNSSEC_OK: u32 = 0x8000;

const LONGEST_NAME: usize = 255;
const LONGEST_LABEL: usize = 63;
/// How often a name may go on elsewhere: it has no more labels than that, so that more is somebody's way to keep the
/// reader busy.
const MOST_POINTERS: usize = 127;
/// How many aliases are followed.
const MOST_ALIASES: usize = 8;

/// A question for the SSHFP records of one name.
pub(super) struct Question {
    /// On the wire, in lower case.
    name: Vec<u8>,
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Answer(Answer),
    /// The answer is longer than a datagram.
    Truncated,
    /// It answers another question: perhaps somebody guesses.
    Foreign,
    /// It is an answer to the question, and no good.
    Broken(String),
}

/// A whole answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) records: Vec<SshfpRecord>,
    /// The AD bit (RFC 4035 section 3.2.3): the server says that it has verified the signatures.
    pub(super) is_authentic: bool,
}

impl Question {
    /// `None` for what is no name in DNS. The name is taken as absolute: nothing is searched.
    pub(super) fn sshfp(host: &str) -> Option<Self> {
        let host = host.strip_suffix('.').unwrap_or(host);
        let mut name = Vec::with_capacity(host.len() + 2);
        for label in host.split('.') {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            if label.is_empty() || label.len() > LONGEST_LABEL || !label.bytes().all(plain) {
                return None;
            }
            name.push(u8::try_from(label.len()).ok()?);
            name.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        name.push(0);
        (name.len() <= LONGEST_NAME).then_some(Self { name })
    }

    /// The message that asks it.
    pub(super) fn encode(&self, id: u16) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.name.len() + 32);
        // In a query, AD asks for the same bit in the answer (RFC 6840 section 5.7).
        for word in [id, RECURSION_DESIRED | AUTHENTIC, 1, 0, 0, 1] {
            out.extend(word.to_be_bytes());
        }
        out.extend(&self.name);
        out.extend(SSHFP.to_be_bytes());
        out.extend(IN.to_be_bytes());
        // EDNS (RFC 6891 section 6.1.2): the root's name, the size, flags, no options.
        out.push(0);
        out.extend(OPT.to_be_bytes());
        out.extend(UDP_SIZE.to_be_bytes());
        out.extend(DNSSEC_OK.to_be_bytes());
        out.extend(0u16.to_be_bytes());
        out
    }

    /// What a message says to the question that was asked under `id`.
    pub(super) fn read(&self, id: u16, message: &[u8]) -> Reply {
        let mut reader = Reader { message, at: 0 };
        let Some([its_id, flags, questions, answers, _, _]) = reader.header() else { return Reply::Foreign };
        if its_id != id || flags & RESPONSE == 0 || flags & OPCODE != 0 || questions != 1 {
            return Reply::Foreign;
        }
        let asked = (reader.name(), reader.u16(), reader.u16());
        if asked != (Some(self.name.clone()), Some(SSHFP), Some(IN)) {
            return Reply::Foreign;
        }
        if flags & TRUNCATED != 0 {
            return Reply::Truncated;
        }
        let is_authentic = flags & AUTHENTIC != 0;
        match flags & RCODE {
            0 => {}
            NO_SUCH_NAME => return Reply::Answer(Answer { records: Vec::new(), is_authentic }),
            code => return Reply::Broken(format!("the server answered with the error {code}")),
        }
        match reader.records(answers).and_then(|records| self.follow(&records)) {
            Some(records) => Reply::Answer(Answer { records, is_authentic }),
            None => Reply::Broken("its answer is damaged".to_owned()),
        }
    }

    /// The SSHFP records of the name, or of what it is an alias for; `None` where one of them is damaged.
    fn follow(&self, records: &[Record<'_>]) -> Option<Vec<SshfpRecord>> {
        let mut name = self.name.clone();
        for _ in 0..MOST_ALIASES {
            let alias = records.iter().find(|record| record.kind == CNAME && record.owner == name);
            match alias {
                Some(alias) => name = alias.target.clone()?,
                None => {
                    let own = records.iter().filter(|record| record.kind == SSHFP && record.owner == name);
                    return own.map(|record| SshfpRecord::from_rdata(record.data)).collect();
                }
            }
        }
        None
    }
}

/// A record of the answer, of the class `IN`.
struct Record<'a> {
    owner: Vec<u8>,
    kind: u16,
    data: &'a [u8],
    /// Of an alias.
    target: Option<Vec<u8>>,
}

/// Reads a message from its front.
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn header(&mut self) -> Option<[u16; 6]> {
        let mut words = [0; 6];
        for word in &mut words {
            *word = self.u16()?;
        }
        Some(words)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let taken = self.message.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// A name, which may go on further to the front (RFC 1035 section 4.1.4); in lower case.
    fn name(&mut self) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        let mut at = self.at;
        let mut end = None;
        let mut pointers = 0;
        loop {
            let length = usize::from(*self.message.get(at)?);
            match length >> 6 {
                0 => {
                    let label = self.message.get(at..at.checked_add(1 + length)?)?;
                    name.extend(label.iter().map(u8::to_ascii_lowercase));
                    if name.len() > LONGEST_NAME {
                        return None;
                    }
                    at += 1 + length;
                    if length == 0 {
                        self.at = end.unwrap_or(at);
                        return Some(name);
                    }
                }
                3 => {
                    let low = usize::from(*self.message.get(at + 1)?);
                    end.get_or_insert(at + 2);
                    let target = (length & 0x3f) << 8 | low;
                    pointers += 1;
                    // It ends because a name has an end in bytes and in pointers. RFC 1035 lets them lead to the front alone.
                    at = if target < at && pointers <= MOST_POINTERS { target } else { return None };
                }
                _ => return None,
            }
        }
    }

    /// So many records, those of other classes left out; `None` where one is damaged.
    fn records(&mut self, count: u16) -> Option<Vec<Record<'a>>> {
        let mut records = Vec::new();
        for _ in 0..count {
            let owner = self.name()?;
            let (kind, class) = (self.u16()?, self.u16()?);
            let _time_to_live = self.take(4)?;
            let length = usize::from(self.u16()?);
            let start = self.at;
            let data = self.take(length)?;
            let target = match kind {
                CNAME => {
                    let mut inner = Reader { message: self.message, at: start };
                    let target = inner.name()?;
                    (inner.at == self.at).then_some(target)
                }
                _ => None,
            };
            if class == IN {
                records.push(Record { owner, kind, data, target });
            }
        }
        Some(records)
    }
}

#[cfg(test)]
mod tests;
