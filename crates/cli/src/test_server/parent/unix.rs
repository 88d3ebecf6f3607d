//! On Unix the parent process is watched: by a descriptor of it on Linux, elsewhere by asking for its id.
//!
//! Linux could send a signal at the parent's end (`PR_SET_PDEATHSIG`), but does so when the parent's *thread* ends that
//! started this process, which in a test runner is often long before the runner does.

use std::io;
use std::time::Duration;

use rustix::fs::FileType;
use rustix::process::{Pid, getppid};

use super::Input;
use crate::failure::Failure;

/// How often the parent's id is looked at where nothing better is to be had.
const LOOK: Duration = Duration::from_millis(250);

/// The parent process.
pub(super) struct Process {
    /// None where it is outside of this process's namespace.
    id: Option<Pid>,
    #[cfg(target_os = "linux")]
    end: Option<linux::End>,
}

impl Process {
    /// The parent of this process.
    pub(super) fn parent() -> Self {
        let id = getppid();
        Self {
            id,
            #[cfg(target_os = "linux")]
            end: id.and_then(|id| linux::End::of(id).ok()),
        }
    }

    /// Resolves when it has ended.
    pub(super) async fn gone(self) {
        #[cfg(target_os = "linux")]
        // Asked again: the descriptor may be of a stranger, who got the id of a parent that was gone already.
        if let Some(end) = self.end
            && getppid() == self.id
            && end.reached().await.is_ok()
        {
            return;
        }
        changed(self.id, LOOK, getppid).await;
    }
}

/// What standard input can tell.
pub(super) fn input() -> Result<Input, Failure> {
    let stat = rustix::fs::fstat(io::stdin());
    Ok(match stat.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        Ok(FileType::Fifo | FileType::Socket) => Input::EndsWithItsWriter,
        Ok(_) | Err(_) => Input::SaysNothing,
    })
}

/// Resolves when the parent's id is another one: an orphan is given to `init` or a subreaper.
async fn changed(id: Option<Pid>, pause: Duration, now: impl Fn() -> Option<Pid>) {
    while now() == id {
        tokio::time::sleep(pause).await;
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use crate::test_server::driver;

    /// A descriptor that can be read when the process has ended.
    pub(super) struct End(OwnedFd);

    impl End {
        pub(super) fn of(process: Pid) -> io::Result<Self> {
            Ok(Self(pidfd_open(process, PidfdFlags::empty())?))
        }

        /// Whether it can be told at all: resolves when the process has ended, or the system does not say.
        pub(super) async fn reached(self) -> io::Result<()> {
            driver::blocking(move || self.wait()).await?
        }

        fn wait(&self) -> io::Result<()> {
            loop {
                match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], None) {
                    Ok(0) | Err(rustix::io::Errno::INTR) => {}
                    Ok(_) => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn another_parents_id_is_the_end_of_this_one() {
        let looks = Cell::new(0);
        let mine = Pid::from_raw(7);
        changed(mine, Duration::from_millis(1), || {
            looks.set(looks.get() + 1);
            if looks.get() < 4 { mine } else { Pid::from_raw(1) }
        })
        .await;
        assert_eq!(looks.get(), 4);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_end_of_a_process_is_seen() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut reached = std::pin::pin!(linux::End::of(Pid::from_child(&child)).unwrap().reached());
        let early = tokio::time::timeout(Duration::from_millis(20), reached.as_mut()).await;
        assert!(early.is_err());
        child.kill().unwrap();
        tokio::time::timeout(Duration::from_secs(20), reached).await.unwrap().unwrap();
        child.wait().unwrap();
    }
}
