//! The installed ssh is asked the same questions, and its `-G` is compared line by line.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustle_ssh_config::{
    AlgorithmList, ConfigError, ConfigFile, OsSource, Query, Settings, Source, SourceFile, resolve,
};

/// Keywords whose lists ssh prints with its own defaults filled in.
const ALGORITHMS: [&str; 6] = [
    "ciphers",
    "hostkeyalgorithms",
    "kexalgorithms",
    "casignaturealgorithms",
    "macs",
    "pubkeyacceptedalgorithms",
];

/// Names that some versions of ssh try by default, of key types that they no longer or not yet all know.
const OTHER_DEFAULT_KEYS: [&str; 3] = ["~/.ssh/id_xmss", "~/.ssh/id_dsa", "~/.ssh/id_mldsa44_ed25519"];

/// Files to write, the host to ask for, and options.
struct Case {
    files: &'static [(&'static str, &'static str)],
    host: &'static str,
    options: &'static [&'static str],
}

const fn case(text: &'static [(&'static str, &'static str)], host: &'static str) -> Case {
    Case { files: text, host, options: &[] }
}

/// `DIR` stands for the directory of the files.
const CASES: &[Case] = &[
    case(&[("config", "")], "web"),
    case(&[("config", "")], "WEB.Example.COM"),
    case(&[("config", "")], "::1"),
    case(&[("config", "Host web\nHostName 10.0.0.1\nUser deploy\nPort 2222\n")], "web"),
    case(&[("config", "Host web\nHostName=10.0.0.1\nUser = deploy\nPort\t=\t2222\n")], "web"),
    case(&[("config", "Host \"web\"\n\"User\" \"a b\"\nIdentityFile \"/tmp/my key\"\n")], "web"),
    case(&[("config", "Host web db\nPort 1\nHost !web *\nPort 2\nHost w?b\nUser x\n")], "web"),
    case(&[("config", "Host * !web\nPort 1\nHost *\nPort 2\n")], "web"),
    case(&[("config", "  \t Host web # comment\n\tPort 5 # five\n#Port 6\n\n   #x\nUser a#b\n")], "web"),
    case(&[("config", "Host web\r\nPort 5\r\nUser x\r\n")], "web"),
    case(&[("config", "port 1\nPORT 2\nuser a\nUSER b\n")], "web"),
    case(
        &[(
            "config",
            "IdentityFile a\nHost web\nIdentityFile b\nIdentityFile a\nHost *\nIdentityFile ~/c%h\n",
        )],
        "web",
    ),
    case(&[("config", "CertificateFile a\nCertificateFile b\nIdentityFile none\n")], "web"),
    case(&[("config", "HostName %h.example.com\nIdentityFile ~/%r@%n\n")], "Web"),
    case(&[("config", "HostName %%h%h\n")], "web"),
    case(
        &[(
            "config",
            "UserKnownHostsFile ~/a %d/b /%h/%n/%p/%r/%u/%i/%L/%l/%k/%C ${HOME}/c\nHostKeyAlias k\n",
        )],
        "web",
    ),
    case(&[("config", "UserKnownHostsFile none\nGlobalKnownHostsFile none\n")], "web"),
    case(&[("config", "GlobalKnownHostsFile /a /b\nUserKnownHostsFile /c\nUserKnownHostsFile /d\n")], "web"),
    case(&[("config", "IdentityAgent ~/agent.%C\nPort 9\nUser u\n")], "web"),
    case(&[("config", "IdentityAgent none\n")], "web"),
    case(&[("config", "IdentityAgent SSH_AUTH_SOCK\n")], "web"),
    case(&[("config", "IdentityAgent $SOME_SOCK\n")], "web"),
    case(
        &[("config", "Ciphers aes256-ctr,aes128-ctr\nMACs hmac-sha2-256\nKexAlgorithms curve25519-sha256\n")],
        "web",
    ),
    case(&[("config", "Ciphers +aes128-cbc\nMACs ^hmac-sha2-512\nKexAlgorithms -diffie-*,ecdh*\n")], "web"),
    case(
        &[(
            "config",
            "HostKeyAlgorithms ssh-ed25519\nPubkeyAcceptedAlgorithms +ssh-rsa\nCASignatureAlgorithms ssh-ed25519\n",
        )],
        "web",
    ),
    case(
        &[("config", "StrictHostKeyChecking off\nRequestTTY yes\nPubkeyAuthentication host-bound\n")],
        "web",
    ),
    case(
        &[("config", "StrictHostKeyChecking accept-new\nRequestTTY force\nPubkeyAuthentication unbound\n")],
        "web",
    ),
    case(&[("config", "AddressFamily inet\nLogLevel DEBUG1\nTCPKeepAlive no\nKeepAlive yes\n")], "web"),
    case(
        &[(
            "config",
            "PasswordAuthentication no\nChallengeResponseAuthentication no\nDSAAuthentication no\n",
        )],
        "web",
    ),
    case(&[("config", "PreferredAuthentications publickey,password\nNumberOfPasswordPrompts 1\n")], "web"),
    case(
        &[(
            "config",
            "ConnectTimeout 1h30m\nServerAliveInterval 2m\nServerAliveCountMax 9\nConnectionAttempts 7\n",
        )],
        "web",
    ),
    case(&[("config", "ConnectTimeout none\nConnectTimeout 5\nServerAliveInterval none\n")], "web"),
    case(&[("config", "SendEnv A B_* C\nSendEnv -B*\nSendEnv D\nSetEnv X=1 Y=2 X=3\nSetEnv Z=4\n")], "web"),
    case(&[("config", "SetEnv \"A=two words\" B=\"x y\" 'C=q\"q'\n")], "web"),
    case(
        &[("config", "RekeyLimit 1G 1h\nRequiredRSASize 2048\nHashKnownHosts yes\nIdentitiesOnly yes\n")],
        "web",
    ),
    case(&[("config", "RekeyLimit default none\n")], "web"),
    case(
        &[("config", "Match all\nPort 1\nMatch host web,db\nUser a\nMatch originalhost !web,*\nUser b\n")],
        "web",
    ),
    case(
        &[(
            "config",
            "Match host web user root\nPort 1\nMatch !host web\nPort 2\nMatch localuser nobody\nUser q\n",
        )],
        "web",
    ),
    case(
        &[("config", "Host web\nHostName Real\nUser u\nMatch host real user u\nPort 5\nHost real\nPort 6\n")],
        "web",
    ),
    case(
        &[(
            "config",
            "Host web\nHostName real\nMatch final host real\nPort 5\nHost real\nUser late\nIdentityFile z\n",
        )],
        "web",
    ),
    case(
        &[("config", "Match final all\nPort 7\nMatch !final\nUser early\nMatch canonical\nUser late\n")],
        "web",
    ),
    case(&[("config", "IgnoreUnknown Foo*,bar\nFooBar 1\nBAR x y z\nPort 4\n")], "web"),
    case(
        &[
            ("config", "Include DIR/sub/*.conf\nPort 9\n"),
            ("sub/b.conf", "Port 2\nUser b\n"),
            ("sub/a.conf", "User a\n"),
            ("sub/.c.conf", "Port 3\n"),
        ],
        "web",
    ),
    case(
        &[
            ("config", "Host db\nInclude DIR/x\nHost web\nInclude DIR/y\nUser u\n"),
            ("x", "Port 1\nHost *\nPort 2\n"),
            ("y", "Host db\nPort 3\nHost web\nPort 4\n"),
        ],
        "web",
    ),
    case(
        &[("config", "Include DIR/a DIR/none DIR/b\n"), ("a", "Include DIR/b\nPort 1\n"), ("b", "Port 2\n")],
        "web",
    ),
    case(
        &[
            ("config", "Include DIR/[ab] DIR/?x\n"),
            ("a", "User a\n"),
            ("b", "Port 2\n"),
            ("cx", "LogLevel quiet\n"),
        ],
        "web",
    ),
    case(&[("config", "Include DIR/s*\nPort 9\n"), ("sub/x", "Port 1\n"), ("s", "User s\n")], "web"),
    case(&[("config", "ProxyJump none\nProxyCommand none\nVisualHostKey no\nUser x\n")], "web"),
    case(&[("config", "User a\\ b\nIdentityFile a\\\\b\nCertificateFile \\\"q\\\"\n")], "web"),
    case(&[("config", "BatchMode no\nUser DOM\\user\n")], "web"),
    Case {
        files: &[("config", "Port 1\nUser a\nIdentityFile z\n")],
        host: "web",
        options: &["Port=2", "User b", "IdentityFile = y", "SendEnv A B"],
    },
];

