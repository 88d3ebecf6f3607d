//! What a hostile file may cost: the outside world is asked once, what is kept and what is compared is bounded, and many
//! small things are no error.

use std::cell::Cell;
use std::io;

use rustle_ssh_config::{
    ConfigError, ConfigErrorKind, ConfigFile, Defaults, Keyword, MemorySource, Query, Settings, Source,
    SourceFile, resolve,
};

use crate::behaviour::{CONFIG, source};

fn asked(text: impl Into<Vec<u8>>) -> Result<Settings, ConfigError> {
    asked_of(&source().file(CONFIG, text))
}

fn asked_of(source: &MemorySource) -> Result<Settings, ConfigError> {
    resolve(&Query::new("web"), &ConfigFile::defaults(source).unwrap(), source)
}

/// A source that counts how often each thing is asked for.
struct Counting {
    source: MemorySource,
    user: Cell<usize>,
    user_id: Cell<usize>,
    host: Cell<usize>,
    homes: Cell<usize>,
    services: Cell<usize>,
}

impl Counting {
    fn count(counter: &Cell<usize>) {
        counter.set(counter.get() + 1);
    }
}

impl Source for Counting {
    fn read(&self, path: &str, limit: u64) -> io::Result<Option<SourceFile>> {
        self.source.read(path, limit)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.source.list(directory)
    }

    fn env(&self, name: &str) -> Option<String> {
        self.source.env(name)
    }

    fn home(&self, user: Option<&str>) -> Option<String> {
        Self::count(&self.homes);
        self.source.home(user)
    }

    fn user(&self) -> Option<String> {
        Self::count(&self.user);
        self.source.user()
    }

    fn user_id(&self) -> Option<u32> {
        Self::count(&self.user_id);
        self.source.user_id()
    }

    fn host(&self) -> Option<String> {
        Self::count(&self.host);
        self.source.host()
    }

    fn service_port(&self, name: &str) -> Option<u16> {
        Self::count(&self.services);
        (name == "web-alt").then_some(8080)
    }

    fn system_directory(&self) -> String {
        self.source.system_directory()
    }
}

#[test]
fn the_local_user_machine_and_services_are_asked_for_once() {
    let lines = "Match user alice localuser alice\nPort web-alt\nMatch all\nIdentityFile ~/x\n"
        .repeat(10_000)
        + &"Include ~nobody/x\n".repeat(1_000);
    let source = Counting {
        source: source().file(CONFIG, lines),
        user: Cell::default(),
        user_id: Cell::default(),
        host: Cell::default(),
        homes: Cell::default(),
        services: Cell::default(),
    };
    let files = ConfigFile::defaults(&source).unwrap();
    source.homes.set(0);
    let settings = resolve(&Query::new("web"), &files, &source).unwrap();
    assert_eq!(settings.port(), 8080);
    for (what, count, most) in [
        ("user", &source.user, 1),
        ("number", &source.user_id, 1),
        ("host", &source.host, 1),
        ("homes", &source.homes, 2),
        ("services", &source.services, 1),
    ] {
        assert!(count.get() <= most, "{what}: {} times", count.get());
    }
}

#[test]
fn warnings_are_bounded_and_what_is_left_out_is_counted() {
    let settings = asked("Protocol 2\n".repeat(200_000)).unwrap();
    let warnings = settings.supported().unwrap();
    assert_eq!(warnings.len(), 101);
    let last = warnings.last().unwrap().to_string();
    assert!(last.contains("199900 lines more"), "{last}");
    // Such files are read twice, which makes no more lines of them.
    let twice =
        asked("Match final\nUser bob\nMatch all\n".to_owned() + &"Protocol 2\n".repeat(1_000)).unwrap();
    assert_eq!(twice.user(), "bob", "there was a second reading");
    let last = twice.supported().unwrap().last().unwrap().to_string();
    assert!(last.contains("and 900 lines more"), "{last}");
}

