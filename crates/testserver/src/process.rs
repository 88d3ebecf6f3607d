//! Commands run by a real shell, each in its own process group, so that nothing of it outlives its channel.
//!
//! A group has the number of its leader, which is somebody else's to have once the leader has been reaped. So the leader's
//! end is only looked at, and it is reaped when the group has been killed.
//!
//! This needs a Unix; elsewhere the builder refuses [`shell`](crate::Builder::shell).

use std::{io, os::unix::ffi::OsStrExt, path::Path, process::Stdio, time::Duration};

use bytes::BytesMut;
use rustix::{
    io::Errno,
    process::{Pid, Signal as Signo, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, waitid},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, Command},
    signal::unix::{Signal as Deaths, SignalKind, signal},
    sync::oneshot,
};
use tokio_util::sync::CancellationToken;

use crate::{
    call::{Call, Output, Signals},
    exit::{Exit, Signal},
    pipe::Stdin,
};

/// How long output may trail behind the exit of the process before its exit status is sent without waiting for it.
/// A background child may hold the pipes open for as long as it likes.
const TRAILING_OUTPUT: Duration = Duration::from_millis(50);

/// One read of a pipe: a Linux pipe holds this much.
const PIPE: usize = 64 * 1024;

/// A running process group. Dropping it kills the group: also when the runtime goes away without a word.
pub(crate) struct Process {
    /// Before the child, whose drop may reap it.
    group: Group,
    child: Child,
    /// Tells that some child of this process has ended.
    deaths: Deaths,
}

struct Group(Option<Pid>);

/// How a process is to be started.
pub(crate) struct Shell<'a> {
    /// The command line for `/bin/sh -c`; none is a shell that reads its commands from standard input.
    pub(crate) command: Option<&'a [u8]>,
    pub(crate) directory: &'a Path,
}

impl Process {
    pub(crate) fn spawn(shell: &Shell<'_>, call: &Call) -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        if let Some(line) = shell.command {
            command.arg("-c").arg(std::ffi::OsStr::from_bytes(line));
        }
        command
            .current_dir(shell.directory)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()))
            .env("HOME", shell.directory)
            .env("PWD", shell.directory)
            .env("USER", call.user())
            .env("LOGNAME", call.user())
            .env("SHELL", "/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(pty) = call.pty() {
            let size = pty.size();
            command
                .env("TERM", pty.term())
                .env("COLUMNS", size.columns.to_string())
                .env("LINES", size.rows.to_string());
        }
        // A name with '=' or NUL, or a value with NUL, is no environment variable; sshd leaves such out as well.
        let usable = |(name, value): &&(String, String)| {
            !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
        };
        command.envs(call.env().iter().filter(usable).map(|(name, value)| (name, value)));
        // Listened for before there is anything to hear.
        let deaths = signal(SignalKind::child())?;
        let child = command.spawn()?;
        Ok(Self { group: Group::of(&child), child, deaths })
    }

    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Runs to the end, or until `hangup`; whichever it was, nothing of the group is left afterwards.
    ///
    /// `report` is told of the exit as soon as it is to be sent, which may be before the last of the output.
    pub(crate) async fn run(mut self, call: Call, hangup: &CancellationToken, report: oneshot::Sender<Exit>) {
        let Call { stdin, stdout, stderr, signals, pty, .. } = call;
        let (child_in, child_out, child_err) =
            (self.child.stdin.take(), self.child.stdout.take(), self.child.stderr.take());
        // A terminal has one output; standard error goes the same way.
        let stderr = if pty.is_some() { stdout.again() } else { stderr };
        let group = &self.group;
        let deaths = &mut self.deaths;
        let output = async {
            tokio::join!(copy_out(child_out, stdout), copy_out(child_err, stderr));
        };
        let work = async {
            tokio::pin!(output);
            let exited = async {
                tokio::select! {
                    status = ended(group.0, deaths) => status,
                    never = feed(child_in, stdin) => match never {},
                    never = deliver(group, signals) => match never {},
                }
            };
            tokio::pin!(exited);
            let mut drained = false;
            let status = loop {
                tokio::select! {
                    () = &mut output, if !drained => drained = true,
                    status = &mut exited => break status,
                }
            };
            let exit = status.map_or(Exit::Silent, |status| to_exit(&status));
            if !drained {
                drained = tokio::time::timeout(TRAILING_OUTPUT, &mut output).await.is_ok();
            }
            // Nobody to tell: the channel is gone, and `hangup` with it.
            drop(report.send(exit));
            if !drained {
                output.await;
            }
        };
        tokio::select! {
            () = work => {}
            () = hangup.cancelled() => {}
        }
        self.group.kill();
        // Reaped here, so that whoever waits for the end of the process finds no trace of it.
        drop(self.child.wait().await);
    }
}

