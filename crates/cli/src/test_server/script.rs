//! `--script FILE.toml`: how the server is to be, as docs/test-server.md describes it.
//!
//! A key that is not known is an error with its place. What the file leaves out is as without a script.

mod bytes;
mod complaint;
mod fault;
mod forward;
mod host_certificate;
mod limits;
mod named;
mod personality;
mod reply;
mod secret;
mod server;
mod sftp;
mod units;
mod user;

use std::path::Path;

use rustle_testserver::{Builder, OneTimeCodes, TestServer};
use serde::Deserialize;
use zeroize::Zeroizing;

use self::forward::ForwardKeys;
use self::host_certificate::Certificate;
use self::limits::LimitKeys;
use self::personality::Personality;
use self::server::{AlgorithmKeys, HostKey};
use self::sftp::SftpKeys;
use crate::failure::Failure;

pub(super) use self::complaint::in_json;
pub(super) use self::fault::Fault;
pub(super) use self::named::Named;
pub(super) use self::personality::Abilities;
pub(super) use self::reply::{Command, What};
pub(super) use self::server::NetworkKeys;
pub(super) use self::units::Time;
pub(super) use self::user::{User, authorized_keys};

/// The largest file that is read: a script is written by hand, and longer output belongs into `--real-shell`.
const LARGEST: u64 = 16 * 1024 * 1024;

/// The file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Script {
    #[serde(default)]
    personality: Personality,
    seed: Option<u64>,
    banner: Option<String>,
    identification: Option<String>,
    builtins: Option<bool>,
    shell: Option<bool>,
    #[serde(default)]
    expect_commands: bool,
    accept_env: Option<Vec<String>>,
    startup_noise: Option<String>,
    startup_noise_stderr: Option<String>,
    #[serde(default)]
    host_keys: Vec<HostKey>,
    host_certificate: Option<Certificate>,
    #[serde(default)]
    algorithms: AlgorithmKeys,
    #[serde(default)]
    limits: LimitKeys,
    #[serde(default)]
    network: NetworkKeys,
    #[serde(default)]
    sftp: SftpKeys,
    #[serde(default)]
    forwards: ForwardKeys,
    #[serde(default)]
    users: Vec<User>,
    #[serde(default)]
    commands: Vec<Command>,
    #[serde(default)]
    faults: Vec<Fault>,
}

/// What a script makes of a server, and whom it lets in.
pub(super) struct Setup {
    pub(super) builder: Builder,
    pub(super) abilities: Abilities,
    /// The names of the script's users; none if it has none.
    pub(super) users: Vec<String>,
    /// Those of them who have codes.
    pub(super) codes: Vec<(String, OneTimeCodes)>,
}

