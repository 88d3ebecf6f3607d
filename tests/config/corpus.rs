//! The format of the written cases, read and written.
//!
//! | line | meaning |
//! |---|---|
//! | `#= a sentence` | a new case, called so; what stands before the first is a comment |
//! | `#: host NAME NAME …` | the hosts that are asked for, as ssh takes them; each is a case. `web` without it |
//! | `#: args -p 22 -o "User x"` | further arguments of ssh, with `"` around one that has blanks |
//! | `#: env NAME=VALUE` | a variable of the environment; may be repeated |
//! | `#: mode 664 FILE` | the permissions of a file of the case |
//! | `#: refused KIND [LINE]` | ssh and we refuse it, for such a reason, at such a line |
//! | `#: expect LINE` | one of our lines, checked by hand; with `#: never LINE`, none of them |
//! | `#: since 9.4` | the first ssh that reads it so |
//! | `#: as-if LINE` | an older ssh is given this line in place of the one that follows |
//! | `#* 100 LINE` | this line a hundred times, with its number for `⟨N⟩` |
//! | `#- FILE` | what follows is another file: `home/…` is in `~/.ssh`, `system/…` in `/etc/ssh` |
//!
//! All other lines are the configuration, in a file `config` that is given to ssh with `-F`; without such a file, ssh
//! reads the user's and the system's. Bytes that cannot be seen are written as marks: see [`crate::written`].

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::answer::Kind;
use crate::files::{MAIN, Question};
use crate::written;

/// A case of the corpus.
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    /// The file it stands in, and its sentence.
    pub(crate) name: String,
    pub(crate) hosts: Vec<String>,
    /// All but the host.
    pub(crate) question: Question,
    pub(crate) refused: Option<(Kind, Option<usize>)>,
    pub(crate) expected: Vec<String>,
    pub(crate) never: Vec<String>,
    pub(crate) since: Option<(u32, u32)>,
}

impl Case {
    /// The case for one of its hosts, for an ssh of this version.
    pub(crate) fn question(&self, host: &str, version: (u32, u32)) -> Question {
        let mut question = Question { host: host.to_owned(), ..self.question.clone() };
        if self.since.is_none_or(|since| since <= version) {
            question.older.clear();
        }
        question
    }
}

/// Every case of a folder of the suite.
pub(crate) fn read(folder: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(folder);
    let mut paths: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let cases = paths.iter().flat_map(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        cases(&name, &fs::read_to_string(path).unwrap())
    });
    cases.collect()
}

/// The cases of one file's text.
pub(crate) fn cases(file: &str, text: &str) -> Vec<Case> {
    let mut found: Vec<Reader> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let place = format!("{file}:{}", index + 1);
        if let Some(name) = line.strip_prefix("#= ") {
            found.push(Reader::new(format!("{place}: {name}")));
        } else if let Some(reader) = found.last_mut() {
            reader.line(line, &place);
        }
    }
    found.into_iter().map(Reader::end).collect()
}

/// A case as text of a corpus, for a person to paste.
pub(crate) fn pasted(name: &str, question: &Question) -> String {
    let mut text = format!("#= {name}\n#: host {}\n", question.host);
    if !question.args.is_empty() {
        let args: Vec<String> = question.args.iter().map(|arg| quoted(arg)).collect();
        writeln!(text, "#: args {}", args.join(" ")).unwrap();
    }
    for (name, value) in &question.env {
        writeln!(text, "#: env {name}={value}").unwrap();
    }
    for (file, mode) in &question.modes {
        writeln!(text, "#: mode {mode:o} {file}").unwrap();
    }
    for (file, content) in &question.files {
        if file != MAIN || question.files.len() > 1 {
            writeln!(text, "#- {file}").unwrap();
        }
        text.push_str(&written::shown(content));
    }
    text
}

fn quoted(arg: &str) -> String {
    if arg.contains(' ') || arg.is_empty() { format!("\"{arg}\"") } else { arg.to_owned() }
}

struct Reader {
    case: Case,
    file: String,
    older: bool,
    instead: Option<String>,
}

impl Reader {
    fn new(name: String) -> Self {
        Self { case: Case { name, ..Case::default() }, file: MAIN.to_owned(), older: false, instead: None }
    }

