//! Whatever a server calls a file, it stays in its directory.

use std::path::Component;

use proptest::prelude::*;

use super::*;

fn refusal(rules: Rules, name: &[u8]) -> Option<Refusal> {
    rules.check(name).err()
}

#[test]
fn what_leads_out_of_the_directory_is_refused_everywhere() {
    for rules in [Rules::Unix, Rules::Mac, Rules::Windows] {
        assert_eq!(refusal(rules, b""), Some(Refusal::Empty));
        assert_eq!(refusal(rules, b"."), Some(Refusal::Dots));
        assert_eq!(refusal(rules, b".."), Some(Refusal::Dots));
        for name in [&b"../a"[..], b"/", b"/etc/passwd", b"a/", b"a/../b"] {
            assert_eq!(refusal(rules, name), Some(Refusal::Separator), "{name:?}");
        }
        assert_eq!(refusal(rules, b"a\0b"), Some(Refusal::Nul));
        assert_eq!(refusal(rules, b"..."), (rules == Rules::Windows).then_some(Refusal::End));
    }
}

#[test]
fn every_byte_but_the_separator_and_nul_is_a_name_on_unix() {
    for byte in 1..=u8::MAX {
        let wanted = (byte == b'/').then_some(Refusal::Separator).or((byte == b'.').then_some(Refusal::Dots));
        assert_eq!(refusal(Rules::Unix, &[byte]), wanted, "{byte}");
        assert_eq!(refusal(Rules::Mac, &[byte]), wanted, "{byte}");
    }
}

#[test]
fn what_windows_reads_as_something_else_is_refused_there() {
    for name in [r"a\b", r"..\a", "C:", "a:stream", "a<", "a>", "\"", "a|b", "?", "*", "\n", "\x1f", "\x7f"] {
        assert!(matches!(refusal(Rules::Windows, name.as_bytes()), Some(Refusal::Character(_))), "{name:?}");
    }
    for name in ["a.", "a ", "a. .", " ", "NUL."] {
        assert_eq!(refusal(Rules::Windows, name.as_bytes()), Some(Refusal::End), "{name:?}");
    }
    for name in [
        "con",
        "Nul",
        "NUL.txt",
        "aux.tar.gz",
        "prn .x",
        "COM1",
        "com9.log",
        "LPT\u{b2}",
        "CONIN$",
        "conout$.x",
    ] {
        assert_eq!(refusal(Rules::Windows, name.as_bytes()), Some(Refusal::Device), "{name:?}");
    }
    for name in ["console", "com", "com10", "nul_", "x.nul", ".con", "lpt\u{2074}", "caf\u{e9}", "a b", ".a"]
    {
        assert_eq!(refusal(Rules::Windows, name.as_bytes()), None, "{name:?}");
    }
    assert_eq!(refusal(Rules::Windows, b"caf\xe9"), Some(Refusal::NotUtf8));
}

#[test]
fn a_refusal_shows_the_name_and_the_reason() {
    let error = join(Path::new("here"), b"../\x1b[2J").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidName);
    assert_eq!(error.path(), Some(&b"../\x1b[2J"[..]));
    let text = error.to_string();
    assert!(text.contains("another directory") && !text.contains('\x1b'), "{text}");
    let endless = join(Path::new("here"), &[b'/'; 100_000]).unwrap_err();
    assert!(endless.to_string().len() < 8192);
}

#[test]
fn a_name_comes_once_in_a_directory() {
    let mut siblings = Siblings::by(Rules::Unix, 100);
    siblings.admit(b"a").unwrap();
    siblings.admit(b"A").unwrap();
    siblings.admit(b"\xff").unwrap();
    siblings.admit(b"\xfe").unwrap();
    assert_eq!(siblings.admit(b"a").unwrap_err().kind(), ErrorKind::InvalidName);
    siblings.admit(b"b").unwrap();
}

#[test]
fn names_that_differ_in_case_are_one_where_the_file_system_says_so() {
    for rules in [Rules::Mac, Rules::Windows] {
        let mut siblings = Siblings::by(rules, 100);
        for (first, second) in
            [("README", "readme"), ("\u{c9}t\u{e9}", "\u{e9}t\u{e9}"), ("\u{3c2}", "\u{3c3}")]
        {
            siblings.admit(first.as_bytes()).unwrap();
            assert!(siblings.admit(second.as_bytes()).is_err(), "{first} and {second}");
        }
        siblings.admit(b"READM").unwrap();
    }
}

#[test]
fn a_listing_without_an_end_is_refused_before_it_fills_the_memory() {
    let mut siblings = Siblings::by(Rules::Unix, 2);
    siblings.admit(b"a").unwrap();
    siblings.admit(b"b").unwrap();
    assert!(siblings.admit(b"c").unwrap_err().to_string().contains("more names"));
}

#[cfg(unix)]
#[test]
fn names_of_unix_come_and_go_byte_by_byte() {
    let name = b"\xff \n\\:*";
    let joined = join(Path::new("here"), name).unwrap();
    assert_eq!(for_server(joined.file_name().unwrap()).unwrap(), &name[..]);
}

proptest! {
    #[test]
    fn whatever_the_bytes_the_file_is_directly_in_its_directory(
        name in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..12),
            proptest::collection::vec(prop_oneof![Just(b'.'), Just(b'/'), Just(b'\\'), Just(b':'), Just(b'a')], 0..6),
        ],
    ) {
        let directory = Path::new("here").join("inner");
        if let Ok(path) = join(&directory, &name) {
            prop_assert_eq!(path.parent(), Some(directory.as_path()));
            prop_assert_eq!(&for_server(path.file_name().unwrap()).unwrap()[..], &name[..]);
            prop_assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
        }
    }

    #[test]
    fn what_windows_takes_has_no_second_meaning(name in "[a-zA-Z0-9.:\\\\/ $\u{b2}]{0,8}") {
        if Rules::Windows.check(name.as_bytes()).is_ok() {
            prop_assert!(!name.contains(['\\', '/', ':']) && !name.ends_with(['.', ' ']) && !name.is_empty());
        }
    }
}
