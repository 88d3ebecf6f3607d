//! Who shares a connection: those alone who would reach, trust and log in to the same host in the same way.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustle_pool::{ErrorKind, Pool};
use rustle_session::{AgentSource, ErrorKind as SessionErrorKind, HostSetup, HostSetupBuilder, SecretString};
use rustle_testserver::{Builder, TestServer, User};

use crate::support::{ASKS_NOTHING, Person, place, server, shut_down_and_check, way};

/// Lets in whoever comes: a configuration file holds no password.
fn open() -> Builder {
    TestServer::builder()
        .user(User::new("alice").none())
        .user(User::new("bob").none())
        .direct_tcpip()
        .builtins()
}

/// Lines of a configuration, each something that a host's connection depends on.
const MATTERS: &[&str] = &[
    "User bob",
    "HostName localhost",
    "StrictHostKeyChecking accept-new",
    "UserKnownHostsFile {folder}/hosts",
    "GlobalKnownHostsFile /dev/null",
    "HostKeyAlias other",
    "CheckHostIP yes",
    "HostKeyAlgorithms ssh-ed25519",
    "Ciphers aes256-ctr",
    "KexAlgorithms curve25519-sha256",
    "MACs hmac-sha2-256",
    "RekeyLimit 1G",
    "IdentityFile other-key",
    "IdentitiesOnly yes",
    "IdentityAgent other-agent",
    "PreferredAuthentications keyboard-interactive",
    "PasswordAuthentication no",
    "BatchMode yes",
];

