//! The question put once more, without what both sides differ about on purpose: all the rest has to be the same then.

use crate::answer::Refusal;
use crate::differences::Asked;
use crate::files::Question;

impl Asked<'_> {
    /// Where we refuse a line in such words, and the line is one of those that we refuse on purpose.
    pub(super) fn we_refuse(&self, words: &str, is_one: impl Fn(Line<'_>) -> bool) -> Option<Question> {
        let refusal = self.ours.refusal().filter(|refusal| refusal.text.contains(words))?;
        self.without(refusal, is_one)
    }

    /// Where ssh refuses a line in such words, and the line is one of those that we take on purpose.
    pub(super) fn ssh_refuses(&self, words: &[&str], is_one: impl Fn(Line<'_>) -> bool) -> Option<Question> {
        let says = |refusal: &&Refusal| words.iter().any(|words| refusal.text.contains(words));
        self.without(self.theirs.refusal().filter(says)?, is_one)
    }

    /// Without the line that both refuse.
    pub(crate) fn past_the_refusal(&self) -> Option<Question> {
        let refusal = self.theirs.refusal().filter(|refusal| refusal.place.is_some())?;
        self.without(refusal, |_| true)
    }

    /// Without the line that a refusal names; where it names none, without every such line. None where there is none.
    fn without(&self, refusal: &Refusal, is_one: impl Fn(Line<'_>) -> bool) -> Option<Question> {
        let mut question = self.written.question.clone();
        let found: Vec<At> = match &refusal.place {
            Some(place) if place.0 == COMMAND_LINE => {
                arguments(&question).find(|at| is_one(at.line(&question))).into_iter().collect()
            }
            Some(place) => {
                let (file, line) = self.written.find(place, self.account)?;
                [At::File { file, line }].into_iter().filter(|at| is_one(at.line(&question))).collect()
            }
            None => everywhere(&question).filter(|at| is_one(at.line(&question))).collect(),
        };
        // From behind, so that the numbers of those before stay as they are.
        found.iter().rev().for_each(|at| at.remove(&mut question));
        (!found.is_empty()).then_some(question)
    }

    /// Without every such line; none where there is none.
    pub(super) fn without_all(&self, is_one: impl Fn(Line<'_>) -> bool) -> Option<Question> {
        left_out(&self.written.question, is_one)
    }

    /// Where a line of `Match` has such a word, with another line in its place for ssh alone.
    pub(super) fn with_other_matches(&self, other: impl Fn(&str) -> Option<String>) -> Option<Question> {
        let mut question = self.written.question.clone();
        if question.older.is_empty() {
            question.older.clone_from(&question.files);
        }
        let before = question.older.clone();
        for (_, text) in &mut question.older {
            let lines = text.split(|byte| *byte == b'\n').map(|line| {
                let as_text = std::str::from_utf8(line).ok().filter(|_| Line(line).is("match"));
                as_text.and_then(&other).map_or_else(|| line.to_vec(), String::into_bytes)
            });
            *text = lines.collect::<Vec<_>>().join(&b'\n');
        }
        (question.older != before).then_some(question)
    }

    /// With a block at the end that has both sides read the files twice.
    pub(super) fn read_twice(&self) -> Option<Question> {
        const TWICE: &[u8] = b"\nMatch final\n";
        let mut question = self.written.question.clone();
        if question.files.first()?.1.ends_with(TWICE) {
            return None;
        }
        for files in [&mut question.files, &mut question.older] {
            if let Some((_, text)) = files.first_mut() {
                text.extend_from_slice(TWICE);
            }
        }
        Some(question)
    }

    /// Whether a line of the files, or an option, is such a one.
    pub(super) fn has(&self, is_one: impl Fn(Line<'_>) -> bool) -> bool {
        let question = &self.written.question;
        everywhere(question).any(|at| is_one(at.line(question)))
    }
}

/// Without the lines that keep ssh from saying why it refuses; none, where there are none.
pub(crate) fn talkative(question: &Question) -> Option<Question> {
    let is_one = |line: Line<'_>| {
        line.is("loglevel")
            && ["quiet", "silent", "fatal"].contains(&line.value().to_ascii_lowercase().as_str())
    };
    left_out(question, is_one)
}

fn left_out(question: &Question, is_one: impl Fn(Line<'_>) -> bool) -> Option<Question> {
    let mut left = question.clone();
    let found: Vec<At> = everywhere(question).filter(|at| is_one(at.line(question))).collect();
    // From behind, so that the numbers of those before stay as they are.
    found.iter().rev().for_each(|at| at.remove(&mut left));
    (!found.is_empty()).then_some(left)
}

/// What both sides call the file of an option.
const COMMAND_LINE: &str = "command-line";

/// Where a line stands.
#[derive(Clone, Copy)]
enum At {
    File {
        file: usize,
        line: usize,
    },
    /// The value of an argument, which stands behind it.
    Argument(usize),
}

impl At {
    fn line(self, question: &Question) -> Line<'_> {
        Line(match self {
            Self::File { file, line } => {
                question.files[file].1.split(|byte| *byte == b'\n').nth(line).unwrap_or_default()
            }
            Self::Argument(value) => question.args[value].as_bytes(),
        })
    }

    /// The lines behind keep their numbers.
    fn remove(self, question: &mut Question) {
        match self {
            Self::File { file, line } => {
                let name = question.files[file].0.clone();
                for (other, text) in question.files.iter_mut().chain(&mut question.older) {
                    if *other == name {
                        let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
                        lines[line] = b"";
                        *text = lines.join(&b'\n');
                    }
                }
            }
            Self::Argument(value) => {
                question.args.drain(value - 1..=value);
            }
        }
    }
}

fn everywhere(question: &Question) -> impl Iterator<Item = At> {
    let in_files = question.files.iter().enumerate().flat_map(|(file, (_, text))| {
        let count = text.split(|byte| *byte == b'\n').count();
        (0..count).map(move |line| At::File { file, line })
    });
    in_files.chain(arguments(question))
}

fn arguments(question: &Question) -> impl Iterator<Item = At> {
    (1..question.args.len()).step_by(2).map(At::Argument)
}

/// A line as far as the list of differences looks into it.
#[derive(Clone, Copy)]
pub(crate) struct Line<'a>(pub(crate) &'a [u8]);

impl Line<'_> {
    /// Its keyword and what is behind it.
    fn parts(self) -> (String, String) {
        let text = String::from_utf8_lossy(self.0).into_owned();
        let text = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '"'));
        let end = text.find(|c: char| c.is_ascii_whitespace() || c == '=').unwrap_or(text.len());
        let (keyword, rest) = text.split_at(end);
        let rest = rest.trim_start();
        let rest = if keyword.ends_with('"') { rest } else { rest.strip_prefix('=').unwrap_or(rest) };
        (keyword.replace('"', "").to_ascii_lowercase(), rest.trim().to_owned())
    }

    /// Whether it is of this keyword, which is in lower case.
    pub(crate) fn is(self, keyword: &str) -> bool {
        self.parts().0 == keyword
    }

    /// What stands behind the keyword, without its quotes and without a comment.
    pub(crate) fn value(self) -> String {
        let rest = self.parts().1;
        let rest = rest.find(" #").or_else(|| rest.find("\t#")).map_or(rest.as_str(), |at| &rest[..at]);
        rest.trim().replace(['"', '\''], "")
    }

    /// What stands behind the keyword, as it was written.
    pub(crate) fn rest(self) -> String {
        self.parts().1
    }

    pub(crate) fn has(self, sign: impl Fn(u8) -> bool) -> bool {
        self.0.iter().any(|byte| sign(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::MAIN;

    fn question() -> Question {
        let text = b"User a\nLogLevel quiet\nPort 1".to_vec();
        Question {
            files: vec![(MAIN.to_owned(), text)],
            args: ["-o", "LogLevel=fatal", "-p", "1"].map(str::to_owned).to_vec(),
            ..Question::default()
        }
    }

    #[test]
    fn what_is_left_out_leaves_the_numbers_of_the_others() {
        let left = talkative(&question()).unwrap();
        assert_eq!(left.files[0].1, b"User a\n\nPort 1");
        assert_eq!(left.args, ["-p", "1"]);
        assert!(talkative(&left).is_none());
    }

    #[test]
    fn a_line_has_a_keyword_and_a_value() {
        let parts = |text: &str| (Line(text.as_bytes()).parts().0, Line(text.as_bytes()).value());
        for text in ["User a b", "  USER\t= a b # c", "\"User\" \"a b\"", "Us\"er\" 'a b'\r", "= user=a b"] {
            assert_eq!(parts(text), ("user".to_owned(), "a b".to_owned()), "{text:?}");
        }
        assert_eq!(parts("\"User\" =a"), ("user".to_owned(), "=a".to_owned()));
    }
}
