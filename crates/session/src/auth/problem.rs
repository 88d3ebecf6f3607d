//! What can be wrong with a key file, in words that say what to do.

use std::fmt;
use std::io;

use super::format::NotPrivate;
use super::prompt::{Lines, sanitised};
use crate::base::keys::Undecoded;
use crate::error::{Error, ErrorKind};

/// Something wrong with one key file or certificate file.
#[derive(Debug)]
pub(crate) struct KeyProblem {
    label: String,
    fault: Fault,
}

/// What is wrong.
#[derive(Debug)]
pub(crate) enum Fault {
    Missing,
    Unreadable(io::Error),
    Directory,
    TooLarge,
    /// Others may read it; access control lists of Windows are not read.
    #[cfg_attr(all(windows, not(test)), expect(dead_code, reason = "no modes there"))]
    TooOpen {
        mode: u32,
    },
    NotPrivate(NotPrivate),
    Undecoded(Undecoded),
    /// A public key file, whose private key no agent holds.
    PublicFile,
    /// The `.pub` file beside it belongs to another key.
    OtherPublic,
    /// A security key that the agent does not hold.
    SecurityKey,
    /// A certificate file without a certificate.
    NoCertificate,
    /// A certificate that is not for users.
    HostCertificate,
    /// A certificate whose private key was not found.
    NoPrivateKey,
    /// It is encrypted, and there is nobody to ask.
    NobodyToAsk,
    /// A person was asked and gave no passphrase.
    NoPassphrase,
    /// Reading or decrypting took longer than anybody would wait.
    TooSlow,
}

impl KeyProblem {
    pub(crate) fn new(label: &str, fault: Fault) -> Self {
        Self { label: sanitised(label, Lines::One), fault }
    }

    pub(crate) fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Whether a person may type the passphrase again.
    pub(crate) fn is_wrong_passphrase(&self) -> bool {
        matches!(self.fault, Fault::Undecoded(Undecoded::WrongPassphrase))
    }

    pub(crate) fn needs_passphrase(&self) -> bool {
        matches!(self.fault, Fault::Undecoded(Undecoded::NeedsPassphrase))
    }

    /// As this crate's error, when nothing else let us in.
    pub(crate) fn into_error(self) -> Error {
        let hint = self.hint();
        let error = Error::new(ErrorKind::Key, "authenticate", self.to_string()).with_hint(hint);
        match self.fault {
            Fault::Unreadable(source) => error.with_source(source),
            _ => error,
        }
    }

