//! What is told of each thing of a tree, and how many files are under way.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

#[cfg(unix)]
use rustle_sftp::{Outcome, TreeEvent};

use super::{mixed, plant, tree};
use crate::support::{finish, open, serve};

#[cfg(unix)]
fn said(event: &TreeEvent<'_>) -> String {
    let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    let to = event.destination().map(text);
    let name = text(event.source()).rsplit('/').next().unwrap().to_owned();
    match event.outcome() {
        Outcome::File { bytes } => format!("file {name} {bytes} {}", to.unwrap().ends_with(&name)),
        Outcome::Link => format!("link {name}"),
        Outcome::Skipped(kind) => format!("skipped {name} {kind:?}"),
        Outcome::Failed(error) => format!("failed {name} {:?}", error.kind()),
        other => format!("{other:?}"),
    }
}

#[cfg(unix)]
#[tokio::test]
async fn each_file_link_and_failure_is_told_once() {
    use std::os::unix::fs::symlink;

    let server = serve(rustle_testserver::Sftp::memory().directory_entry("/to/dir")).await;
    let sftp = open(&server).await;
    let here = tempfile::tempdir().unwrap();
    std::fs::write(here.path().join("small"), "12345").unwrap();
    std::fs::write(here.path().join("large"), vec![1; 200_000]).unwrap();
    // A directory is in the place of this one.
    std::fs::write(here.path().join("dir"), "x").unwrap();
    symlink("small", here.path().join("link")).unwrap();
    let all = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&all);
    let summary = sftp
        .put_dir(here.path(), "/to")
        .each(move |event| list.lock().unwrap().push(said(event)))
        .await
        .unwrap();
    let mut told = all.lock().unwrap().clone();
    told.sort();
    assert_eq!(
        told,
        ["failed dir IsADirectory", "file large 200000 true", "file small 5 true", "skipped link Symlink"]
    );
    assert_eq!((summary.files, summary.failures.len(), summary.skipped.len()), (2, 1, 1));

    let (back, list) = (here.path().join("back"), Arc::clone(&all));
    all.lock().unwrap().clear();
    sftp.get_dir("/to", &back).each(move |event| list.lock().unwrap().push(said(event))).await.unwrap();
    let mut told = all.lock().unwrap().clone();
    told.sort();
    assert_eq!(told, ["file large 200000 true", "file small 5 true"]);
    finish(sftp, server).await;
}

#[tokio::test]
async fn one_file_at_a_time_is_the_same_tree() {
    let server = serve(rustle_testserver::Sftp::memory()).await;
    let sftp = open(&server).await;
    let here = tempfile::tempdir().unwrap();
    let planted = mixed();
    plant(&here.path().join("from"), &planted);
    let most = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&most);
    let watch = move |progress: &rustle_sftp::Progress| {
        let mut most = seen.lock().unwrap();
        *most = progress.under_way().len().max(*most);
    };
    let up = sftp.put_dir(here.path().join("from"), "/to").files_at_once(NonZeroUsize::MIN);
    assert!(up.progress(watch.clone()).await.unwrap().is_complete());
    let down = sftp.get_dir("/to", here.path().join("back")).files_at_once(NonZeroUsize::MIN);
    assert!(down.progress(watch).await.unwrap().is_complete());
    assert!(tree(&here.path().join("back")) == planted, "what came back is another tree");
    assert!(*most.lock().unwrap() <= 1, "{most:?}");
    finish(sftp, server).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_in_the_place_of_the_directory_is_followed_only_where_that_may_be() {
    let server = serve(rustle_testserver::Sftp::memory().file("/from/a", "a")).await;
    let sftp = open(&server).await;
    let here = tempfile::tempdir().unwrap();
    let (elsewhere, link) = (here.path().join("elsewhere"), here.path().join("link"));
    std::fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
    let error = sftp.get_dir("/from", &link).no_follow().await.unwrap_err();
    assert!(error.to_string().contains("there is a link"), "{error}");
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert_eq!(sftp.get_dir("/from", &link).await.unwrap().files, 1);
    assert_eq!(std::fs::read(elsewhere.join("a")).unwrap(), b"a");
    finish(sftp, server).await;
}
