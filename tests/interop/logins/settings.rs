//! The settings around trust in hosts: which name is looked up, in what, and what is written down.

use super::login::Login;
use super::site::{Site, public, revoked, shown};
use super::{BAD_CERTIFICATE, CHANGED, NO_COMMAND};

pub(super) fn rows(site: &Site) -> Vec<Login> {
    [names(site), addresses(site), lists(site), commands(site), algorithms(site)].concat()
}

/// The name under which a host is known, and under which it is written down.
fn names(site: &Site) -> Vec<Login> {
    let (port, key) = (site.plain_port(), public(&site.host.ed25519));
    let new = |name: &str| Login::new(site, format!("names: {name}"));
    let known = |name: &str| new(name).known(format!("[127.0.0.1]:{port} {key}\n"));
    let accepting = |name: &str| new(name).lines("StrictHostKeyChecking accept-new");
    let localhost = "Host local\n HostName localhost\n AddressFamily inet";
    let uri = format!("ssh://127.0.0.1:{port}");
    vec![
        known("known by its address alone").lines("HostKeyAlias lab").refused(),
        new("an alias with a port")
            .lines("HostKeyAlias lab")
            .known(format!("[lab]:{port} {key}\n"))
            .refused(),
        new("an alias in capitals").lines("HostKeyAlias LAB").known(format!("lab {key}\n")),
        new("an alias for one host").lines("Host lab web\n HostKeyAlias lab").known(format!("lab {key}\n")),
        new("an alias from the command line")
            .options(&["-o", "HostKeyAlias=lab"])
            .lines("HostKeyAlias elsewhere")
            .known(format!("lab {key}\n")),
        accepting("an alias is written down").lines("HostKeyAlias lab").known("# mine\n"),
        accepting("an alias is written down, hashed").lines("HostKeyAlias lab\nHashKnownHosts yes"),
        accepting("an address is written down, hashed").lines("HashKnownHosts yes").known("# mine\n"),
        accepting("an address is written down, plain").lines("HashKnownHosts no").known("# mine\n"),
        known("known and not hashed anew").lines("StrictHostKeyChecking accept-new\nHashKnownHosts yes"),
        known("a port from the command line").lines("Port 1").options(&["-p", &port.to_string()]),
        known("a port by the host's block").lines(&format!("Host web\n Port {port}\nHost *\n Port 1")),
        known("a port by an earlier block")
            .lines(&format!("Match host web\n Port {port}\nHost web\n Port 1")),
        known("nobody listens").lines("Port 1").refused(),
        known("a destination with port").to(uri.clone()),
        known("a destination with user and port").to(uri.replace("://", &format!("://{}@", site.user()))),
        known("the user before the host").lines("User somebody-else").to(format!("{}@web", site.user())),
        known("another user before the host").to("somebody-else@web").refused(),
        known("an address for a name").to("127.0.0.1"),
        known("a name in capitals").to("WEB").lines("Host web WEB\n HostName 127.0.0.1"),
        known("a pattern in capitals").to("web").lines("Host WEB\n HostName 127.0.0.2"),
        known("a block in small letters").to("WEB").refused(),
        new("localhost is another name")
            .lines(localhost)
            .to("local")
            .known(format!("[127.0.0.1]:{port} {key}\n"))
            .refused(),
        new("localhost by its name")
            .lines(localhost)
            .to("local")
            .known(format!("[localhost]:{port} {key}\n")),
        accepting("localhost is written down").lines(localhost).to("local").known("# mine\n"),
        known("a name by a token")
            .lines("Host *.lab\n HostName %h.invalid\nHost 127.*\n HostName %h")
            .to("127.0.0.1"),
        known("a block that is not for this host")
            .lines("Host * !web\n HostName nobody.invalid\nHost w?b\n CheckHostIP no"),
        known("an included block")
            .lines("Host web\n Include DIR/more")
            .file("more", "StrictHostKeyChecking yes\nHost elsewhere\n Port 1\n"),
        new("files by token and variable")
            .lines("UserKnownHostsFile DIR/%n.%k.%p ${LAB_KEYS}/none")
            .file(&format!("web.web.{port}"), format!("[127.0.0.1]:{port} {key}\n")),
        new("no file of the user's, known to the system")
            .lines("UserKnownHostsFile none\nGlobalKnownHostsFile DIR/system")
            .file("system", format!("[127.0.0.1]:{port} {key}\n")),
        accepting("no file of the user's, and a new host").lines("UserKnownHostsFile none").refused(),
        accepting("written to the first of two files")
            .lines("UserKnownHostsFile DIR/known_hosts DIR/more")
            .file("more", "# more\n"),
        known("checking is off").lines("StrictHostKeyChecking off"),
        known("the picture is shown").lines("VisualHostKey yes"),
    ]
}

