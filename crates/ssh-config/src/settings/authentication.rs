//! What there is to log in with, and in which order.

use crate::settings::{FileSetting, Settings, unless_none};
use crate::{AddKeysToAgent, AlgorithmList, ForwardAgent, IdentityAgent, PubkeyAuthentication};

impl Settings {
    /// IdentityFile, in order, without `none`; the usual names by default.
    #[must_use]
    pub fn identity_files(&self) -> &[FileSetting] {
        &self.identity_files
    }

    /// CertificateFile, in order.
    #[must_use]
    pub fn certificate_files(&self) -> &[FileSetting] {
        &self.certificate_files
    }

    /// IdentitiesOnly; no by default.
    #[must_use]
    pub fn identities_only(&self) -> bool {
        self.options.identities_only.unwrap_or(false)
    }

    /// IdentityAgent; the one in `SSH_AUTH_SOCK` by default.
    #[must_use]
    pub fn identity_agent(&self) -> &IdentityAgent {
        &self.identity_agent
    }

    /// AddKeysToAgent; no by default.
    #[must_use]
    pub fn add_keys_to_agent(&self) -> AddKeysToAgent {
        self.options.add_keys_to_agent.unwrap_or(AddKeysToAgent::NO)
    }

    /// ForwardAgent; no by default.
    #[must_use]
    pub fn forward_agent(&self) -> &ForwardAgent {
        &self.forward_agent
    }

    /// PKCS11Provider: the library of a token; none by default.
    #[must_use]
    pub fn pkcs11_provider(&self) -> Option<&str> {
        unless_none(self.options.pkcs11_provider.as_ref())
    }

    /// SecurityKeyProvider: the library for security keys; `internal`, ssh's own, by default, `None` for `none`.
    #[must_use]
    pub fn security_key_provider(&self) -> Option<&str> {
        match &self.options.security_key_provider {
            None => Some("internal"),
            written => unless_none(written.as_ref()),
        }
    }

    /// PreferredAuthentications: the methods in this order; `None` leaves the default order.
    #[must_use]
    pub fn preferred_authentications(&self) -> Option<impl Iterator<Item = &str>> {
        self.options
            .preferred_authentications
            .as_deref()
            .map(|list| list.split(',').filter(|name| !name.is_empty()))
    }

    /// PubkeyAuthentication; yes by default.
    #[must_use]
    pub fn pubkey_authentication(&self) -> PubkeyAuthentication {
        self.options.pubkey_authentication.unwrap_or(PubkeyAuthentication::Yes)
    }

    /// PasswordAuthentication; yes by default.
    #[must_use]
    pub fn password_authentication(&self) -> bool {
        self.options.password_authentication.unwrap_or(true)
    }

    /// KbdInteractiveAuthentication; yes by default.
    #[must_use]
    pub fn kbd_interactive_authentication(&self) -> bool {
        self.options.kbd_interactive_authentication.unwrap_or(true)
    }

    /// KbdInteractiveDevices: a list for the server; its own choice by default.
    #[must_use]
    pub fn kbd_interactive_devices(&self) -> Option<&str> {
        self.options.kbd_interactive_devices.as_deref()
    }

    /// NumberOfPasswordPrompts; 3 by default.
    #[must_use]
    pub fn number_of_password_prompts(&self) -> u32 {
        self.options.number_of_password_prompts.unwrap_or(3)
    }

    /// BatchMode: whether nobody is there to be asked; no by default.
    #[must_use]
    pub fn batch_mode(&self) -> bool {
        self.options.batch_mode.unwrap_or(false)
    }

    /// HostbasedAuthentication; no by default.
    #[must_use]
    pub fn hostbased_authentication(&self) -> bool {
        self.options.hostbased_authentication.unwrap_or(false)
    }

    /// HostbasedAcceptedAlgorithms; `None` leaves the defaults.
    #[must_use]
    pub fn hostbased_accepted_algorithms(&self) -> Option<&AlgorithmList> {
        self.options.hostbased_accepted_algorithms.as_ref()
    }

    /// EnableSSHKeysign: whether the helper of host-based authentication may be used; no by default.
    #[must_use]
    pub fn enable_ssh_keysign(&self) -> bool {
        self.options.enable_ssh_keysign.unwrap_or(false)
    }

    /// GSSAPIAuthentication; no by default.
    #[must_use]
    pub fn gssapi_authentication(&self) -> bool {
        self.options.gssapi_authentication.unwrap_or(false)
    }

    /// GSSAPIDelegateCredentials; no by default.
    #[must_use]
    pub fn gssapi_delegate_credentials(&self) -> bool {
        self.options.gssapi_delegate_credentials.unwrap_or(false)
    }
}
