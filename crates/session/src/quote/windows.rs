//! Quoting for the shells of Windows. Both read Unicode text, and neither carries everything: what does not
//! arrive the same under every version and setting is refused.

use std::str;

use crate::quote::{QuoteError, Shell};

/// Appends `arg` for cmd.exe and for the program behind it.
///
/// Two readers, two layers. The program splits its command line by `CommandLineToArgvW`: a quoted word, with
/// `\"` for a quote and the backslashes before a quote doubled. Before that cmd.exe reads the line; it must
/// never take one of those quotes as its own, since it counts them differently, so each of its characters gets
/// a caret and cmd.exe sees no quote at all.
pub(super) fn cmd(arg: &[u8], line: &mut Vec<u8>) -> Result<(), QuoteError> {
    let arg = cmd_text(arg)?;
    if !arg.is_empty() && arg.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./+\\:".contains(&b)) {
        line.extend_from_slice(arg.as_bytes());
        return Ok(());
    }
    line.extend_from_slice(b"^\"");
    let mut backslashes = 0;
    for c in arg.bytes() {
        if c == b'"' {
            // Double the backslashes already written, and one more for the quote itself.
            line.extend(std::iter::repeat_n(b'\\', backslashes + 1));
        }
        backslashes = if c == b'\\' { backslashes + 1 } else { 0 };
        if b"()!^\"<>&|".contains(&c) {
            line.push(b'^');
        }
        line.push(c);
    }
    line.extend(std::iter::repeat_n(b'\\', backslashes));
    line.extend_from_slice(b"^\"");
    Ok(())
}

/// Appends the program's name, which cmd.exe itself looks up: here the quotes must be its own.
pub(super) fn cmd_program(program: &[u8], line: &mut Vec<u8>) -> Result<(), QuoteError> {
    let program = cmd_text(program)?;
    refuse_quote(program, "no file name on Windows has one")?;
    if !program.is_empty() && program.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.\\:".contains(&b)) {
        line.extend_from_slice(program.as_bytes());
        return Ok(());
    }
    // A line that begins with a quote loses its first and last one to `cmd /c`; the `@` (do not echo) in front
    // keeps that rule from applying.
    line.extend_from_slice(b"@\"");
    line.extend_from_slice(program.as_bytes());
    line.push(b'"');
    Ok(())
}

pub(super) fn cmd_set(name: &str, value: &[u8], line: &mut Vec<u8>) -> Result<(), QuoteError> {
    let value = cmd_text(value)?;
    refuse_quote(value, "`set` ends the value at it")?;
    if value.is_empty() {
        return Err(unsupported(
            Shell::Cmd,
            "an empty variable",
            "setting one to nothing removes it from the environment",
            0,
        ));
    }
    line.extend_from_slice(format!("set \"{name}={value}\"& ").as_bytes());
    Ok(())
}

pub(super) fn cmd_cd(dir: &[u8], line: &mut Vec<u8>) -> Result<(), QuoteError> {
    let dir = cmd_text(dir)?;
    refuse_quote(dir, "no file name on Windows has one")?;
    // `&` binds weaker than `||`, so all that follows runs only where this has not ended the shell.
    line.extend_from_slice(format!("cd /d \"{dir}\"|| exit 1& ").as_bytes());
    Ok(())
}

/// Appends `arg` as a PowerShell string that a program also receives unchanged.
///
/// As a string nearly everything fits between single quotes. Handing it to a program is where versions differ:
/// up to 7.2, and in 7.3 and later with `$PSNativeCommandArgumentPassing = 'Legacy'`, PowerShell leaves
/// embedded double quotes unescaped, drops empty arguments, and (5.1) lets a closing backslash eat the quote
/// it adds around a word with blanks. The text that would survive one version is damaged by the other.
pub(super) fn powershell(arg: &[u8], line: &mut Vec<u8>) -> Result<(), QuoteError> {
    let text = utf8(Shell::PowerShell, arg)?;
    if let Some(offset) = text.find('"') {
        return Err(unsupported(
            Shell::PowerShell,
            "a double quote",
            "its versions before and after 7.3 hand one to programs differently",
            offset,
        ));
    }
    if text.is_empty() {
        return Err(unsupported(
            Shell::PowerShell,
            "an empty argument",
            "its versions before 7.3 drop it",
            0,
        ));
    }
    if text.ends_with('\\') && text.contains(char::is_whitespace) {
        return Err(unsupported(
            Shell::PowerShell,
            "a backslash at the end of an argument with blanks",
            "Windows PowerShell takes it together with the quote it adds",
            text.len() - 1,
        ));
    }
    powershell_string(text, line);
    Ok(())
}

/// The call operator runs what a string names, which a string alone would only print.
pub(super) fn powershell_program(program: &[u8], line: &mut Vec<u8>) -> Result<(), QuoteError> {
    line.extend_from_slice(b"& ");
    powershell_string(utf8(Shell::PowerShell, program)?, line);
    Ok(())
}

