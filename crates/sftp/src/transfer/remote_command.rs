//! What the account's own programs say about a file, where SFTP has no word for it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustle_session::{Command, Session, Shell, quote};
use tokio::sync::OnceCell;

use crate::commands::{NoShell, probe, sh};
use crate::error::ErrorKind;
use crate::scp::is_bare;

/// The account that SFTP runs for, and who takes its commands apart, once that has been asked. Cheap to clone; clones ask
/// together and once.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    session: Session,
    starter: Arc<OnceCell<Starter>>,
}

/// Who starts commands.
#[derive(Debug)]
enum Starter {
    /// Names with every byte arrive as they are.
    Shell { shell: Shell, hashes: bool },
    /// No shell that is known, for this reason: a name with a byte that means something to one must not get there.
    Unknown(String),
    /// Nobody, for this reason.
    Nobody(String),
}

impl Account {
    pub(crate) fn new(session: Session) -> Self {
        Self { session, starter: Arc::default() }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Asks who starts commands, if nobody has: for who will want to know soon.
    ///
    /// # Cancel safety
    /// Dropped, the next who wants to know asks anew.
    pub(crate) async fn look_up(&self) {
        if let Err(why) = self.starter().await {
            tracing::debug!(why, "it could not be asked what runs commands");
        }
    }

    async fn starter(&self) -> Result<&Starter, String> {
        self.starter.get_or_try_init(|| Box::pin(Starter::found(&self.session))).await
    }

    /// A script with these parameters, for whoever starts commands here; or why none is started.
    async fn command(&self, script: &str, parameters: &[&[u8]]) -> Result<Command, String> {
        let starter = self.starter().await?;
        for word in parameters {
            starter.takes(word)?;
        }
        // Where it is unknown, the text is always the same, and the words are those that every shell takes for themselves.
        let shell = match starter {
            Starter::Shell { shell, .. } => *shell,
            Starter::Unknown(_) | Starter::Nobody(_) => Shell::Posix,
        };
        Ok(sh(&self.session, shell, script, parameters).no_stdin().output_limit(MOST_OUTPUT))
    }

    /// The SHA-256 of a file's first `length` bytes by whatever program the server has for it, or why there is none.
    ///
    /// The command may see other files than SFTP does, behind a changed root for example: it says the length of what it
    /// sees, and a file that is too short for `length` is taken for another.
    pub(crate) async fn sha256(&self, path: &[u8], length: u64) -> Result<[u8; 32], String> {
        let count = length.to_string();
        let script = format!("n=$1;f=$2;echo {MARK};{SCRIPT}");
        let command = self.command(&script, &[count.as_bytes(), path]).await?;
        let output = Box::pin(command.timeout(time_for(length)).output()).await;
        let output = output.map_err(|error| format!("the command for it could not be run: {error}"))?;
        if output.status.code() == Some(MISSING) {
            return Err(LACKING.into());
        }
        if !output.status.success() {
            return Err(format!("the command for it failed: {}", output.status));
        }
        let lines = answer(&output.stdout);
        let line = |number: usize| lines.get(number).copied().unwrap_or_default();
        seen_in(line(0), line(1), length).map(|seen| seen.sha256)
    }

    /// As [`sha256`](Self::sha256) for each of some files, as many of them as a command line takes with each command.
    pub(crate) async fn sha256_of_each(&self, files: &[(Bytes, u64)]) -> Vec<Result<Seen, String>> {
        let starter = match self.starter().await {
            Ok(starter) => starter,
            Err(why) => return files.iter().map(|_| Err(why.clone())).collect(),
        };
        let mut seen: Vec<Result<Seen, String>> = Vec::with_capacity(files.len());
        let mut asked = Vec::new();
        for (number, (path, _)) in files.iter().enumerate() {
            let on_the_line = starter.takes(path);
            // For those that are not asked about that is the answer.
            seen.push(Err(on_the_line.as_ref().err().cloned().unwrap_or_default()));
            asked.extend(on_the_line.ok().map(|length| (number, length)));
        }
        let mut rest = &asked[..];
        while !rest.is_empty() {
            let mut line = 0;
            let taken = rest.iter().take_while(|(_, length)| {
                line += length + LONGEST_NUMBER;
                line <= LONGEST_LINE
            });
            let (now, later) = rest.split_at(taken.count().max(1));
            rest = later;
            let some: Vec<&(Bytes, u64)> = now.iter().map(|(number, _)| &files[*number]).collect();
            for ((number, _), said) in now.iter().zip(self.sha256_of_some(&some).await) {
                seen[*number] = said;
            }
        }
        seen
    }

    /// As [`sha256_of_each`](Self::sha256_of_each), with one command.
    async fn sha256_of_some(&self, files: &[&(Bytes, u64)]) -> Vec<Result<Seen, String>> {
        let all = |why: String| files.iter().map(|_| Err(why.clone())).collect();
        let lengths: Vec<String> = files.iter().map(|(_, length)| length.to_string()).collect();
        let both = files.iter().zip(&lengths).flat_map(|((path, _), length)| [&path[..], length.as_bytes()]);
        let parameters: Vec<&[u8]> = both.collect();
        let total = files.iter().fold(0u64, |total, (_, length)| total.saturating_add(*length));
        let script = format!("{CHOICE};echo {MARK};{EACH}");
        let command = match self.command(&script, &parameters).await {
            Ok(command) => command.timeout(time_for(total)),
            Err(why) => return all(why),
        };
        let output = match Box::pin(command.output()).await {
            Ok(output) => output,
            Err(error) => return all(format!("the command for it could not be run: {error}")),
        };
        if output.status.code() == Some(MISSING) {
            return all(LACKING.into());
        }
        let lines = answer(&output.stdout);
        // One that prints more says nothing that could be relied on.
        if !output.status.success() || lines.len() != 2 * files.len() + 1 {
            return all(format!("the command for it failed, or printed something else: {}", output.status));
        }
        let said = files.iter().zip(lines.chunks_exact(2));
        said.map(|((_, asked), two)| seen_in(two[0], two[1], *asked)).collect()
    }
}

impl Starter {
    async fn found(session: &Session) -> Result<Self, String> {
        match probe(session).await {
            Ok(Ok(answer)) => Ok(Self::Shell { shell: answer.shell, hashes: answer.programs.hashes() }),
            Ok(Err(NoShell(error))) => Ok(Self::Unknown(error.message().to_owned())),
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                Ok(Self::Nobody(error.message().to_owned()))
            }
            // A channel that was not to be had may be another time.
            Err(error) => Err(format!("the command for it could not be run: {error}")),
        }
    }

