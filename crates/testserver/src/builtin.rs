//! Commands that run inside the server, so that a test needs no shell and passes on every platform.

use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::{call::Call, exit::Exit};

/// The commands this file knows, with what each takes.
pub(crate) const NAMES: [&str; 14] = [
    "true",
    "false",
    "exit",
    "echo",
    "cat",
    "sleep",
    "yes",
    "sha256sum",
    "wc",
    "bytes",
    "stderr",
    "env",
    "pwd",
    "stall",
];

/// How much `yes` and `bytes` send at a time: a few packets.
const PIECE: usize = 128 * 1024;

/// Splits a command line as a POSIX shell would split plain words; `None` if it asks for more than that.
pub(crate) fn parse(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' => words.extend(word.take()),
            // A second line is a second command.
            b'\n' if bytes.clone().any(|byte| !byte.is_ascii_whitespace()) => return None,
            b'\n' => words.extend(word.take()),
            b'\'' => loop {
                let word = word.get_or_insert_default();
                match bytes.next()? {
                    b'\'' => break,
                    other => word.push(other),
                }
            },
            b'"' => loop {
                let word = word.get_or_insert_default();
                match bytes.next()? {
                    b'"' => break,
                    b'$' | b'`' => return None,
                    b'\\' => match bytes.next()? {
                        escaped @ (b'"' | b'\\' | b'$' | b'`') => word.push(escaped),
                        other => word.extend([b'\\', other]),
                    },
                    other => word.push(other),
                }
            },
            b'\\' => word.get_or_insert_default().push(bytes.next()?),
            b'|' | b'&' | b';' | b'<' | b'>' | b'(' | b')' | b'$' | b'`' | b'*' | b'?' | b'[' | b'#'
            | b'~' => {
                return None;
            }
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word.take());
    let known =
        words.first().is_some_and(|name| NAMES.iter().any(|known| known.as_bytes() == name.as_slice()));
    known.then_some(words)
}

/// Runs a command that [`parse`] has accepted.
pub(crate) async fn run(words: Vec<Vec<u8>>, mut call: Call) -> Exit {
    let args: Vec<String> = words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    let name = args.first().map(String::as_str).unwrap_or_default();
    let result = match (name, &args[1..]) {
        ("true", _) => Ok(Exit::SUCCESS),
        ("false", _) => Ok(Exit::Code(1)),
        ("exit", [code]) => Ok(code.parse().map_or(Exit::Code(2), Exit::Code)),
        ("echo", _) => echo(&words[1..], &mut call).await,
        ("cat", []) => cat(&mut call).await,
        ("sleep", [seconds]) => sleep(seconds, &mut call).await,
        ("yes", _) => yes(&words[1..], &mut call).await,
        ("sha256sum", []) => sha256sum(&mut call).await,
        ("wc", [flag]) if flag == "-c" => count(&mut call).await,
        ("bytes", [count]) => pattern(count, &mut call).await,
        ("stderr", _) => stderr(&words[1..], &mut call).await,
        ("env", []) => env(&mut call).await,
        ("pwd", []) => call.stdout.send("/\n").await.map(|()| Exit::SUCCESS),
        ("stall", []) => std::future::pending().await,
        _ => call
            .stderr
            .send(format!("{name}: these arguments are not built in: {:?}\n", &args[1..]))
            .await
            .map(|()| Exit::Code(2)),
    };
    // An output that cannot be written means that nobody is there to hear how it ended.
    result.unwrap_or(Exit::Silent)
}

type Result = std::io::Result<Exit>;

fn join(words: &[Vec<u8>]) -> Vec<u8> {
    let mut line = words.join(&b' ');
    line.push(b'\n');
    line
}

async fn echo(words: &[Vec<u8>], call: &mut Call) -> Result {
    let line = match words {
        [flag, rest @ ..] if flag == b"-n" => {
            let mut line = join(rest);
            line.pop();
            line
        }
        _ => join(words),
    };
    call.stdout.send(line).await?;
    Ok(Exit::SUCCESS)
}

