//! Who asks, with what, and on which way: keys, agents, certificates, users and jump hosts as a configuration names them.

use super::login::Login;
use super::site::{Site, copied, public, shown};

pub(super) fn rows(site: &Site) -> Vec<Login> {
    [keys(site), agents(site), certificates(site), ways(site)].concat()
}

/// To the plain server, which is known.
fn row(site: &Site, name: &str, lines: &str) -> Login {
    let known = format!("[127.0.0.1]:{} {}\n", site.plain_port(), public(&site.host.ed25519));
    Login::new(site, name).lines(lines).known(known)
}

fn keys(site: &Site) -> Vec<Login> {
    let file = |key: &rustle_tests::KeyFile| format!("IdentityFile {}", shown(key.path()));
    let row = |name: &str, lines: &[&str]| {
        row(site, &format!("keys: {name}"), &lines.join("\n")).with_keys_of_its_own()
    };
    let right = file(site.key());
    let wrong = file(&site.stranger.ed25519);
    let guests = [&site.guest.ed25519, &site.guest.ecdsa, &site.guest.rsa].map(file);
    let missing = "IdentityFile DIR/none";
    let open = format!("IdentityFile {}", shown(&copied(site, site.key(), "open_key", 0o644)));
    let rsa = guests[2].as_str();
    vec![
        row("one", &[&right]),
        row("of another", &[&wrong]).refused(),
        row("of another, then this", &[&wrong, &right]),
        row("two of others", &[&wrong, &file(&site.stranger.rsa)]).refused(),
        row("not there, then this", &[missing, &right]),
        row("not there", &[missing]).refused(),
        row("none, then this", &["IdentityFile none", &right]),
        row("by option", &[&wrong]).options(&["-i", &shown(site.key().path())]),
        row("by a variable", &["IdentityFile ${LAB_KEYS}/guest_ed25519"]),
        row("by tokens", &["IdentityFile ${LAB_KEYS}/%n_ecdsa"])
            .to("guest")
            .lines("Host guest\n HostName 127.0.0.1"),
        row("ECDSA", &[&guests[1]]),
        row("RSA", &[rsa]),
        row("open to others", &[&open]).refused(),
        row("open to others, then this", &[&open, &right]),
        row("damaged", &["IdentityFile DIR/damaged"])
            .file("damaged", "-----BEGIN OPENSSH PRIVATE KEY-----\n")
            .refused(),
        row("RSA with SHA-256", &["PubkeyAcceptedAlgorithms rsa-sha2-256", rsa]),
        row("no RSA", &["PubkeyAcceptedAlgorithms -rsa-*,ssh-rsa", rsa]).refused(),
        row("no Ed25519", &["PubkeyAcceptedAlgorithms -ssh-ed25519", &right]).refused(),
        row("no Ed25519, then RSA", &["PubkeyAcceptedAlgorithms -ssh-ed25519", &right, rsa]),
        row("by a pattern", &["PubkeyAcceptedAlgorithms ecdsa-*", &guests[0], &guests[1]]),
        row("short RSA", &["RequiredRSASize 3072", rsa]).refused(),
        row("short RSA, then this", &["RequiredRSASize 3072", rsa, &right]),
        row("not by keys", &["PubkeyAuthentication no", &right]).refused(),
        row("by password alone", &["PreferredAuthentications password", &right]).refused(),
        row("by keys last", &["PreferredAuthentications keyboard-interactive,password,publickey", &right]),
    ]
}

fn agents(site: &Site) -> Vec<Login> {
    let row = |name: &str, lines: &[&str]| {
        row(site, &format!("agent: {name}"), &lines.join("\n")).with_keys_of_its_own()
    };
    let socket = format!("IdentityAgent {}", shown(site.agent().socket()));
    let any = "IdentitiesOnly no\nIdentityFile DIR/none";
    let only = "IdentitiesOnly yes";
    let wrong = format!("IdentityFile {}", shown(site.stranger.ed25519.path()));
    let guest = format!("IdentityFile {}", shown(&site.guest.ed25519.public_path()));
    vec![
        row("its second key", &[&socket, any]),
        row("by its name", &["IdentityAgent SSH_AUTH_SOCK", any]),
        row("by a variable", &["IdentityAgent $SSH_AUTH_SOCK", any]),
        row("by a variable in braces", &["IdentityAgent ${SSH_AUTH_SOCK}", any]),
        row("none", &["IdentityAgent none", any]).refused(),
        row("not there", &["IdentityAgent DIR/none", any]).refused(),
        row("no key but those named", &[&socket, only, &wrong]).refused(),
        row("a key named by its public half", &[&socket, only, &guest]),
        row(
            "a key named by the path of its private half",
            &[&socket, only, &format!("IdentityFile {}", shown(site.guest.ed25519.path()))],
        ),
        row("no Ed25519", &[&socket, any, "PubkeyAcceptedAlgorithms -ssh-ed25519"]).refused(),
        row("behind a key of another", &[&socket, "IdentitiesOnly no", &wrong]),
    ]
}

