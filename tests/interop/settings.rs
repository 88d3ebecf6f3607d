//! `rustle-connect ssh-config HOST` beside `ssh -G HOST`: the same lines but for the defaults that are this program's own.

use std::collections::BTreeSet;
use std::process::Command;

use rustle_tests::{Scratch, interop, text_of};

use crate::cli::binary;

/// What this program does otherwise where nobody says anything (docs/from-ssh-to-rustle.md), and what Debian's ssh does
/// otherwise than OpenSSH (`ForwardX11Trusted`).
const OWN_DEFAULTS: [&str; 12] = [
    "casignaturealgorithms",
    "ciphers",
    "connecttimeout",
    "forwardx11trusted",
    "hostbasedacceptedalgorithms",
    "hostkeyalgorithms",
    "identityfile",
    "ipqos",
    "kexalgorithms",
    "macs",
    "pubkeyacceptedalgorithms",
    "serveraliveinterval",
];

/// What Debian's build adds.
fn is_of_the_vendor(line: &str) -> bool {
    ["gssapi", "usekeychain"].iter().any(|start| line.starts_with(start))
        && !line.starts_with("gssapiauthentication")
        && !line.starts_with("gssapidelegatecredentials")
}

struct Both {
    folder: Scratch,
}

impl Both {
    /// The lines of ours, and of ssh.
    fn ask(&self, config: &str, arguments: &[&str]) -> (Vec<String>, Vec<String>) {
        let config = self.folder.write("config", config);
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(&config).arg("-G").args(arguments);
        let mut program = Command::new(binary());
        program.arg("--config").arg(&config).arg("ssh-config");
        program.args(arguments.iter().map(|argument| if *argument == "-l" { "-u" } else { *argument }));
        let lines = |command: &mut Command| -> Vec<String> {
            command.env_remove("SSH_AUTH_SOCK").env("RUSTLE_A", "one");
            text_of(command).lines().filter(|line| !is_of_the_vendor(line)).map(str::to_owned).collect()
        };
        (lines(&mut program), lines(&mut ssh))
    }
}

#[test]
fn the_command_prints_what_ssh_prints() {
    interop(|_| async {
        let both = Both { folder: Scratch::new() };
        let (ours, theirs) = both.ask("", &["web"]);
        let own: BTreeSet<&String> = ours.iter().filter(|line| !theirs.contains(line)).collect();
        let others: BTreeSet<&String> = theirs.iter().filter(|line| !ours.contains(line)).collect();
        for line in own.iter().chain(&others) {
            let name = line.split(' ').next().unwrap_or_default();
            assert!(OWN_DEFAULTS.contains(&name), "a default of our own that nobody wrote down: {line}");
        }
        let cases: [(&str, &[&str]); 24] = [
            ("", &["web"]),
            ("", &["alice@web"]),
            ("", &["ssh://alice@web:2200"]),
            ("", &["alice@2001:db8::1"]),
            ("", &["-p", "2200", "-l", "bob", "web"]),
            ("", &["-i", "/dev/null", "web"]),
            ("", &["-o", "User=carol", "-o", "Port 23", "web"]),
            ("Host web\n HostName web-1.example.com\n User deploy\n Port 2222\nHost *\n Port 23\n", &["web"]),
            ("Host !web *\n User other\nHost w?b\n Port 24\n", &["web"]),
            ("Match host web user alice\n Port 25\nMatch all\n Compression yes\n", &["alice@web"]),
            ("Match exec \"test %h = web\"\n User of-exec\n", &["web"]),
            (
                "IdentityFile /a/%h-%r\nIdentityFile /b\nIdentitiesOnly yes\nCertificateFile /c\n",
                &["alice@web"],
            ),
            ("ProxyJump bob@bastion:2222,second\n", &["web"]),
            ("ProxyCommand nc %h %p\nProxyUseFdpass no\n", &["web"]),
            ("LocalForward 8080 db:5432\nRemoteForward 9000 localhost:9000\nDynamicForward 1080\n", &["web"]),
            ("SendEnv LANG LC_*\nSetEnv A=1 B=\"two words\"\n", &["web"]),
            ("UserKnownHostsFile /k1 /k2\nGlobalKnownHostsFile /g\nHashKnownHosts yes\n", &["web"]),
            ("StrictHostKeyChecking accept-new\nUpdateHostKeys ask\nVerifyHostKeyDNS yes\n", &["web"]),
            (
                "Ciphers aes256-ctr,aes128-ctr\nMACs hmac-sha2-256\nKexAlgorithms curve25519-sha256\n",
                &["web"],
            ),
            (
                "ServerAliveInterval 7\nServerAliveCountMax 2\nConnectTimeout 3\nConnectionAttempts 4\n",
                &["web"],
            ),
            ("ControlPath ${RUSTLE_A}/%C\nControlMaster auto\nControlPersist 10m\n", &["web"]),
            ("RemoteCommand uptime -p\nRequestTTY force\nSessionType none\n", &["web"]),
            ("IPQoS af21 cs1\nRekeyLimit 1G 1h\nLogLevel VERBOSE\nEscapeChar ^A\n", &["web"]),
            ("AddKeysToAgent confirm 5m\nForwardAgent yes\nIdentityAgent none\n", &["web"]),
        ];
        for (config, arguments) in cases {
            let (ours, theirs) = both.ask(config, arguments);
            let ours: Vec<&String> = ours.iter().filter(|line| !own.contains(line)).collect();
            let theirs: Vec<&String> = theirs.iter().filter(|line| !others.contains(line)).collect();
            assert_eq!(ours, theirs, "{config:?} {arguments:?}");
        }
    });
}