async fn stderr(words: &[Vec<u8>], call: &mut Call) -> Result {
    call.stderr.send(join(words)).await?;
    Ok(Exit::SUCCESS)
}

async fn cat(call: &mut Call) -> Result {
    let (stdin, stdout, _, signals) = call.streams();
    loop {
        tokio::select! {
            biased;
            chunk = stdin.chunk() => match chunk {
                Some(chunk) => stdout.send(chunk).await?,
                None => return Ok(Exit::SUCCESS),
            },
            signal = signals.next() => return Ok(Exit::signal(signal)),
        }
    }
}

async fn sleep(seconds: &str, call: &mut Call) -> Result {
    let Some(time) = seconds.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    else {
        call.stderr.send(format!("sleep: {seconds:?} is no number of seconds\n")).await?;
        return Ok(Exit::Code(1));
    };
    tokio::select! {
        biased;
        () = tokio::time::sleep(time) => Ok(Exit::SUCCESS),
        signal = call.signal() => Ok(Exit::signal(signal)),
    }
}

async fn yes(words: &[Vec<u8>], call: &mut Call) -> Result {
    let line = if words.is_empty() { b"y\n".to_vec() } else { join(words) };
    let piece = Bytes::from(line.repeat((PIECE / line.len()).max(1)));
    let (_, stdout, _, signals) = call.streams();
    loop {
        tokio::select! {
            // Before more of what may never have to wait.
            biased;
            signal = signals.next() => return Ok(Exit::signal(signal)),
            sent = stdout.send(piece.clone()) => sent?,
        }
    }
}

async fn sha256sum(call: &mut Call) -> Result {
    let mut hash = Sha256::new();
    while let Some(chunk) = call.stdin.chunk().await {
        hash.update(&chunk);
    }
    let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    call.stdout.send(format!("{digest}  -\n")).await?;
    Ok(Exit::SUCCESS)
}

async fn count(call: &mut Call) -> Result {
    let mut count = 0;
    while let Some(chunk) = call.stdin.chunk().await {
        count += chunk.len() as u64;
    }
    call.stdout.send(format!("{count}\n")).await?;
    Ok(Exit::SUCCESS)
}

/// `bytes N`: N bytes, each the low byte of its position divided by 251 and so on: see [`pattern_piece`].
async fn pattern(count: &str, call: &mut Call) -> Result {
    let Ok(mut left) = count.parse::<u64>() else {
        call.stderr.send(format!("bytes: {count:?} is no number of bytes\n")).await?;
        return Ok(Exit::Code(1));
    };
    let piece = pattern_piece();
    while left > 0 {
        let take = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
        call.stdout.send(piece.slice(..take)).await?;
        left -= take as u64;
    }
    Ok(Exit::SUCCESS)
}

/// What `bytes` repeats: 0 to 250 over and over, so that no power of two of it repeats.
fn pattern_piece() -> Bytes {
    (0..=250u8).cycle().take(251 * (PIECE / 251)).collect()
}

async fn env(call: &mut Call) -> Result {
    let text: String = call.env().iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    call.stdout.send(text).await?;
    Ok(Exit::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Option<Vec<String>> {
        parse(line.as_bytes())
            .map(|words| words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect())
    }

    #[test]
    fn quoted_words_are_split_as_a_shell_splits_them() {
        assert_eq!(words(r#"echo 'a b' "c \"d\"" e\ f"#).unwrap(), ["echo", "a b", "c \"d\"", "e f"]);
        assert_eq!(words("echo ''").unwrap(), ["echo", ""]);
        assert_eq!(words(r"'echo' 'it'\''s'").unwrap(), ["echo", "it's"]);
    }

    #[test]
    fn shell_syntax_is_left_to_a_shell() {
        for line in ["cat | wc -c", "echo $HOME", "echo `id`", "true; false", "echo 'open", "uname", ""] {
            assert_eq!(words(line), None, "{line}");
        }
    }
}