    /// How many bytes the path takes on a command line; or why it must not get there.
    fn takes(&self, path: &[u8]) -> Result<usize, String> {
        match self {
            Self::Shell { hashes: false, .. } => Err(LACKING.into()),
            Self::Shell { shell, .. } => {
                quote::quote(*shell, path).map(|quoted| quoted.len()).map_err(|error| error.to_string())
            }
            Self::Unknown(_) if is_harmless(path) => Ok(path.len()),
            Self::Unknown(why) | Self::Nobody(why) => Err(why.clone()),
        }
    }
}

/// A file as commands of the account see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) length: u64,
    /// Of as many of its first bytes as were asked about.
    pub(crate) sha256: [u8; 32],
}

/// Whether a word means itself to everything that takes command lines apart: `%` begins a variable for `cmd.exe`.
fn is_harmless(word: &[u8]) -> bool {
    is_bare(word) && !word.contains(&b'%')
}

/// The lines behind the mark: a start-up file may print before it.
fn answer(stdout: &[u8]) -> Vec<&[u8]> {
    let mark = [MARK.as_bytes(), b"\n"].concat();
    let at = stdout.windows(mark.len()).position(|window| window == mark);
    let Some(at) = at else { return Vec::new() };
    stdout[at + mark.len()..].split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).collect()
}

