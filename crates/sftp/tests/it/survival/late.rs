//! What a lost connection was told and does late, when the tree that it was told for has begun again.

use std::fs::File;
use std::future::IntoFuture as _;
use std::io::{ErrorKind, Seek as _, SeekFrom, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustle_sftp::Sftp;
use rustle_testserver::{Fault, SftpFault, SftpRequest};

use super::line::Line;
use super::{LENGTH, cut, end, is_left, plain};
use crate::here::{Here, content};
use crate::resume::answering;
use crate::support::{Way, serve_with};

/// Without the extension it is a RENAME, of which a fault knows.
const POSIX_RENAME: &str = "posix-rename@openssh.com";

/// The late request is carried out when the part of the next attempt is open.
#[tokio::test]
async fn a_rename_or_a_removal_that_comes_late_finds_nothing() {
    type Late = fn(&Here) -> std::io::Result<()>;
    let rename: Late = |there| std::fs::rename(there.path("back/.app.rustle-part"), there.path("back/app"));
    let remove: Late = |there| std::fs::remove_file(there.path("back/.app.rustle-part"));
    let bytes = content(300_000);
    // A part that is not the file's is removed.
    let other = vec![7_u8; 100_000];
    for (request, late, before) in
        [(SftpRequest::Rename, rename, None), (SftpRequest::Remove, remove, Some(&other))]
    {
        let (here, there) = (Here::new(), Arc::new(Here::new()));
        std::fs::create_dir(here.path("tree")).unwrap();
        here.file("tree/app", &bytes);
        if let Some(part) = before {
            std::fs::create_dir(there.path("back")).unwrap();
            there.file("back/.app.rustle-part", part);
        }
        let lost = Fault::sftp(request, SftpFault::close_channel()).once();
        let found = Arc::new(Mutex::new(Vec::new()));
        let (side, done) = (Arc::clone(&there), Arc::clone(&found));
        // The hash that the first attempt asks for is not late.
        let is_late = AtomicBool::new(before.is_none());
        let files = rustle_testserver::Sftp::directory(there.path("")).without_extension(POSIX_RENAME);
        let serving = answering(&there.path(""), files, move || {
            if is_late.swap(true, Ordering::SeqCst) {
                done.lock().unwrap().push(late(&side).map_err(|error| error.kind()));
            }
            false
        });
        let server = serve_with(serving.fault(lost)).await;
        let line = Line::to(&server);
        let session = line.session().await;
        let sftp = Sftp::open(&session).await.unwrap();
        let moved = sftp.put_dir(here.path("tree"), "back").atomic().survive(1).await.unwrap();
        assert!(moved.is_complete() && (moved.losses, moved.files) == (1, 1), "{request:?}: {moved:?}");
        assert_eq!(*found.lock().unwrap(), [Err(ErrorKind::NotFound)], "{request:?}");
        assert!(there.read("back/app") == bytes, "{request:?}");
        // What was whole is not sent again.
        let again = if before.is_some() { bytes.len() as u64 } else { 0 };
        assert_eq!(moved.bytes, again, "{request:?}: {moved:?}");
        sftp.settled().await;
        let names: Vec<_> = std::fs::read_dir(there.path("back")).unwrap().collect();
        assert_eq!(names.len(), 1, "{request:?}: {names:?}");
        end(sftp, session, server).await;
    }
}

/// It writes what the original was: that is not in a file which is made of what it has become.
#[tokio::test]
async fn what_is_written_late_does_not_reach_a_file_whose_original_has_changed() {
    const TAIL: usize = LENGTH - (1 << 20);
    let (here, there, old) = (Here::new(), Here::new(), content(LENGTH));
    let mut new = old.clone();
    new[TAIL..].fill(7);
    std::fs::create_dir(here.path("tree")).unwrap();
    here.file("tree/large", &old);
    let server = serve_with(plain(&there).fault(cut(Way::PutAtomic, 1, 60 << 20))).await;
    let line = Line::to(&server);
    let session = line.session().await;
    let sftp = Sftp::open(&session).await.unwrap();
    line.is_there.send_replace(false);
    let between = async {
        line.waits.notified().await;
        is_left(&server).await;
        // The handle of the lost connection.
        let part = File::options().write(true).open(there.path("back/.large.rustle-part")).unwrap();
        here.file("tree/large", &new);
        line.is_there.send_replace(true);
        part
    };
    let put = sftp.put_dir(here.path("tree"), "back").atomic().survive(5);
    let (moved, mut late) = tokio::join!(put.into_future(), between);
    let moved = moved.unwrap();
    assert!(moved.is_complete() && moved.files == 1, "{moved:?}");
    late.seek(SeekFrom::Start(TAIL as u64)).unwrap();
    late.write_all(&old[TAIL..]).unwrap();
    drop(late);
    assert!(there.read("back/large") == new);
    end(sftp, session, server).await;
}
