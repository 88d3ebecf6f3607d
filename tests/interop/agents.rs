//! Agents: lent to the far side over one hop and two, with keys restricted to some hosts; security keys; keys handed
//! over; gpg-agent.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustle_session::{AgentSource, KeysToAgent, SecretString, Session};
use rustle_tests::{
    Agent, Interop, KeyFile, KeyKind, Scratch, SecurityKey, SecurityKind, Server, SoftwareAgent, interop,
    no_credentials, output_of, run,
};

fn lent(agent: &Agent) -> AgentSource {
    AgentSource::Path(agent.socket().to_owned())
}

#[test]
fn the_far_side_lists_the_keys_of_a_lent_agent_and_signs_with_them() {
    interop(|interop| async move {
        let (server, folder, agent) = (Server::start(&interop), Scratch::new(), Agent::start());
        for kind in [KeyKind::Ed25519, KeyKind::Rsa] {
            agent.add(&KeyFile::generate(&folder, &format!("{kind:?}"), kind));
        }
        let session = server.session().await;
        let listed = session.line("ssh-add -l").forward_agent(lent(&agent)).output().await.unwrap();
        assert_eq!(listed.stdout_text(), agent.list());
        assert_eq!(listed.stdout_text().lines().count(), 2, "{}", listed.stdout_text());
        // ssh-add -T has the agent sign, and checks the signature.
        let public = folder.join("Ed25519.pub");
        readable(&[folder.path(), &public]);
        let line = format!("ssh-add -T {}", public.display());
        let signed = session.line(&line).forward_agent(lent(&agent)).output().await.unwrap();
        assert!(signed.status.success(), "{signed:?}");
        let without = session.output("ssh-add -l").await.unwrap();
        assert!(!without.status.success(), "{without:?}");
    });
}

#[test]
fn a_server_that_forbids_it_runs_the_command_without_the_agent() {
    interop(|interop| async move {
        let (server, agent) = (Server::configured(&interop, "AllowAgentForwarding no"), Agent::start());
        let session = server.session().await;
        let mut child = session.line("ssh-add -l").forward_agent(lent(&agent)).spawn().await.unwrap();
        assert!(!child.agent_is_lent());
        assert_eq!(child.wait().await.unwrap().code(), Some(2));
    });
}

/// Two servers behind the first, and what `ssh` on the first needs to know them.
struct Hops {
    servers: [Server; 3],
    key: KeyFile,
    folder: Scratch,
    agent: Agent,
}

impl Hops {
    fn start(interop: &Interop) -> Self {
        let (folder, agent) = (Scratch::new(), Agent::start());
        let key = KeyFile::generate(&folder, "key", KeyKind::Ed25519);
        let servers = [(); 3].map(|()| Server::start(interop));
        let mut known = String::new();
        for (number, server) in servers.iter().enumerate() {
            server.sshd().authorize(&key.public_line());
            known.push_str(&format!("hop{} {}\n", number + 1, server.sshd().host_key().public_line()));
        }
        readable(&[folder.path(), &folder.write("known_hosts", known)]);
        Self { servers, key, folder, agent }
    }

    /// `ssh` to another hop, run on the first.
    fn onward(&self, hop: usize) -> String {
        let server = &self.servers[hop - 1];
        format!(
            "ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=yes -o HostKeyAlias=hop{hop} \
             -o UserKnownHostsFile={} -o GlobalKnownHostsFile=none -o IdentityFile=none -p {} {}@127.0.0.1 'echo $((6 * 7))'",
            self.folder.join("known_hosts").display(),
            server.sshd().port(),
            server.user(),
        )
    }

    async fn first(&self) -> rustle_session::Result<Session> {
        self.servers[0].login(&no_credentials().agent(lent(&self.agent))).await
    }
}

#[test]
fn two_hops_are_gone_with_one_agent() {
    interop(|interop| async move {
        let hops = Hops::start(&interop);
        hops.agent.add(&hops.key);
        let first = hops.first().await.unwrap();
        let second = first.line(hops.onward(2)).forward_agent(lent(&hops.agent)).output().await.unwrap();
        assert_eq!((second.stdout_text().trim(), second.status.code()), ("42", Some(0)), "{second:?}");
        let without = first.output(hops.onward(2)).await.unwrap();
        assert_eq!(without.status.code(), Some(255), "{without:?}");
    });
}

#[test]
fn a_key_restricted_to_a_path_of_hosts_opens_those_alone() {
    interop(|interop| async move {
        let hops = Hops::start(&interop);
        let known = hops.folder.join("known_hosts");
        let (known, key) = (known.to_str().unwrap(), hops.key.path().to_str().unwrap());
        let added = hops.agent.ssh_add(&["-q", "-H", known, "-h", "hop1", "-h", "hop1>hop2", key]);
        assert!(added.status.success(), "{added:?}");

        // One hop, and a second behind it.
        let first = hops.first().await.unwrap();
        let lend = |line: String| first.line(line).forward_agent(lent(&hops.agent)).output();
        let second = lend(hops.onward(2)).await.unwrap();
        assert_eq!((second.stdout_text().trim(), second.status.code()), ("42", Some(0)), "{second:?}");
        // A third that nobody named; the first from itself; and the second directly.
        for (from, output) in [("third", lend(hops.onward(3)).await), ("first", lend(hops.onward(1)).await)] {
            assert_eq!(output.unwrap().status.code(), Some(255), "{from}");
        }
        let directly = hops.servers[1].login(&no_credentials().agent(lent(&hops.agent))).await;
        assert_eq!(directly.unwrap_err().code(), "SSH_AUTH_FAILED");
    });
}

