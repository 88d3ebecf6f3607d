//! The program that `SSH_ASKPASS` names: it gets the question as its argument and prints the answer.

use std::path::Path;
use std::process::Stdio;

use rustle_session::{PromptError, SecretString};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use zeroize::Zeroizing;

/// The longest answer.
const LONGEST: usize = 1024;

/// Asks, and waits for the answer.
///
/// # Cancel safety
/// Dropped, the program is killed.
pub(super) async fn ask(program: &Path, question: &str) -> Result<SecretString, PromptError> {
    let mut command = Command::new(program);
    command.arg(question).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| {
        tracing::warn!(program = %program.display(), %error, "SSH_ASKPASS cannot be run");
        PromptError::Unavailable
    })?;
    let mut answer = Zeroizing::new(vec![0; LONGEST]);
    let mut length = 0;
    if let Some(mut output) = child.stdout.take() {
        // One buffer that never grows, so that no copy is left behind.
        while length < LONGEST {
            match output.read(&mut answer[length..]).await {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(_) => return Err(PromptError::Unavailable),
            }
        }
    }
    match child.wait().await {
        Ok(status) if status.success() => {}
        _ => return Err(PromptError::Cancelled),
    }
    let line = answer[..length].split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    std::str::from_utf8(line).map(SecretString::from).map_err(|_| PromptError::Unavailable)
}
