//! The settings in the format of `ssh -G`.

use std::fmt::Display;

use crate::{IdentityAgent, Settings};

impl Settings {
    /// The settings as `ssh -G` prints them: a line each of a keyword in lower case and its value. Keywords that
    /// are no settings here have no line, and algorithm lists have one only where they are set.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Lines(Vec::new());
        let yes_no = |yes| if yes { "yes" } else { "no" };
        lines.put("host", self.alias());
        lines.put("user", self.user());
        lines.put("hostname", self.hostname());
        lines.put("port", self.port());
        lines.put("addressfamily", self.address_family());
        lines.put("batchmode", yes_no(self.batch_mode()));
        lines.put("hashknownhosts", yes_no(self.hash_known_hosts()));
        lines.put("identitiesonly", yes_no(self.identities_only()));
        lines.put("kbdinteractiveauthentication", yes_no(self.kbd_interactive_authentication()));
        lines.put("passwordauthentication", yes_no(self.password_authentication()));
        lines.put("pubkeyauthentication", self.pubkey_authentication());
        lines.put("requesttty", self.request_tty());
        lines.put("stricthostkeychecking", self.strict_host_key_checking());
        lines.put("tcpkeepalive", yes_no(self.tcp_keep_alive()));
        lines.put("connectionattempts", self.connection_attempts());
        lines.put("numberofpasswordprompts", self.number_of_password_prompts());
        lines.put("serveralivecountmax", self.server_alive_count_max());
        lines.put("serveraliveinterval", self.server_alive_interval().unwrap_or_default().as_secs());
        lines.put("requiredrsasize", self.required_rsa_size());
        for (keyword, list) in [
            ("ciphers", self.ciphers()),
            ("hostkeyalgorithms", self.host_key_algorithms()),
            ("kexalgorithms", self.kex_algorithms()),
            ("casignaturealgorithms", self.ca_signature_algorithms()),
            ("macs", self.macs()),
            ("pubkeyacceptedalgorithms", self.pubkey_accepted_algorithms()),
        ] {
            lines.put_some(keyword, list);
        }
        lines.put_some("hostkeyalias", self.host_key_alias());
        match self.identity_agent() {
            IdentityAgent::None => lines.put("identityagent", "none"),
            IdentityAgent::Path(path) => lines.put("identityagent", path),
            IdentityAgent::Environment(_) => {
                lines.put_some("identityagent", self.options.identity_agent.as_deref())
            }
        }
        lines.put("loglevel", self.log_level());
        lines.put_some("preferredauthentications", self.options.preferred_authentications.as_deref());
        // As written, and `none` too.
        match self.options.identity_files.as_slice() {
            [] => self.identity_files().iter().for_each(|file| lines.put("identityfile", file.written())),
            written => written.iter().for_each(|(file, _)| lines.put("identityfile", file)),
        }
        self.options.certificate_files.iter().for_each(|(file, _)| lines.put("certificatefile", file));
        for (keyword, files) in [
            ("globalknownhostsfile", self.global_known_hosts_files()),
            ("userknownhostsfile", self.user_known_hosts_files()),
        ] {
            lines.put(keyword, if files.is_empty() { "none".to_owned() } else { files.join(" ") });
        }
        self.send_env().iter().for_each(|name| lines.put("sendenv", name));
        self.set_env().iter().for_each(|(name, value)| lines.put("setenv", format!("{name}={value}")));
        match self.options.connect_timeout {
            Some(timeout) => lines.put("connecttimeout", timeout.as_secs()),
            None => lines.put("connecttimeout", "none"),
        }
        let rekey = self.rekey_limit();
        let interval = rekey.interval().unwrap_or_default().as_secs();
        lines.put("rekeylimit", format!("{} {interval}", rekey.bytes().unwrap_or_default()));
        lines.0
    }
}

struct Lines(Vec<String>);

impl Lines {
    fn put(&mut self, keyword: &str, value: impl Display) {
        self.0.push(format!("{keyword} {value}"));
    }

    fn put_some(&mut self, keyword: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.put(keyword, value);
        }
    }
}
