//! The reading of files: blocks, includes, and what to do with each keyword.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::Arc;

use crate::args::MAX_NAME;
use crate::canonical::Names;
use crate::conditions::{self, Outside, Subject};
use crate::expand::{self, ALL_TOKENS, Expansion, Facts};
use crate::keyword::{Lookup, lookup};
use crate::lexer::{self, Line};
use crate::options::{Mark, Options};
use crate::pattern::matches_list;
use crate::query::Role;
use crate::remembered::Remembered;
use crate::validate::{valid_hostname, valid_user};
use crate::{
    CanonicalizeHostname, ConfigError, ConfigErrorKind, ConfigFile, Keyword, Origin, Query, Settings, Source,
    Standing, Warning, glob,
};

/// ssh's own limit on Include within Include.
const MAX_DEPTH: usize = 16;
/// ssh has no limit on these. A file of 8 MiB, a line of 64 KiB or 4,096 files to include are mistakes, and
/// Include can multiply: sixteen levels of ten files each would never end.
const MAX_FILE: u64 = 8 << 20;
const MAX_LINE: usize = 64 << 10;
const MAX_INCLUDES: usize = 4_096;
const MAX_TOTAL: u64 = 16 << 20;
/// Names that IgnoreUnknown is asked about; each of them is compared with all of its patterns.
const MAX_UNKNOWN: usize = 1_024;
/// As many as anybody reads. What is more is counted.
const MAX_WARNINGS: usize = 100;
/// Directories that the wildcards of all Includes may list, and commands that all Match lines may run.
const MAX_LISTINGS: usize = 16_384;
const MAX_COMMANDS: usize = 1_024;

/// Tells the settings of one host from the options of the query and these files, in this order.
///
/// # Errors
/// A [`ConfigError`] with file and line, for what cannot be read or understood. What is understood and not done is
/// told by [`Settings::supported`].
pub fn resolve(query: &Query, files: &[ConfigFile], source: &dyn Source) -> Result<Settings, ConfigError> {
    check_names(query)?;
    let source = &Remembered::new(source);
    let mut engine = Engine {
        source,
        alias: &query.host,
        user: query.user.as_deref(),
        command: query.command.as_deref(),
        host: query.host.clone(),
        final_pass: false,
        wants_final_pass: false,
        options: Options::default(),
        warnings: Vec::new(),
        more_warnings: 0,
        ignored: HashMap::new(),
        includes: 0,
        listings: MAX_LISTINGS,
        outside: Outside::new(MAX_COMMANDS),
        read: 0,
    };
    engine.command_line(query)?;
    let before = engine.more_warnings;
    engine.files(files)?;
    let of_files = engine.more_warnings - before;
    engine.settle_host()?;
    if engine.wants_final_pass {
        // Lines that are read twice are counted once.
        engine.more_warnings -= of_files;
        engine.final_pass = true;
        engine.options.host_name = Some(engine.host.clone());
        engine.options.settle_canonical();
        (engine.includes, engine.read) = (0, 0);
        engine.files(files)?;
    }
    engine.finish()
}

fn check_names(query: &Query) -> Result<(), ConfigError> {
    let invalid = |what: &str, name: &str| {
        let message = format!(
            "the {what} name {name:?} is empty or has characters that no {what} name has; check how it was typed"
        );
        ConfigError::new(ConfigErrorKind::InvalidName, message)
    };
    let longest = query.host.len().max(query.user.as_ref().map_or(0, String::len));
    if longest > MAX_NAME {
        let message = format!("a name of {longest} bytes: hosts and users have {MAX_NAME} at most");
        return Err(ConfigError::new(ConfigErrorKind::TooLarge, message));
    }
    if !valid_hostname(&query.host) {
        return Err(invalid("host", &query.host));
    }
    match &query.user {
        Some(user) if !valid_user(user) => Err(invalid("user", user)),
        _ => Ok(()),
    }
}

struct Engine<'a> {
    source: &'a dyn Source,
    alias: &'a str,
    user: Option<&'a str>,
    command: Option<&'a str>,
    /// What `Host` patterns are compared with: the alias, and in the final pass the name to connect to.
    host: String,
    final_pass: bool,
    wants_final_pass: bool,
    options: Options,
    warnings: Vec<Warning>,
    more_warnings: usize,
    /// Unknown keywords, and whether IgnoreUnknown has them.
    ignored: HashMap<String, bool>,
    includes: usize,
    listings: usize,
    outside: Outside,
    read: u64,
}

/// Where in the files we are.
struct Place<'a> {
    path: Arc<str>,
    role: Role,
    depth: usize,
    /// Whether nothing here can apply, because the Include stands in a block that does not.
    dead: bool,
    /// Whether the current block applies.
    applies: &'a mut bool,
}

