//! What files mean.

use std::io;
use std::time::Duration;

use rustle_ssh_config::{
    AddressFamily, AlgorithmList, ConfigErrorKind, ConfigFile, Defaults, FoundHost, IdentityAgent, Keyword,
    LogLevel, MemorySource, Origin, Query, RequestTty, Settings, Source, SourceFile, StrictHostKeyChecking,
    WarningLevel, resolve,
};

pub(crate) const CONFIG: &str = "/home/alice/.ssh/config";

pub(crate) fn source() -> MemorySource {
    MemorySource::new("alice", "/home/alice").host_name("pc.example.com").variable("KEYS", "/keys")
}

pub(crate) fn ask(query: &Query, source: &MemorySource) -> Settings {
    resolve(query, &ConfigFile::defaults(source).unwrap(), source).unwrap()
}

fn web(text: &str) -> Settings {
    ask(&Query::new("web"), &source().file(CONFIG, text))
}

fn paths(settings: &Settings) -> Vec<&str> {
    settings.identity_files().iter().map(|file| file.path()).collect()
}

#[test]
fn nothing_configured_gives_the_defaults_of_ssh() {
    let settings = ask(&Query::new("Web.Example"), &source());
    assert_eq!(settings.alias(), "Web.Example");
    assert_eq!(settings.hostname(), "web.example");
    assert_eq!((settings.user(), settings.port()), ("alice", 22));
    assert_eq!(paths(&settings)[0], "/home/alice/.ssh/id_rsa");
    assert_eq!(settings.identity_files().len(), 5);
    assert_eq!(
        settings.user_known_hosts_files(),
        ["/home/alice/.ssh/known_hosts", "/home/alice/.ssh/known_hosts2"]
    );
    assert_eq!(
        settings.global_known_hosts_files(),
        ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"]
    );
    assert_eq!(settings.strict_host_key_checking(), StrictHostKeyChecking::Ask);
    assert_eq!(settings.identity_agent(), &IdentityAgent::Environment("SSH_AUTH_SOCK".to_owned()));
    assert_eq!(settings.ciphers(), None);
    assert_eq!(settings.connect_timeout(), None);
    assert_eq!(settings.server_alive_interval(), None);
    assert_eq!(settings.log_level(), LogLevel::Info);
    assert_eq!(settings.set_keywords().count(), 0);
    assert!(settings.warnings().is_empty());
}

#[test]
fn the_first_value_wins_and_identity_files_add_up() {
    let settings = web(
        "Host web\n Port 1\n IdentityFile a\nHost *\n Port 2\n IdentityFile b\n IdentityFile a\n IdentityFile none\n",
    );
    assert_eq!(settings.port(), 1);
    assert_eq!(paths(&settings), ["a", "b"]);
    assert_eq!(settings.origin(Keyword::Port).to_string(), "/home/alice/.ssh/config:2");
    assert_eq!(settings.identity_files()[1].origin().to_string(), "/home/alice/.ssh/config:6");
    assert_eq!(settings.origin(Keyword::User), &Origin::Default);
}

#[test]
fn options_come_before_files() {
    let source = source().file(CONFIG, "User file\nPort 1\nIdentityFile b\n");
    let query = Query::new("web").user("typed").identity_file("~/a").option("Port=3").option("batchmode yes");
    let settings = ask(&query, &source);
    assert_eq!((settings.user(), settings.port(), settings.batch_mode()), ("typed", 3, true));
    assert_eq!(paths(&settings), ["/home/alice/a", "b"]);
    assert_eq!(settings.origin(Keyword::Port), &Origin::CommandLine);
}

#[test]
fn a_time_of_none_leaves_the_keyword_to_a_later_value() {
    let origin = |text: &str| {
        let settings = web(text);
        (settings.server_alive_interval(), settings.origin(Keyword::ServerAliveInterval).to_string())
    };
    let none = "ServerAliveInterval none\n";
    assert_eq!(origin(none), (None, "/home/alice/.ssh/config:1".to_owned()));
    let later = origin(&format!("{none}ServerAliveInterval 7\nServerAliveInterval 8\n"));
    assert_eq!(later, (Some(Duration::from_secs(7)), "/home/alice/.ssh/config:2".to_owned()));
}

