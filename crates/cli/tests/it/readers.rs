//! Readers of standard output and standard error who stop reading: they hold up what would be printed, and nothing else.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{Action, tcflow};
use rustle_testserver::{Reply, Sftp, TestServer};
use tokio::process::Child;

use crate::host::{Host, Ran, is_ignored, wait};
use crate::prompts::Terminal;

/// More of them have more lines than a pipe and what may wait for it hold.
const FILES: usize = 3000;
const LIMIT: Duration = Duration::from_secs(60);

/// A host with many files, and as many here.
async fn with_many_files() -> Host {
    let mut files = Sftp::memory();
    for number in 0..FILES {
        files = files.file(format!("/many/{number}"), "x");
    }
    let lines = "a line of it\n".repeat(100_000);
    let server = TestServer::builder().sftp(files).command("talk", Reply::stdout(lines));
    let host = Host::with(server).await;
    for name in ["here", "own"] {
        std::fs::create_dir(host.path(name)).unwrap();
    }
    for number in 0..FILES {
        host.write(&format!("own/{number}"), "x");
    }
    host
}

/// A pipe that holds little, and the end of which that is read.
struct Pipe {
    read: File,
    write: File,
}

impl Pipe {
    fn new() -> Self {
        let (read, write) = std::io::pipe().unwrap();
        rustix::pipe::fcntl_setpipe_size(&write, 4096).unwrap();
        Self {
            read: File::from(std::os::fd::OwnedFd::from(read)),
            write: File::from(std::os::fd::OwnedFd::from(write)),
        }
    }

    /// Starts the program with this as its standard output, and waits until nothing more goes in.
    async fn fill(&self, host: &Host, arguments: &[&str]) -> Child {
        let password = host.path("password");
        let mut command = host.command(&[&["--password-file", &password], arguments].concat());
        command.stdin(Stdio::null()).stdout(self.write.try_clone().unwrap()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        let begun = Instant::now();
        while self.takes_more() {
            assert!(begun.elapsed() < LIMIT, "{arguments:?} filled no pipe");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        child
    }

    fn takes_more(&self) -> bool {
        let mut ends = [PollFd::new(&self.write, PollFlags::OUT)];
        poll(&mut ends, Some(&Timespec::default())).unwrap() > 0
    }

    /// Reads until the program has closed it.
    async fn read(self) -> String {
        let Self { mut read, write } = self;
        drop(write);
        let text = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            read.read_to_string(&mut text).unwrap();
            text
        });
        text.await.unwrap()
    }
}

async fn end(child: Child) -> Ran {
    let id = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(id, Signal::TERM).unwrap();
    wait(child).await
}

fn temporary(host: &Host) -> Vec<String> {
    let names = std::fs::read_dir(host.path("here")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_stops_does_not_stop_the_program_from_ending() {
    if is_ignored(Signal::TERM) {
        return;
    }
    let host = with_many_files().await;
    let (here, own) = (host.path("here"), host.path("own/."));
    for arguments in [
        &["get", "-r", "--atomic", "--format", "json", "web:/many/.", &here][..],
        &["put", "-r", "--atomic", "--format", "json", &own, "web:/new"],
        &["sync", "--dry-run", &own, "web:/other"],
        &["ls-remote", "web:/many"],
        &["ls-remote", "--format", "json", "web:/many"],
        &["exec", "--format", "json", "--raw", "web", "--", "talk"],
        &["exec", "--raw", "web", "--", "talk"],
    ] {
        let pipe = Pipe::new();
        let child = pipe.fill(&host, arguments).await;
        let ran = end(child).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(143), ""), "{arguments:?}");
        assert_eq!(temporary(&host), [""; 0], "{arguments:?}");
    }
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_stops_holds_back_the_files_and_misses_none_of_them_later() {
    let host = with_many_files().await;
    let here = host.path("here");
    let pipe = Pipe::new();
    let typed = ["get", "-r", "--format", "json", "-o", "ServerAliveInterval=1", "web:/many/.", &here];
    let child = pipe.fill(&host, &typed).await;
    // Once the files stand still, only signs of life are sent.
    let signs_of_life = async || {
        let sent = host.server.record().bytes_in();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2) || host.server.record().bytes_in() == sent {
            assert!(begun.elapsed() < LIMIT, "the connection stands still");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    signs_of_life().await;
    let moved = || std::fs::read_dir(&here).unwrap().count();
    let before = moved();
    signs_of_life().await;
    assert_eq!(moved(), before);
    assert!(before < FILES, "nothing waits for the reader");
    let (text, ran) = tokio::join!(pipe.read(), wait(child));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let files = lines.iter().filter(|line| line["event"] == "file").count();
    assert_eq!((files, lines.len(), moved()), (FILES, FILES + 1, FILES));
    assert_eq!(lines.last().unwrap()["files"], FILES);
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_is_held_does_not_hold_the_transfer() {
    const LENGTH: usize = 2 << 20;
    let host = Host::with(TestServer::builder().sftp(Sftp::memory().file("/big", vec![1; LENGTH]))).await;
    let (password, here) = (host.path("password"), host.path("big"));
    let terminal = Terminal::open();
    // As Ctrl-S does.
    tcflow(&terminal.far, Action::OOff).unwrap();
    let options = ["get", "--limit", "2M", "--password-file", &password, "web:/big", &here];
    let mut command = terminal.command(&host, &options);
    command.env("TERM", "xterm").stderr(terminal.far.try_clone().unwrap());
    let child = command.spawn().unwrap();
    let begun = Instant::now();
    while std::fs::metadata(&here).map_or(0, |metadata| metadata.len()) < LENGTH as u64 {
        assert!(begun.elapsed() < LIMIT, "the file stands still");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tcflow(&terminal.far, Action::OOn).unwrap();
    let shown = terminal.shows(" in ").await;
    assert!(shown.contains("1 file, 2.0 MiB in "), "{shown:?}");
    assert_eq!(wait(child).await.code, Some(0));
    host.server.stop().await.unwrap();
}
