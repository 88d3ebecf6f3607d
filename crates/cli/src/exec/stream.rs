//! The command's streams as this program's own, byte for byte, each as fast as its reader.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use rustle_session::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::io::AsyncWriteExt;

use super::driver::{Gone, Input, Output, Own};
use super::{end, exit_code};
use crate::failure::{FAILED, Failure, Stop};
use crate::plan;
use crate::printer::Printer;
use crate::signals::Signals;

/// Why the streams stopped before the command did.
#[derive(Debug)]
enum Broken {
    /// Whoever read our output has gone.
    Reader,
    /// Our output cannot be written.
    Ours(Own, io::Error),
}

/// Runs the streams until the command has ended, and returns its exit code.
///
/// # Cancel safety
/// Dropped, the remote process is ended as a dropped [`Child`] is.
pub(super) async fn run(
    mut child: Child,
    input: plan::Input,
    signals: &mut Signals,
    target: &str,
    printer: &mut Printer,
) -> Result<u8, Stop> {
    let (stdin, stdout, stderr) = (child.take_stdin(), child.take_stdout(), child.take_stderr());
    let finished = async {
        tokio::try_join!(forward_stdout(stdout), forward_stderr(stderr))?;
        Ok::<_, Broken>(child.wait().await)
    };
    let outcome = tokio::select! {
        outcome = finished => Ok(outcome),
        never = feed(stdin, input) => match never {},
        signal = signals.next() => Err(signal),
    };
    match outcome {
        Ok(Ok(status)) => Ok(exit_code(&status?, target)?),
        Ok(Err(broken)) => {
            child.end().await;
            Err(match broken {
                Broken::Reader => Stop::Quietly(FAILED),
                Broken::Ours(own, error) => Failure::io(format!("{own} cannot be written"), &error).into(),
            })
        }
        Err(signal) => Err(end(child, signals, signal, printer).await),
    }
}

/// Copies standard output until it ends. A stream that is lost ends too: how, the command's own end says.
async fn forward_stdout(from: Option<ChildStdout>) -> Result<(), Broken> {
    let Some(mut from) = from else { return Ok(()) };
    let mut to = Sink::new(Own::Stdout);
    while let Ok(Some(chunk)) = from.chunk().await {
        to.write(chunk).await?;
    }
    to.finish().await
}

/// As [`forward_stdout`].
async fn forward_stderr(from: Option<ChildStderr>) -> Result<(), Broken> {
    let Some(mut from) = from else { return Ok(()) };
    let mut to = Sink::new(Own::Stderr);
    while let Ok(Some(chunk)) = from.chunk().await {
        to.write(chunk).await?;
    }
    to.finish().await
}

/// One of our own streams, whose thread starts with the first byte.
struct Sink {
    own: Own,
    output: Option<Output>,
}

impl Sink {
    fn new(own: Own) -> Self {
        Self { own, output: None }
    }

    async fn write(&mut self, chunk: Bytes) -> Result<(), Broken> {
        let output = match &mut self.output {
            Some(output) => output,
            None => self.output.insert(Output::start(self.own).map_err(|error| self.broken(error))?),
        };
        match output.write(chunk).await {
            Ok(()) => Ok(()),
            Err(Gone) => {
                let output = self.output.take();
                self.finish_of(output).await
            }
        }
    }

    /// Waits until all of it is written.
    async fn finish(mut self) -> Result<(), Broken> {
        let output = self.output.take();
        self.finish_of(output).await
    }

    async fn finish_of(&self, output: Option<Output>) -> Result<(), Broken> {
        match output {
            Some(output) => output.finish().await.map_err(|error| self.broken(error)),
            None => Ok(()),
        }
    }

    fn broken(&self, error: io::Error) -> Broken {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Broken::Reader,
            _ => Broken::Ours(self.own, error),
        }
    }
}

/// Copies our standard input to the command's, then closes that. Never returns: the command decides when it is over.
pub(super) async fn feed(to: Option<ChildStdin>, input: plan::Input) -> Infallible {
    if let Some(to) = to {
        // A command that reads no further, and an input that cannot be read, both end the input, as with ssh.
        let _ = copy_input(to, input).await;
    }
    std::future::pending().await
}

async fn copy_input(mut to: ChildStdin, input: plan::Input) -> io::Result<()> {
    if input == plan::Input::Forward {
        let mut from = Input::start()?;
        while let Some(piece) = from.read().await {
            to.write_bytes(piece?).await?;
        }
    }
    to.shutdown().await
}
