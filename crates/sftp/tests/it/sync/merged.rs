//! Directories of the source that are one on the server, which takes upper and lower case for the same.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use rustle_sftp::{Sftp, TreeSummary};
use rustle_sftp_proto::{Attributes, Handle, NameEntry, Reply, Request, Status, StatusCode};

use super::*;
use crate::scripted::at;

/// Directories and files by their paths in lower case.
#[derive(Default)]
struct Merging {
    nodes: BTreeMap<String, Node>,
    open: HashMap<Bytes, Open>,
    number: u32,
    /// A directory that is there may be made again.
    makes_twice: bool,
}

struct Node {
    /// What a listing says.
    name: String,
    /// None for a directory.
    content: Option<Vec<u8>>,
    modified: u32,
}

enum Open {
    File(String),
    Listing(Vec<NameEntry>),
}

impl Node {
    fn attributes(&self) -> Attributes {
        let attributes = Attributes::new().with_times(self.modified, self.modified);
        match &self.content {
            Some(content) => attributes.with_permissions(0o100_644).with_size(content.len() as u64),
            None => attributes.with_permissions(0o040_755),
        }
    }
}

/// How a path is found, and the name that is kept of it.
fn key(path: &[u8]) -> (String, String) {
    let path = str::from_utf8(path).unwrap();
    let (_, name) = path.rsplit_once('/').unwrap();
    (path.to_lowercase(), name.to_owned())
}

impl Merging {
    fn new(paths: &[&str]) -> Self {
        let mut server = Self::default();
        for path in paths {
            for (end, _) in path.match_indices('/').skip(1) {
                server.plant(&path[..end], None);
            }
            server.plant(path, Some(b"old".to_vec()));
        }
        server
    }

    fn plant(&mut self, path: &str, content: Option<Vec<u8>>) {
        let (key, name) = key(path.as_bytes());
        self.nodes.entry(key).or_insert(Node { name, content, modified: 1 });
    }

    fn answer(&mut self, request: Request) -> Reply {
        let status = |code| Reply::Status(Status::from(code));
        match request {
            Request::OpenDir { path } => {
                let above = format!("{}/", key(&path).0);
                let listed = self
                    .nodes
                    .iter()
                    .filter(|(path, _)| path.strip_prefix(&above).is_some_and(|name| !name.contains('/')));
                let entry = |node: &Node| NameEntry::new(node.name.clone(), Bytes::new(), node.attributes());
                let entries = listed.map(|(_, node)| entry(node)).collect();
                self.handle(Open::Listing(entries))
            }
            Request::ReadDir { handle } => match self.open.get_mut(handle.as_bytes()) {
                Some(Open::Listing(entries)) if !entries.is_empty() => Reply::Name(std::mem::take(entries)),
                _ => status(StatusCode::EOF),
            },
            Request::Open { path, .. } => {
                let (key, name) = key(&path);
                let content = Some(Vec::new());
                self.nodes.insert(key.clone(), Node { name, content, modified: 1 });
                self.handle(Open::File(key))
            }
            Request::Write { handle, data, .. } => {
                self.opened(&handle).content.as_mut().unwrap().extend_from_slice(&data);
                status(StatusCode::OK)
            }
            Request::FsetStat { handle, attributes } => {
                self.opened(&handle).modified = attributes.modified().unwrap();
                status(StatusCode::OK)
            }
            Request::Rename { from, to } => {
                let ((from, _), (to, name)) = (key(&from), key(&to));
                let node = self.nodes.remove(&from).unwrap();
                let name = self.nodes.remove(&to).map_or(name, |replaced| replaced.name);
                self.nodes.insert(to, Node { name, ..node });
                status(StatusCode::OK)
            }
            Request::Remove { path } | Request::RmDir { path } => match self.nodes.remove(&key(&path).0) {
                Some(_) => status(StatusCode::OK),
                None => status(StatusCode::NO_SUCH_FILE),
            },
            Request::MkDir { path, .. } => {
                let is_there = self.nodes.contains_key(&key(&path).0);
                self.plant(str::from_utf8(&path).unwrap(), None);
                status(if is_there && !self.makes_twice { StatusCode::FAILURE } else { StatusCode::OK })
            }
            Request::RealPath { path } => Reply::Name(vec![NameEntry::path(path)]),
            Request::Stat { path } | Request::Lstat { path } => match self.nodes.get(&key(&path).0) {
                Some(node) => Reply::Attributes(node.attributes()),
                None => status(StatusCode::NO_SUCH_FILE),
            },
            _ => status(StatusCode::OK),
        }
    }

