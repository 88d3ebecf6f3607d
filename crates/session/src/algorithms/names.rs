//! The names themselves: what is implemented, what of it is offered by default, what only others have.

/// The last part of every certificate algorithm's name (OpenSSH PROTOCOL.certkeys).
const CERTIFICATE_SUFFIX: &str = "-cert-v01@openssh.com";

/// The AEAD that leads where the processor has no AES.
pub(super) const CHACHA20_POLY1305: &str = "chacha20-poly1305@openssh.com";

/// One of the four lists of names that a person can choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Key exchange methods.
    Kex,
    /// Host key algorithms.
    HostKey,
    /// Ciphers.
    Cipher,
    /// Message authentication codes.
    Mac,
}

impl Family {
    /// The option of ssh_config(5) that sets this list.
    pub(crate) fn option(self) -> &'static str {
        match self {
            Self::Kex => "KexAlgorithms",
            Self::HostKey => "HostKeyAlgorithms",
            Self::Cipher => "Ciphers",
            Self::Mac => "MACs",
        }
    }

    /// What the list is called in a sentence.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Kex => "key exchange method",
            Self::HostKey => "host key algorithm",
            Self::Cipher => "cipher",
            Self::Mac => "message authentication code",
        }
    }

    /// Everything that is implemented: what is offered by default, then what has to be asked for.
    pub(crate) fn supported(self) -> Vec<&'static str> {
        [self.sound(), self.weak()].concat()
    }

    /// Whether the name is implemented, but only offered when asked for.
    pub(crate) fn is_weak(self, name: &str) -> bool {
        self.weak().contains(&name)
    }

    /// What is offered when nothing is asked for.
    pub(super) fn defaults(self) -> Vec<&'static str> {
        self.sound().to_vec()
    }

    /// The offered names that a pattern matches, in order of preference.
    pub(super) fn matching(self, pattern: &str) -> Vec<&'static str> {
        self.supported().into_iter().filter(|name| matches(pattern, name)).collect()
    }

    /// Whether the pattern matches a name of OpenSSH's that this engine does not offer.
    pub(super) fn is_foreign(self, pattern: &str) -> bool {
        self.foreign().iter().any(|name| matches(pattern, name))
    }

    fn sound(self) -> &'static [&'static str] {
        match self {
            // Finite-field groups come last: hundreds of times the work of a curve for the same strength.
            Self::Kex => &[
                "mlkem768x25519-sha256",
                "curve25519-sha256",
                "curve25519-sha256@libssh.org",
                "ecdh-sha2-nistp256",
                "ecdh-sha2-nistp384",
                "ecdh-sha2-nistp521",
                "diffie-hellman-group-exchange-sha256",
                "diffie-hellman-group16-sha512",
                "diffie-hellman-group18-sha512",
                "diffie-hellman-group14-sha256",
            ],
            Self::HostKey => &[
                "ssh-ed25519-cert-v01@openssh.com",
                "ecdsa-sha2-nistp256-cert-v01@openssh.com",
                "ecdsa-sha2-nistp384-cert-v01@openssh.com",
                "ecdsa-sha2-nistp521-cert-v01@openssh.com",
                "rsa-sha2-512-cert-v01@openssh.com",
                "rsa-sha2-256-cert-v01@openssh.com",
                "ssh-ed25519",
                "ecdsa-sha2-nistp256",
                "ecdsa-sha2-nistp384",
                "ecdsa-sha2-nistp521",
                "rsa-sha2-512",
                "rsa-sha2-256",
            ],
            // 256 before 128 bits: with AES in hardware both outrun the network, and the longer key
            // keeps the margin that the hybrid key exchange is there for.
            Self::Cipher => &[
                "aes256-gcm@openssh.com",
                "aes128-gcm@openssh.com",
                CHACHA20_POLY1305,
                "aes256-ctr",
                "aes192-ctr",
                "aes128-ctr",
            ],
            // SHA-256 first, as OpenSSH has it: processors have instructions for it, few for SHA-512.
            Self::Mac => &[
                "hmac-sha2-256-etm@openssh.com",
                "hmac-sha2-512-etm@openssh.com",
                "hmac-sha2-256",
                "hmac-sha2-512",
            ],
        }
    }

    /// Broken or near it; for old servers, by explicit name.
    fn weak(self) -> &'static [&'static str] {
        match self {
            Self::Kex => &[
                "diffie-hellman-group14-sha1",
                "diffie-hellman-group-exchange-sha1",
                "diffie-hellman-group1-sha1",
            ],
            Self::HostKey => &["ssh-rsa-cert-v01@openssh.com", "ssh-rsa"],
            Self::Cipher => &["aes256-cbc", "aes192-cbc", "aes128-cbc"],
            Self::Mac => &["hmac-sha1-etm@openssh.com", "hmac-sha1"],
        }
    }

    /// Names that `ssh -Q` prints, or printed in a version still in use, and that this engine does not offer.
    fn foreign(self) -> &'static [&'static str] {
        match self {
            Self::Kex => &[
                "sntrup761x25519-sha512",
                "sntrup761x25519-sha512@openssh.com",
                "sntrup4591761x25519-sha512@tinyssh.org",
            ],
            Self::HostKey => &[
                "sk-ssh-ed25519@openssh.com",
                "sk-ssh-ed25519-cert-v01@openssh.com",
                "sk-ecdsa-sha2-nistp256@openssh.com",
                "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
                "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
                "ssh-dss",
                "ssh-dss-cert-v01@openssh.com",
            ],
            Self::Cipher => &[
                "3des-cbc",
                "rijndael-cbc@lysator.liu.se",
                "blowfish-cbc",
                "cast128-cbc",
                "arcfour",
                "arcfour128",
                "arcfour256",
            ],
            Self::Mac => &[
                "umac-64-etm@openssh.com",
                "umac-128-etm@openssh.com",
                "umac-64@openssh.com",
                "umac-128@openssh.com",
                "hmac-sha1-96",
                "hmac-sha1-96-etm@openssh.com",
                "hmac-md5",
                "hmac-md5-96",
                "hmac-md5-etm@openssh.com",
                "hmac-md5-96-etm@openssh.com",
                "hmac-ripemd160",
                "hmac-ripemd160@openssh.com",
                "hmac-ripemd160-etm@openssh.com",
            ],
        }
    }
}

/// Whether this host key algorithm stands for a certificate.
pub(crate) fn is_certificate(name: &str) -> bool {
    name.ends_with(CERTIFICATE_SUFFIX)
}

/// The name without what makes it a certificate's.
pub(crate) fn plain_name(name: &str) -> &str {
    name.strip_suffix(CERTIFICATE_SUFFIX).unwrap_or(name)
}

/// Matches `*` (any run) and `?` (any one), as OpenSSH's lists do.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where to go on after a mismatch: behind the last star, one byte of the name further.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, n + 1));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match retry {
                Some((behind_star, next)) => {
                    (p, n) = (behind_star, next);
                    retry = Some((behind_star, next + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_file_names() {
        for (pattern, name) in
            [("*", "a"), ("a*c", "abc"), ("a*c", "abcbc"), ("a??", "abc"), ("*b*", "abc"), ("abc**", "abc")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("", "a"), ("a", "ab"), ("a*d", "abc"), ("????", "abc"), ("*ab", "abc")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn no_name_is_in_two_lists() {
        for family in [Family::Kex, Family::HostKey, Family::Cipher, Family::Mac] {
            let mut names = [family.sound(), family.weak(), family.foreign()].concat();
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "{family:?}");
        }
    }
}