#[test]
fn unknown_keywords_are_compared_with_ignore_unknown_once_each() {
    let patterns = "a*b*c*d,".repeat(8_000) + "x*";
    // More than may be compared, if each line were.
    let once = format!("IgnoreUnknown {patterns}\n{}", "xyz 1\n".repeat(100_000));
    assert!(asked(once).is_ok());
    let slow = format!("*{}b,", "a".repeat(510)).repeat(125) + "a*";
    let many: String = (0..2_000).map(|n| format!("x{n} 1\n")).collect();
    let long = format!("x{} 1\n", "y".repeat(60_000));
    let alike: String = (100..200).map(|n| format!("{}{n} 1\n", "a".repeat(1_000))).collect();
    for (patterns, names, words) in [
        (&patterns, &many, "more than 1024 unknown keywords"),
        (&patterns, &long, "one of more than 1025 bytes"),
        (&slow, &alike, "IgnoreUnknown: too many patterns"),
    ] {
        let error = asked(format!("IgnoreUnknown {patterns}\n{names}")).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::TooLarge, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let few: String = alike.lines().take(10).map(|line| format!("{line}\n")).collect();
    assert!(asked(format!("IgnoreUnknown {slow}\n{few}")).is_ok());
}

#[test]
fn variables_that_are_taken_away_again_and_again_end_in_an_error() {
    let names: String = (0..100).map(|n| format!("SendEnv {}{n}\n", "a".repeat(60_000))).collect();
    let error = asked(names + &format!("SendEnv -{}\n", "*a".repeat(30_000))).unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::TooLarge, "{error}");
    assert!(error.to_string().contains("SendEnv: too many names"), "{error}");
    let usual: String = (0..1_000).map(|n| format!("SendEnv APP_{n}\nSendEnv -APP_{n}\n")).collect();
    assert!(asked(usual).unwrap().send_env().is_empty());
}

#[test]
fn names_that_patterns_are_compared_with_are_bounded() {
    let name = "a".repeat(1_026);
    for text in [
        format!("User {name}\n"),
        format!("HostName {name}\n"),
        format!("HostKeyAlias {name}\n"),
        format!("Tag {name}\n"),
    ] {
        let error = asked(text.as_str()).unwrap_err();
        assert!(error.to_string().contains("1026 bytes"), "{error}");
    }
    let error = asked(format!("HostName {}\nMatch host x\n", "%h".repeat(400))).unwrap_err();
    assert!(error.to_string().contains("more than 1025 bytes"), "{error}");
}

#[test]
fn many_small_things_are_no_error() {
    let forwards: String = (0..1_000).map(|n| format!("LocalForward {} h:2\n", n + 1)).collect();
    let words: String = (0..1_000).map(|n| format!("V{n}=1 ")).collect();
    for text in [
        "#\n".repeat(500_000),
        "Host a*b*c*d*e web\n".repeat(50_000),
        "Match host a*b,web user alice\n".repeat(20_000),
        format!("{forwards}{}", "LocalForward 1000 h:2\n".repeat(20_000)),
        format!("SetEnv {words}\n").repeat(100),
        "IdentityFile x\n".repeat(100_000),
        "Include\t/none/x\n".repeat(4_000),
        "Ciphers +aes128-ctr,aes*\n".repeat(50_000),
        "ProxyJump a,b,c,d\n".repeat(50_000),
    ] {
        let start: String = text.chars().take(30).collect();
        assert!(asked(text).is_ok(), "{start}");
    }
}

#[test]
fn no_value_and_no_error_has_a_control_character() {
    let mut kept = 0;
    for keyword in Keyword::ALL {
        for bad in ['\u{1b}', '\u{7}', '\u{7f}', '\u{85}', '\u{9b}'] {
            for arguments in [
                format!("a{bad}b"),
                format!("\"a{bad}b\""),
                format!("8080 a{bad}b:80"),
                format!("8080 \"/run/a{bad}b\""),
                format!("a{bad}b x:80"),
                format!("yes a{bad}b"),
                format!("host \"a{bad}b\""),
                "${BAD}".to_owned(),
                "8080 ${BAD}:80".to_owned(),
                "A=${BAD}".to_owned(),
            ] {
                let source = source()
                    .variable("BAD", format!("a{bad}b\nProxyCommand id"))
                    .file(CONFIG, format!("{keyword} {arguments}\n"));
                match asked_of(&source) {
                    Ok(settings) => {
                        kept += 1;
                        for line in settings.lines(&Defaults::openssh()) {
                            assert!(!line.contains(char::is_control), "{keyword} {arguments:?}: {line:?}");
                        }
                        for warning in settings.supported().into_iter().flatten() {
                            let warning = warning.to_string();
                            assert!(!warning.contains(char::is_control), "{keyword}: {warning:?}");
                        }
                    }
                    Err(error) => {
                        let error = error.to_string();
                        assert!(!error.contains(char::is_control), "{keyword} {arguments:?}: {error:?}");
                    }
                }
            }
        }
    }
    println!("{kept} of them were read, without it");
    let unknown = asked("Na\u{1b}[31mme x\n").unwrap_err().to_string();
    assert!(!unknown.contains(char::is_control), "{unknown:?}");
    // A name that a wildcard finds is nobody's choice.
    let included =
        source().file(CONFIG, "Include a*b\n").file("/home/alice/.ssh/a\u{1b}[2Jb", "Nonsense 1\n");
    let error = asked_of(&included).unwrap_err().to_string();
    assert!(error.contains("Nonsense") && !error.contains(char::is_control), "{error:?}");
}
