//! The signature algorithms that OpenSSH takes by default.

/// What keys and certificates sign with, by OpenSSH's default and in its order of preference: certificates first, and
/// nothing with SHA-1. It is the default of `PubkeyAcceptedAlgorithms`, and the order in which hosts are asked for keys.
///
/// ```
/// assert_eq!(rustle_trust::SIGNATURE_ALGORITHMS.last(), Some(&"rsa-sha2-256"));
/// ```
pub const SIGNATURE_ALGORITHMS: [&str; 16] = [
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// So many of them, the first, are for certificates.
pub(crate) const CERTIFICATES_AMONG_THEM: usize = 8;
