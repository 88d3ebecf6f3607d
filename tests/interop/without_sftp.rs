//! Files at servers without SFTP: by commands of a real shell, and by OpenSSH's `scp`, held against the disk.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use rustle_sftp::{ErrorKind, Files, Lack, Means, Verified};
use rustle_tests::{Scratch, bytes_of, content, output_of, run};

use crate::sftp_servers::{SftpServer, at_each_server_without_sftp};

/// What the client finds to be best, as somebody who does not know the host.
async fn with_best(server: &SftpServer, work: impl AsyncFn(&Files)) {
    let session = server.session().await;
    let files = Files::open(&session).await.unwrap();
    assert_eq!(files.means(), Means::Commands, "{:?}: {:?}", server.software(), files.refusal());
    work(&files).await;
    files.close().await;
    session.close(Duration::from_secs(20)).await;
}

async fn with_scp(server: &SftpServer, work: impl AsyncFn(&Files)) {
    let session = server.session().await;
    work(&Files::by_scp(&session).await.unwrap()).await;
    session.close(Duration::from_secs(20)).await;
}

/// A file of this side with permissions and a time that no new one has.
fn written(path: &Path, length: usize) -> Vec<u8> {
    let content = content(length);
    fs::write(path, &content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o751)).unwrap();
    fs::File::open(path).unwrap().set_modified(UNIX_EPOCH + Duration::from_secs(1_500_000_000)).unwrap();
    content
}

fn mode_and_time(path: &Path) -> (u32, i64) {
    let metadata = fs::metadata(path).unwrap();
    (metadata.permissions().mode() & 0o7777, metadata.mtime())
}

#[test]
fn files_come_and_go_whole_by_commands_and_both_sides_have_the_same_hash() {
    let here = Scratch::new();
    at_each_server_without_sftp(async |server| {
        let (software, root) = (server.software(), server.root());
        let (from, back, there) = (here.join("from"), here.join("back"), root.join("it's\n\u{e9}"));
        with_best(server, async |files| {
            assert!(!files.lacks().contains(&Lack::Verify), "{software:?}");
            for length in [0, 1, 9_000_000] {
                let bytes = written(&from, length);
                for atomic in [false, true] {
                    let put = files.put(&from, bytes_of(&there)).verify().preserve();
                    let put = if atomic { put.atomic() } else { put }.await.unwrap();
                    assert!(matches!(put.verified, Verified::Sha256(_)), "{software:?}: {put:?}");
                    assert!(fs::read(&there).unwrap() == bytes, "{software:?}: put {length}");
                    assert_eq!(mode_and_time(&there), (0o751, 1_500_000_000), "{software:?}");
                    let get = files.get(bytes_of(&there), &back).verify().preserve();
                    let get = if atomic { get.atomic() } else { get }.await.unwrap();
                    assert_eq!(get.verified, put.verified, "{software:?}: get {length}");
                    assert!(fs::read(&back).unwrap() == bytes, "{software:?}: get {length}");
                    assert_eq!(mode_and_time(&back), (0o751, 1_500_000_000), "{software:?}");
                }
            }
            assert_eq!(fs::read_dir(&root).unwrap().count(), 1, "{software:?}: nothing temporary is left");
        })
        .await;
    });
}

