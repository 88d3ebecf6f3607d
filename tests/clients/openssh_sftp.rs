//! `sftp` and `scp`, which speak SFTP: listings, renames, trees, transfers taken up again, and 256 MiB
//! each way, on each engine that serves them.

use std::fs;
use std::process::Output;

use rustle_testserver::TestServer;

use crate::bulk::{BULK, assert_whole, file};
use crate::frame::{LIMIT, LONG_LIMIT, clients, finish};
use crate::openssh::{self, Home};
use crate::sftp::{Engine, make_tree, tree_of};

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
fn sftp_moves_bulk_and_takes_it_up_again() {
    clients(LONG_LIMIT, async |_| {
        for engine in Engine::ALL {
            let home = Home::new();
            let server = engine.server().await;
            let bulk = file(&BULK).display().to_string();
            let back = home.path("back");
            done(&home, &server, format!("put {bulk} bulk\nget bulk {}\n", back.display())).await;
            assert_whole(&back, &BULK);

            // The first third there, and then what is missing; the same the other way, in both of its spellings.
            let third = home.path("third");
            cut(&third);
            let lines = format!(
                "put {part} part\nreput {bulk} part\nget part {whole}\nput {part} again\nput -a {bulk} again\n",
                part = third.display(),
                whole = home.path("whole").display()
            );
            done(&home, &server, lines).await;
            assert_whole(&home.path("whole"), &BULK);
            let (reget, get_a) = (home.path("reget"), home.path("get-a"));
            cut(&reget);
            cut(&get_a);
            let lines = format!("reget part {}\nget -a again {}\n", reget.display(), get_a.display());
            done(&home, &server, lines).await;
            assert_whole(&reget, &BULK);
            assert_whole(&get_a, &BULK);
            finish(server).await;
        }
    });
}

/// The first third of the bulk, which ends inside a packet.
fn cut(path: &std::path::Path) {
    use std::io::Read;

    let mut head = fs::File::open(file(&BULK)).unwrap().take(BULK.bytes() / 3);
    std::io::copy(&mut head, &mut fs::File::create(path).unwrap()).unwrap();
}
