//! What `ssh_config` and `known_hosts` files mean here, against what they mean to the installed OpenSSH.
//!
//! `corpus/` holds cases that were written by hand, [`generate`] makes as many more as are asked for, and both are put
//! to `ssh -G` and to `rustle_ssh_config::resolve`, whose answers have to be the same line by line. `newer/` is grammar
//! that the installed ssh may not know: there the expected lines stand in the files. [`known_hosts`] does the same with
//! `ssh-keygen -F`.
//!
//! `cargo xtask interop config` runs all of it and allows no skipping (`RUSTLE_CONFIG=1`); plain `cargo test` runs the
//! corpus and a hundredth of what is generated, where ssh is installed, and says what it left out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]
#![allow(clippy::print_stdout, reason = "tests report on their output")]
#![cfg_attr(not(unix), allow(dead_code, reason = "ssh is asked on Unix only"))]

mod answer;
mod build;
mod compare;
mod corpus;
mod differences;
mod files;
mod generate;
mod grammar;
mod judge;
mod known_hosts;
mod newer;
mod ours;
mod random;
mod scale;
mod shrink;
mod theirs;
mod written;

use std::collections::BTreeMap;

use crate::compare::Difference;
use crate::corpus::{Case, pasted};
use crate::files::Question;
use crate::generate::{Configuration, configuration};
use crate::judge::{Judge, Verdict};
use crate::scale::Scale;

/// How many configurations are generated when all are.
const GENERATED: usize = 5_000;
/// How many are put to ssh at a time: their files and answers lie on disk until they are compared.
const BATCH: usize = 500;
/// Of a hundred answers, so many have to be settings on both sides in the end, of which every line is compared.
const WHOLE: usize = 97;
/// Causes that are shrunk and shown; the rest are counted.
const SHOWN: usize = 12;

#[test]
fn the_corpus_means_to_us_what_it_means_to_ssh() {
    let Some(judge) = Judge::find("the corpus") else { return };
    let cases = corpus::read("corpus");
    let asked: Vec<(&Case, Question)> = cases
        .iter()
        .flat_map(|case| case.hosts.iter().map(move |host| (case, host)))
        .map(|(case, host)| (case, case.question(host, judge.ssh().number())))
        .filter(|(_, question)| judge.can_ask(question))
        .collect();
    let questions: Vec<Question> = asked.iter().map(|(_, question)| question.clone()).collect();
    let mut failures = Vec::new();
    let mut refused = 0;
    for ((case, question), verdict) in asked.iter().zip(judge.judge(&questions)) {
        let answer::Answer::Refused(refusal) = &verdict.theirs else {
            if case.refused.is_some() {
                failures.push(format!("{}: ssh takes it\n{}", case.name, pasted(&case.name, question)));
            }
            failures.extend(told(&case.name, question, &verdict));
            continue;
        };
        refused += 1;
        let place = refusal.place.as_ref().map(|(_, line)| *line);
        match case.refused {
            Some((kind, line)) if kind == refusal.kind && line == place => {}
            _ => failures.push(format!("{}: not so expected\nssh: {refusal}", case.name)),
        }
        failures.extend(told(&case.name, question, &verdict));
    }
    println!("{} cases of {} blocks, {refused} of them refused", questions.len(), cases.len());
    assert!(cases.len() >= 200, "the corpus has only {} cases", cases.len());
    assert!(failures.is_empty(), "{} failures\n\n{}", failures.len(), failures.join("\n\n"));
}

#[test]
fn every_value_of_the_grammar_does_alone_what_it_does_to_ssh() {
    let Some(judge) = Judge::find("the grammar's values") else { return };
    let mut asked = Vec::new();
    for row in grammar::ROWS.iter().filter(|row| row.since() <= judge.ssh().number()) {
        for (fits, values) in [(true, row.fits), (false, row.does_not_fit)] {
            asked.extend(values.iter().map(|value| {
                let files = vec![("config".to_owned(), format!("{} {value}\n", row.keyword).into_bytes())];
                let env = vec![("AGENT".to_owned(), "/a".to_owned())];
                (fits, Question { files, env, host: "web".to_owned(), ..Question::default() })
            }));
        }
    }
    let asked: Vec<_> = asked.into_iter().filter(|(_, question)| judge.can_ask(question)).collect();
    let questions: Vec<Question> = asked.iter().map(|(_, question)| question.clone()).collect();
    let mut failures = Vec::new();
    for ((fits, question), verdict) in asked.iter().zip(judge.judge(&questions)) {
        let taken = matches!(verdict.theirs, answer::Answer::Settings(_));
        if taken != *fits {
            failures.push(format!("the grammar says fits = {fits}\n{}", pasted("a value", question)));
        }
        failures.extend(told("a value", question, &verdict));
    }
    println!("{} values", questions.len());
    assert!(failures.is_empty(), "{} failures\n\n{}", failures.len(), failures.join("\n\n"));
}

