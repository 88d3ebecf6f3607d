//! Configurations in memory and the ways to a host that come of them.

use rustle_ssh_config::MemorySource;
use secrecy::SecretString;

use super::*;
use crate::error::{Error, ErrorKind};

fn resolved(config: &str, builder: &HostSetupBuilder) -> Result<HostSetup, Error> {
    builder.resolve_from(&MemorySource::new("alice", "/home/alice").file("/home/alice/.ssh/config", config))
}

/// The hosts on the way, nearest to this machine first, and the target.
fn way(config: &str, builder: &HostSetupBuilder) -> Vec<String> {
    let setup = resolved(config, builder).unwrap();
    let mut hosts = vec![setup.connector().target().to_string()];
    let mut connector = setup.connector();
    while let Some(hop) = connector.jump_host() {
        connector = hop.connector();
        hosts.insert(0, connector.target().to_string());
    }
    hosts
}

fn web() -> HostSetupBuilder {
    HostSetup::builder("web")
}

fn refusal(config: &str, builder: &HostSetupBuilder) -> String {
    let error = resolved(config, builder).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
    error.to_string()
}

#[test]
fn each_host_is_what_its_own_block_says() {
    let config = "Host web\n HostName web.internal\n User deploy\n ProxyJump inner\n\
                  Host inner\n HostName 10.0.0.9\n Port 2200\n User ops\n ProxyJump bastion\n\
                  Host bastion\n HostName bastion.example.com\n";
    assert_eq!(
        way(config, &web()),
        ["alice@bastion.example.com:22", "ops@10.0.0.9:2200", "deploy@web.internal:22"]
    );
    // What the target is asked for is not asked of the hosts on the way.
    let asked = web().user("other").port(7).option("HostName=elsewhere").option("ProxyJump=bastion");
    assert_eq!(way(config, &asked), ["alice@bastion.example.com:22", "other@elsewhere:7"]);
}

#[test]
fn nobody_is_asked_about_the_keys_of_a_jump_host_while_what_is_behind_it_runs() {
    let config = "Host web\n ProxyJump bastion\nHost *\n UpdateHostKeys ask\n";
    let source = MemorySource::new("alice", "/home/alice").file("/home/alice/.ssh/config", config);
    let files = config::ConfigFile::defaults(&source).unwrap();
    let settings = config::resolve(&web().query().unwrap(), &files, &source).unwrap();
    let hop = jump_builder(&web(), &settings.proxy_jump()[0], &[]);
    let hop = config::resolve(&hop.query().unwrap(), &files, &source).unwrap();
    assert_eq!(settings.update_host_keys(), config::YesNoAsk::Ask);
    assert_eq!(hop.update_host_keys(), config::YesNoAsk::No);
}

#[test]
fn of_a_list_only_the_first_host_has_a_way_of_its_own() {
    let config = "Host web\n ProxyJump a,bob@b:2222\nHost a\n ProxyJump front\nHost b\n ProxyJump nowhere\n";
    assert_eq!(way(config, &web()), ["alice@front:22", "alice@a:22", "bob@b:2222", "alice@web:22"]);
    let config = "Host web\n ProxyJump ssh://[2001:db8::1]:2222,x@y@z\n";
    let error = resolved(config, &web()).err().map(|error| error.to_string());
    assert!(
        error.is_some_and(|error| error.contains("ProxyJump")),
        "an address is no domain there, as with ssh"
    );
    // The scope of an address is no token, wherever it stands.
    let config = "Host web\n ProxyJump [fe80::1%%eth0],bob@z\nHost z\n ProxyJump none\n";
    assert_eq!(way(config, &web()), ["alice@[fe80::1%eth0]:22", "bob@z:22", "alice@web:22"]);
    let config = "Host web\n ProxyJump [2001:db8::1]:2222,bob@z\nHost z\n ProxyJump none\n";
    assert_eq!(way(config, &web()), ["alice@[2001:db8::1]:2222", "bob@z:22", "alice@web:22"]);
}

#[test]
fn none_is_no_way_and_whoever_comes_first_decides() {
    let config = "Host bastion\n ProxyJump none\nHost *\n ProxyJump bastion\n";
    assert_eq!(way(config, &web()), ["alice@bastion:22", "alice@web:22"]);
    assert_eq!(way(config, &web().option("ProxyJump=none")), ["alice@web:22"]);
    let command = resolved("ProxyCommand nc %h %p\nProxyJump bastion\n", &web()).unwrap();
    assert!(command.connector().jump_host().is_none());
    assert!(format!("{:?}", command.connector()).contains("route: Command"));
    let none = resolved("ProxyCommand none\nProxyJump bastion\n", &web()).unwrap();
    assert!(format!("{:?}", none.connector()).contains("route: Dial"));
}

#[test]
fn a_host_that_needs_itself_is_named_with_the_way_back_to_it() {
    let shown = refusal("Host *\n ProxyJump bastion\n", &web());
    assert!(shown.contains("bastion would be reached through itself"), "{shown}");
    let ring = "Host a\n ProxyJump b\nHost b\n ProxyJump c\nHost c\n ProxyJump a\n";
    let shown = refusal(ring, &HostSetup::builder("a"));
    assert!(shown.contains("a needs b needs c needs a"), "{shown}");
    assert!(resolved(ring, &HostSetup::builder("a")).unwrap_err().hint().unwrap().contains("ProxyJump none"));
    // The same host twice in a list needs nobody: it is odd, and ends.
    assert_eq!(way("Host web\n ProxyJump a,b,a\n", &web()).len(), 4);
}

#[test]
fn sixteen_hosts_are_the_most() {
    let chain = |count: usize| {
        (0..count).fold(String::new(), |text, n| text + &format!("Host h{n}\n ProxyJump h{}\n", n + 1))
    };
    assert_eq!(way(&chain(16), &HostSetup::builder("h0")).len(), 17);
    let shown = refusal(&chain(17), &HostSetup::builder("h0"));
    assert!(shown.contains("more than 16 jump hosts"), "{shown}");
}

#[test]
fn what_is_wrong_with_a_jump_hosts_own_configuration_is_said_of_it() {
    let shown = refusal("Host web\n ProxyJump b\nHost b\n Ciphers aes999\n", &web());
    assert!(shown.contains("through jump host b") && shown.contains("config:4: Ciphers"), "{shown}");
}

#[test]
fn a_password_for_the_target_is_not_for_the_hosts_on_the_way() {
    let builder = web().password(SecretString::from("hunter2")).identity("/keys/mine");
    let setup = resolved("Host web\n ProxyJump b\nHost b\n IdentityFile /keys/b\n", &builder).unwrap();
    let hop = format!("{:?}", setup.connector().jump_host().unwrap());
    assert!(hop.contains("/keys/b") && !hop.contains("/keys/mine"), "{hop}");
    let password = |shown: &str| shown.contains("password: \"[redacted]\"");
    assert!(password(&format!("{:?}", setup.credentials())), "{:?}", setup.credentials());
    assert!(!password(&hop), "{hop}");
}

#[test]
fn what_a_command_cannot_do_is_refused() {
    let shown = refusal("ProxyCommand nc -F %h %p\nProxyUseFdpass yes\n", &web());
    assert!(shown.contains("config:2: ProxyUseFdpass"), "{shown}");
    assert!(refusal("ProxyCommand -\n", &web()).contains("config:1: ProxyCommand"));
    // Nothing that a shell reads comes out of a name (CVE-2023-51385).
    let asked = HostSetup::builder("web").option("HostName=$(id)").option("ProxyCommand=nc %h %p");
    refusal("", &asked);
}