/// What both must refuse.
const REFUSED: &[&str] = &[
    "Nonsense 1\n",
    "Port\n",
    "Port 0\n",
    "Port 65536\n",
    "Port 22x\n",
    "Port 1 2\n",
    "User \"a\n",
    "User 'a\n",
    "User a b\n",
    "Host other\nPort x\n",
    "BatchMode 1\n",
    "StrictHostKeyChecking sometimes\n",
    "AddressFamily inet7\n",
    "ConnectTimeout 1x\n",
    "ConnectTimeout -1\n",
    "NumberOfPasswordPrompts many\n",
    "LogLevel loud\n",
    "IdentityFile\n",
    "IdentityFile \"\"\n",
    "UserKnownHostsFile none /x\n",
    "SendEnv A=1\n",
    "SetEnv A\n",
    "Match\n",
    "Match color red\nPort 1\n",
    "Match host\n",
    "Match all host web\n",
    "Host \"\"\n",
    "HostName %p\n",
    "HostName a%\n",
    "UserKnownHostsFile %q\n",
    "UserKnownHostsFile ${RUSTLE_NOT_SET}/x\n",
    "RekeyLimit 3\n",
    "Ciphers nonsense,,\n",
    "Include \"\"\n",
    "RequestTTY perhaps\n",
    "ConnectionAttempts 0\n",
];

