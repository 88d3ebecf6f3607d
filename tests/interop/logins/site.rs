//! The servers that the table logs in to, and the keys on both sides.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustle_tests::{Agent, Interop, KeyFile, KeyKind, Scratch, Server, output_of, run};

/// Four servers: one has plain host keys, two have certificates for the same keys, and one is on the way to others.
pub(super) struct Site {
    folder: Scratch,
    plain: Server,
    certified: Server,
    nameless: Server,
    near: Server,
    /// The host keys of the first three.
    pub(super) host: Kinds,
    /// Who signed them.
    pub(super) authority: KeyFile,
    /// Keys that open nothing, and that no server shows.
    pub(super) stranger: Kinds,
    /// Keys that open the plain server, as [`key`](Self::key) does.
    pub(super) guest: Kinds,
    pub(super) certified_user: CertifiedUser,
    agent: Agent,
    rows: AtomicUsize,
}

/// A key of each type that most servers have.
pub(super) struct Kinds {
    pub(super) ed25519: KeyFile,
    pub(super) ecdsa: KeyFile,
    pub(super) rsa: KeyFile,
}

/// A key that opens the plain server by a certificate alone.
pub(super) struct CertifiedUser {
    pub(super) key: KeyFile,
    pub(super) right: PathBuf,
    pub(super) expired: PathBuf,
    pub(super) of_another: PathBuf,
}

impl Site {
    pub(super) fn new(interop: &Interop) -> Self {
        let folder = Scratch::new();
        let [host, stranger, guest] = ["host", "stranger", "guest"].map(|name| Kinds::new(&folder, name));
        let authority = KeyFile::generate(&folder, "authority", KeyKind::Ed25519);
        let users = KeyFile::generate(&folder, "users", KeyKind::Ed25519);
        let certified_user = CertifiedUser::new(&folder, &users, interop.user());

        let mut lines = leniency(interop, &folder, &host.ed25519);
        let near = Server::configured(interop, &lines);
        for key in [&host.ecdsa, &host.rsa] {
            lines.push_str(&format!("HostKey {}\n", key.path().display()));
        }
        let plain = Server::start_with(interop, |sshd| {
            let users = format!("TrustedUserCAKeys {}\nAcceptEnv LAB", users.public_path().display());
            let sshd = sshd.host_key(host.ed25519.clone()).config(&lines).config(users);
            [&guest.ed25519, &guest.ecdsa, &guest.rsa]
                .iter()
                .fold(sshd, |sshd, key| sshd.authorize(key.public_line()))
        });
        let with = |name: &str, signed: &[(&KeyFile, &[&str])]| {
            let line = |(key, arguments): &(&KeyFile, &[&str])| {
                format!(
                    "HostCertificate {}\n",
                    signed_as(&folder, name, &authority, key, arguments).display()
                )
            };
            let certificates: String = signed.iter().map(line).collect();
            Server::start_with(interop, |sshd| {
                let sshd = sshd.host_key(host.ed25519.clone()).config(&lines).config(certificates);
                sshd.authorize(plain.key().public_line())
            })
        };
        let certified = with(
            "certified",
            &[
                (&host.ed25519, &["-h", "-n", "127.0.0.1,lab", "-V", "-1h:+1d"]),
                (&host.ecdsa, &["-h", "-n", "elsewhere", "-V", "-1h:+1d"]),
                (&host.rsa, &["-h", "-n", "127.0.0.1,lab", "-V", "20200101:20200102"]),
            ],
        );
        let nameless = with("nameless", &[(&host.ed25519, &["-h"])]);
        near.sshd().authorize(&plain.key().public_line());

        let agent = Agent::start();
        agent.add(&stranger.ed25519);
        agent.add(&guest.ed25519);
        Self {
            folder,
            plain,
            certified,
            nameless,
            near,
            host,
            authority,
            stranger,
            guest,
            certified_user,
            agent,
            rows: AtomicUsize::new(0),
        }
    }

    pub(super) fn folder(&self) -> &Scratch {
        &self.folder
    }

    /// Where the files of one row may lie.
    pub(super) fn folder_of_a_row(&self) -> PathBuf {
        self.folder.join(format!("row-{}", self.rows.fetch_add(1, Ordering::Relaxed)))
    }

