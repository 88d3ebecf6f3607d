//! SFTP by the client libraries, on each engine that serves it. `openssh_sftp.rs` has OpenSSH's own clients.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustle_tests::Bulk;
use rustle_testserver::{LinkOrder, Sftp, SftpEngine, TestServer, User};
use serde_json::{Value, json};

use crate::bulk::{BULK, assert_whole, file};
use crate::frame::{LIMIT, LONG_LIMIT, Prepared, clients, finish};
use crate::library::{Library, assert_let_in, bytes, hex};
use crate::openssh::Home;

/// What serves SFTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    /// The server's own, over a tree in memory, with handles that are never text.
    Memory,
    /// The server's own, over the server's directory.
    Directory,
    /// The one that others wrote, over the server's directory.
    Independent,
}

impl Engine {
    pub(crate) const ALL: [Self; 3] = [Self::Memory, Self::Directory, Self::Independent];
    /// Those on which 256 MiB are moved: each engine once.
    pub(crate) const FOR_BULK: [Self; 2] = [Self::Memory, Self::Independent];
    /// Those that take names for bytes.
    pub(crate) const OF_BYTES: [Self; 2] = [Self::Memory, Self::Directory];

    pub(crate) async fn server(self) -> TestServer {
        let sftp = match self {
            Self::Memory => Sftp::memory().binary_handles(),
            Self::Directory => Sftp::temp_dir(),
            Self::Independent => Sftp::temp_dir().engine(SftpEngine::Independent),
        };
        // asyncssh and ssh2 swap the two arguments of SYMLINK for a server that calls itself OpenSSH; OpenSSH's own client
        // and paramiko always do. So only under that name do all of them mean the same.
        let builder =
            TestServer::builder().user(User::new("alice").none()).identification("SSH-2.0-OpenSSH_9.2");
        builder.sftp(sftp).start().await.unwrap()
    }
}

/// Names that are no UTF-8: Latin-1, a lone continuation byte, an overlong slash, and each with what it is renamed to.
pub(crate) const NAMES: [[&[u8]; 2]; 3] =
    [[b"caf\xe9", b"th\xe9"], [b"\x80", b"\xff\xfe"], [b"a\xc0\xafb", b"\xed\xa0\x80"]];
/// A name beyond ASCII, and what it is renamed to.
const TEXT_NAMES: [&str; 2] = ["na\u{ef}ve \u{1f980}", "\u{65e5}\u{672c}"];

/// A transfer that was interrupted.
pub(crate) const INTERRUPTED: Bulk = Bulk::MIB_10;
/// Where: inside a packet, and past the first of several windows.
const INTERRUPTED_AT: u64 = 5_000_001;

/// What had arrived of it.
pub(crate) fn make_part(path: &Path) {
    let mut part = fs::File::open(file(&INTERRUPTED)).unwrap().take(INTERRUPTED_AT);
    std::io::copy(&mut part, &mut fs::File::create(path).unwrap()).unwrap();
}

/// Makes a tree of files and folders; gives back what is in it.
pub(crate) fn make_tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fs::create_dir_all(root.join("sub/deeper")).unwrap();
    fs::write(root.join("empty"), "").unwrap();
    fs::write(root.join("small"), "content").unwrap();
    fs::write(root.join("sub/na\u{ef}ve file"), "\u{1f980}").unwrap();
    // More than one packet, and no multiple of one.
    fs::write(root.join("sub/deeper/large"), (0..300_001_u32).flat_map(u32::to_be_bytes).collect::<Vec<_>>())
        .unwrap();
    // More than one answer to a request for names.
    fs::create_dir(root.join("many")).unwrap();
    for number in 0..150 {
        fs::write(root.join(format!("many/{number}")), number.to_string()).unwrap();
    }
    tree_of(root)
}

/// The files below a folder, with their content.
pub(crate) fn tree_of(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let content = fs::read(&path).unwrap();
                found.insert(path.strip_prefix(root).unwrap().to_path_buf(), content);
            }
        }
    }
    found
}

#[test]
fn asyncssh_works_on_files() {
    clients(LIMIT, async |prepared| library_works(Library::Asyncssh, &prepared).await);
}

#[test]
fn paramiko_works_on_files() {
    clients(LIMIT, async |prepared| library_works(Library::Paramiko, &prepared).await);
}

#[test]
fn ssh2_works_on_files() {
    clients(LIMIT, async |prepared| library_works(Library::Ssh2, &prepared).await);
}

