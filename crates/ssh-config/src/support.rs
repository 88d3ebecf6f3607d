//! What follows from the table: which settings the engine does not act on, and what is said about them.

use crate::{ConfigError, ConfigErrorKind, Keyword, Settings, Support, Warning};

const FORWARDS: [Keyword; 3] = [Keyword::LocalForward, Keyword::RemoteForward, Keyword::DynamicForward];

impl Settings {
    /// What the configuration asks for and does not get, by the table of keywords: what the reading had to say,
    /// then a warning for each setting that is declined or ignored, in the table's order, and one for each
    /// forwarding. Values that ask for nothing are passed over.
    ///
    /// ```
    /// use rustle_ssh_config::{MemorySource, Query, resolve};
    ///
    /// let query = Query::new("web").option("XAuthLocation=/bin/xauth");
    /// let settings = resolve(&query, &[], &MemorySource::new("alice", "/home/alice"))?;
    /// let warnings = settings.supported()?;
    /// assert_eq!(warnings[0].to_string(), "command line: XAuthLocation: X11 is not forwarded");
    /// # Ok::<(), rustle_ssh_config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// [`ConfigErrorKind::NotSupported`] for a setting that is refused, and for a forwarding that is not made where
    /// `ExitOnForwardFailure` asks not to connect without it.
    pub fn supported(&self) -> Result<Vec<Warning>, ConfigError> {
        let mut warnings = self.supported_by_a_pool()?;
        let asked = self.options.marks.iter().filter(|(_, mark)| !mark.neutral);
        for (keyword, mark) in asked.filter(|(keyword, _)| !FORWARDS.contains(keyword)) {
            if let Support::Pooled(reason) = keyword.support() {
                warnings.push(Warning::new(mark.origin.clone(), keyword.name(), reason));
            }
        }
        self.forwards_supported(&mut warnings)?;
        Ok(warnings)
    }

    /// The same for a pool of connections, which makes the forwardings.
    ///
    /// # Errors
    /// [`ConfigErrorKind::NotSupported`] for a setting that is refused.
    pub fn supported_by_a_pool(&self) -> Result<Vec<Warning>, ConfigError> {
        let asked = self.options.marks.iter().filter(|(_, mark)| !mark.neutral);
        let asked: Vec<_> = asked.map(|(keyword, mark)| (*keyword, &mark.origin)).collect();
        for (keyword, origin) in &asked {
            if let Support::Refused(reason) = keyword.support() {
                let message = format!("{keyword} is not supported: {reason}");
                return Err(ConfigError::new(ConfigErrorKind::NotSupported, message).at(origin));
            }
        }
        let mut warnings = self.warnings().to_vec();
        for (keyword, origin) in asked {
            match keyword.support() {
                Support::Declined(reason) => {
                    warnings.push(Warning::new(origin.clone(), keyword.name(), reason).notice());
                }
                Support::Ignored(reason) => {
                    warnings.push(Warning::new(origin.clone(), keyword.name(), reason));
                }
                _ => {}
            }
        }
        Ok(warnings)
    }

    fn forwards_supported(&self, warnings: &mut Vec<Warning>) -> Result<(), ConfigError> {
        let lists = [self.local_forwards(), self.remote_forwards(), self.dynamic_forwards()];
        for (keyword, forwards) in FORWARDS.into_iter().zip(lists) {
            let Support::Pooled(reason) = keyword.support() else { continue };
            for forward in forwards {
                if self.exit_on_forward_failure() {
                    let message = format!(
                        "{keyword} cannot be made by a single connection, and ExitOnForwardFailure asks not to connect without \
                         it; have a pool connect, or give -o ClearAllForwardings=yes to connect all the same"
                    );
                    let error = ConfigError::new(ConfigErrorKind::NotSupported, message);
                    return Err(error.at(forward.origin()));
                }
                warnings.push(Warning::new(forward.origin().clone(), keyword.name(), reason).notice());
            }
        }
        Ok(())
    }
}
