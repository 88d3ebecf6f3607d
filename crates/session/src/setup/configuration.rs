//! The settings of a host without a connection to it: what `ssh -G` is for.

use std::time::Duration;

use rustle_ssh_config::{Defaults, Keyword, Origin, OsSource, Settings, Source, resolve};

use crate::algorithms::Algorithms;
use crate::error::Result;
use crate::options::TransportOptions;
use crate::setup::warning::{self, SetupWarning};
use crate::setup::{HostSetupBuilder, settings, unusable};

/// The settings in force for one host, in the form of `ssh -G`.
///
/// ```no_run
/// # fn example() -> rustle_session::Result<()> {
/// use rustle_session::HostSetup;
///
/// for setting in HostSetup::builder("web-1").settings()?.settings() {
///     println!("{} {}   # {}", setting.name(), setting.value(), setting.origin());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct HostSettings {
    settings: Vec<HostSetting>,
    warnings: Vec<SetupWarning>,
}

/// One value of one keyword.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSetting {
    name: String,
    value: String,
    origin: String,
}

impl HostSettings {
    /// The settings, in the order of `ssh -G`; keywords that add up have several, one after the other.
    #[must_use]
    pub fn settings(&self) -> &[HostSetting] {
        &self.settings
    }

    /// What a connection would not get, or why none would be made.
    #[must_use]
    pub fn warnings(&self) -> &[SetupWarning] {
        &self.warnings
    }
}

impl HostSetting {
    /// The keyword as `ssh -G` writes it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value as `ssh -G` writes it.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Where it came from: `file:line`, `command line` or `default`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl HostSetupBuilder {
    /// Reads the configuration and tells the settings, with this crate's own defaults and algorithms. What
    /// [`resolve`](Self::resolve) would refuse is a warning here. Blocks as `resolve` does.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration), with the file and line, for what cannot be
    /// understood.
    pub fn settings(&self) -> Result<HostSettings> {
        self.settings_from(&OsSource::new())
    }

    pub(crate) fn settings_from(&self, source: &dyn Source) -> Result<HostSettings> {
        let resolved = resolve(&self.query()?, &self.config_files(source)?, source);
        let resolved = resolved.map_err(|error| unusable(&error))?;
        let mut warnings = match warning::of(&resolved, self.forwards) {
            Ok(warnings) => warnings,
            Err(error) => vec![SetupWarning::of_refusal(&error)],
        };
        let algorithms = settings::algorithms(&resolved, &mut warnings)?;
        Ok(HostSettings { settings: told(&resolved, &algorithms, self.connect_timeout), warnings })
    }
}

/// The settings in force, in the order of `ssh -G`.
pub(super) fn told(
    resolved: &Settings,
    algorithms: &Algorithms,
    timeout: Option<Duration>,
) -> Vec<HostSetting> {
    let in_force = |keyword: Keyword| match keyword {
        Keyword::Ciphers => Some(algorithms.ciphers()),
        Keyword::HostKeyAlgorithms => Some(algorithms.host_keys()),
        Keyword::KexAlgorithms => Some(algorithms.kex()),
        Keyword::Macs => Some(algorithms.macs()),
        _ => None,
    };
    let told = resolved.printed(&defaults()).into_iter().map(|line| {
        let mut setting = HostSetting {
            name: line.name().to_owned(),
            value: line.value().to_owned(),
            origin: line.origin().to_string(),
        };
        if let Some(list) = in_force(line.keyword()) {
            setting.value = list.join(",");
        }
        if line.keyword() == Keyword::ConnectTimeout {
            // The deadline that was given goes before what the configuration says, and there always is one.
            let (timeout, origin) = match (timeout, resolved.connect_timeout()) {
                (Some(timeout), _) => (timeout, Origin::CommandLine),
                (None, Some(timeout)) => (timeout, line.origin().clone()),
                (None, None) => (TransportOptions::default().connect_timeout(), Origin::Default),
            };
            (setting.value, setting.origin) = (timeout.as_secs().to_string(), origin.to_string());
        }
        setting
    });
    told.collect()
}

/// This crate's own, where they are not ssh's.
fn defaults() -> Defaults {
    let transport = TransportOptions::default();
    let interval = transport.keepalive_interval().unwrap_or_default();
    Defaults::openssh()
        .with(Keyword::ServerAliveInterval, interval.as_secs().to_string())
        .with(Keyword::ServerAliveCountMax, transport.keepalive_max().to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustle_ssh_config::MemorySource;

    use super::*;
    use crate::algorithms::Algorithms;
    use crate::setup::HostSetup;

    fn told(builder: &HostSetupBuilder, config: &str) -> HostSettings {
        let source = MemorySource::new("alice", "/home/alice").file("/home/alice/.ssh/config", config);
        builder.settings_from(&source).unwrap()
    }

    fn value<'s>(settings: &'s HostSettings, name: &str) -> (&'s str, &'s str) {
        let setting = settings.settings().iter().find(|setting| setting.name() == name).unwrap();
        (setting.value(), setting.origin())
    }

    #[test]
    fn settings_are_told_with_their_places_and_this_crate_s_defaults() {
        let config = "Host web\n HostName web-1\n IdentityFile a\nHost *\n IdentityFile b\n";
        let settings = told(&HostSetup::builder("bob@web"), config);
        assert_eq!(value(&settings, "hostname"), ("web-1", "/home/alice/.ssh/config:2"));
        assert_eq!(value(&settings, "user"), ("bob", "command line"));
        assert_eq!(value(&settings, "connecttimeout"), ("10", "default"));
        assert_eq!(value(&settings, "serveraliveinterval"), ("30", "default"));
        assert_eq!(value(&settings, "ciphers").0, Algorithms::default().ciphers().join(","));
        let identities = settings.settings().iter().filter(|setting| setting.name() == "identityfile");
        let origins: Vec<_> = identities.map(HostSetting::origin).collect();
        assert_eq!(origins, ["/home/alice/.ssh/config:3", "/home/alice/.ssh/config:5"]);
        assert!(settings.warnings().is_empty());
    }

    #[test]
    fn algorithms_are_those_that_would_be_offered() {
        let settings = told(&HostSetup::builder("web"), "Ciphers aes256-ctr,aes128-ctr\nMACs -hmac-sha1*\n");
        assert_eq!(value(&settings, "ciphers"), ("aes256-ctr,aes128-ctr", "/home/alice/.ssh/config:1"));
        assert!(!value(&settings, "macs").0.contains("sha1"));
    }

    #[test]
    fn a_deadline_that_is_given_goes_first() {
        let builder = HostSetup::builder("web").connect_timeout(Duration::from_secs(3));
        let settings = told(&builder, "ConnectTimeout 60\n");
        assert_eq!(value(&settings, "connecttimeout"), ("3", "command line"));
        let settings = told(&HostSetup::builder("web"), "ConnectTimeout none\n");
        assert_eq!(value(&settings, "connecttimeout"), ("10", "default"));
    }

    #[test]
    fn what_would_be_refused_is_told_and_does_not_refuse() {
        let settings = told(&HostSetup::builder("web"), "XAuthLocation /x\nLocalForward 1 h:2\n");
        assert_eq!(settings.warnings().len(), 2);
        assert_eq!(value(&settings, "localforward"), ("1 [h]:2", "/home/alice/.ssh/config:2"));
        let refused = "ExitOnForwardFailure yes\nLocalForward 1 h:2\n";
        let settings = told(&HostSetup::builder("web"), refused);
        assert!(settings.warnings()[0].is_notice());
        assert!(settings.warnings()[0].to_string().contains("LocalForward cannot be made"));
    }
}
