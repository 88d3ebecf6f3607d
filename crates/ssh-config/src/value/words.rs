//! Values that are words.

use std::fmt;

/// A type whose values are words, each with the spelling that `ssh -G` prints first.
macro_rules! words {
    ($(#[$meta:meta])* $vis:vis $name:ident { $($(#[$vmeta:meta])* $variant:ident: $($word:literal)|+,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        $vis enum $name { $($(#[$vmeta])* $variant,)* }

        impl $name {
            pub(crate) fn parse(word: &str) -> Result<$name, String> {
                $($(if word.eq_ignore_ascii_case($word) { return Ok($name::$variant); })+)*
                let known: &[&str] = &[$($($word),+),*];
                Err(format!("{word:?} is none of {}", known.join(", ")))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $($name::$variant => [$($word),+][0],)* })
            }
        }
    };
}

words! {
    /// What to do with a host whose key is not known.
    pub StrictHostKeyChecking {
        /// Refuse it.
        Yes: "true" | "yes",
        /// Accept any key, a changed one included.
        No: "false" | "no" | "off",
        /// Ask the user. The default.
        Ask: "ask",
        /// Accept and remember it; refuse a changed one.
        AcceptNew: "accept-new",
    }
}

words! {
    /// Which addresses of a host may be used.
    pub AddressFamily {
        /// IPv4 and IPv6.
        Any: "any",
        /// IPv4.
        Inet: "inet",
        /// IPv6.
        Inet6: "inet6",
    }
}

words! {
    /// Whether a terminal is asked for.
    pub RequestTty {
        /// Where standard input is one.
        Yes: "true" | "yes",
        /// Never.
        No: "false" | "no",
        /// Always.
        Force: "force",
        /// For a shell, not for a command. The default.
        Auto: "auto",
    }
}

words! {
    /// Whether public keys are tried, and bound to the host's key (OpenSSH's PROTOCOL, hostbound).
    pub PubkeyAuthentication {
        /// Both forms.
        Yes: "true" | "yes",
        /// Not at all.
        No: "false" | "no",
        /// Without the binding.
        Unbound: "unbound",
        /// With the binding.
        HostBound: "host-bound",
    }
}

words! {
    /// How much is logged.
    pub LogLevel {
        /// Nothing.
        Quiet: "SILENT" | "QUIET",
        /// What ends the program.
        Fatal: "FATAL",
        /// Errors.
        Error: "ERROR",
        /// The default.
        Info: "INFO",
        /// A little more.
        Verbose: "VERBOSE",
        /// For debugging.
        Debug1: "DEBUG" | "DEBUG1",
        /// More of it.
        Debug2: "DEBUG2",
        /// All of it.
        Debug3: "DEBUG3",
    }
}

words! {
    /// Yes, no, or ask the user.
    pub YesNoAsk {
        /// Yes.
        Yes: "true" | "yes",
        /// No.
        No: "false" | "no",
        /// Ask.
        Ask: "ask",
    }
}

words! {
    /// Whether this process offers its connection to others.
    pub ControlMaster {
        /// Yes.
        Yes: "true" | "yes",
        /// No. The default.
        No: "false" | "no",
        /// Where nobody else does.
        Auto: "auto",
        /// Yes, and ask the user about each other process.
        Ask: "ask",
        /// Where nobody else does, and ask the user about each other process.
        AutoAsk: "autoask",
    }
}

words! {
    /// What runs on the far side.
    pub SessionType {
        /// Nothing: the connection is there for its forwardings.
        None: "none",
        /// A subsystem of this name instead of a command.
        Subsystem: "subsystem",
        /// A command or a shell. The default.
        Default: "default",
    }
}

words! {
    /// Whether a tun device is forwarded, and at which layer.
    pub Tunnel {
        /// Layer 2.
        Ethernet: "ethernet",
        /// Layer 3.
        PointToPoint: "point-to-point" | "true" | "yes",
        /// Not at all. The default.
        No: "false" | "no",
    }
}

words! {
    /// Whether names are completed to canonical ones before the rest of the configuration is looked at.
    pub CanonicalizeHostname {
        /// Where the connection is a direct one.
        Yes: "true" | "yes",
        /// Never. The default.
        No: "false" | "no",
        /// Through a proxy as well.
        Always: "always",
    }
}

words! {
    /// The hash of fingerprints that are shown.
    pub FingerprintHash {
        /// As in old versions: 16 bytes in hexadecimal.
        Md5: "MD5",
        /// SHA-1, in base64.
        Sha1: "SHA1",
        /// SHA-256, in base64. The default.
        Sha256: "SHA256",
        /// SHA-384, in base64.
        Sha384: "SHA384",
        /// SHA-512, in base64.
        Sha512: "SHA512",
    }
}

words! {
    /// Whether data is compressed: unlike other switches, ssh takes these two words alone.
    pub(crate) Compression {
        /// Yes.
        Yes: "yes",
        /// No.
        No: "no",
    }
}

words! {
    /// Whether a connection with weak algorithms is worth a warning.
    pub WarnWeakCrypto {
        /// Yes. The default.
        Yes: "yes" | "true",
        /// No.
        No: "no" | "false" | "no-pq-kex",
    }
}

words! {
    /// Which part of syslog messages go to.
    pub SyslogFacility {
        /// `DAEMON`
        Daemon: "DAEMON",
        /// `USER`, the default.
        User: "USER",
        /// `AUTH`
        Auth: "AUTH",
        /// `AUTHPRIV`
        AuthPriv: "AUTHPRIV",
        /// `LOCAL0`
        Local0: "LOCAL0",
        /// `LOCAL1`
        Local1: "LOCAL1",
        /// `LOCAL2`
        Local2: "LOCAL2",
        /// `LOCAL3`
        Local3: "LOCAL3",
        /// `LOCAL4`
        Local4: "LOCAL4",
        /// `LOCAL5`
        Local5: "LOCAL5",
        /// `LOCAL6`
        Local6: "LOCAL6",
        /// `LOCAL7`
        Local7: "LOCAL7",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_any_case_and_printed_as_ssh_does() {
        assert_eq!(StrictHostKeyChecking::parse("OFF"), Ok(StrictHostKeyChecking::No));
        assert_eq!(StrictHostKeyChecking::No.to_string(), "false");
        assert_eq!(LogLevel::parse("debug1").unwrap().to_string(), "DEBUG");
        assert_eq!(AddressFamily::parse("ipv4").unwrap_err(), "\"ipv4\" is none of any, inet, inet6");
        assert_eq!(Tunnel::parse("yes").unwrap().to_string(), "point-to-point");
    }
}
