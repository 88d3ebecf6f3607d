//! How an SFTP channel begins.

use std::time::Duration;

use rustle_sftp_proto::{Framer, Hello, Opening};

use crate::error::{Error, ErrorKind, Result};
use crate::link::Link;
use crate::shown::Shown;

/// INIT, and the VERSION that answers it.
pub(super) async fn open(link: &mut Link, mut opening: Opening) -> Result<(Hello, Framer)> {
    // A process that has ended already, or was never there, reads nothing. What it said first, or that it said nothing,
    // is read all the same: that tells more.
    let sent = match link.outgoing.send(opening.init().to_bytes()).await {
        Ok(()) => link.outgoing.flush().await,
        failed => failed,
    };
    if let Err(error) = sent {
        tracing::debug!(%error, "the server does not read");
    }
    let mut pieces = Vec::new();
    loop {
        let count = link.incoming.pieces(&mut pieces).await.map_err(lost)?;
        if count == 0 {
            let (status, said) = link.far.account().await;
            let cut = "the answer is cut off";
            return Err(opening.finish().map_or_else(
                |error| not_begun(error, status, &said),
                |()| Error::new(ErrorKind::Unavailable, "open", cut),
            ));
        }
        let mut hello = None;
        for piece in pieces.drain(..) {
            match opening.receive(piece) {
                Ok(answer) => hello = hello.or(answer),
                Err(error) => return Err(not_begun(the_rest(link, opening, error).await, None, b"")),
            }
        }
        if let Some(hello) = hello {
            return Ok((hello, opening.into_framer()));
        }
    }
}

/// What was printed in place of an answer may come in several pieces: a moment more shows all of it.
async fn the_rest(
    link: &mut Link,
    mut opening: Opening,
    mut error: rustle_sftp_proto::Error,
) -> rustle_sftp_proto::Error {
    let _ = tokio::time::timeout(MORE_TEXT, async {
        let mut pieces = Vec::new();
        while link.incoming.pieces(&mut pieces).await.is_ok_and(|count| count > 0) {
            for piece in pieces.drain(..) {
                if let Err(fuller) = opening.receive(piece) {
                    error = fuller;
                }
            }
        }
    })
    .await;
    error
}

fn not_begun(error: rustle_sftp_proto::Error, status: Option<String>, said: &[u8]) -> Error {
    let mut message = error.to_string();
    if let Some(status) = status {
        message = format!("{message} (the server's process: {status})");
    }
    if !said.is_empty() {
        message = format!("{message}; it said {}", Shown::of(said));
    }
    Error::new(ErrorKind::Unavailable, "open", message).with_source(error)
}

fn lost(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Disconnected, "open", "the stream ended before SFTP began").with_source(error)
}

/// How long more is waited for of what something printed in place of an answer.
const MORE_TEXT: Duration = Duration::from_millis(200);
