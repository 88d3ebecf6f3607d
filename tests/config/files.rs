//! The files of a case and what is asked of them, in a folder where both sides find them under the same names.

use std::fs;
use std::path::{Path, PathBuf};

use crate::theirs::Account;

/// What stands for the folder of the files.
pub(crate) const DIR: &str = "⟨DIR⟩";
/// Files under this are in the user's `~/.ssh`, those under [`SYSTEM`] in `/etc/ssh`.
pub(crate) const HOME: &str = "home/";
pub(crate) const SYSTEM: &str = "system/";
/// The file that is given to ssh with `-F`; without it, the user's and the system's are read.
pub(crate) const MAIN: &str = "config";

/// One configuration and what is asked of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Question {
    /// Names and contents; [`DIR`] stands for the folder in both contents and arguments.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// What an ssh that does not know all of it is given in their place, line for line; none, where it does.
    pub(crate) older: Vec<(String, Vec<u8>)>,
    pub(crate) modes: Vec<(String, u32)>,
    pub(crate) host: String,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
}

impl Question {
    /// Whether ssh has to be kept in a world of its own: for files in `~/.ssh` and `/etc/ssh`, and for names that are
    /// looked up.
    pub(crate) fn needs_own_world(&self) -> bool {
        let looks_up = |text: &[u8]| {
            let text = String::from_utf8_lossy(text).to_ascii_lowercase();
            text.contains("canonicalize") || text.contains("~/.ssh/")
        };
        let outside = |(name, text): &(String, Vec<u8>)| {
            name.starts_with(HOME) || name.starts_with(SYSTEM) || looks_up(text)
        };
        !self.has_main()
            || self.files.iter().any(outside)
            || self.args.iter().any(|arg| looks_up(arg.as_bytes()))
    }

    /// A line of a file, both by their numbers from 0.
    pub(crate) fn line(&self, file: usize, line: usize) -> Option<&[u8]> {
        self.files.get(file)?.1.split(|byte| *byte == b'\n').nth(line)
    }

    fn has_main(&self) -> bool {
        self.files.iter().any(|(name, _)| name == MAIN)
    }

    /// Writes the files into a new folder, as ssh is to read them.
    pub(crate) fn write(&self, folder: &Path) -> Written {
        let written = Written {
            folder: folder.to_owned(),
            args: self.args.iter().map(|arg| arg.replace(DIR, folder.to_str().unwrap())).collect(),
            question: self.clone(),
        };
        written.put(if self.older.is_empty() { &self.files } else { &self.older });
        #[cfg(unix)]
        for (name, mode) in &self.modes {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(*mode)).unwrap();
        }
        written
    }
}

/// A question whose files are there.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) folder: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) question: Question,
}

impl Written {
    /// Lets us read what an older ssh could not.
    pub(crate) fn make_ours(&self) {
        if !self.question.older.is_empty() {
            self.put(&self.question.files);
        }
    }

    fn put(&self, files: &[(String, Vec<u8>)]) {
        let folder = self.folder.to_str().unwrap().as_bytes();
        for (name, text) in files {
            let path = self.folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, replaced(text, DIR.as_bytes(), folder)).unwrap();
        }
    }

    /// The numbers, from 0, of a file and its line, by the path and the number from 1 that complaints have.
    pub(crate) fn find(&self, (path, line): &(String, usize), account: &Account) -> Option<(usize, usize)> {
        let is_it = |name: &str| match (name.strip_prefix(HOME), name.strip_prefix(SYSTEM)) {
            (Some(rest), _) => *path == format!("{}/.ssh/{rest}", account.home),
            (_, Some(rest)) => *path == format!("/etc/ssh/{rest}"),
            _ => Path::new(path) == self.folder.join(name),
        };
        let file = self.question.files.iter().position(|(name, _)| is_it(name))?;
        let line = line.checked_sub(1)?;
        self.question.line(file, line).map(|_| (file, line))
    }

    pub(crate) fn has(&self, prefix: &str) -> bool {
        self.question.files.iter().any(|(name, _)| name.starts_with(prefix))
    }

    /// The file for `-F`, if there is one.
    pub(crate) fn main(&self) -> Option<PathBuf> {
        self.question.has_main().then(|| self.folder.join(MAIN))
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.join(HOME.trim_end_matches('/'))
    }

    pub(crate) fn system(&self) -> PathBuf {
        self.folder.join(SYSTEM.trim_end_matches('/'))
    }
}

fn replaced(text: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(what.len()).position(|window| window == what) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(with);
        rest = &rest[at + what.len()..];
    }
    out.extend_from_slice(rest);
    out
}

#[test]
fn the_folder_is_written_where_its_mark_stands() {
    assert_eq!(replaced("a⟨DIR⟩/b⟨DIR⟩".as_bytes(), DIR.as_bytes(), b"/x"), b"a/x/b/x");
}