#[test]
fn names_are_listed_described_changed_moved_and_removed_by_commands() {
    at_each_server_without_sftp(async |server| {
        let (software, root) = (server.software(), server.root());
        let at = |name: &str| root.join(name);
        let odd = [bytes_of(&root), b"/-caf\xe9 \n*\"\\$HOME'"].concat();
        with_best(server, async |files| {
            files.create_dir(bytes_of(&at("dir"))).await.unwrap();
            files.create_dir_all(bytes_of(&at("dir/a/b"))).await.unwrap();
            files.write(&odd, content(100_000)).await.unwrap();
            assert!(files.read(&odd).await.unwrap() == content(100_000), "{software:?}");
            files.rename(&odd, bytes_of(&at("dir/one"))).await.unwrap();
            files.set_permissions(bytes_of(&at("dir/one")), 0o640).await.unwrap();
            let time = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
            let (read, changed) = (time(1_100_000_000), time(1_200_000_000));
            files.set_times(bytes_of(&at("dir/one")), read, changed).await.unwrap();
            assert_eq!(mode_and_time(&at("dir/one")), (0o640, 1_200_000_000), "{software:?}");
            let known = files.metadata(bytes_of(&at("dir/one"))).await.unwrap();
            let disk = fs::metadata(at("dir/one")).unwrap();
            assert_eq!(
                (known.len(), known.permissions(), known.uid(), known.modified()),
                (Some(100_000), Some(0o640), Some(disk.uid()), Some(changed)),
                "{software:?}"
            );
            files.symlink("one", bytes_of(&at("dir/link"))).await.unwrap();
            assert_eq!(files.read_link(bytes_of(&at("dir/link"))).await.unwrap(), "one", "{software:?}");
            let mut listed = Vec::new();
            let mut entries = files.read_dir(bytes_of(&at("dir"))).await.unwrap();
            while let Some(entry) = entries.next_entry().await.unwrap() {
                let metadata = entry.metadata();
                listed.push((entry.name().clone(), metadata.is_dir(), metadata.is_symlink()));
            }
            listed.sort();
            let expected = [("a", true, false), ("link", false, true), ("one", false, false)];
            assert_eq!(listed, expected.map(|(name, dir, link)| (name.into(), dir, link)), "{software:?}");
            files.remove_dir(bytes_of(&at("dir/a/b"))).await.unwrap();
            files.remove_file(bytes_of(&at("dir/link"))).await.unwrap();
            assert!(at("dir/one").exists(), "{software:?}");
            files.remove_dir_all(bytes_of(&at("dir"))).await.unwrap();
            assert_eq!(fs::read_dir(&root).unwrap().count(), 0, "{software:?}");
        })
        .await;
    });
}

#[test]
fn directories_patterns_and_copies_go_by_commands() {
    let here = Scratch::new();
    let from = here.join("from");
    fs::create_dir_all(from.join("a/empty")).unwrap();
    for (name, length) in [("one.gz", 1), ("a/two.gz", 70_000), ("a/it's\n", 0)] {
        written(&from.join(name), length);
    }
    at_each_server_without_sftp(async |server| {
        let (software, root, back) = (server.software(), server.root(), Scratch::new());
        with_best(server, async |files| {
            let there = root.join("there");
            let put = files.put_dir(&from, bytes_of(&there)).preserve().atomic().await.unwrap();
            assert!(put.is_complete() && (put.files, put.directories) == (3, 3), "{software:?}: {put:?}");
            assert_eq!(mode_and_time(&there.join("a/two.gz")), (0o751, 1_500_000_000), "{software:?}");
            let got = files.get_dir(bytes_of(&there), back.join("got")).preserve().verify().await.unwrap();
            assert!(got.is_complete() && got.bytes == put.bytes, "{software:?}: {got:?}");
            run(Command::new("diff").arg("-r").arg(&from).arg(back.join("got")));
            assert_eq!(mode_and_time(&back.join("got/one.gz")), (0o751, 1_500_000_000), "{software:?}");
            let found = files.glob([bytes_of(&there), b"/**/*.gz"].concat()).unwrap().sorted().await.unwrap();
            let found: Vec<_> = found.iter().map(|entry| entry.path().clone()).collect();
            let expected = ["a/two.gz", "one.gz"].map(|name| bytes_of(&there.join(name)).to_vec());
            assert_eq!(found, expected, "{software:?}");
            let (two, copy) = (there.join("a/two.gz"), there.join("copy"));
            assert_eq!(files.copy(bytes_of(&two), bytes_of(&copy)).await.unwrap(), 70_000, "{software:?}");
            assert!(fs::read(two).unwrap() == fs::read(copy).unwrap(), "{software:?}");
            assert!(files.space(bytes_of(&there)).await.unwrap().total > 0, "{software:?}");
        })
        .await;
    });
}

