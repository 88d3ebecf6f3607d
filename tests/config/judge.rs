//! Both sides asked the same, and what they disagree in.

use std::fs;

use rustle_ssh_config::Defaults;

use crate::answer::{Answer, Refusal};
use crate::build::Build;
use crate::compare::{Difference, compare, compare_lines};
use crate::differences::{self, Algorithms, Asked, Changes};
use crate::files::{MAIN, Question, Written};
use crate::grammar::ROWS;
use crate::ours;
use crate::scale::Scale;
use crate::theirs::Ssh;

/// Asks and compares.
pub(crate) struct Judge {
    ssh: Ssh,
    defaults: Defaults,
    algorithms: Algorithms,
    build: Build,
}

/// What came of one question.
pub(crate) struct Verdict {
    /// What both said at first.
    pub(crate) ours: Answer,
    pub(crate) theirs: Answer,
    /// None where they agree but for what is listed.
    pub(crate) difference: Option<Difference>,
    /// The listed differences there are.
    pub(crate) listed: Vec<&'static str>,
    /// Whether both came to print settings, of which every line is the same but for what is listed.
    pub(crate) is_whole: bool,
}

/// A question that is not decided yet.
struct Open {
    index: usize,
    question: Question,
    /// What our answer may not differ from where the question was put before.
    before: Option<(Vec<String>, Changes)>,
}

/// How often a question may be put again: each time a line less is in it.
const ROUNDS: usize = 60;

impl Judge {
    /// A judge, where there is an ssh; says why there is none.
    pub(crate) fn find(what: &str) -> Option<Self> {
        match Ssh::find() {
            Ok(ssh) => {
                println!("compared with {}", ssh.version());
                if !ssh.has_world() {
                    let why = "no `unshare` with mounts here, so ssh cannot be given a ~/.ssh, an /etc/ssh and hosts of its own";
                    Scale::now().skip(&format!("{what}: cases that need them"), why);
                }
                let empty = Question {
                    files: vec![(MAIN.into(), Vec::new())],
                    host: "web".into(),
                    ..Question::default()
                };
                let empty = empty.write(&ssh.folder().join("empty"));
                let theirs = ssh.ask(std::slice::from_ref(&empty)).remove(0);
                let defaults = ours::defaults_of(&theirs);
                let build = Build::new(&ours::answer(&empty, ssh.account(), &defaults), &theirs);
                let algorithms = Algorithms {
                    ciphers: ssh.names("cipher"),
                    macs: ssh.names("mac"),
                    kex: ssh.names("kex"),
                    keys: ssh.names("HostKeyAlgorithms"),
                    signatures: ssh.names("sig"),
                };
                Some(Self { ssh, defaults, algorithms, build })
            }
            Err(why) => {
                Scale::now().skip(what, &why);
                None
            }
        }
    }

    pub(crate) fn ssh(&self) -> &Ssh {
        &self.ssh
    }

    /// Whether it can be asked here.
    pub(crate) fn can_ask(&self, question: &Question) -> bool {
        self.ssh.has_world() || !question.needs_own_world()
    }

    /// What both say to each question.
    pub(crate) fn judge(&self, questions: &[Question]) -> Vec<Verdict> {
        self.judge_damaged(questions, |_| {})
    }

