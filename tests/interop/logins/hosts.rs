//! What `known_hosts` may say of a host, under each `StrictHostKeyChecking`, by the host's address and by an alias.

use self::Host::{Changed, Known, New, Revoked};
use super::login::{Login, More, hashed};
use super::site::{Site, public};
use super::{
    BAD_CERTIFICATE, CHANGED, LONG_LINE, MARKED_FILE, NO_END_OF_LINE, NO_FOLDER, NO_PRINCIPALS, REVOKED,
    REVOKED_AT_NO_PORT, UNREADABLE_FILE, UNREADABLE_KEY, UNWRITTEN,
};

/// What a file makes of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    Known,
    New,
    Changed,
    Revoked,
}

/// A file, or several, and what ssh makes of it.
struct Shape {
    name: &'static str,
    files: Vec<(&'static str, Vec<u8>)>,
    lines: &'static str,
    host: Host,
    /// What ours is stricter in, where ssh gets in.
    stricter: Option<&'static str>,
    /// What ours does more, where ssh is not content or nothing is written by it.
    more: Option<More>,
}

pub(super) fn rows(site: &Site) -> Vec<Login> {
    let at = format!("[127.0.0.1]:{}", site.plain_port());
    let mut rows = Vec::new();
    for shape in plain(site, &at).into_iter().chain(with_port(site, &at)) {
        // Nobody can be asked.
        let more: &[&str] = if shape.host == Known { &[] } else { &["no", "ask"] };
        let checking = ["yes", "accept-new"].iter().chain(more);
        rows.extend(checking.map(|checking| row(site, &shape, "address", checking)));
    }
    rows.extend(plain(site, "lab").iter().map(|shape| row(site, shape, "alias", "accept-new")));
    let port = site.certified_port();
    for (by, host) in [("address", format!("[127.0.0.1]:{port}")), ("alias", "lab".to_owned())] {
        for shape in certificates(site, &host) {
            rows.extend(["yes", "accept-new"].map(|checking| row(site, &shape, by, checking).port(port)));
        }
    }
    let nameless = format!("[127.0.0.1]:{}", site.nameless_port());
    let nameless = Shape::new("an authority, a certificate for no name", Known)
        .file(format!("@cert-authority {nameless} {}\n", public(&site.authority)))
        .stricter(NO_PRINCIPALS);
    rows.push(row(site, &nameless, "address", "yes").port(site.nameless_port()));
    rows
}

impl Shape {
    fn new(name: &'static str, host: Host) -> Self {
        Self { name, files: Vec::new(), lines: "", host, stricter: None, more: None }
    }

    fn file(self, text: impl Into<Vec<u8>>) -> Self {
        self.named("known_hosts", text)
    }

    fn named(mut self, name: &'static str, text: impl Into<Vec<u8>>) -> Self {
        self.files.push((name, text.into()));
        self
    }

    fn lines(mut self, lines: &'static str) -> Self {
        self.lines = lines;
        self
    }

    /// `text` is what is in that file when ours has got in.
    fn more(mut self, reason: &'static str, file: &'static str, text: impl Into<String>) -> Self {
        self.more = Some(More { reason, file, text: text.into() });
        self
    }

