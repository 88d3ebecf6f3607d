//! What runs commands on the far side, and what there is beyond POSIX. Asked once a session.

use std::time::Duration;

use rustle_session::{Session, Shell};

use crate::commands::failure::not_run;
use crate::commands::{NoShell, Of, sh};
use crate::error::{Error, ErrorKind, Result};
use crate::shown::Shown;

/// What the far side has beyond POSIX, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Programs {
    pub(super) stat: Stat,
    /// GNU `find`, which prints what it knows of each name, and passes over one that is gone by then.
    pub(super) find_printf: bool,
    /// `sync FILE` waits for one file to be stored.
    pub(super) sync_file: bool,
    /// `mv -T` never takes its target for a directory to move into.
    pub(super) mv_whole: bool,
    pub(super) readlink: bool,
    pub(super) real_path: Option<RealPath>,
    /// A program that makes a SHA-256.
    pub(super) sha256: bool,
}

/// How a file is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Stat {
    /// `stat -c`, as in GNU's and BusyBox.
    Gnu,
    /// `stat -f`, as in the BSDs' and macOS.
    Bsd,
    /// POSIX has none: `ls -ldn`, whose times are for people.
    #[default]
    Ls,
}

/// How a path is made absolute where its last part is a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RealPath {
    RealPath,
    ReadLink,
}

impl Programs {
    pub(crate) fn knows_times(self) -> bool {
        self.stat != Stat::Ls
    }

    pub(crate) fn stores(self) -> bool {
        self.sync_file
    }

    pub(crate) fn moves_whole(self) -> bool {
        self.mv_whole
    }

    pub(crate) fn reads_links(self) -> bool {
        self.readlink
    }

    pub(crate) fn hashes(self) -> bool {
        self.sha256
    }

    fn read(lines: &[u8]) -> Option<Self> {
        let mut programs = Self::default();
        for line in lines.split(|byte| *byte == b'\n') {
            match line {
                b"stat gnu" => programs.stat = Stat::Gnu,
                b"stat bsd" => programs.stat = Stat::Bsd,
                b"find" => programs.find_printf = true,
                b"sync" => programs.sync_file = true,
                b"mv" => programs.mv_whole = true,
                b"readlink" => programs.readlink = true,
                b"real realpath" => programs.real_path = Some(RealPath::RealPath),
                b"real readlink" => programs.real_path = Some(RealPath::ReadLink),
                b"sha256" => programs.sha256 = true,
                b"end" => return Some(programs),
                _ => {}
            }
        }
        None
    }
}

/// What runs commands, and what it has.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) shell: Shell,
    pub(crate) programs: Programs,
    /// What stands before each command's output.
    pub(crate) printed: Option<String>,
}

/// Asks in the quoting of one shell after the other. A question that is quoted for another shell does nothing there: its
/// text is always the same, and the answer shows whether it arrived as it was sent.
pub(crate) async fn probe(session: &Session) -> Result<Result<Answer, NoShell>> {
    let mut first = None;
    for shell in [Shell::Posix, Shell::Fish, Shell::Csh] {
        match ask(session, shell).await? {
            Ok(answer) => return Ok(Ok(answer)),
            Err(Wrong::Said(why)) => {
                first.get_or_insert(why);
            }
            // Each of these shells ends at once, whosever question it is: what is silent is none of them.
            Err(Wrong::Silent(why)) => {
                first.get_or_insert(why);
                break;
            }
        }
    }
    let why = first.unwrap_or_default();
    let text = format!("commands of this account are not run by a POSIX shell, fish or csh: {why}");
    Ok(Err(NoShell(Error::new(ErrorKind::Unavailable, "open", text))))
}

/// Why an answer is none.
enum Wrong {
    Said(String),
    Silent(String),
}

async fn ask(session: &Session, shell: Shell) -> Result<Result<Answer, Wrong>> {
    let command = sh(session, shell, SCRIPT, &[TRICKY]).no_stdin().timeout(WITHIN).output_limit(MOST_ANSWER);
    let output = match command.output().await {
        Ok(output) => output,
        Err(error) if error.kind() == rustle_session::ErrorKind::RequestRefused => {
            let text = "the server runs no commands for this account";
            return Err(Error::new(ErrorKind::Unavailable, "open", text).with_source(error));
        }
        Err(error) if error.kind() == rustle_session::ErrorKind::Overrun => {
            return Ok(Err(Wrong::Said("what answers does not stop writing".into())));
        }
        Err(error) => return Err(not_run(Of { operation: "open", path: b"" }, error)),
    };
    let marked = [MARK, TRICKY, b"\n"].concat();
    let at = output.stdout.windows(marked.len()).position(|window| window == marked);
    if let Some(at) = at {
        let (before, lines) = (&output.stdout[..at], &output.stdout[at + marked.len()..]);
        let printed = (!before.is_empty()).then(|| Shown::of(before).to_string());
        let cut = || Wrong::Said(format!("its answer is cut off: {}", Shown::of(lines)));
        return Ok(Programs::read(lines).map(|programs| Answer { shell, programs, printed }).ok_or_else(cut));
    }
    let said = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    // Some repeat the question in their answer; its beginning is enough.
    let beginning = Shown::of(&said[..said.len().min(MOST_SHOWN)]);
    Ok(Err(match output.interruption {
        Some(_) => Wrong::Silent(format!("no answer within {} s, {beginning}", WITHIN.as_secs())),
        None => Wrong::Said(format!("{}, {beginning}", output.status)),
    }))
}

/// What each shell would change if it were quoted for another.
const TRICKY: &[u8] = b"-'\"\\\\!$HOME`~*\n;&#\xff";

const MARK: &[u8] = b"rustle:";

/// `--help` is only asked where `stat -c` shows that these are GNU's programs or BusyBox's: others do what they are for.
const SCRIPT: &str = r#"LC_ALL=C;export LC_ALL;printf "rustle:%s\n" "$1";
h(){ command -v "$1" >/dev/null 2>&1;};
if stat -c %f / >/dev/null 2>&1;then echo stat gnu;
case $(sync --help 2>&1) in *FILE*)echo sync;;esac;
case $(mv --help 2>&1) in *-T,*|*finT*)echo mv;;esac;
elif stat -f %p / >/dev/null 2>&1;then echo stat bsd;fi;
if find / -ignore_readdir_race -prune -printf "" >/dev/null 2>&1;then echo find;fi;
if h readlink;then echo readlink;fi;
if h realpath;then echo real realpath;elif readlink -f / >/dev/null 2>&1;then echo real readlink;fi;
if h sha256sum||h shasum||h sha256||h openssl;then echo sha256;fi;echo end"#;

/// A machine that swaps starts a few processes within that; a menu that takes the place of the shell never answers.
const WITHIN: Duration = Duration::from_secs(30);

const MOST_ANSWER: u64 = 64 * 1024;

const MOST_SHOWN: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_only_when_it_is_whole() {
        let programs = Programs::read(b"stat bsd\nsha256\nnews of a later script\nend\n").unwrap();
        assert_eq!((programs.stat, programs.sha256, programs.find_printf), (Stat::Bsd, true, false));
        assert_eq!(Programs::read(b"stat bsd\nsha2"), None);
        assert_eq!(Programs::read(b"end\n"), Some(Programs::default()));
    }
}
