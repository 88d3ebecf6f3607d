//! What stands in a printed line where nobody set the keyword.

use std::collections::BTreeMap;

use crate::Keyword;

/// The defaults of a program, for [`Settings::lines`](crate::Settings::lines).
///
/// [`Defaults::openssh`] are those that the documentation of OpenSSH states; a program, or another build of ssh, has
/// some of its own.
///
/// ```
/// use rustle_ssh_config::{Defaults, Keyword, MemorySource, Query, resolve};
///
/// let source = MemorySource::new("alice", "/home/alice");
/// let settings = resolve(&Query::new("web").option("Ciphers=-aes*-ctr"), &[], &source)?;
/// let defaults = Defaults::openssh().with(Keyword::ConnectTimeout, "10");
/// let defaults = defaults.with(Keyword::Ciphers, "aes256-gcm@openssh.com,aes256-ctr");
/// let lines = settings.lines(&defaults);
/// assert!(lines.contains(&"connecttimeout 10".to_owned()));
/// assert!(lines.contains(&"ciphers aes256-gcm@openssh.com".to_owned()));
/// # Ok::<(), rustle_ssh_config::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Defaults {
    values: BTreeMap<Keyword, String>,
}

/// OpenSSH 10's own, most preferred first.
const ALGORITHMS: [(Keyword, &str); 7] = [
    (
        Keyword::Ciphers,
        "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,\
         aes128-ctr,aes192-ctr,aes256-ctr",
    ),
    (Keyword::HostKeyAlgorithms, PUBLIC_KEYS),
    (Keyword::HostbasedAcceptedAlgorithms, PUBLIC_KEYS),
    (Keyword::PubkeyAcceptedAlgorithms, PUBLIC_KEYS),
    (
        Keyword::KexAlgorithms,
        "mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,curve25519-sha256,\
         curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521",
    ),
    (
        Keyword::CaSignatureAlgorithms,
        "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,sk-ssh-ed25519@openssh.com,\
         sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256",
    ),
    (
        Keyword::Macs,
        "umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,\
         hmac-sha2-512-etm@openssh.com,hmac-sha1-etm@openssh.com,umac-64@openssh.com,umac-128@openssh.com,\
         hmac-sha2-256,hmac-sha2-512,hmac-sha1",
    ),
];

const PUBLIC_KEYS: &str = "ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,\
    ecdsa-sha2-nistp384-cert-v01@openssh.com,ecdsa-sha2-nistp521-cert-v01@openssh.com,\
    sk-ssh-ed25519-cert-v01@openssh.com,sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,\
    rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com,ssh-ed25519,ecdsa-sha2-nistp256,\
    ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com,\
    rsa-sha2-512,rsa-sha2-256";

impl Defaults {
    /// Those of OpenSSH 10.
    #[must_use]
    pub fn openssh() -> Defaults {
        let values = ALGORITHMS.into_iter().map(|(keyword, list)| (keyword, list.to_owned())).collect();
        Defaults { values }
    }

    /// With this value, as `ssh -G` writes it, where nobody sets the keyword. For a keyword of algorithms it is the
    /// list that `+`, `-` and `^` start from. Keywords that add up have no such value.
    #[must_use]
    pub fn with(mut self, keyword: Keyword, value: impl Into<String>) -> Defaults {
        self.values.insert(keyword, value.into());
        self
    }

    pub(crate) fn value(&self, keyword: Keyword) -> Option<&str> {
        self.values.get(&keyword).map(String::as_str)
    }
}
