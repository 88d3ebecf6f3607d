//! What is refused, and what is ignored with a word.

use rustle_ssh_config::{
    ConfigError, ConfigErrorKind, ConfigFile, Keyword, MemorySource, Query, Standing, Support, resolve,
};

use crate::behaviour::{CONFIG, ask, source};

fn refused_by(query: &Query, source: &MemorySource) -> ConfigError {
    resolve(query, &ConfigFile::defaults(source).unwrap(), source).unwrap_err()
}

fn refused(text: &str) -> ConfigError {
    refused_by(&Query::new("web"), &source().file(CONFIG, text))
}

fn warnings(text: &str) -> Vec<String> {
    let settings = ask(&Query::new("web"), &source().file(CONFIG, text));
    settings.warnings().iter().map(ToString::to_string).collect()
}

#[test]
fn an_unknown_keyword_names_file_and_line() {
    let error = refused("Port 22\n\n  HostNam x\n");
    assert_eq!(error.kind(), ConfigErrorKind::UnknownKeyword);
    assert_eq!(
        error.to_string(),
        "/home/alice/.ssh/config:3: Bad configuration option: \"HostNam\"; \
         correct it, or name it in IgnoreUnknown before this line"
    );
    assert_eq!(error.code(), "SSH_CONFIG_ERROR");
}

#[test]
fn bad_values_are_refused_even_in_blocks_that_do_not_apply() {
    for line in [
        "Port 0",
        "Port x",
        "Port",
        "Port 1 2",
        "ConnectTimeout soon",
        "BatchMode maybe",
        "IdentityFile \"\"",
        "StrictHostKeyChecking never",
        "AddressFamily ipx",
        "Ciphers a,,b",
        "SendEnv A=b",
        "SetEnv A",
        "UserKnownHostsFile none x",
        "User \"a",
        "LogLevel loud",
        "RekeyLimit 1",
        "NumberOfPasswordPrompts -1",
        "User a b",
        "Include \"\"",
    ] {
        for text in [format!("{line}\n"), format!("Host other\n  {line}\n")] {
            if text.starts_with("Host") && line.starts_with("Include") {
                continue;
            }
            let error = refused(&text);
            assert!(
                matches!(error.kind(), ConfigErrorKind::InvalidValue | ConfigErrorKind::Syntax),
                "{text}: {error}"
            );
            assert!(error.to_string().starts_with("/home/alice/.ssh/config:"), "{error}");
        }
    }
}

#[test]
fn what_would_reach_or_trust_another_is_refused_where_it_applies() {
    for (line, keyword) in [
        ("ProxyJump bastion", "ProxyJump"),
        ("ProxyCommand nc %h %p", "ProxyCommand"),
        ("RevokedHostKeys ~/krl", "RevokedHostKeys"),
        ("KnownHostsCommand /bin/x %H", "KnownHostsCommand"),
        ("CanonicalizeHostname yes", "CanonicalizeHostname"),
        ("CheckHostIP yes", "CheckHostIP"),
        ("BindAddress 10.0.0.1", "BindAddress"),
        ("RemoteCommand tmux", "RemoteCommand"),
        ("SessionType none", "SessionType"),
    ] {
        let error = refused(&format!("User x\n{line}\n"));
        assert_eq!(error.kind(), ConfigErrorKind::NotSupported, "{line}");
        assert!(
            error
                .to_string()
                .starts_with(&format!("/home/alice/.ssh/config:2: {keyword} is not supported: "))
        );
        assert!(warnings(&format!("Host other\n{line}\n")).is_empty(), "{line}");
    }
}

#[test]
fn the_first_value_decides_about_a_refusal_too() {
    assert!(warnings("ProxyJump none\nProxyJump x\n").is_empty());
    assert!(warnings("ProxyCommand none\nProxyJump x\n").is_empty());
    assert!(warnings("RevokedHostKeys none\nRevokedHostKeys x\n").is_empty());
    assert!(warnings("CheckHostIP no\nCanonicalizeHostname no\nSessionType default\n").is_empty());
    assert_eq!(refused("ProxyJump none\nProxyCommand x\n").kind(), ConfigErrorKind::NotSupported);
    let settings =
        ask(&Query::new("web").option("ProxyJump=none"), &source().file(CONFIG, "ProxyJump bastion\n"));
    assert!(settings.warnings().is_empty());
}

