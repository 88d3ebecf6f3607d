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
        return Err("the server has neither check-file nor a program for SHA-256".into());
    }
    if !output.status.success() {
        return Err(format!("the command for it failed: {}", output.status));
    }
    let mut lines = output.stdout.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let there: Option<u64> = lines.next().and_then(|line| std::str::from_utf8(line).ok()?.parse().ok());
    if there.is_none_or(|there| there < length) {
        return Err("commands of the account see another file than SFTP does".into());
    }
    lines.next().and_then(hash_in).ok_or_else(|| "the command for it printed no SHA-256".into())
}

/// The SHA-256 of each of some files, as many of them as a command line takes with each command; `None` for one that the
/// account sees otherwise than SFTP does, or not at all, and for all where there is no program for it.
pub(crate) async fn sha256_of_each(session: &Session, files: &[(Bytes, u64)]) -> Vec<Option<[u8; 32]>> {
    let mut hashes = Vec::with_capacity(files.len());
    while hashes.len() < files.len() {
        let (mut line, mut taken, mut total) = (b"for f in".to_vec(), Vec::new(), 0u64);
        for (path, length) in &files[hashes.len()..] {
            // What cannot be quoted is no path that a shell takes.
            let Ok(quoted) = quote::quote(Shell::Posix, path) else { break };
            if !taken.is_empty() && line.len() + quoted.len() > LONGEST_LINE {
                break;
            }
            line.push(b' ');
            line.extend_from_slice(&quoted);
            taken.push(*length);
            total = total.saturating_add(*length);
        }
        if taken.is_empty() {
            hashes.push(None);
            continue;
        }
        line.extend_from_slice(format!("; do {EACH}; done").as_bytes());
        let command = [CHOICE.as_bytes(), b"; ", &line].concat();
        let running = session.line(command).no_stdin().timeout(time_for(total)).output_limit(MOST_OUTPUT);
        let said = running.output().await.ok().filter(|output| output.status.success());
        let lines: Vec<&[u8]> = match &said {
            Some(output) => output.stdout.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).collect(),
            None => Vec::new(),
        };
        // Something that prints more, a start-up file for one, says nothing that could be relied on.
        let is_whole = lines.len() == 2 * taken.len() + 1;
        hashes.extend(taken.iter().enumerate().map(|(number, length)| {
            let two = lines.get(2 * number..2 * number + 2).filter(|_| is_whole)?;
            let there: u64 = str::from_utf8(two[0]).ok()?.parse().ok()?;
            (there == *length).then(|| hash_in(two[1]))?
        }));
    }
    hashes
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

/// Two lines for each file, whatever is there.
const EACH: &str = "wc -c 2>/dev/null <\"$f\" || echo -; $h 2>/dev/null <\"$f\" || echo -";

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
