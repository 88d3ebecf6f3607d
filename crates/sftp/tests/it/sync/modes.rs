//! A target that takes permissions, with or without effect.

use bytes::Bytes;
use rustle_sftp::Sftp;
use rustle_sftp_proto::{Attributes, Handle, NameEntry, Reply, Request, Status, StatusCode};

use super::*;
use crate::scripted::at;

/// One directory, `/to`, with one file in it that is read-only.
struct Server {
    mode: u32,
    /// The file keeps its permissions, whatever it is given.
    keeps: bool,
    listed: bool,
}

impl Server {
    fn answer(&mut self, request: Request) -> Reply {
        let attributes = |mode| Attributes::new().with_permissions(mode).with_size(4);
        match request {
            Request::OpenDir { .. } => {
                self.listed = false;
                Reply::Handle(Handle::new("h"))
            }
            Request::ReadDir { .. } if std::mem::replace(&mut self.listed, true) => {
                Reply::Status(Status::from(StatusCode::EOF))
            }
            Request::ReadDir { .. } => {
                let attributes = attributes(self.mode).with_times(1_000_000_000, 1_000_000_000);
                Reply::Name(vec![NameEntry::new("file", Bytes::new(), attributes)])
            }
            Request::Lstat { path } if path == "/to/file" => Reply::Attributes(attributes(self.mode)),
            Request::Stat { .. } => Reply::Attributes(attributes(0o040_755)),
            Request::SetStat { path, attributes } if path == "/to/file" && !self.keeps => {
                self.mode = 0o100_000 | attributes.permissions().unwrap();
                Reply::Status(Status::from(StatusCode::OK))
            }
            _ => Reply::Status(Status::from(StatusCode::OK)),
        }
    }
}

#[tokio::test]
async fn permissions_that_are_taken_without_effect_are_not_told_as_set_each_time() {
    let here = tempfile::tempdir().unwrap();
    old(&here.path().join("file"), "same");
    for (keeps, expected) in [(true, ["file same", "file same"]), (false, ["file permissions", "file same"])]
    {
        let mut server = Server { mode: 0o100_444, keeps, listed: false };
        for expected in expected {
            let sync = async |sftp: Sftp| {
                let (sync, all) = told(sftp.sync_to(here.path(), "/to"));
                (sync.await.unwrap(), sorted(&all))
            };
            let (summary, all) = at(|request| server.answer(request), sync).await;
            assert_eq!((all, summary.files), (vec![expected.to_owned()], 0), "{summary:#?}");
        }
        assert_eq!(server.mode == 0o100_444, keeps);
    }
}
