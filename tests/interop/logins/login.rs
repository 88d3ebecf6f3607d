//! One row: a configuration, files and a destination, and how a login with them ends.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::site::Site;

/// How long a program may take: a login takes a second or two where the machine is busy.
const LIMIT: Duration = Duration::from_secs(120);

/// A login as ssh makes it, and where ours differs from that.
#[derive(Debug, Clone)]
pub(super) struct Login {
    name: String,
    lines: String,
    base: Base,
    port: u16,
    options: Vec<String>,
    destination: String,
    files: Vec<(String, Vec<u8>)>,
    is_taken: bool,
    otherwise: Otherwise,
    folder: PathBuf,
}

/// Whether the key that opens the servers stands in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    WithKey,
    WithoutKey,
}

/// Whether ours does otherwise than ssh, and in what.
#[derive(Debug, Clone)]
pub(super) enum Otherwise {
    Never,
    /// ssh gets in, and ours does not, because of the host.
    Stricter(&'static str),
    /// Ours gets in, and not as ssh does.
    More(More),
}

/// What ours does that ssh does not, and what a file of the row's folder has in it then.
#[derive(Debug, Clone)]
pub(super) struct More {
    pub(super) reason: &'static str,
    pub(super) file: &'static str,
    pub(super) text: String,
}

/// Who logs in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Program<'a> {
    Ssh,
    Ours(&'a Path),
}

/// How a login ended.
#[derive(Debug)]
pub(super) struct Ending {
    way: Way,
    printed: String,
    /// What is in the files of the row, salts aside.
    files: BTreeMap<String, Vec<String>>,
    has_changed_files: bool,
    said: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    /// Because of the host's key.
    HostRefused,
    /// Because of who asks.
    UserRefused,
    /// Nobody was reached, or the configuration is no good.
    Failed,
    /// It ran for longer than [`LIMIT`].
    CutOff,
}

impl Login {
    /// A login to `web`, a name for the plain server, which nobody knows.
    pub(super) fn new(site: &Site, name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            lines: String::new(),
            base: Base::WithKey,
            port: site.plain_port(),
            options: Vec::new(),
            destination: "web".to_owned(),
            files: Vec::new(),
            is_taken: true,
            otherwise: Otherwise::Never,
            folder: site.folder_of_a_row(),
        }
    }

    /// Lines for the top of the configuration; `DIR` is the row's folder.
    pub(super) fn lines(mut self, lines: &str) -> Self {
        self.lines.push_str(lines);
        self.lines.push('\n');
        self
    }

    /// No key stands in the configuration but those of its lines.
    pub(super) fn with_keys_of_its_own(mut self) -> Self {
        self.base = Base::WithoutKey;
        self
    }

    /// The server at another port.
    pub(super) fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Arguments that both programs know, before the destination.
    pub(super) fn options(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().map(|option| (*option).to_owned()));
        self
    }

    pub(super) fn to(mut self, destination: impl Into<String>) -> Self {
        self.destination = destination.into();
        self
    }

    /// A file in the row's folder; a folder, where the name ends in a slash.
    pub(super) fn file(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.to_owned(), content.into()));
        self
    }

    /// The file of known hosts.
    pub(super) fn known(self, content: impl Into<Vec<u8>>) -> Self {
        self.file("known_hosts", content)
    }

    /// ssh does not get in, and neither does ours.
    pub(super) fn refused(mut self) -> Self {
        self.is_taken = false;
        self
    }

    /// ssh gets in, and ours does not.
    pub(super) fn stricter(mut self, reason: &'static str) -> Self {
        self.otherwise = Otherwise::Stricter(reason);
        self
    }

    /// Ours gets in, and not as ssh does.
    pub(super) fn more(mut self, more: More) -> Self {
        self.otherwise = Otherwise::More(more);
        self
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_taken_by_ssh(&self) -> bool {
        self.is_taken
    }

    pub(super) fn otherwise(&self) -> &Otherwise {
        &self.otherwise
    }

    /// Makes its folder anew, logs in, and looks.
    pub(super) fn ending(&self, site: &Site, program: Program<'_>) -> Ending {
        let folder = self.folder.as_path();
        let _ = fs::remove_dir_all(folder);
        fs::create_dir(folder).unwrap();
        for (name, content) in &self.files {
            match name.strip_suffix('/') {
                Some(name) => fs::create_dir(folder.join(name)).unwrap(),
                None => fs::write(folder.join(name), content).unwrap(),
            }
        }
        let config = folder.join("config");
        fs::write(&config, self.configuration(site, folder)).unwrap();
        let before = files(folder, site);
        let output = output_within(LIMIT, &mut self.command(site, program, &config));
        let files = files(folder, site);
        let has_changed_files = files != before;
        let ending = output.map_or_else(Ending::cut_off, |output| Ending::of(program, &output));
        Ending { has_changed_files, files, ..ending }
    }

    fn configuration(&self, site: &Site, folder: &Path) -> String {
        let key = match self.base {
            Base::WithKey => format!("  IdentityFile {}\n", site.key().path().display()),
            Base::WithoutKey => String::new(),
        };
        let text = format!(
            "{}Host web\n  HostName 127.0.0.1\nHost *\n  Port {}\n  User {}\n{key}  IdentitiesOnly yes\n  \
             IdentityAgent none\n  UserKnownHostsFile DIR/known_hosts\n  GlobalKnownHostsFile none\n",
            self.lines,
            self.port,
            site.user(),
        );
        text.replace("DIR", &folder.display().to_string())
    }

    fn command(&self, site: &Site, program: Program<'_>, config: &Path) -> Command {
        const LINE: &str = "echo in $LAB";
        let mut command = Command::new(match program {
            Program::Ssh => Path::new("ssh"),
            Program::Ours(path) => path,
        });
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", site.folder().path());
        command.env("SSH_AUTH_SOCK", site.agent().socket()).env("LAB_KEYS", site.folder().path());
        let to = [self.destination.as_str()];
        match program {
            Program::Ssh => command.arg("-F").arg(config),
            Program::Ours(_) => command.args(["--format", "json", "--config"]).arg(config),
        };
        command.args(["-o", "BatchMode=yes"]).args(&self.options);
        match program {
            Program::Ssh => command.args(to).arg(LINE),
            Program::Ours(_) => command.arg("exec").args(to).args(["--", LINE]),
        };
        command
    }
}

