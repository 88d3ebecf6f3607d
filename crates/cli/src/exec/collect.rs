//! The command's output as one JSON value, once it has ended.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use rustle_session::{Child, ChildStderr, ChildStdout, ExitStatus};
use serde::Serialize;

use super::stream::feed;
use super::{end, exit_code};
use crate::failure::{FAILED, Failure, Stop};
use crate::names::text_or_base64;
use crate::printer::Printer;
use crate::signals::Signals;

/// The most that is kept of each stream: as much as the library collects by default.
const LIMIT: usize = 256 * 1024 * 1024;

/// What is printed. Output that is not UTF-8 stands in the `_base64` field instead.
#[derive(Serialize)]
struct Collected<'a> {
    host: &'a str,
    exit_code: Option<u32>,
    signal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stdout_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stderr_base64: Option<String>,
    duration_ms: f64,
}

/// More was written than is kept.
struct TooMuch;

/// Runs the command to its end, prints what it left, and returns its exit code.
///
/// # Cancel safety
/// Dropped, the remote process is ended as a dropped [`Child`] is.
pub(super) async fn run(
    mut child: Child,
    signals: &mut Signals,
    target: &str,
    printer: &mut Printer,
) -> Result<u8, Stop> {
    let started = Instant::now();
    let (stdin, stdout, stderr) = (child.take_stdin(), child.take_stdout(), child.take_stderr());
    let finished = async {
        let (stdout, stderr) = tokio::try_join!(gather_stdout(stdout), gather_stderr(stderr))?;
        Ok::<_, TooMuch>((stdout, stderr, child.wait().await))
    };
    let outcome = tokio::select! {
        outcome = finished => Ok(outcome),
        never = feed(stdin) => match never {},
        signal = signals.next() => Err(signal),
    };
    match outcome {
        Ok(Ok((stdout, stderr, status))) => {
            let status = status?;
            print(&status, &stdout, &stderr, started, target, printer)?;
            // The value says how it ended.
            Ok(exit_code(&status, target).unwrap_or(FAILED))
        }
        Ok(Err(TooMuch)) => {
            child.end().await;
            let message =
                format!("the command wrote more than {LIMIT} bytes, which is all that is kept for JSON");
            Err(Failure::new("SSH_CHANNEL_ERROR", message)
                .at(target)
                .outcome_unknown()
                .hint("leave `--format json` out: output is then passed on as it comes")
                .into())
        }
        Err(signal) => Err(end(child, signals, signal, printer).await),
    }
}

fn print(
    status: &ExitStatus,
    stdout: &Bytes,
    stderr: &Bytes,
    started: Instant,
    target: &str,
    printer: &mut Printer,
) -> Result<(), Stop> {
    let (text, base64) = text_or_base64(stdout);
    let (error_text, error_base64) = text_or_base64(stderr);
    printer.json(&Collected {
        host: target,
        exit_code: status.code(),
        signal: status.signal(),
        stdout: text,
        stdout_base64: base64,
        stderr: error_text,
        stderr_base64: error_base64,
        duration_ms: started.elapsed().as_secs_f64() * 1000.0,
    })?;
    Ok(())
}

async fn gather_stdout(from: Option<ChildStdout>) -> Result<Bytes, TooMuch> {
    let mut all = BytesMut::new();
    if let Some(mut from) = from {
        // A stream that is lost ends too: how, the command's own end says.
        while let Ok(Some(chunk)) = from.chunk().await {
            keep(&mut all, &chunk)?;
        }
    }
    Ok(all.freeze())
}

async fn gather_stderr(from: Option<ChildStderr>) -> Result<Bytes, TooMuch> {
    let mut all = BytesMut::new();
    if let Some(mut from) = from {
        while let Ok(Some(chunk)) = from.chunk().await {
            keep(&mut all, &chunk)?;
        }
    }
    Ok(all.freeze())
}

fn keep(all: &mut BytesMut, chunk: &Bytes) -> Result<(), TooMuch> {
    if all.len() + chunk.len() > LIMIT {
        return Err(TooMuch);
    }
    all.extend_from_slice(chunk);
    Ok(())
}