/// `CheckHostIP`: an address that is not this machine's own, and still leads to it.
fn addresses(site: &Site) -> Vec<Login> {
    let port = site.plain_port();
    let [key, other] = [&site.host.ed25519, &site.stranger.ed25519].map(public);
    let row = |name: &str, checked: &str, checking: &str, text: String| {
        let lines = format!("CheckHostIP {checked}\nStrictHostKeyChecking {checking}\nHostKeyAlias lab");
        let row = Login::new(site, format!("address: {name}, {checked}, {checking}"));
        row.lines(&lines).lines("Host web\n HostName 0.0.0.0").known(text)
    };
    let host = format!("lab {key}\n");
    let both = format!("lab,[0.0.0.0]:{port} {key}\n");
    let changed = format!("{host}[0.0.0.0]:{port} {other}\n");
    let changed_host = format!("lab {other}\n[0.0.0.0]:{port} {key}\n");
    let mut rows = Vec::new();
    for checking in ["yes", "accept-new"] {
        for checked in ["yes", "no"] {
            rows.push(row("both known", checked, checking, both.clone()));
            rows.push(row("the host known", checked, checking, host.clone()));
            let changed = row("another key for the address", checked, checking, changed.clone());
            rows.push(if checked == "yes" { changed.refused() } else { changed });
            rows.push(row("another key for the host", checked, checking, changed_host.clone()).refused());
            let address = row("the address known", checked, checking, format!("[0.0.0.0]:{port} {key}\n"));
            rows.push(if checking == "yes" { address.refused() } else { address });
        }
    }
    for checking in ["yes", "accept-new"] {
        for (name, text) in [("known", format!("[0.0.0.0]:{port} {key}\n")), ("new", String::new())] {
            let lines =
                format!("CheckHostIP yes\nStrictHostKeyChecking {checking}\nHost web\n HostName 0.0.0.0");
            let row =
                Login::new(site, format!("address: no name, {name}, {checking}")).lines(&lines).known(text);
            rows.push(if (name, checking) == ("new", "yes") { row.refused() } else { row });
        }
    }
    rows.push(row("both new", "yes", "accept-new", "# mine\n".to_owned()));
    rows.push(row("both new, hashed", "yes", "accept-new", String::new()).lines("HashKnownHosts yes"));
    rows.push(row("the host known, hashed", "yes", "yes", host).lines("HashKnownHosts yes"));
    rows
}

/// Lists of revoked keys, and hosts on this machine that are not asked who they are.
fn lists(site: &Site) -> Vec<Login> {
    let port = site.plain_port();
    let [key, other] = [&site.host.ed25519, &site.stranger.ed25519].map(public);
    let list = revoked(site, &site.host.ed25519);
    let row = |name: &str, lines: &str| {
        let row = Login::new(site, format!("lists: {name}")).lines(lines);
        row.known(format!("[127.0.0.1]:{port} {key}\n"))
    };
    let trusting = "NoHostAuthenticationForLocalhost yes";
    vec![
        row("the key", "RevokedHostKeys DIR/revoked").file("revoked", format!("{key}\n")).refused(),
        row("another key", "RevokedHostKeys DIR/revoked").file("revoked", format!("{other} a comment\n")),
        row("an empty list", "RevokedHostKeys DIR/revoked").file("revoked", "# none\n"),
        row("a list of krl", &format!("RevokedHostKeys {}", shown(&list))).refused(),
        row("a list that is not there", "RevokedHostKeys DIR/revoked").refused(),
        row("a list that is none", "RevokedHostKeys DIR/revoked")
            .file("revoked", "no key at all\n")
            .refused(),
        row("no list", "RevokedHostKeys none"),
        Login::new(site, "lists: this machine, unknown").lines(trusting),
        Login::new(site, "lists: this machine, changed")
            .lines(trusting)
            .known(format!("[127.0.0.1]:{port} {other}\n")),
        Login::new(site, "lists: this machine, by an alias")
            .lines(trusting)
            .lines("HostKeyAlias lab")
            .refused(),
        row("this machine, revoked in a list", "RevokedHostKeys DIR/revoked")
            .lines(trusting)
            .file("revoked", format!("{key}\n"))
            .refused(),
    ]
}

