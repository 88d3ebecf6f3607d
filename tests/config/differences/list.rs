//! The list itself. The table in `docs/testing.md` has the same rows.

use crate::answer::{Answer, Kind};
use crate::differences::again::Line;
use crate::differences::alike::{self, KEY_TYPES};
use crate::differences::{Changes, How, Listed};

/// The whole list.
pub(crate) const LISTED: &[Listed] = &[
    Listed {
        what: "a NUL byte in a line is refused",
        why: "ssh reads the line up to it and drops what follows, so that nobody sees what is meant",
        how: How::Again(Changes::Lines(&[]), |asked| {
            asked.we_refuse("NUL", |line| line.has(|byte| byte == 0))
        }),
        shown_by: ("User a⟨NUL⟩b\n", "web"),
    },
    Listed {
        what: "control characters in a value are refused",
        why: "they could reach a command line, a prompt or the terminal",
        how: How::Again(Changes::Lines(&[]), |asked| {
            asked.we_refuse("control character", |line| line.has(|byte| byte.is_ascii_control()))
        }),
        shown_by: ("User a⟨FF⟩b\n", "web"),
    },
    Listed {
        what: "a quote of the keyword that is not closed is an error",
        why: "ssh passes over such a line without a word",
        how: How::Again(Changes::Lines(&[]), |asked| {
            asked.we_refuse("a quote of the keyword is not closed", |line| {
                line.0.iter().filter(|byte| **byte == b'"').count() == 1
            })
        }),
        shown_by: ("Us\"er alice\n", "web"),
    },
    Listed {
        what: "values that are no UTF-8 are refused",
        why: "paths and names are text here, on every system",
        how: How::Again(Changes::Lines(&[]), |asked| {
            asked.we_refuse("is not UTF-8", |line| std::str::from_utf8(line.0).is_err())
        }),
        shown_by: ("IdentityFile /k/⟨xff⟩\n", "web"),
    },
    Listed {
        what: "an algorithm that nobody knows is no error of the file",
        why: "which names there are depends on the version that reads the file; the connection is made without it, or is \
            refused where none is left",
        how: How::Again(
            Changes::Lines(&[
                "casignaturealgorithms",
                "ciphers",
                "hostbasedacceptedalgorithms",
                "hostkeyalgorithms",
                "kexalgorithms",
                "macs",
                "pubkeyacceptedalgorithms",
            ]),
            |asked| {
                let complaints = [
                    "Bad SSH2 cipher spec",
                    "Bad SSH2 MAC spec",
                    "Bad SSH2 KexAlgorithms",
                    "Unsupported KEX",
                    "Bad key types",
                ];
                asked.ssh_refuses(&complaints, |line| asked.algorithms.are_not_all_known(line))
            },
        ),
        shown_by: ("MACs nonsense\n", "web"),
    },
    Listed {
        what: "wildcards in a list of key types stay in the printed line",
        why: "which types they stand for is known where the connection is made",
        how: How::Lines(KEY_TYPES, alike::key_types),
        shown_by: ("HostKeyAlgorithms ecdsa-*\n", "web"),
    },
    Listed {
        what: "an empty part of a list of algorithms is an error",
        why: "ssh looks at nothing behind it, so that a mistake there goes unseen",
        how: How::Again(Changes::Lines(&[]), |asked| {
            asked.we_refuse("\"\" is not an algorithm's name", |line| {
                line.value().trim_start_matches(['+', '-', '^']).split(',').any(str::is_empty)
            })
        }),
        shown_by: ("Ciphers aes256-ctr,,nonsense\n", "web"),
    },
    Listed {
        what: "a forward to a socket is printed as it stands",
        why: "`ssh -G` of 9.2 prints a local one as `dynamicforward`, without the socket",
        how: How::Lines(&["dynamicforward"], alike::socket_forwards),
        shown_by: ("LocalForward 8080 /run/sock\n", "web"),
    },
    Listed {
        what: "tokens and variables in `User` are filled in",
        why: "as ssh does from 10.0 on; 9.2 takes them as they stand",
        how: How::Again(Changes::Lines(&[]), |asked| {
            let is_one = |line: Line<'_>| line.is("user") && line.has(|byte| matches!(byte, b'%' | b'$'));
            if !alike::has_tokens(asked.theirs, "user") {
                return asked.we_refuse("User: ", is_one);
            }
            // Both are told the name that ours is, so that all that follows from it is compared.
            let user = alike::filled_in(asked.theirs.value("user")?, asked)?;
            let mut question = asked.written.question.clone();
            (asked.ours.value("user") == Some(user.as_str())).then(|| {
                question.args.splice(0..0, ["-l".to_owned(), user]);
                question
            })
        }),
        shown_by: ("User u%%\n", "web"),
    },
    Listed {
        what: "tokens and variables in `SetEnv` are printed filled in",
        why: "what is printed is what is sent; ssh fills them in later",
        how: How::Lines(&["setenv"], alike::variables_to_set),
        shown_by: ("SetEnv A=%h\n", "web"),
    },
    Listed {
        what: "tokens in `SetEnv` that have no meaning are an error at once",
        why: "ssh says so when it fills them in, after the connection was made",
        how: How::Again(Changes::Lines(&[]), |asked| {
            asked.we_refuse("SetEnv: ", |line| {
                line.is("setenv") && line.has(|byte| matches!(byte, b'%' | b'$'))
            })
        }),
        shown_by: ("SetEnv A=%q\n", "web"),
    },
    Listed {
        what: "a variable of `SetEnv` without a name is an error",
        why: "no environment has one",
        how: How::Again(Changes::Lines(&[]), |asked| {
            asked.we_refuse("SetEnv: ", |line| line.is("setenv") && line.value().starts_with('='))
        }),
        shown_by: ("SetEnv \"=1\"\n", "web"),
    },
    Listed {
        what: "a variable that is not set is an error at once",
        why: "ssh says so when it opens the file, after the connection was made",
        how: How::Again(Changes::Lines(&[]), |asked| {
            asked.we_refuse("the environment variable", |line| line.value().contains("${"))
        }),
        shown_by: ("IdentityFile ${NOT_SET_HERE}/k\n", "web"),
    },
    Listed {
        what: "the home of a user whom nobody knows is an error at once",
        why: "ssh says so when it looks for the file, after the connection was made",
        how: How::Again(Changes::Lines(&[]), |asked| {
            asked.we_refuse("the home directory of", |line| line.value().starts_with('~'))
        }),
        shown_by: ("IdentityFile ~no-such-user-here/k\n", "web"),
    },
    Listed {
        what: "names of jump hosts that a shell or an option's reader would take for something else are refused",
        why: "as by later versions of ssh (CVE-2023-51385); 9.2 looks at those of the command line alone",
        how: How::Again(Changes::Lines(&[]), |asked| {
            let is_plain = |part: &str| {
                !part.starts_with('-')
                    && part.chars().all(|c| c.is_ascii_alphanumeric() || ".-_%:[]".contains(c))
            };
            let is_one =
                |line: Line<'_>| line.is("proxyjump") && !line.rest().split([',', '@', '/']).all(is_plain);
            asked
                .we_refuse("ProxyJump", is_one)
                .or_else(|| asked.ssh_refuses(&["parse_jump: invalid"], is_one))
        }),
        shown_by: ("ProxyJump -x\n", "web"),
    },
    Listed {
        what: "`Match host= web`, with a blank behind the equals sign, is an error",
        why: "as in ssh 10, where `host=web` is one word; 9.2 takes the sign for a blank",
        how: How::Again(Changes::Lines(&[]), |asked| {
            asked.we_refuse("Match", |line| {
                line.is("match") && line.value().split_whitespace().any(|word| word.ends_with('='))
            })
        }),
        shown_by: ("Match host= web\n", "web"),
    },
    Listed {
        what: "a name that is not found is no error for `CanonicalizePermittedCNAMEs` alone",
        why: "nothing but a second name was asked for; connecting tells that there is no such host",
        how: How::Again(Changes::Lines(&["canonicalizePermittedcnames"]), |asked| {
            let alone = asked.ours.value("canonicalizehostname").is_some_and(|value| value == "false");
            asked.ssh_refuses(&["Could not resolve hostname"], |line| {
                alone && line.is("canonicalizepermittedcnames")
            })
        }),
        shown_by: ("CanonicalizePermittedCNAMEs *:*\n", "elsewhere"),
    },
    Listed {
        what: "what has the form of an address is not looked up for `CanonicalizePermittedCNAMEs`",
        why: "an address has no second name; connecting tells where it cannot be used",
        how: How::Again(Changes::Lines(&["canonicalizePermittedcnames"]), |asked| {
            let complaint = "Could not resolve hostname ";
            let (_, name) = asked.theirs.refusal()?.text.split_once(complaint)?;
            let is_address = name.split(": ").next().is_some_and(|name| name.contains([':', '%']));
            asked.ssh_refuses(&[complaint], |line| is_address && line.is("canonicalizepermittedcnames"))
        }),
        shown_by: ("CanonicalizeHostname yes\nCanonicalizePermittedCNAMEs *:*\nAddressFamily inet\n", "::1"),
    },
    Listed {
        what: "with `ProxyJump none` names are made canonical as without",
        why: "as later versions of ssh do; to 9.2 it is a jump there",
        how: How::Again(Changes::Lines(&["proxyjump"]), |asked| {
            let is_canonical = asked.ours.value("canonicalizehostname").is_some_and(|value| value != "false");
            let differs = asked.ours.value("hostname") != asked.theirs.value("hostname");
            let is_unknown =
                asked.ours.refusal().is_some_and(|refusal| refusal.text.contains("the name service"));
            let is_none = |line: Line<'_>| line.is("proxyjump") && line.value().eq_ignore_ascii_case("none");
            let has_jump = |answer: &Answer| answer.value("proxyjump").is_some_and(|jump| jump != "none");
            let is_direct = !has_jump(asked.ours) && !has_jump(asked.theirs) && asked.has(is_none);
            let is_it = asked.theirs.refusal().is_none() && (is_unknown || is_canonical && differs);
            if !is_it || !is_direct {
                return None;
            }
            asked.without_all(|line| line.is("proxyjump"))
        }),
        shown_by: ("CanonicalizeHostname yes\nCanonicalDomains example.test\nProxyJump none\n", "alias"),
    },
    Listed {
        what: "mistakes in the files are told before a wrong user of the command line",
        why: "the files are read first; ssh looks at the names first",
        how: How::Again(Changes::Lines(&["user"]), |asked| {
            asked.ours.refusal()?;
            asked.ssh_refuses(&["remote username contains invalid"], |line| line.is("user"))
        }),
        shown_by: ("#: args -o User=-x\nNonsense 1\n", "web"),
    },
    Listed {
        what: "`RevokedHostKeys` takes several files",
        why: "as ssh does from 10.1 on",
        how: How::Again(Changes::Lines(&["revokedhostkeys"]), |asked| {
            asked.ssh_refuses(&["keyword revokedhostkeys extra arguments"], |line| line.is("revokedhostkeys"))
        }),
        shown_by: ("RevokedHostKeys /a /b\n", "web"),
    },
    Listed {
        what: "single quotes in `Match` are quotes",
        why: "as in ssh 10; 9.2 takes them as they stand there",
        how: How::Again(Changes::Lines(&[]), |asked| {
            let single = |line: &str| line.split('"').step_by(2).any(|outside| outside.contains('\''));
            asked.with_other_matches(|line| single(line).then(|| line.replace('\'', "\"")))
        }),
        shown_by: ("Match 'all'\nUser a\n", "web"),
    },
    Listed {
        what: "`Match !final` has nobody read the files twice",
        why: "as in ssh 10.1; before, it did as `Match final` does",
        how: How::Again(Changes::All, |asked| {
            let is_one =
                |line: Line<'_>| line.is("match") && line.value().to_ascii_lowercase().contains("!final");
            if asked.has(is_one) { asked.read_twice() } else { None }
        }),
        shown_by: ("Match !final\nMatch canonical\nPort 23\n", "web"),
    },
    Listed {
        what: "`StreamLocalBindMask` is an octal number and nothing else",
        why: "ssh takes what stands behind the digits, whatever it is",
        how: How::Again(Changes::Lines(&[]), |asked| {
            asked.we_refuse("StreamLocalBindMask", |line| {
                let value = line.value();
                let behind = value.trim_start_matches(|c: char| c.is_digit(8));
                line.is("streamlocalbindmask") && !behind.is_empty() && behind.len() < value.len()
            })
        }),
        shown_by: ("StreamLocalBindMask 0007x\n", "web"),
    },
    Listed {
        what: "what Apple's ssh adds is known and passed over",
        why: "files are carried between machines; OpenSSH refuses it as unknown",
        how: How::Again(Changes::Lines(&[]), |asked| {
            asked.ssh_refuses(&["usekeychain"], |line| line.is("usekeychain"))
        }),
        shown_by: ("UseKeychain yes\n", "web"),
    },
    Listed {
        what: "brackets around the host of a destination are no part of it",
        why: "a port may stand behind them; 9.2 takes them for letters of the name, and refuses them in `ssh://`",
        how: How::Again(Changes::Lines(&[]), |asked| {
            let mut question = asked.written.question.clone();
            let host = question.host.strip_prefix("ssh://").unwrap_or(&question.host);
            let (host, port) = host.strip_prefix('[')?.split_once(']')?;
            let (host, port) = (host.to_owned(), port.strip_prefix(':').map(str::to_owned));
            question.args.extend(port.into_iter().flat_map(|port| ["-p".to_owned(), port]));
            question.host = host;
            Some(question)
        }),
        shown_by: ("", "ssh://[::1]:2222"),
    },
    Listed {
        what: "`%C` has the jump host in it",
        why: "as in ssh from 9.6 on",
        how: How::Lines(
            &[
                "controlpath",
                "identityagent",
                "localforward",
                "remoteforward",
                "revokedhostkeys",
                "userknownhostsfile",
            ],
            alike::hash_of_connection,
        ),
        shown_by: ("ControlPath /%C\nProxyJump jump\n", "web"),
    },
    Listed {
        what: "a socket of `ForwardAgent` that is not there is no error of the file",
        why: "with `ExitOnForwardFailure`, ssh looks for it before it prints; here connecting does",
        how: How::Again(Changes::Lines(&["exitonforwardfailure"]), |asked| {
            asked.ssh_refuses(&["Cannot forward agent socket path"], |line| line.is("exitonforwardfailure"))
        }),
        shown_by: ("ForwardAgent /no/such/socket\nExitOnForwardFailure yes\n", "web"),
    },
    Listed {
        what: "`SessionType subsystem` without a name is no error of the file",
        why: "whether there is one is known where the session is opened",
        how: How::Again(Changes::Lines(&["sessiontype"]), |asked| {
            asked.ssh_refuses(&["You must specify a subsystem"], |line| line.is("sessiontype"))
        }),
        shown_by: ("#: args -o SessionType=subsystem\n", "web"),
    },
    Listed {
        what: "values of what Debian adds for GSSAPI are not looked at",
        why: "nothing comes of them here, and OpenSSH does not know them",
        how: How::Again(Changes::Lines(&[]), |asked| {
            asked.ssh_refuses(&["unsupported option"], |line| {
                line.is("gssapikeyexchange") || line.is("gssapitrustdns")
            })
        }),
        shown_by: ("GSSAPIKeyExchange perhaps\n", "web"),
    },
    Listed {
        what: "a `-o` that is empty, or says nothing because of what stands before its keyword, is an error",
        why: "whoever typed it meant something",
        how: How::Again(Changes::Lines(&[]), |asked| {
            asked.we_refuse("an option is empty", |line| {
                line.0.trim_ascii().is_empty() || line.0.trim_ascii().starts_with(b"= =")
            })
        }),
        shown_by: ("#: args -o \"\"\n", "web"),
    },
    Listed {
        what: "`-i` with a file that is not there is kept",
        why: "a login without the key that was named would surprise; ssh warns and goes on without it",
        how: How::Again(Changes::Lines(&["identityfile"]), |asked| {
            let mut question = asked.written.question.clone();
            let at = question.args.chunks(2).position(|pair| {
                let is_there = pair.get(1).is_some_and(|file| std::path::Path::new(file).exists());
                pair.first().is_some_and(|flag| flag == "-i") && !is_there
            })?;
            let line = format!("identityfile {}", question.args.get(at * 2 + 1)?);
            question.args.drain(at * 2..at * 2 + 2);
            let takes = |answer: &Answer| answer.lines().any(|other| other == line);
            (takes(asked.ours) && !takes(asked.theirs)).then_some(question)
        }),
        shown_by: ("#: args -i /no/such/key\n", "web"),
    },
    Listed {
        what: "`ForkAfterAuthentication` without a command is no error of the file",
        why: "whether there is one is known where the session is opened",
        how: How::Again(Changes::Lines(&["forkafterauthentication"]), |asked| {
            asked.ssh_refuses(&["Cannot fork into background"], |line| line.is("forkafterauthentication"))
        }),
        shown_by: ("ForkAfterAuthentication yes\n", "web"),
    },
    Listed {
        what: "a file that its group may write to is refused",
        why: "as OpenSSH does; Debian's ssh takes it where the group is the user's own",
        how: How::Again(Changes::Lines(&[]), |asked| {
            asked.ours.refusal().filter(|refusal| refusal.kind == Kind::Permissions)?;
            let mut question = asked.written.question.clone();
            let mode = question.modes.iter_mut().map(|(_, mode)| mode).find(|mode| **mode & 0o22 == 0o20)?;
            *mode &= !0o20;
            Some(question)
        }),
        shown_by: ("#: mode 664 a\nInclude ⟨DIR⟩/a\n#- a\n", "web"),
    },
    Listed {
        what: "the keys of `-i` come before those of `-o IdentityFile`",
        why: "they are named by hand, wherever that stands; ssh keeps the order of the command line",
        how: How::Lines(&["identityfile"], alike::keys_of_the_command_line),
        shown_by: ("#: args -o IdentityFile=/x -i /etc/hosts\n", "web"),
    },
    Listed {
        what: "a key file that both the user's file and the system's name is printed once",
        why: "it is offered once; ssh lists it for either",
        how: How::Lines(&["certificatefile", "identityfile"], alike::named_twice),
        shown_by: ("#- home/config\nIdentityFile a\n#- system/ssh_config\nIdentityFile a\n", "web"),
    },
    Listed {
        what: "`BatchMode yes` asks for no signs of life",
        why: "Debian's ssh adds `ServerAliveInterval 300`; OpenSSH does not",
        how: How::Lines(&["serveraliveinterval"], alike::signs_of_life),
        shown_by: ("BatchMode yes\n", "web"),
    },
];
