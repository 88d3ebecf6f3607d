//! Whether two answers are the same, and where not, in what.

use crate::answer::{Answer, Kind, Refusal};

/// In what two answers differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The keyword of the first line that is not the same; `refusal` where one side refuses or both do so otherwise.
    pub(crate) keyword: String,
    pub(crate) text: String,
}

/// Lines that only some builds of ssh print: what Debian adds for GSSAPI.
const VENDOR: [&str; 7] = [
    "gssapikeyexchange",
    "gssapitrustdns",
    "gssapirenewalforcesrekey",
    "gssapikexalgorithms",
    "gssapiclientidentity",
    "gssapiserveridentity",
    "usekeychain",
];

/// The default keys that both have.
const DEFAULT_KEYS: [&str; 5] = [
    "identityfile ~/.ssh/id_rsa",
    "identityfile ~/.ssh/id_ecdsa",
    "identityfile ~/.ssh/id_ecdsa_sk",
    "identityfile ~/.ssh/id_ed25519",
    "identityfile ~/.ssh/id_ed25519_sk",
];
/// Default keys of types that only some versions of ssh know. As defaults they have no meaning for those who lack them.
const OTHER_DEFAULT_KEYS: [&str; 3] =
    ["identityfile ~/.ssh/id_xmss", "identityfile ~/.ssh/id_dsa", "identityfile ~/.ssh/id_mldsa44_ed25519"];

/// What differs, if anything. `our_line` is the one that we refuse, where it is known.
pub(crate) fn compare(ours: &Answer, theirs: &Answer, our_line: Option<&[u8]>) -> Option<Difference> {
    let text = match (ours, theirs) {
        (Answer::Settings(ours), Answer::Settings(theirs)) => return compare_lines(ours, theirs),
        (Answer::Refused(ours), Answer::Refused(theirs)) => refusals(ours, theirs, our_line)?,
        (Answer::Refused(ours), Answer::Settings(_)) => format!("ssh takes it; here: {ours}"),
        (Answer::Settings(_), Answer::Refused(theirs)) => format!("here it is taken; ssh: {theirs}"),
    };
    Some(Difference { keyword: "refusal".to_owned(), text })
}

fn refusals(ours: &Refusal, theirs: &Refusal, our_line: Option<&[u8]>) -> Option<String> {
    // Whether a value is found wrong at once or when its tokens are filled in is no difference to anybody.
    let same = |kind| if kind == Kind::Meaning { Kind::Line } else { kind };
    if same(ours.kind) != same(theirs.kind) {
        return Some(format!("for another reason\nhere: {ours}\nssh:  {theirs}"));
    }
    match &theirs.place {
        Some(place) => {
            let is_there = ours.place.as_ref() == Some(place);
            (!is_there).then(|| format!("at another place\nhere: {ours}\nssh:  {theirs}"))
        }
        None => {
            let line = String::from_utf8_lossy(our_line?).to_ascii_lowercase();
            let about = about(&theirs.text)?;
            // A HostName that means nothing is found at the first line that asks for the name.
            let is_it = line.contains(&about.to_ascii_lowercase()) || ours.text.contains(&about);
            (!is_it).then(|| format!("about something else than {about}\nhere: {ours}\nssh:  {theirs}"))
        }
    }
}

/// What the line has that ssh complains about without naming the line.
fn about(text: &str) -> Option<String> {
    let word_behind = |words: &str| {
        let rest = text.split_once(words)?.1;
        rest.split_whitespace().next().map(str::to_owned)
    };
    if let Some(token) = word_behind("unknown key %") {
        return token.chars().next().map(|token| format!("%{token}"));
    }
    if let Some(rest) = text.split_once("env var ${").map(|(_, rest)| rest) {
        return rest.split_once('}').map(|(name, _)| format!("${{{name}}}"));
    }
    if let Some(user) = word_behind("No such user ") {
        return Some(format!("~{user}"));
    }
    const KEYWORDS: [(&str, &str); 7] = [
        ("Invalid number of ConnectionAttempts", "connectionattempts"),
        ("Invalid IdentityAgent", "identityagent"),
        ("Invalid ForwardAgent", "forwardagent"),
        ("Invalid UserKnownHostsFiles", "userknownhostsfile"),
        ("Invalid GlobalKnownHostsFiles", "globalknownhostsfile"),
        ("jumphost loop", "proxyjump"),
        ("Cannot execute command-line and remote", "remotecommand"),
    ];
    KEYWORDS.iter().find(|(words, _)| text.contains(words)).map(|(_, keyword)| (*keyword).to_owned())
}