impl Group {
    fn of(leader: &Child) -> Self {
        Self(leader.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    fn signal(&self, signal: &Signal) {
        if let (Some(group), Some(signo)) = (self.0, signo(signal)) {
            // The group may be gone already; then there is nobody to tell.
            let _ = kill_process_group(group, signo);
        }
    }

    /// Kills it, once: its number may be somebody else's afterwards.
    fn kill(&mut self) {
        self.signal(&Signal::kill());
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for the end of a group's leader and leaves it to be reaped; none if somebody else has reaped it.
async fn ended(leader: Option<Pid>, deaths: &mut Deaths) -> Option<WaitIdStatus> {
    let leader = leader?;
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    loop {
        match waitid(WaitId::Pid(leader), look) {
            Ok(Some(status)) => return Some(status),
            Ok(None) => deaths.recv().await?,
            Err(Errno::INTR) => {}
            Err(error) => {
                tracing::warn!(%error, "a shell's end cannot be seen");
                return None;
            }
        }
    }
}

/// Copies input to the process. When the process stops reading, the rest is dropped; never resolves.
async fn feed(sink: Option<ChildStdin>, mut stdin: Stdin) -> std::convert::Infallible {
    if let Some(mut sink) = sink {
        while let Some(chunk) = stdin.chunk().await {
            if sink.write_all(&chunk).await.is_err() {
                break;
            }
        }
    }
    drop(stdin);
    std::future::pending().await
}

/// Passes signals on; never resolves.
async fn deliver(group: &Group, mut signals: Signals) -> std::convert::Infallible {
    loop {
        group.signal(&signals.next().await);
    }
}

async fn copy_out(source: Option<impl AsyncRead + Unpin>, mut output: Output) {
    let Some(mut source) = source else { return };
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(PIPE);
        match source.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) if output.send(buffer.split().freeze()).await.is_err() => return,
            Ok(_) => {}
        }
    }
}

fn to_exit(status: &WaitIdStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(u32::try_from(code).unwrap_or(255)),
        (None, Some(number)) => Exit::signal(name(number)),
        (None, None) => Exit::Silent,
    }
}

/// The signals of RFC 4254 section 6.10, and two that OpenSSH adds.
const SIGNALS: [(&str, Signo); 14] = [
    ("ABRT", Signo::ABORT),
    ("ALRM", Signo::ALARM),
    ("FPE", Signo::FPE),
    ("HUP", Signo::HUP),
    ("ILL", Signo::ILL),
    ("INT", Signo::INT),
    ("KILL", Signo::KILL),
    ("PIPE", Signo::PIPE),
    ("QUIT", Signo::QUIT),
    ("SEGV", Signo::SEGV),
    ("TERM", Signo::TERM),
    ("USR1", Signo::USR1),
    ("USR2", Signo::USR2),
    ("CONT", Signo::CONT),
];

fn signo(signal: &Signal) -> Option<Signo> {
    SIGNALS.iter().find(|(name, _)| *name == signal.name()).map(|(_, signo)| *signo)
}

fn name(number: i32) -> Signal {
    let known = SIGNALS.iter().find(|(_, signo)| signo.as_raw() == number);
    known.map_or_else(|| Signal::new(format!("SIG{number}@rustle")), |(name, _)| Signal::new(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn group_is_killed_once() {
        let mut deaths = signal(SignalKind::child()).unwrap();
        let mut child = Command::new("/bin/sh").arg("-c").arg("sleep 1000").process_group(0).spawn().unwrap();
        let mut group = Group::of(&child);
        let leader = group.0;
        group.kill();
        assert_eq!(to_exit(&ended(leader, &mut deaths).await.unwrap()), Exit::signal(Signal::kill()));
        // Nothing is left that the drop could send a signal to.
        assert_eq!(group.0, None);
        child.wait().await.unwrap();
    }

    /// The leader has ended and its child has not: the group's number is still nobody else's when it is killed.
    #[tokio::test]
    async fn what_a_shell_leaves_behind_dies_before_the_shell_is_reaped() {
        let mut deaths = signal(SignalKind::child()).unwrap();
        let mut child = Command::new("/bin/sh")
            .arg("-c")
            .arg("sleep 1000 & exit 7")
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut group = Group::of(&child);
        // However often it is looked at, it is there to be reaped.
        for _ in 0..2 {
            assert_eq!(to_exit(&ended(group.0, &mut deaths).await.unwrap()), Exit::Code(7));
        }
        let leader = group.0;
        group.kill();
        assert_eq!(group.0, None);
        // Nobody holds the pipe any more.
        let mut output = Vec::new();
        let mut read = child.stdout.take().unwrap();
        tokio::time::timeout(Duration::from_secs(60), read.read_to_end(&mut output)).await.unwrap().unwrap();
        assert_eq!(child.wait().await.unwrap().code(), Some(7));
        // Reaped now, and only now.
        assert!(ended(leader, &mut deaths).await.is_none());
    }
}
