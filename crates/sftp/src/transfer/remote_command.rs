//! What the account's own programs say about a file, where SFTP has no word for it.

use std::time::Duration;

use bytes::Bytes;
use rustle_session::{Session, Shell, quote};

/// The SHA-256 of a file's first `length` bytes by whatever program the server has for it, or why there is none.
///
/// The command may see other files than SFTP does, behind a changed root for example: it says the length of what it
/// sees, and a file that is too short for `length` is taken for another.
pub(crate) async fn sha256(session: &Session, path: &[u8], length: u64) -> Result<[u8; 32], String> {
    let quoted = quote::quote(Shell::Posix, path).map_err(|error| error.to_string())?;
    let mut line = b"f=".to_vec();
    line.extend_from_slice(&quoted);
    line.extend_from_slice(format!("; n={length}; {SCRIPT}").as_bytes());
    let output =
        session.line(line).no_stdin().timeout(time_for(length)).output_limit(MOST_OUTPUT).output().await;
    let output = output.map_err(|error| format!("the command for it could not be run: {error}"))?;
    if output.status.code() == Some(MISSING) {
        return Err(LACKING.into());
    }
    if !output.status.success() {
        return Err(format!("the command for it failed: {}", output.status));
    }
    let mut lines = output.stdout.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let (there, hash) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    seen_in(there, hash, length).map(|seen| seen.sha256)
}

/// A file as commands of the account see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) length: u64,
    /// Of as many of its first bytes as were asked about.
    pub(crate) sha256: [u8; 32],
}

/// As [`sha256`] for each of some files, as many of them as a command line takes with each command.
pub(crate) async fn sha256_of_each(session: &Session, files: &[(Bytes, u64)]) -> Vec<Result<Seen, String>> {
    let mut seen = Vec::with_capacity(files.len());
    while seen.len() < files.len() {
        let (mut line, mut taken, mut total) = (b"set --".to_vec(), Vec::new(), 0u64);
        for (path, length) in &files[seen.len()..] {
            // What cannot be quoted is no path that a shell takes.
            let Ok(quoted) = quote::quote(Shell::Posix, path) else { break };
            if !taken.is_empty() && line.len() + quoted.len() > LONGEST_LINE {
                break;
            }
            line.push(b' ');
            line.extend_from_slice(&quoted);
            line.extend_from_slice(format!(" {length}").as_bytes());
            taken.push(*length);
            total = total.saturating_add(*length);
        }
        if taken.is_empty() {
            seen.push(Err("no shell takes its path".into()));
            continue;
        }
        let command = [CHOICE.as_bytes(), b"; ", &line, b"; ", EACH.as_bytes()].concat();
        let running = session.line(command).no_stdin().timeout(time_for(total)).output_limit(MOST_OUTPUT);
        match running.output().await {
            Err(error) => {
                let why = format!("the command for it could not be run: {error}");
                seen.extend(taken.iter().map(|_| Err(why.clone())));
            }
            Ok(output) if output.status.code() == Some(MISSING) => {
                seen.extend(taken.iter().map(|_| Err(LACKING.into())));
            }
            Ok(output) => {
                let lines: Vec<&[u8]> =
                    output.stdout.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).collect();
                // Something that prints more, a start-up file for one, says nothing that could be relied on.
                let is_whole = output.status.success() && lines.len() == 2 * taken.len() + 1;
                seen.extend(taken.iter().enumerate().map(|(number, length)| {
                    match lines.get(2 * number..2 * number + 2).filter(|_| is_whole) {
                        Some(two) => seen_in(two[0], two[1], *length),
                        None => Err(format!(
                            "the command for it failed, or printed something else: {}",
                            output.status
                        )),
                    }
                }));
            }
        }
    }
    seen
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
fn time_for(length: u64) -> Duration {
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
pub(crate) const SCRIPT: &str = "\
wc -c <\"$f\" || exit 1; \
if command -v sha256sum >/dev/null 2>&1; then h=sha256sum; \
elif command -v shasum >/dev/null 2>&1; then h='shasum -a 256'; \
elif command -v sha256 >/dev/null 2>&1; then h='sha256 -q'; \
elif command -v openssl >/dev/null 2>&1; then h='openssl dgst -sha256'; \
else exit 97; fi; \
head -c \"$n\" <\"$f\" | $h";

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
wc -c 2>/dev/null <\"$f\" || echo -; \
head -c \"$n\" 2>/dev/null <\"$f\" | $h || echo -; done";

/// What is said where the script exits with [`MISSING`].
const LACKING: &str = "the server has neither check-file nor a program for SHA-256";

/// Linux takes 128 KiB in one argument, and others in all.
const LONGEST_LINE: usize = 48 * 1024;

/// What the script exits with where there is no program.
const MISSING: u32 = 97;

/// Bytes a second: a memory card in a small router.
const SLOWEST: u64 = 5_000_000;

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
