//! Configurations in memory and what they become; a scripted person and the host keys that are asked about.

use std::sync::Mutex;

use rustle_ssh_config::MemorySource;

use super::*;
use crate::BoxFuture;
use crate::auth::PromptError;
use crate::host_trust::{HostKeyOffer, HostTrust};

fn source(config: &str) -> MemorySource {
    MemorySource::new("alice", "/home/alice").file("/home/alice/.ssh/config", config)
}

fn setup(config: &str) -> HostSetup {
    HostSetup::builder("web").resolve_from(&source(config)).unwrap()
}

fn warned(config: &str) -> Vec<String> {
    setup(config).warnings().iter().map(ToString::to_string).collect()
}

#[test]
fn an_alias_becomes_host_user_and_port() {
    let setup = setup("Host web\n HostName web-1.example.com\n User deploy\n Port 2222\n");
    assert_eq!(setup.connector().target().to_string(), "deploy@web-1.example.com:2222");
    assert!(setup.warnings().is_empty());
}

#[test]
fn what_is_given_goes_before_the_destination_and_that_before_the_configuration() {
    let source = source("User conf\nPort 1\n");
    let target =
        |builder: HostSetupBuilder| builder.resolve_from(&source).unwrap().connector().target().to_string();
    assert_eq!(target(HostSetup::builder("web")), "conf@web:1");
    assert_eq!(target(HostSetup::builder("ssh://url@web:2")), "url@web:2");
    assert_eq!(target(HostSetup::builder("ssh://url@web:2").user("given").port(3)), "given@web:3");
}

