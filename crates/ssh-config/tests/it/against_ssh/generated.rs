//! Files made of lines that are all right, by chance.

/// Each keyword with values to choose from. `Match !final` is not among them: OpenSSH 9.2 reads the files twice
/// for it, and later versions do not.
const VALUES: &[(&str, &[&str])] = &[
    ("User", &["alice", "\"a b\"", "DOM\\user", "'x'", "a#b"]),
    ("Port", &["22", "2222", "1"]),
    ("HostName", &["real.example.com", "%h.example.org", "10.0.0.1", "REAL"]),
    ("IdentityFile", &["~/.ssh/a", "/k/%h", "none", "\"a b\"", "b"]),
    ("CertificateFile", &["~/c", "d"]),
    ("IdentitiesOnly", &["yes", "no", "TRUE"]),
    ("UserKnownHostsFile", &["/a ~/b", "none", "%d/%h-%p", "/x"]),
    ("GlobalKnownHostsFile", &["/g", "none", "/g /h"]),
    ("StrictHostKeyChecking", &["yes", "no", "ask", "accept-new", "off"]),
    ("Ciphers", &["aes256-ctr", "+aes128-cbc", "-aes*-ctr", "^aes256-ctr"]),
    ("MACs", &["hmac-sha2-256", "-*sha1*", "+hmac-md5"]),
    ("KexAlgorithms", &["curve25519-sha256", "-sntrup*", "^ecdh-sha2-nistp256"]),
    ("HostKeyAlgorithms", &["ssh-ed25519", "+ssh-rsa", "-*cert*"]),
    ("ConnectTimeout", &["10", "1m30s", "none", "2h"]),
    ("ServerAliveInterval", &["30", "none", "1m"]),
    ("ServerAliveCountMax", &["5", "0"]),
    ("SendEnv", &["A B", "-A", "LC_*", "-L*"]),
    ("SetEnv", &["A=1", "B=2 A=3", "\"C=x y\""]),
    ("AddressFamily", &["any", "inet", "inet6"]),
    ("RequestTTY", &["yes", "no", "force", "auto"]),
    ("LogLevel", &["quiet", "INFO", "debug3"]),
    ("PubkeyAuthentication", &["yes", "no", "unbound"]),
    ("PasswordAuthentication", &["yes", "no"]),
    ("KbdInteractiveAuthentication", &["yes", "no"]),
    ("NumberOfPasswordPrompts", &["1", "9"]),
    ("PreferredAuthentications", &["publickey", "password,publickey"]),
    ("HostKeyAlias", &["alias", "\"q\""]),
    ("HashKnownHosts", &["yes", "no"]),
    ("LocalForward", &["8080 h:80", "[::1]:1 h:2", "/l%h 127.0.0.1:3"]),
    ("RemoteForward", &["0 h:80", "1080", "*:1 /s"]),
    ("DynamicForward", &["1080", "localhost:1081"]),
    ("ClearAllForwardings", &["yes", "no"]),
    ("ProxyJump", &["a", "b@c:5,d", "[::1]", "other:2 # x"]),
    ("ProxyCommand", &["none", "nc %h %p", "ssh -W \"%h\" x"]),
    ("ForwardAgent", &["yes", "no", "$SOCK", "~/a.%r"]),
    ("AddKeysToAgent", &["yes", "no", "ask", "confirm 1h", "5m"]),
    ("ControlMaster", &["auto", "yes", "no"]),
    ("ControlPath", &["~/%r@%h-%p", "none"]),
    ("ControlPersist", &["10m", "yes", "no"]),
    ("UpdateHostKeys", &["yes", "no", "ask"]),
    ("VerifyHostKeyDNS", &["yes", "no", "ask"]),
    ("IPQoS", &["af21 cs1", "none", "0x20 le"]),
    ("RemoteCommand", &["uptime %h", "none"]),
    ("SessionType", &["default", "none"]),
    ("EscapeChar", &["~", "none", "^B"]),
    ("Compression", &["yes", "no"]),
    ("Tunnel", &["yes", "no", "ethernet"]),
    ("StreamLocalBindMask", &["0", "0177"]),
    ("SyslogFacility", &["AUTH", "local1"]),
    ("BindAddress", &["10.0.0.1", "::1"]),
    ("TCPKeepAlive", &["yes", "no"]),
    ("ConnectionAttempts", &["1", "3"]),
    ("IdentityAgent", &["none", "~/agent", "$SOCK", "/a/%p"]),
    ("RekeyLimit", &["1G", "default 1h", "512M none"]),
    ("Host", &["web", "*", "!web *", "db* web", "*.example.com !x", "w?b"]),
    (
        "Match",
        &[
            "all",
            "host web",
            "!host web",
            "originalhost db*,!x",
            "user alice",
            "localuser *",
            "final",
            "final host *real*",
            "host=web",
        ],
    ),
    ("Include", &["DIR/included", "DIR/inc*", "DIR/none"]),
];

pub(super) struct Random(pub(super) u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        // SplitMix64, seeded: a failure can be repeated.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 33).unwrap() % end
    }

    pub(super) fn lines(&mut self, most: usize) -> String {
        let count = self.below(most) + 1;
        (0..count).map(|_| self.line(most > 4)).collect()
    }

    fn line(&mut self, may_include: bool) -> String {
        loop {
            let (keyword, values) = VALUES[self.below(VALUES.len())];
            if keyword == "Include" && !may_include {
                continue;
            }
            let value = values[self.below(values.len())];
            // 9.2 does not know Match host=web.
            if value == "host=web" {
                continue;
            }
            let indent = ["", "  ", "\t"][self.below(3)];
            let separator = [" ", "=", " = ", "\t"][self.below(4)];
            let end = ["\n", "\r\n", "  \n", " # end\n", "\n\n# between\n"][self.below(5)];
            let keyword = if self.below(2) == 0 { keyword.to_owned() } else { keyword.to_ascii_lowercase() };
            return format!("{indent}{keyword}{separator}{value}{end}");
        }
    }
}