    /// The same, with all of our answers damaged so, which has to be found out.
    pub(crate) fn judge_damaged(&self, questions: &[Question], damage: impl Fn(&mut Answer)) -> Vec<Verdict> {
        let mut verdicts: Vec<Option<Verdict>> = questions.iter().map(|_| None).collect();
        let mut open: Vec<Open> = questions
            .iter()
            .enumerate()
            .map(|(index, question)| Open { index, question: question.clone(), before: None })
            .collect();
        for round in 0.. {
            if open.is_empty() {
                break;
            }
            let folder = self.ssh.folder().join("cases");
            let named =
                |(number, open): (usize, &Open)| open.question.write(&folder.join(number.to_string()));
            let written: Vec<Written> = open.iter().enumerate().map(named).collect();
            let mut left = Vec::new();
            for ((asked, written), theirs) in open.iter().zip(&written).zip(self.ssh.ask(&written)) {
                written.make_ours();
                let mut ours = ours::answer(written, self.ssh.account(), &self.defaults);
                damage(&mut ours);
                let verdict = verdicts[asked.index].get_or_insert_with(|| Verdict::new(&ours, &theirs));
                match self.step(asked, written, &ours, &theirs, &mut verdict.listed) {
                    Step::Again(again) if round < ROUNDS => left.push(again),
                    Step::Again(_) => {
                        let text = format!("it was put {ROUNDS} times, and still both differ\n{theirs:?}");
                        verdict.difference = Some(Difference { keyword: "refusal".to_owned(), text });
                    }
                    Step::End { difference, is_whole } => {
                        (verdict.difference, verdict.is_whole) = (difference, is_whole);
                    }
                }
            }
            if folder.exists() {
                fs::remove_dir_all(folder).unwrap();
            }
            open = left;
        }
        verdicts.into_iter().flatten().collect()
    }

    /// One answer of each side to the same question.
    fn step(
        &self,
        open: &Open,
        written: &Written,
        ours: &Answer,
        theirs: &Answer,
        listed: &mut Vec<&'static str>,
    ) -> Step {
        let mut ours = ours.clone();
        if let Answer::Settings(lines) = &mut ours {
            lines.retain(|line| !self.is_newer(line));
            if let Some((before, changes)) = &open.before
                && changes.unchanged(before) != changes.unchanged(lines)
            {
                let text =
                    format!("our other lines change where the line is left out\n{before:?}\n{lines:?}");
                return Step::differs(Some(Difference { keyword: "refusal".to_owned(), text }));
            }
        }
        let mut theirs = theirs.clone();
        self.build.leave_out(&mut ours, &mut theirs);
        let theirs = &theirs;
        let line = ours.refusal().and_then(|refusal| {
            let (file, line) = written.find(refusal.place.as_ref()?, self.ssh.account())?;
            written.question.line(file, line)
        });
        let found = compare(&ours, theirs, line);
        let (account, algorithms) = (self.ssh.account(), &self.algorithms);
        let asked = Asked { written, account, algorithms, ours: &ours, theirs };
        if found.is_none() {
            return match asked.past_the_refusal() {
                Some(question) => Step::Again(Open { index: open.index, question, before: None }),
                None => Step::End { difference: None, is_whole: ours.refusal().is_none() },
            };
        }
        if theirs.refusal().is_some_and(Refusal::is_silent)
            && let Some(question) = differences::talkative(&written.question)
        {
            return Step::Again(Open { index: open.index, question, before: None });
        }
        if let Some(([alike, others], names)) =
            asked.alike(|[ours, theirs]| compare_lines(ours, theirs).is_some())
            && compare_lines(&alike, &others).is_none()
        {
            listed.extend(names);
            return Step::End { difference: None, is_whole: true };
        }
        let Some(again) = asked.again() else { return Step::differs(found) };
        listed.push(again.what);
        let before = match ours {
            Answer::Settings(lines) => Some((lines, again.changes)),
            Answer::Refused(_) => None,
        };
        Step::Again(Open { index: open.index, question: again.question, before })
    }

    /// Whether a line is of a keyword that the installed ssh does not know, and so cannot print.
    fn is_newer(&self, line: &str) -> bool {
        let keyword = line.split(' ').next().unwrap_or_default();
        let row = ROWS.iter().find(|row| row.keyword.eq_ignore_ascii_case(keyword));
        row.is_some_and(|row| row.since() > self.ssh.number())
    }
}

impl Verdict {
    fn new(ours: &Answer, theirs: &Answer) -> Self {
        let (ours, theirs) = (ours.clone(), theirs.clone());
        Self { ours, theirs, difference: None, listed: Vec::new(), is_whole: false }
    }
}

/// What follows from one answer of each side.
enum Step {
    Again(Open),
    End { difference: Option<Difference>, is_whole: bool },
}

impl Step {
    fn differs(difference: Option<Difference>) -> Self {
        Self::End { difference, is_whole: false }
    }
}
