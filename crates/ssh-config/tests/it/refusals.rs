//! What is refused, and what is ignored with a word.

use rustle_ssh_config::{
    ConfigError, ConfigErrorKind, ConfigFile, Defaults, Keyword, MemorySource, Query, Standing, Support,
    WarningLevel, resolve,
};

use crate::behaviour::{CONFIG, ask, source};

fn refused_by(query: &Query, source: &MemorySource) -> ConfigError {
    let settings = resolve(query, &ConfigFile::defaults(source).unwrap(), source);
    settings.and_then(|settings| settings.supported()).unwrap_err()
}

fn refused(text: &str) -> ConfigError {
    refused_by(&Query::new("web"), &source().file(CONFIG, text))
}

fn warnings(text: &str) -> Vec<String> {
    let settings = ask(&Query::new("web"), &source().file(CONFIG, text));
    settings.supported().unwrap().iter().map(ToString::to_string).collect()
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
fn the_first_value_decides_about_a_refusal_too() {
    assert!(warnings("ProxyJump none\nProxyJump x\n").is_empty());
    assert!(warnings("ProxyCommand none\nProxyJump x\n").is_empty());
    assert!(warnings("RevokedHostKeys none\nRevokedHostKeys x\n").is_empty());
    assert!(warnings("CheckHostIP no\nCanonicalizeHostname no\nSessionType default\n").is_empty());
    let settings =
        ask(&Query::new("web").option("ProxyJump=none"), &source().file(CONFIG, "ProxyJump bastion\n"));
    assert!(settings.supported().unwrap().is_empty() && settings.proxy_jump().is_empty());
}

#[test]
fn harmless_keywords_are_ignored_with_a_word() {
    assert_eq!(
        warnings(
            "ForkAfterAuthentication yes\nXAuthLocation /x\nForkAfterAuthentication no\nForwardX11 no\nProtocol 2\n"
        ),
        [
            "/home/alice/.ssh/config:5: Protocol: is obsolete, and ssh ignores it too",
            "/home/alice/.ssh/config:1: ForkAfterAuthentication: concerns ssh's own terminal handling",
            "/home/alice/.ssh/config:2: XAuthLocation: X11 is not forwarded",
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
    // Of each system's: what GSSAPI, host-based logins, X11 and the keychain are asked for, and what is not done yet.
    let said: Vec<_> = warnings(text);
    for expected in [
        "GSSAPIAuthentication",
        "GSSAPIKexAlgorithms",
        "HostbasedAcceptedAlgorithms",
        "ForwardX11Trusted",
        "UseKeychain",
    ] {
        assert!(said.iter().any(|line| line.contains(expected)), "{expected}: {said:?}");
    }
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

/// For each keyword a value that asks for something.
fn telling_value(keyword: Keyword) -> &'static str {
    match keyword {
        Keyword::AddressFamily => "inet",
        Keyword::CanonicalizeMaxDots
        | Keyword::ConnectTimeout
        | Keyword::ConnectionAttempts
        | Keyword::NumberOfPasswordPrompts
        | Keyword::RequiredRsaSize
        | Keyword::ServerAliveCountMax
        | Keyword::ServerAliveInterval
        | Keyword::ForwardX11Timeout
        | Keyword::TunnelDevice
        | Keyword::StreamLocalBindMask => "7",
        Keyword::CanonicalDomains => "example.com",
        Keyword::CanonicalizeFallbackLocal => "no",
        Keyword::CanonicalizePermittedCnames => "*:*",
        Keyword::ChannelTimeout => "session=5m",
        Keyword::DynamicForward | Keyword::Port => "1080",
        Keyword::EscapeChar => "+",
        Keyword::FingerprintHash => "md5",
        Keyword::HostName => "web.example.com",
        Keyword::IpQos => "cs1",
        Keyword::LocalForward | Keyword::RemoteForward => "1 h:2",
        Keyword::LogLevel => "debug",
        Keyword::PermitRemoteOpen => "h:2",
        Keyword::RekeyLimit => "1G",
        Keyword::RequestTty => "force",
        Keyword::SessionType => "none",
        Keyword::SetEnv => "A=1",
        Keyword::StrictHostKeyChecking => "accept-new",
        Keyword::SyslogFacility => "auth",
        Keyword::WarnWeakCrypto => "no",
        _ => "yes",
    }
}

#[test]
fn every_keyword_of_the_table_does_what_its_row_says() {
    for keyword in Keyword::ALL {
        let text = format!("{keyword} {}\n", telling_value(*keyword));
        let source = source().file(CONFIG, text);
        let files = ConfigFile::defaults(&source).unwrap();
        let read = resolve(&Query::new("web"), &files, &source);
        if matches!(keyword, Keyword::Host | Keyword::Match | Keyword::Include | Keyword::RefuseConnection) {
            assert_eq!(keyword.support(), Support::Evaluated);
            continue;
        }
        // Whatever is done with it: it is read, and has a place, and a line.
        let settings = read.unwrap_or_else(|error| panic!("{keyword}: {error}"));
        let set: Vec<_> = settings.set_keywords().map(|(keyword, _)| keyword).collect();
        assert_eq!(set, [*keyword]);
        let printed = settings.printed(&Defaults::openssh());
        assert!(printed.iter().any(|line| line.keyword() == *keyword), "{keyword}");
        let outcome = settings.supported();
        match keyword.support() {
            Support::Refused(_) => {
                assert_eq!(outcome.unwrap_err().kind(), ConfigErrorKind::NotSupported, "{keyword}");
            }
            Support::Declined(reason) => {
                let warning = outcome.unwrap().pop().unwrap_or_else(|| panic!("{keyword}"));
                assert!(warning.to_string().ends_with(reason), "{keyword}");
                assert_eq!(warning.level(), WarningLevel::Notice, "{keyword}");
            }
            Support::Pooled(reason) => {
                let warning = outcome.unwrap().pop().unwrap_or_else(|| panic!("{keyword}"));
                assert!(warning.to_string().ends_with(reason), "{keyword}");
                assert!(settings.supported_by_a_pool().unwrap().is_empty(), "{keyword}");
            }
            Support::Ignored(reason) => {
                let warning = outcome.unwrap().pop().unwrap_or_else(|| panic!("{keyword}"));
                assert!(warning.to_string().ends_with(reason), "{keyword}");
                assert_eq!(warning.level(), WarningLevel::Detail, "{keyword}");
            }
            _ => assert!(outcome.unwrap().is_empty(), "{keyword}"),
        }
    }
}

#[test]
fn values_that_ask_for_nothing_say_nothing() {
    for keyword in Keyword::ALL {
        for value in keyword.neutral_values() {
            assert_eq!(warnings(&format!("{keyword} {value}\n")), [""; 0], "{keyword} {value}");
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
fn bombs_of_every_kind_end_in_an_error() {
    // Not after a long time: nothing here reads, lists, matches or runs more than a few thousand times.
    for text in [
        "x".repeat(10 << 20),
        format!("ProxyCommand {}\n", "x".repeat(10 << 20)),
        format!("Host {}\n", "*a".repeat(1 << 20)),
        format!("Match host {}\n", "a,".repeat(1 << 20)),
        format!("Include {}\n", "*".repeat(5_000)),
        "Include /x/none\n".repeat(100_000),
        "LocalForward 1 h:2\n".repeat(2 << 20),
        (0..2_000).fold(String::new(), |text, n| text + &format!("LocalForward {} h:2\n", n + 1)),
        (0..2_000).fold(String::new(), |text, n| text + &format!("SendEnv V{n}\n")),
        format!("SetEnv {}\n", (0..2_000).fold(String::new(), |text, n| text + &format!("V{n}=1 "))),
        format!("ProxyJump {}z\n", "h,".repeat(2_000)),
        "Match exec true\n".repeat(2_000),
    ] {
        let source = source().file(CONFIG, text.clone()).command("true", true);
        let error = refused_by(&Query::new("web"), &source);
        let start: String = text.chars().take(30).collect();
        let kinds = [ConfigErrorKind::TooLarge, ConfigErrorKind::InvalidValue, ConfigErrorKind::Unreadable];
        assert!(kinds.contains(&error.kind()), "{start}: {error}");
        assert!(error.to_string().len() < 10_000, "{start}: an error of {} bytes", error.to_string().len());
    }
    for query in [Query::new("a".repeat(1 << 20)), Query::new("web").user("a".repeat(1 << 20))] {
        assert_eq!(refused_by(&query, &source()).kind(), ConfigErrorKind::TooLarge);
    }
    // Wildcards over directories that multiply.
    let wide = (0..200).fold(source(), |source, n| source.file(format!("/w/{n}/{n}/{n}/f"), ""));
    let text = "Include /w/*/*/*/none*\n".repeat(200);
    let error = refused_by(&Query::new("web"), &wide.file(CONFIG, text));
    assert_eq!(error.kind(), ConfigErrorKind::Unreadable);
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
        (" \"\" Port=25", ConfigErrorKind::Syntax),
        (" = = Port=25", ConfigErrorKind::Syntax),
        ("Port", ConfigErrorKind::Syntax),
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