fn certificates(site: &Site) -> Vec<Login> {
    let user = &site.certified_user;
    let key = format!("IdentityFile {}", shown(user.key.path()));
    let row = |name: &str, lines: &[&str]| {
        row(site, &format!("certificate: {name}"), &lines.join("\n")).with_keys_of_its_own()
    };
    let by = |path| format!("CertificateFile {}", shown(path));
    vec![
        row("no certificate", &[&key]).refused(),
        row("the right one", &[&key, &by(&user.right)]),
        row("an expired one", &[&key, &by(&user.expired)]).refused(),
        row("one of another user", &[&key, &by(&user.of_another)]).refused(),
        row("an expired one, then the right one", &[&key, &by(&user.expired), &by(&user.right)]),
        row("not there", &[&key, "CertificateFile DIR/none"]).refused(),
        row("no certificates accepted", &[&key, &by(&user.right), "PubkeyAcceptedAlgorithms ssh-ed25519"])
            .refused(),
        row("without its key", &[&by(&user.right), "IdentityFile DIR/none"]).refused(),
        row(
            "beside another key",
            &[&by(&user.right), &key, &format!("IdentityFile {}", shown(site.key().path()))],
        ),
    ]
}

fn ways(site: &Site) -> Vec<Login> {
    let user = site.user();
    let row = |name: &str, lines: &str| row(site, &format!("way: {name}"), lines);
    let near = site.near().sshd();
    let jump = format!("Host near\n HostName 127.0.0.1\n Port {}\nHost web\n ProxyJump near\n", near.port());
    let both = format!(
        "[127.0.0.1]:{} {}\n[127.0.0.1]:{} {}\n",
        near.port(),
        public(near.host_key()),
        site.plain_port(),
        public(&site.host.ed25519)
    );
    let through = |name: &str, lines: &str| Login::new(site, format!("way: {name}")).lines(lines);
    vec![
        row(
            "the user by Match",
            &format!(
                "Host web\n HostName 127.0.0.1\nMatch host 127.0.0.1\n User {user}\nHost *\n User somebody-else"
            ),
        ),
        row(
            "the user by originalhost",
            &format!("Match originalhost web\n User {user}\nHost *\n User somebody-else"),
        ),
        row(
            "the user by a command",
            &format!("Match exec \"test %n = web\"\n User {user}\nHost *\n User somebody-else"),
        ),
        row("the user by a command that fails", "Match exec false\n User somebody-else"),
        row("the user by option", "").options(&["-o", &format!("User={user}")]).lines("User somebody-else"),
        row("another user", "User somebody-else").refused(),
        row(
            "another user by Match",
            "Host web\n HostName 127.0.0.1\nMatch host 127.* !originalhost other\n User somebody-else",
        )
        .refused(),
        row("a variable sent", "SendEnv LA*\nSetEnv LAB=there"),
        row("a variable set twice", "SetEnv LAB=first\nSetEnv LAB=second"),
        row("over IPv6, where it is not", "AddressFamily inet6").refused(),
        row("from an address", "BindAddress 127.0.0.1"),
        row("compressed", "Compression yes"),
        row("no cipher in common", "Ciphers 3des-cbc").refused(),
        row("a cipher", "Ciphers aes256-ctr\nMACs hmac-sha2-512\nKexAlgorithms curve25519-sha256"),
        row("a keyword that nobody knows", "NoSuchKeyword yes").refused(),
        row("one that is to be ignored", "IgnoreUnknown NoSuch*\nNoSuchKeyword yes"),
        row("a value that nobody knows", "StrictHostKeyChecking perhaps").refused(),
        through("through a jump host", &jump).known(both.as_str()),
        through("through a jump host that is new", &jump)
            .known(format!("[127.0.0.1]:{} {}\n", site.plain_port(), public(&site.host.ed25519)))
            .refused(),
        through("through a jump host, both new", &jump).lines("Host *\n StrictHostKeyChecking accept-new"),
        through("through a jump host that has another key", &jump)
            .known(both.replace(&public(near.host_key()), &public(&site.stranger.ed25519)))
            .refused(),
        through("through a jump host to one that has another key", &jump)
            .known(both.replace(&public(&site.host.ed25519), &public(&site.stranger.ed25519)))
            .refused(),
        through("through a jump host for some", &jump.replace("ProxyJump", "ProxyJump none\n ProxyJump"))
            .known(both.as_str()),
        through("through a jump host and an alias", &jump)
            .lines("Host web\n HostKeyAlias lab")
            .known(format!("{both}lab {}\n", public(&site.host.ed25519))),
    ]
}