    fn opened(&mut self, handle: &Handle) -> &mut Node {
        let Some(Open::File(key)) = self.open.get(handle.as_bytes()) else { panic!("not a file") };
        self.nodes.get_mut(key).unwrap()
    }

    fn handle(&mut self, open: Open) -> Reply {
        self.number += 1;
        let handle = Bytes::copy_from_slice(&self.number.to_be_bytes());
        self.open.insert(handle.clone(), open);
        Reply::Handle(Handle::new(handle))
    }

    /// Makes `/to` equal to a directory with these files.
    async fn synced(&mut self, files: &[&str]) -> TreeSummary {
        let here = tempfile::tempdir().unwrap();
        for file in files {
            old(&here.path().join(file), "new");
        }
        let sync = async |sftp: Sftp| sftp.sync_to(here.path(), "/to").delete().await.unwrap();
        at(|request| self.answer(request), sync).await
    }

    /// The files that are there.
    fn files(&self) -> Vec<&str> {
        let files = self.nodes.iter().filter(|(_, node)| node.content.is_some());
        files.map(|(path, _)| path.strip_prefix("/to/").unwrap()).collect()
    }
}

/// Two directories of these names, where the file system of this side has both.
fn are_two(names: [&str; 2]) -> bool {
    let here = tempfile::tempdir().unwrap();
    names.iter().all(|name| std::fs::create_dir(here.path().join(name)).is_ok())
}

#[tokio::test]
async fn what_was_sent_through_another_spelling_of_a_directory_is_not_removed_as_left_over() {
    if !are_two(["D", "d"]) {
        println!("skipped: to this file system D and d are one as well");
        return;
    }
    for makes_twice in [false, true] {
        for prefix in ["", "above/"] {
            let stale = ["D/stale", "D/below/stale", "other/stale"].map(|name| format!("/to/{prefix}{name}"));
            let paths: Vec<_> = stale.iter().map(String::as_str).chain(["/to/plain/stale"]).collect();
            let mut server = Merging { makes_twice, ..Merging::new(&paths) };
            let sent =
                ["D/x", "d/y", "D/below/x", "d/BELOW/y", "other/x"].map(|name| format!("{prefix}{name}"));
            let mut sent: Vec<_> = sent.iter().map(String::as_str).collect();
            sent.push("plain/x");
            for round in 0..3 {
                let what = format!("{makes_twice}, {prefix:?}, {round}");
                let summary = server.synced(&sent).await;
                let left = server.files();
                for file in &sent {
                    assert!(left.contains(&file.to_lowercase().as_str()), "{what}: {file} in {left:?}");
                }
                // It cannot be told what the server has by two names, so nothing beside it goes, and that is said.
                assert!(stale.iter().all(|path| left.contains(&path[4..].to_lowercase().as_str())), "{what}");
                assert!(summary.kept >= 3 && !summary.failures.is_empty(), "{what}: {summary:#?}");
                let why =
                    summary.failures.iter().map(|failure| failure.error.to_string()).collect::<String>();
                assert!(why.contains("may be the same directory"), "{what}: {why}");
                // Elsewhere it does.
                assert_eq!(left.contains(&"plain/stale"), prefix.is_empty(), "{what}: {left:?}");
            }
        }
    }
}

#[tokio::test]
async fn new_directories_that_are_listed_by_their_names_keep_nothing_from_being_removed() {
    let mut server = Merging::new(&["/to/a/stale", "/to/a/b/stale", "/to/stale"]);
    let summary = server.synced(&["a/b/x", "a/new/x", "new/x"]).await;
    assert_eq!((summary.removed, summary.failures.len(), summary.kept), (3, 0, 0), "{summary:#?}");
    assert_eq!(server.files(), ["a/b/x", "a/new/x", "new/x"]);
}

#[tokio::test]
async fn a_file_of_another_spelling_does_not_keep_what_is_in_directories() {
    let mut server = Merging::new(&["/to/README", "/to/a/stale"]);
    let summary = server.synced(&["readme", "a/x"]).await;
    assert_eq!((summary.removed, summary.failures.len()), (1, 1), "{summary:#?}");
    assert_eq!(server.files(), ["a/x", "readme"]);
}
