//! The operating system as a source.

mod outside;

use std::env;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::net::IpAddr;
use std::path::Path;

use crate::source::{GRAMMAR, MAX_SERVICES};
use crate::{AddressFamily, FoundHost, Source, SourceFile, Standing};

/// The [`Source`] that is this machine and this user.
///
/// The home directory is `HOME`'s where it is set and the account's otherwise; ssh looks at the account alone.
/// On Windows it is the profile directory, and the permissions of files are not examined there.
///
/// A command of `Match exec` is run by `$SHELL`, `/bin/sh` where it is not set, and `cmd.exe` on Windows. After 30 s it
/// is killed, which is an error. Names are looked up by the system's resolver, which keeps its own time: nothing here
/// can end it earlier. On Windows it does not tell which names are aliases: CanonicalizePermittedCNAMEs follows none there,
/// and a warning says so. `Match version` asks the ssh of this machine (`ssh -V`), so that a file means the same to both.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsSource;

impl OsSource {
    /// This machine and this user.
    #[must_use]
    pub fn new() -> OsSource {
        OsSource
    }
}

impl Source for OsSource {
    fn read(&self, path: &str, limit: u64) -> io::Result<Option<SourceFile>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(None),
            // Windows does not open a directory and calls that a lack of permission.
            Err(_) if Path::new(path).is_dir() => return Err(ErrorKind::IsADirectory.into()),
            Err(error) => return Err(error),
        };
        // Of the open file, so that what is judged is what is read.
        let standing = standing(&file)?;
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(Some(SourceFile::new(bytes, standing)))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            // A name that is not UTF-8 is kept in a form that no file has: whoever includes it is told so.
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    fn env(&self, name: &str) -> Option<String> {
        env::var(name).ok()
    }

    fn home(&self, user: Option<&str>) -> Option<String> {
        match user {
            None => env::home_dir()
                .and_then(|home| home.into_os_string().into_string().ok())
                .filter(|home| !home.is_empty()),
            Some(user) => home_of(user),
        }
    }

    fn user(&self) -> Option<String> {
        whoami::username().ok()
    }

    fn user_id(&self) -> Option<u32> {
        #[cfg(unix)]
        return Some(rustix::process::getuid().as_raw());
        #[cfg(not(unix))]
        None
    }

    fn host(&self) -> Option<String> {
        whoami::hostname().ok()
    }

    fn run(&self, line: &str) -> io::Result<bool> {
        outside::run(line)
    }

    fn look_up(&self, name: &str, family: AddressFamily) -> io::Result<Option<FoundHost>> {
        outside::look_up(name, family)
    }

    fn interface_addresses(&self) -> io::Result<Vec<IpAddr>> {
        outside::interface_addresses()
    }

    fn ssh_version(&self) -> String {
        outside::ssh_version().unwrap_or_else(|| GRAMMAR.to_owned())
    }

    fn service_port(&self, name: &str) -> Option<u16> {
        if name == "ssh" {
            return Some(22);
        }
        let list = if cfg!(windows) {
            format!(r"{}\System32\drivers\etc\services", env::var("SystemRoot").ok()?)
        } else {
            "/etc/services".to_owned()
        };
        self.read(&list, MAX_SERVICES).ok()??.service_port(name)
    }

    fn system_directory(&self) -> String {
        if cfg!(windows) {
            let data = env::var("ProgramData").unwrap_or_else(|_| r"C:\ProgramData".to_owned());
            format!("{data}/ssh")
        } else {
            "/etc/ssh".to_owned()
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// As ssh judges it: the file belongs to the user or to root, and neither group nor others may write to it.
#[cfg(unix)]
fn standing(file: &File) -> io::Result<Standing> {
    use std::os::unix::fs::MetadataExt;

    let metadata = file.metadata()?;
    let owner = metadata.uid();
    Ok(if owner != 0 && owner != rustix::process::getuid().as_raw() {
        Standing::OtherOwner
    } else if metadata.mode() & 0o022 != 0 {
        Standing::WritableByOthers
    } else {
        Standing::Trusted
    })
}

#[cfg(not(unix))]
fn standing(_: &File) -> io::Result<Standing> {
    Ok(Standing::Unchecked)
}

/// Another user's home directory, from the accounts that this machine itself lists.
fn home_of(user: &str) -> Option<String> {
    if cfg!(not(unix)) {
        return None;
    }
    let accounts = fs::read("/etc/passwd").ok()?;
    accounts.split(|&b| b == b'\n').find_map(|line| {
        let mut fields = line.split(|&b| b == b':');
        let name = fields.next()?;
        let home = fields.nth(4)?;
        (name == user.as_bytes()).then(|| String::from_utf8(home.to_vec()).ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_is_none_and_a_directory_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).into_os_string().into_string().unwrap();
        assert!(OsSource.read(&path("none"), 10).unwrap().is_none());
        assert_eq!(OsSource.read(&path("."), 10).unwrap_err().kind(), ErrorKind::IsADirectory);
        fs::write(path("file"), "0123456789abcdef").unwrap();
        assert_eq!(OsSource.read(&path("file"), 10).unwrap().unwrap().bytes(), b"0123456789a");
        assert!(OsSource.read(&path("file/below"), 10).unwrap().is_none());
        assert_eq!(OsSource.list(&path("")).unwrap(), ["file"]);
        assert!(OsSource.list(&path("none")).unwrap().is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_write_to_is_told() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        fs::write(&path, "").unwrap();
        for (mode, expected) in [
            (0o600, Standing::Trusted),
            (0o644, Standing::Trusted),
            (0o660, Standing::WritableByOthers),
            (0o602, Standing::WritableByOthers),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let file = OsSource.read(path.to_str().unwrap(), 10).unwrap().unwrap();
            assert_eq!(file.standing(), expected, "{mode:o}");
        }
    }

    #[test]
    fn the_local_user_and_machine_are_known() {
        assert!(!OsSource.user().unwrap().is_empty());
        assert!(!OsSource.host().unwrap().is_empty());
        assert_eq!(OsSource.user_id().is_some(), cfg!(unix));
        if cfg!(target_os = "linux") {
            assert_eq!(OsSource.home(Some("root")).as_deref(), Some("/root"));
        }
        assert_eq!(OsSource.home(Some("no such user")), None);
        assert_eq!(
            (OsSource.service_port("ssh"), OsSource.service_port("no such service")),
            (Some(22), None)
        );
    }
}
