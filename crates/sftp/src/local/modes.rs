//! Giving files of this side other permissions, and nothing else.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::local::details::{Details, Kind};
use crate::local::driver::off_thread;
use crate::local::preserve::set_mode;
use crate::local::{failed, refused};

const SET: &str = "set permissions of local file";

/// Gives each of the files its permissions. The results are in the order of the files. No link is followed.
///
/// # Errors
/// For each file by itself: the system refuses, there is something else in its place, or this user may neither read nor
/// write it. For all of them where the program is ending.
///
/// # Cancel safety
/// Dropped, it is done nevertheless, unless it had not begun.
pub(crate) async fn set(files: Vec<(PathBuf, u32)>) -> Result<Vec<Result<(), Error>>, Error> {
    let shown = files.first().map(|(path, _)| path.clone()).unwrap_or_default();
    let work = move || Ok(files.iter().map(|(path, mode)| set_one(path, *mode)).collect());
    off_thread(SET, &shown, work).await
}

fn set_one(path: &Path, mode: u32) -> Result<(), Error> {
    let refused = |error| refused(SET, path, error);
    let file = open(path).map_err(refused)?;
    match Details::from(&file.metadata().map_err(refused)?).kind() {
        Kind::File => set_mode(&file, mode).map_err(refused),
        Kind::Directory | Kind::Link | Kind::Special => {
            Err(failed(SET, path, "there is something else in the place of the file"))
        }
    }
}

#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::OFlags;

    use super::target::{NO_WAIT, flag};
    let open = |options: &mut std::fs::OpenOptions| {
        std::os::unix::fs::OpenOptionsExt::custom_flags(options, NO_WAIT | flag(OFlags::NOFOLLOW));
        options.open(path)
    };
    match open(File::options().read(true)) {
        // Its owner may not read it, and may perhaps write it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => open(File::options().write(true)),
        opened => opened,
    }
}

#[cfg(windows)]
fn open(path: &Path) -> io::Result<File> {
    super::tree::open_for_attributes(path, super::tree::Links::Keep)
}