#[test]
fn harmless_keywords_are_ignored_with_a_word() {
    assert_eq!(
        warnings("VisualHostKey yes\nControlMaster auto\nControlMaster no\nForwardX11 no\nProtocol 2\n"),
        [
            "/home/alice/.ssh/config:1: VisualHostKey: no host key art is drawn",
            "/home/alice/.ssh/config:2: ControlMaster: connections of other ssh processes are not shared yet",
            "/home/alice/.ssh/config:5: Protocol: is obsolete, and ssh ignores it too",
        ]
    );
}

#[test]
fn the_files_that_systems_install_are_understood() {
    // Debian's, Fedora's with its crypto policy, and macOS'.
    let text = "Host *\n SendEnv LANG LC_*\n HashKnownHosts yes\n GSSAPIAuthentication yes\n\
                Match final all\n GSSAPIKexAlgorithms gss-curve25519-sha256-\n Ciphers aes256-gcm@openssh.com\n \
                RequiredRSASize 2048\n HostbasedAcceptedAlgorithms ssh-ed25519\n ForwardX11Trusted yes\n \
                CASignatureAlgorithms ssh-ed25519\nHost *\n UseKeychain yes\n AddKeysToAgent yes\n";
    assert_eq!(warnings(text).len(), 6);
}

#[test]
fn forwardings_are_ignored_unless_the_connection_depends_on_them() {
    let forward = "LocalForward 8080 localhost:80\nRemoteForward 1 localhost:2\n";
    assert_eq!(warnings(forward).len(), 2);
    assert!(warnings(&format!("{forward}ClearAllForwardings yes\nExitOnForwardFailure yes\n")).is_empty());
    let error = refused(&format!("ExitOnForwardFailure yes\n{forward}"));
    assert!(
        error.to_string().starts_with("/home/alice/.ssh/config:2: LocalForward cannot be made"),
        "{error}"
    );
}

#[test]
fn every_keyword_of_the_table_does_what_its_row_says() {
    for keyword in Keyword::ALL {
        let text = format!("{keyword} odd-value\n");
        let source = source().file(CONFIG, text);
        let files = ConfigFile::defaults(&source).unwrap();
        let outcome = resolve(&Query::new("web"), &files, &source);
        match keyword.support() {
            Support::Refused(_) => {
                assert_eq!(outcome.unwrap_err().kind(), ConfigErrorKind::NotSupported, "{keyword}")
            }
            Support::Ignored(_) => assert_eq!(outcome.unwrap().warnings().len(), 1, "{keyword}"),
            // A value that fits makes a setting; one that does not is an error: never silence.
            Support::Parsed => match outcome {
                Ok(settings) => assert_eq!(settings.set_keywords().count(), 1, "{keyword}"),
                Err(error) => assert_eq!(error.kind(), ConfigErrorKind::InvalidValue, "{keyword}"),
            },
            _ => {}
        }
    }
}

#[test]
fn a_configuration_may_refuse_the_connection() {
    let error = refused("Host web\nRefuseConnection \"use the new host\"\n");
    assert_eq!(error.kind(), ConfigErrorKind::Refused);
    assert!(error.to_string().contains("use the new host"));
    assert!(warnings("Host other\nRefuseConnection no\n").is_empty());
}

#[test]
fn names_that_a_shell_would_read_are_refused() {
    for host in ["-oProxyCommand=x", "a;id", "$(id)", "a b", "a\n", "", "a\0", "`x`"] {
        let error = refused_by(&Query::new(host), &source());
        assert_eq!(error.kind(), ConfigErrorKind::InvalidName, "{host:?}");
        assert!(!error.to_string().contains(char::is_control), "{error}");
    }
    for user in ["-x", "a;id", "a`", "a\u{1b}]0;x", ""] {
        let error = refused_by(&Query::new("web").user(user), &source());
        assert_eq!(error.kind(), ConfigErrorKind::InvalidName, "{user:?}");
    }
    let source = source().variable("EVIL", "a;id").file(CONFIG, "User ${EVIL}\n");
    assert_eq!(refused_by(&Query::new("web"), &source).kind(), ConfigErrorKind::InvalidName);
    assert_eq!(refused("HostName a;id\n").kind(), ConfigErrorKind::InvalidName);
    assert_eq!(refused("User a\u{7}b\n").kind(), ConfigErrorKind::InvalidValue);
}

