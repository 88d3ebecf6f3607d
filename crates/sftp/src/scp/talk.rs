//! A conversation with `scp` on the far side.

use std::time::Duration;

use bytes::Bytes;
use rustle_session::{Child, ChildStdin, ChildStdout, Command};

use crate::error::{Error, ErrorKind, Result};
use crate::scp::wire::{Broken, Record, Records};
use crate::shown::Shown;

/// `scp` on the far side. Dropped, it sees the end of its input and is ended.
pub(crate) struct Talk {
    operation: &'static str,
    path: Bytes,
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    records: Records,
}

impl Talk {
    pub(crate) async fn start(operation: &'static str, path: &[u8], command: Command) -> Result<Self> {
        let path = Bytes::copy_from_slice(path);
        let mut child = command.spawn().await.map_err(|error| {
            let (kind, text) = match error.kind() {
                rustle_session::ErrorKind::RequestRefused => {
                    (ErrorKind::Unavailable, "the server does not run `scp`")
                }
                _ => (ErrorKind::Disconnected, "no channel for `scp`"),
            };
            about(Error::new(kind, operation, text), &path).with_source(error)
        })?;
        match (child.take_stdin(), child.take_stdout()) {
            (Some(stdin), Some(stdout)) => {
                Ok(Self { operation, path, child, stdin, stdout, records: Records::default() })
            }
            _ => Err(Error::new(ErrorKind::Disconnected, operation, "the channel has no streams").at(&path)),
        }
    }

    pub(crate) fn error(&self, kind: ErrorKind, text: impl Into<String>) -> Error {
        about(Error::new(kind, self.operation, text), &self.path)
    }

    /// Says that it may go on.
    pub(crate) async fn agree(&mut self) -> Result<()> {
        self.say(Bytes::from_static(b"\0")).await
    }

    /// Sends a record, or bytes of a file. Where the other side reads no more, its own last word is the error.
    pub(crate) async fn say(&mut self, bytes: Bytes) -> Result<()> {
        match tokio::time::timeout(SILENCE, self.stdin.write_bytes(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => match self.hear().await {
                Ok(_) => Err(self.error(ErrorKind::Disconnected, "`scp` reads no more").with_source(error)),
                Err(said) => Err(said),
            },
            Err(_) => Err(self.silent()),
        }
    }

    /// Says that it does not take what it was just told of, or that something became of what it took.
    pub(crate) async fn refuse(&mut self) -> Result<()> {
        self.say(Bytes::from_static(b"\x01scp: not taken on the other side\n")).await
    }

    /// The next record; an error of the other side is one here.
    pub(crate) async fn hear(&mut self) -> Result<Record> {
        match self.record().await? {
            Record::Error { text, .. } => Err(self.told(&text, None)),
            record => Ok(record),
        }
    }

    /// The next record, whatever it says.
    pub(crate) async fn record(&mut self) -> Result<Record> {
        loop {
            match self.records.next() {
                Ok(Some(record)) => return Ok(record),
                Ok(None) => {}
                Err(broken) => return Err(self.broken(&broken)),
            }
            if !self.more().await? {
                return Err(self.ended().await);
            }
        }
    }

    /// Waits for the other side's consent.
    pub(crate) async fn consent(&mut self) -> Result<()> {
        match self.hear().await? {
            Record::Ok => Ok(()),
            other => Err(self.unexpected(&other)),
        }
    }

    /// That it speaks the protocol at all, whether it agrees or not.
    pub(crate) async fn hear_anything(&mut self) -> Result<()> {
        loop {
            match self.records.next() {
                Ok(Some(_)) => return Ok(()),
                Ok(None) => {}
                Err(broken) => return Err(self.error(ErrorKind::Unavailable, broken.to_string())),
            }
            if !self.more().await? {
                let ended = self.ended().await;
                return Err(self.error(ErrorKind::Unavailable, "the server has no `scp`").with_source(ended));
            }
        }
    }

    /// Bytes of a file, `most` of them at most and one at least.
    pub(crate) async fn data(&mut self, most: u64) -> Result<Bytes> {
        while self.records.is_empty() {
            if !self.more().await? {
                return Err(self.ended().await);
            }
        }
        Ok(self.records.data(most))
    }

    /// Nothing more is said on this side, and nothing more may come. Of several errors the first is told; one that is only
    /// about times or permissions stands back behind others.
    pub(crate) async fn finish(&mut self) -> Result<()> {
        let (mut word, mut count): (Option<Bytes>, _) = (None, 0);
        self.say_no_more().await;
        while let Some(late) = self.late_word().await? {
            count += 1;
            if count > MOST_LATE {
                return Err(self.too_many_late());
            }
            if word.as_ref().is_none_or(|word| is_about_attributes(word) && !is_about_attributes(&late)) {
                word = Some(late);
            }
        }
        match word {
            Some(text) => Err(self.told(&text, None)),
            None => Ok(()),
        }
    }

    /// As [`finish`](Self::finish), where errors may come late and are to be told one by one: their texts. One that is fatal
    /// is the error.
    pub(crate) async fn last_words(&mut self) -> Result<Vec<Bytes>> {
        let mut words = Vec::new();
        self.say_no_more().await;
        while let Some(late) = self.late_word().await? {
            words.push(late);
            if words.len() > MOST_LATE {
                return Err(self.too_many_late());
            }
        }
        Ok(words)
    }

    fn too_many_late(&self) -> Error {
        let text = format!("`scp` told of more than {MOST_LATE} errors when all was sent");
        self.error(ErrorKind::Protocol, text)
    }

    /// The next error that comes when nothing more is said here.
    async fn late_word(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.records.next() {
                Ok(None) => {}
                Ok(Some(Record::Error { text, is_fatal: false })) => return Ok(Some(text)),
                Ok(Some(Record::Error { text, is_fatal: true })) => return Err(self.told(&text, None)),
                Ok(Some(other)) => return Err(self.unexpected(&other)),
                Err(broken) => return Err(self.broken(&broken)),
            }
            if !self.more().await? {
                return Ok(None);
            }
        }
    }