impl Engine<'_> {
    fn command_line(&mut self, query: &Query) -> Result<(), ConfigError> {
        let origin = Origin::CommandLine;
        self.options.user.clone_from(&query.user);
        self.options.port = query.port;
        self.options.tag.clone_from(&query.tag);
        for (keyword, given) in [
            (Keyword::User, query.user.is_some()),
            (Keyword::Port, query.port.is_some()),
            (Keyword::Tag, query.tag.is_some()),
        ] {
            if given {
                self.options.marks.insert(keyword, Mark { origin: origin.clone(), neutral: false });
            }
        }
        for file in &query.identity_files {
            self.options.push_file(Keyword::IdentityFile, file.clone(), &origin, true)?;
        }
        for option in &query.options {
            let line = lexer::line(option.as_bytes()).map_err(|message| syntax(message).at(&origin))?;
            let Some(line) = line else {
                return Err(syntax("an option is empty: write KEYWORD=VALUE").at(&origin));
            };
            if let Lookup::Known(keyword @ (Keyword::Host | Keyword::Match | Keyword::Include)) =
                lookup(&line.keyword.to_ascii_lowercase())
            {
                return Err(syntax(format!("{keyword} can stand in a file only")).at(&origin));
            }
            self.keyword(&line, &origin, &mut None).map_err(|error| error.at(&origin))?;
        }
        Ok(())
    }

    fn files(&mut self, files: &[ConfigFile]) -> Result<(), ConfigError> {
        for file in files {
            let mut applies = true;
            let place = Place {
                path: file.path.as_str().into(),
                role: file.role,
                depth: 0,
                dead: false,
                applies: &mut applies,
            };
            let found = self.file(place)?;
            if !found && file.role == Role::Explicit {
                let message = format!("{}: there is no such configuration file; check the name", file.path);
                return Err(ConfigError::new(ConfigErrorKind::Unreadable, message));
            }
        }
        Ok(())
    }

    /// Reads one file; false when there is none.
    fn file(&mut self, place: Place<'_>) -> Result<bool, ConfigError> {
        let path = Arc::clone(&place.path);
        let file = match self.source.read(&path, MAX_FILE) {
            Ok(file) => file,
            // Wildcards find directories too, and ssh reads one as an empty file.
            Err(error) if place.depth > 0 && error.kind() == ErrorKind::IsADirectory => return Ok(true),
            Err(error) => {
                let message = format!("{path}: cannot be read; check its permissions");
                return Err(ConfigError::new(ConfigErrorKind::Unreadable, message).because(error));
            }
        };
        let Some(file) = file else {
            return Ok(false);
        };
        // As ssh: the user's own file and every included one; not a file named by hand, nor the system's.
        if place.role == Role::User || place.depth > 0 {
            self.check_standing(&path, file.standing())?;
        }
        let size = file.bytes().len() as u64;
        self.read = self.read.saturating_add(size);
        if size > MAX_FILE || self.read > MAX_TOTAL {
            let message = format!(
                "{path}: more than {} MiB of configuration, or {} MiB with what it includes",
                MAX_FILE >> 20,
                MAX_TOTAL >> 20
            );
            return Err(ConfigError::new(ConfigErrorKind::TooLarge, message));
        }
        let mut place = Some(place);
        for (index, text) in file.bytes().split(|&b| b == b'\n').enumerate() {
            let origin = Origin::File { path: Arc::clone(&path), line: index + 1 };
            if text.len() > MAX_LINE {
                let message = format!("a line of more than {} KiB", MAX_LINE >> 10);
                return Err(ConfigError::new(ConfigErrorKind::TooLarge, message).at(&origin));
            }
            let line = lexer::line(text).map_err(|message| syntax(message).at(&origin))?;
            if let Some(line) = line {
                self.keyword(&line, &origin, &mut place).map_err(|error| error.at(&origin))?;
            }
        }
        Ok(true)
    }

    fn check_standing(&mut self, path: &str, standing: Standing) -> Result<(), ConfigError> {
        let wrong = match standing {
            Standing::Trusted => return Ok(()),
            Standing::Unchecked => {
                let message = "its permissions are not examined on this system";
                self.warn(Warning::new(Origin::Default, path, message));
                return Ok(());
            }
            Standing::WritableByOthers => "others may write to it; run `chmod go-w` on it",
            Standing::OtherOwner => "it belongs to another user; it must be yours or root's",
        };
        Err(ConfigError::new(ConfigErrorKind::BadPermissions, format!("{path}: {wrong}")))
    }

    /// One line. `place` is `None` for an option of the query.
    fn keyword(
        &mut self,
        line: &Line<'_>,
        origin: &Origin,
        place: &mut Option<Place<'_>>,
    ) -> Result<(), ConfigError> {
        let name = line.keyword.to_ascii_lowercase();
        let applies = place.as_ref().is_none_or(|place| *place.applies);
        let keyword = match lookup(&name) {
            Lookup::Known(keyword) => keyword,
            Lookup::WithoutMeaning(reason) => {
                if applies {
                    self.warn(Warning::new(origin.clone(), &line.keyword, reason));
                }
                return Ok(());
            }
            Lookup::Unknown => return self.unknown(line, &name),
        };
        match (keyword, place) {
            (Keyword::Host, Some(place)) => {
                *place.applies = conditions::host(&line.args, &self.host)? && !place.dead;
                Ok(())
            }
            (Keyword::Match, Some(place)) => {
                *place.applies = self.matches(line, place.dead)?;
                Ok(())
            }
            (Keyword::Include, Some(place)) => self.include(line, place),
            (Keyword::RefuseConnection, _) if applies => {
                let said = line.args.first().map(|arg| String::from_utf8_lossy(arg).into_owned());
                let message = format!("RefuseConnection: {:?}", said.unwrap_or_default());
                Err(ConfigError::new(ConfigErrorKind::Refused, message))
            }
            _ => self.options.take(keyword, line, origin, applies, self.source),
        }
    }

    fn unknown(&mut self, line: &Line<'_>, name: &str) -> Result<(), ConfigError> {
        if let Some(list) = &self.options.ignore_unknown {
            let room = self.ignored.len() < MAX_UNKNOWN && name.len() <= MAX_NAME;
            let ignored = match self.ignored.get(name) {
                Some(ignored) => *ignored,
                None if room => {
                    let list = list.to_ascii_lowercase();
                    let message = "IgnoreUnknown: too many patterns for so many unknown keywords; write fewer, or shorter ones";
                    self.options.compared.count(name.len(), list.len(), message)?;
                    let ignored = matches_list(name.as_bytes(), list.as_bytes());
                    self.ignored.insert(name.to_owned(), ignored);
                    ignored
                }
                None => {
                    let message = format!(
                        "more than {MAX_UNKNOWN} unknown keywords, or one of more than {MAX_NAME} bytes; is this a configuration of ssh?"
                    );
                    return Err(ConfigError::new(ConfigErrorKind::TooLarge, message));
                }
            };
            if ignored {
                return Ok(());
            }
        }
        let message = format!(
            "Bad configuration option: {:?}; correct it, or name it in IgnoreUnknown before this line",
            line.keyword
        );
        Err(ConfigError::new(ConfigErrorKind::UnknownKeyword, message))
    }

    fn matches(&mut self, line: &Line<'_>, dead: bool) -> Result<bool, ConfigError> {
        let facts = self.facts().map_err(host_name_error)?;
        let local_user = self.source.user();
        let subject = Subject {
            facts: &facts,
            local_user: local_user.as_deref(),
            tag: self.options.tag.as_deref().unwrap_or_default(),
            command: self.command.unwrap_or_default(),
            session_type: self.options.session_type,
            final_pass: self.final_pass,
            dead,
            source: self.source,
            outside: &self.outside,
        };
        let matched = conditions::matches(&line.args, &subject)?;
        self.wants_final_pass |= matched.wants_final_pass;
        Ok(matched.applies)
    }

    /// What is known so far, for the tokens of Include and Match exec.
    fn facts(&self) -> Result<Facts, String> {
        let host = match &self.options.host_name {
            Some(name) if self.final_pass => name.clone(),
            Some(name) => expand::host_name(name, self.alias)?,
            None => self.host.clone(),
        };
        let mut facts = Facts::gather(self.alias, self.source);
        facts.port = self.options.port.unwrap_or(22);
        facts.user = self.options.user.clone().or_else(|| self.source.user()).unwrap_or_default();
        facts.key_alias = self.options.host_key_alias.clone().unwrap_or_else(|| host.clone());
        facts.jump_host = self.options.last_jump().map(|jump| jump.host().to_owned()).unwrap_or_default();
        facts.host = host;
        if facts.host.len() > MAX_NAME {
            return Err(format!("it expands to more than {MAX_NAME} bytes"));
        }
        Ok(facts)
    }

    fn include(&mut self, line: &Line<'_>, place: &mut Place<'_>) -> Result<(), ConfigError> {
        if place.depth >= MAX_DEPTH {
            let message = format!(
                "Include goes more than {MAX_DEPTH} files deep; look for a file that includes itself"
            );
            return Err(ConfigError::new(ConfigErrorKind::TooLarge, message));
        }
        for arg in &line.args {
            let bad = |message: String| {
                ConfigError::new(ConfigErrorKind::InvalidValue, format!("Include: {message}"))
            };
            let text = std::str::from_utf8(arg).map_err(|_| bad("the name is not UTF-8".to_owned()))?;
            if text.is_empty() {
                return Err(bad("the name is empty".to_owned()));
            }
            // As to ssh, the files of a user whom nobody knows are files that are not there.
            let Some(pattern) = self.include_pattern(text, place.role).map_err(bad)? else {
                self.count_include()?;
                continue;
            };
            let paths = match glob::expand(&pattern, self.source, MAX_INCLUDES, &mut self.listings) {
                Ok(paths) => paths,
                Err(error) => {
                    let message = format!(
                        "Include: {pattern:?} cannot be searched; check the permissions of the directory"
                    );
                    return Err(ConfigError::new(ConfigErrorKind::Unreadable, message).because(error));
                }
            };
            let before = *place.applies;
            for path in paths {
                self.count_include()?;
                let included = Place {
                    path: path.as_str().into(),
                    role: place.role,
                    depth: place.depth + 1,
                    dead: !before,
                    applies: &mut *place.applies,
                };
                let found = self.file(included)?;
                // A block in the included file ends with it.
                *place.applies = before;
                if !found && glob::lists_names(&pattern) {
                    let message = format!("Include: {path:?} is gone, or its name is not UTF-8");
                    return Err(ConfigError::new(ConfigErrorKind::Unreadable, message));
                }
            }
        }
        Ok(())
    }

    /// Counts what an Include names, and what it leads to.
    fn count_include(&mut self) -> Result<(), ConfigError> {
        self.includes += 1;
        if self.includes > MAX_INCLUDES {
            let message = format!("Include leads to more than {MAX_INCLUDES} files");
            return Err(ConfigError::new(ConfigErrorKind::TooLarge, message));
        }
        Ok(())
    }

    /// The whole path: a relative one is in `~/.ssh`, or beside the system's file. `None` below the home of a user whom
    /// nobody knows.
    fn include_pattern(&self, text: &str, role: Role) -> Result<Option<String>, String> {
        let facts = self.facts()?;
        let text = expand::text_of(text, &facts, Expansion::value(ALL_TOKENS, self.source))?;
        let absolute = text.starts_with('/') || std::path::Path::new(&text).is_absolute();
        if text.starts_with('~') && role == Role::System {
            return Err(format!("{text:?} begins with ~, which the system's file must not"));
        }
        let of_nobody = text
            .strip_prefix('~')
            .and_then(|rest| rest.split('/').next())
            .is_some_and(|user| !user.is_empty() && self.source.home(Some(user)).is_none());
        if of_nobody {
            Ok(None)
        } else if absolute || text.starts_with('~') {
            expand::tilde(&text, self.source).map(Some)
        } else if role == Role::System {
            Ok(Some(format!("{}/{text}", self.source.system_directory())))
        } else {
            expand::tilde(&format!("~/.ssh/{text}"), self.source).map(Some)
        }
    }

    fn warn(&mut self, warning: Warning) {
        if self.warnings.contains(&warning) {
            return;
        }
        if self.warnings.len() < MAX_WARNINGS {
            self.warnings.push(warning);
        } else {
            self.more_warnings += 1;
        }
    }

    /// The name to connect to: HostName with its token, made canonical where the configuration says so.
    fn settle_host(&mut self) -> Result<(), ConfigError> {
        let mark = self.options.marks.get(&Keyword::HostName);
        let origin = mark.map_or(Origin::Default, |mark| mark.origin.clone());
        let name = match &self.options.host_name {
            Some(name) => {
                expand::host_name(name, self.alias).map_err(|message| host_name_error(message).at(&origin))?
            }
            None => self.alias.to_owned(),
        };
        if !valid_hostname(&name) {
            let message = format!("HostName: {name:?} has characters that no host name has");
            return Err(ConfigError::new(ConfigErrorKind::InvalidName, message).at(&origin));
        }
        let mut names = Names { options: &self.options, source: self.source, warnings: Vec::new() };
        self.host = names.settle(name)?;
        let warnings = names.warnings;
        warnings.into_iter().for_each(|warning| self.warn(warning));
        let canonicalizes =
            !matches!(self.options.canonicalize_hostname, None | Some(CanonicalizeHostname::No));
        self.wants_final_pass |= canonicalizes;
        Ok(())
    }

    fn finish(mut self) -> Result<Settings, ConfigError> {
        if self.more_warnings > 0 {
            let message = format!("and {} lines more of which something could be said", self.more_warnings);
            self.warnings.push(Warning::new(Origin::Default, "warnings", message));
        }
        let mut facts = Facts::gather(self.alias, self.source);
        // A name that was typed as one has no tokens.
        facts.user = self.user.unwrap_or_default().to_owned();
        Settings::new(self.host, facts, self.options, self.command, self.warnings, self.source)
    }
}

fn syntax(message: impl Into<String>) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Syntax, message)
}

fn host_name_error(message: impl std::fmt::Display) -> ConfigError {
    ConfigError::new(ConfigErrorKind::InvalidValue, format!("HostName: {message}"))
}
