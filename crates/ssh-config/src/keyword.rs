//! The table of keywords: every one that OpenSSH 10 documents, and what is done with it here.
//!
//! One line a keyword: its name, the release of OpenSSH that first had it, what this program does with it, and the
//! values that ask for nothing. Who builds a keyword's effect changes its line to [`Acted`](Support::Acted).

use crate::lexer::Line;

/// Makes the enum and its properties from the table.
macro_rules! keywords {
    ($($variant:ident, $name:literal, $since:literal, $support:expr, [$($neutral:literal),*];)*) => {
        /// A keyword of `ssh_config(5)`, as OpenSSH 10 documents them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Keyword {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Keyword {
            /// Every keyword, in alphabetical order.
            pub const ALL: &'static [Keyword] = &[$(Keyword::$variant,)*];

            /// Its name as the manual writes it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Keyword::$variant => $name,)* }
            }

            /// The first release of OpenSSH, as far back as 1.2.2, whose client has it.
            #[must_use]
            pub fn since(self) -> &'static str {
                match self { $(Keyword::$variant => $since,)* }
            }

            /// What is done with it.
            #[must_use]
            pub fn support(self) -> Support {
                match self { $(Keyword::$variant => $support,)* }
            }

            /// The values that ask for nothing, so that there is nothing to refuse or to warn about.
            #[must_use]
            pub fn neutral_values(self) -> &'static [&'static str] {
                match self { $(Keyword::$variant => &[$($neutral),*],)* }
            }
        }
    };
}

