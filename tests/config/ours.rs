//! Our own reading of the same files, in the world that ssh sees.

use std::io;
use std::net::IpAddr;

use rustle_session::Target;
use rustle_ssh_config::{
    AddressFamily, ConfigError, ConfigErrorKind, ConfigFile, Defaults, FoundHost, Keyword, Origin, OsSource,
    Query, Source, SourceFile, resolve,
};

use crate::answer::{Answer, Kind, Refusal};
use crate::files::{HOME, SYSTEM, Written};
use crate::theirs::{Account, HOSTS};

/// What our reader says of a question.
pub(crate) fn answer(question: &Written, account: &Account, defaults: &Defaults) -> Answer {
    let source = InItsWorld { question, account };
    let files = match question.main() {
        Some(main) => vec![ConfigFile::explicit(main.to_str().unwrap())],
        None => ConfigFile::defaults(&source).unwrap(),
    };
    match query(question).and_then(|query| resolve(&query, &files, &source).map_err(|error| refusal(&error)))
    {
        Ok(settings) => Answer::Settings(settings.lines(defaults)),
        Err(refusal) => Answer::Refused(refusal),
    }
}

/// The defaults that builds and versions of ssh have of their own, by what the installed one prints for an empty file.
/// All others have to be ours.
pub(crate) fn defaults_of(empty: &Answer) -> Defaults {
    let Answer::Settings(lines) = empty else { panic!("ssh refuses an empty file: {empty:?}") };
    let own = [
        Keyword::Ciphers,
        Keyword::HostKeyAlgorithms,
        Keyword::HostbasedAcceptedAlgorithms,
        Keyword::KexAlgorithms,
        Keyword::CaSignatureAlgorithms,
        Keyword::Macs,
        Keyword::PubkeyAcceptedAlgorithms,
        Keyword::ForwardX11Trusted,
        Keyword::XAuthLocation,
        Keyword::IpQos,
        Keyword::SecurityKeyProvider,
    ];
    own.into_iter().fold(Defaults::openssh(), |defaults, keyword| {
        let is_it = |(name, _): &(&str, &str)| name.eq_ignore_ascii_case(keyword.name());
        match lines.iter().filter_map(|line| line.split_once(' ')).find(is_it) {
            Some((_, value)) => defaults.with(keyword, value),
            None => defaults,
        }
    })
}

/// The command line of ssh as a query.
fn query(question: &Written) -> Result<Query, Refusal> {
    let target = Target::parse(&question.question.host).map_err(|error| Refusal {
        kind: Kind::Name,
        place: None,
        text: error.to_string(),
    })?;
    let mut query = Query::new(target.host());
    // The first word on user and port counts, wherever it stands, and the destination is the last.
    let (mut has_user, mut has_port) = (false, false);
    let mut args = question.args.iter();
    while let Some(arg) = args.next() {
        let value = args.next().unwrap_or_else(|| panic!("{arg} has no value")).as_str();
        query = match arg.as_str() {
            "-o" => {
                let keyword = value.split([' ', '=', '\t']).next().unwrap_or_default().to_ascii_lowercase();
                has_user |= keyword == "user";
                has_port |= keyword == "port";
                query.option(value)
            }
            "-l" if !std::mem::replace(&mut has_user, true) => query.user(value),
            "-p" if !std::mem::replace(&mut has_port, true) => query.port(value.parse().unwrap()),
            "-l" | "-p" => query,
            "-i" => query.identity_file(value),
            other => panic!("the suite does not know ssh's {other}"),
        };
    }
    if let Some(user) = target.user().filter(|_| !has_user) {
        query = query.user(user);
    }
    Ok(match target.port().filter(|_| !has_port) {
        Some(port) => query.port(port),
        None => query,
    })
}

fn refusal(error: &ConfigError) -> Refusal {
    let kind = match error.kind() {
        ConfigErrorKind::UnknownKeyword => Kind::Keyword,
        ConfigErrorKind::Syntax => Kind::Line,
        ConfigErrorKind::InvalidValue => Kind::Meaning,
        ConfigErrorKind::BadPermissions => Kind::Permissions,
        ConfigErrorKind::Unreadable => Kind::File,
        // Too many files within files; too many values are as any that do not fit.
        ConfigErrorKind::TooLarge if error.to_string().contains("Include") => Kind::Depth,
        ConfigErrorKind::TooLarge => Kind::Line,
        ConfigErrorKind::InvalidName => Kind::Name,
        ConfigErrorKind::Outside if error.to_string().contains("the name service") => Kind::Name,
        _ => Kind::Other,
    };
    let place = match error.origin() {
        Some(Origin::File { path, line }) => Some((path.to_string(), *line)),
        Some(Origin::CommandLine) => Some(("command-line".to_owned(), 0)),
        _ => None,
    };
    Refusal { kind, place, text: error.to_string() }
}

/// This machine, but for what the suite's world has of its own.
struct InItsWorld<'a> {
    question: &'a Written,
    account: &'a Account,
}

impl InItsWorld<'_> {
    /// Where a file lies whose name is as in the suite's world; `None` where that has no such file.
    fn place(&self, path: &str) -> Option<String> {
        let below = |folder: &str| {
            let rest = path.strip_prefix(folder)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
        };
        if let Some(rest) = below(&format!("{}/.ssh", self.account.home)) {
            return self.question.has(HOME).then(|| format!("{}{rest}", self.question.home().display()));
        }
        if let Some(rest) = below("/etc/ssh") {
            return self.question.has(SYSTEM).then(|| format!("{}{rest}", self.question.system().display()));
        }
        (below(&self.account.home).is_none()).then(|| path.to_owned())
    }
}

impl Source for InItsWorld<'_> {
    fn read(&self, path: &str, limit: u64) -> io::Result<Option<SourceFile>> {
        self.place(path).map_or(Ok(None), |path| OsSource.read(&path, limit))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.place(directory).map_or(Ok(Vec::new()), |directory| OsSource.list(&directory))
    }

    fn env(&self, name: &str) -> Option<String> {
        if name == "HOME" {
            return Some(self.account.home.clone());
        }
        let env = &self.question.question.env;
        env.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    fn home(&self, user: Option<&str>) -> Option<String> {
        match user {
            None => Some(self.account.home.clone()),
            Some(user) if user == self.account.user => Some(self.account.home.clone()),
            Some(other) => OsSource.home(Some(other)),
        }
    }

    fn user(&self) -> Option<String> {
        Some(self.account.user.clone())
    }

    fn user_id(&self) -> Option<u32> {
        Some(self.account.id)
    }

    fn host(&self) -> Option<String> {
        Some(self.account.machine.clone())
    }

    fn run(&self, line: &str) -> io::Result<bool> {
        OsSource.run(line)
    }

    fn look_up(&self, name: &str, family: AddressFamily) -> io::Result<Option<FoundHost>> {
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_it = |known: &str| known.eq_ignore_ascii_case(name);
        // All of them have addresses of version 4 only.
        let found = HOSTS
            .iter()
            .filter(|_| family != AddressFamily::Inet6)
            .find(|(_, canonical, others)| is_it(canonical) || others.iter().any(|other| is_it(other)));
        Ok(found.map(|(_, canonical, _)| FoundHost::new().canonical_name(*canonical)))
    }

    fn interface_addresses(&self) -> io::Result<Vec<IpAddr>> {
        Ok(vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([192, 0, 2, 99])])
    }

    fn system_directory(&self) -> String {
        "/etc/ssh".to_owned()
    }
}