    fn line(&mut self, line: &str, place: &str) {
        if let Some(directive) = line.strip_prefix("#: ") {
            self.directive(directive, place);
        } else if let Some(file) = line.strip_prefix("#- ") {
            self.file = file.to_owned();
            self.put("", "");
        } else if let Some(repeated) = line.strip_prefix("#* ") {
            let (times, line) =
                repeated.split_once(' ').unwrap_or_else(|| panic!("{place}: no line to repeat"));
            for number in 1..=times.parse().unwrap_or_else(|_| panic!("{place}: no number")) {
                let line = format!("{}\n", line.replace("⟨N⟩", &usize::to_string(&number)));
                self.put(&line, &line);
            }
        } else {
            let line = format!("{line}\n");
            let older = self.instead.take().map_or_else(|| line.clone(), |other| format!("{other}\n"));
            self.older |= older != line;
            self.put(&line, &older);
        }
    }

    fn put(&mut self, line: &str, older: &str) {
        for (files, text) in [(&mut self.case.question.files, line), (&mut self.case.question.older, older)] {
            match files.iter_mut().find(|(name, _)| *name == self.file) {
                Some((_, content)) => content.extend_from_slice(text.as_bytes()),
                None => files.push((self.file.clone(), text.as_bytes().to_vec())),
            }
        }
    }

    fn directive(&mut self, directive: &str, place: &str) {
        let wrong = || -> ! { panic!("{place}: {directive:?} cannot be understood") };
        let (word, rest) = directive.split_once(' ').unwrap_or((directive, ""));
        let case = &mut self.case;
        match word {
            "host" => case.hosts.extend(rest.split(' ').map(str::to_owned)),
            "args" => case.question.args.extend(words(rest)),
            "env" => {
                let (name, value) = rest.split_once('=').unwrap_or_else(|| wrong());
                case.question.env.push((name.to_owned(), value.to_owned()));
            }
            "mode" => {
                let (mode, file) = rest.split_once(' ').unwrap_or_else(|| wrong());
                let mode = u32::from_str_radix(mode, 8).unwrap_or_else(|_| wrong());
                case.question.modes.push((file.to_owned(), mode));
            }
            "refused" => {
                let mut words = rest.split(' ');
                let kind = words.next().and_then(Kind::named).unwrap_or_else(|| wrong());
                case.refused =
                    Some((kind, words.next().map(|line| line.parse().unwrap_or_else(|_| wrong()))));
            }
            "expect" => case.expected.push(rest.to_owned()),
            "never" => case.never.push(rest.to_owned()),
            "since" => {
                let (major, minor) = rest.split_once('.').unwrap_or_else(|| wrong());
                case.since = major.parse().ok().zip(minor.parse().ok());
            }
            "as-if" => self.instead = Some(rest.to_owned()),
            _ => wrong(),
        }
    }

    fn end(mut self) -> Case {
        if self.case.hosts.is_empty() {
            self.case.hosts.push("web".to_owned());
        }
        if !self.older {
            self.case.question.older.clear();
        }
        let Question { files, older, .. } = &mut self.case.question;
        for (_, content) in files.iter_mut().chain(older) {
            *content = written::read(std::str::from_utf8(content).unwrap());
        }
        self.case
    }
}

fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (index, part) in text.split('"').enumerate() {
        match index % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a comment\n#= one\n#: host web db\n#: args -o \"User x\" -p 5\nHost web\n#* 2 Port ⟨N⟩\n\
        #- sub/a\nUser a⟨CR⟩\n#= two\n#: refused keyword 1\nNonsense\n";

    #[test]
    fn a_file_holds_cases_with_files_hosts_and_arguments() {
        let cases = cases("t.conf", TEXT);
        let [one, two] = cases.as_slice() else { panic!("{cases:?}") };
        assert_eq!(one.name, "t.conf:2: one");
        assert_eq!(one.hosts, ["web", "db"]);
        assert_eq!(one.question.args, ["-o", "User x", "-p", "5"]);
        assert_eq!(one.question.files[0], (MAIN.to_owned(), b"Host web\nPort 1\nPort 2\n".to_vec()));
        assert_eq!(one.question.files[1], ("sub/a".to_owned(), b"User a\r\n".to_vec()));
        assert_eq!(two.refused, Some((Kind::Keyword, Some(1))));
    }

    #[test]
    fn what_is_pasted_is_the_same_case() {
        let case = &cases("t.conf", TEXT)[0];
        let question = case.question("web", (9, 2));
        let again = &cases("again.conf", &pasted("one", &question))[0];
        assert_eq!(again.question(&again.hosts[0], (9, 2)), question);
    }
}