    /// Waits until the process is gone, whatever came of it: dropbear before 2024.86 closes a channel that has no command yet
    /// when the process of another one ends, which would be that of the next file.
    pub(crate) async fn over(mut self) {
        self.say_no_more().await;
        let gone = async {
            while let Ok(Some(_)) = self.stdout.chunk().await {}
            self.child.wait().await
        };
        if let Err(_) | Ok(Err(_)) = tokio::time::timeout(LAST_WORDS, gone).await {
            tracing::debug!("the end of `scp` was not seen");
        }
    }

    async fn say_no_more(&mut self) {
        if let Err(error) = tokio::io::AsyncWriteExt::shutdown(&mut self.stdin).await {
            tracing::debug!(%error, "the end of the conversation was not taken");
        }
    }

    async fn more(&mut self) -> Result<bool> {
        match tokio::time::timeout(SILENCE, self.stdout.chunk()).await {
            Ok(Ok(Some(bytes))) => {
                self.records.feed(&bytes);
                Ok(true)
            }
            Ok(Ok(None)) => Ok(false),
            Ok(Err(error)) => {
                Err(self.error(ErrorKind::Disconnected, "the channel of `scp` was lost").with_source(error))
            }
            Err(_) => Err(self.silent()),
        }
    }

    fn silent(&self) -> Error {
        self.error(ErrorKind::Timeout, format!("`scp` said and took nothing for {} s", SILENCE.as_secs()))
    }

    pub(crate) fn unexpected(&self, record: &Record) -> Error {
        let what = match record {
            Record::Ok => "its consent",
            Record::File { .. } => "a file",
            Record::Directory { .. } | Record::Nameless { .. } => "a directory",
            Record::End => "the end of a directory",
            Record::Times { .. } => "times",
            Record::Error { .. } => "an error",
        };
        self.error(ErrorKind::Protocol, format!("`scp` sent {what} where something else was due"))
    }

    fn broken(&self, broken: &Broken) -> Error {
        let kind = match broken {
            Broken::Name(_) => ErrorKind::InvalidName,
            _ => ErrorKind::Protocol,
        };
        self.error(kind, broken.to_string())
    }

    /// What the other side said went wrong, with what it asked for or with this path. scp's own words are in English whatever the
    /// locale, and tell the kind.
    pub(crate) fn told(&self, text: &[u8], path: Option<&[u8]>) -> Error {
        let has =
            |word: &str| text.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()));
        let kind = TEXTS.iter().find(|(word, _)| has(word)).map_or(ErrorKind::Failure, |(_, kind)| *kind);
        let error = Error::new(kind, self.operation, format!("`scp` said {}", Shown::of(text)));
        about(error, path.unwrap_or(&self.path))
    }

    /// It ended before its time; what it left behind.
    async fn ended(&mut self) -> Error {
        let mut said = Vec::new();
        let account = async {
            if let Some(mut stderr) = self.child.take_stderr() {
                while let Ok(Some(bytes)) = stderr.chunk().await {
                    said.extend_from_slice(&bytes[..bytes.len().min(MOST_SAID - said.len().min(MOST_SAID))]);
                }
            }
            self.child.wait().await
        };
        let status = match tokio::time::timeout(LAST_WORDS, account).await {
            Ok(Ok(status)) => format!(" ({status})"),
            Ok(Err(error)) => {
                return self.error(ErrorKind::Disconnected, "`scp` was lost").with_source(error);
            }
            Err(_) => String::new(),
        };
        let words = if said.is_empty() { String::new() } else { format!(", and said {}", Shown::of(&said)) };
        self.error(ErrorKind::Protocol, format!("`scp` ended early{status}{words}"))
    }
}

/// Whether it is said of the times or the permissions of something that is there otherwise. Some say two things of a file,
/// and one of a directory after they have answered for it. No record is refused by these words.
pub(crate) fn is_about_attributes(text: &[u8]) -> bool {
    [&b": set times: "[..], b": set mode: "]
        .iter()
        .any(|words| text.windows(words.len()).any(|window| window == *words))
}

/// Opening is about no path.
fn about(error: Error, path: &[u8]) -> Error {
    if path.is_empty() { error } else { error.at(path) }
}

const TEXTS: [(&str, ErrorKind); 8] = [
    ("no such file", ErrorKind::NotFound),
    ("permission denied", ErrorKind::PermissionDenied),
    ("not a regular file", ErrorKind::InvalidArgument),
    ("is a directory", ErrorKind::IsADirectory),
    ("not a directory", ErrorKind::NotADirectory),
    ("read-only file system", ErrorKind::ReadOnly),
    ("no space left", ErrorKind::NoSpace),
    ("quota exceeded", ErrorKind::NoSpace),
];

/// As long as an SFTP server is waited for.
const SILENCE: Duration = Duration::from_secs(300);

const LAST_WORDS: Duration = Duration::from_secs(1);

const MOST_SAID: usize = 4096;

/// Of what was sent last, times and permissions can still fail.
const MOST_LATE: usize = 64;