#[test]
fn generated_configurations_mean_to_us_what_they_mean_to_ssh() {
    let Some(judge) = Judge::find("generated configurations") else { return };
    let (seed, count) = (random::seed(), Scale::now().of(GENERATED));
    println!("RUSTLE_TEST_SEED={seed}");
    let mut causes: BTreeMap<String, Vec<(Configuration, usize)>> = BTreeMap::new();
    let (mut asked, mut whole, mut unsaid, mut refused, mut differing) = (0, 0, 0, 0, 0);
    let mut listed: BTreeMap<&str, usize> = BTreeMap::new();
    for first in (0..count).step_by(BATCH) {
        let generated: Vec<Configuration> = (first..count.min(first + BATCH))
            .map(|number| configuration(seed, number, judge.ssh().number(), judge.ssh().has_world()))
            .collect();
        let questions: Vec<Question> =
            generated.iter().flat_map(|made| made.hosts.each_ref().map(|host| made.question(host))).collect();
        let here: Vec<usize> =
            (0..questions.len()).filter(|&index| judge.can_ask(&questions[index])).collect();
        let questions: Vec<Question> = here.iter().map(|&index| questions[index].clone()).collect();
        asked += questions.len();
        for (index, verdict) in here.into_iter().zip(judge.judge(&questions)) {
            match verdict.difference {
                Some(difference) => {
                    causes
                        .entry(of(&difference))
                        .or_default()
                        .push((generated[index / 2].clone(), index % 2));
                }
                None => {
                    verdict.listed.iter().for_each(|what| *listed.entry(what).or_default() += 1);
                    differing += usize::from(!verdict.listed.is_empty());
                    whole += usize::from(verdict.is_whole);
                    unsaid += usize::from(!verdict.is_whole);
                    refused += usize::from(verdict.theirs.refusal().is_some());
                }
            }
        }
    }
    println!(
        "{count} configurations, two hosts each: {whole} answers are the same line by line, {refused} of all were refused \
        at first, {unsaid} to the end; {differing} differ as listed:"
    );
    for (what, times) in listed {
        println!("{times:>6} {what}");
    }
    let all = whole + unsaid + causes.values().map(Vec::len).sum::<usize>();
    assert_eq!(all, asked, "an answer is missing");
    if causes.is_empty() {
        assert!(whole * 100 >= asked * WHOLE, "only {whole} of {all} answers are compared line by line");
        return;
    }
    let mut failures = Vec::new();
    for (cause, found) in causes.iter().take(SHOWN) {
        let (failing, host) = found[0].clone();
        let differs = |candidates: &[Configuration]| -> Vec<bool> {
            let ask = |made: &Configuration| made.question(&made.hosts[host]);
            let questions: Vec<Question> = candidates.iter().map(ask).collect();
            let verdicts = judge.judge(&questions).into_iter();
            verdicts.map(|verdict| verdict.difference.is_some_and(|found| of(&found) == *cause)).collect()
        };
        let smallest = shrink::shrink(failing, differs);
        let question = smallest.question(&smallest.hosts[host]);
        let verdict = judge.judge(std::slice::from_ref(&question)).remove(0);
        failures.push(format!(
            "{} times: {cause}\n{}",
            found.len(),
            told("shrunk", &question, &verdict).unwrap_or_default()
        ));
    }
    panic!("{} causes (RUSTLE_TEST_SEED={seed})\n\n{}", causes.len(), failures.join("\n\n"));
}

/// A difference with the case to paste.
fn told(name: &str, question: &Question, verdict: &Verdict) -> Option<String> {
    let difference = verdict.difference.as_ref()?;
    Some(format!("{}: {}\n{}", difference.keyword, difference.text, pasted(name, question)))
}

/// What a difference is about, without what is by chance in it.
fn of(difference: &Difference) -> String {
    let first = difference.text.lines().next().unwrap_or_default();
    let words = first.split_whitespace().filter(|word| !word.contains(['/', '"', '\'']));
    let shape =
        words.filter(|word| !word.contains(|c: char| c.is_ascii_digit())).collect::<Vec<_>>().join(" ");
    format!("{}: {}", difference.keyword, shape.chars().take(80).collect::<String>())
}
