//! Either end killed at many places of a transfer: there is the old file or the new one, never a part of one or a mixture
//! of both, and what can be resumed becomes whole.

mod client;
#[cfg(unix)]
mod server;

use std::path::Path;

use rustle_sftp::{Sftp, Summary};

use crate::here::Here;

const OLD: &[u8] = b"the file that was there before";
const SIZE: usize = 600_000;
/// At how many places each work is interrupted: musl and Windows have the same code, but for what one such place or another
/// shows, and a process takes long to begin under wine.
const POINTS: usize = if cfg!(all(target_os = "linux", target_env = "gnu")) { 50 } else { 20 };

/// What is interrupted, of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Put,
    PutResumed,
    Get,
    GetResumed,
}

/// A source and a target on each side.
struct Sides {
    here: Here,
    there: Here,
}

impl Sides {
    fn new(bytes: &[u8]) -> Self {
        let sides = Self { here: Here::new(), there: Here::new() };
        for side in [&sides.here, &sides.there] {
            side.file("source", bytes);
            side.file("app", OLD);
        }
        sides
    }

    /// `there` is the path of the target on the server, beside which the source is.
    async fn transfer(&self, sftp: &Sftp, case: Case, there: &Path) -> rustle_sftp::Result<Summary> {
        transfer(sftp, case, self.here.path("").as_path(), there).await
    }
}

async fn transfer(sftp: &Sftp, case: Case, here: &Path, there: &Path) -> rustle_sftp::Result<Summary> {
    let (source, target) = (there.with_file_name("source"), there);
    let path = |path: &Path| path.as_os_str().as_encoded_bytes().to_vec();
    match case {
        Case::Put => sftp.put(here.join("source"), path(target)).atomic().await,
        Case::PutResumed => sftp.put(here.join("source"), path(target)).atomic().resume().await,
        Case::Get => sftp.get(path(&source), here.join("app")).atomic().await,
        Case::GetResumed => sftp.get(path(&source), here.join("app")).atomic().resume().await,
    }
}

/// The next of a series of numbers that is the same each time.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}
