//! Configurations from a seed, over the whole grammar.
//!
//! Each holds two pairs of a keyword and a block form, which are dealt out so that five thousand configurations have
//! every pair there is; what is around them is by chance.

use crate::files::{DIR, MAIN, Question};
use crate::grammar::{BLOCKS, Block, ROWS, Row, WRONG_BLOCKS};
use crate::random::Random;

/// A configuration and the two hosts that are asked for.
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    pub(crate) files: Vec<(String, Vec<Line>)>,
    pub(crate) args: Vec<[String; 2]>,
    pub(crate) hosts: [String; 2],
}

/// A line with its end.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) text: String,
    /// What an ssh is given that does not know it.
    pub(crate) older: Option<String>,
}

const HOSTS: [&str; 15] = [
    "web",
    "db",
    "alias",
    "moved.lab.test",
    "a.dotted",
    "web.example.test",
    "db.example.com",
    "WEB",
    "10.0.0.1",
    "alice@web",
    "::1",
    "wxb",
    "ssh://bob@web:2200",
    "nobody",
    "bob@db.example.org",
];

/// The configuration of this number from a seed, for an ssh of this version that may or may not have a world of its own.
pub(crate) fn configuration(seed: u64, number: usize, version: (u32, u32), has_world: bool) -> Configuration {
    let random = Random::stream(seed, number);
    Generator { random, version, at_home: false }.configuration(number, has_world)
}

impl Configuration {
    /// What is asked for one of its hosts.
    pub(crate) fn question(&self, host: &str) -> Question {
        let text = |of: fn(&Line) -> &str| -> Vec<(String, Vec<u8>)> {
            let content = |lines: &[Line]| lines.iter().flat_map(|line| of(line).bytes()).collect();
            self.files.iter().map(|(name, lines)| (name.clone(), content(lines))).collect()
        };
        let has_newer = self.files.iter().flat_map(|(_, lines)| lines).any(|line| line.older.is_some());
        Question {
            files: text(|line| &line.text),
            older: if has_newer {
                text(|line| line.older.as_ref().unwrap_or(&line.text))
            } else {
                Vec::new()
            },
            modes: Vec::new(),
            host: host.to_owned(),
            args: self.args.iter().flatten().cloned().collect(),
            env: vec![("AGENT".into(), "/run/agent".into()), ("SOCK".into(), "/run/sock".into())],
        }
    }
}

struct Generator {
    random: Random,
    version: (u32, u32),
    /// Whether the files are the user's and the system's, where includes may be relative.
    at_home: bool,
}

impl Generator {
    fn configuration(mut self, number: usize, has_world: bool) -> Configuration {
        let pairs = ROWS.len() * BLOCKS.len();
        let pair = |index: usize| (&ROWS[index % ROWS.len()], &BLOCKS[index / ROWS.len() % BLOCKS.len()]);
        let features = [pair((2 * number) % pairs), pair((2 * number + 1) % pairs)];
        self.at_home = has_world && self.random.percent(20);

        let mut lines = if self.random.percent(15) { self.canonical_names() } else { Vec::new() };
        lines.extend(self.some_lines(3));
        let mut needed = Vec::new();
        for (row, block) in features {
            needed.extend(block.needs);
            lines.push(self.block(block));
            lines.extend(self.some_lines(2));
            lines.extend(self.feature(row));
            lines.extend(self.some_lines(2));
        }
        if self.random.percent(30) {
            let block = self.some_block();
            lines.push(self.block(block));
            lines.extend(self.some_lines(3));
        }
        if let Some((keyword, value)) = needed.first() {
            lines.insert(0, self.line(keyword, value));
        }
        if self.random.percent(3) {
            let wrong = *self.random.pick(WRONG_BLOCKS);
            let at = self.random.below(lines.len() + 1);
            lines.insert(at, same(format!("{wrong}\n")));
        }
        let mut files = self.includes(&mut lines);
        if self.random.percent(3)
            && let Some(last) = lines.last_mut()
        {
            for text in last.older.iter_mut().chain([&mut last.text]) {
                text.truncate(text.trim_end_matches(['\n', '\r']).len());
            }
        }
        if self.at_home {
            let mut system = self.some_lines(5);
            files.insert(0, ("home/config".to_owned(), lines));
            if self.random.percent(40) {
                let target = *self.random.pick(&["sub.conf", "*.conf", "/etc/ssh/s[[:lower:]]b.conf"]);
                let at = self.random.below(system.len() + 1);
                system.insert(at, same(format!("Include {target}\n")));
                files.push(("system/sub.conf".to_owned(), self.some_lines(3)));
            }
            files.push(("system/ssh_config".to_owned(), system));
        } else {
            files.insert(0, (MAIN.to_owned(), lines));
        }
        Configuration { files, args: self.args(), hosts: self.hosts() }
    }

