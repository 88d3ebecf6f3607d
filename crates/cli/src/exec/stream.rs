//! The command's streams as this program's own, byte for byte, each as fast as its reader.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use bytes::Bytes;
use rustle_session::{Child, ChildStderr, ChildStdin, ChildStdout, ExitStatus};
use tokio::io::AsyncWriteExt;

use super::far::Far;
use super::input::Input;
use super::output::{AT_ONCE, Output};
use super::terminal::Raw;
use super::{end, exit_code};
use crate::failure::{FAILED, Failure, Stop};
use crate::printer::Printer;
use crate::signals::{Interrupt, Signals};
use crate::streams::Own;

/// Why the streams stopped before the command did.
#[derive(Debug)]
enum Broken {
    /// Whoever read our output has gone.
    Reader,
    /// Our output cannot be written.
    Ours(Own, io::Error),
    /// What was kept of the command's output cannot be read back.
    Kept(Own, io::Error),
}

/// Runs the streams until the command has ended, and returns its exit code.
///
/// # Cancel safety
/// Dropped, the remote process is ended as a dropped [`Child`] is.
pub(super) async fn run(
    mut child: Child,
    signals: &mut Signals,
    target: &str,
    printer: &mut Printer,
) -> Result<u8, Stop> {
    let (stdin, stdout, stderr) = (child.take_stdin(), child.take_stdout(), child.take_stderr());
    let finished = async {
        said_before(printer).await;
        tokio::try_join!(forward_stdout(stdout), forward_stderr(stderr))?;
        Ok::<_, Broken>(child.wait().await)
    };
    let outcome = tokio::select! {
        outcome = finished => Ok(outcome),
        never = feed(stdin) => match never {},
        signal = signals.next() => Err(signal),
    };
    conclude(child, outcome, signals, target, printer).await
}

/// As [`run`], for a command on a terminal: where standard input is ours, its keystrokes are the far side's until the
/// command has ended, and so is its size.
///
/// # Cancel safety
/// As [`run`]; the terminal is as it was.
pub(super) async fn run_on_terminal(
    mut child: Child,
    far: &Far,
    signals: &mut Signals,
    target: &str,
    printer: &mut Printer,
) -> Result<u8, Stop> {
    let (stdin, stdout, stderr) = (child.take_stdin(), child.take_stdout(), child.take_stderr());
    // Without one of our own (-tt), there is nothing to set.
    let mut raw = if stdin.is_some() { Raw::enter(far).ok() } else { None };
    let outcome = {
        // What is shown has all come before the channel is closed, and the end of the process with it.
        let mut shown = std::pin::pin!(async {
            said_before(printer).await;
            tokio::try_join!(forward_stdout(stdout), forward_stderr(stderr)).map(|_| ())
        });
        let mut fed = std::pin::pin!(feed(stdin));
        loop {
            tokio::select! {
                shown = &mut shown => break Ok(shown),
                never = &mut fed => match never {},
                (columns, rows) = resized(raw.as_mut()) => {
                    // A connection that is gone is noticed by the streams.
                    let _ = child.resize(columns, rows).await;
                }
                signal = signals.next() => break Err(signal),
            }
        }
    };
    let outcome = match outcome {
        Ok(Ok(())) => tokio::select! {
            status = child.wait() => Ok(Ok(status)),
            signal = signals.next() => Err(signal),
        },
        Ok(Err(broken)) => Ok(Err(broken)),
        Err(signal) => Err(signal),
    };
    // Before anything else is written to it.
    drop(raw);
    conclude(child, outcome, signals, target, printer).await
}

/// Waits until what this program had to say stands there: what the command says comes after it.
async fn said_before(printer: &Printer) {
    // It was said on standard error, and where that is gone nobody is left to tell.
    let _ = printer.settled().await;
}

async fn resized(raw: Option<&mut Raw>) -> (u32, u32) {
    match raw {
        Some(raw) => raw.resized().await,
        None => std::future::pending().await,
    }
}