#[test]
fn a_user_who_is_typed_has_no_tokens_and_one_of_an_option_has() {
    assert_eq!(ask(&Query::new("web").user("50%$u"), &source()).user(), "50%$u");
    assert_eq!(ask(&Query::new("web").option("User=%u-%h"), &source()).user(), "alice-web");
}

#[test]
fn the_users_file_comes_before_the_systems() {
    let source = source().file(CONFIG, "User mine\n").file("/etc/ssh/ssh_config", "User theirs\nPort 5\n");
    let settings = ask(&Query::new("web"), &source);
    assert_eq!((settings.user(), settings.port()), ("mine", 5));
    assert_eq!(settings.origin(Keyword::Port).to_string(), "/etc/ssh/ssh_config:2");
}

#[test]
fn every_setting_is_read() {
    let settings = web(concat!(
        "AddressFamily inet6\nConnectTimeout 1m\nConnectionAttempts 4\nServerAliveInterval 15\n",
        "ServerAliveCountMax 2\nTCPKeepAlive no\nRequestTTY force\nLogLevel debug2\nHashKnownHosts yes\n",
        "HostKeyAlias other\nIdentitiesOnly yes\nCertificateFile ~/c\nCiphers +3des-cbc\nMACs hmac-sha2-256\n",
        "KexAlgorithms ^curve25519-sha256\nHostKeyAlgorithms -ssh-rsa*\nPreferredAuthentications publickey,password\n",
        "PubkeyAuthentication no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n",
        "NumberOfPasswordPrompts 1\nSendEnv LANG LC_*\nSendEnv FOO -LC_*\nSetEnv A=1 \"B=two words\" A=3\n",
        "SetEnv C=3\nRekeyLimit 1G 1h\nRequiredRSASize 2048\nStrictHostKeyChecking accept-new\n",
        "PubkeyAcceptedAlgorithms ssh-ed25519\nCASignatureAlgorithms ssh-ed25519\n",
    ));
    assert_eq!(settings.address_family(), AddressFamily::Inet6);
    assert_eq!(settings.connect_timeout(), Some(Duration::from_secs(60)));
    assert_eq!(settings.connection_attempts(), 4);
    assert_eq!(settings.server_alive_interval(), Some(Duration::from_secs(15)));
    assert_eq!(settings.server_alive_count_max(), 2);
    assert!(!settings.tcp_keep_alive() && settings.hash_known_hosts() && settings.identities_only());
    assert_eq!(settings.request_tty(), RequestTty::Force);
    assert_eq!(settings.log_level(), LogLevel::Debug2);
    assert_eq!(settings.host_key_alias(), Some("other"));
    assert_eq!(settings.certificate_files()[0].path(), "/home/alice/c");
    assert_eq!(settings.ciphers(), Some(&AlgorithmList::Append(vec!["3des-cbc".to_owned()])));
    assert_eq!(settings.macs(), Some(&AlgorithmList::Only(vec!["hmac-sha2-256".to_owned()])));
    assert_eq!(
        settings.kex_algorithms().unwrap().apply(&["a", "curve25519-sha256"]),
        ["curve25519-sha256", "a"]
    );
    assert_eq!(settings.host_key_algorithms().unwrap().apply(&["ssh-rsa", "x"]), ["x"]);
    assert_eq!(settings.preferred_authentications().unwrap().collect::<Vec<_>>(), ["publickey", "password"]);
    assert_eq!(settings.pubkey_authentication().to_string(), "false");
    assert!(!settings.password_authentication() && !settings.kbd_interactive_authentication());
    assert_eq!(settings.number_of_password_prompts(), 1);
    assert_eq!(settings.send_env(), ["LANG", "FOO"]);
    let set = [("A", "1"), ("B", "two words")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(settings.set_env(), set);
    assert_eq!(settings.rekey_limit().bytes(), Some(1 << 30));
    assert_eq!(settings.rekey_limit().interval(), Some(Duration::from_secs(3600)));
    assert_eq!(settings.required_rsa_size(), 2048);
    assert_eq!(settings.strict_host_key_checking(), StrictHostKeyChecking::AcceptNew);
    assert!(settings.warnings().is_empty());
}

#[test]
fn tokens_and_environment_are_expanded_where_ssh_does() {
    let settings = web(concat!(
        "HostName %h.example.com\nUser bob\nPort 2222\nIdentityFile ${KEYS}/%u@%L:%h-%n-%p-%r\n",
        "IdentityFile %d/%%\nUserKnownHostsFile ~/kh ${KEYS}/%k\nIdentityAgent ~/agent-%i\nSetEnv WHERE=%h\n",
    ));
    assert_eq!(settings.hostname(), "web.example.com");
    assert_eq!(paths(&settings), ["/keys/alice@pc:web.example.com-web-2222-bob", "/home/alice/%"]);
    assert_eq!(settings.user_known_hosts_files(), ["/home/alice/kh", "/keys/web"]);
    assert_eq!(settings.identity_agent(), &IdentityAgent::Path("/home/alice/agent-1000".to_owned()));
    assert_eq!(settings.set_env()[0].1, "web.example.com");
}

#[test]
fn none_empties_what_it_stands_for() {
    let settings =
        web("UserKnownHostsFile none\nGlobalKnownHostsFile NONE\nIdentityAgent none\nIdentityFile none\n");
    assert!(settings.user_known_hosts_files().is_empty());
    assert!(settings.global_known_hosts_files().is_empty());
    assert!(settings.identity_files().is_empty());
    assert_eq!(settings.identity_agent(), &IdentityAgent::None);
}

#[test]
fn an_agent_may_be_named_by_a_variable() {
    let agent = |text: &str| web(text).identity_agent().clone();
    assert_eq!(agent("IdentityAgent $MY_SOCK\n"), IdentityAgent::Environment("MY_SOCK".to_owned()));
    assert_eq!(
        agent("IdentityAgent SSH_AUTH_SOCK\n"),
        IdentityAgent::Environment("SSH_AUTH_SOCK".to_owned())
    );
    assert_eq!(agent("IdentityAgent ${KEYS}/s\n"), IdentityAgent::Path("/keys/s".to_owned()));
}

#[test]
fn includes_are_found_beside_the_file_and_end_their_blocks() {
    let source = source()
        .file(
            CONFIG,
            "Include conf.d/*.conf none.conf\nPort 9\nHost web\n Include ~/more /abs/file\nUser last\n",
        )
        .file("/home/alice/.ssh/conf.d/20.conf", "LogLevel error\n")
        .file("/home/alice/.ssh/conf.d/10.conf", "LogLevel debug\nHost other\nPort 1\n")
        .file("/home/alice/more", "Host nobody\nUser wrong\n")
        .file("/abs/file", "User right\n");
    let settings = ask(&Query::new("web"), &source);
    assert_eq!((settings.port(), settings.user()), (9, "right"));
    assert_eq!(settings.origin(Keyword::LogLevel).to_string(), "/home/alice/.ssh/conf.d/10.conf:1");
}

#[test]
fn an_include_in_a_block_that_does_not_apply_changes_nothing() {
    let source = source()
        .file(CONFIG, "Host other\nInclude x\n")
        .file("/home/alice/.ssh/x", "Port 1\nHost *\nPort 2\nMatch all\nPort 3\n");
    assert_eq!(ask(&Query::new("web"), &source).port(), 22);
}

#[test]
fn the_systems_includes_are_beside_it() {
    let source = source()
        .file("/etc/ssh/ssh_config", "Include ssh_config.d/*.conf\nPort 2\n")
        .file("/etc/ssh/ssh_config.d/a.conf", "Port 1\n");
    assert_eq!(ask(&Query::new("web"), &source).port(), 1);
}

#[test]
fn match_final_reads_the_files_again_with_the_final_name() {
    let settings = web(concat!(
        "Host web\n HostName Real.example.com\nHost real.example.com\n Port 7\n",
        "Match final host real.*\n User late\nMatch final all\n LogLevel debug\n",
    ));
    assert_eq!((settings.port(), settings.user()), (7, "late"));
    assert_eq!(settings.log_level(), LogLevel::Debug1);
}

#[test]
fn without_match_final_the_final_name_selects_no_blocks() {
    let settings = web("Host web\n HostName real\nHost real\n Port 7\nMatch host real\n User late\n");
    assert_eq!((settings.port(), settings.user()), (22, "late"));
}

#[test]
fn a_tag_selects_blocks() {
    let source = source().file(CONFIG, "Match tagged work\n Port 5\nMatch tagged \"\"\n Port 6\n");
    assert_eq!(ask(&Query::new("web").tag("work"), &source).port(), 5);
    assert_eq!(ask(&Query::new("web"), &source).port(), 6);
    assert_eq!(web("Tag work\nMatch tagged w*\n Port 5\n").port(), 5);
}

/// Knows `www` in one domain, where it is an alias.
fn named() -> MemorySource {
    source()
        .found("www.a.example.", FoundHost::new().canonical_name("web-7.b.example."))
        .found("db.c.example.", FoundHost::new())
        .found("far", FoundHost::new().canonical_name("far.b.example"))
}

fn canonical(host: &str, text: &str) -> String {
    let source = named().file(CONFIG, text);
    ask(&Query::new(host), &source).hostname().to_owned()
}

#[test]
fn short_names_are_completed_by_the_first_domain_that_has_them() {
    let domains = "CanonicalizeHostname yes\nCanonicalDomains c.example A.example\n";
    assert_eq!(canonical("WWW", domains), "www.a.example");
    assert_eq!(canonical("db", domains), "db.c.example");
    assert_eq!(canonical("nobody", domains), "nobody");
    // Two dots are more than CanonicalizeMaxDots allows by default.
    assert_eq!(canonical("www.a.example", &domains.replace("A.example", "invalid")), "www.a.example");
    assert_eq!(canonical("www.a.example.", domains), "www.a.example");
    assert_eq!(canonical("10.1", domains), "10.0.0.1");
    assert_eq!(canonical("www", "CanonicalDomains a.example\n"), "www");
}

#[test]
fn the_files_are_read_again_with_the_canonical_name() {
    let settings = ask(
        &Query::new("www"),
        &named().file(
            CONFIG,
            "CanonicalizeHostname yes\nCanonicalDomains a.example\nMatch canonical host *.a.example\n Port 5\n\
             Host www.a.example\n User late\nHost www\n Port 6\nMatch originalhost www final\n LogLevel debug\n",
        ),
    );
    // The first reading has the short name's port; the canonical name's comes too late for it.
    assert_eq!((settings.port(), settings.user()), (6, "late"));
    assert_eq!(settings.log_level(), LogLevel::Debug1);
}

#[test]
fn aliases_are_followed_where_a_rule_permits() {
    let with = |rule: &str| {
        let text = format!(
            "CanonicalizeHostname yes\nCanonicalDomains a.example\nCanonicalizePermittedCNAMEs {rule}\n"
        );
        canonical("www", &text)
    };
    assert_eq!(with("*.a.example:*.b.example"), "web-7.b.example");
    assert_eq!(with("*.a.example:*.x.example"), "www.a.example");
    assert_eq!(with("*"), "web-7.b.example");
    assert_eq!(with("none"), "www.a.example");
    // A name in none of the domains is looked up as it is.
    let rules = "CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs *:*.b.example\n";
    assert_eq!(canonical("far", rules), "far.b.example");
}

#[test]
fn a_proxy_looks_names_up_itself_unless_always_is_said() {
    let proxy = "CanonicalDomains a.example\nProxyJump bastion\n";
    assert_eq!(canonical("www", &format!("CanonicalizeHostname yes\n{proxy}")), "www");
    assert_eq!(canonical("www", &format!("CanonicalizeHostname always\n{proxy}")), "www.a.example");
}

#[test]
fn a_name_that_must_be_found_and_is_not_is_an_error() {
    let refused = |text: &str| {
        let source = named().file(CONFIG, text);
        resolve(&Query::new("nobody"), &ConfigFile::defaults(&source).unwrap(), &source).unwrap_err()
    };
    let text = "CanonicalizeHostname yes\nCanonicalDomains a.example\nCanonicalizeFallbackLocal no\n";
    assert_eq!(refused(text).kind(), ConfigErrorKind::InvalidName);
    let text = "CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs *:*\n";
    assert_eq!(refused(text).kind(), ConfigErrorKind::Outside);
}

/// A source whose name service does not answer, and does not run commands.
struct Cut(MemorySource);

impl Source for Cut {
    fn read(&self, path: &str, limit: u64) -> io::Result<Option<SourceFile>> {
        self.0.read(path, limit)
    }
    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.0.list(directory)
    }
    fn env(&self, name: &str) -> Option<String> {
        self.0.env(name)
    }
    fn home(&self, user: Option<&str>) -> Option<String> {
        self.0.home(user)
    }
    fn user(&self) -> Option<String> {
        self.0.user()
    }
    fn user_id(&self) -> Option<u32> {
        self.0.user_id()
    }
    fn host(&self) -> Option<String> {
        self.0.host()
    }
    fn system_directory(&self) -> String {
        self.0.system_directory()
    }
}

