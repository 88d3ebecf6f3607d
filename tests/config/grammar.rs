//! The grammar that configurations are generated from: every keyword with values that fit and values that do not,
//! and every form of a block.
//!
//! `cargo xtask tidy` fails when a keyword of the table of `rustle-ssh-config` has no row here.

use rustle_ssh_config::Keyword;

/// A keyword and what may stand behind it.
pub(crate) struct Row {
    pub(crate) keyword: &'static str,
    pub(crate) fits: &'static [&'static str],
    pub(crate) does_not_fit: &'static [&'static str],
    is_newer: bool,
}

impl Row {
    /// Whether it came after the oldest ssh that is compared with, 9.2.
    pub(crate) fn is_newer(&self) -> bool {
        self.is_newer
    }

    /// The first ssh that knows it, by the table of keywords; of those before 9.2 it does not matter which.
    pub(crate) fn since(&self) -> (u32, u32) {
        if !self.is_newer {
            return (0, 0);
        }
        let known = Keyword::ALL.iter().find(|known| known.name() == self.keyword);
        let since = known.unwrap_or_else(|| panic!("{} is in no table", self.keyword)).since();
        let (major, minor) = since.split_once('.').unwrap_or((since, "0"));
        (major.parse().unwrap(), minor.parse().unwrap())
    }
}

const fn row(
    keyword: &'static str,
    fits: &'static [&'static str],
    does_not_fit: &'static [&'static str],
) -> Row {
    Row { keyword, fits, does_not_fit, is_newer: false }
}