/// What came of it, once the streams have stopped.
async fn conclude(
    child: Child,
    outcome: Result<Result<rustle_session::Result<ExitStatus>, Broken>, Interrupt>,
    signals: &mut Signals,
    target: &str,
    printer: &mut Printer,
) -> Result<u8, Stop> {
    match outcome {
        Ok(Ok(status)) => Ok(exit_code(&status?, target)?),
        Ok(Err(broken)) => {
            child.end().await;
            Err(match broken {
                Broken::Reader => Stop::Quietly(FAILED),
                Broken::Ours(own, error) => Failure::io(format!("{own} cannot be written"), &error).into(),
                Broken::Kept(own, error) => {
                    Failure::io(format!("what was kept for {own} on disk cannot be read back"), &error).into()
                }
            })
        }
        Err(signal) => Err(end(child, signals, signal, printer).await),
    }
}

/// Copies standard output until it ends.
async fn forward_stdout(from: Option<ChildStdout>) -> Result<(), Broken> {
    let Some(mut from) = from else { return Ok(()) };
    forward(async || from.chunk().await, Own::Stdout).await
}

/// Copies standard error until it ends.
async fn forward_stderr(from: Option<ChildStderr>) -> Result<(), Broken> {
    let Some(mut from) = from else { return Ok(()) };
    forward(async || from.chunk().await, Own::Stderr).await
}

/// Writes what `chunk` gives to one of our own streams, all that is there at a time. A stream that is lost ends
/// too: how, the command's own end says. A reader that has gone is noticed when there is something to write, as it
/// is between local processes: a command that says nothing more may still have work to do.
async fn forward(mut chunk: impl AsyncFnMut() -> io::Result<Option<Bytes>>, own: Own) -> Result<(), Broken> {
    let broken = |error: io::Error| match error.kind() {
        io::ErrorKind::BrokenPipe => Broken::Reader,
        _ => Broken::Ours(own, error),
    };
    let mut output = Output::open(own).map_err(broken)?;
    let mut packets = VecDeque::with_capacity(AT_ONCE);
    loop {
        let mut open = take(chunk().await, &mut packets);
        while let Ok(true) = open
            && packets.len() < AT_ONCE
        {
            match ready(chunk()).await {
                Some(next) => open = take(next, &mut packets),
                None => break,
            }
        }
        output.write(&mut packets).await.map_err(broken)?;
        if !open.map_err(|error| Broken::Kept(own, error))? {
            return output.finish().await.map_err(broken);
        }
    }
}

/// Keeps a packet; says whether others may follow. Of a channel that was lost, the command's own end tells.
fn take(next: io::Result<Option<Bytes>>, packets: &mut VecDeque<Bytes>) -> io::Result<bool> {
    match next {
        Ok(Some(packet)) => packets.push_back(packet),
        Ok(None) => return Ok(false),
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => return Ok(false),
        Err(error) => return Err(error),
    }
    Ok(true)
}

/// What a future that may be dropped gives without waiting.
async fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Copies our standard input to the command's, then closes that. Never returns: the command decides when it is over.
pub(super) async fn feed(to: Option<ChildStdin>) -> Infallible {
    if let Some(to) = to {
        // A command that reads no further, and an input that cannot be read, both end the input, as with ssh.
        let _ = copy_input(to).await;
    }
    std::future::pending().await
}

async fn copy_input(mut to: ChildStdin) -> io::Result<()> {
    let mut from = Input::open()?;
    while let Some(piece) = from.read().await? {
        to.write_bytes(piece).await?;
    }
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lost_channel_is_an_end_without_a_word() {
        let mut packets = VecDeque::new();
        let mut take = |next| take(next, &mut packets).map_err(|error| error.kind());
        assert_eq!(take(Ok(Some(Bytes::from_static(b"x")))), Ok(true));
        assert_eq!(take(Ok(None)), Ok(false));
        assert_eq!(take(Err(io::ErrorKind::ConnectionAborted.into())), Ok(false));
        assert_eq!(take(Err(io::ErrorKind::StorageFull.into())), Err(io::ErrorKind::StorageFull));
    }
}