#[tokio::test]
async fn two_blocks_of_a_file_that_say_the_same_of_a_host_share_one_login() {
    let server = open().start().await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let block = |name: &str| format!("Host {name}\n{}  IdentityFile key\n", place(&server));
    std::fs::write(file.path(), format!("{}{}{ASKS_NOTHING}", block("web"), block("www"))).unwrap();
    let pool = Pool::builder().config_file(file.path()).build().unwrap();
    let (web, www) = tokio::join!(pool.connect("web"), pool.connect("www"));
    assert_eq!(web.unwrap(), www.unwrap());
    for name in ["web", "www"] {
        assert!(pool.get(name).await.unwrap().output("true").await.unwrap().status.success());
    }
    assert_eq!(server.record().connections_accepted(), 1);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_block_that_says_something_else_in_one_line_has_a_login_of_its_own() {
    let server = open().start().await.unwrap();
    let (file, folder) = (tempfile::NamedTempFile::new().unwrap(), tempfile::tempdir().unwrap());
    let mut config = String::new();
    for (n, line) in MATTERS.iter().enumerate() {
        let line = line.replace("{folder}", folder.path().to_str().unwrap());
        config += &format!("Host other-{n} again-{n}\n  {line}\n");
    }
    std::fs::write(file.path(), format!("{config}Host *\n{}{ASKS_NOTHING}", place(&server))).unwrap();
    let pool = Pool::builder().config_file(file.path()).build().unwrap();
    let mut all = BTreeSet::from([pool.connect("web").await.unwrap()]);
    for (n, line) in MATTERS.iter().enumerate() {
        let other = pool.connect(&format!("other-{n}")).await.unwrap();
        assert!(all.insert(other), "{line}");
        // It is the line, and not the name.
        assert_eq!(pool.connect(&format!("again-{n}")).await.unwrap(), other, "{line}");
        assert_eq!(server.record().connections_accepted(), all.len(), "{line}");
    }
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn who_trusts_no_unknown_host_gets_no_connection_of_those_who_do() {
    let server = open().start().await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let strict = "Host strict\n  StrictHostKeyChecking yes\n";
    std::fs::write(file.path(), format!("{strict}Host *\n{}{ASKS_NOTHING}", place(&server))).unwrap();
    let pool = Pool::builder().config_file(file.path()).build().unwrap();
    let lax = pool.connect("lax").await.unwrap();
    let error = pool.connect("strict").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Session(SessionErrorKind::HostKeyUnknown), "{error}");
    assert_eq!(pool.connect("lax").await.unwrap(), lax);
    assert_eq!(server.record().connections_accepted(), 2);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn who_could_not_log_in_alone_does_not_come_in_by_the_connection_of_another() {
    let server = server().start().await.unwrap();
    let pool = Pool::builder().only_registered().build().unwrap();
    let says = |words: &str| Person::new(std::iter::repeat(words.to_owned()));
    let password = |words: &str| way(&server).password(SecretString::from(words.to_owned()));
    let (knows, guesses) = (says("wonderland"), says("mirror"));
    let asked = |person: &Arc<Person>| way(&server).prompter(Arc::<Person>::clone(person));
    for (name, setup) in [
        ("knows", password("wonderland")),
        ("guesses", password("mirror")),
        ("is asked and knows", asked(&knows)),
        ("is asked and guesses", asked(&guesses)),
        ("trusts whoever is there", password("wonderland")),
        ("trusts nobody", distrustful(&server)),
    ] {
        pool.register(name, setup.resolve().unwrap());
    }
    let mut all = BTreeSet::new();
    for name in ["knows", "is asked and knows", "trusts whoever is there"] {
        assert!(all.insert(pool.connect(name).await.unwrap()), "{name}");
    }
    for (name, kind) in [
        ("guesses", SessionErrorKind::AuthenticationFailed),
        ("is asked and guesses", SessionErrorKind::AuthenticationFailed),
        ("trusts nobody", SessionErrorKind::HostKeyUnknown),
    ] {
        let error = pool.get(name).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Session(kind), "{name}: {error}");
    }
    assert_eq!(knows.asked(), 1);
    assert!(guesses.asked() >= 1);
    assert_eq!(server.record().connections_accepted(), 6);
    shut_down_and_check(pool, server).await;
}

/// As the others log in, were the host known.
fn distrustful(server: &TestServer) -> HostSetupBuilder {
    let setup = HostSetup::builder("alice@127.0.0.1").without_config_files().port(server.port());
    let options = ["StrictHostKeyChecking=yes", "UserKnownHostsFile=/dev/null", "PubkeyAuthentication=no"];
    let setup = options.iter().fold(setup, |setup, option| setup.option(*option));
    setup.agent(AgentSource::None).password(SecretString::from("wonderland"))
}

#[tokio::test]
async fn a_jump_host_is_logged_in_to_once_for_each_who_would_log_in_otherwise() {
    let [bastion, web] = [open().start().await.unwrap(), open().start().await.unwrap()];
    let file = tempfile::NamedTempFile::new().unwrap();
    let config = format!(
        "Host bastion\n{}Host web\n{}  ProxyJump bastion\n{ASKS_NOTHING}",
        place(&bastion),
        place(&web)
    );
    std::fs::write(file.path(), config).unwrap();
    let setup = || HostSetup::builder("web").config_file(file.path());
    let persons = [(); 2].map(|()| Person::new(std::iter::empty()));
    let asks = |n: usize| setup().prompter(Arc::<Person>::clone(&persons[n]));
    let agent = |path: &str| setup().agent(AgentSource::Path(path.into()));
    let password = |words: &str| setup().password(SecretString::from(words.to_owned()));
    let pool = Pool::builder().only_registered().build().unwrap();
    // Each with the logins at the bastion once it is connected.
    for (n, (builder, logins)) in [
        (setup(), 1),
        (setup(), 1),
        // A password for a host is not for the one on the way.
        (password("wonderland"), 1),
        (password("mirror"), 1),
        (asks(0), 2),
        (asks(0), 2),
        (asks(1), 3),
        (agent("one"), 4),
        (agent("one"), 4),
        (agent("other"), 5),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("web-{n}");
        pool.register(&name, builder.resolve().unwrap());
        pool.connect(&name).await.unwrap();
        let accepted = [&bastion, &web].map(|server| server.record().connections_accepted());
        assert_eq!(accepted, [logins, n + 1], "{name}");
    }
    shut_down_and_check(pool, bastion).await;
    web.stop().await.unwrap();
}