    /// Names made canonical, with what goes with that.
    fn canonical_names(&mut self) -> Vec<Line> {
        let values: [(&str, &[&str], usize); 5] = [
            ("CanonicalizeHostname", &["yes", "always"], 100),
            ("CanonicalDomains", &["example.test", "lab.test example.test", "other.test example.test"], 90),
            ("CanonicalizePermittedCNAMEs", &["*:*", "*.lab.test:*.other.test,*.lab.test", "*"], 40),
            ("CanonicalizeMaxDots", &["0", "2"], 30),
            ("CanonicalizeFallbackLocal", &["yes", "no"], 20),
        ];
        let mut lines = Vec::new();
        for (keyword, values, percent) in values {
            if self.random.percent(percent) {
                let value = *self.random.pick(values);
                lines.push(same(self.written(keyword, value)));
            }
        }
        lines
    }

    /// A block that means the same wherever it stands.
    fn some_block(&mut self) -> &'static Block {
        loop {
            let block = self.random.pick(BLOCKS);
            if block.needs.is_none() {
                return block;
            }
        }
    }

    fn hosts(&mut self) -> [String; 2] {
        let first = self.random.below(HOSTS.len());
        let second = (first + 1 + self.random.below(HOSTS.len() - 1)) % HOSTS.len();
        [HOSTS[first].to_owned(), HOSTS[second].to_owned()]
    }

    fn args(&mut self) -> Vec<[String; 2]> {
        let mut args = Vec::new();
        for _ in 0..self.random.below(3) {
            let arg = match self.random.below(8) {
                0 => ["-p".to_owned(), (*self.random.pick(&["22", "2022", "65535"])).to_owned()],
                1 => ["-l".to_owned(), (*self.random.pick(&["alice", "carol"])).to_owned()],
                2 => [
                    "-i".to_owned(),
                    (*self.random.pick(&["/etc/hosts", "/etc/passwd", "/etc/hosts", "/i/k"])).to_owned(),
                ],
                3 | 4 => ["-o".to_owned(), self.option()],
                _ => continue,
            };
            args.push(arg);
        }
        args
    }

    fn option(&mut self) -> String {
        loop {
            let row = self.random.pick(ROWS);
            if row.since() <= self.version && !row.fits.is_empty() {
                let value = *self.random.pick(row.fits);
                let between = *self.random.pick(&["=", " ", " = "]);
                return format!("{}{between}{value}", row.keyword);
            }
        }
    }

    /// The keyword that the configuration is about: once with a value that fits, or does not, and perhaps again.
    fn feature(&mut self, row: &Row) -> Vec<Line> {
        let times = 1 + usize::from(self.random.percent(35)) + usize::from(self.random.percent(10));
        let wrong = self.random.percent(7);
        (0..times).flat_map(|time| self.setting(row, wrong && time == 0)).collect()
    }

    fn some_lines(&mut self, most: usize) -> Vec<Line> {
        let count = self.random.below(most + 1);
        let mut lines = Vec::new();
        for _ in 0..count {
            let row = self.random.pick(ROWS);
            // Those that are refused here or there would leave little to compare.
            if row.fits.is_empty() || matches!(row.keyword, "ForkAfterAuthentication" | "RefuseConnection") {
                lines.push(same((*self.random.pick(&["\n", "# a comment\n", "  #x\n", "\t\n"])).to_owned()));
            } else {
                let wrong = self.random.percent(1);
                lines.extend(self.setting(row, wrong));
            }
        }
        lines
    }

    fn setting(&mut self, row: &Row, wrong: bool) -> Vec<Line> {
        let values = if row.fits.is_empty() || wrong && !row.does_not_fit.is_empty() {
            row.does_not_fit
        } else {
            row.fits
        };
        let value = *self.random.pick(values);
        let line = self.line(row.keyword, value);
        // Where it applied, nothing would be left to compare.
        if line.older.is_some() && row.keyword == "RefuseConnection" {
            vec![same("Host noone\n".to_owned()), line]
        } else {
            vec![line]
        }
    }

    /// A keyword and its value. An ssh that does not know the keyword is given a comment.
    fn line(&mut self, keyword: &str, value: &str) -> Line {
        let is_newer = |row: &Row| row.keyword == keyword && row.since() > self.version;
        if !ROWS.iter().any(is_newer) {
            return same(self.written(keyword, value));
        }
        let text = self.written_rightly(keyword, value);
        let older = Some(with_the_end_of(&text, "# not known yet"));
        Line { text, older }
    }

    fn block(&mut self, block: &Block) -> Line {
        let (keyword, value) = block.line.split_once(' ').unwrap_or((block.line, ""));
        if block.since <= self.version {
            return same(self.written(keyword, value));
        }
        let text = self.written_rightly(keyword, value);
        let older = Some(with_the_end_of(&text, block.as_if));
        Line { text, older }
    }

    /// A line that means what it should: nobody is there to refuse what an older ssh is not given.
    fn written_rightly(&mut self, keyword: &str, value: &str) -> String {
        loop {
            let text = self.written(keyword, value);
            let behind_quotes =
                text.splitn(3, '"').nth(2).filter(|_| text.trim_start().find('"') < text.find(value));
            if !behind_quotes.is_some_and(|rest| rest.trim_start().starts_with('=')) {
                return text;
            }
        }
    }

    /// A line in one of the ways to write it.
    fn written(&mut self, keyword: &str, value: &str) -> String {
        let indent = *self.random.pick(&["", "", "  ", "\t", "    ", " \t"]);
        let keyword = match self.random.below(8) {
            0 => keyword.to_ascii_lowercase(),
            1 => keyword.to_ascii_uppercase(),
            2 => format!("\"{keyword}\""),
            3 if self.random.percent(30) => {
                let (front, back) = keyword.split_at(1);
                format!("{front}\"{back}\"")
            }
            _ => keyword.to_owned(),
        };
        let mut between = *self.random.pick(&[" ", " ", " ", "=", " = ", "\t", " =", "= ", "  ", "\t=\t"]);
        // Behind a quoted keyword the sign is of the value, which then seldom means anything.
        if keyword.contains('"') && !self.random.percent(4) {
            between = *self.random.pick(&[" ", "\t"]);
        }
        // Within Match, older versions know quotes only around a whole condition.
        let is_match = keyword.replace('"', "").eq_ignore_ascii_case("match");
        let value = match self.random.below(12) {
            0..=2 if is_match => self.with_a_quoted_word(value),
            _ if is_match => value.to_owned(),
            0 if is_one_word(value) => format!("\"{value}\""),
            1 if is_one_word(value) => format!("'{value}'"),
            2 if is_one_word(value) && value.len() > 1 && value.is_ascii() => {
                let (front, back) = value.split_at(1);
                format!("{front}\"{back}\"")
            }
            _ => value.to_owned(),
        };
        let end = match self.random.below(20) {
            0 => "\r\n",
            1 => "  \n",
            2 => " # a comment\n",
            3 => "\t#\n",
            4 => "\x0c\n",
            5 => "\n\n",
            6 => " #\"\n",
            _ => "\n",
        };
        format!("{indent}{keyword}{between}{value}{end}")
    }

    /// A condition, or what it compares with, in quotes of either kind; both at once would be one word.
    fn with_a_quoted_word(&mut self, value: &str) -> String {
        if value.contains(['"', '=']) {
            return value.to_owned();
        }
        let mut words: Vec<String> = value.split(' ').map(str::to_owned).collect();
        let quote = *self.random.pick(&["\"", "\"", "'"]);
        let at = self.random.below(words.len());
        words[at] = format!("{quote}{}{quote}", words[at]);
        words.join(" ")
    }

    /// Puts some of the lines into other files, up to three deep.
    fn includes(&mut self, lines: &mut Vec<Line>) -> Vec<(String, Vec<Line>)> {
        let mut files = Vec::new();
        let (folder, path) = if self.at_home {
            ("home/inc", (*self.random.pick(&["inc", "~/.ssh/inc"])).to_owned())
        } else {
            ("inc", format!("{DIR}/inc"))
        };
        for depth in 0..self.random.below(4) {
            let name = ["one.conf", "two.conf", "three"][depth];
            let mut inside = self.some_lines(3);
            if self.random.percent(50) {
                let block = self.some_block();
                inside.push(self.block(block));
                inside.extend(self.some_lines(2));
            }
            let (outside, inner) =
                path.rsplit_once('/').map_or(("", &*path), |(outside, inner)| (outside, inner));
            let outside = if outside.is_empty() { String::new() } else { format!("{outside}/") };
            let target = match self.random.below(14) {
                0 => format!("{path}/*.conf"),
                1 => format!("{path}/{name} {path}/missing"),
                2 => format!("\"{path}/{name}\""),
                3 => format!("{path}/{}?{}", &name[..1], &name[2..]),
                4 => format!("{path}/[ot]{}", &name[1..]),
                5 => format!("{outside}*/{name}"),
                6 => format!("{outside}{}?c/*.conf", &inner[..1]),
                7 => format!("{outside}[[:lower:]]*/{name}"),
                8 => format!("{path}/[[:alpha:]]{}", &name[1..]),
                9 => format!("{path}/[![:digit:]_]*[[:alnum:]]"),
                10 => format!("{path}/[[:upper:][:digit:]]*"),
                _ => format!("{path}/{name}"),
            };
            // A file that finds itself by a wildcard would be included to the limit.
            let into = match files.last_mut() {
                Some((_, before)) if !target.contains(['*', '?', '[']) && self.random.percent(60) => before,
                _ => &mut *lines,
            };
            let at = self.random.below(into.len() + 1);
            into.insert(at, same(format!("Include {target}\n")));
            files.push((format!("{folder}/{name}"), inside));
        }
        files
    }
}

