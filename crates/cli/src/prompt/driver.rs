//! Reading an answer from the terminal blocks, so a thread does it.

use rustle_session::{Echo, PromptError, SecretString};

use super::terminal::Question;

/// Asks on the terminal.
///
/// # Cancel safety
/// Dropped, the terminal is as it was; the line that was being typed goes to whoever reads the terminal next, or to
/// nobody.
pub(super) async fn ask_terminal(text: &str, echo: Echo) -> Result<SecretString, PromptError> {
    let Ok(question) = Question::put(text, echo) else { return Err(PromptError::Unavailable) };
    let reader = question.reader().map_err(|_| PromptError::Unavailable)?;
    // Owner: this question. Ends: with the line, or with the process, which does not wait for it. Waited for: here.
    let answer = tokio::task::spawn_blocking(move || reader.line()).await;
    drop(question);
    match answer {
        Ok(Ok(Some(line))) => Ok(line),
        Ok(Ok(None)) => Err(PromptError::Cancelled),
        Ok(Err(_)) | Err(_) => Err(PromptError::Unavailable),
    }
}
