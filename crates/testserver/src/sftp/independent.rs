//! The second engine: russh-sftp's server half over a real directory, written by other people.

mod handler;
mod open;
mod paths;

use std::path::Path;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{call::Call, sftp::LinkOrder};

/// Between the channel and the SFTP engine, each way: a few of its largest packets.
const BUFFER: usize = 256 * 1024;

/// Serves SFTP on a channel until its input ends or `hangup`; the engine's task is gone when this returns.
pub(super) async fn serve(root: &Path, links: LinkOrder, call: Call, hangup: &CancellationToken) {
    let (near, far) = tokio::io::duplex(BUFFER);
    let engine = TaskTracker::new();
    // The engine spawns its task itself and keeps no handle to it; the token inside the handler, which that task owns,
    // tells when it has ended. It ends when its stream does, that is when `near` is dropped below.
    let directory = handler::Directory::new(root.to_owned(), links, engine.token());
    russh_sftp::server::run(far, directory).await;
    engine.close();

    let (mut from_engine, mut to_engine) = tokio::io::split(near);
    let Call { mut stdin, mut stdout, .. } = call;
    let requests = async {
        while let Some(chunk) = stdin.chunk().await {
            if to_engine.write_all(&chunk).await.is_err() {
                break;
            }
        }
        // The engine takes the end of its input as the end of all.
        drop(to_engine.shutdown().await);
    };
    let replies = async {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(BUFFER);
            match from_engine.read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) if stdout.send(buffer.split().freeze()).await.is_err() => return,
                Ok(_) => {}
            }
        }
    };
    tokio::select! {
        // What came before the client closed is passed on, in every run.
        biased;
        ((), ()) = async { tokio::join!(requests, replies) } => {}
        () = hangup.cancelled() => {}
    }
    drop((from_engine, to_engine));
    engine.wait().await;
}
