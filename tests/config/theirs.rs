//! The installed ssh, asked many questions by few processes, in a world of its own where that can be had.
//!
//! ssh reads `~/.ssh` of the account, not of `$HOME`, and `/etc/ssh`, and looks names up as the system does. So it runs
//! where a namespace of its own has those folders mounted over, an `/etc/hosts` of the suite and no network: nothing
//! of this machine is read, and nothing leaves it.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustle_tests::{Scratch, output_of};

use crate::answer::{Answer, Kind, Refusal, SILENT};
use crate::files::{HOME, SYSTEM, Written};

/// The names that are found in the suite's world: address, canonical name, other names.
pub(crate) const HOSTS: [(&str, &str, &[&str]); 8] = [
    ("192.0.2.10", "web", &[]),
    ("192.0.2.11", "db.example.com", &[]),
    ("192.0.2.12", "wxb", &[]),
    ("192.0.2.1", "web.example.test", &[]),
    ("192.0.2.2", "real.example.test", &["alias.example.test"]),
    ("192.0.2.3", "db.lab.test", &[]),
    ("192.0.2.4", "outside.other.test", &["moved.lab.test"]),
    ("192.0.2.5", "a.dotted.example.test", &[]),
];

/// The variable that names another ssh than the one in `PATH`.
const PROGRAM: &str = "RUSTLE_SSH";

/// The ssh that is asked.
pub(crate) struct Ssh {
    scratch: Scratch,
    program: String,
    version: String,
    world: Option<World>,
    account: Account,
}

/// Who ssh takes itself for.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) id: u32,
    pub(crate) home: String,
    pub(crate) machine: String,
}

/// The commands that put a process into a world of its own.
struct World {
    unshare: &'static [&'static str],
    prepare: String,
}

impl Ssh {
    /// The ssh of this machine; why not, where there is none.
    pub(crate) fn find() -> Result<Self, String> {
        if !cfg!(unix) {
            return Err("ssh is asked on Unix only".to_owned());
        }
        let program = std::env::var(PROGRAM).unwrap_or_else(|_| "ssh".to_owned());
        let version = Command::new(&program).arg("-V").stdin(Stdio::null()).output();
        let version = version.map_err(|error| format!("no {program}: {error}"))?;
        let version = String::from_utf8_lossy(&version.stderr).trim().to_owned();
        let scratch = Scratch::new();
        let world = World::make(&scratch);
        let account = Account::ask(world.as_ref())?;
        let outside = !scratch.path().starts_with(&account.home);
        let world = world.filter(|_| outside);
        Ok(Self { scratch, program, version, world, account })
    }

