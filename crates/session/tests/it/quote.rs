//! Quoting, proved by the shells themselves: what a program is handed is compared byte for byte with what was
//! meant. A shell that is not installed is named on stdout as skipped.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it skips"
)]

use rustle_session::quote::{QuoteError, Shell, join};

/// A seeded generator (SplitMix64), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % end
    }

    /// Any byte but NUL.
    #[cfg(unix)]
    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0].max(1)
    }
}

#[test]
fn every_line_the_windows_shells_cannot_carry_is_refused_not_altered() {
    for byte in 1..=255u8 {
        let arg = [b'a', byte, b'b'];
        for shell in [Shell::Cmd, Shell::PowerShell] {
            let refused = join(shell, &[b"x".as_slice(), &arg]).is_err();
            let expected = match (shell, byte) {
                (_, 0x80..) => true,
                (Shell::Cmd, b'\t') => false,
                (Shell::Cmd, b'%' | 0x7f | ..0x20) => true,
                (Shell::PowerShell, b'"') => true,
                _ => false,
            };
            assert_eq!(refused, expected, "{shell}: byte {byte:#04x}");
        }
    }
    assert!(matches!(join(Shell::Cmd, &[b"x\xff"]), Err(QuoteError::NotUtf8 { offset: 1, .. })));
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::fmt::Write as _;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Output, Stdio};

    use rustle_session::quote::{Shell, cd_prefix, env_prefix, join};

    use super::Random;

    /// One way to start one shell.
    struct Subject {
        shell: Shell,
        /// The program and what comes before the line.
        start: &'static [&'static str],
        /// A start-up file in the home directory, and what it says.
        rc: Option<(&'static str, &'static str)>,
    }

    const fn subject(shell: Shell, start: &'static [&'static str]) -> Subject {
        Subject { shell, start, rc: None }
    }

    const SUBJECTS: &[Subject] = &[
        subject(Shell::Posix, &["sh", "-c"]),
        subject(Shell::Posix, &["dash", "-c"]),
        subject(Shell::Posix, &["bash", "-c"]),
        subject(Shell::Posix, &["bash", "--posix", "-c"]),
        subject(Shell::Posix, &["ksh", "-c"]),
        subject(Shell::Posix, &["mksh", "-c"]),
        subject(Shell::Posix, &["zsh", "-c"]),
        subject(Shell::Posix, &["zsh", "-o", "rcquotes", "-o", "extendedglob", "-c"]),
        subject(Shell::Posix, &["busybox", "sh", "-c"]),
        subject(Shell::Csh, &["csh", "-c"]),
        subject(Shell::Csh, &["tcsh", "-c"]),
        Subject { shell: Shell::Csh, start: &["tcsh", "-c"], rc: Some((".tcshrc", "set backslash_quote\n")) },
        subject(Shell::Fish, &["fish", "-c"]),
    ];

    impl Subject {
        /// Its name, and `None` with a word on stdout where it is not installed.
        fn name(&self) -> Option<String> {
            let program = self.start[0];
            let path = std::env::var_os("PATH").unwrap_or_default();
            if !std::env::split_paths(&path).any(|dir| dir.join(program).is_file()) {
                println!("skipped: {program} is not installed");
                return None;
            }
            Some(format!(
                "{}{}",
                self.start.join(" "),
                if self.rc.is_some() { " with its rc file" } else { "" }
            ))
        }

        fn run(&self, home: &Path, locale: &str, line: &[u8]) -> Output {
            if let Some((file, text)) = self.rc {
                fs::write(home.join(file), text).unwrap();
            }
            Command::new(self.start[0])
                .args(&self.start[1..])
                .arg(OsStr::from_bytes(line))
                .current_dir(home)
                .env("HOME", home)
                .env("XDG_CONFIG_HOME", home)
                .env("CDPATH", home.join("decoy"))
                .env("LC_ALL", locale)
                .env_remove("ENV")
                .env_remove("BASH_ENV")
                .env_remove("ZDOTDIR")
                .stdin(Stdio::null())
                .output()
                .unwrap()
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }

    /// A fresh directory for one test.
    fn home(test: &str) -> PathBuf {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("quote-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    /// Hands `args` to a real program through each shell in two locales and compares what it got.
    fn assert_arrive(test: &str, args: &[Vec<u8>]) {
        let home = home(test);
        for subject in SUBJECTS {
            let Some(name) = subject.name() else { continue };
            let words: Vec<&[u8]> = [b"/usr/bin/printf".as_slice(), b"%s\\0"]
                .into_iter()
                .chain(args.iter().map(Vec::as_slice))
                .collect();
            let line = join(subject.shell, &words).unwrap();
            for locale in ["C", "C.UTF-8"] {
                let out = subject.run(&home, locale, &line);
                let got: Vec<&[u8]> = out.stdout.split(|&b| b == 0).collect();
                let stderr = String::from_utf8_lossy(&out.stderr);
                assert_eq!(got.len(), args.len() + 1, "{name}, {locale}: {stderr}");
                for (arg, got) in args.iter().zip(got) {
                    assert_eq!(hex(got), hex(arg), "{name}, {locale}: {stderr}");
                }
            }
        }
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn each_byte_alone_arrives() {
        let args: Vec<Vec<u8>> = (1..=255).map(|byte| vec![byte]).collect();
        assert_arrive("alone", &args);
    }

    #[test]
    fn each_byte_between_others_arrives() {
        let args: Vec<Vec<u8>> = (1..=255)
            .flat_map(|byte| [vec![b'a', byte, b'b'], vec![byte, byte], vec![b'\\', byte]])
            .collect();
        assert_arrive("between", &args);
    }

    #[test]
    fn random_bytes_arrive() {
        let mut random = Random(0x5eed);
        for _ in 0..8 {
            let args: Vec<Vec<u8>> =
                (0..60).map(|_| (0..random.below(50)).map(|_| random.byte()).collect()).collect();
            assert_arrive("bytes", &args);
        }
    }

    #[test]
    fn random_runs_of_special_characters_arrive() {
        // Shell grammar, and the code points that fish uses for its own purposes.
        let pieces: Vec<&str> =
            "' \" \\ ! ^ $ ` ~ # & | ; < > ( ) { } [ ] * ? = % @ : , + - a 1 é ‘ ’ 🦀 \u{fdd0} \
                                 \u{fdd3} \u{f600} \u{f6ff} \u{e000}"
                .split(' ')
                .chain([" ", "\n", "\t", "\r", "$(", "!!", "!a", "\\\n", "=(", "''", "if", "\u{85}"])
                .collect();
        let mut random = Random(0x1e55);
        for _ in 0..8 {
            let args: Vec<Vec<u8>> = (0..60)
                .map(|_| {
                    (0..random.below(12)).flat_map(|_| pieces[random.below(pieces.len())].bytes()).collect()
                })
                .collect();
            assert_arrive("special", &args);
        }
    }

    #[test]
    fn a_program_named_like_a_keyword_is_run() {
        let home = home("keywords");
        let names = [
            "if", "then", "else", "fi", "for", "in", "do", "done", "case", "esac", "while", "until",
            "function", "select", "time", "coproc", "repeat", "foreach", "end", "switch", "and", "or", "not",
            "begin", "builtin", "command", "exec", "!", "{", "}", "[[", "A=b", "=ls", "@", "~x", "a b",
            "it's",
        ];
        // Another process writes what is run: a copy of our own descriptor, in a process that a test beside this one is
        // just starting, would make it "text file busy".
        let (text, program) = (home.join("text of a program"), home.join("a program"));
        fs::write(&text, "#!/bin/sh\nprintf 'ran %s' \"${0##*/}\"\n").unwrap();
        let copied = Command::new("install").args(["-m", "755"]).args([&text, &program]).status();
        assert!(copied.unwrap().success());
        for name in names {
            fs::hard_link(&program, home.join(name)).unwrap();
        }
        // Shells look these up as functions or built-in commands of their own, which is what a user of that
        // shell means by the name; they are not keywords, and quoting does not change it.
        let built_in = ["command", "builtin", "exec", "time", "repeat", "end", "not", "[["];
        for subject in SUBJECTS {
            let Some(shell) = subject.name() else { continue };
            for name in names {
                if subject.shell != Shell::Fish && built_in.contains(&name) {
                    continue;
                }
                let path = format!("PATH={}:/usr/bin:/bin", home.display());
                let line = join(subject.shell, &[name]).unwrap();
                let mut command = Command::new("env");
                command.arg(path).args(subject.start).arg(OsStr::from_bytes(&line));
                let out = command.env("HOME", &home).env("XDG_CONFIG_HOME", &home).output().unwrap();
                let stderr = String::from_utf8_lossy(&out.stderr);
                assert_eq!(String::from_utf8_lossy(&out.stdout), format!("ran {name}"), "{shell}: {stderr}");
            }
        }
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn environment_values_arrive() {
        let home = home("env");
        let mut random = Random(0xe7);
        let mut values: Vec<Vec<u8>> =
            vec![b"".to_vec(), b"-n".to_vec(), b"a b".to_vec(), (1..=255).collect()];
        values.extend((0..40).map(|_| (0..20).map(|_| random.byte()).collect()));
        let names: Vec<String> = (0..values.len()).map(|i| format!("RUSTLE_{i}")).collect();
        let vars: Vec<(&String, &Vec<u8>)> = names.iter().zip(&values).collect();
        for subject in SUBJECTS {
            let Some(shell) = subject.name() else { continue };
            let mut line = env_prefix(subject.shell, &vars).unwrap();
            line.extend(join(subject.shell, &["/usr/bin/env", "-0"]).unwrap());
            let out = subject.run(&home, "C.UTF-8", &line);
            for (name, value) in &vars {
                let wanted = [name.as_bytes(), b"=", value].concat();
                let stderr = String::from_utf8_lossy(&out.stderr);
                assert!(
                    out.stdout.split(|&b| b == 0).any(|v| v == wanted),
                    "{shell}: {}: {stderr}",
                    hex(value)
                );
            }
        }
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn environment_holds_for_a_whole_pipeline() {
        let home = home("pipeline");
        for subject in SUBJECTS {
            let Some(shell) = subject.name() else { continue };
            let mut line = env_prefix(subject.shell, &[("RUSTLE_A", "1"), ("RUSTLE_B", "2 3")]).unwrap();
            line.extend(b"printenv RUSTLE_A | cat; printenv RUSTLE_B");
            let out = subject.run(&home, "C.UTF-8", &line);
            assert_eq!(String::from_utf8_lossy(&out.stdout), "1\n2 3\n", "{shell}");
        }
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn directories_are_entered_by_their_literal_names() {
        let home = home("cd");
        let names = [
            "-",
            "--",
            "-P",
            "+1",
            "~",
            "~root",
            "$HOME",
            "*",
            "a b",
            " ",
            "it's",
            "a!b",
            "new\nline",
            "back\\",
            "%1",
            "=x",
            "plain",
            "..-",
            "é",
            "#",
        ];
        for name in names {
            fs::create_dir_all(home.join(name)).unwrap();
            fs::create_dir_all(home.join("decoy").join(name)).unwrap();
        }
        for subject in SUBJECTS {
            let Some(shell) = subject.name() else { continue };
            for name in names {
                let whole = home.join(name);
                for dir in [name.as_bytes(), whole.as_os_str().as_bytes()] {
                    let mut line = cd_prefix(subject.shell, dir).unwrap();
                    line.extend(b"/bin/pwd -P");
                    let out = subject.run(&home, "C.UTF-8", &line);
                    let wanted = format!("{}\n", fs::canonicalize(&whole).unwrap().display());
                    let stderr = String::from_utf8_lossy(&out.stderr);
                    assert_eq!(String::from_utf8_lossy(&out.stdout), wanted, "{shell}: {stderr}");
                }
            }
        }
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn nothing_runs_where_the_directory_cannot_be_entered() {
        let home = home("nowhere");
        fs::create_dir_all(home.join("decoy/missing")).unwrap();
        for subject in SUBJECTS {
            let Some(shell) = subject.name() else { continue };
            let mut line = cd_prefix(subject.shell, b"missing").unwrap();
            line.extend(b"echo ran; echo again");
            let out = subject.run(&home, "C.UTF-8", &line);
            assert_eq!(String::from_utf8_lossy(&out.stdout), "", "{shell}");
            assert!(!out.stderr.is_empty() && !out.status.success(), "{shell}: {:?}", out.status);
        }
        fs::remove_dir_all(home).unwrap();
    }

    #[test]
    fn a_long_argument_arrives() {
        let home = home("long");
        let arg = "it's ".repeat(15_000).into_bytes();
        for subject in SUBJECTS {
            let Some(shell) = subject.name() else { continue };
            if subject.start[0] == "csh" {
                // BSD csh has a fixed word length; what matters is that it says so and runs nothing.
                let line = join(subject.shell, &[b"echo".as_slice(), &arg]).unwrap();
                let out = subject.run(&home, "C", &line);
                let said = String::from_utf8_lossy(&out.stderr);
                assert!(out.stdout == [&arg[..], b"\n"].concat() || said.contains("Word too long"), "{said}");
                continue;
            }
            let line = join(subject.shell, &[b"/usr/bin/printf".as_slice(), b"%s", &arg]).unwrap();
            assert!(subject.run(&home, "C.UTF-8", &line).stdout == arg, "{shell}");
        }
        fs::remove_dir_all(home).unwrap();
    }
}

#[cfg(windows)]
mod windows {
    use std::os::windows::process::CommandExt;
    use std::process::Command;

    use rustle_session::quote::{Shell, cd_prefix, env_prefix, join};

    use super::Random;

    /// Not a test but the program that the tests here run through cmd.exe: this same binary, which prints the
    /// arguments that it found after `--`.
    #[test]
    #[ignore = "run by the other tests as a program"]
    fn print_arguments() {
        for arg in std::env::args().skip_while(|arg| arg != "--").skip(1) {
            println!("arg {arg:?}");
        }
    }

    fn run(line: &str) -> String {
        // Quoted as a server does it, which cmd.exe undoes.
        let out = Command::new("cmd.exe").raw_arg("/d /c").raw_arg(format!("\"{line}\"")).output().unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    fn text(line: Vec<u8>) -> String {
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn arguments_arrive_through_cmd() {
        let exe = std::env::current_exe().unwrap();
        let alphabet: Vec<char> = "ab \"\\^&|<>()!;,=@~*?[]{}'`$#+-é‘🦀\t".chars().collect();
        let mut random = Random(0xc0de);
        for _ in 0..20 {
            let args: Vec<String> = (0..12)
                .map(|_| (0..random.below(10)).map(|_| alphabet[random.below(alphabet.len())]).collect())
                .collect();
            let helper = ["quote::windows::print_arguments", "--exact", "--ignored", "--nocapture", "--"];
            let words =
                [exe.to_str().unwrap()].into_iter().chain(helper).chain(args.iter().map(String::as_str));
            let line = text(join(Shell::Cmd, &words.collect::<Vec<_>>()).unwrap());
            let out = run(&line);
            let got: Vec<&str> = out.lines().filter(|line| line.starts_with("arg ")).collect();
            let wanted: Vec<String> = args.iter().map(|arg| format!("arg {arg:?}")).collect();
            assert_eq!(got, wanted, "{line}");
        }
    }

    /// wine's own cmd.exe does not know `a || b & c`, and so proves nothing about such a line.
    fn skipped_under_wine(test: &str) -> bool {
        let wine = std::path::Path::new(r"C:\windows\system32\winecfg.exe").exists();
        if wine {
            println!("skipped: {test} (this cmd.exe is wine's)");
        }
        wine
    }

    #[test]
    fn environment_values_hold_for_what_follows() {
        let line = text(env_prefix(Shell::Cmd, &[("QUOTED_A", "x & y ^ (z)"), ("QUOTED_B", "!")]).unwrap());
        let out = run(&format!("{line}set QUOTED_"));
        let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
        assert_eq!(lines, ["QUOTED_A=x & y ^ (z)", "QUOTED_B=!"]);
    }

    #[test]
    fn a_directory_holds_for_what_follows() {
        if skipped_under_wine("a_directory_holds_for_what_follows") {
            return;
        }
        let dir = std::env::temp_dir().join(format!("rustle quote & {}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let line = text(cd_prefix(Shell::Cmd, dir.to_str().unwrap().as_bytes()).unwrap());
        let out = run(&format!("{line}echo one& cd"));
        std::fs::remove_dir(&dir).unwrap();
        let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
        assert_eq!(lines, ["one", dir.to_str().unwrap()]);
    }

    #[test]
    fn nothing_runs_where_the_directory_cannot_be_entered() {
        if skipped_under_wine("nothing_runs_where_the_directory_cannot_be_entered") {
            return;
        }
        let line = text(cd_prefix(Shell::Cmd, br"C:\no such directory").unwrap());
        assert_eq!(run(&format!("{line}echo ran& echo again")), "");
    }
}
