//! Whatever is dropped, and wherever it stood, leaves no open handle and a channel that works on.
//!
//! Each operation is polled n times, n = 0, 1, 2 … until it completes, and then dropped: as soon as it suspends, and
//! again when what it waited for is there. That is done with a server that has all extensions and with one that has none.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, TryStreamExt};
use rustle_sftp::{File, OpenOptions, Result, SetMetadata, Sftp};
use rustle_testserver::Sftp as Tree;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::support::{When, dropped, finish, open, serve};

/// An operation, and what it does with a client whose tree [`reset`] has made.
struct Operation {
    name: &'static str,
    run: for<'a> fn(&'a Sftp) -> BoxFuture<'a, Result<()>>,
}

/// One line of the table.
macro_rules! operation {
    ($name:literal, $sftp:ident => $run:expr) => {
        Operation {
            name: $name,
            run: |$sftp| {
                Box::pin(async move {
                    $run;
                    Ok(())
                })
            },
        }
    };
}

fn operations() -> Vec<Operation> {
    vec![
        operation!("metadata", sftp => sftp.metadata("/t/f").await?),
        operation!("symlink_metadata", sftp => sftp.symlink_metadata("/t/link").await?),
        operation!("exists", sftp => sftp.exists("/t/none").await?),
        operation!("set_metadata", sftp => sftp.set_metadata("/t/f", &SetMetadata::new().len(7)).await?),
        operation!("set_symlink_metadata", sftp => sftp.set_symlink_metadata("/t/link", &SetMetadata::new()).await?),
        operation!("set_permissions", sftp => sftp.set_permissions("/t/f", 0o600).await?),
        operation!("set_owner", sftp => sftp.set_owner("/t/f", 1000, 1000).await?),
        operation!("set_times", sftp => {
            let moment = std::time::UNIX_EPOCH;
            sftp.set_times("/t/f", moment, moment).await?
        }),
        operation!("read", sftp => sftp.read("/t/f").await?),
        operation!("write", sftp => sftp.write("/t/new", vec![7; 40_000]).await?),
        operation!("write over a directory", sftp => sftp.write("/t/d", "x").await?),
        operation!("create_dir", sftp => sftp.create_dir("/t/new").await?),
        operation!("create_dir_all", sftp => sftp.create_dir_all("/t/a/b/c/d").await?),
        operation!("remove_file", sftp => sftp.remove_file("/t/f").await?),
        operation!("remove_dir", sftp => sftp.remove_dir("/t/d").await?),
        operation!("remove_dir_all", sftp => sftp.remove_dir_all("/t").await?),
        operation!("hard_link", sftp => sftp.hard_link("/t/f", "/t/hard").await?),
        operation!("symlink", sftp => sftp.symlink("f", "/t/new").await?),
        operation!("read_link", sftp => sftp.read_link("/t/link").await?),
        operation!("canonicalize", sftp => sftp.canonicalize("~/t").await?),
        operation!("home", sftp => sftp.home().await?),
        operation!("statvfs", sftp => sftp.statvfs("/t").await?),
        operation!("limits", sftp => sftp.limits().await?),
        operation!("copy", sftp => sftp.copy("/t/f", "/t/old").await?),
        operation!("read_dir", sftp => sftp.read_dir("/t").await?.try_for_each(|_| std::future::ready(Ok(()))).await?),
        operation!("ReadDir::next_entry", sftp => sftp.read_dir("/t").await?.next_entry().await?),
        operation!("walk", sftp => sftp.walk("/t").follow_links().start().for_each(|_| std::future::ready(())).await),
        operation!("Glob::sorted", sftp => sftp.glob("/t/**/*")?.sorted().await?),
        operation!("File::open", sftp => File::open(sftp, "/t/f").await?),
        operation!("File::create", sftp => File::create(sftp, "/t/new").await?),
        operation!("OpenOptions::open", sftp => OpenOptions::new().write().create_new().open(sftp, "/t/new").await?),
        operation!("File::read_at", sftp => File::open(sftp, "/t/f").await?.read_at(10, 30_000).await?),
        operation!("File::read_exact_at", sftp => File::open(sftp, "/t/f").await?.read_exact_at(10, 30_000).await?),
        operation!("File::metadata", sftp => File::open(sftp, "/t/f").await?.metadata().await?),
        operation!("File::write_at and the like", sftp => {
            let file = File::create(sftp, "/t/new").await?;
            file.write_at(5, vec![1; 30_000]).await?;
            file.set_len(3).await?;
            file.set_metadata(&SetMetadata::new().permissions(0o600)).await?;
            file.sync_all().await?;
            file.close().await?
        }),
        operation!("FileCursor", sftp => {
            let file = OpenOptions::new().read().write().open(sftp, "/t/f").await?;
            let mut cursor = file.cursor().window(20_000);
            let mut all = Vec::new();
            let used: std::io::Result<()> = async {
                cursor.read_to_end(&mut all).await?;
                cursor.write_all(&all).await?;
                cursor.seek(std::io::SeekFrom::End(-1)).await?;
                cursor.write_all(b"x").await?;
                cursor.shutdown().await
            }
            .await;
            used.unwrap()
        }),
    ]
}

