//! OpenSSH's server, killed at many places of a transfer.

use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use rustle_sftp::Sftp;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::process::{Child, ChildStdout, Command};

use super::{Case, OLD, POINTS, Sides, next};
use crate::here::content;
use crate::sync::ends::{fresh, is_temporary, stale};
use crate::sync::files;

const SERVERS: [&str; 3] =
    ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"];

const SKIPPED: &str = "skipped: no sftp-server of OpenSSH is installed";

/// What the server says, counted; after so many bytes it is killed, and what it had said is read no further.
struct Counted {
    from: ChildStdout,
    left: Option<u64>,
    seen: Arc<AtomicU64>,
    process: rustix::process::Pid,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = into.filled().len();
        if self.left == Some(0) {
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut self.from).poll_read(cx, into);
        let count = (into.filled().len() - before) as u64;
        self.seen.fetch_add(count, Ordering::Relaxed);
        if let Some(left) = self.left {
            self.left = Some(left.saturating_sub(count));
            if left <= count {
                let _ = rustix::process::kill_process(self.process, rustix::process::Signal::KILL);
            }
        }
        read
    }
}

/// A server over pipes, which is killed when it has said so many bytes.
async fn start(program: &str, kill_after: Option<u64>) -> (Child, rustle_sftp::Result<Sftp>, Arc<AtomicU64>) {
    let mut command = Command::new(program);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let process = i32::try_from(child.id().unwrap()).unwrap();
    let process = rustix::process::Pid::from_raw(process).unwrap();
    let seen = Arc::new(AtomicU64::new(0));
    let from = child.stdout.take().unwrap();
    let counted = Counted { from, left: kill_after, seen: Arc::clone(&seen), process };
    let sftp = Sftp::over(counted, child.stdin.take().unwrap()).await;
    (child, sftp, seen)
}

async fn sync(sftp: &Sftp, from: &Path, to: &Path) -> rustle_sftp::Result<()> {
    let summary = sftp.sync_to(from, to.as_os_str().as_encoded_bytes()).delete().await?;
    summary.failures.into_iter().next().map_or(Ok(()), |failure| Err(failure.error))
}

fn installed() -> Option<&'static str> {
    SERVERS.into_iter().find(|program| Path::new(program).exists())
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_the_old_file_or_the_new_one() {
    let Some(program) = installed() else { return println!("{SKIPPED}") };
    killed_at(POINTS, Case::Put, program).await;
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_a_part_that_does_no_harm() {
    let Some(program) = installed() else { return println!("{SKIPPED}") };
    killed_at(POINTS, Case::PutResumed, program).await;
}

/// It ends when it sees the end of its input, and leaves undone what it had read before.
#[tokio::test]
async fn a_put_that_is_dropped_with_its_channel_leaves_no_temporary_file() {
    let Some(program) = installed() else { return println!("{SKIPPED}") };
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    std::fs::write(&from, content(super::SIZE)).unwrap();
    std::fs::create_dir(&to).unwrap();
    for polls in 0..60 {
        let (mut child, sftp, _) = start(program, None).await;
        let sftp = sftp.unwrap();
        let put = sftp.put(&from, to.join("app").as_os_str().as_encoded_bytes()).atomic();
        let mut put = Box::pin(put.into_future());
        let mut left = polls;
        std::future::poll_fn(|cx| {
            if left == 0 || put.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            left -= 1;
            Poll::Pending
        })
        .await;
        drop(put);
        match polls % 2 {
            0 => drop(sftp),
            _ => sftp.close().await,
        }
        child.wait().await.unwrap();
        let names = std::fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = names.filter(|name| is_temporary(&name.to_string_lossy())).collect();
        assert_eq!(left.len(), 0, "dropped after {polls} polls: {left:?}");
    }
}

async fn killed_at(points: usize, case: Case, program: &str) {
    let bytes = content(super::SIZE);
    let (mut total, mut state, mut interrupted) = (None, 0x9e37_79b9_u64, 0);
    for point in 0..=points {
        let sides = Sides::new(&bytes);
        let there = sides.there.path("app");
        let after = total.map(|total| 1 + next(&mut state) % total);
        let (mut child, sftp, seen) = start(program, after).await;
        if let Ok(sftp) = sftp {
            interrupted += usize::from(sides.transfer(&sftp, case, &there).await.is_err());
            sftp.close().await;
        }
        total.get_or_insert(seen.load(Ordering::Relaxed));
        child.wait().await.unwrap();
        let what = format!("{case:?} {point}, killed after {after:?}");
        let target = sides.there.read("app");
        assert!(target == bytes || target == OLD, "{what}: neither the old file nor the new one");
        let (_child, sftp, _) = start(program, None).await;
        let sftp = sftp.unwrap();
        // Without a command for a hash, the last 32 MiB of a part are moved again: all of this one.
        sides.transfer(&sftp, case, &there).await.unwrap();
        assert!(sides.there.read("app") == bytes, "{what}");
        let part = sides.there.names_now().into_iter().find(|name| name.ends_with(".rustle-part"));
        assert_eq!(part, None, "{what}");
        sftp.close().await;
    }
    assert!(interrupted > points / 3, "only {interrupted} were interrupted");
}

#[tokio::test]
async fn a_server_that_is_killed_leaves_old_files_or_new_ones() {
    let Some(program) = installed() else { return println!("{SKIPPED}") };
    let (mut total, mut state, mut interrupted) = (None, 0x9e37_79b9_u64, 0);
    for point in 0..=POINTS {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let (new, before) = (fresh(&from), stale(&to));
        let after = total.map(|total| 1 + next(&mut state) % total);
        let (mut child, sftp, seen) = start(program, after).await;
        if let Ok(sftp) = sftp {
            interrupted += usize::from(sync(&sftp, &from, &to).await.is_err());
            sftp.close().await;
        }
        total.get_or_insert(seen.load(Ordering::Relaxed));
        // It has ended by itself, or was killed.
        child.wait().await.unwrap();
        for (name, content) in files(&to) {
            let one_of_both = new.get(&name) == Some(&content) || before.get(&name) == Some(&content);
            assert!(one_of_both || is_temporary(&name), "{point}, killed after {after:?}: {name} is mixed");
        }
        let (_child, sftp, _) = start(program, None).await;
        let sftp = sftp.unwrap();
        sync(&sftp, &from, &to).await.unwrap();
        assert!(files(&to) == new, "{point}, killed after {after:?}");
        sftp.close().await;
    }
    assert!(interrupted > POINTS / 3, "only {interrupted} were interrupted");
}
