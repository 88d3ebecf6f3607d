//! Quoting for the shells of Unix: the POSIX family, csh and fish. All three carry every byte but NUL.

use crate::quote::Shell;

/// Words that are grammar rather than text to at least one of these shells when they stand unquoted in the
/// place of a command (POSIX 2.4, and the additions of bash, ksh, zsh and csh).
const KEYWORDS: &[&str] = &[
    "breaksw",
    "case",
    "coproc",
    "declare",
    "default",
    "do",
    "done",
    "elif",
    "else",
    "end",
    "endif",
    "endsw",
    "esac",
    "export",
    "fi",
    "float",
    "for",
    "foreach",
    "function",
    "if",
    "in",
    "integer",
    "local",
    "nocorrect",
    "readonly",
    "repeat",
    "select",
    "switch",
    "then",
    "time",
    "typeset",
    "until",
    "while",
];

/// fish's keywords. It honours them quoted too, so a program of that name needs `command` before it.
const FISH_KEYWORDS: &[&str] = &[
    "!", "and", "begin", "builtin", "case", "command", "else", "end", "exec", "for", "function", "if", "in",
    "not", "or", "switch", "time", "while", "{", "}",
];

/// Ends the line where the statement before it failed. In `csh -c` the rest of the line runs on after `exit`,
/// and nothing does after `exec`.
const CSH_OR_END: &[u8] = b" || exec false; ";

/// Appends `arg` for a POSIX shell: single quotes take everything but themselves.
pub(super) fn posix(arg: &[u8], line: &mut Vec<u8>) {
    if is_bare(arg) {
        line.extend_from_slice(arg);
        return;
    }
    in_pieces(arg, line, |byte| match byte {
        b'\'' => Some(br"\'"),
        _ => None,
    });
}

/// Appends `arg` for csh and tcsh.
///
/// History substitution happens inside single quotes as well, also in `csh -c`, so `!` goes outside of them
/// behind a backslash; a newline must have a backslash before it inside the quotes. A backslash is literal
/// there, except with tcsh's `backslash_quote` set: outside the quotes, doubled, it means one in every mode.
pub(super) fn csh(arg: &[u8], line: &mut Vec<u8>) {
    if is_bare(arg) {
        line.extend_from_slice(arg);
        return;
    }
    in_pieces(arg, line, |byte| match byte {
        b'\'' => Some(br"\'"),
        b'!' => Some(br"\!"),
        b'\\' => Some(br"\\"),
        b'\n' => Some(b"'\\\n'"),
        _ => None,
    });
}

/// Appends `arg` for fish, where a backslash inside single quotes escapes itself and the quote.
pub(super) fn fish(arg: &[u8], line: &mut Vec<u8>) {
    if is_bare(arg) {
        line.extend_from_slice(arg);
        return;
    }
    line.push(b'\'');
    for &byte in arg {
        if matches!(byte, b'\'' | b'\\') {
            line.push(b'\\');
        }
        line.push(byte);
    }
    line.push(b'\'');
}

pub(super) fn fish_program(program: &[u8], line: &mut Vec<u8>) {
    if FISH_KEYWORDS.iter().any(|word| word.as_bytes() == program) {
        line.extend_from_slice(b"command ");
    }
    fish(program, line);
}

pub(super) fn csh_setenv(name: &str, value: &[u8], line: &mut Vec<u8>) {
    line.extend_from_slice(b"setenv ");
    line.extend_from_slice(name.as_bytes());
    line.push(b' ');
    csh(value, line);
    line.extend_from_slice(CSH_OR_END);
}

pub(super) fn fish_setenv(name: &str, value: &[u8], line: &mut Vec<u8>) {
    line.extend_from_slice(b"set -gx ");
    line.extend_from_slice(name.as_bytes());
    line.push(b' ');
    fish(value, line);
    // `or` rather than `||`, which fish knows only since 3.0.
    line.extend_from_slice(b"; or exit 1; ");
}

/// Appends the change of directory. `dir` is not empty.
pub(super) fn cd(shell: Shell, dir: &[u8], line: &mut Vec<u8>) {
    // `./` keeps `-` from being the previous directory, `+1` from being zsh's directory stack, a leading `-`
    // from being an option where `--` is not understood (csh, fish 2), and CDPATH from sending us elsewhere.
    let literal = if dir.starts_with(b"/") { dir.to_vec() } else { [b"./", dir].concat() };
    match shell {
        Shell::Csh => {
            line.extend_from_slice(b"cd ");
            csh(&literal, line);
            line.extend_from_slice(CSH_OR_END);
        }
        Shell::Fish => {
            line.extend_from_slice(b"cd ");
            fish(&literal, line);
            line.extend_from_slice(b"; or exit 1; ");
        }
        _ => {
            // A list with `&&` would guard only its own part of a line with `;` in it.
            line.extend_from_slice(b"cd -- ");
            posix(&literal, line);
            line.extend_from_slice(b" || exit; ");
        }
    }
}