pub(super) fn powershell_setenv(name: &str, value: &[u8], line: &mut Vec<u8>) -> Result<(), QuoteError> {
    let value = utf8(Shell::PowerShell, value)?;
    if value.is_empty() {
        return Err(unsupported(
            Shell::PowerShell,
            "an empty variable",
            "its versions before 7.5 remove a variable that is set to nothing",
            0,
        ));
    }
    line.extend_from_slice(format!("$env:{name}=").as_bytes());
    powershell_string(value, line);
    line.extend_from_slice(b"; ");
    Ok(())
}

pub(super) fn powershell_cd(dir: &[u8], line: &mut Vec<u8>) -> Result<(), QuoteError> {
    let dir = utf8(Shell::PowerShell, dir)?;
    line.extend_from_slice(b"Set-Location -ErrorAction Stop -LiteralPath ");
    powershell_string(dir, line);
    line.extend_from_slice(b"; ");
    Ok(())
}

/// A single-quoted PowerShell string. The typographic single quotes end one just as `'` does, so all are doubled.
fn powershell_string(text: &str, line: &mut Vec<u8>) {
    let mut buffer = [0; 4];
    line.push(b'\'');
    for c in text.chars() {
        let bytes = c.encode_utf8(&mut buffer).as_bytes();
        line.extend_from_slice(bytes);
        if matches!(c, '\'' | '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}') {
            line.extend_from_slice(bytes);
        }
    }
    line.push(b'\'');
}

/// Checks what no place on a cmd.exe line can hold.
fn cmd_text(text: &[u8]) -> Result<&str, QuoteError> {
    let text = utf8(Shell::Cmd, text)?;
    for (offset, c) in text.char_indices() {
        if c == '%' {
            return Err(unsupported(
                Shell::Cmd,
                "a percent sign",
                "variables are expanded before any quoting is looked at, and a command line has no escape for it",
                offset,
            ));
        }
        if c != '\t' && c.is_control() {
            return Err(unsupported(
                Shell::Cmd,
                "a control character",
                "it ends the line or is not known to arrive",
                offset,
            ));
        }
    }
    Ok(text)
}

fn refuse_quote(text: &str, reason: &'static str) -> Result<(), QuoteError> {
    match text.find('"') {
        Some(offset) => Err(unsupported(Shell::Cmd, "a double quote here", reason, offset)),
        None => Ok(()),
    }
}

fn utf8(shell: Shell, text: &[u8]) -> Result<&str, QuoteError> {
    str::from_utf8(text).map_err(|error| QuoteError::NotUtf8 { shell, offset: error.valid_up_to() })
}

fn unsupported(shell: Shell, what: &'static str, reason: &'static str, offset: usize) -> QuoteError {
    QuoteError::Unsupported { shell, what, reason, offset }
}

#[cfg(test)]
mod tests {
    use crate::quote::{QuoteError, Shell, cd_prefix, env_prefix, join, quote};

    fn quoted(shell: Shell, arg: &str) -> String {
        text(quote(shell, arg.as_bytes()))
    }

    fn text(line: Result<Vec<u8>, QuoteError>) -> String {
        String::from_utf8(line.unwrap()).unwrap()
    }

    fn refused(shell: Shell, arg: &[u8]) -> (&'static str, usize) {
        match quote(shell, arg).unwrap_err() {
            QuoteError::Unsupported { what, offset, .. } => (what, offset),
            other => panic!("{other:?}"),
        }
    }

    /// What cmd.exe does to a line without `%` that is all outside its quotes: a caret makes the next
    /// character ordinary and goes away.
    fn after_carets(line: &str) -> String {
        let mut chars = line.chars();
        let mut out = String::new();
        while let Some(c) = chars.next() {
            match c {
                '^' => out.extend(chars.next()),
                c => {
                    assert!(!"\"<>&|()".contains(c), "{c:?} reaches cmd.exe bare in {line}");
                    out.push(c);
                }
            }
        }
        out
    }