fn same(text: String) -> Line {
    Line { text, older: None }
}

/// Another line in a line's place, with as many ends, so that those behind it keep their numbers.
fn with_the_end_of(line: &str, other: &str) -> String {
    format!("{other}{}", "\n".repeat(line.matches('\n').count()))
}

fn is_one_word(value: &str) -> bool {
    !value.is_empty() && !value.contains([' ', '"', '\'', '\\', '\t'])
}

#[cfg(test)]
mod tests {
    use rustle_ssh_config::Keyword;

    use super::*;

    #[test]
    fn every_keyword_of_the_table_is_generated_and_in_every_form_of_a_block() {
        let pairs = ROWS.len() * BLOCKS.len();
        assert!(2 * crate::GENERATED >= pairs, "{pairs} pairs need more configurations");
        let structure = [Keyword::Host, Keyword::Match, Keyword::Include];
        let text: String = (0..crate::GENERATED)
            .flat_map(|number| configuration(1, number, (9, 2), true).files)
            .flat_map(|(_, lines)| lines)
            .map(|line| line.text.to_ascii_lowercase())
            .collect();
        for keyword in Keyword::ALL {
            let name = keyword.name().to_ascii_lowercase();
            assert!(text.contains(&name), "{keyword} is never generated");
            let has_row = ROWS.iter().any(|row| row.keyword == keyword.name());
            assert_eq!(has_row, !structure.contains(keyword), "{keyword} has no row in the grammar");
        }
    }

    #[test]
    fn a_seed_gives_the_same_configurations() {
        let text = |seed| format!("{:?}", configuration(seed, 17, (9, 2), true));
        assert_eq!(text(4), text(4));
        assert_ne!(text(4), text(5));
    }
}
