//! Servers for which names are one file that are not the same bytes, and such as list without an end.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use rustle_sftp::{Sftp, TreeSummary};
use rustle_sftp_proto::{Attributes, Handle, NameEntry, Reply, Request, Status, StatusCode};

use super::*;
use crate::scripted::at;

const COMPOSED: &str = "\u{e9}";
const DECOMPOSED: &str = "e\u{301}";

/// One directory, `/to`, as a file system keeps it that takes both spellings of an accent for one, and no dot at the end.
struct Folding {
    /// By the name that is the same for all spellings, with the one that is listed.
    files: BTreeMap<String, (String, Vec<u8>)>,
    /// A file that takes the place of another gives its own name to it.
    gives_name: bool,
    /// Lists names of 32 KiB, and more and more of them.
    endless: bool,
    open: HashMap<Bytes, (String, bool)>,
    number: u32,
}

fn folded(path: &[u8]) -> String {
    let name = str::from_utf8(path).unwrap().strip_prefix("/to/").unwrap();
    name.replace(DECOMPOSED, COMPOSED).trim_end_matches('.').to_owned()
}

impl Folding {
    fn new(names: &[&str]) -> Self {
        let mut files = BTreeMap::new();
        for name in names {
            let path = format!("/to/{name}");
            files.insert(folded(path.as_bytes()), ((*name).to_owned(), b"old".to_vec()));
        }
        Self { files, gives_name: false, endless: false, open: HashMap::new(), number: 0 }
    }

    fn answer(&mut self, request: Request) -> Reply {
        let status = |code| Reply::Status(Status::from(code));
        match request {
            Request::OpenDir { .. } => self.handle(String::new()),
            Request::ReadDir { handle } => self.list(&handle),
            Request::Open { path, .. } => {
                let shown = String::from_utf8(path.strip_prefix(b"/to/").unwrap().to_vec()).unwrap();
                let name = folded(&path);
                self.files.entry(name.clone()).or_insert((shown, Vec::new())).1.clear();
                self.handle(name)
            }
            Request::Write { handle, offset, data } => {
                let (name, _) = &self.open[handle.as_bytes()];
                let (_, content) = self.files.get_mut(name).unwrap();
                assert_eq!(content.len() as u64, offset);
                content.extend_from_slice(&data);
                status(StatusCode::OK)
            }
            Request::Rename { from, to } => {
                let (_, content) = self.files.remove(&folded(&from)).unwrap();
                let shown = str::from_utf8(&to[4..]).unwrap().to_owned();
                let replaced = self.files.remove(&folded(&to)).filter(|_| !self.gives_name);
                let shown = replaced.map_or(shown, |(kept, _)| kept);
                self.files.insert(folded(&to), (shown, content));
                status(StatusCode::OK)
            }
            Request::Remove { path } => match self.files.remove(&folded(&path)) {
                Some(_) => status(StatusCode::OK),
                None => status(StatusCode::NO_SUCH_FILE),
            },
            Request::RealPath { path } => Reply::Name(vec![NameEntry::path(path)]),
            Request::MkDir { .. } => status(StatusCode::FAILURE),
            Request::Stat { path } | Request::Lstat { path } if path == "/to" => {
                Reply::Attributes(Attributes::new().with_permissions(0o040_755))
            }
            Request::Stat { path } | Request::Lstat { path } => match self.files.get(&folded(&path)) {
                Some(_) => Reply::Attributes(Attributes::new().with_permissions(0o100_644)),
                None => status(StatusCode::NO_SUCH_FILE),
            },
            _ => status(StatusCode::OK),
        }
    }

    fn handle(&mut self, name: String) -> Reply {
        self.number += 1;
        let handle = Bytes::copy_from_slice(&self.number.to_be_bytes());
        self.open.insert(handle.clone(), (name, false));
        Reply::Handle(Handle::new(handle))
    }

    fn list(&mut self, handle: &Handle) -> Reply {
        let attributes = Attributes::new().with_permissions(0o100_644).with_size(3).with_times(1, 1);
        if self.endless {
            self.number += 1;
            let name = format!("{:032768}", self.number);
            return Reply::Name(vec![NameEntry::new(Bytes::from(name), Bytes::new(), attributes)]);
        }
        let (_, listed) = self.open.get_mut(handle.as_bytes()).unwrap();
        if std::mem::replace(listed, true) {
            return Reply::Status(Status::from(StatusCode::EOF));
        }
        let names = self.files.values().map(|(shown, _)| Bytes::from(shown.clone()));
        Reply::Name(names.map(|name| NameEntry::new(name, Bytes::new(), attributes.clone())).collect())
    }

    /// The names that are listed, each with its content.
    fn shown(&self) -> Vec<(&str, &[u8])> {
        self.files.values().map(|(shown, content)| (&shown[..], &content[..])).collect()
    }
}

/// Makes `/to` equal to a directory with one file of this name.
async fn synced(server: &mut Folding, name: &str) -> rustle_sftp::Result<TreeSummary> {
    let here = tempfile::tempdir().unwrap();
    old(&here.path().join(name), "new");
    let sync = async |sftp: Sftp| sftp.sync_to(here.path(), "/to").delete().await;
    at(|request| server.answer(request), sync).await
}

#[tokio::test]
async fn what_was_just_sent_is_not_removed_by_another_spelling_of_its_name() {
    // Windows takes no dot at the end.
    let spellings = [(DECOMPOSED, COMPOSED), ("a", "a.")];
    for (there, here) in spellings.into_iter().take(if cfg!(windows) { 1 } else { 2 }) {
        let mut server = Folding::new(&[there, "stale"]);
        let summary = synced(&mut server, here).await.unwrap();
        assert_eq!((summary.files, summary.removed, summary.failures.len()), (1, 0, 2), "{summary:#?}");
        let mut shown = server.shown();
        shown.sort_unstable();
        assert_eq!(shown, [(there, &b"new"[..]), ("stale", b"old")]);
    }
}

#[tokio::test]
async fn what_has_taken_the_new_spelling_is_not_removed_and_the_rest_is() {
    let mut server = Folding { gives_name: true, ..Folding::new(&[DECOMPOSED, "stale"]) };
    let summary = synced(&mut server, COMPOSED).await.unwrap();
    assert_eq!((summary.files, summary.removed, summary.failures.len()), (1, 1, 0), "{summary:#?}");
    assert_eq!(server.shown(), [(COMPOSED, &b"new"[..])]);
    let mut server = Folding::new(&["stale", "\u{fc}"]);
    let summary = synced(&mut server, COMPOSED).await.unwrap();
    assert_eq!((summary.files, summary.removed, summary.failures.len()), (1, 2, 0), "{summary:#?}");
    assert_eq!(server.shown(), [(COMPOSED, &b"new"[..])]);
}

#[tokio::test]
async fn names_without_an_end_are_an_error_and_fill_no_memory() {
    let mut server = Folding { endless: true, ..Folding::new(&[]) };
    let error = synced(&mut server, "new").await.unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::Protocol, Some(&b"/to"[..])), "{error}");
}