#[test]
fn a_source_without_a_network_and_commands_says_so() {
    let cut = |text: &str| {
        let source = Cut(source().file(CONFIG, text));
        resolve(&Query::new("web"), &ConfigFile::defaults(&source).unwrap(), &source)
    };
    let settings = cut("CanonicalizeHostname yes\nCanonicalDomains a.example\n").unwrap();
    assert_eq!(settings.hostname(), "web");
    let warning = settings.warnings()[0].to_string();
    assert!(
        warning.contains("config:1: CanonicalizeHostname: web.a.example. could not be looked up"),
        "{warning}"
    );
    assert_eq!(settings.warnings()[0].level(), WarningLevel::Notice);
    for text in ["Match exec true\nPort 1\n", "Match localnetwork 10.0.0.0/8\nPort 1\n"] {
        let error = cut(text).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Outside, "{text}");
        assert_eq!(error.origin().unwrap().to_string(), "/home/alice/.ssh/config:1");
    }
    assert_eq!(cut("Match version OpenSSH_10*\nPort 1\n").unwrap().port(), 1);
}

#[test]
fn commands_and_session_types_select_blocks() {
    let text = "Match command \"git-*\"\n User git\nMatch sessiontype shell\n User person\nMatch sessiontype exec\n Port 5\n";
    let source = source().file(CONFIG, text);
    let settings = ask(&Query::new("web").command("git-upload-pack x"), &source);
    assert_eq!((settings.user(), settings.port()), ("git", 5));
    assert_eq!(ask(&Query::new("web"), &source).user(), "person");
}