/// This machine, with the home directory that ssh looks at: the account's.
struct Account;

impl Source for Account {
    fn read(&self, path: &str, limit: u64) -> io::Result<Option<SourceFile>> {
        OsSource.read(path, limit)
    }
    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        OsSource.list(directory)
    }
    fn env(&self, name: &str) -> Option<String> {
        OsSource.env(name)
    }
    fn home(&self, user: Option<&str>) -> Option<String> {
        OsSource.home(user.map(str::to_owned).or_else(|| OsSource.user()).as_deref())
    }
    fn user(&self) -> Option<String> {
        OsSource.user()
    }
    fn user_id(&self) -> Option<u32> {
        OsSource.user_id()
    }
    fn host(&self) -> Option<String> {
        OsSource.host()
    }
    fn system_directory(&self) -> String {
        OsSource.system_directory()
    }
}

/// Whether there is an ssh to compare with.
fn ssh_is_here(test: &str) -> bool {
    let version = Command::new("ssh").arg("-V").output();
    let usable =
        cfg!(unix) && version.as_ref().is_ok_and(|out| out.status.success()) && Account.home(None).is_some();
    match version {
        Ok(out) if usable => println!("compared with {}", String::from_utf8_lossy(&out.stderr).trim()),
        _ => println!("skipped: {test}: no ssh here"),
    }
    usable
}

fn ssh(config: &Path, host: &str, options: &[String]) -> Result<Vec<String>, String> {
    let mut command = Command::new("ssh");
    command.arg("-G").arg("-F").arg(config);
    for option in options {
        command.arg("-o").arg(option);
    }
    let out = command.arg("--").arg(host).env_remove("SSH_AUTH_SOCK").output().unwrap();
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into_owned());
    }
    Ok(String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect())
}

fn ours(config: &Path, host: &str, options: &[String]) -> Result<Settings, ConfigError> {
    let query = options.iter().fold(Query::new(host), |query, option| query.option(option.clone()));
    resolve(&query, &[ConfigFile::explicit(config.to_str().unwrap())], &Account)
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text.replace("DIR", dir.to_str().unwrap())).unwrap();
    path
}

