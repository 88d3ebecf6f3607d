//! `sftp` and `scp`, which speak SFTP: listings, renames, trees, transfers taken up again, and 256 MiB
//! each way, on each engine that serves them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::Output;

use rustle_testserver::TestServer;

use crate::bulk::{BULK, assert_whole, file};
use crate::frame::{LIMIT, LONG_LIMIT, clients, finish};
use crate::openssh::{self, Home};
use crate::sftp::{Engine, INTERRUPTED, NAMES, make_part, make_tree, tree_of};

/// Runs these lines, which may hold any bytes, as `sftp -b`.
async fn batch(home: &Home, server: &TestServer, lines: impl AsRef<[u8]>) -> Output {
    let batch = home.folder().write("batch", lines);
    let mut sftp = home.command("sftp", server, &["-b"]);
    openssh::run(sftp.arg(batch).arg("alice@127.0.0.1")).await
}

/// As [`batch`], where all has to go well; gives back what it printed, less the lines it repeats.
async fn done(home: &Home, server: &TestServer, lines: impl AsRef<[u8]>) -> Vec<u8> {
    let output = batch(home, server, lines).await;
    assert!(output.status.success(), "{}", openssh::said(&output));
    let own = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"sftp> "));
    own.collect::<Vec<_>>().join(&b'\n')
}

#[test]
fn sftp_lists_renames_and_changes() {
    clients(LIMIT, async |_| {
        for engine in Engine::ALL {
            let home = Home::new();
            let server = engine.server().await;
            home.folder().write("small", "content");
            let small = home.path("small").display().to_string();
            let lines = format!(
                "mkdir d\nput {small} d/one\nput {small} d/two\nrename d/one d/three\nchmod 640 d/two\n\
                 ln -s two d/link\nls -1 d\n"
            );
            assert_eq!(done(&home, &server, lines).await, b"d/link\nd/three\nd/two\n", "{engine:?}");
            let listed = String::from_utf8(done(&home, &server, "ls -l d\n").await).unwrap();
            let find =
                |name: &str| listed.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned();
            assert!(find("link").starts_with("lrwx"), "{engine:?}:\n{listed}");
            assert!(find("two").starts_with("-rw-r-----"), "{engine:?}:\n{listed}");
            // sftp asks for a rename that replaces, where the server has it.
            done(&home, &server, "rename d/two d/three\n").await;
            assert_eq!(done(&home, &server, "ls -1 d\n").await, b"d/link\nd/three\n", "{engine:?}");
            assert_eq!(
                done(&home, &server, "rm d/link\nrm d/three\nrmdir d\nls -1\n").await,
                b"",
                "{engine:?}"
            );

            let missing = batch(&home, &server, "get no-such-file\n").await;
            assert_eq!(missing.status.code(), Some(1));
            assert!(openssh::said(&missing).contains("not found"), "{}", openssh::said(&missing));
            finish(server).await;
        }
    });
}

#[test]
fn sftp_copies_trees() {
    clients(LIMIT, async |_| {
        for engine in Engine::ALL {
            let home = Home::new();
            let server = engine.server().await;
            let tree = make_tree(&home.path("tree"));
            let (near, back) =
                (home.path("tree").display().to_string(), home.path("back").display().to_string());
            done(&home, &server, format!("put -R {near} there\nget -R there {back}\n")).await;
            assert_eq!(tree_of(&home.path("back")), tree, "{engine:?}");

            // scp without -O speaks SFTP too.
            let scp = |arguments: [&str; 2]| {
                let mut scp = home.command("scp", &server, &["-q", "-r"]);
                scp.args(arguments);
                scp
            };
            openssh::succeed(&mut scp([&near, "alice@127.0.0.1:by-scp"])).await;
            let again = home.path("again").display().to_string();
            openssh::succeed(&mut scp(["alice@127.0.0.1:by-scp", &again])).await;
            assert_eq!(tree_of(&home.path("again")), tree, "{engine:?}");
            finish(server).await;
        }
    });
}

#[test]
fn sftp_moves_bulk() {
    clients(LONG_LIMIT, async |_| {
        for engine in Engine::FOR_BULK {
            let home = Home::new();
            let server = engine.server().await;
            let back = home.path("back");
            done(
                &home,
                &server,
                format!("put {} bulk\nget bulk {}\n", file(&BULK).display(), back.display()),
            )
            .await;
            assert_whole(&back, &BULK);
            finish(server).await;
        }
    });
}

#[test]
fn sftp_takes_a_transfer_up_again() {
    clients(LIMIT, async |_| {
        for engine in Engine::ALL {
            let home = Home::new();
            let server = engine.server().await;
            // A part there, and then what is missing; the same the other way; each in both of its spellings.
            let [part, whole, reget, get_a] = ["part", "whole", "reget", "get-a"].map(|name| home.path(name));
            for path in [&part, &reget, &get_a] {
                make_part(path);
            }
            let (all, part) = (file(&INTERRUPTED), part.display());
            let lines = format!(
                "put {part} one\nreput {all} one\nget one {whole}\nput {part} two\nput -a {all} two\n\
                 reget one {reget}\nget -a two {get_a}\n",
                all = all.display(),
                whole = whole.display(),
                reget = reget.display(),
                get_a = get_a.display()
            );
            done(&home, &server, lines).await;
            for path in [&whole, &reget, &get_a] {
                assert_whole(path, &INTERRUPTED);
            }
            finish(server).await;
        }
    });
}

#[test]
fn sftp_keeps_names_of_any_bytes() {
    clients(LIMIT, async |_| {
        for engine in Engine::OF_BYTES {
            let home = Home::new();
            let server = engine.server().await;
            home.folder().write("small", "content");
            for [name, other] in NAMES {
                let near = home.path("small").into_os_string().into_vec();
                let back = home.path("back").into_os_string().into_vec();
                let lines = [
                    [b"put \"".as_slice(), &near, b"\" \"", name, b"\"\n"].concat(),
                    [b"rename \"".as_slice(), name, b"\" \"", other, b"\"\n"].concat(),
                    [b"get \"".as_slice(), other, b"\" \"", &back, b"\"\n"].concat(),
                ];
                done(&home, &server, lines.concat()).await;
                assert_eq!(fs::read(home.path("back")).unwrap(), b"content", "{engine:?}");
                assert_eq!(done(&home, &server, "ls -1\n").await, in_octal(other), "{engine:?}");
                done(&home, &server, [b"rm \"".as_slice(), other, b"\"\n"].concat()).await;
                assert_eq!(done(&home, &server, "ls -1\n").await, b"", "{engine:?}");
            }
            // A file of such a name comes with its tree, and is named so here.
            let odd = OsStr::from_bytes(NAMES[0][0]);
            fs::create_dir(home.path("tree")).unwrap();
            fs::write(home.path("tree").join(odd), "content").unwrap();
            let (near, again) = (home.path("tree"), home.path("again"));
            done(
                &home,
                &server,
                format!("put -R {} there\nget -R there {}\n", near.display(), again.display()),
            )
            .await;
            assert_eq!(tree_of(&again), tree_of(&near), "{engine:?}");
            finish(server).await;
        }
    });
}

/// A line of a listing, in which sftp shows what is no text as octal numbers.
fn in_octal(name: &[u8]) -> Vec<u8> {
    let shown = |byte: &u8| match byte {
        b' '..=b'~' => char::from(*byte).to_string(),
        other => format!("\\{other:03o}"),
    };
    (name.iter().map(shown).collect::<String>() + "\n").into_bytes()
}