impl Ending {
    fn of(program: Program<'_>, output: &Output) -> Self {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let says = |parts: &[&str]| parts.iter().any(|part| said.contains(part));
        let (host, user) = match program {
            Program::Ssh => (
                says(&["Host key verification failed", "Bad server host key", "KnownHostsCommand failed"]),
                says(&["Permission denied (", "Too many authentication failures"]),
            ),
            Program::Ours(_) => (
                says(&["\"code\":\"SSH_HOST_KEY"]),
                says(&["\"code\":\"SSH_AUTH_FAILED\"", "\"code\":\"SSH_KEY_ERROR\""]),
            ),
        };
        let way = match (output.status.success(), host, user) {
            (true, ..) => Way::In,
            (_, true, _) => Way::HostRefused,
            (.., true) => Way::UserRefused,
            _ => Way::Failed,
        };
        let printed = match (program, serde_json::from_slice::<serde_json::Value>(&output.stdout)) {
            (Program::Ours(_), Ok(told)) => told["stdout"].as_str().unwrap_or_default().to_owned(),
            _ => String::from_utf8_lossy(&output.stdout).into_owned(),
        };
        Self { way, printed, files: BTreeMap::new(), has_changed_files: false, said }
    }

    fn cut_off() -> Self {
        Self {
            way: Way::CutOff,
            printed: String::new(),
            files: BTreeMap::new(),
            has_changed_files: false,
            said: format!("(did not end in {} s)", LIMIT.as_secs()),
        }
    }

    pub(super) fn is_in(&self) -> bool {
        self.way == Way::In
    }

    pub(super) fn is_about_host(&self) -> bool {
        self.way == Way::HostRefused
    }

    pub(super) fn is_cut_off(&self) -> bool {
        self.way == Way::CutOff
    }

    /// Whether a file of the row's folder has just this in it.
    pub(super) fn has(&self, file: &str, text: &str) -> bool {
        self.files.get(file).is_some_and(|lines| lines.iter().map(String::as_str).eq(text.split('\n')))
    }

    pub(super) fn has_changed_files(&self) -> bool {
        self.has_changed_files
    }
}

impl PartialEq for Ending {
    fn eq(&self, other: &Self) -> bool {
        (self.way, &self.printed, &self.files) == (other.way, &other.printed, &other.files)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}, printed {:?}", self.way, self.printed)?;
        for (name, lines) in &self.files {
            for line in lines.iter().filter(|_| name != "config") {
                writeln!(f, "  {name}: {}", line.chars().take(200).collect::<String>())?;
            }
        }
        write!(f, "  said: {}", self.said.trim().chars().take(1200).collect::<String>())
    }
}

/// What a program left; `None` where it had to be killed.
fn output_within(limit: Duration, command: &mut Command) -> Option<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let until = Instant::now() + limit;
    let left = || until.saturating_duration_since(Instant::now());
    let (stdout, stderr) = (all_of(child.stdout.take().unwrap()), all_of(child.stderr.take().unwrap()));
    // Both end with the program; what it left running may hold them open.
    if let (Ok(stdout), Ok(stderr)) = (stdout.recv_timeout(left()), stderr.recv_timeout(left())) {
        while !left().is_zero() {
            if let Some(status) = child.try_wait().unwrap() {
                return Some(Output { status, stdout, stderr });
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

fn all_of(mut stream: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        // Nobody waits for it any more where the program was cut off.
        let _ = sender.send(bytes);
    });
    receiver
}

/// The lines of each file in a folder and in the folders below, with hashed names as they are unhashed.
fn files(folder: &Path, site: &Site) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            let below = files(&path, site).into_iter();
            found.extend(below.map(|(file, lines)| (format!("{name}/{file}"), lines)));
        }
        let bytes = if path.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        let text = String::from_utf8_lossy(&bytes);
        found.insert(name, text.split('\n').map(|line| unhashed(line, site)).collect());
    }
    found
}

/// The line, its hashed name replaced by the one it stands for, if that is one of the site's.
fn unhashed(line: &str, site: &Site) -> String {
    let hashed = || {
        let (hashed, rest) = line.strip_prefix("|1|")?.split_once(' ')?;
        let (salt, hash) = hashed.split_once('|')?;
        let (salt, hash) = (Base64::decode_vec(salt).ok()?, Base64::decode_vec(hash).ok()?);
        let name = site.names().into_iter().find(|name| {
            let mut code = Hmac::<Sha1>::new_from_slice(&salt).unwrap();
            code.update(name.as_bytes());
            code.verify_slice(&hash).is_ok()
        })?;
        Some(format!("|1|{name} {rest}"))
    };
    hashed().unwrap_or_else(|| line.to_owned())
}

/// A hashed name as it stands in a file.
pub(super) fn hashed(name: &str) -> String {
    let salt = [7; 20];
    let mut code = Hmac::<Sha1>::new_from_slice(&salt).unwrap();
    code.update(name.as_bytes());
    let hash = code.finalize().into_bytes();
    format!("|1|{}|{}", Base64::encode_string(&salt), Base64::encode_string(&hash))
}