    fn stricter(mut self, reason: &'static str) -> Self {
        self.stricter = Some(reason);
        self
    }
}

fn row(site: &Site, shape: &Shape, by: &str, checking: &str) -> Login {
    let name = format!("{}, by {by}, {checking}", shape.name);
    let row = Login::new(site, name).lines(&format!("StrictHostKeyChecking {checking}")).lines(shape.lines);
    let row = if by == "alias" { row.lines("HostKeyAlias lab") } else { row };
    let row = shape.files.iter().fold(row, |row, (name, text)| row.file(name, text.clone()));
    let is_taken = match (shape.host, checking) {
        (Known, _) | (New, "accept-new" | "no") | (Changed | Revoked, "no") => true,
        (New | Changed | Revoked, _) => false,
    };
    let row = if is_taken { row } else { row.refused() };
    match (&shape.more, shape.stricter) {
        (Some(more), _) if is_taken || more.reason == MARKED_FILE => row.more(more.clone()),
        _ if !is_taken => row,
        (_, Some(reason)) => row.stricter(reason),
        _ if shape.host == Changed => row.stricter(CHANGED),
        _ if shape.host == Revoked => row.stricter(REVOKED),
        _ => row,
    }
}

/// What may be said of a host by the name that is looked up.
fn plain(site: &Site, host: &str) -> Vec<Shape> {
    let [key, ecdsa, rsa] = [&site.host.ed25519, &site.host.ecdsa, &site.host.rsa].map(public);
    let [other, other_rsa] = [&site.stranger.ed25519, &site.stranger.rsa].map(public);
    let line = format!("{host} {key}\n");
    let [_, base64] = *key.split(' ').collect::<Vec<_>>() else { unreachable!("a type and a key") };
    let last_open = format!("{}?", &host[..host.len() - 1]);
    vec![
        Shape::new("no file", New),
        Shape::new("an empty file", New).file(""),
        Shape::new("the name", Known).file(line.as_str()),
        Shape::new("the name and a comment", Known).file(format!("{host} {key} of the lab # 1\n")),
        Shape::new("among names", Known).file(format!("a,{host},b {key}\n")),
        Shape::new("an empty name among names", Known).file(format!("a,,{host}, {key}\n")),
        Shape::new("in capitals", Known).file(format!("{} {key}\n", host.to_uppercase())),
        Shape::new("hashed", Known).file(format!("{} {key}\n", hashed(host))),
        Shape::new("hashed, of another", New).file(format!("{} {key}\n", hashed("elsewhere"))),
        Shape::new("a damaged hash", New).file(format!("|1|AAAA|{} {key}\n", "B".repeat(28))),
        Shape::new("a star", Known).file(format!("* {key}\n")),
        Shape::new("a question mark", Known).file(format!("{last_open} {key}\n")),
        Shape::new("a star but not this", New).file(format!("*,!{host},!127.0.0.1 {key}\n")),
        Shape::new("not another", Known).file(format!("!elsewhere,{host} {key}\n")),
        Shape::new("not alone", New).file(format!("!elsewhere {key}\n")),
        Shape::new("in the second file", Known)
            .lines("UserKnownHostsFile DIR/known_hosts DIR/more")
            .file("# nothing\n")
            .named("more", line.as_str()),
        Shape::new("in the system's file", Known)
            .lines("GlobalKnownHostsFile DIR/none DIR/system")
            .named("system", line.as_str()),
        Shape::new("right here, another key there", Known)
            .lines("GlobalKnownHostsFile DIR/system")
            .file(line.as_str())
            .named("system", format!("{host} {other}\n")),
        Shape::new("revoked and known", Revoked).file(format!("{line}@revoked * {key}\n")),
        Shape::new("revoked", Revoked).file(format!("@revoked {host} {key}\n")),
        Shape::new("revoked in the system's file", Revoked)
            .lines("GlobalKnownHostsFile DIR/system")
            .file(line.as_str())
            .named("system", format!("@revoked {host} {key}\n")),
        Shape::new("another revoked", Known).file(format!("@revoked * {other}\n{line}")),
        Shape::new("an authority alone", New).file(format!("@cert-authority {host} {key}\n")),
        Shape::new("the RSA key", Known).file(format!("{host} {rsa}\n")),
        Shape::new("the ECDSA key", Known).file(format!("{host} {ecdsa}\n")),
        Shape::new("all keys", Known).file(format!("{line}{host} {rsa}\n{host} {ecdsa}\n")),
        Shape::new("another RSA key", Changed).file(format!("{host} {other_rsa}\n")),
        Shape::new("another RSA key and this", Known).file(format!("{host} {other_rsa}\n{line}")),
        Shape::new("another key", Changed).file(format!("# mine\n{host} {other}\n")),
        Shape::new("another key and the RSA key", Changed).file(format!("{host} {other}\n{host} {rsa}\n")),
        Shape::new("another key for all", Changed).file(format!("* {other}\n")),
        Shape::new("another key and this", Known).file(format!("{host} {other}\n{line}")),
        Shape::new("no base64", New).file(format!("{host} ssh-ed25519 AAAA*\n")).stricter(UNREADABLE_KEY),
        Shape::new("half a key", New)
            .file(format!("{host} ssh-ed25519 {}\n", &base64[..40]))
            .stricter(UNREADABLE_KEY),
        Shape::new("another type's name", New)
            .file(format!("{host} ssh-rsa {base64}\n"))
            .stricter(UNREADABLE_KEY),
        Shape::new("a type and no key", New).file(format!("{host} ssh-ed25519\n")).stricter(UNREADABLE_KEY),
        Shape::new("a name alone", New).file(format!("{host}\n")),
        Shape::new("a damaged line and this", Known).file(format!("{host} ssh-ed25519 AAAA*\n{line}")),
        Shape::new("another's damaged line", New).file("elsewhere ssh-ed25519 AAAA*\n"),
        Shape::new("a key of protocol 1", New)
            .file(format!("{host} 1024 65537 1234567890\n"))
            .stricter(UNREADABLE_KEY),
        Shape::new("a key of protocol 1 and this", Known)
            .file(format!("{host} 1024 65537 1234567890\n{line}")),
        Shape::new("comments and blank lines", Known)
            .file(format!("# {host} {other}\n\n   \n\t# so\n#{host} {other}\n{line}")),
        Shape::new("comments alone", New).file(format!("#{host} {key}\n")),
        Shape::new("a marker that nobody knows", New).file(format!("@trusted {host} {key}\n")),
        Shape::new("a marker alone", Known).file(format!("@revoked\n{line}")),
        Shape::new("tabs", Known).file(format!("{host}\t{}\n", key.replace(' ', "\t"))),
        Shape::new("blanks", Known).file(format!("  \t{host}   {}  \n", key.replace(' ', "   "))),
        Shape::new("lines as in DOS", Known).file(format!("# a\r\n{host} {key}\r\n")),
        Shape::new("no end of line", Known).file(line.trim_end()),
        Shape::new("another's line without an end", New).file(format!("elsewhere {other}")).more(
            NO_END_OF_LINE,
            "known_hosts",
            format!("elsewhere {other}\n{line}"),
        ),
        Shape::new("the same key under another name", New).file(format!("elsewhere,old {key}\n")),
        Shape::new("a mark of UTF-8", New).file(format!("\u{feff}{line}")).more(
            MARKED_FILE,
            "known_hosts",
            format!("\u{feff}{line}"),
        ),
        Shape::new("a comment in Latin-1", Known).file([b"# caf\xe9\n", line.as_bytes()].concat()),
        Shape::new("a name in Latin-1", Known).file([b"caf\xe9,", line.as_bytes()].concat()),
        Shape::new("UTF-16", New).file(utf16(&line)).stricter(UNREADABLE_FILE),
        Shape::new("UTF-16 beside a file", Known)
            .lines("GlobalKnownHostsFile DIR/system")
            .file(utf16(&line))
            .named("system", line.as_str())
            .stricter(UNREADABLE_FILE),
        Shape::new("a folder", New).named("known_hosts/", "").stricter(UNREADABLE_FILE),
        Shape::new("a path below a file", New)
            .lines("UserKnownHostsFile DIR/file/known_hosts")
            .named("file", "")
            .stricter(UNWRITTEN),
        Shape::new("a path in no folder", New).lines("UserKnownHostsFile DIR/none/known_hosts").more(
            NO_FOLDER,
            "none/known_hosts",
            line.as_str(),
        ),
        Shape::new("a long line", Known)
            .file(format!("# {}\nelsewhere {other} {}\n{line}", "a".repeat(1000), "b".repeat(140_000)))
            .stricter(LONG_LINE),
    ]
}

/// What may be said of a host at a port.
fn with_port(site: &Site, at: &str) -> Vec<Shape> {
    let [key, other] = [&site.host.ed25519, &site.stranger.ed25519].map(public);
    vec![
        Shape::new("the name without its port", Known).file(format!("127.0.0.1 {key}\n")),
        Shape::new("the hashed name without its port", Known)
            .file(format!("{} {key}\n", hashed("127.0.0.1"))),
        Shape::new("another key without a port", New).file(format!("127.0.0.1 {other}\n")),
        Shape::new("another port", New).file(format!("[127.0.0.1]:1 {key}\n")),
        Shape::new("a star for the port", Known).file(format!("[127.0.0.1]:* {key}\n")),
        Shape::new("a star for the end", Known).file(format!("[127.0.0.*]:{} {key}\n", site.plain_port())),
        Shape::new("a star but not at this port", Known).file(format!("*,!{at} {key}\n")),
        Shape::new("revoked without a port", Known)
            .file(format!("@revoked 127.0.0.1 {key}\n{at} {key}\n"))
            .stricter(REVOKED_AT_NO_PORT),
        Shape::new("another key at the port, this without", Changed)
            .file(format!("{at} {other}\n127.0.0.1 {key}\n")),
    ]
}

/// What may be said of a host with certificates.
fn certificates(site: &Site, host: &str) -> Vec<Shape> {
    const ECDSA: &str = "HostKeyAlgorithms ecdsa-sha2-nistp256-cert-v01@openssh.com";
    const RSA: &str = "HostKeyAlgorithms rsa-sha2-512-cert-v01@openssh.com";
    let [key, ecdsa, rsa] = [&site.host.ed25519, &site.host.ecdsa, &site.host.rsa].map(public);
    let [authority, other] = [&site.authority, &site.stranger.ed25519].map(public);
    let trusted = format!("@cert-authority {host} {authority}\n");
    vec![
        Shape::new("no authority", New).file(""),
        Shape::new("the authority", Known).file(trusted.as_str()),
        Shape::new("the authority for all", Known).file(format!("@cert-authority * {authority}\n")),
        Shape::new("the authority, hashed", Known)
            .file(format!("@cert-authority {} {authority}\n", hashed(host))),
        Shape::new("the authority, but not here", New)
            .file(format!("@cert-authority *,!{host},!127.0.0.1 {authority}\n")),
        Shape::new("another authority", New).file(format!("@cert-authority {host} {other}\n")),
        Shape::new("another authority and this", Known)
            .file(format!("@cert-authority {host} {other}\n{trusted}")),
        Shape::new("the authority as a host", Changed).file(format!("{host} {authority}\n")),
        Shape::new("the plain key", Known).file(format!("{host} {key}\n")),
        Shape::new("another plain key", Changed).file(format!("{host} {other}\n")),
        Shape::new("the authority and another plain key", Known).file(format!("{host} {other}\n{trusted}")),
        Shape::new("another authority and the plain key", Known)
            .file(format!("@cert-authority {host} {other}\n{host} {key}\n")),
        Shape::new("the authority revoked", Revoked).file(format!("{trusted}@revoked * {authority}\n")),
        Shape::new("the authority revoked, and the plain key", Revoked)
            .file(format!("{trusted}{host} {key}\n@revoked * {authority}\n")),
        Shape::new("the certified key revoked", Revoked).file(format!("{trusted}@revoked * {key}\n")),
        Shape::new("a certificate for another host", New)
            .lines(ECDSA)
            .file(trusted.as_str())
            .stricter(BAD_CERTIFICATE),
        Shape::new("a certificate for another host, and the plain key", Known)
            .lines(ECDSA)
            .file(format!("{trusted}{host} {ecdsa}\n")),
        Shape::new("an expired certificate", New).lines(RSA).file(trusted.as_str()).stricter(BAD_CERTIFICATE),
        Shape::new("an expired certificate, and the plain key", Known)
            .lines(RSA)
            .file(format!("{trusted}{host} {rsa}\n")),
    ]
}

fn utf16(text: &str) -> Vec<u8> {
    "\u{feff}".chars().chain(text.chars()).flat_map(|c| (c as u16).to_le_bytes()).collect()
}