async fn library_works(library: Library, prepared: &Prepared) {
    for engine in Engine::ALL {
        let home = Home::new();
        let server = engine.server().await;
        let mut tree = make_tree(&home.path("tree"));
        home.folder().write("small", "content");
        let part = home.path("part");
        make_part(&part);
        let [name, other] = TEXT_NAMES;
        let steps = [
            json!({"do": "tree", "from": home.path("tree"), "there": "there", "rename": "small", "as": "renamed",
                "to": home.path("back")}),
            json!({"do": "put", "file": home.path("small"), "there": "target"}),
            json!({"do": "links", "target": "target", "link": "link"}),
            json!({"do": "names", "name": hex(name), "other": hex(other)}),
            json!({"do": "many", "count": 200}),
            json!({"do": "put", "file": part, "there": "part"}),
            json!({"do": "resume", "file": file(&INTERRUPTED), "there": "part", "to": part}),
        ];
        let Some(answers) = library.ask(prepared, &server, "alice", &json!({"by": ["none"]}), &steps).await
        else {
            return;
        };
        assert_let_in(&answers);
        assert_eq!(answers.len(), 1 + steps.len());
        let listed = answers[1]["names"].as_array().unwrap().iter().map(bytes).collect::<Vec<_>>();
        assert_eq!(listed, [b"empty".as_slice(), b"many", b"small", b"sub"], "{library:?}, {engine:?}");
        let renamed = tree.remove(Path::new("small")).unwrap();
        tree.insert("renamed".into(), renamed);
        assert!(tree_of(&home.path("back")) == tree, "{library:?}, {engine:?}");
        assert_eq!(answers[3], links_made(), "{library:?}, {engine:?}");
        assert_names(&answers[4], name.as_bytes(), other.as_bytes());
        assert_eq!(answers[5], json!({"right": 200}), "{library:?}, {engine:?}");
        assert_eq!(answers[7], json!({"sent_from": INTERRUPTED_AT}), "{library:?}, {engine:?}");
        assert_whole(&part, &INTERRUPTED);
        finish(server).await;
    }
}

/// What a library tells of a link that led where it was to lead.
fn links_made() -> Value {
    json!({"readlink": "target", "mode": 0o640, "mtime": 1_100_000_000, "is_link": true, "missing": "no such file"})
}

#[test]
fn asyncssh_links_in_the_order_of_the_draft() {
    clients(LIMIT, async |prepared| library_links_by_the_draft(Library::Asyncssh, &prepared).await);
}

#[test]
fn ssh2_links_in_the_order_of_the_draft() {
    clients(LIMIT, async |prepared| library_links_by_the_draft(Library::Ssh2, &prepared).await);
}

/// At a server that does not call itself OpenSSH.
async fn library_links_by_the_draft(library: Library, prepared: &Prepared) {
    for engine in [SftpEngine::Native, SftpEngine::Independent] {
        let home = Home::new();
        home.folder().write("small", "content");
        let sftp = Sftp::temp_dir().engine(engine).link_order(LinkOrder::Draft);
        let server = TestServer::builder().user(User::new("alice").none()).sftp(sftp).start().await.unwrap();
        let steps = [
            json!({"do": "put", "file": home.path("small"), "there": "target"}),
            json!({"do": "links", "target": "target", "link": "link"}),
        ];
        let Some(answers) = library.ask(prepared, &server, "alice", &json!({"by": ["none"]}), &steps).await
        else {
            return;
        };
        assert_let_in(&answers);
        assert_eq!(answers[2], links_made(), "{library:?}, {engine:?}");
        finish(server).await;
    }
}

/// The names that were listed before and after the renaming, and what was read by the first.
fn assert_names(answer: &Value, name: &[u8], other: &[u8]) {
    let expected = json!({"listed": [hex(name)], "renamed": [hex(other)], "read": hex("content")});
    assert_eq!(*answer, expected);
}

#[test]
fn asyncssh_keeps_names_of_any_bytes() {
    clients(LIMIT, async |prepared| library_names(Library::Asyncssh, &prepared).await);
}

#[test]
fn paramiko_keeps_names_of_any_bytes() {
    clients(LIMIT, async |prepared| library_names(Library::Paramiko, &prepared).await);
}

async fn library_names(library: Library, prepared: &Prepared) {
    for engine in Engine::OF_BYTES {
        let server = engine.server().await;
        let step = |[name, other]: &[&[u8]; 2]| json!({"do": "names", "name": hex(name), "other": hex(other), "encoding": null});
        let steps: Vec<Value> = NAMES.iter().map(step).collect();
        let Some(answers) = library.ask(prepared, &server, "alice", &json!({"by": ["none"]}), &steps).await
        else {
            return;
        };
        assert_let_in(&answers);
        assert_eq!(answers.len(), 1 + NAMES.len());
        for ([name, other], answer) in NAMES.iter().zip(&answers[1..]) {
            assert_names(answer, name, other);
        }
        finish(server).await;
    }
}

#[test]
fn asyncssh_moves_bulk_over_sftp() {
    clients(LONG_LIMIT, async |prepared| library_moves(Library::Asyncssh, &prepared).await);
}

#[test]
fn paramiko_moves_bulk_over_sftp() {
    clients(LONG_LIMIT, async |prepared| library_moves(Library::Paramiko, &prepared).await);
}

#[test]
fn ssh2_moves_bulk_over_sftp() {
    clients(LONG_LIMIT, async |prepared| library_moves(Library::Ssh2, &prepared).await);
}

async fn library_moves(library: Library, prepared: &Prepared) {
    for engine in Engine::FOR_BULK {
        let home = Home::new();
        let server = engine.server().await;
        let back = home.path("back");
        let steps = [
            json!({"do": "put", "file": file(&BULK), "there": "bulk"}),
            json!({"do": "get", "file": back, "there": "bulk"}),
        ];
        let Some(answers) = library.ask(prepared, &server, "alice", &json!({"by": ["none"]}), &steps).await
        else {
            return;
        };
        assert_let_in(&answers);
        assert_eq!(answers[1..], [json!({"size": BULK.bytes()}), json!({})], "{library:?}, {engine:?}");
        assert_whole(&back, &BULK);
        finish(server).await;
    }
}