    /// Whom the servers let in.
    pub(super) fn user(&self) -> &str {
        self.plain.user()
    }

    /// The key that opens all servers.
    pub(super) fn key(&self) -> &KeyFile {
        self.plain.key()
    }

    /// The port of the server with plain keys.
    pub(super) fn plain_port(&self) -> u16 {
        self.plain.sshd().port()
    }

    /// The port of the server with a certificate that holds (Ed25519), one for another host (ECDSA), and one that has
    /// expired (RSA).
    pub(super) fn certified_port(&self) -> u16 {
        self.certified.sshd().port()
    }

    /// The port of the server whose certificate is for no host by name.
    pub(super) fn nameless_port(&self) -> u16 {
        self.nameless.sshd().port()
    }

    /// The server that leads to the others.
    pub(super) fn near(&self) -> &Server {
        &self.near
    }

    /// One that holds the Ed25519 keys of the stranger and of the guest, in this order.
    pub(super) fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Names that may stand hashed in a file.
    pub(super) fn names(&self) -> Vec<String> {
        let ports =
            [&self.plain, &self.certified, &self.nameless, &self.near].map(|server| server.sshd().port());
        let at = |host: &'static str| ports.map(|port| format!("[{host}]:{port}"));
        let bare = ["lab", "127.0.0.1", "0.0.0.0", "localhost"].map(str::to_owned);
        [at("127.0.0.1"), at("0.0.0.0"), at("localhost"), at("lab"), bare].concat()
    }
}

impl Kinds {
    fn new(folder: &Scratch, name: &str) -> Self {
        let generate = |kind, suffix| KeyFile::generate(folder, &format!("{name}_{suffix}"), kind);
        Self {
            ed25519: generate(KeyKind::Ed25519, "ed25519"),
            ecdsa: generate(KeyKind::EcdsaP256, "ecdsa"),
            rsa: generate(KeyKind::Rsa, "rsa"),
        }
    }
}

impl CertifiedUser {
    fn new(folder: &Scratch, authority: &KeyFile, user: &str) -> Self {
        let key = KeyFile::generate(folder, "certified_user", KeyKind::Ed25519);
        let signed = |name: &str, arguments: &[&str]| signed_as(folder, name, authority, &key, arguments);
        let right = signed("right", &["-n", user, "-V", "-1h:+1d"]);
        let expired = signed("expired", &["-n", user, "-V", "20200101:20200102"]);
        let of_another = signed("of_another", &["-n", "somebody", "-V", "-1h:+1d"]);
        Self { key, right, expired, of_another }
    }
}

/// Signs a key and puts the certificate where the next one of this key does not replace it.
fn signed_as(
    folder: &Scratch,
    name: &str,
    authority: &KeyFile,
    key: &KeyFile,
    arguments: &[&str],
) -> PathBuf {
    let made = authority.sign(key, arguments);
    let kept = folder.join(format!("{name}-{}", made.file_name().unwrap().to_string_lossy()));
    fs::rename(made, &kept).unwrap();
    kept
}

/// A line by which sshd bears with clients that come and go, where it knows one: later ones shut out an address from
/// which many connections fail.
fn leniency(interop: &Interop, folder: &Scratch, key: &KeyFile) -> String {
    const LINE: &str = "PerSourcePenalties no\n";
    let config = folder.write("sshd_config", format!("{LINE}HostKey {}\n", key.path().display()));
    let checked = output_of(Command::new(interop.sshd()).arg("-tf").arg(config));
    if checked.status.success() { LINE.to_owned() } else { String::new() }
}

/// A copy of a private key with this mode.
pub(super) fn copied(site: &Site, key: &KeyFile, name: &str, mode: u32) -> PathBuf {
    let path = site.folder().write(name, fs::read(key.path()).unwrap());
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

/// A list of revoked keys, as `ssh-keygen -k` writes it.
pub(super) fn revoked(site: &Site, key: &KeyFile) -> PathBuf {
    let list = site.folder().join("list.krl");
    run(Command::new("ssh-keygen").args(["-q", "-k", "-f"]).arg(&list).arg(key.public_path()));
    list
}

/// The type and the base64 of a public key, as `known_hosts` has them.
pub(super) fn public(key: &KeyFile) -> String {
    let line = key.public_line();
    line.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// A path as it stands in a configuration.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}