#[test]
fn keys_certificates_and_agent_come_from_the_configuration() {
    let config = "IdentityFile ~/.ssh/ci\nCertificateFile ~/.ssh/ci-cert.pub\nIdentitiesOnly yes\nIdentityAgent none\n";
    let builder = HostSetup::builder("web").identity("/keys/first");
    let shown = format!("{:?}", builder.resolve_from(&source(config)).unwrap().credentials());
    assert!(shown.contains(r#"keys: ["/keys/first", "/home/alice/.ssh/ci"]"#), "{shown}");
    assert!(shown.contains(r#"certificates: ["/home/alice/.ssh/ci-cert.pub"]"#), "{shown}");
    assert!(shown.contains("identities_only: true") && shown.contains("agent: None"), "{shown}");
}

#[test]
fn identity_none_tries_no_file_and_a_variable_names_the_agent() {
    let source = source("IdentityFile none\nIdentityAgent $MY_AGENT\n").variable("MY_AGENT", "/run/agent");
    let shown = format!("{:?}", HostSetup::builder("web").resolve_from(&source).unwrap().credentials());
    assert!(shown.contains("default_keys: []"), "{shown}");
    assert!(shown.contains(r#"agent: Path("/run/agent")"#), "{shown}");
}

#[test]
fn methods_follow_the_preferred_order_without_what_is_off() {
    let shown = |config: &str| format!("{:?}", setup(config).credentials());
    assert!(
        shown("PreferredAuthentications password,publickey\n").contains("methods: [Password, PublicKey]")
    );
    assert!(shown("PasswordAuthentication no\n").contains("methods: [PublicKey, KeyboardInteractive]"));
    assert!(shown("NumberOfPasswordPrompts 0\n").contains("methods: [PublicKey]"));
    assert!(shown("BatchMode yes\n").contains("batch: true"));
    assert!(shown("PubkeyAcceptedAlgorithms +ssh-rsa\n").contains(r#""rsa-sha2-256", "ssh-rsa"]"#));
    assert!(
        shown("PubkeyAcceptedAlgorithms -*rsa*,*ecdsa*,*cert*,sk-*\n")
            .contains(r#"accepted: Some(["ssh-ed25519"])"#)
    );
}

#[test]
fn agents_are_asked_lent_and_given_keys_by_the_configuration() {
    let lent = |config: &str| {
        let source = source(config).variable("MY_AGENT", "/run/mine").variable("SSH_AUTH_SOCK", "/run/usual");
        HostSetup::builder("web").resolve_from(&source).unwrap().lent_agent().cloned()
    };
    let path = |path: &str| Some(AgentSource::Path(PathBuf::from(path)));
    assert_eq!(lent(""), None);
    assert_eq!(lent("ForwardAgent yes\n"), Some(AgentSource::Env));
    assert_eq!(lent("ForwardAgent yes\nIdentityAgent /run/keys\n"), path("/run/keys"));
    assert_eq!(lent("ForwardAgent yes\nIdentityAgent none\n"), None);
    assert_eq!(lent("ForwardAgent $MY_AGENT\n"), path("/run/mine"));
    assert_eq!(lent("ForwardAgent $NOT_SET\n"), None);
    assert_eq!(lent("ForwardAgent ~/agent\nIdentityAgent none\n"), path("/home/alice/agent"));

    #[cfg(unix)]
    assert_eq!(setup("ForwardAgent yes\n").lent_agent(), None, "no agent runs");

    let given = |config: &str| {
        let shown = format!("{:?}", setup(config).credentials());
        shown[shown.find("to_agent").unwrap()..].to_owned()
    };
    assert!(given("").starts_with("to_agent: None"));
    assert!(given("AddKeysToAgent no\n").starts_with("to_agent: None"));
    for (value, told) in [
        ("yes", "asking: false, confirm: false, lifetime: None"),
        ("ask", "asking: true, confirm: false, lifetime: None"),
        ("confirm 5m", "asking: false, confirm: true, lifetime: Some(300s)"),
        ("1h", "asking: false, confirm: false, lifetime: Some(3600s)"),
    ] {
        let given = given(&format!("AddKeysToAgent {value}\n"));
        assert!(given.contains(told), "{value}: {given}");
    }
}

#[test]
fn compression_and_the_life_of_keys_come_from_the_configuration() {
    let shown = |config: &str| format!("{:?}", setup(config).connector());
    let methods = |config: &str| {
        let source = source(config);
        let files = ConfigFile::defaults(&source).unwrap();
        let settings = resolve(&Query::new("web"), &files, &source).unwrap();
        settings::algorithms(&settings, &mut Vec::new()).unwrap().compression().to_vec()
    };
    assert_eq!((methods("Compression yes\n"), methods("")), (vec!["zlib@openssh.com", "none"], vec!["none"]));
    let text = shown("RekeyLimit 1G 2h\n");
    assert!(text.contains("rekey_bytes: Some(1073741824), rekey_interval: Some(7200s)"), "{text}");
    assert!(shown("RekeyLimit default none\n").contains("rekey_bytes: None, rekey_interval: None"));
}

#[test]
fn what_is_not_acted_upon_is_a_warning_with_its_place() {
    assert_eq!(
        warned("VersionAddendum x\n"),
        ["/home/alice/.ssh/config:1: VersionAddendum: the version sent is our own"]
    );
    let some = "PreferredAuthentications gssapi-with-mic,publickey\nStrictHostKeyChecking no\nSendEnv LANG\nForwardX11 yes\n";
    let text = warned(some).join("\n");
    for part in [
        ":1: PreferredAuthentications: gssapi-with-mic",
        ":2: StrictHostKeyChecking: taken as accept-new",
        ":4: ForwardX11",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(warned("ConnectionAttempts 1\nRequestTTY auto\nPubkeyAcceptedAlgorithms +ssh-rsa\n").is_empty());
}

#[test]
fn questions_to_a_silent_server_are_asked_unless_the_configuration_says_none() {
    let shown = |config: &str| format!("{:?}", setup(config).connector());
    assert!(shown("").contains("keepalive_interval: Some(30s)"));
    assert!(shown("ServerAliveInterval none\n").contains("keepalive_interval: None"));
    assert!(
        shown("ServerAliveInterval none\nServerAliveInterval 7\n").contains("keepalive_interval: Some(7s)")
    );
}

#[test]
fn an_algorithm_nobody_knows_is_an_error_with_its_place() {
    let error = HostSetup::builder("web").resolve_from(&source("\nCiphers aes999\n")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("/home/alice/.ssh/config:2: Ciphers"), "{error}");
}

#[test]
fn a_configuration_that_cannot_be_followed_is_an_error_with_its_place() {
    for (config, place) in
        [("Host web\nHostNam x\n", "config:2"), ("ProxyUseFdpass yes\nProxyCommand x\n", "config:1")]
    {
        let error = HostSetup::builder("web").resolve_from(&source(config)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains(place), "{error}");
    }
    let missing = HostSetup::builder("web").config_file("/nowhere").resolve_from(&source("")).unwrap_err();
    assert!(missing.to_string().contains("/nowhere"), "{missing}");
}

#[test]
fn no_configuration_file_is_read_when_none_is_wanted() {
    let setup = HostSetup::builder("web").without_config_files().resolve_from(&source("nonsense\n")).unwrap();
    assert_eq!(setup.connector().target().to_string(), "alice@web:22");
}

#[test]
fn debug_shows_neither_password_nor_options() {
    let builder = HostSetup::builder("web").password("hunter2".into()).option("SetEnv TOKEN=hunter2");
    assert!(!format!("{builder:?}").contains("hunter2"));
}

/// Gives these answers in turn and counts the questions.
struct Scripted(Mutex<Vec<Result<HostKeyAnswer, PromptError>>>, Mutex<usize>);

impl HostKeyPrompter for Scripted {
    fn confirm<'a>(&'a self, _: &'a HostKeyOffer) -> BoxFuture<'a, Result<HostKeyAnswer, PromptError>> {
        *self.1.lock().unwrap() += 1;
        let answer = self.0.lock().unwrap().remove(0);
        Box::pin(std::future::ready(answer))
    }
}

fn offer() -> HostKeyOffer {
    let mut wire = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    wire.extend([7; 32]);
    HostKeyOffer::from_wire("web-1", 22, &wire).unwrap()
}

/// The verdict on an unknown host, the questions asked, and what was written down.
async fn asked(answers: Vec<Result<HostKeyAnswer, PromptError>>) -> (Result<()>, usize, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("known_hosts");
    let prompter = Arc::new(Scripted(Mutex::new(answers), Mutex::new(0)));
    let query = Query::new("web-1")
        .option(format!("UserKnownHostsFile=\"{}\"", file.display()))
        .option("GlobalKnownHostsFile=none");
    let settings = resolve(&query, &[], &source("")).unwrap();
    let trust =
        ConfiguredTrust::new(&Arc::new(settings), Some(prompter.clone()), None, &mut Vec::new()).unwrap();
    let verdict = trust.check(&offer()).await;
    let questions = *prompter.1.lock().unwrap();
    (verdict, questions, std::fs::read_to_string(file).unwrap_or_default())
}

#[tokio::test]
async fn a_person_who_says_yes_has_the_key_written_down() {
    let (verdict, questions, written) = asked(vec![Ok(HostKeyAnswer::Unclear), Ok(HostKeyAnswer::Yes)]).await;
    verdict.unwrap();
    assert_eq!(questions, 2);
    assert!(written.starts_with("web-1 ssh-ed25519 "), "{written}");
}

#[tokio::test]
async fn the_right_fingerprint_is_a_yes_and_a_wrong_one_a_refusal() {
    let right = HostKeyAnswer::Fingerprint(offer().fingerprint());
    asked(vec![Ok(right)]).await.0.unwrap();
    let (verdict, _, written) = asked(vec![Ok(HostKeyAnswer::Fingerprint("SHA256:other".to_owned()))]).await;
    assert_eq!(verdict.unwrap_err().kind(), ErrorKind::HostKeyRejected);
    assert_eq!(written, "");
}

#[tokio::test]
async fn every_other_answer_refuses_the_host_and_writes_nothing() {
    for answers in [
        vec![Ok(HostKeyAnswer::No)],
        vec![Err(PromptError::Unavailable)],
        vec![Err(PromptError::Cancelled)],
        vec![Ok(HostKeyAnswer::Unclear), Ok(HostKeyAnswer::Unclear), Ok(HostKeyAnswer::Unclear)],
    ] {
        let count = answers.len();
        let (verdict, questions, written) = asked(answers).await;
        assert_eq!(verdict.unwrap_err().kind(), ErrorKind::HostKeyUnknown);
        assert_eq!((questions, written.as_str()), (count, ""));
    }
}

#[test]
fn debug_tells_the_names_of_variables_and_no_command() {
    let config = "SetEnv TOKEN=hunter2\nSendEnv PATH\nRemoteCommand login hunter3\n";
    let shown = format!("{:?}", setup(config));
    assert!(shown.contains("TOKEN") && shown.contains(r#"offered: ["PATH"]"#), "{shown}");
    let path = std::env::var("PATH").unwrap();
    for secret in ["hunter2", "hunter3", path.as_str()] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn whoever_keeps_no_tcp_connection_alive_has_no_limit_on_outages() {
    let shown = |config: &str| format!("{:?}", setup(config).connector());
    assert!(shown("").contains("user_timeout: Some(60s)"), "{}", shown(""));
    assert!(shown("TCPKeepAlive no\n").contains("user_timeout: None"), "{}", shown("TCPKeepAlive no\n"));
}

#[test]
fn an_address_to_bind_is_looked_up_where_this_machine_dials() {
    // Too long for any name, so that nobody is asked.
    let bind = format!("BindAddress {}\n", "x".repeat(300));
    let resolve = |config: &str| HostSetup::builder("web").resolve_from(&source(config));
    assert!(resolve(&bind).unwrap_err().to_string().contains("BindAddress"));
    assert!(resolve(&format!("{bind}ProxyCommand nc %h %p\n")).is_ok());
    let behind = format!("Host web\n ProxyJump bastion\n {bind}");
    assert!(resolve(&behind).is_ok());
}