#[test]
fn keywords_newer_than_the_installed_ssh_are_read() {
    let settings = web(concat!(
        "Tag work\nChannelTimeout session:*=5m x11=1h\nObscureKeystrokeTiming interval:80\nVersionAddendum %h ${KEYS} # x\n",
        "WarnWeakCrypto no-pq-kex\nRevokedHostKeys ~/a /b/%h\nUserKnownHostsFile /%j\nProxyJump u@first,last:2\n",
        "User ${KEYS}\n",
    ));
    assert_eq!(settings.tag(), Some("work"));
    assert_eq!(settings.channel_timeouts()[1].after(), Duration::from_secs(3_600));
    assert_eq!(settings.obscure_keystroke_timing(), Some(Duration::from_millis(80)));
    assert_eq!(settings.version_addendum(), Some("web /keys"));
    assert_eq!(settings.revoked_host_keys(), ["/home/alice/a", "/b/web"]);
    // `%j` is the host before the last one.
    assert_eq!(settings.user_known_hosts_files(), ["/last"]);
    assert_eq!(settings.user(), "/keys");
    let lines = settings.lines(&Defaults::openssh());
    for line in [
        "tag work",
        "channeltimeout session:*=5m x11=1h",
        "obscurekeystroketiming 80",
        "versionaddendum web /keys",
        "warnweakcrypto no",
        "revokedhostkeys ~/a /b/%h",
        "proxyjump u@first,last:2",
    ] {
        assert!(lines.iter().any(|printed| printed == line), "{line}");
    }
}

#[test]
fn unknown_keywords_are_ignored_where_the_file_says_so() {
    let settings = web("IgnoreUnknown my*,Other\nMyThing 1\nother x y\nPort 2\n");
    assert_eq!(settings.port(), 2);
}

#[test]
fn lines_are_printed_as_ssh_prints_them() {
    let lines = web("UserKnownHostsFile a b\nSendEnv A B\nConnectTimeout 90\nCiphers aes256-ctr\n")
        .lines(&Defaults::openssh());
    for line in [
        "host web",
        "user alice",
        "port 22",
        "userknownhostsfile a b",
        "sendenv A",
        "sendenv B",
        "connecttimeout 90",
        "ciphers aes256-ctr",
        "stricthostkeychecking ask",
        "identityfile ~/.ssh/id_rsa",
        "rekeylimit 0 0",
    ] {
        assert!(lines.iter().any(|printed| printed == line), "{line}");
    }
}