fn seen_in(length: &[u8], hash: &[u8], asked: u64) -> Result<Seen, String> {
    let there: Option<u64> = str::from_utf8(length).ok().and_then(|length| length.parse().ok());
    match (there.filter(|there| *there >= asked), hash_in(hash)) {
        (None, _) => Err("commands of the account see another file than SFTP does".into()),
        (_, None) => Err("the command for it printed no SHA-256".into()),
        (Some(length), Some(sha256)) => Ok(Seen { length, sha256 }),
    }
}

/// A minute, and as long as a slow disk takes for it: some servers run a menu in place of the command.
pub(crate) fn time_for(length: u64) -> Duration {
    Duration::from_secs(60 + length / SLOWEST)
}

/// The first word of 64 hexadecimal digits: the programs put it first or last, some behind a backslash.
pub(crate) fn hash_in(line: &[u8]) -> Option<[u8; 32]> {
    let words = line.split(|byte| byte.is_ascii_whitespace() || *byte == b'\\');
    let digits = words.into_iter().find(|word| word.len() == 64 && word.iter().all(u8::is_ascii_hexdigit))?;
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// The length of what the command sees, then its hash: by coreutils, Perl's shasum (macOS), the BSDs' sha256, or OpenSSL.
/// Not every `head` has `-c` (POSIX has none): where one has not, there is no hash of a beginning.
pub(crate) const SCRIPT: &str = "\
l=$(wc -c <\"$f\") || exit 1; echo $l; \
if command -v sha256sum >/dev/null 2>&1; then h=sha256sum; \
elif command -v shasum >/dev/null 2>&1; then h='shasum -a 256'; \
elif command -v sha256 >/dev/null 2>&1; then h='sha256 -q'; \
elif command -v openssl >/dev/null 2>&1; then h='openssl dgst -sha256'; \
else exit 97; fi; \
if [ $l -eq \"$n\" ]; then $h <\"$f\"; \
elif [ \"$(printf ab | head -c 1 2>/dev/null)\" = a ]; then head -c \"$n\" <\"$f\" | $h; \
else exit 97; fi";

/// Chooses a program as [`SCRIPT`] does.
const CHOICE: &str = "\
if command -v sha256sum >/dev/null 2>&1; then h=sha256sum; \
elif command -v shasum >/dev/null 2>&1; then h='shasum -a 256'; \
elif command -v sha256 >/dev/null 2>&1; then h='sha256 -q'; \
elif command -v openssl >/dev/null 2>&1; then h='openssl dgst -sha256'; \
else exit 97; fi";

/// Two lines for each file, whatever is there: of one that cannot be read, the first is no number.
const EACH: &str = "\
while [ $# -gt 1 ]; do f=$1; n=$2; shift 2; \
l=$(wc -c 2>/dev/null <\"$f\") || l=-; echo $l; \
if [ $l -eq \"$n\" ] 2>/dev/null; then $h 2>/dev/null <\"$f\" || echo -; \
elif [ \"$(printf ab | head -c 1 2>/dev/null)\" = a ]; then head -c \"$n\" 2>/dev/null <\"$f\" | $h || echo -; \
else echo -; fi; done";

/// What is said where the script exits with [`MISSING`].
const LACKING: &str = "the server has neither check-file nor a program for SHA-256";

/// A length with the space before it and behind it.
const LONGEST_NUMBER: usize = 22;

/// Linux takes 128 KiB in one argument, and others in all.
const LONGEST_LINE: usize = 48 * 1024;

/// What the script exits with where there is no program.
const MISSING: u32 = 97;

/// Bytes a second: a memory card in a small router.
const SLOWEST: u64 = 5_000_000;

/// What stands before it is of a start-up file.
const MARK: &str = "rustle-sha256:";

const MOST_OUTPUT: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_program_s_way_of_printing_a_hash_is_understood() {
        let digits = "ab".repeat(32);
        for line in
            [format!("{digits}  -"), format!("\\{digits}  -"), format!("SHA2-256(stdin)= {digits}"), digits]
        {
            assert_eq!(hash_in(line.as_bytes()), Some([0xab; 32]), "{line}");
        }
        assert_eq!(hash_in(b"sh: sha256sum: not found"), None);
    }
}
