//! The installed ssh is asked the same questions, and its `-G` is compared line by line.

mod cases;
mod generated;

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustle_ssh_config::{
    AddressFamily, ConfigError, ConfigFile, Defaults, ForwardTarget, FoundHost, Keyword, OsSource, Query,
    Settings, Source, SourceFile, resolve,
};

use crate::against_ssh::cases::{CASES, REFUSED};
use crate::against_ssh::generated::Random;

/// Keywords whose defaults differ from release to release, or from build to build.
const OF_THE_BUILD: [Keyword; 10] = [
    Keyword::Ciphers,
    Keyword::HostKeyAlgorithms,
    Keyword::HostbasedAcceptedAlgorithms,
    Keyword::KexAlgorithms,
    Keyword::CaSignatureAlgorithms,
    Keyword::Macs,
    Keyword::PubkeyAcceptedAlgorithms,
    Keyword::ForwardX11Trusted,
    Keyword::IpQos,
    Keyword::XAuthLocation,
];

/// Names that some versions of ssh try by default, of key types that they no longer or not yet all know.
const OTHER_DEFAULT_KEYS: [&str; 3] = ["~/.ssh/id_xmss", "~/.ssh/id_dsa", "~/.ssh/id_mldsa44_ed25519"];

/// This machine, with the home directory that ssh looks at: the account's.
struct Account;

impl Source for Account {
    fn read(&self, path: &str, limit: u64) -> io::Result<Option<SourceFile>> {
        OsSource.read(path, limit)
    }
    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        OsSource.list(directory)
    }
    fn env(&self, name: &str) -> Option<String> {
        OsSource.env(name)
    }
    fn home(&self, user: Option<&str>) -> Option<String> {
        OsSource.home(user.map(str::to_owned).or_else(|| OsSource.user()).as_deref())
    }
    fn user(&self) -> Option<String> {
        OsSource.user()
    }
    fn user_id(&self) -> Option<u32> {
        OsSource.user_id()
    }
    fn host(&self) -> Option<String> {
        OsSource.host()
    }
    fn run(&self, line: &str) -> io::Result<bool> {
        OsSource.run(line)
    }
    fn look_up(&self, name: &str, family: AddressFamily) -> io::Result<Option<FoundHost>> {
        OsSource.look_up(name, family)
    }
    fn interface_addresses(&self) -> io::Result<Vec<IpAddr>> {
        OsSource.interface_addresses()
    }
    fn ssh_version(&self) -> String {
        OsSource.ssh_version()
    }
    fn service_port(&self, name: &str) -> Option<u16> {
        OsSource.service_port(name)
    }
    fn system_directory(&self) -> String {
        OsSource.system_directory()
    }
}

/// Whether there is an ssh to compare with.
fn ssh_is_here(test: &str) -> bool {
    let version = Command::new("ssh").arg("-V").output();
    let usable =
        cfg!(unix) && version.as_ref().is_ok_and(|out| out.status.success()) && Account.home(None).is_some();
    match version {
        Ok(out) if usable => println!("compared with {}", String::from_utf8_lossy(&out.stderr).trim()),
        _ => println!("skipped: {test}: no ssh here"),
    }
    usable
}

fn ssh(config: &Path, host: &str, options: &[String]) -> Result<Vec<String>, String> {
    let mut command = Command::new("ssh");
    command.arg("-G").arg("-F").arg(config);
    for option in options {
        command.arg("-o").arg(option);
    }
    let out = command.arg("--").arg(host).env_remove("SSH_AUTH_SOCK").output().unwrap();
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into_owned());
    }
    Ok(String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect())
}

fn ours(config: &Path, host: &str, options: &[String]) -> Result<Settings, ConfigError> {
    let query = options.iter().fold(Query::new(host), |query, option| query.option(option.clone()));
    resolve(&query, &[ConfigFile::explicit(config.to_str().unwrap())], &Account)
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text.replace("DIR", dir.to_str().unwrap())).unwrap();
    path
}