/// What is done with a keyword. Reading and printing do not depend on it:
/// [`Settings::supported`](crate::Settings::supported) draws the consequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Support {
    /// It governs the reading of the files themselves, and does so here.
    Evaluated,
    /// The connection, or the program, does what it says.
    Acted,
    /// An error where it asks for anything, because leaving it out would change whom one reaches or trusts, or what
    /// runs. The text says why.
    Refused(&'static str),
    /// A pool of connections does what it says. A single connection goes without: the user is told so of a forwarding, and
    /// where they want many words of the rules for those. The text says what is missing there.
    Pooled(&'static str),
    /// The connection is made without it, and the user is told so in any case. The text says what is missing.
    Declined(&'static str),
    /// Nothing follows from it, which is worth a word only to a user who wants many. The text says why that is
    /// harmless.
    Ignored(&'static str),
}

use Support::{Acted, Declined, Evaluated, Ignored, Pooled};

const NO_FORWARD: &str =
    "a single connection makes no forwardings of the configuration, which a pool does; it is made without it";
const NO_FORWARD_OPTION: &str =
    "a single connection makes no forwardings of the configuration, which a pool does";
const NO_SOCKET_OPTION: &str =
    "sockets of forwardings are their owner's alone, and no file in their way is removed";
const NO_SHARING: &str = "connections of other ssh processes are not shared yet; this one is made anew";
const NO_MASTER: &str = "a single connection is nobody else's; a pool shares its own, and keeps them as both keywords say together";
const NO_X11: &str = "X11 is not forwarded";
const NO_GSSAPI: &str = "GSSAPI authentication is not offered; the other methods are tried";
const NO_HOSTBASED: &str = "host-based authentication is not offered; the other methods are tried";
const NO_TUNNEL: &str = "tun devices are not forwarded";
const NO_SHELL: &str = "concerns ssh's own terminal handling";

keywords! {
    AddKeysToAgent, "AddKeysToAgent", "7.2", Acted, ["no", "false"];
    AddressFamily, "AddressFamily", "3.7", Acted, [];
    BatchMode, "BatchMode", "1.2.2", Acted, [];
    BindAddress, "BindAddress", "2.9.9", Acted, [];
    BindInterface, "BindInterface", "7.7", Acted, [];
    CaSignatureAlgorithms, "CASignatureAlgorithms", "7.9", Acted, [];
    CanonicalDomains, "CanonicalDomains", "6.5", Evaluated, [];
    CanonicalizeFallbackLocal, "CanonicalizeFallbackLocal", "6.5", Evaluated, [];
    CanonicalizeHostname, "CanonicalizeHostname", "6.5", Evaluated, [];
    CanonicalizeMaxDots, "CanonicalizeMaxDots", "6.5", Evaluated, [];
    CanonicalizePermittedCnames, "CanonicalizePermittedCNAMEs", "6.5", Evaluated, [];
    CertificateFile, "CertificateFile", "7.2", Acted, [];
    ChannelTimeout, "ChannelTimeout", "9.6", Ignored("idle channels are not closed by the configuration yet"), ["none"];
    CheckHostIp, "CheckHostIP", "1.2.2", Acted, [];
    Ciphers, "Ciphers", "2.1", Acted, [];
    ClearAllForwardings, "ClearAllForwardings", "2.9.9", Acted, [];
    Compression, "Compression", "1.2.2", Acted, ["no"];
    ConnectTimeout, "ConnectTimeout", "3.7", Acted, [];
    ConnectionAttempts, "ConnectionAttempts", "1.2.2", Acted, ["1"];
    ControlMaster, "ControlMaster", "3.9", Pooled(NO_MASTER), ["no", "false"];
    ControlPath, "ControlPath", "3.9", Declined(NO_SHARING), ["none"];
    ControlPersist, "ControlPersist", "5.6", Pooled(NO_MASTER), ["no", "false"];
    DynamicForward, "DynamicForward", "2.9.9", Pooled(NO_FORWARD), [];
    EnableEscapeCommandline, "EnableEscapeCommandline", "9.2", Ignored(NO_SHELL), ["no", "false"];
    EnableSshKeysign, "EnableSSHKeysign", "3.6", Ignored(NO_HOSTBASED), ["no", "false"];
    EscapeChar, "EscapeChar", "1.2.2", Ignored(NO_SHELL), ["~"];
    ExitOnForwardFailure, "ExitOnForwardFailure", "4.4", Acted, [];
    FingerprintHash, "FingerprintHash", "6.8", Ignored("fingerprints are shown as SHA256"), ["sha256"];
    ForkAfterAuthentication, "ForkAfterAuthentication", "8.7", Ignored(NO_SHELL), ["no", "false"];
    ForwardAgent, "ForwardAgent", "1.2.2", Acted, ["no", "false"];
    ForwardX11, "ForwardX11", "1.2.2", Ignored(NO_X11), ["no", "false"];
    ForwardX11Timeout, "ForwardX11Timeout", "5.6", Ignored(NO_X11), [];
    ForwardX11Trusted, "ForwardX11Trusted", "3.8", Ignored(NO_X11), ["no", "false"];
    GssapiAuthentication, "GSSAPIAuthentication", "3.7", Ignored(NO_GSSAPI), ["no", "false"];
    GssapiDelegateCredentials, "GSSAPIDelegateCredentials", "3.7", Ignored(NO_GSSAPI), ["no", "false"];
    GatewayPorts, "GatewayPorts", "1.2.2", Pooled(NO_FORWARD_OPTION), ["no", "false"];
    GlobalKnownHostsFile, "GlobalKnownHostsFile", "1.2.2", Acted, [];
    HashKnownHosts, "HashKnownHosts", "4.0", Acted, [];
    Host, "Host", "1.2.2", Evaluated, [];
    HostKeyAlgorithms, "HostKeyAlgorithms", "2.9.9", Acted, [];
    HostKeyAlias, "HostKeyAlias", "2.5", Acted, [];
    HostName, "HostName", "1.2.2", Acted, [];
    HostbasedAcceptedAlgorithms, "HostbasedAcceptedAlgorithms", "8.7", Ignored(NO_HOSTBASED), [];
    HostbasedAuthentication, "HostbasedAuthentication", "2.9.9", Ignored(NO_HOSTBASED), ["no", "false"];
    IpQos, "IPQoS", "5.7", Acted, ["none"];
    IdentitiesOnly, "IdentitiesOnly", "3.8.1", Acted, [];
    IdentityAgent, "IdentityAgent", "7.3", Acted, [];
    IdentityFile, "IdentityFile", "1.2.2", Acted, [];
    IgnoreUnknown, "IgnoreUnknown", "6.3", Evaluated, [];
    Include, "Include", "7.3", Evaluated, [];
    KbdInteractiveAuthentication, "KbdInteractiveAuthentication", "2.3", Acted, [];
    KbdInteractiveDevices, "KbdInteractiveDevices", "2.3", Ignored("the server chooses its devices"), [];
    KexAlgorithms, "KexAlgorithms", "5.7", Acted, [];
    KnownHostsCommand, "KnownHostsCommand", "8.5", Acted, [];
    LocalCommand, "LocalCommand", "4.3", Ignored("no local command is run"), ["none"];
    LocalForward, "LocalForward", "1.2.2", Pooled(NO_FORWARD), [];
    LogLevel, "LogLevel", "1.2.2", Acted, [];
    LogVerbose, "LogVerbose", "8.5", Ignored("names places in OpenSSH's own source"), ["none"];
    Macs, "MACs", "2.5", Acted, [];
    Match, "Match", "6.5", Evaluated, [];
    NoHostAuthenticationForLocalhost, "NoHostAuthenticationForLocalhost", "3.0", Acted, [];
    NumberOfPasswordPrompts, "NumberOfPasswordPrompts", "1.2.2", Acted, [];
    ObscureKeystrokeTiming, "ObscureKeystrokeTiming", "9.5", Ignored("keystrokes are sent as they come"), ["no", "false"];
    Pkcs11Provider, "PKCS11Provider", "5.4", Ignored("keys on tokens are used through an agent only"), ["none"];
    PasswordAuthentication, "PasswordAuthentication", "1.2.2", Acted, [];
    PermitLocalCommand, "PermitLocalCommand", "4.3", Ignored("no local command is run"), ["no", "false"];
    PermitRemoteOpen, "PermitRemoteOpen", "8.5", Pooled(NO_FORWARD_OPTION), ["any"];
    Port, "Port", "1.2.2", Acted, [];
    PreferredAuthentications, "PreferredAuthentications", "2.5.2", Acted, [];
    ProxyCommand, "ProxyCommand", "1.2.2", Acted, ["none"];
    ProxyJump, "ProxyJump", "7.3", Acted, ["none"];
    ProxyUseFdpass, "ProxyUseFdpass", "6.3", Ignored("has a meaning only together with ProxyCommand, and with that it is an error"), ["no", "false"];
    PubkeyAcceptedAlgorithms, "PubkeyAcceptedAlgorithms", "8.5", Acted, [];
    PubkeyAuthentication, "PubkeyAuthentication", "2.5", Acted, [];
    RefuseConnection, "RefuseConnection", "10.1", Evaluated, [];
    RekeyLimit, "RekeyLimit", "3.7", Acted, [];
    RemoteCommand, "RemoteCommand", "7.6", Acted, ["none"];
    RemoteForward, "RemoteForward", "1.2.2", Pooled(NO_FORWARD), [];
    RequestTty, "RequestTTY", "5.9", Acted, ["no", "false", "auto"];
    RequiredRsaSize, "RequiredRSASize", "9.1", Acted, [];
    RevokedHostKeys, "RevokedHostKeys", "6.8", Acted, [];
    SecurityKeyProvider, "SecurityKeyProvider", "8.2", Ignored("security keys are used through an agent only"), ["none"];
    SendEnv, "SendEnv", "3.9", Acted, [];
    ServerAliveCountMax, "ServerAliveCountMax", "3.8", Acted, [];
    ServerAliveInterval, "ServerAliveInterval", "3.8", Acted, [];
    SessionType, "SessionType", "8.7", Acted, ["default"];
    SetEnv, "SetEnv", "7.8", Acted, [];
    StdinNull, "StdinNull", "8.7", Acted, ["no", "false"];
    StreamLocalBindMask, "StreamLocalBindMask", "6.7", Ignored(NO_SOCKET_OPTION), [];
    StreamLocalBindUnlink, "StreamLocalBindUnlink", "6.7", Ignored(NO_SOCKET_OPTION), ["no", "false"];
    StrictHostKeyChecking, "StrictHostKeyChecking", "1.2.2", Acted, [];
    SyslogFacility, "SyslogFacility", "7.6", Ignored("nothing is logged to syslog"), [];
    Tag, "Tag", "9.4", Evaluated, [];
    TcpKeepAlive, "TCPKeepAlive", "3.8", Acted, [];
    Tunnel, "Tunnel", "4.3", Declined(NO_TUNNEL), ["no", "false"];
    TunnelDevice, "TunnelDevice", "4.3", Ignored(NO_TUNNEL), ["any:any", "any"];
    UpdateHostKeys, "UpdateHostKeys", "6.8", Acted, [];
    User, "User", "1.2.2", Acted, [];
    UserKnownHostsFile, "UserKnownHostsFile", "1.2.2", Acted, [];
    VerifyHostKeyDns, "VerifyHostKeyDNS", "3.7", Acted, [];
    VersionAddendum, "VersionAddendum", "10.0", Ignored("the version sent is our own"), ["none"];
    VisualHostKey, "VisualHostKey", "5.1", Acted, [];
    WarnWeakCrypto, "WarnWeakCrypto", "10.1", Ignored("weak algorithms are left out unless named, and nothing is warned of"), ["yes", "true"];
    XAuthLocation, "XAuthLocation", "2.1.1", Ignored(NO_X11), [];
}

/// Other names under which ssh takes a keyword.
const ALIASES: &[(&str, Keyword)] = &[
    ("challengeresponseauthentication", Keyword::KbdInteractiveAuthentication),
    ("skeyauthentication", Keyword::KbdInteractiveAuthentication),
    ("tisauthentication", Keyword::KbdInteractiveAuthentication),
    ("dsaauthentication", Keyword::PubkeyAuthentication),
    ("hostbasedkeytypes", Keyword::HostbasedAcceptedAlgorithms),
    ("identityfile2", Keyword::IdentityFile),
    ("keepalive", Keyword::TcpKeepAlive),
    ("pubkeyacceptedkeytypes", Keyword::PubkeyAcceptedAlgorithms),
    ("smartcarddevice", Keyword::Pkcs11Provider),
];

const OBSOLETE: &str = "is obsolete, and ssh ignores it too";
const VENDOR_GSSAPI: &str = "is a vendor's extension for GSSAPI, which is not offered";

/// Names that ssh accepts without a meaning, and those that the builds of Debian, Fedora and Apple add and
/// write into the files that they install.
const WITHOUT_MEANING: &[(&str, &str)] = &[
    ("afstokenpassing", OBSOLETE),
    ("cipher", OBSOLETE),
    ("compressionlevel", OBSOLETE),
    ("fallbacktorsh", OBSOLETE),
    ("globalknownhostsfile2", OBSOLETE),
    ("gssapiclientidentity", VENDOR_GSSAPI),
    ("gssapikexalgorithms", VENDOR_GSSAPI),
    ("gssapikeyexchange", VENDOR_GSSAPI),
    ("gssapirenewalforcesrekey", VENDOR_GSSAPI),
    ("gssapiserveridentity", VENDOR_GSSAPI),
    ("gssapitrustdns", VENDOR_GSSAPI),
    ("kerberosauthentication", OBSOLETE),
    ("kerberostgtpassing", OBSOLETE),
    ("protocol", OBSOLETE),
    ("rhostsauthentication", OBSOLETE),
    ("rhostsrsaauthentication", OBSOLETE),
    ("rsaauthentication", OBSOLETE),
    ("usekeychain", "is Apple's extension; passphrases are not kept in the keychain"),
    ("useprivilegedport", OBSOLETE),
    ("userknownhostsfile2", OBSOLETE),
    ("useroaming", OBSOLETE),
    ("usersh", OBSOLETE),
];

/// What a keyword's name turned out to be.
pub(crate) enum Lookup {
    Known(Keyword),
    /// Accepted, with the reason why nothing follows from it.
    WithoutMeaning(&'static str),
    Unknown,
}

/// Looks a lower-case name up.
pub(crate) fn lookup(name: &str) -> Lookup {
    if let Some(keyword) = Keyword::ALL.iter().find(|keyword| keyword.name().eq_ignore_ascii_case(name)) {
        return Lookup::Known(*keyword);
    }
    if let Some((_, keyword)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return Lookup::Known(*keyword);
    }
    match WITHOUT_MEANING.iter().find(|(other, _)| *other == name) {
        Some((_, reason)) => Lookup::WithoutMeaning(reason),
        None => Lookup::Unknown,
    }
}

impl Keyword {
    /// Whether the line asks for nothing.
    pub(crate) fn is_neutral(self, line: &Line<'_>) -> bool {
        let fits = |value: &[u8]| {
            self.neutral_values().iter().any(|neutral| value.eq_ignore_ascii_case(neutral.as_bytes()))
        };
        match line.args.as_slice() {
            _ if self.takes_rest_of_line() => fits(line.rest),
            [only] => fits(only),
            _ => false,
        }
    }

    /// Whether the value is the whole rest of the line, with its quotes and spaces.
    fn takes_rest_of_line(self) -> bool {
        matches!(
            self,
            Keyword::KnownHostsCommand
                | Keyword::LocalCommand
                | Keyword::ProxyCommand
                | Keyword::ProxyJump
                | Keyword::RemoteCommand
                | Keyword::VersionAddendum
        )
    }
}

impl std::fmt::Display for Keyword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_has_no_name_twice() {
        let mut names: Vec<String> = Keyword::ALL.iter().map(|k| k.name().to_ascii_lowercase()).collect();
        let count = names.len();
        names.extend(ALIASES.iter().map(|(name, _)| (*name).to_owned()));
        names.extend(WITHOUT_MEANING.iter().map(|(name, _)| (*name).to_owned()));
        let total = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), total);
        assert_eq!(count, 104);
    }

    #[test]
    fn names_are_found_in_any_case_and_by_their_aliases() {
        assert!(matches!(lookup("identityfile"), Lookup::Known(Keyword::IdentityFile)));
        assert!(matches!(lookup("skeyauthentication"), Lookup::Known(Keyword::KbdInteractiveAuthentication)));
        assert!(matches!(lookup("protocol"), Lookup::WithoutMeaning(_)));
        assert!(matches!(lookup("hostnam"), Lookup::Unknown));
    }

    #[test]
    fn every_refusal_and_every_ignored_keyword_says_why() {
        for keyword in Keyword::ALL {
            let reason = match keyword.support() {
                Support::Refused(reason) | Pooled(reason) | Declined(reason) | Ignored(reason) => {
                    Some(reason)
                }
                _ => None,
            };
            if let Some(reason) = reason {
                assert!(reason.len() > 10, "{keyword}");
            }
        }
    }
}