fn values<'l>(lines: &'l [String], keyword: &str) -> Vec<&'l str> {
    let fits = lines.iter().filter_map(|line| line.split_once(' ').filter(|(name, _)| *name == keyword));
    fits.map(|(_, value)| value).collect()
}

/// What ssh would print for a list of ours, given what it prints when nothing is set.
fn with_defaults(list: Option<&AlgorithmList>, defaults: &str) -> String {
    match list {
        None => defaults.to_owned(),
        Some(list) => list.apply(&defaults.split(',').collect::<Vec<_>>()).join(","),
    }
}

fn assert_same(settings: &Settings, theirs: &[String], defaults: &[String], what: &str) {
    let lines = settings.lines();
    let mut keywords: Vec<&str> = lines.iter().filter_map(|line| Some(line.split_once(' ')?.0)).collect();
    keywords.extend([
        "sendenv",
        "setenv",
        "certificatefile",
        "hostkeyalias",
        "identityagent",
        "preferredauthentications",
    ]);
    keywords.sort_unstable();
    keywords.dedup();
    for keyword in keywords.into_iter().filter(|keyword| !ALGORITHMS.contains(keyword)) {
        let mut theirs = values(theirs, keyword);
        theirs.retain(|value| !OTHER_DEFAULT_KEYS.contains(value));
        assert_eq!(values(&lines, keyword), theirs, "{keyword}\n{what}");
    }
    let lists = [
        settings.ciphers(),
        settings.host_key_algorithms(),
        settings.kex_algorithms(),
        settings.ca_signature_algorithms(),
        settings.macs(),
        settings.pubkey_accepted_algorithms(),
    ];
    for (keyword, list) in ALGORITHMS.into_iter().zip(lists) {
        let wanted = with_defaults(list, values(defaults, keyword)[0]);
        assert_eq!(wanted, values(theirs, keyword)[0], "{keyword}\n{what}");
    }
}

fn defaults(dir: &Path) -> Vec<String> {
    ssh(&write(dir, "empty", ""), "web", &[]).unwrap()
}

#[test]
fn the_corpus_means_to_us_what_it_means_to_ssh() {
    if !ssh_is_here("the_corpus_means_to_us_what_it_means_to_ssh") {
        return;
    }
    for case in CASES {
        let dir = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> =
            case.files.iter().map(|(name, text)| write(dir.path(), name, text)).collect();
        let options: Vec<String> = case.options.iter().map(|option| (*option).to_owned()).collect();
        let what = case.files[0].1;
        let settings = ours(&files[0], case.host, &options).unwrap_or_else(|error| panic!("{error}\n{what}"));
        let theirs = ssh(&files[0], case.host, &options).unwrap_or_else(|error| panic!("{error}\n{what}"));
        assert_same(&settings, &theirs, &defaults(dir.path()), what);
    }
}

#[test]
fn what_ssh_refuses_we_refuse() {
    if !ssh_is_here("what_ssh_refuses_we_refuse") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for text in REFUSED {
        let config = write(dir.path(), "config", text);
        assert!(ssh(&config, "web", &[]).is_err(), "ssh takes {text}");
        assert!(ours(&config, "web", &[]).is_err(), "we take {text}");
    }
}

#[test]
fn generated_files_mean_to_us_what_they_mean_to_ssh() {
    if !ssh_is_here("generated_files_mean_to_us_what_they_mean_to_ssh") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let defaults = defaults(dir.path());
    let mut random = Random(0x55_4801);
    for _ in 0..300 {
        let included = random.lines(4);
        write(dir.path(), "included", &included);
        let text = random.lines(12);
        let config = write(dir.path(), "config", &text);
        for host in ["web", "db.example.com"] {
            let what = format!("{host}\n{text}\nincluded:\n{included}");
            match (ours(&config, host, &[]), ssh(&config, host, &[])) {
                (Ok(settings), Ok(theirs)) => assert_same(&settings, &theirs, &defaults, &what),
                (ours, theirs) => panic!("{ours:?}\n{theirs:?}\n{what}"),
            }
        }
    }
}

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

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        // SplitMix64, seeded: a failure can be repeated.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 33).unwrap() % end
    }

    fn lines(&mut self, most: usize) -> String {
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
