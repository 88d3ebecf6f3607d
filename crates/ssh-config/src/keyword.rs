//! The table of keywords: every one that OpenSSH 10 documents, and what is done with it here.

/// A keyword of `ssh_config(5)`.
macro_rules! keywords {
    ($($variant:ident, $name:literal, $support:expr, neutral: [$($neutral:literal),*];)*) => {
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

            /// What is done with it.
            #[must_use]
            pub fn support(self) -> Support {
                match self { $(Keyword::$variant => $support,)* }
            }

            /// The values that ask for nothing, so that there is nothing to refuse or to warn about.
            fn neutral(self) -> &'static [&'static str] {
                match self { $(Keyword::$variant => &[$($neutral),*],)* }
            }
        }
    };
}

/// What is done with a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Support {
    /// It governs the reading of the files themselves, and does so here.
    Evaluated,
    /// It becomes a typed value of [`Settings`](crate::Settings).
    Parsed,
    /// An error where it applies, because ignoring it would change whom one reaches or trusts, or what runs.
    /// The text says why.
    Refused(&'static str),
    /// Ignored with a [`Warning`](crate::Warning). The text says why that is harmless.
    Ignored(&'static str),
}

use Support::{Evaluated, Ignored, Parsed, Refused};

const NO_FORWARD: &str =
    "forwardings are not taken from the configuration yet; the connection is made without it";
const NO_SHARING: &str = "connections of other ssh processes are not shared yet";
const NO_X11: &str = "X11 is not forwarded";
const NO_CANON: &str = "has a meaning only together with CanonicalizeHostname, which is refused";
const NO_GSSAPI: &str = "GSSAPI authentication is not offered; the other methods are tried";
const NO_HOSTBASED: &str = "host-based authentication is not offered; the other methods are tried";
const NO_TUNNEL: &str = "tun devices are not forwarded";
const NO_SHELL: &str = "concerns ssh's own terminal handling";
const NO_PROXY: &str =
    "proxies are not supported yet, and without one another machine would be reached, or none";

keywords! {
    AddKeysToAgent, "AddKeysToAgent", Ignored("keys are not added to a running agent yet"), neutral: ["no", "false"];
    AddressFamily, "AddressFamily", Parsed, neutral: [];
    BatchMode, "BatchMode", Parsed, neutral: [];
    BindAddress, "BindAddress", Refused("binding to a local address is not supported yet"), neutral: [];
    BindInterface, "BindInterface", Refused("binding to an interface is not supported yet"), neutral: [];
    CaSignatureAlgorithms, "CASignatureAlgorithms", Parsed, neutral: [];
    CanonicalDomains, "CanonicalDomains", Ignored(NO_CANON), neutral: ["none"];
    CanonicalizeFallbackLocal, "CanonicalizeFallbackLocal", Ignored(NO_CANON), neutral: ["yes", "true"];
    CanonicalizeHostname, "CanonicalizeHostname",
        Refused("names are not canonicalised yet, and another host could be meant"), neutral: ["no", "false"];
    CanonicalizeMaxDots, "CanonicalizeMaxDots", Ignored(NO_CANON), neutral: ["1"];
    CanonicalizePermittedCnames, "CanonicalizePermittedCNAMEs",
        Refused("names are not canonicalised yet, and another host could be meant"), neutral: ["none"];
    CertificateFile, "CertificateFile", Parsed, neutral: [];
    ChannelTimeout, "ChannelTimeout", Ignored("idle channels are not closed by the configuration yet"), neutral: ["none"];
    CheckHostIp, "CheckHostIP",
        Refused("host keys are not checked by address as well yet, so less would be checked than asked"),
        neutral: ["no", "false"];
    Ciphers, "Ciphers", Parsed, neutral: [];
    ClearAllForwardings, "ClearAllForwardings", Ignored(NO_FORWARD), neutral: ["yes", "true", "no", "false"];
    Compression, "Compression", Ignored("data is sent uncompressed"), neutral: ["no", "false"];
    ConnectTimeout, "ConnectTimeout", Parsed, neutral: [];
    ConnectionAttempts, "ConnectionAttempts", Parsed, neutral: [];
    ControlMaster, "ControlMaster", Ignored(NO_SHARING), neutral: ["no", "false"];
    ControlPath, "ControlPath", Ignored(NO_SHARING), neutral: ["none"];
    ControlPersist, "ControlPersist", Ignored(NO_SHARING), neutral: ["no", "false"];
    DynamicForward, "DynamicForward", Ignored(NO_FORWARD), neutral: [];
    EnableEscapeCommandline, "EnableEscapeCommandline", Ignored(NO_SHELL), neutral: ["no", "false"];
    EnableSshKeysign, "EnableSSHKeysign", Ignored(NO_HOSTBASED), neutral: ["no", "false"];
    EscapeChar, "EscapeChar", Ignored(NO_SHELL), neutral: ["~"];
    ExitOnForwardFailure, "ExitOnForwardFailure",
        Ignored("forwardings are not taken from the configuration yet, so that none can fail"), neutral: ["yes", "true", "no", "false"];
    FingerprintHash, "FingerprintHash", Ignored("fingerprints are shown as SHA256"), neutral: ["sha256"];
    ForkAfterAuthentication, "ForkAfterAuthentication", Ignored(NO_SHELL), neutral: ["no", "false"];
    ForwardAgent, "ForwardAgent", Ignored("the agent is not forwarded yet"), neutral: ["no", "false"];
    ForwardX11, "ForwardX11", Ignored(NO_X11), neutral: ["no", "false"];
    ForwardX11Timeout, "ForwardX11Timeout", Ignored(NO_X11), neutral: [];
    ForwardX11Trusted, "ForwardX11Trusted", Ignored(NO_X11), neutral: ["no", "false"];
    GssapiAuthentication, "GSSAPIAuthentication", Ignored(NO_GSSAPI), neutral: ["no", "false"];
    GssapiDelegateCredentials, "GSSAPIDelegateCredentials", Ignored(NO_GSSAPI), neutral: ["no", "false"];
    GatewayPorts, "GatewayPorts", Ignored(NO_FORWARD), neutral: ["no", "false"];
    GlobalKnownHostsFile, "GlobalKnownHostsFile", Parsed, neutral: [];
    HashKnownHosts, "HashKnownHosts", Parsed, neutral: [];
    Host, "Host", Evaluated, neutral: [];
    HostKeyAlgorithms, "HostKeyAlgorithms", Parsed, neutral: [];
    HostKeyAlias, "HostKeyAlias", Parsed, neutral: [];
    HostName, "HostName", Parsed, neutral: [];
    HostbasedAcceptedAlgorithms, "HostbasedAcceptedAlgorithms", Ignored(NO_HOSTBASED), neutral: [];
    HostbasedAuthentication, "HostbasedAuthentication", Ignored(NO_HOSTBASED), neutral: ["no", "false"];
    IpQos, "IPQoS", Ignored("packets carry the system's default class"), neutral: ["none"];
    IdentitiesOnly, "IdentitiesOnly", Parsed, neutral: [];
    IdentityAgent, "IdentityAgent", Parsed, neutral: [];
    IdentityFile, "IdentityFile", Parsed, neutral: [];
    IgnoreUnknown, "IgnoreUnknown", Evaluated, neutral: [];
    Include, "Include", Evaluated, neutral: [];
    KbdInteractiveAuthentication, "KbdInteractiveAuthentication", Parsed, neutral: [];
    KbdInteractiveDevices, "KbdInteractiveDevices", Ignored("the server chooses its devices"), neutral: [];
    KexAlgorithms, "KexAlgorithms", Parsed, neutral: [];
    KnownHostsCommand, "KnownHostsCommand",
        Refused("host keys are not asked of a command yet, so known hosts would be missing"), neutral: ["none"];
    LocalCommand, "LocalCommand", Ignored("no local command is run"), neutral: ["none"];
    LocalForward, "LocalForward", Ignored(NO_FORWARD), neutral: [];
    LogLevel, "LogLevel", Parsed, neutral: [];
    LogVerbose, "LogVerbose", Ignored("names places in OpenSSH's own source"), neutral: ["none"];
    Macs, "MACs", Parsed, neutral: [];
    Match, "Match", Evaluated, neutral: [];
    NoHostAuthenticationForLocalhost, "NoHostAuthenticationForLocalhost",
        Ignored("this machine's host key is checked as any other"), neutral: ["no", "false"];
    NumberOfPasswordPrompts, "NumberOfPasswordPrompts", Parsed, neutral: [];
    ObscureKeystrokeTiming, "ObscureKeystrokeTiming", Ignored("keystrokes are sent as they come"), neutral: ["no", "false"];
    Pkcs11Provider, "PKCS11Provider", Ignored("keys on tokens are used through an agent only"), neutral: ["none"];
    PasswordAuthentication, "PasswordAuthentication", Parsed, neutral: [];
    PermitLocalCommand, "PermitLocalCommand", Ignored("no local command is run"), neutral: ["no", "false"];
    PermitRemoteOpen, "PermitRemoteOpen", Ignored(NO_FORWARD), neutral: ["any", "none"];
    Port, "Port", Parsed, neutral: [];
    PreferredAuthentications, "PreferredAuthentications", Parsed, neutral: [];
    ProxyCommand, "ProxyCommand", Refused(NO_PROXY), neutral: ["none"];
    ProxyJump, "ProxyJump", Refused(NO_PROXY), neutral: ["none"];
    ProxyUseFdpass, "ProxyUseFdpass",
        Ignored("has a meaning only together with ProxyCommand, which is refused"), neutral: ["no", "false"];
    PubkeyAcceptedAlgorithms, "PubkeyAcceptedAlgorithms", Parsed, neutral: [];
    PubkeyAuthentication, "PubkeyAuthentication", Parsed, neutral: [];
    RefuseConnection, "RefuseConnection", Evaluated, neutral: [];
    RekeyLimit, "RekeyLimit", Parsed, neutral: [];
    RemoteCommand, "RemoteCommand",
        Refused("the command to run is not taken from the configuration yet, and something else would run"),
        neutral: ["none"];
    RemoteForward, "RemoteForward", Ignored(NO_FORWARD), neutral: [];
    RequestTty, "RequestTTY", Parsed, neutral: [];
    RequiredRsaSize, "RequiredRSASize", Parsed, neutral: [];
    RevokedHostKeys, "RevokedHostKeys",
        Refused("revocation lists are not read yet, so a revoked key could be trusted"), neutral: ["none"];
    SecurityKeyProvider, "SecurityKeyProvider", Ignored("security keys are used through an agent only"), neutral: ["none"];
    SendEnv, "SendEnv", Parsed, neutral: [];
    ServerAliveCountMax, "ServerAliveCountMax", Parsed, neutral: [];
    ServerAliveInterval, "ServerAliveInterval", Parsed, neutral: [];
    SessionType, "SessionType",
        Refused("what to run is not taken from the configuration yet, and something else would run"),
        neutral: ["default"];
    SetEnv, "SetEnv", Parsed, neutral: [];
    StdinNull, "StdinNull", Ignored(NO_SHELL), neutral: ["no", "false"];
    StreamLocalBindMask, "StreamLocalBindMask", Ignored(NO_FORWARD), neutral: [];
    StreamLocalBindUnlink, "StreamLocalBindUnlink", Ignored(NO_FORWARD), neutral: ["no", "false"];
    StrictHostKeyChecking, "StrictHostKeyChecking", Parsed, neutral: [];
    SyslogFacility, "SyslogFacility", Ignored("nothing is logged to syslog"), neutral: [];
    Tag, "Tag", Evaluated, neutral: [];
    TcpKeepAlive, "TCPKeepAlive", Parsed, neutral: [];
    Tunnel, "Tunnel", Ignored(NO_TUNNEL), neutral: ["no", "false"];
    TunnelDevice, "TunnelDevice", Ignored(NO_TUNNEL), neutral: ["any:any", "any"];
    UpdateHostKeys, "UpdateHostKeys", Ignored("known_hosts is not updated with a server's further keys yet"),
        neutral: ["no", "false"];
    User, "User", Parsed, neutral: [];
    UserKnownHostsFile, "UserKnownHostsFile", Parsed, neutral: [];
    VerifyHostKeyDns, "VerifyHostKeyDNS", Ignored("host keys are looked up in known_hosts alone"), neutral: ["no", "false"];
    VersionAddendum, "VersionAddendum", Ignored("the version sent is our own"), neutral: ["none"];
    VisualHostKey, "VisualHostKey", Ignored("no host key art is drawn"), neutral: ["no", "false"];
    WarnWeakCrypto, "WarnWeakCrypto", Ignored("weak algorithms are left out unless named"), neutral: ["yes", "true", "no", "false", "no-pq-kex"];
    XAuthLocation, "XAuthLocation", Ignored(NO_X11), neutral: [];
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
    /// Whether the value asks for nothing.
    pub(crate) fn is_neutral(self, value: &[u8]) -> bool {
        self.neutral().iter().any(|neutral| value.eq_ignore_ascii_case(neutral.as_bytes()))
    }

    /// Whether the value is the whole rest of the line, with its quotes and spaces.
    pub(crate) fn takes_rest_of_line(self) -> bool {
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
            if let Refused(reason) | Ignored(reason) = keyword.support() {
                assert!(reason.len() > 10, "{keyword}");
            }
        }
    }
}
