//! `UpdateHostKeys`: what a real sshd announces of its keys, and what becomes of `known_hosts`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustle_session::{AgentSource, HostHashing, HostSetup, KnownHosts, Session};
use rustle_tests::{Interop, KeyFile, KeyKind, Scratch, Server, interop, run};

/// A server with two host keys, and a file in which the first of them is known.
struct Site {
    folder: Scratch,
    server: Server,
    second: KeyFile,
    file: PathBuf,
}

impl Site {
    fn new(interop: &Interop) -> Self {
        let folder = Scratch::new();
        let second = KeyFile::generate(&folder, "second", KeyKind::EcdsaP256);
        let rsa = KeyFile::generate(&folder, "third", KeyKind::Rsa);
        let lines = format!("HostKey {}\nHostKey {}", second.path().display(), rsa.path().display());
        let server = Server::configured(interop, &lines);
        let file = folder.join("known_hosts");
        let site = Self { folder, server, second, file };
        site.write(&format!("# mine\n{}\n", site.line(site.server.sshd().host_key())));
        site
    }

    fn line(&self, key: &KeyFile) -> String {
        format!("[127.0.0.1]:{} {}", self.server.sshd().port(), key.public_line())
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.file, text).unwrap();
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.file).unwrap()
    }

    fn trust(&self) -> KnownHosts {
        KnownHosts::new().user_files([&self.file]).system_files(Vec::<&Path>::new()).update_host_keys()
    }

    async fn login(&self, trust: KnownHosts) -> Session {
        let connected = self.server.connector().host_trust(trust).connect().await.unwrap();
        connected.authenticate(&self.server.credentials()).await.unwrap()
    }

    /// A whole session: closed, it has done what there was to do.
    async fn visit(&self, trust: KnownHosts) {
        let session = self.login(trust).await;
        // An answer that came after the announcement: it is heard by then.
        session.output("true").await.unwrap();
        session.close(Duration::from_secs(20)).await;
    }

    /// The same as a user's configuration has it.
    async fn visit_configured(&self, options: &[&str]) {
        let sshd = self.server.sshd();
        let file = self.file.display();
        let mut setup = HostSetup::builder(format!("{}@127.0.0.1", self.server.user()))
            .port(sshd.port())
            .without_config_files()
            .agent(AgentSource::None)
            .identity(self.server.key().path())
            .option(format!("UserKnownHostsFile=\"{file}\""))
            .option("GlobalKnownHostsFile=/dev/null");
        for option in options {
            setup = setup.option(*option);
        }
        let session = setup.load().await.unwrap().connect().await.unwrap();
        session.output("true").await.unwrap();
        session.close(Duration::from_secs(20)).await;
    }

    /// What ssh makes of the same file, which has to come to this.
    fn visit_by_ssh_until(&self, is_done: impl Fn(&str) -> bool) {
        let mut ssh = self.ssh();
        let mut ssh = ssh.arg("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_done(&self.text()) && ssh.try_wait().unwrap().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(ssh.stdin.take());
        assert!(ssh.wait().unwrap().success());
        assert!(is_done(&self.text()), "{}", self.text());
    }

    /// The same where nothing is to happen; what does not in a second would have to be very slow.
    fn visit_by_ssh(&self) {
        run(self.ssh().arg("sleep 1"));
    }

    fn ssh(&self) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "/dev/null", "-o", "BatchMode=yes", "-o", "UpdateHostKeys=yes"]);
        ssh.args(["-o", "GlobalKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes"]);
        ssh.args(["-o", &format!("UserKnownHostsFile={}", self.file.display()), "-l", self.server.user()]);
        ssh.args(["-p", &self.server.sshd().port().to_string(), "-i"]).arg(self.server.key().path());
        ssh.arg("127.0.0.1");
        ssh
    }
}

/// The types of the keys that a file holds for anybody, in order.
fn types(text: &str) -> Vec<&str> {
    let mut types: Vec<&str> = text.lines().filter_map(|line| line.split(' ').nth(1)).collect();
    types.retain(|kind| kind.contains('-'));
    types.sort_unstable();
    types
}

#[test]
fn a_known_host_s_further_keys_are_learned_as_by_ssh() {
    interop(|interop| async move {
        let site = Site::new(&interop);
        std::fs::set_permissions(&site.file, PermissionsExt::from_mode(0o640)).unwrap();
        let before = site.text();
        site.visit(site.trust()).await;
        let ours = site.text();
        assert!(ours.starts_with(&before), "{ours}");
        assert_eq!(types(&ours), ["ecdsa-sha2-nistp256", "ssh-ed25519", "ssh-rsa"]);
        assert_eq!(std::fs::metadata(&site.file).unwrap().permissions().mode() & 0o777, 0o640);
        // Nothing is left beside it, and a second visit changes nothing.
        let left = std::fs::read_dir(site.folder.path()).unwrap();
        let left = left
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("known_hosts"));
        assert_eq!(left.count(), 1);
        site.visit(site.trust()).await;
        assert_eq!(site.text(), ours);

        site.write(&before);
        site.visit_by_ssh_until(|text| types(text) == types(&ours));
        // What we wrote is known to ssh, each key of it.
        site.write(&ours);
        for line in ours.lines().skip(1) {
            site.write(&format!("{line}\n"));
            site.visit_by_ssh();
        }
    });
}

