//! One line into a keyword and its arguments, with the quoting of `ssh_config(5)`.

/// A line that says something.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// As written, for messages.
    pub(crate) keyword: String,
    /// All after the keyword and its `=`, for the keywords that take the rest of the line.
    pub(crate) rest: &'a [u8],
    pub(crate) args: Vec<Vec<u8>>,
}

/// Takes a line apart; `None` for an empty one or a comment. The error is a sentence.
pub(crate) fn line(text: &[u8]) -> Result<Option<Line<'_>>, &'static str> {
    // A form feed counts as white space at the end only.
    let is_indented = text.first().is_some_and(|b| is_space(*b));
    let text = trim_start(text);
    let end = text.iter().rposition(|b| !is_space(*b) && *b != b'\x0c').map_or(0, |last| last + 1);
    if end == 0 && text.first() == Some(&b'\x0c') {
        return Err("no argument after the keyword, which is a form feed");
    }
    let text = &text[..end];
    if text.is_empty() || text[0] == b'#' {
        return Ok(None);
    }
    if text.contains(&0) {
        return Err("a NUL byte in the line");
    }
    // As ssh: one thing before the keyword says nothing, be it white space, which may have an equals sign behind it, an
    // equals sign alone, or an empty pair of quotes. After a second one, nothing is said by the whole line.
    let (mut word, mut rest) = keyword(if is_indented { past_equals(text) } else { text })?;
    if word.is_empty() && !is_indented {
        (word, rest) = keyword(rest)?;
    }
    if word.is_empty() || word[0] == b'#' {
        return Ok(None);
    }
    let keyword = String::from_utf8_lossy(&word).into_owned();
    if rest.is_empty() {
        return Err("no argument after the keyword");
    }
    Ok(Some(Line { keyword, rest, args: split(rest)? }))
}

/// The keyword ends at white space or at `=`, of which one may stand there, with white space around it. A part of it
/// may be quoted: the keyword ends with the quote then, and an equals sign behind it is of the value.
fn keyword(text: &[u8]) -> Result<(Vec<u8>, &[u8]), &'static str> {
    let end = text.iter().position(|b| is_space(*b) || matches!(b, b'=' | b'"')).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    if let Some(quoted) = rest.strip_prefix(b"\"") {
        let end = quoted.iter().position(|b| *b == b'"').ok_or("a quote of the keyword is not closed")?;
        return Ok(([word, &quoted[..end]].concat(), trim_start(&quoted[end + 1..])));
    }
    Ok((word.to_vec(), past_equals(trim_start(rest))))
}

/// The arguments of a line, as ssh's own: `#` where one could begin ends it.
pub(crate) fn split(text: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    arguments(text, true)
}

/// The words of a command, which has no comments.
pub(crate) fn words(text: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    arguments(text, false)
}

/// Arguments are separated by blanks; quotes of either kind keep blanks in; a backslash escapes a quote, itself
/// and, outside quotes, a space, and stands for itself elsewhere.
fn arguments(text: &[u8], comments: bool) -> Result<Vec<Vec<u8>>, &'static str> {
    let mut args = Vec::new();
    let mut bytes = text.iter().copied().peekable();
    loop {
        while bytes.next_if(|b| matches!(b, b' ' | b'\t')).is_some() {}
        match bytes.peek() {
            None => return Ok(args),
            Some(b'#') if comments => return Ok(args),
            Some(_) => {}
        }
        let mut arg = Vec::new();
        let mut quote = None;
        while let Some(byte) = bytes.next() {
            match (byte, quote) {
                (b'\\', _) => {
                    let escaped = bytes
                        .next_if(|b| matches!(b, b'\'' | b'"' | b'\\') || (quote.is_none() && *b == b' '));
                    arg.push(escaped.unwrap_or(b'\\'));
                }
                (b' ' | b'\t', None) => break,
                (b'"' | b'\'', None) => quote = Some(byte),
                (_, Some(open)) if byte == open => quote = None,
                _ => arg.push(byte),
            }
        }
        if quote.is_some() {
            return Err("a quote is not closed");
        }
        args.push(arg);
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Behind one equals sign and its white space, if there is one.
fn past_equals(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"=").map_or(text, trim_start)
}

fn trim_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|b| !is_space(*b)).unwrap_or(text.len());
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let parsed = line(text.as_bytes()).unwrap().unwrap();
        let args = parsed.args.into_iter().map(|arg| String::from_utf8(arg).unwrap());
        [parsed.keyword].into_iter().chain(args).collect()
    }

    #[test]
    fn keyword_and_arguments_in_each_form() {
        for text in [
            "Port 22",
            "Port=22",
            "Port = 22",
            "  Port\t22  \r\n",
            "\"Port\" 22",
            "Port =22",
            "Port \"22\"",
            "= Port 22",
            " = Port 22",
            "\t=Port 22",
            "\"\" Port 22",
            "Po\"rt\" 22",
            "Po\"rt\"22",
        ] {
            assert_eq!(words(text), ["Port", "22"], "{text:?}");
        }
    }

    #[test]
    fn two_things_before_the_keyword_and_the_line_says_nothing() {
        for text in [
            " \"\" Port 22",
            "\t\"\"Port 22",
            "\r\"\" Port 22",
            " = \"\" Port 22",
            " = = Port 22",
            "= = Port 22",
            "= \"\" Port 22",
            "\"\" = Port 22",
            "\"\" \"\" Port 22",
            " \"\" Port=22",
        ] {
            assert_eq!(line(text.as_bytes()).unwrap(), None, "{text:?}");
        }
    }

    #[test]
    fn quotes_and_backslashes() {
        assert_eq!(words(r#"K "a b" 'c "d' e"f g"h"#), ["K", "a b", "c \"d", "ef gh"]);
        assert_eq!(words(r#"K a\ b \"c\" \\d \e "x\ y""#), ["K", "a b", "\"c\"", r"\d", r"\e", r"x\ y"]);
        assert_eq!(words(r#"K """#), ["K", ""]);
    }

    #[test]
    fn comments_begin_where_an_argument_could() {
        assert_eq!(words("K a # b"), ["K", "a"]);
        assert_eq!(words("K a#b"), ["K", "a#b"]);
        assert_eq!(line(b"  # all of it").unwrap(), None);
        assert_eq!(line(b" \t\r\n").unwrap(), None);
        assert_eq!(line(b"\"#x\" a").unwrap(), None);
        assert_eq!(line(b"= # a").unwrap(), None);
        assert_eq!(super::words(b"a #b").unwrap(), [b"a".to_vec(), b"#b".to_vec()]);
    }

    #[test]
    fn errors_are_said() {
        assert!(line(b"Port").is_err());
        assert!(line(b"Port =").is_err());
        assert!(line(b"\x0c\n").is_err());
        assert_eq!(words("\"Port\"=22"), ["Port", "=22"]);
        assert!(line(b"User \"a").is_err());
        assert!(line(b"User 'a").is_err());
        assert!(line(b"User a\0b").is_err());
        assert!(line(b"\"User a").is_err());
        assert_eq!(words("Us\"er a\" b"), ["User a", "b"]);
        assert!(line(b"Us\"er a").is_err());
    }

    #[test]
    fn the_rest_of_the_line_is_kept_as_written() {
        assert_eq!(line(b"ProxyCommand = ssh -W \"%h\" # x").unwrap().unwrap().rest, b"ssh -W \"%h\" # x");
    }
}