#[test]
fn scp_s_protocol_moves_files_with_their_permissions_and_times() {
    let here = Scratch::new();
    at_each_server_without_sftp(async |server| {
        let (software, root) = (server.software(), server.root());
        let (from, back, there) = (here.join("from"), here.join("back"), root.join("it's a \u{e9}"));
        with_scp(server, async |files| {
            for length in [0, 1, 9_000_000] {
                let bytes = written(&from, length);
                files.put(&from, bytes_of(&there)).preserve().await.unwrap();
                assert!(fs::read(&there).unwrap() == bytes, "{software:?}: put {length}");
                assert_eq!(mode_and_time(&there), (0o751, 1_500_000_000), "{software:?}");
                let got = files.get(bytes_of(&there), &back).preserve().atomic().await.unwrap();
                assert_eq!(got.moved, length as u64, "{software:?}");
                assert!(fs::read(&back).unwrap() == bytes, "{software:?}: get {length}");
                assert_eq!(mode_and_time(&back), (0o751, 1_500_000_000), "{software:?}");
            }
            files.put(&from, bytes_of(&root)).mode(0o604).await.unwrap();
            assert_eq!(mode_and_time(&root.join("from")).0, 0o604, "{software:?}");
        })
        .await;
    });
}

#[test]
fn scp_s_protocol_moves_directories_with_all_that_is_in_them() {
    let here = Scratch::new();
    let from = here.join("from");
    fs::create_dir_all(from.join("a/empty")).unwrap();
    for (name, length) in [("one.gz", 1), ("a/two.gz", 700_000), ("a/it's \u{e9}", 0)] {
        written(&from.join(name), length);
    }
    std::os::unix::fs::symlink("one.gz", from.join("link")).unwrap();
    at_each_server_without_sftp(async |server| {
        let (software, root, back) = (server.software(), server.root(), Scratch::new());
        with_scp(server, async |files| {
            let there = root.join("there");
            for times in ["first", "second"] {
                let put = files.put_dir(&from, bytes_of(&there)).preserve().await.unwrap();
                assert_eq!((put.files, put.directories), (3, 3), "{software:?}, {times}: {put:?}");
                assert_eq!((put.failures.len(), put.skipped.len()), (0, 1), "{software:?}, {times}: {put:?}");
                assert_eq!(mode_and_time(&there.join("a/two.gz")), (0o751, 1_500_000_000), "{software:?}");
            }
            std::os::unix::fs::symlink("a", there.join("also")).unwrap();
            let got = files.get_dir(bytes_of(&there), back.join("got")).preserve().atomic().await.unwrap();
            assert!(got.is_complete() && (got.files, got.directories) == (5, 5), "{software:?}: {got:?}");
            run(Command::new("diff").arg("-r").arg(from.join("a")).arg(back.join("got/a")));
            run(Command::new("diff").arg("-r").arg(from.join("a")).arg(back.join("got/also")));
            assert_eq!(mode_and_time(&back.join("got/one.gz")), (0o751, 1_500_000_000), "{software:?}");
            assert!(files.metadata(bytes_of(&there)).await.unwrap().is_dir(), "{software:?}");
            let file = files.metadata(bytes_of(&there.join("a/two.gz"))).await.unwrap();
            assert_eq!((file.len(), file.permissions()), (Some(700_000), Some(0o751)), "{software:?}");
        })
        .await;
    });
}

