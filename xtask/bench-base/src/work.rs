//! What both programs are told on their command line: the server, and one of three kinds of work.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Whatever went wrong, for a person to read; these programs do nothing about it.
pub(crate) type Problem = Box<dyn std::error::Error + Send + Sync>;

/// Does one kind of work against one server, to be measured from outside.
#[derive(Parser)]
pub(crate) struct Call {
    #[command(flatten)]
    pub(crate) server: Server,
    #[command(subcommand)]
    pub(crate) work: Work,
}

/// The server, which listens on 127.0.0.1.
#[derive(Args, Clone)]
pub(crate) struct Server {
    #[arg(long)]
    pub(crate) port: u16,
    #[arg(long)]
    pub(crate) user: String,
    /// A private key without a passphrase.
    #[arg(long)]
    pub(crate) key: PathBuf,
    /// That of the host's key, as `ssh-keygen -l` prints it.
    #[arg(long)]
    pub(crate) fingerprint: String,
}

#[derive(Subcommand)]
pub(crate) enum Work {
    /// Log in so often, so many at a time, and hold all connections until the last one stands.
    Connect {
        count: usize,
        at_once: usize,
        /// Run `true` so often on each, before they rest.
        #[arg(long, default_value = "0")]
        commands: usize,
        /// Hold them for so many seconds more, and print the memory that this process takes then, in KiB.
        #[arg(long, value_name = "SECONDS")]
        rest: Option<u64>,
    },
    /// Run `true` so often over one connection, so many at a time.
    Exec {
        count: usize,
        at_once: usize,
        /// Have each command report its process group first, which the library does for root unless told not to;
        /// the base knows no such thing.
        #[arg(long)]
        report: bool,
    },
    /// Copy the standard output of a command to /dev/null, and print how many bytes there were.
    Pipe { command: String },
    /// Take so many bytes of a command's output from the socket and forget them undeciphered: what no client can beat.
    Drain { command: String, bytes: u64 },
    /// Take so many bytes of what a port at the server's side sends from the socket, and hand them undeciphered to who connects
    /// to the port here: what no client that forwards can beat.
    DrainForward { from: u16, to: u16, bytes: u64 },
}

/// How many each of so many workers does, so that together they do all.
pub(crate) fn shares(count: usize, workers: usize) -> impl Iterator<Item = usize> {
    let workers = workers.max(1);
    (0..workers).map(move |worker| (count + worker) / workers)
}

/// The end of the pipe.
pub(crate) fn null() -> io::Result<File> {
    OpenOptions::new().write(true).open(if cfg!(windows) { "NUL" } else { "/dev/null" })
}
