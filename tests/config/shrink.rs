//! Makes a configuration on which both sides differ as small as it can be while they still do.

use crate::generate::Configuration;

/// Leaves out lines, whole files' content and arguments, in ever smaller pieces, as long as what is left still differs.
/// `differs` is asked about many candidates at once.
pub(crate) fn shrink(
    mut failing: Configuration,
    mut differs: impl FnMut(&[Configuration]) -> Vec<bool>,
) -> Configuration {
    let mut piece = failing.files.iter().map(|(_, lines)| lines.len()).max().unwrap_or(1).max(1);
    loop {
        let candidates = without_pieces(&failing, piece);
        let found = differs(&candidates).into_iter().position(|differs| differs);
        match found.and_then(|index| candidates.into_iter().nth(index)) {
            Some(smaller) => failing = smaller,
            None if piece == 1 => break,
            None => piece = piece.div_ceil(2),
        }
    }
    failing
}

fn without_pieces(of: &Configuration, piece: usize) -> Vec<Configuration> {
    let mut candidates = Vec::new();
    for (file, (_, lines)) in of.files.iter().enumerate() {
        for start in (0..lines.len()).step_by(piece) {
            let mut smaller = of.clone();
            smaller.files[file].1.drain(start..(start + piece).min(lines.len()));
            candidates.push(smaller);
        }
        // A file that is empty may still be found, and is then less to read about when it is gone.
        if lines.is_empty() && file > 0 {
            let mut smaller = of.clone();
            smaller.files.remove(file);
            candidates.push(smaller);
        }
    }
    for arg in 0..of.args.len() {
        let mut smaller = of.clone();
        smaller.args.remove(arg);
        candidates.push(smaller);
    }
    candidates
}

#[test]
fn what_does_not_matter_is_left_out() {
    let line = |text: &str| crate::generate::Line { text: text.to_owned(), older: None };
    let many = |range: std::ops::Range<usize>| range.map(|n| line(&format!("L{n}\n"))).collect::<Vec<_>>();
    let failing = Configuration {
        files: vec![("config".into(), many(0..40)), ("a".into(), many(40..50)), ("b".into(), many(50..60))],
        args: vec![["-p".into(), "1".into()]],
        hosts: ["web".into(), "db".into()],
    };
    let shrunk = shrink(failing, |candidates| {
        let text = |candidate: &Configuration| {
            String::from_utf8(
                candidate.question("web").files.into_iter().flat_map(|(_, text)| text).collect(),
            )
            .unwrap()
        };
        candidates.iter().map(text).map(|text| text.contains("L7\n") && text.contains("L44\n")).collect()
    });
    let question = shrunk.question("web");
    assert_eq!(
        question.files,
        [("config".to_owned(), b"L7\n".to_vec()), ("a".to_owned(), b"L44\n".to_vec())]
    );
    assert!(question.args.is_empty());
}