/// `KnownHostsCommand`, beside files and alone.
fn commands(site: &Site) -> Vec<Login> {
    let port = site.plain_port();
    let [key, other] = [&site.host.ed25519, &site.stranger.ed25519].map(public);
    let (line, another) = (format!("[127.0.0.1]:{port} {key}\n"), format!("[127.0.0.1]:{port} {other}\n"));
    let row = |name: &str, command: &str| {
        Login::new(site, format!("command: {name}")).lines(&format!("KnownHostsCommand {command}"))
    };
    vec![
        row("says the key", "/bin/cat DIR/printed").file("printed", line.as_str()),
        row("says the key by its token", "/bin/echo %H %t %K"),
        row("says another key", "/bin/cat DIR/printed").file("printed", another.as_str()).refused(),
        row("says another key, the file the right one", "/bin/cat DIR/printed")
            .file("printed", another.as_str())
            .known(line.as_str()),
        row("says that it is revoked", "/bin/cat DIR/printed")
            .file("printed", format!("@revoked * {key}\n"))
            .known(line.as_str())
            .refused(),
        row("says nothing", "/bin/true").known(line.as_str()),
        row("says nothing, and the host is new", "/bin/true").lines("StrictHostKeyChecking accept-new"),
        row("fails", "/bin/false").known(line.as_str()).refused(),
        row("is not there", "/nobody/has/this").known(line.as_str()).stricter(NO_COMMAND),
        row("none", "none").known(line),
    ]
}

/// Which of its keys a host shows, and which of them are good enough.
fn algorithms(site: &Site) -> Vec<Login> {
    let [key, rsa] = [&site.host.ed25519, &site.host.rsa].map(public);
    let port = site.plain_port();
    let row = |name: &str, lines: &str| Login::new(site, format!("algorithms: {name}")).lines(lines);
    let new = "StrictHostKeyChecking accept-new";
    let certified = format!("@cert-authority * {}\n", public(&site.authority));
    let short = "HostKeyAlgorithms rsa-sha2-256\nRequiredRSASize 3072";
    vec![
        row("the usual key is written down", new),
        row("RSA is written down", "HostKeyAlgorithms rsa-sha2-512").lines(new),
        row("ECDSA is written down", "HostKeyAlgorithms ecdsa-sha2-nistp256").lines(new),
        row("all but Ed25519", "HostKeyAlgorithms -ssh-ed25519*").lines(new),
        row("RSA first", "HostKeyAlgorithms ^rsa-sha2-256").lines(new),
        row("RSA alone, and Ed25519 known", "HostKeyAlgorithms rsa-sha2-512")
            .lines("StrictHostKeyChecking yes")
            .known(format!("[127.0.0.1]:{port} {key}\n"))
            .refused(),
        row("RSA alone, and known", "HostKeyAlgorithms rsa-sha2-512")
            .known(format!("[127.0.0.1]:{port} {rsa}\n")),
        row("none that the server has", "HostKeyAlgorithms ecdsa-sha2-nistp521").lines(new).refused(),
        row("a short RSA key", short).known(format!("[127.0.0.1]:{port} {rsa}\n")).refused(),
        row("a signature by the authority", "CASignatureAlgorithms ssh-ed25519")
            .known(certified.as_str())
            .port(site.certified_port()),
        row("no signature of its sort", "CASignatureAlgorithms ecdsa-sha2-nistp256")
            .known(certified.as_str())
            .port(site.certified_port())
            .refused(),
        row("no signature of its sort, and a new host", "CASignatureAlgorithms ecdsa-sha2-nistp256")
            .lines(new)
            .known(certified.as_str())
            .port(site.certified_port())
            .stricter(BAD_CERTIFICATE),
        row("a changed key, checking off", "StrictHostKeyChecking off\nHostKeyAlgorithms ssh-ed25519")
            .known(format!("[127.0.0.1]:{port} {}\n", public(&site.stranger.ed25519)))
            .stricter(CHANGED),
    ]
}
