//! What files mean.

use std::time::Duration;

use rustle_ssh_config::{
    AddressFamily, AlgorithmList, ConfigFile, IdentityAgent, Keyword, LogLevel, MemorySource, Origin, Query,
    RequestTty, Settings, StrictHostKeyChecking, resolve,
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

#[test]
fn unknown_keywords_are_ignored_where_the_file_says_so() {
    let settings = web("IgnoreUnknown my*,Other\nMyThing 1\nother x y\nPort 2\n");
    assert_eq!(settings.port(), 2);
}

#[test]
fn lines_are_printed_as_ssh_prints_them() {
    let lines = web("UserKnownHostsFile a b\nSendEnv A B\nConnectTimeout 90\nCiphers aes256-ctr\n").lines();
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