#[test]
fn keys_that_the_host_no_longer_has_are_removed_as_by_ssh() {
    interop(|interop| async move {
        let site = Site::new(&interop);
        let former = KeyFile::generate(&site.folder, "former", KeyKind::EcdsaP384);
        let elsewhere = KeyFile::generate(&site.folder, "elsewhere", KeyKind::Ed25519);
        let before = format!(
            "# mine\r\n{}\n{}\nelsewhere {}\n@marker damaged",
            site.line(&former),
            site.line(site.server.sshd().host_key()),
            elsewhere.public_line()
        );
        let check = |text: String, who: &str| {
            assert!(!text.contains("nistp384"), "{who}: {text}");
            assert!(text.starts_with("# mine\r\n[127.0.0.1]"), "{who}: {text}");
            assert!(
                text.contains(&format!("elsewhere {}\n@marker damaged\n", elsewhere.public_line())),
                "{who}: {text}"
            );
            assert_eq!(
                text.lines().filter(|line| line.starts_with("[127.0.0.1]")).count(),
                3,
                "{who}: {text}"
            );
        };
        site.write(&before);
        site.visit(site.trust()).await;
        check(site.text(), "ours");
        site.write(&before);
        site.visit_by_ssh_until(|text| !text.contains("nistp384"));
        check(site.text(), "ssh");
    });
}

#[test]
fn the_configuration_decides_whether_known_hosts_follows() {
    interop(|interop| async move {
        let site = Site::new(&interop);
        let before = site.text();
        for options in
            [&["UpdateHostKeys=no"][..], &["UpdateHostKeys=ask"], &["UpdateHostKeys=ask", "BatchMode=yes"]]
        {
            site.visit_configured(options).await;
            assert_eq!(site.text(), before, "{options:?}");
        }
        site.visit_configured(&["UpdateHostKeys=yes"]).await;
        assert_eq!(types(&site.text()), ["ecdsa-sha2-nistp256", "ssh-ed25519", "ssh-rsa"]);
    });
}

#[test]
fn new_keys_go_to_the_first_file_that_is_there() {
    interop(|interop| async move {
        let site = Site::new(&interop);
        let missing = site.folder.join("missing");
        site.visit(site.trust().user_files([missing.as_path(), Path::new("/dev/null"), &site.file])).await;
        assert_eq!(types(&site.text()).len(), 3, "{}", site.text());
        assert!(!missing.exists());
    });
}

#[test]
fn hashed_hosts_stay_hashed() {
    interop(|interop| async move {
        let site = Site::new(&interop);
        site.write("");
        let accepting = site.trust().accept_new().hash_new(HostHashing::Hashed);
        site.visit(accepting).await;
        assert_eq!(types(&site.text()).len(), 3, "accepted, and at once its other keys");
        assert!(site.text().lines().all(|line| line.starts_with("|1|")), "{}", site.text());
        let first: String = site.text().lines().take(1).map(|line| format!("{line}\n")).collect();
        site.write(&first);
        site.visit(site.trust()).await;
        assert!(site.text().lines().count() == 3 && site.text().lines().all(|line| line.starts_with("|1|")));
    });
}

#[test]
fn what_a_person_wrote_and_what_is_not_asked_for_stays_as_by_ssh() {
    interop(|interop| async move {
        let site = Site::new(&interop);
        let own = site.line(site.server.sshd().host_key());
        let second = site.second.public_line();
        for text in [
            format!("{}\n", own.replace("127.0.0.1", "127.0.0.*")),
            format!("{own}\n@revoked * {second}\n"),
            format!("{own}\nelsewhere {second}\n"),
            format!("{own}\n{}\n", own.replace("[127.0.0.1]", "[192.0.2.1]")),
        ] {
            site.write(&text);
            site.visit(site.trust()).await;
            assert_eq!(site.text(), text, "ours");
            site.visit_by_ssh();
            assert_eq!(site.text(), text, "ssh");
        }
        site.write(&format!("{own}\n"));
        let plain = KnownHosts::new().user_files([&site.file]).system_files(Vec::<&Path>::new());
        site.visit(plain).await;
        assert_eq!(site.text(), format!("{own}\n"), "nobody asked for it");
        // Known by the system's file alone: the user's stays as it is.
        let system = site.folder.write("system", format!("{own}\n"));
        site.write("");
        site.visit(site.trust().system_files([system])).await;
        assert_eq!(site.text(), "");
    });
}

#[test]
fn sessions_at_once_write_each_key_once() {
    interop(|interop| async move {
        let site = Site::new(&interop);
        let mut sessions = Vec::new();
        for _ in 0..8 {
            sessions.push(site.login(site.trust()).await);
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        while types(&site.text()).len() < 3 {
            assert!(Instant::now() < deadline, "{}", site.text());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for session in sessions {
            session.output("true").await.unwrap();
            session.close(Duration::from_secs(20)).await;
        }
        assert_eq!(types(&site.text()), ["ecdsa-sha2-nistp256", "ssh-ed25519", "ssh-rsa"]);
    });
}
