//! Attacks on ssh clients through their configuration, by the numbers under which they are known.

use rustle_ssh_config::{ConfigError, ConfigErrorKind, ConfigFile, MemorySource, Query, Settings, resolve};

use crate::behaviour::{CONFIG, source};

/// What a shell, a terminal or an option parser would take for its own.
const SHELL: [&str; 9] = ["a;id", "$(id)", "`id`", "a|id", "a&id", "a>b", "-oProxyCommand=id", "a'b", "a\"b"];

fn asked(query: &Query, source: &MemorySource) -> Result<Settings, ConfigError> {
    resolve(query, &ConfigFile::defaults(source).unwrap(), source)
}

#[test]
fn cve_2023_51385_metacharacters_in_names_reach_no_command() {
    let source = source().file(CONFIG, "ProxyCommand nc -u %r %h %p\n");
    for name in SHELL {
        let error = asked(&Query::new(name), &source).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::InvalidName, "host {name}");
        let error = asked(&Query::new("web").user(name), &source).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::InvalidName, "user {name}");
    }
    // A name that stands in the file itself is its owner's affair, until a command would be made of it.
    let literal = source.clone().file(CONFIG, "User a;id\nProxyCommand nc -u %r %h %p\n");
    let settings = asked(&Query::new("web"), &literal).unwrap();
    assert_eq!(settings.user(), "a;id");
    let error = settings.proxy_command_line().unwrap_err();
    assert!(error.to_string().contains("must not get into a command"), "{error}");
    let harmless = source.clone().file(CONFIG, "User a;id\nProxyCommand nc %h %p\n");
    let settings = asked(&Query::new("web"), &harmless).unwrap();
    assert_eq!(settings.proxy_command_line().unwrap().as_deref(), Some("nc web 22"));
    for config in [
        "HostName a;id\nProxyCommand nc %h\n",
        "User a;id\nRemoteCommand echo %r\n",
        "HostKeyAlias a;id\nRemoteCommand echo %k\n",
        "User a;id\nMatch exec \"true %r\"\n",
        "User a$IFS-x\nMatch exec \"true %r\"\n",
        "User a$HOME\nRemoteCommand echo %r\n",
        "HostName $(id)\nMatch exec \"true %h\"\n",
        "ProxyJump a;id@bastion\n",
        "ProxyJump bob@$(id)\n",
    ] {
        let asked = asked(&Query::new("web"), &source.clone().file(CONFIG, config));
        assert!(asked.is_err(), "{config}");
    }
}

#[test]
fn cve_2025_61984_control_characters_in_user_names_are_refused() {
    let commands = "ProxyCommand nc -u %r %h\nMatch exec \"true %r\"\n";
    for user in ["a\nid", "a\r", "a\u{1b}]0;x\u{7}", "a\0b", "a\u{85}", "\u{7f}"] {
        let error = asked(&Query::new("web").user(user), &source()).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::InvalidName, "{user:?}");
        assert!(!error.to_string().contains(char::is_control), "{error}");
        // From the environment, by way of a token or an option.
        let source = source().variable("WHO", user).file(CONFIG, format!("User ${{WHO}}\n{commands}"));
        assert!(asked(&Query::new("web"), &source).is_err(), "{user:?}");
        assert!(asked(&Query::new("web").option(format!("User={user}")), &source).is_err(), "{user:?}");
        let source = source.file(CONFIG, format!("ProxyJump {user}@bastion\n"));
        assert!(asked(&Query::new("web"), &source).is_err(), "{user:?}");
    }
    // The local user's name is in `%u`.
    let source = MemorySource::new("a\nid", "/home/alice").file("/c", "Match exec \"true %u\"\n");
    assert!(resolve(&Query::new("web"), &[ConfigFile::explicit("/c")], &source).is_err());
}

#[test]
fn cve_2025_61985_nul_in_addresses_and_lines_is_refused() {
    for text in ["ssh://root%00@bastion", "ssh://%00@bastion", "ssh://a%00b@bastion:22,other"] {
        let source = source().file(CONFIG, format!("ProxyJump {text}\n"));
        let error = asked(&Query::new("web"), &source).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::InvalidValue, "{text}");
    }
    for line in ["User a\0b\n", "ProxyJump a\0b\n", "ProxyCommand nc %h\0x\n", "Host a\0b\n"] {
        let error = asked(&Query::new("web"), &source().file(CONFIG, line)).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Syntax, "{line:?}");
    }
}