impl Script {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or is not a script: the message has the line and the column.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let place = path.display();
        let refused = |error| Failure::io(format!("the script {place} cannot be read"), &error);
        // A file named by mistake may be of any size.
        let length = std::fs::metadata(path).map_err(refused)?.len();
        if length > LARGEST {
            return Err(Failure::new(
                complaint::CODE,
                format!("the script {place} has {length} bytes, more than {LARGEST}"),
            ));
        }
        // There may be passwords in it. (The parser's own copies are not wiped.)
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(refused)?);
        toml::from_str(&text).map_err(|error| complaint::in_script(path, &text, &error))
    }

    /// The server that it describes. Paths in it are relative to `folder`.
    ///
    /// # Errors
    /// A file that it names cannot be read, or one of its tables asks for what another rules out.
    pub(super) fn setup(self, folder: &Path) -> Result<Setup, Failure> {
        self.personality.check(&self)?;
        let abilities = Abilities::of(&self);
        for fault in &self.faults {
            abilities.check(complaint::CODE, fault)?;
        }
        let mut builder = TestServer::builder();
        if let Some(seed) = self.seed {
            builder = builder.seed(seed);
        }
        if let Some(banner) = self.banner {
            builder = builder.banner(banner);
        }
        if let Some(line) = self.identification {
            builder = builder.identification(line);
        }
        if self.builtins.unwrap_or(true) {
            builder = builder.builtins();
        }
        if self.shell.unwrap_or(false) {
            builder = builder.shell();
        }
        if self.expect_commands {
            builder = builder.expect_commands();
        }
        if let Some(names) = self.accept_env {
            builder = builder.accept_env(names);
        }
        if let Some(noise) = self.startup_noise {
            builder = builder.startup_noise(noise);
        }
        if let Some(noise) = self.startup_noise_stderr {
            builder = builder.startup_noise_stderr(noise);
        }
        builder = self.algorithms.apply(builder, &self.host_keys)?;
        for key in self.host_keys {
            builder = key.apply(builder, folder)?;
        }
        if let Some(certificate) = self.host_certificate {
            builder = certificate.apply(builder, folder)?;
        }
        builder = self.personality.apply(builder, self.limits.messages_between_rekeys());
        builder = self.limits.apply(builder);
        builder = self.network.apply(builder);
        builder = self.sftp.apply(builder, folder);
        builder = self.forwards.apply(builder, self.personality);
        let mut users = Vec::new();
        let mut codes = Vec::new();
        for user in self.users {
            let name = user.name().to_owned();
            codes.extend(user.codes().map(|codes| (name.clone(), codes)));
            users.push(name);
            builder = builder.user(user.into_user(Some(folder))?);
        }
        for command in self.commands {
            builder = command.apply(builder);
        }
        for fault in self.faults {
            builder = builder.fault(fault.into_fault());
        }
        Ok(Setup { builder, abilities, users, codes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let error = toml::from_str::<Script>(text).err().expect("a script that should be refused");
        let failure = complaint::in_script(Path::new("s.toml"), text, &error);
        failure.lines().into_iter().map(|(label, line)| format!("{label}: {line}\n")).collect()
    }

    #[test]
    fn an_unknown_key_is_told_with_its_place_and_the_nearest_name() {
        let told = refusal("seed = 1\n\n[[users]]\nname = \"a\"\n  pasword = \"b\"\n");
        assert!(told.starts_with("error: s.toml:5:3: there is no key `pasword` here\n"), "{told}");
        assert!(told.contains("hint: did you mean `password`? known here: "), "{told}");
        let told = refusal("[network]\nzzz = 1\n");
        assert!(told.contains("s.toml:2:1: there is no key `zzz` here"), "{told}");
        assert!(told.contains("hint: known here: round_trip, jitter, rate, rate_to_client, rate_to_server, queue, loss_one_in, loss_recovery"), "{told}");
        let told = refusal("[[faults]]\nkind = \"cutt\"\n");
        assert!(told.contains("s.toml:2:8: there is no `cutt` here\nhint: did you mean `cut`?"), "{told}");
    }

    #[test]
    fn what_contradicts_itself_is_told_with_its_place() {
        for (text, told) in [
            ("[[commands]]\nstdout = \"x\"\n", "one of `exact`, `pattern` and `login_shell`"),
            ("[[commands]]\nexact = \"a\"\npattern = \"b\"\n", "one of `exact`, `pattern` and `login_shell`"),
            ("[[commands]]\nexact = \"a\"\nexit = 1\nsignal = \"TERM\"\n", "ends in one way"),
            ("[[commands]]\nexact = \"a\"\nsignal_message = \"b\"\n", "`signal_message` needs `signal`"),
            ("[[commands]]\nexact = \"a\"\nstdout = \"\"\nstdout_base64 = \"\"\n", "`stdout_base64`"),
            ("[[commands]]\nexact = \"a\"\nstderr_base64 = \"?\"\n", "is not base64"),
            ("[[users]]\npassword = \"x\"\n", "the key `name` is missing"),
            ("[[users]]\nname = \"a\"\npassword = \"x\"\npassword_file = \"y\"\n", "`password_file`"),
            ("[[users]]\nname = \"a\"\npassword_expired = true\n", "need `password` or `password_file`"),
            ("[[users]]\nname = \"a\"\npassword = \"\"\npassword_from_attempt = 0\n", "counted from 1"),
            (
                "[[users]]\nname = \"a\"\npassword = \"\"\npassword_from_attempt = 2\npassword_expired = true\n",
                "not both",
            ),
            (
                "[[users]]\nname = \"a\"\none_time_codes = [\"1\"]\nrounds = [{}]\n",
                "keyboard-interactive asks for one thing",
            ),
            ("[[users]]\nname = \"a\"\nrounds = [{ prompts = [{ text = \"?\" }] }]\n", "`any_answer` = true"),
            ("[[users]]\nname = \"a\"\ntimed_codes = { seed = 1, step = \"0s\" }\n", "longer than no time"),
            (
                "[[users]]\nname = \"a\"\none_time_codes = [\"1\"]\ntimed_codes = { seed = 1, step = \"1s\" }\n",
                "keyboard-interactive asks for one thing",
            ),
            ("[host_certificate]\n", "a `file` or `principals`"),
            ("[host_certificate]\nfile = \"a\"\nprincipals = []\n", "not both"),
            ("[host_certificate]\nfile = \"a\"\nvalid_from = 1\n", "has its dates in it"),
            (
                "[host_certificate]\nprincipals = []\nvalid_from = 2\nvalid_until = 1\n",
                "is after `valid_from`",
            ),
            ("[algorithms]\npreset = \"rsa_sha2_only\"\nhost_keys = []\n", "leave out one of them"),
            ("[algorithms]\npreset = \"old_ctr_hmac\"\nstrict_kex = true\n", "no strict key exchange"),
            ("[limits]\nrekey_messages = 0\n", "nonzero"),
            ("[limits]\nauth_attempts = 0\n", "nonzero"),
            ("[limits]\nmax_auth_tries = 0\n", "nonzero"),
            ("[limits]\nlogin_grace = \"0s\"\n", "leave the key out"),
            ("[limits]\nclient_alive = { interval = \"0s\", count = 1 }\n", "leave the key out"),
            ("[limits]\nmax_startups = { start = 2, rate = 30, full = 1 }\n", "`full` is below `start`"),
            ("[limits]\nmax_startups = { start = 1, rate = 101, full = 2 }\n", "from 1 to 100"),
            ("[limits]\nwindow = \"4GiB\"\n", "a window is at most"),
            ("[[faults]]\nkind = \"cut\"\nphase = \"data\"\n", "needs the key `how`"),
            ("[[faults]]\nkind = \"sftp_wrong_id\"\nsftp_request = \"init\"\n", "neither id nor status"),
            ("[[faults]]\nkind = \"sftp_name\"\nname = \"a\"\nsftp_request = \"open\"\n", "`readlink` alone"),
            ("[[faults]]\nkind = \"sftp_short_read\"\nbytes = 1\nsftp_request = \"stat\"\n", "`read` alone"),
            ("[[faults]]\nkind = \"message_dropped\"\nmessage = 0\n", "from 1 to 255"),
            ("[[faults]]\nkind = \"message_dropped\"\nmessage = 256\n", "from 1 to 255"),
            (
                "[[faults]]\nkind = \"message_dropped\"\nmessage = \"chanel_data\"\n",
                "did you mean `channel_data`?",
            ),
            ("[[faults]]\nkind = \"frozen_window\"\nbytes = \"4GiB\"\n", "at most 4294967295"),
            (
                "[[faults]]\nkind = \"message_after\"\nmessage = 1\npayload = {}\ncount = 1\n",
                "a payload is one of",
            ),
            (
                "[[faults]]\nkind = \"message_after\"\nmessage = 1\npayload = { ignore = \"\", debug = \"\" }\ncount = 1\n",
                "a payload is one of",
            ),
            (
                "[[faults]]\nkind = \"message_after\"\nmessage = 1\npayload = { ignore = \"\" }\ncount = 0\n",
                "`count` is counted from 1",
            ),
            (
                "[[faults]]\nkind = \"message_after\"\nmessage = 1\npayload = { ignore = \"\" }\ncount = 1000001\n",
                "`count` is at most 1000000",
            ),
            ("[[faults]]\nkind = \"withhold_request\"\nbytes = 1\n", "takes no key `bytes`"),
            ("[limits]\nauth_delay = 3\n", "a time is written with its unit"),
            ("[limits]\nauth_delay = \"3 weeks\"\n", "a time is written with its unit"),
            ("[network]\nrate = \"fast\"\n", "a rate is written as"),
            ("[network]\nloss_one_in = 5\n", "come together"),
            ("[[faults]]\nkind = \"omit_eof\"\nfor_time = \"1s\"\n", "has no length"),
            ("[[faults]]\nkind = \"omit_eof\"\nonce = true\ntimes = 2\n", "`times` or `once`"),
            ("[[faults]]\nkind = \"omit_eof\"\nnth = 0\n", "counted from 1"),
            ("[[faults]]\nkind = \"stall\"\nphase = \"data\"\nsent = 1\n", "one of the keys"),
            ("[[faults]]\nkind = \"corrupt_sent\"\noffset = 1\nmask = 0\n", "changes nothing"),
            ("[forwards]\ntargets = [{ host = \"a\", answer = \"reply\" }]\n", "needs `text`"),
            ("[sftp]\nfiles = [{ path = \"/a\" }]\n", "one of `text`, `base64`"),
            ("[sftp]\nfiles = [{ text = \"a\" }]\n", "`path` or `path_base64` is missing"),
            ("[sftp]\nfiles = [{ path = \"/a\", directory = true, size = 1 }]\n", "`size` is for files"),
            ("[sftp]\nfiles = [{ path = \"/a\", text = \"\", uid = 1 }]\n", "come together"),
            ("[sftp]\nserve = \"none\"\nquota = 1\n", "nothing for `quota` to say"),
            ("[sftp]\nserve = \"memory\"\ndirectory = \"a\"\n", "in memory, or is a `directory`"),
            ("[sftp]\numask = 0\n", "`umask` needs `serve` = \"memory\""),
            ("[sftp]\nserve = \"memory\"\numask = 0o1000\n", "at most 0o777"),
            ("[sftp]\nengine = \"independent\"\nread_only = true\n", "leave out `read_only`"),
            ("[sftp]\nengine = \"independent\"\nserve = \"memory\"\n", "serves no memory"),
            ("[sftp]\nextensions = []\nwithout_extensions = []\n", "`without_extensions`, not both"),
            ("[forwards]\ntargets = [{ answer = \"echo\" }]\n", "`host`"),
            ("seed = 1\nseed = 2\n", "duplicate key"),
        ] {
            let refusal = refusal(text);
            assert!(refusal.contains(told), "{text}: {refusal}");
            assert!(refusal.starts_with("error: s.toml:"), "{text}: {refusal}");
        }
    }

    /// Of two tables neither is the place of it.
    #[test]
    fn what_one_table_rules_out_for_another_is_told_by_the_keys() {
        const RAW: &str = "personality = \"raw\"\n";
        for (text, told) in [
            ("[[faults]]\nkind = \"tiny_window\"\nbytes = 1\n".to_owned(), "only the raw personality can do `tiny_window`"),
            (
                "[sftp]\nengine = \"independent\"\n[[faults]]\nkind = \"sftp_hold_reply\"\nsftp_request = \"any\"\n"
                    .to_owned(),
                "only the server's own SFTP engine can do `sftp_hold_reply`",
            ),
            ("[limits]\nrekey_messages = 1\n".to_owned(), "`limits.rekey_messages`"),
            ("[algorithms]\npreset = \"rsa_sha2_only\"\n".to_owned(), "no host key is of RSA"),
            (format!("{RAW}[forwards]\ndirect_tcpip = true\n"), "`forwards.direct_tcpip`"),
            (format!("{RAW}[forwards]\nremote_tcpip = \"loopback\"\n"), "`forwards.remote_tcpip`"),
            (format!("{RAW}[forwards]\ntargets = [{{ host = \"a\", answer = \"echo\" }}]\n"), "`forwards.targets`"),
            (format!("{RAW}[limits]\nclient_alive = {{ interval = \"1s\", count = 1 }}\n"), "`limits.client_alive`"),
            ("[algorithms]\next_info = false\n".to_owned(), "`algorithms.ext_info` = false"),
            (format!("{RAW}[host_certificate]\nprincipals = []\n"), "`host_certificate`"),
            (format!("{RAW}[algorithms]\nhost_keys = [\"rsa-sha2-256\"]\n"), "`host_keys`"),
        ] {
            let setup = toml::from_str::<Script>(&text).unwrap().setup(Path::new("."));
            let failure = setup.err().unwrap_or_else(|| panic!("{text} should be refused"));
            let lines = failure.lines();
            assert!(lines.iter().any(|(label, line)| *label == "error" && line.contains(told)), "{text}: {lines:?}");
        }
        for text in [RAW.to_owned(), format!("{RAW}[forwards]\ndirect_tcpip = false\n")] {
            assert!(toml::from_str::<Script>(&text).unwrap().setup(Path::new(".")).is_ok(), "{text}");
        }
    }

    #[test]
    fn no_refusal_repeats_a_password() {
        for text in [
            "[[users]]\nname = \"a\"\npassword = 31337\n",
            "[[users]]\nname = \"a\"\npassword = [\"s31337\"]\n",
            "[[users]]\nname = \"a\"\npassword = { s31337 = 1 }\n",
            "[[users]]\nname = \"a\"\npassword = s31337\n",
            "[[users]]\nname = \"a\"\npassword = \"s31337\n",
            "[[users]]\nname = \"a\"\npassword = \"s31337\\q\"\n",
            "[[users]]\nname = \"a\"\nrounds = [{ prompts = [{ text = \"?\", answer = 31337 }] }]\n",
            "[[users]]\nname = \"a\"\npassword = \"s31337\"\nnam = 1\n",
            "[[users]]\nname = 1\npassword = \"s31337\"\n",
            "[[users]]\nname = \"a\"\none_time_codes = [31337]\n",
            "[[users]]\nname = \"a\"\none_time_codes = \"s31337\"\n",
            "[[users]]\nname = \"a\"\ntimed_codes = { seed = \"s31337\", step = \"30s\" }\n",
            "[[users]]\nname = \"a\"\ntimed_codes = [\"s31337\"]\n",
            "[[users]]\nname = \"a\"\nrounds = [\"s31337, expected nothing\"]\n",
            "[[users]]\nname = \"a\"\nrounds = [{ prompts = [\"s31337\"] }]\n",
        ] {
            assert!(!refusal(text).contains("31337"), "{text}: {}", refusal(text));
        }
    }

    #[test]
    fn an_empty_file_is_a_script() {
        let setup = toml::from_str::<Script>("").unwrap().setup(Path::new(".")).unwrap();
        assert!(setup.users.is_empty());
    }
}