const fn newer(keyword: &'static str, fits: &'static [&'static str]) -> Row {
    Row { keyword, fits, does_not_fit: &[], is_newer: true }
}

const FLAG: &[&str] = &["yes", "no", "true", "FALSE", "Yes"];
const NO_FLAG: &[&str] = &["1", "on", "\"\"", "yes no", "maybe"];
const TIME: &[&str] = &["0", "5", "90s", "1h30m", "2D", "1w", "none", "10M", "1m1"];
const NO_TIME: &[&str] = &["-1", "1x", "5 6", "\"\"", "m", "99999999999", "1h-", "None"];
const NUMBER: &[&str] = &["1", "3", "2147483647", "007"];
const NO_NUMBER: &[&str] = &["many", "2147483648", "1.5", "\"\"", "1 2", "0x10"];
const PATH: &[&str] = &["/a/b", "~/x", "\"a b\"", "/t/%h-%p-%r", "%d/%u", "${HOME}/e", "none", "rel"];
const NO_PATH: &[&str] = &["\"\"", "a b"];
const COMMAND: &[&str] =
    &["none", "/bin/echo a  b", "\"quoted\" %h", "c %p # no comment", "=c", "x 'y z'", "a\\ b"];
const NO_COMMAND: &[&str] = &["x 'y", "\"a"];
const KEY_TYPES: &[&str] = &[
    "ssh-ed25519",
    "ssh-ed25519,rsa-sha2-512",
    "+ssh-rsa",
    "-*cert*",
    "^rsa-sha2-256",
    "-ssh-*,ecdsa*",
    "ecdsa-sha2-*",
    "+ssh-ed25519",
    "-*",
];
const NO_KEY_TYPES: &[&str] = &["nonsense", "+nonsense", "\"\"", "a b", "+", "^"];

/// Every keyword of the table, the names that ssh takes besides, and those without a meaning.
pub(crate) const ROWS: &[Row] = &[
    row(
        "AddKeysToAgent",
        &["yes", "no", "ask", "confirm", "confirm 5m", "1h30m", "300"],
        &["yes 5m", "perhaps", "confirm x", "1h 2h"],
    ),
    row("AddressFamily", &["any", "inet", "inet6", "INET"], &["inet7", "\"\"", "any inet"]),
    row("BatchMode", FLAG, NO_FLAG),
    row("BindAddress", &["127.0.0.1", "::1", "here", "*"], &["\"\"", "a b"]),
    row("BindInterface", &["lo", "eth0"], &["\"\"", "a b"]),
    row("CASignatureAlgorithms", KEY_TYPES, NO_KEY_TYPES),
    row(
        "CanonicalDomains",
        &["example.test", "example.test lab.test", "none", "Example.Test."],
        &["none a", ".a b", "a_b!", "\"\""],
    ),
    row("CanonicalizeFallbackLocal", FLAG, NO_FLAG),
    row(
        "CanonicalizeHostname",
        &["no", "false", "yes", "always", "ALWAYS"],
        &["none", "sometimes", "\"\"", "yes no"],
    ),
    row("CanonicalizeMaxDots", &["0", "1", "3"], NO_NUMBER),
    row(
        "CanonicalizePermittedCNAMEs",
        &[
            "none",
            "*:*",
            "*.example.test:*.lab.test",
            "*.example.test:*.example.test *.lab.test:*.other.test",
            "a:b c:d",
            "A,B:C",
            "*",
        ],
        &["none a:b", "a", "a:", "\"\""],
    ),
    row("CertificateFile", PATH, NO_PATH),
    newer("ChannelTimeout", &["none", "session=5m", "direct-tcpip=0 session=1h"]),
    row("CheckHostIP", FLAG, NO_FLAG),
    row(
        "Ciphers",
        &[
            "aes256-ctr",
            "aes256-ctr,aes128-ctr",
            "+aes128-cbc",
            "-aes*-ctr",
            "^aes256-ctr",
            "-*",
            "+3des-cbc,aes128-cbc",
        ],
        &["nonsense", "aes*", "\"\"", "a b", "+", "+aes*"],
    ),
    row("ClearAllForwardings", FLAG, NO_FLAG),
    row("Compression", &["yes", "no", "NO"], &["true", "false", "6", "\"\"", "yes no"]),
    row("ConnectTimeout", TIME, NO_TIME),
    row("ConnectionAttempts", NUMBER, &["many", "0", "-1", "1 2"]),
    row("ControlMaster", &["yes", "no", "auto", "ask", "autoask", "True"], &["2", "\"\"", "auto ask"]),
    row("ControlPath", &["none", "~/.ssh/cm-%C", "/t/%r@%h:%p", "%d/%n-%k-%l", "\"a b\""], NO_PATH),
    row(
        "ControlPersist",
        &["yes", "no", "10m", "0", "300", "true"],
        &["perhaps", "\"\"", "-1", "1h 2h", "YES"],
    ),
    row(
        "DynamicForward",
        &["1080", "127.0.0.1:1080", "[::1]:1080", "*:1080", ":1080", "localhost:1080"],
        &["0", "70000", "x", "\"\"", "1080 b", "a:b:c:d", "host:"],
    ),
    row("EnableEscapeCommandline", FLAG, NO_FLAG),
    row("EnableSSHKeysign", FLAG, NO_FLAG),
    row("EscapeChar", &["~", "none", "^A", "%", "^[", "a"], &["^?", "\"\"", "ab", "^AB", "~ ~"]),
    row("ExitOnForwardFailure", FLAG, NO_FLAG),
    row("FingerprintHash", &["md5", "sha256", "SHA256", "sha512", "sha1"], &["sha3", "\"\"", "md5 sha256"]),
    row("ForkAfterAuthentication", &["no", "false"], &["yes", "1", "on", "\"\"", "yes no"]),
    row(
        "ForwardAgent",
        &["yes", "no", "$AGENT", "/a/%h", "${HOME}/a", "~/agent"],
        &["\"\"", "$1 x", "${RUSTLE_NOT_SET}/a", "a b", "$a-b"],
    ),
    row("ForwardX11", FLAG, NO_FLAG),
    row("ForwardX11Timeout", TIME, NO_TIME),
    row("ForwardX11Trusted", FLAG, NO_FLAG),
    row("GSSAPIAuthentication", FLAG, NO_FLAG),
    row("GSSAPIDelegateCredentials", FLAG, NO_FLAG),
    row("GatewayPorts", FLAG, NO_FLAG),
    row(
        "GlobalKnownHostsFile",
        &["/g", "/g /h", "none", "~/g%h", "\"a b\" c", "/%q", "${RUSTLE_NOT_SET}"],
        &["none /x", "/x none", "\"\""],
    ),
    row("HashKnownHosts", FLAG, NO_FLAG),
    row("HostKeyAlgorithms", KEY_TYPES, NO_KEY_TYPES),
    row("HostKeyAlias", &["alias", "\"a b\"", "%h", "UPPER"], &["\"\"", "a b"]),
    row(
        "HostName",
        &["real.example.com", "%h.example.org", "10.0.0.1", "REAL", "%%%h", "::1", "web"],
        &["\"\"", "a b", "%p", "a%", "%n"],
    ),
    row("HostbasedAcceptedAlgorithms", KEY_TYPES, NO_KEY_TYPES),
    row("HostbasedAuthentication", FLAG, NO_FLAG),
    row(
        "IPQoS",
        &[
            "af21 cs1",
            "lowdelay",
            "throughput reliability",
            "0x10",
            "none",
            "ef",
            "8 16",
            "none af11",
            "LOWDELAY",
        ],
        &["loud", "256", "a b", "1 2 3", "-1", "\"\""],
    ),
    row("IdentitiesOnly", FLAG, NO_FLAG),
    row(
        "IdentityAgent",
        &["none", "~/agent", "$SOCK", "/a/%p", "SSH_AUTH_SOCK", "${HOME}/a", "/a/%C"],
        &["\"\"", "a b", "$a-b", "${RUSTLE_NOT_SET}", "${x"],
    ),
    row("IdentityFile", PATH, NO_PATH),
    row("IgnoreUnknown", &["nothing", "foo*,bar", "*x"], &["a b", "\"\""]),
    row("KbdInteractiveAuthentication", FLAG, NO_FLAG),
    row("KbdInteractiveDevices", &["pam", "bsdauth,pam"], &["\"\"", "a b"]),
    row(
        "KexAlgorithms",
        &[
            "curve25519-sha256",
            "-sntrup*",
            "^ecdh-sha2-nistp256",
            "+diffie-hellman-group1-sha1",
            "-*,x",
            "ecdh-sha2-nistp256,curve25519-sha256",
        ],
        &["nonsense", "curve*", "+nonsense", "\"\"", "a b", "^"],
    ),
    row("KnownHostsCommand", COMMAND, NO_COMMAND),
    row("LocalCommand", COMMAND, NO_COMMAND),
    row(
        "LocalForward",
        &[
            "8080 host:80",
            "127.0.0.1:8080 host:80",
            "[::1]:8080 [fe80::1]:80",
            "*:8080 a:1",
            ":8080 a:1",
            "/sock host:80",
            "8080 /sock",
            "/a /b",
            "8080 \"h:80\"",
            "8080 a/1",
        ],
        &[
            "0 a:1",
            "8080",
            "8080 host",
            "x host:80",
            "70000 a:1",
            "8080 a:0",
            "8080 a:b",
            "8080 a:1 c",
            "\"\" a:1",
            "8080 \"\"",
        ],
    ),
    row(
        "LogLevel",
        &["quiet", "INFO", "debug3", "Verbose", "DEBUG", "debug1", "silent", "fatal", "error"],
        &["loud", "\"\"", "info debug", "debug4"],
    ),
    row("LogVerbose", &["none", "kex.c:*:1000", "a b", "x"], &["none a", "a none", "\"\""]),
    row(
        "MACs",
        &["hmac-sha2-256", "-*sha1*", "+hmac-md5", "^hmac-sha2-512", "hmac-sha2-256,hmac-sha1"],
        &["nonsense", "hmac*", "+nonsense", "\"\"", "a b"],
    ),
    row("NoHostAuthenticationForLocalhost", FLAG, NO_FLAG),
    row("NumberOfPasswordPrompts", NUMBER, NO_NUMBER),
    newer("ObscureKeystrokeTiming", &["yes", "no", "interval:80"]),
    row("PKCS11Provider", &["/usr/lib/p11.so", "none", "\"a b\""], NO_PATH),
    row("PasswordAuthentication", FLAG, NO_FLAG),
    row("PermitLocalCommand", FLAG, NO_FLAG),
    row(
        "PermitRemoteOpen",
        &["any", "none", "host:80", "host:* [::1]:22", "*:*", "a:1 b:2"],
        &["none a:1", "a", "a:0", "a:x"],
    ),
    row(
        "Port",
        &["22", "2222", "65535", "1", "ssh", "\"24\"", "022"],
        &["0", "65536", "22x", "-1", "\"\"", "22 23", "nosuchservice"],
    ),
    row("PreferredAuthentications", &["publickey", "password,publickey", "x"], &["\"\"", "a b"]),
    row("ProxyCommand", COMMAND, NO_COMMAND),
    row(
        "ProxyJump",
        &["none", "jump", "user@jump:22", "a,b,c", "ssh://u@j:1", "[::1]:22", "u@[::1]", "a b", "None", "-x"],
        &["a:0", "u@", "a,,b", "host:x", "ssh://a:b"],
    ),
    row("ProxyUseFdpass", FLAG, NO_FLAG),
    row("PubkeyAcceptedAlgorithms", KEY_TYPES, NO_KEY_TYPES),
    row(
        "PubkeyAuthentication",
        &["yes", "no", "unbound", "host-bound", "Unbound"],
        &["both", "\"\"", "yes no"],
    ),
    newer("RefuseConnection", &["\"no, not here\""]),
    row(
        "RekeyLimit",
        &["1G", "default 1h", "512M none", "1K 30", "0", "64k", "default none", "16", "1g 1d"],
        &["3", "1T1", "x", "1G x", "\"\"", "1G 1h 2h", "-1", "none"],
    ),
    row("RemoteCommand", COMMAND, NO_COMMAND),
    row(
        "RemoteForward",
        &[
            "8080 host:80",
            "8080",
            "[::1]:8080",
            "/sock host:80",
            "8080 /sock",
            "*:8080 a:1",
            "0 a:1",
            "0",
            "127.0.0.1:0 a:1",
        ],
        &["x", "70000 a:1", "8080 a:b", "8080 a:1 c", "\"\"", "8080 host"],
    ),
    row("RequestTTY", &["yes", "no", "force", "auto", "TRUE"], &["perhaps", "\"\"", "yes no"]),
    row("RequiredRSASize", &["2048", "1024", "0", "4096"], NO_NUMBER),
    row("RevokedHostKeys", PATH, NO_PATH),
    row("SecurityKeyProvider", &["internal", "/usr/lib/sk.so", "$PROVIDER"], &["\"\"", "a b"]),
    row("SendEnv", &["A B", "-A", "LC_*", "-L*", "A", "-*", "A*"], &["A=1", "\"\"", "A B=2"]),
    row("ServerAliveCountMax", NUMBER, NO_NUMBER),
    row("ServerAliveInterval", TIME, NO_TIME),
    row("SessionType", &["none", "subsystem", "default", "Default"], &["shell", "\"\"", "none default"]),
    row(
        "SetEnv",
        &["A=1", "B=2 A=3", "\"C=x y\"", "A=", "A=1 A=2", "A=%h", "D=a=b"],
        &["A", "A=1 B", "\"\""],
    ),
    row("StdinNull", FLAG, NO_FLAG),
    row(
        "StreamLocalBindMask",
        &["0177", "0", "777", "077", "0007x"],
        &["1000", "x", "\"\"", "9", "-1", "1 2"],
    ),
    row("StreamLocalBindUnlink", FLAG, NO_FLAG),
    row(
        "StrictHostKeyChecking",
        &["yes", "no", "ask", "accept-new", "off", "TRUE"],
        &["sometimes", "\"\"", "yes no", "on"],
    ),
    row("SyslogFacility", &["DAEMON", "user", "AUTH", "local0", "Local7"], &["kitchen", "\"\"", "USER AUTH"]),
    row("TCPKeepAlive", FLAG, NO_FLAG),
    newer("Tag", &["lab", "other"]),
    row("Tunnel", &["yes", "no", "point-to-point", "ethernet", "Ethernet"], &["maybe", "\"\"", "yes no"]),
    row(
        "TunnelDevice",
        &["any:any", "0:1", "any", "3", "3:any", "any:5"],
        &["x", "\"\"", "1:x", "2147483648", "1 2"],
    ),
    row("UpdateHostKeys", &["yes", "no", "ask", "ASK"], &["later", "\"\"", "yes no"]),
    row("User", &["alice", "\"a b\"", "DOM\\user", "'x'", "a#b", "u%%", "-x"], &["\"\"", "a b"]),
    row(
        "UserKnownHostsFile",
        &["/a ~/b", "none", "%d/%h-%p", "/x", "${HOME}/k %C", "\"a b\" /c"],
        &["none /x", "\"\"", "%q", "/x none", "${RUSTLE_NOT_SET}/x"],
    ),
    row("VerifyHostKeyDNS", &["yes", "no", "ask", "Ask"], &["later", "\"\"", "yes no"]),
    newer("VersionAddendum", &["none", "lab"]),
    row("VisualHostKey", FLAG, NO_FLAG),
    newer("WarnWeakCrypto", &["yes", "no"]),
    row("XAuthLocation", &["/usr/bin/xauth", "none", "\"a b\""], &["\"\"", "a b"]),
    // Other names of these.
    row("ChallengeResponseAuthentication", FLAG, NO_FLAG),
    row("SkeyAuthentication", FLAG, NO_FLAG),
    row("TISAuthentication", FLAG, NO_FLAG),
    row("DSAAuthentication", FLAG, NO_FLAG),
    row("HostbasedKeyTypes", KEY_TYPES, NO_KEY_TYPES),
    row("IdentityFile2", PATH, NO_PATH),
    row("KeepAlive", FLAG, NO_FLAG),
    row("PubkeyAcceptedKeyTypes", KEY_TYPES, NO_KEY_TYPES),
    row("SmartcardDevice", &["/usr/lib/p11.so"], NO_PATH),
    // Without a meaning: obsolete, not built in, and what vendors add.
    row("Protocol", &["2", "1,2", "x y z"], &[]),
    row("Cipher", &["3des", "blowfish"], &[]),
    row("CompressionLevel", &["6"], &[]),
    row("FallBackToRsh", &["no"], &[]),
    row("UseRsh", &["no"], &["\"x"]),
    row("RSAAuthentication", FLAG, &[]),
    row("RhostsRSAAuthentication", FLAG, &[]),
    row("RhostsAuthentication", FLAG, &[]),
    row("UsePrivilegedPort", &["no"], &[]),
    row("UseRoaming", &["no"], &[]),
    row("AFSTokenPassing", &["no"], &[]),
    row("KerberosAuthentication", &["no"], &[]),
    row("KerberosTGTPassing", &["no"], &[]),
    row("GlobalKnownHostsFile2", &["/a"], &[]),
    row("UserKnownHostsFile2", &["/a"], &[]),
    row("GSSAPIKeyExchange", FLAG, &[]),
    row("GSSAPITrustDns", FLAG, &[]),
    // Names that nobody knows.
    row("Nonsense", &[], &["1", "yes"]),
    row("Host-Name", &[], &["x"]),
    row("Ports", &[], &["22"]),
];

/// A line that begins a block.
pub(crate) struct Block {
    pub(crate) line: &'static str,
    /// A setting that the configuration has to begin with, for the line to mean what it should.
    pub(crate) needs: Option<(&'static str, &'static str)>,
    /// What an ssh before `since` is given, to the same effect.
    pub(crate) as_if: &'static str,
    pub(crate) since: (u32, u32),
}

const fn block(line: &'static str) -> Block {
    Block { line, needs: None, as_if: line, since: (0, 0) }
}

const fn newer_block(line: &'static str, major: u32, minor: u32, as_if: &'static str) -> Block {
    Block { line, needs: None, as_if, since: (major, minor) }
}

const fn tagged(line: &'static str, as_if: &'static str) -> Block {
    Block { line, needs: Some(("Tag", "lab")), as_if, since: (9, 4) }
}

/// Each form of `Host` and `Match`; the hosts are those of the generator.
pub(crate) const BLOCKS: &[Block] = &[
    block("Host web"),
    block("Host *"),
    block("Host !web *"),
    block("Host * !web"),
    block("Host db* web"),
    block("Host \"w?b\" *.example.com"),
    block("Host nobody"),
    block("Host !nobody"),
    block("Match all"),
    block("Match !all"),
    block("Match host web"),
    block("Match host \"web,db*\""),
    block("Match !host web"),
    block("Match host *,!web"),
    block("Match originalhost web"),
    block("Match originalhost db*,!db.example.org"),
    block("Match !originalhost db*"),
    block("Match user alice"),
    block("Match !user alice,bob"),
    block("Match user *,!root host *"),
    block("Match localuser *"),
    block("Match localuser nobody,!root"),
    block("Match exec true"),
    block("Match exec false"),
    block("Match !exec \"test %h = web\""),
    block("Match host web exec \"test %n = web -a %p != 1\""),
    block("Match canonical"),
    block("Match !canonical"),
    block("Match canonical all"),
    block("Match final"),
    block("Match final host web"),
    block("Match final !host web originalhost *"),
    block("Match final all"),
    block("Match host web user alice"),
    block("Match host web all"),
    block("Match host=web"),
    block("Match originalhost=db*,wxb user=*"),
    block("Match !host=web exec=true"),
    block("Match exec=\"test %h = web\""),
    block("Match !final"),
    block("Match !final host web"),
    block("Match host *.example.test"),
    block("Match canonical host *.example.test"),
    block("Match originalhost web,db host *.test"),
    block("Host *.example.test *.lab.test"),
    tagged("Match tagged lab", "Match all"),
    tagged("Match tagged x,l* host web", "Match host web"),
    tagged("Match !tagged lab", "Match !all"),
    tagged("Match tagged=lab", "Match all"),
    newer_block("Match sessiontype shell,none,subsystem", 10, 0, "Match all"),
    newer_block("Match sessiontype exec", 10, 0, "Match !all"),
    newer_block("Match !sessiontype exec host web", 10, 0, "Match host web"),
    newer_block("Match command \"\"", 10, 0, "Match all"),
    newer_block("Match command uptime", 10, 0, "Match !all"),
    newer_block("Match !command up* host web", 10, 0, "Match host web"),
    newer_block("Match tagged nothing-like-it", 9, 4, "Match !all"),
    newer_block("Match !tagged nothing-like-it host web", 9, 4, "Match host web"),
    newer_block("Match localnetwork 203.0.113.0/24", 9, 4, "Match !all"),
    newer_block("Match version *", 10, 0, "Match all"),
    newer_block("Match !version *", 10, 0, "Match !all"),
];

/// Blocks that are wrong.
pub(crate) const WRONG_BLOCKS: &[&str] = &[
    "Host \"\"",
    "Host",
    "Match",
    "Match host",
    "Match colour red",
    "Match all host web",
    "Match host web user alice all",
    "Match host \"\"",
    "Match exec",
    "Match \"host",
    "Match user",
    "Match localuser \"\"",
];