/// The lines of the keywords that the table knows: distributors add some of their own.
fn known(lines: Vec<String>) -> Vec<String> {
    let names: Vec<String> = Keyword::ALL.iter().map(|keyword| keyword.name().to_ascii_lowercase()).collect();
    let of_ours = |line: &String| {
        let name = line.split(' ').next().unwrap().to_ascii_lowercase();
        names.contains(&name) && !OTHER_DEFAULT_KEYS.iter().any(|key| line.ends_with(key))
    };
    lines.into_iter().filter(of_ours).collect()
}

/// Ours, but for what ssh's release and its distributor decide.
fn defaults(dir: &Path) -> Defaults {
    let lines = ssh(&write(dir, "empty", ""), "web", &[]).unwrap();
    OF_THE_BUILD.into_iter().fold(Defaults::openssh(), |defaults, keyword| {
        let name = keyword.name().to_ascii_lowercase();
        let mut values = lines.iter().filter_map(|line| line.split_once(' ').filter(|(n, _)| *n == name));
        defaults.with(keyword, values.next().unwrap().1)
    })
}

fn assert_same(settings: &Settings, theirs: Vec<String>, defaults: &Defaults, what: &str) {
    let (ours, mut theirs) = (settings.lines(defaults), known(theirs));
    // ssh prints a forwarding to a Unix socket twice, the first time as one that it is not.
    for forward in settings.local_forwards() {
        if matches!(forward.target(), ForwardTarget::Unix(_)) {
            let line = format!("dynamicforward {}", forward.listen());
            let twice = theirs.iter().position(|their| *their == line);
            theirs.remove(twice.unwrap_or_else(|| panic!("{line}\n{what}")));
        }
    }
    let only = |these: &[String], those: &[String]| {
        these.iter().filter(|line| !those.contains(line)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(only(&ours, &theirs), only(&theirs, &ours), "\n{what}");
    assert_eq!(ours, theirs, "the order\n{what}");
}

#[test]
fn the_corpus_means_to_us_what_it_means_to_ssh() {
    if !ssh_is_here("the_corpus_means_to_us_what_it_means_to_ssh") {
        return;
    }
    for case in CASES {
        let dir = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> =
            case.files.iter().map(|(name, text)| write(dir.path(), name, text)).collect();
        let options: Vec<String> = case.options.iter().map(|option| (*option).to_owned()).collect();
        let what = case.files[0].1;
        let settings = ours(&files[0], case.host, &options).unwrap_or_else(|error| panic!("{error}\n{what}"));
        let theirs = ssh(&files[0], case.host, &options).unwrap_or_else(|error| panic!("{error}\n{what}"));
        assert_same(&settings, theirs, &defaults(dir.path()), what);
    }
}

#[test]
fn what_ssh_refuses_we_refuse() {
    if !ssh_is_here("what_ssh_refuses_we_refuse") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for text in REFUSED {
        let config = write(dir.path(), "config", text);
        assert!(ssh(&config, "web", &[]).is_err(), "ssh takes {text}");
        assert!(ours(&config, "web", &[]).is_err(), "we take {text}");
    }
}

#[test]
fn generated_files_mean_to_us_what_they_mean_to_ssh() {
    if !ssh_is_here("generated_files_mean_to_us_what_they_mean_to_ssh") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let defaults = defaults(dir.path());
    let mut random = Random(0x55_4801);
    for _ in 0..300 {
        let included = random.lines(4);
        write(dir.path(), "included", &included);
        let text = random.lines(12);
        let config = write(dir.path(), "config", &text);
        for host in ["web", "db.example.com"] {
            let what = format!("{host}\n{text}\nincluded:\n{included}");
            match (ours(&config, host, &[]), ssh(&config, host, &[])) {
                (Ok(settings), Ok(theirs)) => assert_same(&settings, theirs, &defaults, &what),
                (ours, theirs) => panic!("{ours:?}\n{theirs:?}\n{what}"),
            }
        }
    }
}