    /// The argument rules of `CommandLineToArgvW` for words after the program's name.
    fn split(line: &str) -> Vec<String> {
        let (mut words, mut word, mut started, mut quoted) = (vec![], String::new(), false, false);
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' => {
                    let mut count = 1;
                    while chars.next_if_eq(&'\\').is_some() {
                        count += 1;
                    }
                    started = true;
                    if chars.peek() == Some(&'"') {
                        word.extend(std::iter::repeat_n('\\', count / 2));
                        if count % 2 == 1 {
                            word.extend(chars.next());
                        }
                    } else {
                        word.extend(std::iter::repeat_n('\\', count));
                    }
                }
                '"' => (quoted, started) = (!quoted, true),
                ' ' | '\t' if !quoted => {
                    if started {
                        words.push(std::mem::take(&mut word));
                    }
                    started = false;
                }
                c => {
                    word.push(c);
                    started = true;
                }
            }
        }
        if started {
            words.push(word);
        }
        words
    }

    #[test]
    fn cmd_text() {
        assert_eq!(quoted(Shell::Cmd, r"C:\dir\file.txt"), r"C:\dir\file.txt");
        assert_eq!(quoted(Shell::Cmd, ""), r#"^"^""#);
        assert_eq!(quoted(Shell::Cmd, "a & b"), r#"^"a ^& b^""#);
        assert_eq!(quoted(Shell::Cmd, r#"a\"b"#), r#"^"a\\\^"b^""#);
        assert_eq!(quoted(Shell::Cmd, r"a b\"), r#"^"a b\\^""#);
        assert_eq!(quoted(Shell::Cmd, "100!"), r#"^"100^!^""#);
    }

    #[test]
    fn cmd_arguments_survive_both_readers() {
        // Every string of up to five of the characters that matter to either reader.
        let alphabet = ['a', ' ', '"', '\\', '^', '&', '!', '\t', ')'];
        let mut strings = vec![String::new()];
        for _ in 0..5 {
            let longer: Vec<String> =
                strings.iter().flat_map(|s| alphabet.iter().map(move |c| format!("{s}{c}"))).collect();
            strings = longer;
            for arg in &strings {
                let line = format!("{} end", quoted(Shell::Cmd, arg));
                assert_eq!(split(&after_carets(&line)), [arg.as_str(), "end"], "{line}");
            }
        }
    }

    #[test]
    fn cmd_refuses_what_it_would_damage() {
        assert_eq!(refused(Shell::Cmd, b"50%"), ("a percent sign", 2));
        assert_eq!(refused(Shell::Cmd, b"a\nb"), ("a control character", 1));
        assert_eq!(refused(Shell::Cmd, b"a\rb"), ("a control character", 1));
        let bytes = quote(Shell::Cmd, b"ab\xff");
        assert_eq!(bytes, Err(QuoteError::NotUtf8 { shell: Shell::Cmd, offset: 2 }));
        assert!(join(Shell::Cmd, &["a\"b"]).is_err());
        assert!(env_prefix(Shell::Cmd, &[("A", "")]).is_err());
    }

    #[test]
    fn cmd_lines() {
        assert_eq!(text(join(Shell::Cmd, &["ping", "-n", "1"])), "ping -n 1");
        assert_eq!(
            text(join(Shell::Cmd, &[r"C:\Program Files\x.exe", "a b"])),
            r#"@"C:\Program Files\x.exe" ^"a b^""#
        );
        assert_eq!(text(cd_prefix(Shell::Cmd, br"D:\my dir")), r#"cd /d "D:\my dir"|| exit 1& "#);
        assert_eq!(text(env_prefix(Shell::Cmd, &[("A", "x & y")])), r#"set "A=x & y"& "#);
    }

    #[test]
    fn powershell_text() {
        assert_eq!(quoted(Shell::PowerShell, "ls"), "'ls'");
        assert_eq!(quoted(Shell::PowerShell, "it's $x `n"), "'it''s $x `n'");
        assert_eq!(quoted(Shell::PowerShell, "‘a’‚b‛"), "'‘‘a’’‚‚b‛‛'");
        assert_eq!(quoted(Shell::PowerShell, "“typographic”"), "'“typographic”'");
        assert_eq!(quoted(Shell::PowerShell, "a\nb"), "'a\nb'");
        assert_eq!(text(join(Shell::PowerShell, &["git", "log"])), "& 'git' 'log'");
    }

    #[test]
    fn powershell_refuses_what_its_versions_disagree_on() {
        assert_eq!(refused(Shell::PowerShell, b"a\"b"), ("a double quote", 1));
        assert_eq!(refused(Shell::PowerShell, b""), ("an empty argument", 0));
        assert_eq!(refused(Shell::PowerShell, b"a b\\").1, 3);
        assert!(quote(Shell::PowerShell, b"C:\\dir\\").is_ok());
        let bytes = quote(Shell::PowerShell, b"\xc3");
        assert_eq!(bytes, Err(QuoteError::NotUtf8 { shell: Shell::PowerShell, offset: 0 }));
    }

    #[test]
    fn powershell_values_and_paths_are_strings_and_carry_quotes() {
        assert_eq!(text(env_prefix(Shell::PowerShell, &[("A", "a\"'b")])), "$env:A='a\"''b'; ");
        assert_eq!(
            text(cd_prefix(Shell::PowerShell, "C:\\it’s".as_bytes())),
            "Set-Location -ErrorAction Stop -LiteralPath 'C:\\it’’s'; "
        );
    }
}
