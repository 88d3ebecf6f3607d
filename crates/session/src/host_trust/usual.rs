//! Where ssh's own files are.

use std::path::PathBuf;

use crate::error::{Error, ErrorKind, Result};

pub(super) fn user_files(home: Option<PathBuf>) -> Result<Vec<PathBuf>> {
    match home.filter(|home| home.is_absolute()) {
        Some(home) => Ok(vec![home.join(".ssh").join("known_hosts"), home.join(".ssh").join("known_hosts2")]),
        None => Err(Error::new(
            ErrorKind::HostKeyRejected,
            "check host key",
            "this user has no home directory, so there is no known_hosts to check the host key against",
        )
        .with_hint(
            "set HOME (USERPROFILE on Windows) to an absolute path, or name a file with \
             `-o UserKnownHostsFile=…`",
        )),
    }
}

#[cfg(not(windows))]
pub(super) fn system_directory() -> PathBuf {
    PathBuf::from("/etc/ssh")
}

#[cfg(windows)]
pub(super) fn system_directory() -> PathBuf {
    let data =
        std::env::var_os("ProgramData").map_or_else(|| PathBuf::from(r"C:\ProgramData"), PathBuf::from);
    data.join("ssh")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn without_a_home_nothing_is_known_and_that_is_an_error() {
        for home in [None, Some(PathBuf::new()), Some(PathBuf::from("relative"))] {
            let error = user_files(home).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::HostKeyRejected);
            assert!(error.hint().unwrap().contains("HOME"));
        }
        let root = if cfg!(windows) { r"C:\me" } else { "/home/me" };
        let files = user_files(Some(root.into())).unwrap();
        assert_eq!(files[0], Path::new(root).join(".ssh").join("known_hosts"));
    }
}
