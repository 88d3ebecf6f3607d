//! `--password-file`: a password from a file that nobody else can read, or from a line of standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use secrecy::SecretString;
use zeroize::{Zeroize, Zeroizing};

use crate::failure::Failure;

/// The longest password; OpenSSH's server takes 1 KiB.
const LONGEST: usize = 1024;
const CODE: &str = "SSH_KEY_ERROR";

/// Where the password is.
#[derive(Debug, Clone)]
pub(crate) struct PasswordFile(PathBuf);

impl PasswordFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The first line of it, without its end. Of standard input no more than that line is read: the rest is the
    /// command's.
    ///
    /// # Errors
    /// It cannot be read, others can read it, or it holds no password.
    pub(crate) fn read(&self) -> Result<SecretString, Failure> {
        let place = self.0.display();
        let line = if self.0.as_os_str() == "-" {
            let input = stdin().map_err(|error| Failure::io("standard input cannot be read", &error))?;
            first_line(input)
        } else {
            let file = File::open(&self.0).map_err(|error| {
                Failure::io(format!("the password file {place} cannot be opened"), &error)
            })?;
            self.check_permissions(&file)?;
            first_line(file)
        };
        line.map_err(|error| match error {
            Unusable::Io(error) => Failure::io(format!("the password file {place} cannot be read"), &error),
            Unusable::Empty => {
                Failure::new(CODE, format!("the password file {place} has no password in its first line"))
            }
            Unusable::TooLong => Failure::new(
                CODE,
                format!("the first line of the password file {place} is longer than {LONGEST} bytes"),
            ),
            Unusable::NotText => {
                Failure::new(CODE, format!("the password in the file {place} is not valid UTF-8"))
            }
        })
    }

    #[cfg(unix)]
    fn check_permissions(&self, file: &File) -> Result<(), Failure> {
        use std::os::unix::fs::MetadataExt;

        let place = self.0.display();
        let metadata = file
            .metadata()
            .map_err(|error| Failure::io(format!("the password file {place} cannot be examined"), &error))?;
        let mode = metadata.mode() & 0o777;
        // A pipe (`<(pass show web)`) is nobody else's to open.
        if metadata.is_file() && mode & 0o077 != 0 {
            let message = format!("the password file {place} can be used by others (mode {mode:04o})");
            return Err(Failure::new(CODE, message).hint(format!("chmod 600 {place}")));
        }
        Ok(())
    }

    /// Windows guards a profile's files by access control lists, which the standard library does not read.
    #[cfg(not(unix))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)]
    fn check_permissions(&self, _: &File) -> Result<(), Failure> {
        Ok(())
    }
}

#[derive(Debug)]
enum Unusable {
    Io(io::Error),
    Empty,
    TooLong,
    NotText,
}

/// Byte by byte, so that nothing after the line is taken.
fn first_line(mut source: impl Read) -> Result<SecretString, Unusable> {
    let mut line = Zeroizing::new(Vec::with_capacity(LONGEST + 2));
    let mut byte = [0];
    loop {
        match source.read(&mut byte) {
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) if line.len() > LONGEST => return Err(Unusable::TooLong),
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Unusable::Io(error)),
        }
    }
    byte.zeroize();
    let text = line.strip_suffix(b"\r").unwrap_or(&line);
    if text.is_empty() {
        return Err(Unusable::Empty);
    }
    std::str::from_utf8(text).map(SecretString::from).map_err(|_| Unusable::NotText)
}

/// Standard input without the standard library's buffer, which would take more than the line.
#[cfg(unix)]
fn stdin() -> io::Result<File> {
    use std::os::fd::AsFd;

    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

#[cfg(windows)]
fn stdin() -> io::Result<File> {
    use std::os::windows::io::AsHandle;

    Ok(File::from(io::stdin().as_handle().try_clone_to_owned()?))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn the_first_line_is_the_password_and_the_rest_is_left() {
        let mut source = &b"correct horse\r\nrest"[..];
        assert_eq!(first_line(&mut source).unwrap().expose_secret(), "correct horse");
        assert_eq!(source, b"rest");
        assert_eq!(first_line(&b"no newline"[..]).unwrap().expose_secret(), "no newline");
    }

    #[test]
    fn nothing_too_much_and_no_text_are_refused() {
        assert!(matches!(first_line(&b"\nsecond"[..]), Err(Unusable::Empty)));
        assert!(matches!(first_line(&[b'x'; 4096][..]), Err(Unusable::TooLong)));
        assert!(matches!(first_line(&b"\xff\n"[..]), Err(Unusable::NotText)));
        assert_eq!(first_line(&[b'x'; LONGEST][..]).unwrap().expose_secret().len(), LONGEST);
    }
}
