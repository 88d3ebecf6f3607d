//! Grammar that the installed ssh may not know: what our lines have to be stands in the files of `newer/`, checked by
//! hand against the documentation of OpenSSH 10. Where the installed ssh is new enough, it is asked too.

use crate::answer::Answer;
use crate::corpus::{self, Case};
use crate::files::Question;
use crate::grammar::ROWS;
use crate::judge::Judge;

#[test]
fn newer_grammar_means_what_was_checked_by_hand() {
    let Some(judge) = Judge::find("newer grammar") else { return };
    let cases = corpus::read("newer");
    let version = judge.ssh().number();
    let asked: Vec<(&Case, Question)> = cases
        .iter()
        .flat_map(|case| case.hosts.iter().map(move |host| (case, case.question(host, version))))
        .filter(|(_, question)| judge.can_ask(question))
        .collect();
    let questions: Vec<Question> = asked.iter().map(|(_, question)| question.clone()).collect();
    let (mut failures, mut compared) = (Vec::new(), 0);
    for ((case, question), verdict) in asked.iter().zip(judge.judge(&questions)) {
        let said = what_was_expected(case, &verdict.ours);
        failures.extend(said.map(|said| format!("{said}\n{}", corpus::pasted(&case.name, question))));
        let known = case.since.is_none_or(|since| since <= version) || !question.older.is_empty();
        compared += usize::from(known);
        if let Some(difference) = verdict.difference.filter(|_| known) {
            let shown = corpus::pasted(&case.name, question);
            failures.push(format!("{}: {}\n{shown}", difference.keyword, difference.text));
        }
    }
    let unseen: Vec<String> = cases.iter().filter_map(looks_past).collect();
    assert!(unseen.is_empty(), "these cases pass whatever becomes of their keyword:\n{}", unseen.join("\n"));
    println!("{} cases, {compared} of them compared with ssh", questions.len());
    assert!(failures.is_empty(), "{} failures\n\n{}", failures.len(), failures.join("\n\n"));
}

/// The keyword of a case of which nothing is expected: neither its line nor a refusal. What refuses connections has no
/// line.
fn looks_past(case: &Case) -> Option<String> {
    let text: Vec<u8> = case.question.files.iter().flat_map(|(_, text)| text.iter().copied()).collect();
    let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
    let has = |keyword: &str| text.lines().any(|line| line.split_whitespace().next() == Some(keyword));
    let newer = ROWS.iter().filter(|row| row.is_newer() && row.keyword != "RefuseConnection");
    let mut unseen = newer.map(|row| row.keyword.to_ascii_lowercase()).filter(|keyword| {
        let expected = case.expected.iter().any(|line| line.split(' ').next() == Some(keyword));
        has(keyword) && !expected && case.refused.is_none() && !text.contains("tagged")
    });
    unseen.next().map(|keyword| format!("{}: {keyword}", case.name))
}

/// What is not as the case says.
fn what_was_expected(case: &Case, ours: &Answer) -> Option<String> {
    match (ours, case.refused) {
        (Answer::Settings(lines), None) => {
            let missing = case.expected.iter().find(|line| !lines.contains(line));
            let wrong = case.never.iter().find(|line| lines.contains(line));
            assert!(!case.expected.is_empty(), "{} expects nothing", case.name);
            missing.map(|line| format!("no line {line:?}")).or(wrong.map(|line| format!("a line {line:?}")))
        }
        (Answer::Refused(refusal), Some((kind, line))) => {
            let place = refusal.place.as_ref().map(|(_, line)| *line);
            (refusal.kind != kind || line.is_some() && line != place).then(|| format!("here: {refusal}"))
        }
        (Answer::Settings(_), Some(_)) => Some("it is taken here".to_owned()),
        (Answer::Refused(refusal), None) => Some(format!("here: {refusal}")),
    }
}
