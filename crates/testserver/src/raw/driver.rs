//! The tasks of a raw server: the one that accepts, and one per connection.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::watch,
};

use crate::{
    driver::Wire,
    duplex::Duplex,
    listener::PortListener,
    raw::{RawShared, Step},
};

/// How much of what a client sends is kept.
const KEPT: usize = 64 * 1024;

/// How long a client may take to close after the script's end.
const LINGER: Duration = Duration::from_secs(2);

pub(super) fn accept(shared: &Arc<RawShared>, listener: PortListener) {
    let owner = Arc::clone(shared);
    // Owned by the server's tracker; ended by its `stopping` token; `RawServer::stop` waits for it.
    shared.tasks.spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = owner.stopping.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => serve(&owner, stream),
                // Out of descriptors, or a client that left while queued: the next may succeed.
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    });
}

pub(super) fn connect(shared: &Arc<RawShared>) -> Duplex {
    let (client, server) = crate::duplex::pair();
    serve(shared, server);
    client
}

fn serve(shared: &Arc<RawShared>, stream: impl Wire) {
    let number = {
        let mut heard = shared.heard();
        heard.received.push(Vec::new());
        heard.open += 1;
        heard.received.len() - 1
    };
    let owner = Arc::clone(shared);
    // Owned by the server's tracker; ended by the script, the client or the `stopping` token; `RawServer::stop` waits.
    shared.tasks.spawn(async move {
        let stopping = owner.stopping.clone();
        tokio::select! {
            () = play(&owner, number, stream) => {}
            () = stopping.cancelled() => {}
        }
        owner.heard().open -= 1;
        owner.changed.notify_waiters();
    });
}

/// Plays the script while it listens; how the connection ends is the script's or the client's choice.
async fn play(shared: &RawShared, number: usize, stream: impl Wire) {
    let (read, mut write) = tokio::io::split(stream);
    let (lines, heard_lines) = watch::channel(0);
    let mut read = read;
    let ended = {
        let listen = listen(shared, number, &mut read, &lines);
        tokio::pin!(listen);
        let speak = speak(shared, &mut write, heard_lines);
        tokio::pin!(speak);
        tokio::select! {
            () = &mut listen => Ended::ByClient,
            spoken = &mut speak => match spoken {
                Ok(ended) => {
                    if ended == Ended::Closed {
                        drop(tokio::time::timeout(LINGER, listen).await);
                    }
                    ended
                }
                Err(_) => Ended::ByClient,
            },
        }
    };
    if ended == Ended::Reset {
        read.unsplit(write).reset();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    ByClient,
    Closed,
    Reset,
}

async fn speak<S: Wire>(
    shared: &RawShared,
    write: &mut WriteHalf<S>,
    mut lines: watch::Receiver<usize>,
) -> io::Result<Ended> {
    let mut lines_wanted = 0;
    for step in &shared.script.steps {
        match step {
            Step::Send(bytes) => write.write_all(bytes).await?,
            Step::Repeat(bytes) => loop {
                write.write_all(bytes).await?;
                // A client in the same task must get its turn to leave.
                tokio::task::yield_now().await;
            },
            Step::Wait(time) => tokio::time::sleep(*time).await,
            Step::ReadLine => {
                lines_wanted += 1;
                if lines.wait_for(|heard| *heard >= lines_wanted).await.is_err() {
                    return Ok(Ended::ByClient);
                }
            }
            Step::Hold => std::future::pending().await,
            Step::Reset => return Ok(Ended::Reset),
        }
    }
    write.shutdown().await?;
    Ok(Ended::Closed)
}

/// Reads until the client is gone.
async fn listen<S: Wire>(
    shared: &RawShared,
    number: usize,
    read: &mut ReadHalf<S>,
    lines: &watch::Sender<usize>,
) {
    let mut buffer = [0; 4096];
    loop {
        let count = match read.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        let piece = &buffer[..count];
        if let Some(kept) = shared.heard().received.get_mut(number) {
            kept.extend_from_slice(&piece[..count.min(KEPT.saturating_sub(kept.len()))]);
        }
        let new_lines = piece.iter().filter(|byte| **byte == b'\n').count();
        lines.send_modify(|heard| *heard += new_lines);
    }
}
