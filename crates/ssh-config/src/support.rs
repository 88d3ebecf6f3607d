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
    /// [`ConfigErrorKind::NotSupported`] for a setting that is refused, and for a forwarding that is declined where
    /// `ExitOnForwardFailure` asks not to connect without it.
    pub fn supported(&self) -> Result<Vec<Warning>, ConfigError> {
        let asked = self.options.marks.iter().filter(|(_, mark)| !mark.neutral);
        let asked: Vec<_> = asked.map(|(keyword, mark)| (*keyword, &mark.origin)).collect();
        for (keyword, origin) in &asked {
            if let Support::Refused(reason) = keyword.support() {
                let message = format!("{keyword} is not supported: {reason}");
                return Err(ConfigError::new(ConfigErrorKind::NotSupported, message).at(origin));
            }
        }
        let mut warnings = self.warnings().to_vec();
        for (keyword, origin) in asked.into_iter().filter(|(keyword, _)| !FORWARDS.contains(keyword)) {
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
        self.forwards_supported(&mut warnings)?;
        Ok(warnings)
    }

    fn forwards_supported(&self, warnings: &mut Vec<Warning>) -> Result<(), ConfigError> {
        let lists = [self.local_forwards(), self.remote_forwards(), self.dynamic_forwards()];
        for (keyword, forwards) in FORWARDS.into_iter().zip(lists) {
            let Support::Declined(reason) = keyword.support() else { continue };
            for forward in forwards {
                if self.exit_on_forward_failure() {
                    let message = format!(
                        "{keyword} cannot be made, and ExitOnForwardFailure asks not to connect without it; \
                         give -o ClearAllForwardings=yes to connect all the same"
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