#[test]
fn a_file_that_others_could_have_written_is_refused() {
    let with = |standing| source().file_with(CONFIG, "Port 1\n", standing);
    for standing in [Standing::WritableByOthers, Standing::OtherOwner] {
        let error = refused_by(&Query::new("web"), &with(standing));
        assert_eq!(error.kind(), ConfigErrorKind::BadPermissions);
        assert!(error.to_string().starts_with("/home/alice/.ssh/config: "), "{error}");
    }
    // A file named by hand, and the system's, are read as they are.
    let source = with(Standing::WritableByOthers);
    let settings = resolve(&Query::new("web"), &[ConfigFile::explicit(CONFIG)], &source).unwrap();
    assert_eq!(settings.port(), 1);
    // What they include is not.
    let source = source.file("/x", format!("Include {CONFIG}\n"));
    let error = resolve(&Query::new("web"), &[ConfigFile::explicit("/x")], &source).unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::BadPermissions);
    assert_eq!(error.origin().unwrap().to_string(), "/x:1");
    let settings = ask(&Query::new("web"), &with(Standing::Unchecked));
    assert_eq!(settings.warnings().len(), 1);
}

#[test]
fn a_named_file_must_be_there() {
    let error = resolve(&Query::new("web"), &[ConfigFile::explicit("/none")], &source()).unwrap_err();
    assert_eq!(error.to_string(), "/none: there is no such configuration file; check the name");
    assert!(
        resolve(&Query::new("web"), &[ConfigFile::user("/none"), ConfigFile::system("/none")], &source())
            .is_ok()
    );
}

#[test]
fn includes_that_go_too_deep_or_too_wide_end_in_an_error() {
    let error = refused("Include config\n");
    assert_eq!(error.kind(), ConfigErrorKind::TooLarge);
    assert!(error.to_string().contains("16 files deep"), "{error}");
    // Ten files that each include all ten: 10^16 readings if nobody counted.
    let source = (0..10).fold(source().file(CONFIG, "Include d/*\n"), |source, n| {
        source.file(format!("/home/alice/.ssh/d/{n}"), "Include d/*\n")
    });
    assert_eq!(refused_by(&Query::new("web"), &source).kind(), ConfigErrorKind::TooLarge);
    let wide = (0..5_000).fold(String::new(), |text, n| text + &format!("Include /x/{n}\n"));
    assert_eq!(refused(&wide).kind(), ConfigErrorKind::TooLarge);
}

#[test]
fn huge_lines_and_files_end_in_an_error() {
    assert_eq!(refused(&format!("User {}\n", "a".repeat(10 << 20))).kind(), ConfigErrorKind::TooLarge);
    assert_eq!(refused(&"# comment\n".repeat(2 << 20)).kind(), ConfigErrorKind::TooLarge);
    let many: String = (0..200).map(|n| format!("IdentityFile {n}\n")).collect();
    assert_eq!(refused(&many).kind(), ConfigErrorKind::TooLarge);
}

#[test]
fn options_on_the_command_line_are_checked_like_lines() {
    for (option, kind) in [
        ("Port=x", ConfigErrorKind::InvalidValue),
        ("Nonsense=1", ConfigErrorKind::UnknownKeyword),
        ("Host=x", ConfigErrorKind::Syntax),
        ("Match=all", ConfigErrorKind::Syntax),
        ("Include=/x", ConfigErrorKind::Syntax),
        ("", ConfigErrorKind::Syntax),
        ("Port", ConfigErrorKind::Syntax),
        ("ProxyJump=x", ConfigErrorKind::NotSupported),
    ] {
        let error = refused_by(&Query::new("web").option(option), &source());
        assert_eq!(error.kind(), kind, "{option}: {error}");
        assert!(error.to_string().starts_with("command line: "), "{error}");
    }
}

#[test]
fn what_cannot_be_expanded_is_an_error_with_its_place() {
    for line in [
        "IdentityFile ${NONE}/x",
        "IdentityFile %q",
        "UserKnownHostsFile ~nobody/x",
        "HostName %p",
        "User %r",
    ] {
        let error = refused(&format!("Port 1\n{line}\n"));
        assert!(error.to_string().starts_with("/home/alice/.ssh/config:2: "), "{line}: {error}");
    }
}

#[test]
fn non_utf8_is_tolerated_in_comments_and_refused_in_values() {
    let source =
        source().file(CONFIG, b"# caf\xe9\nHost caf\xe9\n IdentityFile x\nHost *\n Port 3\n".as_slice());
    assert_eq!(ask(&Query::new("web"), &source).port(), 3);
    let source = source.file(CONFIG, b"IdentityFile caf\xe9\n".as_slice());
    assert!(refused_by(&Query::new("web"), &source).to_string().contains("not UTF-8"));
}
