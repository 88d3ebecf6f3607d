//! Servers that answer as no honest one does.

use std::future::Future;

use bytes::Bytes;
use rustle_sftp::{ErrorKind, Sftp};
use rustle_sftp_proto::{Attributes, Handle, NameEntry, Reply, Request, Status, StatusCode};

use crate::scripted::at;

/// Runs on a thread with so much stack as a runtime's threads have.
fn on_a_thread<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(run).unwrap().join().unwrap()
}

#[test]
fn directories_without_an_end_that_no_listing_calls_so_are_an_error() {
    const MOST: usize = 8000;
    let mut removed = 0;
    let mut listed = true;
    let answer = move |request| match request {
        Request::OpenDir { .. } => {
            listed = false;
            Reply::Handle(Handle::new("h"))
        }
        Request::ReadDir { .. } if !listed => {
            listed = true;
            Reply::Name(vec![NameEntry::new("d", Bytes::new(), Attributes::new())])
        }
        Request::ReadDir { .. } => Reply::Status(Status::from(StatusCode::EOF)),
        Request::Remove { .. } => {
            removed += 1;
            // Some way further down than any stack reaches.
            let code = if removed < MOST { StatusCode::FAILURE } else { StatusCode::PERMISSION_DENIED };
            Reply::Status(Status::from(code))
        }
        Request::Lstat { .. } if removed < MOST => {
            Reply::Attributes(Attributes::new().with_permissions(0o040_755))
        }
        Request::Lstat { .. } => Reply::Attributes(Attributes::new().with_permissions(0o100_644)),
        _ => Reply::Status(Status::from(StatusCode::OK)),
    };
    let error = on_a_thread(async move {
        at(answer, async |sftp: Sftp| sftp.remove_dir_all("/t").await.unwrap_err()).await
    });
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
}

/// Whoever may write in a tree can exchange a directory for a link between its listing and its turn.
#[tokio::test]
async fn a_directory_that_became_a_link_is_not_emptied() {
    use std::sync::{Arc, Mutex};

    let removed = Arc::new(Mutex::new(Vec::new()));
    let (told, mut listed) = (Arc::clone(&removed), Bytes::new());
    let answer = move |request| match request {
        Request::OpenDir { path } => {
            listed = path.clone();
            Reply::Handle(Handle::new(path))
        }
        Request::ReadDir { .. } if !listed.is_empty() => {
            let is_top = std::mem::take(&mut listed) == "/t";
            let (name, mode) = if is_top { ("d", 0o040_755) } else { ("somebody's", 0o100_644) };
            let attributes = Attributes::new().with_permissions(mode);
            Reply::Name(vec![NameEntry::new(name, Bytes::new(), attributes)])
        }
        Request::ReadDir { .. } => Reply::Status(Status::from(StatusCode::EOF)),
        Request::Lstat { path } => {
            let mode = if path == "/t" { 0o040_755 } else { 0o120_777 };
            Reply::Attributes(Attributes::new().with_permissions(mode))
        }
        Request::Close { .. } => Reply::Status(Status::from(StatusCode::OK)),
        other => {
            told.lock().unwrap().push(format!("{other:?}"));
            Reply::Status(Status::from(StatusCode::OK))
        }
    };
    let error = at(answer, async |sftp: Sftp| sftp.remove_dir_all("/t").await.map(drop)).await.unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::NotADirectory, Some(&b"/t/d"[..])), "{error}");
    assert_eq!(*removed.lock().unwrap(), [""; 0]);
}