    fn hint(&self) -> String {
        let path = &self.label;
        match &self.fault {
            Fault::Missing => "name a file that exists, or leave the option out to try the usual keys".to_owned(),
            Fault::Unreadable(_) => "make the file readable for the user running this".to_owned(),
            Fault::Directory => "name the key file inside the directory".to_owned(),
            Fault::TooLarge => "a private key takes a few KiB: name the key file".to_owned(),
            Fault::TooOpen { .. } => format!("close it to others: chmod 600 {path}"),
            Fault::NotPrivate(NotPrivate::Unsupported(_)) | Fault::Undecoded(Undecoded::Unsupported(_)) => {
                "make a new key with: ssh-keygen -t ed25519; or, if only its encryption is the matter, rewrite the \
                 file with: ssh-keygen -p -f FILE"
                    .to_owned()
            }
            Fault::NotPrivate(_) => {
                "use a private key in OpenSSH, PEM, PKCS#8 or PuTTY format, whole and unchanged".to_owned()
            }
            Fault::Undecoded(Undecoded::WrongPassphrase) => {
                "check the passphrase; ssh-keygen -y -f FILE tries it without a connection".to_owned()
            }
            Fault::Undecoded(Undecoded::NeedsPassphrase) | Fault::NobodyToAsk => {
                "give the passphrase, or add the key to an agent with ssh-add".to_owned()
            }
            Fault::NoPassphrase => "type the passphrase, or add the key to an agent with ssh-add".to_owned(),
            Fault::Undecoded(Undecoded::Damaged) => "restore the file from a copy".to_owned(),
            Fault::PublicFile => {
                "name the private key (without .pub), or add it to an agent with ssh-add".to_owned()
            }
            Fault::OtherPublic => format!("write it anew: ssh-keygen -y -f {path} > {path}.pub"),
            Fault::SecurityKey => "add it to an agent with ssh-add, and plug the security key in".to_owned(),
            Fault::NoCertificate => {
                "name a file made by ssh-keygen -s, which ends in -cert.pub".to_owned()
            }
            Fault::HostCertificate => "have the key signed for a user: ssh-keygen -s CA -I ID -n USER".to_owned(),
            Fault::NoPrivateKey => "name the private key as well, or add it to the agent".to_owned(),
            Fault::TooSlow => "make the key file cheaper to open: ssh-keygen -p -a 16 -f FILE".to_owned(),
        }
    }
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = &self.label;
        match &self.fault {
            Fault::Missing => write!(f, "{label} does not exist"),
            Fault::Unreadable(_) => write!(f, "{label} cannot be read"),
            Fault::Directory => write!(f, "{label} is a directory"),
            Fault::TooLarge => write!(f, "{label} is larger than 1 MiB, so it is no key file"),
            Fault::TooOpen { mode } => {
                write!(f, "{label} is a private key open to others (mode {mode:04o}) and is not used")
            }
            Fault::NotPrivate(NotPrivate::Empty) => write!(f, "{label} is empty"),
            Fault::NotPrivate(NotPrivate::Truncated) => {
                write!(f, "{label} is truncated: it begins as a private key and never ends")
            }
            Fault::NotPrivate(NotPrivate::Unknown) => write!(f, "{label} is in no known key format"),
            Fault::NotPrivate(NotPrivate::Public) => write!(f, "{label} is a public key file"),
            Fault::NotPrivate(NotPrivate::Unsupported(what))
            | Fault::Undecoded(Undecoded::Unsupported(what)) => {
                write!(f, "{label} is {what}, which is not supported")
            }
            Fault::Undecoded(Undecoded::NeedsPassphrase) => write!(f, "{label} needs a passphrase"),
            Fault::Undecoded(Undecoded::WrongPassphrase) => {
                write!(f, "the passphrase does not open {label}")
            }
            Fault::Undecoded(Undecoded::Damaged) => write!(f, "{label} is damaged"),
            Fault::PublicFile => {
                write!(f, "{label} is a public key file, and no agent holds its private key")
            }
            Fault::OtherPublic => write!(f, "{label} does not belong to its public key file {label}.pub"),
            Fault::SecurityKey => {
                write!(f, "{label} belongs to a security key, which signs only through an agent")
            }
            Fault::NoCertificate => write!(f, "{label} holds no OpenSSH certificate"),
            Fault::HostCertificate => write!(f, "{label} is a certificate for hosts, not for users"),
            Fault::NoPrivateKey => write!(f, "the private key of the certificate {label} was not found"),
            Fault::NobodyToAsk => write!(f, "{label} needs a passphrase and nobody could be asked"),
            Fault::NoPassphrase => write!(f, "no passphrase was given for {label}"),
            Fault::TooSlow => write!(f, "{label} could not be opened within 120 s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn an_open_key_says_its_mode_and_the_command_that_closes_it() {
        let error = KeyProblem::new("/home/me/.ssh/id", Fault::TooOpen { mode: 0o644 }).into_error();
        assert_eq!(error.kind(), ErrorKind::Key);
        assert_eq!(
            error.to_string(),
            "/home/me/.ssh/id is a private key open to others (mode 0644) and is not used"
        );
        assert_eq!(error.hint(), Some("close it to others: chmod 600 /home/me/.ssh/id"));
    }

    #[test]
    fn a_name_cannot_move_the_cursor() {
        let problem = KeyProblem::new("id\u{1b}[2J", Fault::Missing);
        assert_eq!(problem.to_string(), "id\\u{1b}[2J does not exist");
    }

    #[test]
    fn an_unreadable_file_keeps_its_cause() {
        let cause = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = KeyProblem::new("id", Fault::Unreadable(cause)).into_error();
        assert!(error.source().unwrap().to_string().contains("denied"));
    }
}