/// Whether the word means itself in all of these shells. `=`, `%`, `@`, `^`, `~` and `:` are missing on
/// purpose: each is special to one of them in some place.
fn is_bare(arg: &[u8]) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_-./+,".contains(b);
    !arg.is_empty() && arg.iter().all(plain) && !KEYWORDS.iter().any(|word| word.as_bytes() == arg)
}

/// Single-quotes the runs of ordinary bytes and puts the replacement of each special one between them. No
/// empty `''` is left next to another quote: with zsh's RC_QUOTES, two in a row would mean a literal one.
fn in_pieces(arg: &[u8], line: &mut Vec<u8>, special: impl Fn(u8) -> Option<&'static [u8]>) {
    if arg.is_empty() {
        line.extend_from_slice(b"''");
        return;
    }
    let mut quoted = false;
    for &byte in arg {
        match special(byte) {
            Some(text) => {
                if quoted {
                    line.push(b'\'');
                }
                quoted = false;
                line.extend_from_slice(text);
            }
            None => {
                if !quoted {
                    line.push(b'\'');
                }
                quoted = true;
                line.push(byte);
            }
        }
    }
    if quoted {
        line.push(b'\'');
    }
}

#[cfg(test)]
mod tests {
    use crate::quote::{Shell, cd_prefix, env_prefix, join, quote};

    fn quoted(shell: Shell, arg: &str) -> String {
        String::from_utf8(quote(shell, arg.as_bytes()).unwrap()).unwrap()
    }

    fn text(line: Result<Vec<u8>, crate::quote::QuoteError>) -> String {
        String::from_utf8(line.unwrap()).unwrap()
    }

    #[test]
    fn plain_words_stay_as_they_are() {
        for shell in [Shell::Posix, Shell::Csh, Shell::Fish] {
            for word in ["ls", "-l", "/usr/bin/git-upload-pack", "a_b.c-d", "1,2", "+x"] {
                assert_eq!(quoted(shell, word), word, "{shell}");
            }
        }
    }

    #[test]
    fn words_that_only_look_plain_are_quoted() {
        for shell in [Shell::Posix, Shell::Csh] {
            for word in ["", "A=b", "~", "=ls", "%1", "@", "^a", "if", "time", "foreach", "x:", "{a,b}", "#"]
            {
                assert_eq!(quoted(shell, word), format!("'{word}'"), "{shell}");
            }
        }
    }

    #[test]
    fn posix_text() {
        assert_eq!(quoted(Shell::Posix, "it's"), r"'it'\''s'");
        assert_eq!(quoted(Shell::Posix, "''"), r"\'\'");
        assert_eq!(quoted(Shell::Posix, "a\nb!\\"), "'a\nb!\\'");
        assert_eq!(quote(Shell::Posix, b"\xff").unwrap(), b"'\xff'");
    }

    #[test]
    fn csh_text() {
        assert_eq!(quoted(Shell::Csh, "a!b"), r"'a'\!'b'");
        assert_eq!(quoted(Shell::Csh, "a\nb"), "'a''\\\n''b'");
        assert_eq!(quoted(Shell::Csh, r"\"), r"\\");
    }

    #[test]
    fn fish_text_and_its_keywords() {
        assert_eq!(quoted(Shell::Fish, r"it's \n"), r"'it\'s \\n'");
        assert_eq!(text(join(Shell::Fish, &["if", "if"])), "command 'if' 'if'");
        assert_eq!(text(join(Shell::Fish, &["and"])), "command and");
        assert_eq!(text(join(Shell::Posix, &["if", "x y"])), "'if' 'x y'");
    }

    #[test]
    fn prefixes_end_the_whole_line_when_they_fail() {
        assert_eq!(text(cd_prefix(Shell::Posix, b"~/a")), "cd -- './~/a' || exit; ");
        assert_eq!(text(cd_prefix(Shell::Csh, b"a b")), "cd './a b' || exec false; ");
        assert_eq!(text(cd_prefix(Shell::Fish, b"/srv")), "cd /srv; or exit 1; ");
        let vars = [("A", "1"), ("B", "x y")];
        assert_eq!(text(env_prefix(Shell::Posix, &vars)), "export A=1 B='x y' || exit; ");
        assert_eq!(
            text(env_prefix(Shell::Csh, &vars)),
            "setenv A 1 || exec false; setenv B 'x y' || exec false; "
        );
        assert_eq!(
            text(env_prefix(Shell::Fish, &vars)),
            "set -gx A 1; or exit 1; set -gx B 'x y'; or exit 1; "
        );
    }
}