    /// What it says of itself.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Its version as numbers, as in 9.2.
    pub(crate) fn number(&self) -> (u32, u32) {
        let after = self.version.split("OpenSSH_").nth(1).unwrap_or_default();
        let mut numbers = after.split(|c: char| !c.is_ascii_digit()).map(|text| text.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }

    /// What it knows of a kind of algorithms.
    pub(crate) fn names(&self, of: &str) -> Vec<String> {
        let said = output_of(Command::new(&self.program).args(["-Q", of]));
        String::from_utf8_lossy(&said.stdout).lines().map(str::to_owned).collect()
    }

    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    /// Whether `~/.ssh`, `/etc/ssh` and the names of hosts can be the suite's own.
    pub(crate) fn has_world(&self) -> bool {
        self.world.is_some()
    }

    /// A folder for files that both sides read.
    pub(crate) fn folder(&self) -> &Path {
        self.scratch.path()
    }

    /// Asks all of them, in as many processes at once as the machine has processors.
    pub(crate) fn ask(&self, questions: &[Written]) -> Vec<Answer> {
        let out = self.scratch.join("answers");
        fs::create_dir_all(&out).unwrap();
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        let share = questions.len().div_ceil(workers).max(1);
        let mut running = Vec::new();
        for (worker, part) in questions.chunks(share).enumerate() {
            let script = out.join(format!("{worker}.sh"));
            fs::write(&script, self.script(part, &out, worker * share)).unwrap();
            let mut command = match &self.world {
                Some(world) => {
                    let mut command = Command::new("unshare");
                    command.args(world.unshare).arg("sh");
                    command
                }
                None => Command::new("sh"),
            };
            let command =
                command.arg(&script).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            running.push(command.spawn().unwrap());
        }
        for child in running {
            let ended = child.wait_with_output().unwrap();
            assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        }
        let answers = (0..questions.len()).map(|index| read(&out, index)).collect();
        fs::remove_dir_all(&out).unwrap();
        answers
    }

    fn script(&self, questions: &[Written], out: &Path, first: usize) -> String {
        let mut script = String::from("set -e\n");
        if let Some(world) = &self.world {
            script.push_str(&world.prepare);
        }
        for (offset, question) in questions.iter().enumerate() {
            let answer = quoted(out.join((first + offset).to_string()).to_str().unwrap());
            let mounts: Vec<(PathBuf, String)> = [
                (question.has(HOME), question.home(), format!("{}/.ssh", self.account.home)),
                (question.has(SYSTEM), question.system(), "/etc/ssh".to_owned()),
            ]
            .into_iter()
            .filter(|(has, ..)| *has)
            .map(|(_, from, to)| (from, to))
            .collect();
            for (from, to) in &mounts {
                writeln!(script, "mount --bind {} {}", quoted(from.to_str().unwrap()), quoted(to)).unwrap();
            }
            let mut line = format!(
                "env -i PATH={} HOME={}",
                quoted(&std::env::var("PATH").unwrap_or_default()),
                quoted(&self.account.home)
            );
            for (name, value) in &question.question.env {
                write!(line, " {}", quoted(&format!("{name}={value}"))).unwrap();
            }
            write!(line, " {} -G", quoted(&self.program)).unwrap();
            if let Some(main) = question.main() {
                write!(line, " -F {}", quoted(main.to_str().unwrap())).unwrap();
            }
            for arg in &question.args {
                write!(line, " {}", quoted(arg)).unwrap();
            }
            write!(line, " -- {}", quoted(&question.question.host)).unwrap();
            writeln!(
                script,
                "code=0; {line} </dev/null >{answer}.out 2>{answer}.err || code=$?; echo $code >{answer}.code"
            )
            .unwrap();
            for (_, to) in mounts.iter().rev() {
                writeln!(script, "umount {}", quoted(to)).unwrap();
            }
        }
        script
    }
}

impl World {
    /// Tried out, since a machine may forbid it.
    fn make(scratch: &Scratch) -> Option<Self> {
        let mut hosts = "127.0.0.1 localhost\n".to_owned();
        for (address, canonical, others) in HOSTS {
            // ssh looks the names of its domains up with the dot that ends them.
            writeln!(hosts, "{address} {canonical} {canonical}.").unwrap();
            for other in others {
                writeln!(hosts, "{address} {canonical} {other} {other}.").unwrap();
            }
        }
        let hosts = scratch.write("hosts", hosts);
        let switch = scratch.write("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n");
        let mount = |from: &Path, to: &str| format!("mount --bind {} {to}\n", quoted(from.to_str().unwrap()));
        let home = "home=$(getent passwd $(id -u) | cut -d: -f6)\nmount -t tmpfs none \"$home\"\nmkdir -m 700 \"$home/.ssh\"\n";
        let prepare = [
            mount(&hosts, "/etc/hosts"),
            mount(&switch, "/etc/nsswitch.conf"),
            "mount -t tmpfs none /etc/ssh\n".to_owned(),
            home.to_owned(),
        ]
        .concat();
        let script = scratch.write("try.sh", format!("set -e\n{prepare}"));
        // As root without an account of its own, which more machines allow; else as the root of such a one.
        [&["-m", "-n"][..], &["-r", "-m", "-n"][..]].into_iter().find_map(|unshare| {
            let tried =
                Command::new("unshare").args(unshare).arg("sh").arg(&script).stdin(Stdio::null()).output();
            tried.is_ok_and(|out| out.status.success()).then(|| Self { unshare, prepare: prepare.clone() })
        })
    }
}

impl Account {
    fn ask(world: Option<&World>) -> Result<Self, String> {
        let script = "id -un; id -u; getent passwd $(id -u) | cut -d: -f6; hostname";
        let mut command = Command::new(if world.is_some() { "unshare" } else { "sh" });
        if let Some(world) = world {
            command.args(world.unshare).arg("sh");
        }
        let said = output_of(command.args(["-c", script]));
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let lines: Vec<&str> = said.lines().collect();
        let [user, id, home, machine] = lines[..] else {
            return Err(format!("this machine does not say who ssh's user is: {said:?}"));
        };
        let id = id.parse().map_err(|_| format!("no number of a user: {id:?}"))?;
        Ok(Self { user: user.into(), id, home: home.into(), machine: machine.into() })
    }
}

fn read(out: &Path, index: usize) -> Answer {
    let part = |end: &str| fs::read(out.join(format!("{index}.{end}"))).unwrap();
    let code = String::from_utf8_lossy(&part("code")).trim().to_owned();
    if code == "0" {
        let text = String::from_utf8_lossy(&part("out")).into_owned();
        return Answer::Settings(
            text.split('\n').filter(|line| !line.is_empty()).map(str::to_owned).collect(),
        );
    }
    let text = String::from_utf8_lossy(&part("err")).into_owned();
    let text: Vec<&str> = text.lines().filter(|line| !line.starts_with("Pseudo-terminal")).collect();
    Answer::Refused(refusal(&text.join("\n"), &code))
}

/// What ssh means by its first complaint that counts.
fn refusal(text: &str, code: &str) -> Refusal {
    let counts = |line: &&str| !line.contains("Unsupported option") && !line.starts_with("Warning:");
    let first = text.lines().find(counts).unwrap_or_default();
    // Some complaints come before the line that names the place.
    let placed = text.lines().filter(counts).find_map(place);
    let kind = KINDS.iter().find(|(words, _)| first.contains(words)).map_or(Kind::Other, |(_, kind)| *kind);
    let is_unknown = kind == Kind::Other && !first.contains("RefuseConnection: ");
    let kind = if is_unknown && place(first).is_some() { Kind::Line } else { kind };
    Refusal {
        kind,
        place: placed,
        text: if text.is_empty() { format!("{SILENT}{code}") } else { text.to_owned() },
    }
}

/// What ssh's texts begin or end with, and what they are about.
const KINDS: [(&str, Kind); 39] = [
    ("addr_match_cidr_list: ", Kind::Line),
    ("RefuseConnection: ", Kind::Other),
    ("Unsupported KEX algorithm", Kind::Line),
    ("exited abnormally", Kind::Other),
    ("tilde_expand", Kind::Meaning),
    ("usage: ssh", Kind::Name),
    ("Bad configuration option", Kind::Keyword),
    ("Missing Match criteria", Kind::Line),
    ("Unsupported Match attribute", Kind::Line),
    ("One or more attributes required", Kind::Line),
    ("bad port number in", Kind::Line),
    ("missing host in", Kind::Line),
    ("not supported as a command-line", Kind::Line),
    ("Too many recursive configuration includes", Kind::Depth),
    ("Bad owner or permissions", Kind::Permissions),
    ("Can't open user config file", Kind::File),
    ("glob failed", Kind::File),
    ("Could not resolve host", Kind::Name),
    ("hostname contains invalid characters", Kind::Name),
    ("remote username contains invalid characters", Kind::Name),
    ("hostname too long", Kind::Name),
    ("percent_expand", Kind::Meaning),
    ("percent_dollar_expand", Kind::Meaning),
    ("vdollar_percent_expand", Kind::Meaning),
    ("unknown key %", Kind::Meaning),
    ("env var ${", Kind::Meaning),
    ("invalid environment variable expansion", Kind::Meaning),
    ("Invalid environment expansion", Kind::Line),
    ("Invalid IdentityAgent", Kind::Meaning),
    ("Invalid ForwardAgent", Kind::Meaning),
    ("Invalid GlobalKnownHostsFiles", Kind::Meaning),
    ("Invalid UserKnownHostsFiles", Kind::Meaning),
    ("Invalid number of ConnectionAttempts", Kind::Meaning),
    ("jumphost loop", Kind::Meaning),
    ("inconsistent options", Kind::Meaning),
    ("Cannot fork into background", Kind::Meaning),
    ("ProxyCommand=- and ProxyUseFDPass", Kind::Meaning),
    ("Cannot execute command-line and remote", Kind::Meaning),
    ("is not a valid", Kind::Line),
];

/// The file and line of a complaint, in either of ssh's spellings.
fn place(line: &str) -> Option<(String, usize)> {
    let at = line.find(" line ")?;
    let number: String = line[at + 6..].chars().take_while(char::is_ascii_digit).collect();
    let file = line[..at].trim_end_matches(':');
    Some((file.to_owned(), number.parse().ok()?))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[test]
fn complaints_are_told_apart() {
    let told = |text: &str| {
        let refusal = refusal(text, "255");
        (refusal.kind, refusal.place.map(|(file, line)| format!("{file}:{line}")))
    };
    let at = |place: &str| Some(place.to_owned());
    assert_eq!(told("/c: line 3: Bad configuration option: x\n/c: terminating"), (Kind::Keyword, at("/c:3")));
    assert_eq!(told("/c line 2: Bad port '0'."), (Kind::Line, at("/c:2")));
    assert_eq!(
        told("Missing Match criteria for host\n/c line 1: Bad Match condition"),
        (Kind::Line, at("/c:1"))
    );
    assert_eq!(told("Bad owner or permissions on /c"), (Kind::Permissions, None));
    assert_eq!(told("what else"), (Kind::Other, None));
}
