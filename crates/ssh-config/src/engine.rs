//! The reading of files: blocks, includes, and what to do with each keyword.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::Arc;

use crate::conditions::{self, Subject};
use crate::expand::{self, Facts};
use crate::keyword::{Lookup, lookup};
use crate::lexer::{self, Line};
use crate::options::Options;
use crate::pattern::matches_list;
use crate::query::Role;
use crate::validate::{valid_hostname, valid_user};
use crate::{
    ConfigError, ConfigErrorKind, ConfigFile, Keyword, Origin, Query, Settings, Source, Standing, Support,
    Warning, glob,
};

/// ssh's own limit on Include within Include.
const MAX_DEPTH: usize = 16;
/// ssh has no limit on these. A file of 16 MiB, a line of 64 KiB or 4,096 files to include are mistakes, and
/// Include can multiply: sixteen levels of ten files each would never end.
const MAX_FILE: u64 = 16 << 20;
const MAX_LINE: usize = 64 << 10;
const MAX_INCLUDES: usize = 4_096;
const MAX_TOTAL: u64 = 64 << 20;

/// Tells the settings of one host from the options of the query and these files, in this order.
///
/// # Errors
/// A [`ConfigError`] with file and line: for what cannot be read or understood, and for what must not be ignored.
pub fn resolve(query: &Query, files: &[ConfigFile], source: &dyn Source) -> Result<Settings, ConfigError> {
    check_names(query)?;
    let mut engine = Engine {
        source,
        alias: &query.host,
        host: query.host.clone(),
        final_pass: false,
        wants_final_pass: false,
        options: Options::default(),
        warnings: Vec::new(),
        decided: BTreeSet::new(),
        refused: Vec::new(),
        forwards: Forwards::default(),
        includes: 0,
        read: 0,
    };
    engine.command_line(query)?;
    engine.files(files)?;
    engine.settle_host()?;
    if engine.wants_final_pass {
        engine.final_pass = true;
        engine.options.host_name = Some(engine.host.clone());
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
    /// What `Host` patterns are compared with: the alias, and in the final pass the name to connect to.
    host: String,
    final_pass: bool,
    wants_final_pass: bool,
    options: Options,
    warnings: Vec<Warning>,
    /// Keywords of the table whose first value was seen.
    decided: BTreeSet<Keyword>,
    refused: Vec<(Keyword, &'static str, Origin)>,
    forwards: Forwards,
    includes: usize,
    read: u64,
}

/// Forwardings that are asked for and not made, and whether that may be.
#[derive(Default)]
struct Forwards {
    warnings: Vec<Warning>,
    cleared: Option<bool>,
    required: Option<bool>,
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
                self.options.origins.insert(keyword, origin.clone());
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
            let message = format!("{path}: more than {} MiB of configuration", MAX_FILE >> 20);
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
                *place.applies = !place.dead && self.matches(line)?;
                Ok(())
            }
            (Keyword::Include, Some(place)) => self.include(line, place),
            (Keyword::RefuseConnection, _) if applies => {
                let said = line.args.first().map(|arg| String::from_utf8_lossy(arg).into_owned());
                let message = format!("RefuseConnection: {:?}", said.unwrap_or_default());
                Err(ConfigError::new(ConfigErrorKind::Refused, message))
            }
            _ => match keyword.support() {
                Support::Parsed | Support::Evaluated => self.options.take(keyword, line, origin, applies),
                Support::Refused(reason) if applies => {
                    self.refuse(keyword, reason, line, origin);
                    Ok(())
                }
                Support::Ignored(reason) if applies => {
                    self.ignore(keyword, reason, line, origin);
                    Ok(())
                }
                _ => Ok(()),
            },
        }
    }

    fn unknown(&mut self, line: &Line<'_>, name: &str) -> Result<(), ConfigError> {
        if self
            .options
            .ignore_unknown
            .as_ref()
            .is_some_and(|list| matches_list(name.as_bytes(), &list.to_ascii_lowercase()))
        {
            return Ok(());
        }
        let message = format!(
            "Bad configuration option: {:?}; correct it, or name it in IgnoreUnknown before this line",
            line.keyword
        );
        Err(ConfigError::new(ConfigErrorKind::UnknownKeyword, message))
    }

    fn matches(&mut self, line: &Line<'_>) -> Result<bool, ConfigError> {
        let host = match &self.options.host_name {
            Some(name) if self.final_pass => name.clone(),
            Some(name) => expand::host_name(name, self.alias, self.source).map_err(host_name_error)?,
            None => self.host.clone(),
        };
        let local_user = self.source.user();
        let user = self.options.user.as_deref().or(local_user.as_deref()).unwrap_or_default();
        let subject = Subject {
            host: &host,
            alias: self.alias,
            user,
            local_user: local_user.as_deref(),
            tag: self.options.tag.as_deref().unwrap_or_default(),
            final_pass: self.final_pass,
        };
        let matched = conditions::matches(&line.args, &subject)?;
        self.wants_final_pass |= matched.wants_final_pass;
        Ok(matched.applies)
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
            let pattern = self.include_pattern(text, place.role).map_err(bad)?;
            let paths = match glob::expand(&pattern, self.source, MAX_INCLUDES) {
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
                self.includes += 1;
                if self.includes > MAX_INCLUDES {
                    let message = format!("Include leads to more than {MAX_INCLUDES} files");
                    return Err(ConfigError::new(ConfigErrorKind::TooLarge, message));
                }
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
                if !found && path != pattern {
                    let message = format!("Include: {path:?} is gone, or its name is not UTF-8");
                    return Err(ConfigError::new(ConfigErrorKind::Unreadable, message));
                }
            }
        }
        Ok(())
    }

    /// The whole path: a relative one is in `~/.ssh`, or beside the system's file.
    fn include_pattern(&self, text: &str, role: Role) -> Result<String, String> {
        let host = match &self.options.host_name {
            Some(name) if !self.final_pass => expand::host_name(name, self.alias, self.source)?,
            Some(name) => name.clone(),
            None => self.host.clone(),
        };
        let local_user = self.source.user().unwrap_or_default();
        let facts = Facts {
            source: self.source,
            alias: self.alias,
            host: &host,
            port: self.options.port.unwrap_or(22),
            user: self.options.user.as_deref().unwrap_or(&local_user),
            host_key_alias: self.options.host_key_alias.as_deref().or(Some(&host)),
        };
        let text = expand::tokens_and_env(text, expand::PATH_TOKENS, &facts)?;
        let absolute = text.starts_with('/') || std::path::Path::new(&text).is_absolute();
        if text.starts_with('~') && role == Role::System {
            return Err(format!("{text:?} begins with ~, which the system's file must not"));
        }
        if absolute || text.starts_with('~') {
            expand::tilde(&text, self.source)
        } else if role == Role::System {
            Ok(format!("{}/{text}", self.source.system_directory()))
        } else {
            expand::tilde(&format!("~/.ssh/{text}"), self.source)
        }
    }

    fn refuse(&mut self, keyword: Keyword, reason: &'static str, line: &Line<'_>, origin: &Origin) {
        // The first of ProxyJump and ProxyCommand wins over the other, except that `ProxyJump none` leaves
        // ProxyCommand in force.
        let other = match keyword {
            Keyword::ProxyJump => self.decided.contains(&Keyword::ProxyCommand),
            Keyword::ProxyCommand => self.refused.iter().any(|(keyword, ..)| *keyword == Keyword::ProxyJump),
            _ => false,
        };
        if !other && self.decided.insert(keyword) && !is_neutral(keyword, line) {
            self.refused.push((keyword, reason, origin.clone()));
        }
    }

    fn ignore(&mut self, keyword: Keyword, reason: &'static str, line: &Line<'_>, origin: &Origin) {
        let warning = Warning::new(origin.clone(), keyword.name(), reason);
        let yes = line
            .args
            .first()
            .is_some_and(|arg| arg.eq_ignore_ascii_case(b"yes") || arg.eq_ignore_ascii_case(b"true"));
        match keyword {
            Keyword::LocalForward | Keyword::RemoteForward | Keyword::DynamicForward => {
                if !self.forwards.warnings.contains(&warning) {
                    self.forwards.warnings.push(warning);
                }
                return;
            }
            Keyword::ClearAllForwardings => _ = self.forwards.cleared.get_or_insert(yes),
            Keyword::ExitOnForwardFailure => _ = self.forwards.required.get_or_insert(yes),
            _ => {}
        }
        if self.decided.insert(keyword) && !is_neutral(keyword, line) {
            self.warn(warning);
        }
    }

    fn warn(&mut self, warning: Warning) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// The name to connect to: HostName with its token, in lower case unless it is an address.
    fn settle_host(&mut self) -> Result<(), ConfigError> {
        let origin = self.options.origins.get(&Keyword::HostName).cloned().unwrap_or(Origin::Default);
        let name = match &self.options.host_name {
            Some(name) => expand::host_name(name, self.alias, self.source)
                .map_err(|message| host_name_error(message).at(&origin))?,
            None => self.alias.to_owned(),
        };
        if !valid_hostname(&name) {
            let message = format!("HostName: {name:?} has characters that no host name has");
            return Err(ConfigError::new(ConfigErrorKind::InvalidName, message).at(&origin));
        }
        let address = name.contains(':') || name.parse::<std::net::Ipv4Addr>().is_ok();
        self.host = if address { name } else { name.to_ascii_lowercase() };
        Ok(())
    }

    fn finish(mut self) -> Result<Settings, ConfigError> {
        if let Some((keyword, reason, origin)) = self.refused.first() {
            let message = format!("{keyword} is not supported: {reason}");
            return Err(ConfigError::new(ConfigErrorKind::NotSupported, message).at(origin));
        }
        if self.forwards.cleared != Some(true) {
            if let (Some(true), Some(forward)) = (self.forwards.required, self.forwards.warnings.first()) {
                let message = format!(
                    "{} cannot be made, and ExitOnForwardFailure asks not to connect without it; \
                     give -o ClearAllForwardings=yes to connect all the same",
                    forward.subject()
                );
                return Err(ConfigError::new(ConfigErrorKind::NotSupported, message).at(forward.origin()));
            }
            let forwards = std::mem::take(&mut self.forwards.warnings);
            self.warnings.extend(forwards);
        }
        Settings::new(self.alias.to_owned(), self.host, self.options, self.warnings, self.source)
    }
}

fn is_neutral(keyword: Keyword, line: &Line<'_>) -> bool {
    match line.args.as_slice() {
        _ if keyword.takes_rest_of_line() => keyword.is_neutral(line.rest),
        [only] => keyword.is_neutral(only),
        _ => false,
    }
}

fn syntax(message: impl Into<String>) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Syntax, message)
}

fn host_name_error(message: impl std::fmt::Display) -> ConfigError {
    ConfigError::new(ConfigErrorKind::InvalidValue, format!("HostName: {message}"))
}