#[test]
fn a_key_restricted_to_the_first_host_goes_no_further() {
    interop(|interop| async move {
        let hops = Hops::start(&interop);
        let known = hops.folder.join("known_hosts");
        let (known, key) = (known.to_str().unwrap(), hops.key.path().to_str().unwrap());
        let added = hops.agent.ssh_add(&["-q", "-H", known, "-h", "hop1", key]);
        assert!(added.status.success(), "{added:?}");
        let first = hops.first().await.unwrap();
        let second = first.line(hops.onward(2)).forward_agent(lent(&hops.agent)).output().await.unwrap();
        assert_eq!(second.status.code(), Some(255), "{second:?}");
    });
}

#[test]
fn security_keys_log_in_through_an_agent() {
    interop(|interop| async move {
        let folder = Scratch::new();
        for kind in SecurityKind::ALL {
            let key = SecurityKey::generate(&folder, kind);
            let line = key.public_line();
            let agent = SoftwareAgent::start(vec![key]);
            let server = Server::start_with(&interop, |sshd| sshd.authorize(&line));
            let credentials = no_credentials().agent(AgentSource::Path(agent.socket().to_owned()));
            let session =
                server.login(&credentials).await.unwrap_or_else(|error| panic!("{kind:?}: {error:?}"));
            assert_eq!(session.method(), "publickey");
            assert_eq!(agent.signatures(), 1);
            assert!(session.output("true").await.unwrap().status.success());
        }
    });
}

#[test]
fn a_key_that_was_unlocked_once_is_in_the_agent_afterwards() {
    interop(|interop| async move {
        let (server, folder, agent) = (Server::start(&interop), Scratch::new(), Agent::start());
        for (number, (kind, terms)) in [
            (KeyKind::Ed25519, KeysToAgent::new()),
            (KeyKind::EcdsaP256, KeysToAgent::new().lifetime(Duration::from_secs(3600))),
            (KeyKind::EcdsaP384, KeysToAgent::new().confirm_each_use()),
            (KeyKind::EcdsaP521, KeysToAgent::new()),
            (KeyKind::Rsa, KeysToAgent::new()),
        ]
        .into_iter()
        .enumerate()
        {
            let key = KeyFile::generate_as(&folder, &format!("{kind:?}"), kind, &[], "sesame");
            server.sshd().authorize(&key.public_line());
            let credentials = no_credentials().agent(lent(&agent)).identities_only().key_file(key.path());
            let with_phrase = credentials.clone().passphrase(SecretString::from("sesame"));
            server.login(&with_phrase.add_keys_to_agent(terms)).await.unwrap();
            let list = agent.list();
            assert_eq!(list.lines().count(), number + 1, "{list}");
            assert!(list.contains(&key.fingerprint()), "{list}");
            // The agent asks nobody here, so that what it has to confirm it refuses.
            let by_agent = server.login(&credentials).await;
            assert_eq!(by_agent.is_ok(), kind != KeyKind::EcdsaP384, "{by_agent:?}");
        }
    });
}

#[test]
fn gpg_agent_lists_and_signs() {
    interop(|interop| async move {
        let Some(gpg) = GpgAgent::start() else { return println!("skipped: no gpg-agent") };
        let (server, folder) = (Server::start(&interop), Scratch::new());
        let key = KeyFile::generate(&folder, "key", KeyKind::Ed25519);
        server.sshd().authorize(&key.public_line());
        gpg.add(&key);
        let source = AgentSource::Path(gpg.socket());
        let session = server.login(&no_credentials().agent(source.clone())).await.unwrap();
        let listed = session.line("ssh-add -l").forward_agent(source).output().await.unwrap();
        assert!(listed.stdout_text().contains(&key.fingerprint()), "{listed:?}");
    });
}

/// A `gpg-agent` that speaks ssh's protocol too, with a home of its own and nobody to ask; dropped, it is ended.
struct GpgAgent {
    home: Scratch,
}

impl GpgAgent {
    fn start() -> Option<Self> {
        let home = Scratch::new();
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        // Whoever asks for the passphrase of its own store: a few lines of pinentry's protocol, with an answer.
        let pinentry = home.write(
            "pinentry",
            "#!/bin/sh\necho OK\nwhile read word rest; do\n  case $word in GETPIN) echo D sesame; echo OK ;; \
             BYE) echo OK; exit ;; *) echo OK ;; esac\ndone\n",
        );
        std::fs::set_permissions(&pinentry, std::fs::Permissions::from_mode(0o700)).unwrap();
        let mut command = Command::new("gpg-agent");
        command.arg("--homedir").arg(home.path()).args(["--daemon", "--enable-ssh-support"]);
        command.arg("--pinentry-program").arg(&pinentry).stdout(Stdio::null()).stderr(Stdio::null());
        match command.status() {
            Ok(status) => assert!(status.success(), "gpg-agent: {status}"),
            Err(_) => return None,
        }
        let agent = Self { home };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !agent.socket().exists() {
            assert!(Instant::now() < deadline, "gpg-agent made no socket");
            std::thread::sleep(Duration::from_millis(5));
        }
        Some(agent)
    }

    fn socket(&self) -> PathBuf {
        self.home.join("S.gpg-agent.ssh")
    }

    fn add(&self, key: &KeyFile) {
        run(Command::new("ssh-add").arg("-q").arg(key.path()).env("SSH_AUTH_SOCK", self.socket()));
    }
}

impl Drop for GpgAgent {
    fn drop(&mut self) {
        let mut command = Command::new("gpg-connect-agent");
        command.arg("--no-autostart").arg("--homedir").arg(self.home.path()).args(["KILLAGENT", "/bye"]);
        drop(output_of(&mut command));
    }
}

/// Lets the account on the far side read these.
fn readable(paths: &[&Path]) {
    for path in paths {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}
