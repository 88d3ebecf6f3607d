//! A bulk transfer both ways, hashed at both ends.

use std::time::Instant;

use bytes::Bytes;
use rustle_session::{ChildStdin, Session};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;

use super::{Shown, held, not_held};

const MIB: usize = 1024 * 1024;
const BLOCKS: usize = 256;

/// Sends 256 MiB into `cat`, and compares the SHA-256 of what went in with that of what came out.
pub(super) async fn through_cat(session: &Session) -> Shown {
    let mut child = session.raw("cat").spawn().await?;
    let (Some(stdin), Some(mut stdout)) = (child.take_stdin(), child.take_stdout()) else {
        return Err(not_held("the command has no streams".to_owned()));
    };
    let started = Instant::now();
    let receive = async {
        let (mut hash, mut length) = (Sha256::new(), 0);
        while let Some(chunk) = stdout.chunk().await? {
            hash.update(&chunk);
            length += chunk.len();
        }
        Ok::<_, std::io::Error>((hash.finalize(), length))
    };
    let (sent, received) = tokio::join!(send(stdin), receive);
    let took = started.elapsed();
    let status = child.wait().await?;
    let lost = |error: std::io::Error| not_held(format!("the stream broke: {error}"));
    let sent = sent.map_err(lost)?;
    let (received, length) = received.map_err(lost)?;
    held(status.success(), || format!("`cat` gave {status}"))?;
    held(length == BLOCKS * MIB, || format!("{length} bytes came back"))?;
    held(sent == received, || "what came back has another SHA-256".to_owned())?;
    let hash: String = received.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    #[allow(clippy::cast_precision_loss)]
    let rate = BLOCKS as f64 / took.as_secs_f64();
    Ok(format!("{rate:.0} MiB/s each way; SHA-256 {hash}… at both ends"))
}

async fn send(mut stdin: ChildStdin) -> std::io::Result<sha2::digest::Output<Sha256>> {
    let mut hash = Sha256::new();
    for number in 0..BLOCKS {
        let block = block(number);
        hash.update(&block);
        stdin.write_bytes(block).await?;
    }
    stdin.shutdown().await?;
    Ok(hash.finalize())
}

/// A mebibyte that is unlike every other one and does not repeat.
fn block(number: usize) -> Bytes {
    let mut state = (number as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut block = Vec::with_capacity(MIB);
    while block.len() < MIB {
        // Marsaglia's xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend_from_slice(&state.to_le_bytes());
    }
    Bytes::from(block)
}