/// In which line they differ first.
pub(crate) fn compare_lines(ours: &[String], theirs: &[String]) -> Option<Difference> {
    let has_defaults = identities(ours).eq(DEFAULT_KEYS);
    let mut all_ours = counted(ours);
    let mut all_theirs = counted(theirs);
    if has_defaults {
        for lines in [&mut all_ours, &mut all_theirs] {
            lines.retain(|line| !OTHER_DEFAULT_KEYS.contains(line));
        }
    }
    let count = all_ours.len().max(all_theirs.len());
    let first = (0..count).find(|&index| all_ours.get(index) != all_theirs.get(index))?;
    let (ours, theirs) = (all_ours.get(first).copied(), all_theirs.get(first).copied());
    // Where one side has a line more, it is about the keyword of that line.
    let of = |line: Option<&str>| line.and_then(|line| line.split(' ').next()).unwrap_or_default().to_owned();
    let (mine, other) = (of(ours), of(theirs));
    let keyword = if mine.is_empty() || same_values(&mine, &all_ours, &all_theirs) { other } else { mine };
    let shown = |line: Option<&str>| line.map_or("no further line".to_owned(), |line| format!("{line:?}"));
    Some(Difference { keyword, text: format!("here: {}\nssh:  {}", shown(ours), shown(theirs)) })
}

fn identities(lines: &[String]) -> impl Iterator<Item = &str> {
    lines.iter().map(String::as_str).filter(|line| line.starts_with("identityfile "))
}

fn same_values(keyword: &str, ours: &[&str], theirs: &[&str]) -> bool {
    let is_of = |line: &&&str| line.split(' ').next() == Some(keyword);
    ours.iter().filter(is_of).eq(theirs.iter().filter(is_of))
}

fn counted(lines: &[String]) -> Vec<&str> {
    let counts = |line: &&str| !VENDOR.contains(&line.split(' ').next().unwrap_or_default());
    lines.iter().map(String::as_str).filter(counts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(ours: &Answer, theirs: &Answer) -> Option<Difference> {
        super::compare(ours, theirs, None)
    }

    fn settings(lines: &[&str]) -> Answer {
        Answer::Settings(lines.iter().map(|&line| line.to_owned()).collect())
    }

    fn refused(kind: Kind, line: usize) -> Answer {
        Answer::Refused(Refusal { kind, place: Some(("c".into(), line)), text: "x".into() })
    }

    #[test]
    fn every_line_counts_and_its_order() {
        assert_eq!(compare(&settings(&["a 1", "b 2"]), &settings(&["a 1", "usekeychain x", "b 2"])), None);
        for (ours, theirs) in
            [(&["a 1"][..], &["a 2"][..]), (&["a 1", "b 2"], &["b 2", "a 1"]), (&["a 1"], &["a 1", "a 2"])]
        {
            assert!(compare(&settings(ours), &settings(theirs)).is_some(), "{ours:?} {theirs:?}");
            assert!(compare(&settings(theirs), &settings(ours)).is_some(), "{theirs:?} {ours:?}");
        }
    }

    #[test]
    fn refusals_are_the_same_in_kind_and_line() {
        assert_eq!(compare(&refused(Kind::Meaning, 3), &refused(Kind::Line, 3)), None);
        assert!(compare(&refused(Kind::Line, 3), &refused(Kind::Line, 4)).is_some());
        assert!(compare(&refused(Kind::Keyword, 3), &refused(Kind::Line, 3)).is_some());
        assert!(compare(&refused(Kind::Line, 3), &settings(&[])).is_some());
        assert!(compare(&settings(&[]), &refused(Kind::Line, 3)).is_some());
    }

    #[test]
    fn where_ssh_names_no_line_ours_is_the_one_it_means() {
        let refusal = |text: &str| Refusal { kind: Kind::Meaning, place: None, text: text.to_owned() };
        for (text, line, other) in [
            ("percent_expand: unknown key %q", "ControlPath /%q", "ControlPath /%z"),
            ("env var ${NO} has no value", "IdentityAgent ${NO}", "IdentityAgent ${ON}"),
            ("Invalid number of ConnectionAttempts.", "connectionattempts 0", "Port 0"),
        ] {
            let refused = |line: &str| refusals(&refusal("x"), &refusal(text), Some(line.as_bytes()));
            assert_eq!(refused(line), None);
            assert!(refused(other).is_some(), "{text} of {other}");
        }
    }

    #[test]
    fn default_keys_of_one_version_count_only_where_they_were_written() {
        let defaults = settings(&DEFAULT_KEYS);
        let theirs = [&DEFAULT_KEYS[..], &OTHER_DEFAULT_KEYS[..2]].concat();
        assert_eq!(compare(&defaults, &settings(&theirs)), None);
        assert!(compare(&settings(&["identityfile a"]), &settings(&["identityfile a", theirs[6]])).is_some());
    }
}
