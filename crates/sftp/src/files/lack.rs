//! How files are reached, and what cannot be done that way.

use std::fmt;

use crate::commands::Programs;

/// How [`Files`](crate::Files) reaches a host's files.
///
/// ```
/// assert_eq!(rustle_sftp::Means::Commands.to_string(), "commands");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Means {
    /// The SFTP subsystem.
    Sftp,
    /// Commands of a POSIX shell.
    Commands,
    /// `scp -f` and `scp -t`.
    Scp,
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sftp => "SFTP",
            Self::Commands => "commands",
            Self::Scp => "scp",
        })
    }
}

/// Something that SFTP could do and these means cannot, on this host. `Display` says it to a person.
///
/// ```
/// assert!(rustle_sftp::Lack::Resume.to_string().contains("begins anew"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lack {
    /// Nothing but fetching and sending files and directories can be done.
    Operations,
    /// Links in a directory that is fetched are followed by the host, whatever was asked for.
    LinkPolicies,
    /// A file that is sent is written in its place: what breaks off leaves a part.
    Atomic,
    /// There are no open files to read and write at any place.
    OpenFiles,
    /// A transfer does not go on from a part.
    Resume,
    /// Nothing says that a file is stored before it takes its name: a crash of the host may leave an atomic transfer
    /// empty.
    Storing,
    /// `mv` has no `-T`: a directory that takes the target's name just then is moved into.
    SafeRename,
    /// Times are not known, and a fetched file cannot keep them.
    Times,
    /// What a link reads cannot be asked.
    Links,
    /// Both sides of a transfer cannot be compared.
    Verify,
    /// What is fetched comes as fast as it can: asking for a limit is an error. One for what is sent is kept.
    Limit,
}

impl Lack {
    pub(crate) fn of_commands(programs: Programs) -> Vec<Self> {
        let maybe = [
            (Self::Storing, programs.stores()),
            (Self::SafeRename, programs.moves_whole()),
            (Self::Times, programs.knows_times()),
            (Self::Links, programs.reads_links()),
            (Self::Verify, programs.hashes()),
        ];
        let missing = maybe.into_iter().filter(|(_, has)| !has).map(|(lack, _)| lack);
        [Self::OpenFiles, Self::Resume].into_iter().chain(missing).collect()
    }

    pub(crate) fn of_scp() -> Vec<Self> {
        vec![
            Self::Operations,
            Self::LinkPolicies,
            Self::OpenFiles,
            Self::Resume,
            Self::Atomic,
            Self::Verify,
            Self::Limit,
        ]
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Operations => {
                "files and directories are fetched and sent, and nothing else is done with them"
            }
            Self::LinkPolicies => "links in a directory that is fetched are followed there",
            Self::Atomic => {
                "a file that is sent is written in its place, and one that breaks off leaves a part"
            }
            Self::OpenFiles => "files are read and written as a whole",
            Self::Resume => "a transfer that broke off begins anew",
            Self::Storing => "an atomic transfer does not wait until the host has stored the file",
            Self::SafeRename => "a directory that takes the target's name at that moment is moved into",
            Self::Times => "the times of files are not known",
            Self::Links => "what a link reads is not known",
            Self::Limit => "a file that is fetched comes as fast as it can, so no limit is taken for it",
            Self::Verify => "the two sides of a transfer are not compared: nothing there makes a SHA-256",
        })
    }
}
