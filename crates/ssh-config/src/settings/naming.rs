//! Names: how a short one becomes a canonical one.

use crate::settings::Settings;
use crate::{CanonicalizeHostname, CnameRule};

impl Settings {
    /// CanonicalizeHostname; no by default.
    #[must_use]
    pub fn canonicalize_hostname(&self) -> CanonicalizeHostname {
        self.options.canonicalize_hostname.unwrap_or(CanonicalizeHostname::No)
    }

    /// CanonicalDomains: the domains in which a short name is looked for; none by default.
    #[must_use]
    pub fn canonical_domains(&self) -> &[String] {
        self.options.canonical_domains.as_deref().unwrap_or_default()
    }

    /// CanonicalizeMaxDots: how many dots a name may have and still be completed; 1 by default.
    #[must_use]
    pub fn canonicalize_max_dots(&self) -> u32 {
        self.options.canonicalize_max_dots.unwrap_or(1)
    }

    /// CanonicalizeFallbackLocal: whether a name that is in none of the domains is left to the system; yes by
    /// default.
    #[must_use]
    pub fn canonicalize_fallback_local(&self) -> bool {
        self.options.canonicalize_fallback_local.unwrap_or(true)
    }

    /// CanonicalizePermittedCNAMEs: which aliases of the name service are followed; none by default.
    #[must_use]
    pub fn canonicalize_permitted_cnames(&self) -> &[CnameRule] {
        self.options.canonicalize_permitted_cnames.as_deref().unwrap_or_default()
    }
}
