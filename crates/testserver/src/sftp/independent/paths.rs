//! Paths as clients write them, and the files they mean: nothing outside the root can be named.
//!
//! A path is checked first and used afterwards, and nothing is locked between: this keeps no client in that exchanges a
//! directory for a link in another session at that moment.

use std::{
    io,
    path::{Path, PathBuf},
};

/// The absolute path that a client means, `/` being the root: `.` and `..` are resolved as text, and `..` of the root
/// is the root.
pub(crate) fn absolute(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The file that `path` names, with its last part left as it is, so that a link can be looked at or removed.
///
/// # Errors
/// The directory it is in does not exist, or is reached over a symbolic link that leads out of the root.
pub(crate) fn entry(root: &Path, path: &str) -> io::Result<PathBuf> {
    let absolute = absolute(path);
    let Some((parent, name)) = absolute.rsplit_once('/').filter(|(_, name)| !name.is_empty()) else {
        return root.canonicalize();
    };
    check_name(&absolute)?;
    let parent = inside(root, &root.join(parent.trim_start_matches('/')))?;
    Ok(parent.join(name))
}

/// The file that `path` names, links followed.
///
/// # Errors
/// As [`entry`], or its last part is a link that leads out of the root.
pub(crate) fn target(root: &Path, path: &str) -> io::Result<PathBuf> {
    let entry = entry(root, path)?;
    match entry.symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => inside(root, &entry),
        _ => Ok(entry),
    }
}

fn inside(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let (root, path) = (root.canonicalize()?, path.canonicalize()?);
    if path.starts_with(&root) {
        Ok(path)
    } else {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "a link leads out of the server's directory"))
    }
}

/// On Windows, `C:` and `\` in a name would lead elsewhere.
fn check_name(absolute: &str) -> io::Result<()> {
    if absolute.contains('\0') || (cfg!(windows) && absolute.contains(['\\', ':'])) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this name cannot exist here"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_never_lead_above_the_root() {
        assert_eq!(absolute("."), "/");
        assert_eq!(absolute("a/../../b/./c//"), "/b/c");
        assert_eq!(absolute("/../../etc/passwd"), "/etc/passwd");
    }

    #[cfg(unix)]
    #[test]
    fn link_out_of_the_root_is_refused_and_can_be_looked_at() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("out")).unwrap();
        assert_eq!(target(root.path(), "/out").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(entry(root.path(), "/out/file").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert!(entry(root.path(), "/out").unwrap().ends_with("out"));
    }
}