#[tokio::test]
async fn operations_leave_nothing_open_when_dropped() {
    try_all(Tree::memory().max_read(8192).max_write(8192).binary_handles(), &operations()).await;
    try_all(Tree::memory().extensions::<&str>([]), &operations()).await;
}

/// Where the target is replaced in several steps, both files are somewhere at each of them.
#[tokio::test]
async fn a_rename_that_is_dropped_loses_neither_file() {
    let server = serve(Tree::memory().extensions::<&str>([])).await;
    let sftp = open(&server).await;
    for polls in 0.. {
        reset(&sftp).await;
        let finished = dropped(sftp.rename("/t/f", "/t/old"), polls, When::Suspended).await;
        sftp.home().await.unwrap();
        let mut contents = Vec::new();
        for entry in sftp.read_dir("/t").await.unwrap().try_collect::<Vec<_>>().await.unwrap() {
            if entry.metadata().is_file() {
                contents.push(sftp.read(entry.path()).await.unwrap().len());
            }
        }
        assert!(contents.contains(&40_000), "{polls}: {contents:?}");
        assert!(finished || contents.contains(&50_000) || contents.len() == 1, "{polls}: {contents:?}");
        if finished {
            break;
        }
    }
    finish(sftp, server).await;
}

async fn try_all(tree: Tree, operations: &[Operation]) {
    let server = serve(tree).await;
    let sftp = open(&server).await;
    for operation in operations {
        for when in [When::Suspended, When::Woken] {
            for polls in 0.. {
                reset(&sftp).await;
                let finished = dropped((operation.run)(&sftp), polls, when).await;
                assert!(
                    sftp.home().await.is_ok(),
                    "{}: after {polls} polls the channel is over",
                    operation.name
                );
                let closed =
                    server.wait_until(|record| record.handles_open() == 0, Duration::from_secs(60)).await;
                assert!(closed.is_ok(), "{}: after {polls} polls a handle stays open", operation.name);
                if finished {
                    assert!(polls > 0, "{} never begins", operation.name);
                    break;
                }
            }
        }
    }
    finish(sftp, server).await;
}

/// The tree that the operations work on, as it was.
async fn reset(sftp: &Sftp) {
    if sftp.exists("/t").await.unwrap() {
        sftp.remove_dir_all("/t").await.unwrap();
    }
    sftp.create_dir("/t").await.unwrap();
    let (file, old) = (vec![1; 40_000], vec![2; 50_000]);
    tokio::try_join!(
        sftp.write("/t/f", file),
        sftp.write("/t/old", old),
        sftp.create_dir("/t/d"),
        sftp.symlink("f", "/t/link"),
    )
    .unwrap();
}
