//! Arbitrary bytes end in settings or in an error, never in a panic.

use proptest::prelude::{ProptestConfig, any, prop, prop_oneof, proptest};
use proptest::strategy::{Just, Strategy};
use rustle_ssh_config::{
    ConfigFile, Defaults, Keyword, MemorySource, Query, matches_list, matches_pattern, resolve,
};

fn ask(text: &[u8], host: &str) {
    let source = MemorySource::new("alice", "/home/alice")
        .file("/c", text)
        .file("/home/alice/.ssh/x", text)
        .variable("A", "%h${A}~");
    let query = Query::new(host);
    match resolve(&query, &[ConfigFile::explicit("/c")], &source) {
        Ok(settings) => assert!(!settings.lines(&Defaults::openssh()).is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Lines that are nearly right.
fn nearly_a_line() -> impl Strategy<Value = String> {
    let keyword = prop_oneof![
        (0..Keyword::ALL.len()).prop_map(|index| Keyword::ALL[index].name().to_owned()),
        "[A-Za-z\"]{0,8}",
    ];
    let word = prop_oneof![
        Just("yes".to_owned()),
        Just("none".to_owned()),
        Just("web".to_owned()),
        Just("!w*".to_owned()),
        Just("x".to_owned()),
        Just("final".to_owned()),
        Just("all".to_owned()),
        Just("host".to_owned()),
        "[-+^,%${}~a-zA-Z0-9*?!=#\"'\\\\\\[\\]/ é\u{7}]{0,12}",
    ];
    (keyword, prop_oneof![Just(" "), Just("="), Just(" = ")], prop::collection::vec(word, 0..4))
        .prop_map(|(keyword, separator, words)| format!("{keyword}{separator}{}", words.join(" ")))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_as_a_file(text in prop::collection::vec(any::<u8>(), 0..400)) {
        ask(&text, "web");
    }

    #[test]
    fn lines_that_are_nearly_right(lines in prop::collection::vec(nearly_a_line(), 0..12)) {
        ask(lines.join("\n").as_bytes(), "web");
    }

    #[test]
    fn arbitrary_names_and_options(host in any::<String>(), user in any::<String>(), option in any::<String>()) {
        let source = MemorySource::new("alice", "/home/alice");
        let _ = resolve(&Query::new(host).user(user).option(option), &[], &source).map(|s| s.lines(&Defaults::openssh()));
    }

    #[test]
    fn patterns_take_no_longer_than_they_should(
        text in prop::collection::vec(any::<u8>(), 0..64),
        pattern in prop::collection::vec(prop_oneof![Just(b'*'), Just(b'?'), Just(b','), Just(b'!'), any::<u8>()], 0..64),
    ) {
        // `?` for each byte, and a star, always fit.
        let mut own: Vec<u8> = vec![b'?'; text.len()];
        own.push(b'*');
        assert!(matches_pattern(&text, &own));
        // A list with a negated pattern that fits never matches.
        let negated = [b"!*,".as_slice(), &pattern].concat();
        assert!(!matches_list(&text, &negated));
    }
}
