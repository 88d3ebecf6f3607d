//! Our SFTP client at servers that others wrote: each operation and both ways of a file, held against the disk.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use rustle_sftp::{ErrorKind, Extension, Sftp, Verified};
use rustle_tests::{Scratch, bytes_of, content};

use crate::sftp_servers::{OddNames, SftpServer, at_each_sftp_server};

async fn with_client(server: &SftpServer, work: impl AsyncFn(&Sftp)) {
    let session = server.session().await;
    let sftp = Sftp::open(&session).await.unwrap();
    work(&sftp).await;
    sftp.close().await;
    session.close(Duration::from_secs(20)).await;
}

#[test]
fn files_come_and_go_whole_in_place_and_atomically() {
    let here = Scratch::new();
    at_each_sftp_server(async |server| {
        let (software, there) = (server.software(), server.root().join("there"));
        with_client(server, async |sftp| {
            for size in [0, 1, 32 * 1024, 261_121, 9_000_000] {
                let bytes = content(size);
                let from = here.write("from", &bytes);
                let back = here.join("back");
                for atomic in [false, true] {
                    let put = sftp.put(&from, bytes_of(&there));
                    let put = if atomic { put.atomic() } else { put };
                    let summary = put.verify().await.unwrap();
                    assert_eq!(summary.moved, size as u64, "{software:?}");
                    assert!(fs::read(&there).unwrap() == bytes, "{software:?}: put {size}");
                    match summary.verified {
                        Verified::Sha256(_) => {}
                        Verified::Impossible(why) => {
                            assert!(!software.runs_commands(), "{software:?}: {why}")
                        }
                        other => panic!("{software:?}: {other:?}"),
                    }
                    let get = sftp.get(bytes_of(&there), &back);
                    let get = if atomic { get.atomic() } else { get };
                    assert_eq!(get.await.unwrap().moved, size as u64, "{software:?}");
                    assert!(fs::read(&back).unwrap() == bytes, "{software:?}: get {size}");
                }
            }
            let names: Vec<_> =
                fs::read_dir(server.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names, ["there"], "{software:?}: nothing temporary is left");
        })
        .await;
    });
}

#[test]
fn names_and_attributes_are_read_changed_and_removed() {
    at_each_sftp_server(async |server| {
        let (software, root) = (server.software(), server.root());
        let at = |name: &str| root.join(name);
        with_client(server, async |sftp| {
            sftp.create_dir_all(bytes_of(&at("a/b/c"))).await.unwrap();
            sftp.write(bytes_of(&at("a/one")), content(100_000)).await.unwrap();
            assert!(sftp.read(bytes_of(&at("a/one"))).await.unwrap() == content(100_000), "{software:?}");
            sftp.set_permissions(bytes_of(&at("a/one")), 0o640).await.unwrap();
            assert_eq!(
                fs::metadata(at("a/one")).unwrap().permissions().mode() & 0o777,
                0o640,
                "{software:?}"
            );
            let metadata = sftp.metadata(bytes_of(&at("a/one"))).await.unwrap();
            assert_eq!((metadata.len(), metadata.is_file()), (Some(100_000), true), "{software:?}");

            // Over a name that is taken, whatever the server has for it.
            sftp.write(bytes_of(&at("a/two")), "two").await.unwrap();
            sftp.rename(bytes_of(&at("a/one")), bytes_of(&at("a/two"))).await.unwrap();
            assert_eq!(fs::metadata(at("a/two")).unwrap().len(), 100_000, "{software:?}");
            assert!(!at("a/one").exists(), "{software:?}");

            let mut names = Vec::new();
            let mut listing = sftp.read_dir(bytes_of(&at("a"))).await.unwrap();
            while let Some(entry) = listing.next_entry().await.unwrap() {
                names.push(entry.name().clone());
            }
            names.sort();
            assert_eq!(names, ["b", "two"], "{software:?}");

            let missing = sftp.metadata(bytes_of(&at("none"))).await.unwrap_err();
            assert_eq!(missing.kind(), ErrorKind::NotFound, "{software:?}: {missing}");
            let refused = sftp.write("/etc/refused", "x").await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{software:?}: {refused}");
            assert_eq!(refused.path(), Some(&b"/etc/refused"[..]), "{software:?}");

            if server.software().odd_names() == OddNames::Kept {
                let odd = [bytes_of(&root), b"/caf\xe9 \n*\"\\"].concat();
                sftp.write(&odd, "odd").await.unwrap();
                assert_eq!(sftp.read(&odd).await.unwrap(), "odd", "{software:?}");
                sftp.remove_file(&odd).await.unwrap();
            }
            if sftp.has(Extension::CopyData) {
                sftp.copy(bytes_of(&at("a/two")), bytes_of(&at("a/copy"))).await.unwrap();
                assert!(fs::read(at("a/copy")).unwrap() == content(100_000), "{software:?}");
            }
            sftp.remove_dir_all(bytes_of(&at("a"))).await.unwrap();
            assert!(!at("a").exists(), "{software:?}");
        })
        .await;
    });
}

#[test]
fn two_hundred_files_are_open_at_once_where_the_server_has_room_for_them() {
    at_each_sftp_server(async |server| {
        let (software, root) = (server.software(), server.root());
        with_client(server, async |sftp| {
            let most = sftp.limits().await.unwrap().max_handles;
            let count = if most == 0 { 200 } else { most.min(200) };
            let mut files = Vec::new();
            for number in 0..count {
                let path = root.join(format!("file {number}"));
                let file = rustle_sftp::File::create(sftp, bytes_of(&path)).await.unwrap();
                file.write_at(0, number.to_string()).await.unwrap();
                files.push((path, file));
            }
            for (number, (path, file)) in files.into_iter().enumerate() {
                file.close().await.unwrap();
                assert_eq!(fs::read(path).unwrap(), number.to_string().as_bytes(), "{software:?}");
            }
        })
        .await;
    });
}