/// The suite's folder belongs to root but for what a server's account was given.
#[test]
fn what_the_account_may_not_do_is_told_by_kind_and_path() {
    let here = Scratch::new();
    let from = here.write("from", "x");
    at_each_server_without_sftp(async |server| {
        let (software, root) = (server.software(), server.root());
        let shut = Shut::new(&here);
        let (inside, secret) = (shut.folder.join("x"), shut.secret.clone());
        let denied = |what: &str, path: &Path, error: rustle_sftp::Error| {
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{software:?}: {what}: {error}");
            assert_eq!(error.path(), Some(bytes_of(path)), "{software:?}: {what}: {error}");
        };
        let directory = |what: &str, error: rustle_sftp::Error| {
            assert_eq!(error.kind(), ErrorKind::IsADirectory, "{software:?}: {what}: {error}");
            assert_eq!(error.path(), Some(bytes_of(&root)), "{software:?}: {what}: {error}");
        };
        with_best(server, async |files| {
            let (x, s) = (bytes_of(&inside), bytes_of(&secret));
            denied("stat", &inside, files.metadata(x).await.unwrap_err());
            denied("list", &shut.folder, files.read_dir(bytes_of(&shut.folder)).await.unwrap_err());
            denied("read", &secret, files.read(s).await.unwrap_err());
            denied("write", &secret, files.write(s, "y").await.unwrap_err());
            denied("mkdir", &inside, files.create_dir(x).await.unwrap_err());
            denied("remove", &secret, files.remove_file(s).await.unwrap_err());
            denied("chmod", &secret, files.set_permissions(s, 0o666).await.unwrap_err());
            denied("rename", &secret, files.rename(s, bytes_of(&root.join("x"))).await.unwrap_err());
            denied("get", &secret, files.get(s, here.join("back")).await.unwrap_err());
            denied("put", &secret, files.put(&from, s).await.unwrap_err());
            denied("put --atomic", &secret, files.put(&from, s).atomic().await.unwrap_err());
            directory("get", files.get(bytes_of(&root), here.join("back")).await.unwrap_err());
            directory("put", files.put(&from, bytes_of(&root)).await.unwrap_err());
            directory("put --atomic", files.put(&from, bytes_of(&root)).atomic().await.unwrap_err());
            directory("write", files.write(bytes_of(&root), "x").await.unwrap_err());
        })
        .await;
        with_scp(server, async |files| {
            denied("scp -f", &secret, files.get(bytes_of(&secret), here.join("back")).await.unwrap_err());
            denied("scp -t", &secret, files.put(&from, bytes_of(&secret)).await.unwrap_err());
        })
        .await;
        assert_eq!(fs::read(&secret).unwrap(), b"secret", "{software:?}");
        assert!(!here.join("back").exists(), "{software:?}: nothing was fetched");
    });
}

#[test]
fn a_read_only_file_system_is_named() {
    let here = Scratch::new();
    let from = here.write("from", "x");
    at_each_server_without_sftp(async |server| {
        let software = server.software();
        let Some(mount) = ReadOnly::mount(server.root().join("mount")) else { return };
        let (path, file) = (mount.0.join("new"), mount.0.join("file"));
        let check = |what: &str, path: &Path, error: rustle_sftp::Error| {
            assert_eq!(error.kind(), ErrorKind::ReadOnly, "{software:?}: {what}: {error}");
            assert_eq!(error.path(), Some(bytes_of(path)), "{software:?}: {what}: {error}");
        };
        with_best(server, async |files| {
            let (new, old) = (bytes_of(&path), bytes_of(&file));
            assert_eq!(files.read(old).await.unwrap(), "old", "{software:?}");
            check("write", &path, files.write(new, "x").await.unwrap_err());
            check("over", &file, files.write(old, "x").await.unwrap_err());
            check("mkdir", &path, files.create_dir(new).await.unwrap_err());
            check("remove", &file, files.remove_file(old).await.unwrap_err());
            check("rename", &file, files.rename(old, new).await.unwrap_err());
            check("chmod", &file, files.set_permissions(old, 0o600).await.unwrap_err());
            check("put", &path, files.put(&from, new).await.unwrap_err());
            check("put --atomic", &path, files.put(&from, new).atomic().await.unwrap_err());
        })
        .await;
        with_scp(server, async |files| {
            check("scp -t", &path, files.put(&from, bytes_of(&path)).await.unwrap_err());
        })
        .await;
    });
}

/// A folder and a file of root's that nobody else may look into.
struct Shut {
    folder: PathBuf,
    secret: PathBuf,
}

impl Shut {
    fn new(scratch: &Scratch) -> Self {
        let (folder, secret) = (scratch.join("shut"), scratch.write("secret", "secret"));
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        Self { folder, secret }
    }
}

/// A file system of its own that nobody may write to, with a file of everybody's. Dropped, it is gone.
struct ReadOnly(PathBuf);

impl ReadOnly {
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let mut mount = Command::new("mount");
        if !output_of(mount.args(["-t", "tmpfs", "tmpfs"]).arg(&at)).status.success() {
            println!("skipped: this machine lets nothing be mounted");
            return None;
        }
        let mount = Self(at);
        fs::write(mount.0.join("file"), "old").unwrap();
        for path in [mount.0.clone(), mount.0.join("file")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        run(Command::new("mount").args(["-o", "remount,ro"]).arg(&mount.0));
        Some(mount)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        // Lazily: what a command that was ended just now had open there may still be closing.
        let gone = output_of(Command::new("umount").arg("--lazy").arg(&self.0));
        if !gone.status.success() {
            println!("warning: {} is still mounted", self.0.display());
        }
    }
}
