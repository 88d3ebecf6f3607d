//! Where we differ from the installed ssh on purpose: each with its reason, with a case that shows it, and with what
//! makes both answers the same, so that all else in them is compared.
//!
//! A difference that is not on the list fails a test, and so does one that is on it and no longer happens.

mod again;
mod alike;
mod list;

use crate::answer::Answer;
use crate::differences::again::Line;
use crate::files::{Question, Written};
use crate::theirs::Account;

pub(crate) use crate::differences::again::talkative;
pub(crate) use crate::differences::alike::Lines;
pub(crate) use crate::differences::list::LISTED;

/// One way in which both sides differ.
pub(crate) struct Listed {
    /// What it is, as in the table of `docs/testing.md`.
    pub(crate) what: &'static str,
    pub(crate) why: &'static str,
    how: How,
    /// A case, and the host for it, that shows it.
    pub(crate) shown_by: (&'static str, &'static str),
}

/// How both answers become the same where they differ in this alone.
enum How {
    /// Lines of these keywords are written anew, on the side that has them otherwise.
    Lines(&'static [&'static str], fn(&Asked<'_>, &mut Lines)),
    /// The question is put again without what it is about, if it is about that.
    Again(Changes, fn(&Asked<'_>) -> Option<Question>),
}

/// In what our answer to the question that is put again may differ from our first.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Changes {
    /// In the lines of these keywords.
    Lines(&'static [&'static str]),
    All,
}

/// A question on which both sides differ.
pub(crate) struct Asked<'a> {
    pub(crate) written: &'a Written,
    pub(crate) account: &'a Account,
    pub(crate) algorithms: &'a Algorithms,
    pub(crate) ours: &'a Answer,
    pub(crate) theirs: &'a Answer,
}

/// The algorithms that the installed ssh knows.
pub(crate) struct Algorithms {
    pub(crate) ciphers: Vec<String>,
    pub(crate) macs: Vec<String>,
    pub(crate) kex: Vec<String>,
    pub(crate) keys: Vec<String>,
    pub(crate) signatures: Vec<String>,
}

/// What is to be asked in place of a question.
pub(crate) struct Again {
    pub(crate) what: &'static str,
    pub(crate) changes: Changes,
    pub(crate) question: Question,
}

impl Asked<'_> {
    /// The lines of both sides with what is listed made the same, and what that was.
    pub(crate) fn alike(&self, differ: impl Fn(&Lines) -> bool) -> Option<(Lines, Vec<&'static str>)> {
        let (Answer::Settings(ours), Answer::Settings(theirs)) = (self.ours, self.theirs) else {
            return None;
        };
        let mut lines = [ours.clone(), theirs.clone()];
        let mut listed = Vec::new();
        for Listed { what, how, .. } in LISTED {
            let How::Lines(keywords, make_alike) = how else { continue };
            if !differ(&lines) {
                break;
            }
            let before = lines.clone();
            make_alike(self, &mut lines);
            for (before, after) in before.iter().zip(&lines) {
                assert!(others(before, keywords).eq(others(after, keywords)), "{what}: other lines changed");
            }
            if lines != before {
                listed.push(*what);
            }
        }
        Some((lines, listed))
    }

    /// The question that leaves out the first of the list that both differ in.
    pub(crate) fn again(&self) -> Option<Again> {
        LISTED.iter().find_map(|Listed { what, how, .. }| match how {
            How::Again(changes, again) => {
                again(self).map(|question| Again { what, changes: *changes, question })
            }
            How::Lines(..) => None,
        })
    }
}

impl Changes {
    /// The lines that may not differ.
    pub(crate) fn unchanged(self, lines: &[String]) -> Vec<&String> {
        match self {
            Self::Lines(keywords) => others(lines, keywords).collect(),
            Self::All => Vec::new(),
        }
    }
}

impl Algorithms {
    /// Whether the line is a list of algorithms with one that ssh does not know.
    fn are_not_all_known(&self, line: Line<'_>) -> bool {
        let known = [
            (&["ciphers"][..], &self.ciphers),
            (&["macs"], &self.macs),
            (&["kexalgorithms"], &self.kex),
            (alike::KEY_TYPES, &self.keys),
            (&["hostbasedkeytypes", "pubkeyacceptedkeytypes"], &self.keys),
        ];
        let known = known.iter().find(|(keywords, _)| keywords.iter().any(|keyword| line.is(keyword)));
        let value = line.value();
        let mut names = value.trim_start_matches(['+', '-', '^']).split(',');
        known.is_some_and(|(_, known)| {
            names.any(|name| !name.is_empty() && !known.iter().any(|other| other == name))
        })
    }
}

fn others<'a>(lines: &'a [String], keywords: &'static [&'static str]) -> impl Iterator<Item = &'a String> {
    lines.iter().filter(|line| !keywords.contains(&line.split(' ').next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus;
    use crate::judge::{Judge, Verdict};

    fn questions(judge: &Judge) -> Vec<(&'static Listed, Question)> {
        let shown = LISTED.iter().map(|listed| {
            let (text, host) = listed.shown_by;
            let case = &corpus::cases("shown", &format!("#= {}\n#: host {host}\n{text}", listed.what))[0];
            (listed, case.question(host, judge.ssh().number()))
        });
        shown.filter(|(_, question)| judge.can_ask(question)).collect()
    }

    fn said(verdict: &Verdict) -> String {
        format!("{:?}\nhere: {:?}\nssh: {:?}", verdict.difference, verdict.ours, verdict.theirs)
    }

    #[test]
    fn every_listed_difference_still_happens() {
        let Some(judge) = Judge::find("the list of differences") else { return };
        let (listed, questions): (Vec<_>, Vec<_>) = questions(&judge).into_iter().unzip();
        for (Listed { what, .. }, verdict) in listed.iter().zip(judge.judge(&questions)) {
            assert!(
                verdict.listed.contains(what),
                "{what}: it no longer differs so: take it from the list and from docs/testing.md\n{}",
                said(&verdict)
            );
            assert!(verdict.difference.is_none() && verdict.is_whole, "{what}: {}", said(&verdict));
        }
    }

    #[test]
    fn no_listed_difference_hides_another() {
        let Some(judge) = Judge::find("what the list of differences hides") else { return };
        let (listed, questions): (Vec<_>, Vec<_>) = questions(&judge).into_iter().unzip();
        for damaged in ["port", "identityfile", "compression", "user", "controlpath", "serveraliveinterval"] {
            let damage = |answer: &mut Answer| {
                let Answer::Settings(lines) = answer else { return };
                let wrong = format!("{damaged} wrong");
                match lines.iter_mut().find(|line| line.split(' ').next() == Some(damaged)) {
                    Some(line) => *line = wrong,
                    None => lines.push(wrong),
                }
            };
            for (Listed { what, .. }, verdict) in listed.iter().zip(judge.judge_damaged(&questions, damage)) {
                assert!(
                    verdict.difference.is_some(),
                    "{what}: a wrong {damaged} goes unseen\n{}",
                    said(&verdict)
                );
            }
        }
    }

    #[test]
    fn the_documentation_has_the_same_list() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/testing.md");
        let text = std::fs::read_to_string(path).unwrap();
        for Listed { what, why, .. } in LISTED {
            assert!(text.contains(&format!("| {what} | {why} |")), "{path} has no row\n| {what} | {why} |");
        }
        let rows = text.split("| difference | why |").nth(1).unwrap_or_default();
        let count = rows.lines().skip(2).take_while(|line| line.starts_with('|')).count();
        assert_eq!(count, LISTED.len(), "{path} has another number of rows");
    }
}
