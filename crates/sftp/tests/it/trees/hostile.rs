//! Servers that list what would lead elsewhere.

use std::collections::HashMap;

use bytes::Bytes;
use rustle_sftp_proto::{Attributes, Handle, NameEntry, Reply, Request, Status, StatusCode};

use super::*;
use crate::scripted::at;

const LINK: u32 = 0o120_777;
const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
/// A file that is said to be as long as a number can be.
const ENDLESS: u32 = 0o100_600;
/// The same without a word of what it is.
const UNSAID: u32 = 0;

/// Lists these names in `/top`, and a file `inside` in every other directory; files hold `evil`, and links lead to `to`.
#[derive(Default)]
struct Player {
    names: Vec<(&'static str, u32)>,
    to: Bytes,
    endless: bool,
    /// What is open, and whether it was listed.
    open: HashMap<Bytes, (Bytes, bool)>,
    number: u32,
}

impl Player {
    fn answer(&mut self, request: Request) -> Reply {
        let status = |code| Reply::Status(Status::from(code));
        match request {
            Request::OpenDir { path } | Request::Open { path, .. } => {
                self.number += 1;
                let handle = Bytes::copy_from_slice(&self.number.to_be_bytes());
                self.open.insert(handle.clone(), (path, false));
                Reply::Handle(Handle::new(handle))
            }
            Request::ReadDir { handle } => {
                let (path, listed) = self.open.get_mut(handle.as_bytes()).unwrap();
                if self.endless && path != "/top" {
                    return Reply::Name(Vec::new());
                }
                if std::mem::replace(listed, true) {
                    return status(StatusCode::EOF);
                }
                let names = if path == "/top" { self.names.clone() } else { vec![("inside", FILE)] };
                let entry = |(name, mode): (&'static str, u32)| {
                    let attributes = match mode {
                        UNSAID => Attributes::new().with_size(u64::MAX),
                        ENDLESS => Attributes::new().with_permissions(mode).with_size(u64::MAX),
                        _ => Attributes::new().with_permissions(mode).with_size(4),
                    };
                    NameEntry::new(Bytes::from_static(name.as_bytes()), Bytes::new(), attributes)
                };
                Reply::Name(names.into_iter().map(entry).collect())
            }
            Request::Read { offset: 0, .. } => Reply::Data(Bytes::from_static(b"evil")),
            Request::Read { .. } => status(StatusCode::EOF),
            Request::ReadLink { .. } => Reply::Name(vec![NameEntry::path(self.to.clone())]),
            Request::RealPath { path } => Reply::Name(vec![NameEntry::path(path)]),
            Request::Stat { .. } | Request::Lstat { .. } => {
                Reply::Attributes(Attributes::new().with_permissions(DIRECTORY))
            }
            _ => status(StatusCode::OK),
        }
    }
}

/// Fetches `/top` from such a server into a directory that has another beside it, and checks that one.
async fn fetched(
    names: &[(&'static str, u32)],
    policy: LinkPolicy,
    endless: bool,
) -> (TreeSummary, Vec<String>) {
    let here = tempfile::tempdir().unwrap();
    let outside = here.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    let to = Bytes::copy_from_slice(outside.as_os_str().as_encoded_bytes());
    let mut player = Player { names: names.to_vec(), to, endless, ..Player::default() };
    let target = here.path().join("target");
    let transfer = async |sftp: Sftp| sftp.get_dir("/top", target).links(policy).await.unwrap();
    let summary = at(|request| player.answer(request), transfer).await;
    assert_eq!(tree(&outside), Tree::new(), "something was written outside");
    let mut beside: Vec<_> =
        std::fs::read_dir(here.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    beside.sort();
    assert_eq!(beside, ["outside", "target"]);
    let names = std::fs::read_dir(here.path().join("target")).unwrap();
    let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    (summary, names)
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_refused_and_the_rest_is_fetched() {
    for kind in [FILE, DIRECTORY, LINK] {
        let bad = ["../x", "/abs", "", "a/b", "..\0", "n\0l"].map(|name| (name, kind));
        let names = [&bad[..], &[("good", FILE), (".", DIRECTORY), ("..", DIRECTORY)]].concat();
        for policy in [LinkPolicy::Skip, LinkPolicy::Copy, LinkPolicy::Follow] {
            let (summary, names) = fetched(&names, policy, false).await;
            assert_eq!(names, ["good"]);
            assert_eq!((summary.files, summary.failures.len()), (1, bad.len()), "{summary:?}");
            assert!(summary.failures.iter().all(|failure| failure.error.kind() == ErrorKind::InvalidName));
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn nothing_is_written_through_a_link_that_the_server_sent() {
    for again in [DIRECTORY, FILE] {
        let (summary, names) = fetched(&[("x", LINK), ("x", again)], LinkPolicy::Copy, false).await;
        assert_eq!(
            (names, summary.links, summary.failures.len()),
            (vec!["x".to_owned()], 1, 1),
            "{summary:?}"
        );
        assert_eq!(summary.failures[0].error.kind(), ErrorKind::InvalidName);
        let (summary, _) = fetched(&[("x", again), ("x", LINK)], LinkPolicy::Copy, false).await;
        assert_eq!((summary.links, summary.failures.len()), (0, 1), "{summary:?}");
    }
}

#[tokio::test]
async fn a_listing_without_an_end_is_a_failure_of_its_directory() {
    let (summary, _) = fetched(&[("good", FILE), ("dir", DIRECTORY)], LinkPolicy::Skip, true).await;
    assert_eq!((summary.files, summary.failures.len()), (1, 1), "{summary:?}");
    assert_eq!(summary.failures[0].path, "/top/dir");
    assert_eq!(summary.failures[0].error.kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn sizes_that_no_sum_has_room_for_are_only_sizes() {
    // What is looked at turns out to be a directory.
    let (summary, names) = fetched(&[("a", FILE), ("b", UNSAID)], LinkPolicy::Skip, false).await;
    assert_eq!((summary.files, summary.failures.len(), names), (2, 0, vec!["a".to_owned(), "b".to_owned()]));

    let here = tempfile::tempdir().unwrap();
    let names = vec![("a", ENDLESS), ("b", ENDLESS), ("c", FILE)];
    let mut player = Player { names, ..Player::default() };
    let sync = async |sftp: Sftp| sftp.sync_from("/top", here.path()).dry_run().await.unwrap();
    let summary = at(|request| player.answer(request), sync).await;
    assert_eq!((summary.files, summary.bytes), (3, u64::MAX));
}
