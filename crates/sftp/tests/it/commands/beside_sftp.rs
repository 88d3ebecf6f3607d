//! Hashes by the account's commands beside SFTP, whoever its login shell is and whatever the names are.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustle_sftp::{Compare, Proof, Resumed, Sftp, Verified};
use rustle_testserver::{Builder, Exit, TestServer};

use crate::commands::host::Host;
use crate::here::content;
use crate::support::{finish, open, serve_with};

/// Each of them runs something in a shell that quotes otherwise than POSIX says, or shows how it was quoted.
const NAMES: [&[u8]; 6] = [
    b"\\' touch pwned #",
    b"a\ntouch pwned;#",
    b"a'!\ntouch pwned\n",
    b"$(touch pwned)`touch pwned`",
    b"plain",
    b"caf\xe9 \"; touch pwned; \"",
];

fn hosts() -> Vec<(&'static str, Arc<Host>)> {
    let shells = ["sh", "bash", "fish", "tcsh"].map(|name| (name, Host::with_shell(name)));
    shells.into_iter().filter_map(|(name, host)| Some((name, Arc::new(host?)))).collect()
}

/// SFTP without check-file over the whole disk, and the host's commands.
fn serving(host: &Arc<Host>) -> Builder {
    host.builder().sftp(rustle_testserver::Sftp::directory("/"))
}

fn at(folder: &Path, name: &[u8]) -> PathBuf {
    folder.join(OsStr::from_bytes(name))
}

fn text(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

fn untouched(shell: &str, host: &Host) {
    let names = host.names();
    assert!(!names.iter().any(|name| name.starts_with("pwned")), "{shell}: {names:?}");
}

async fn there_and_back(shell: &str, host: &Host, sftp: &Sftp, name: &[u8], bytes: &[u8]) {
    let here = tempfile::tempdir().unwrap();
    let (from, back, there) = (here.path().join("from"), here.path().join("back"), at(host.folder(), name));
    fs::write(&from, bytes).unwrap();
    let put = sftp.put(&from, text(&there)).verify().atomic().await.unwrap();
    let get = sftp.get(text(&there), &back).verify().await.unwrap();
    for summary in [put, get] {
        assert!(matches!(summary.verified, Verified::Sha256(_)), "{shell}, {name:?}: {summary:?}");
    }
    assert!(fs::read(&back).unwrap() == bytes && fs::read(&there).unwrap() == bytes, "{shell}");
    let found = bytes.len() / 2;
    for part in [&back, &there] {
        fs::write(part, &bytes[..found]).unwrap();
    }
    let put = sftp.put(&from, text(&there)).resume().await.unwrap();
    let get = sftp.get(text(&there), &back).resume().await.unwrap();
    let proved = Resumed::From { from: found as u64, proof: Proof::Sha256 };
    assert_eq!((put.resumed, get.resumed), (proved.clone(), proved), "{shell}, {name:?}");
    assert!(fs::read(&back).unwrap() == bytes && fs::read(&there).unwrap() == bytes, "{shell}");
    untouched(shell, host);
}

#[tokio::test]
async fn no_name_runs_anything_and_each_is_hashed() {
    let bytes = content(100_000);
    for (shell, host) in hosts() {
        let server = serve_with(serving(&host)).await;
        let sftp = open(&server).await;
        for name in NAMES {
            there_and_back(shell, &host, &sftp, name, &bytes).await;
        }
        finish(sftp, server).await;
    }
}

#[tokio::test]
async fn what_runs_commands_is_asked_once_for_a_whole_tree() {
    for (shell, host) in hosts() {
        let server = serve_with(serving(&host)).await;
        let sftp = open(&server).await;
        let here = tempfile::tempdir().unwrap();
        for name in NAMES {
            fs::write(at(here.path(), name), "equal").unwrap();
        }
        let there = host.folder().join("to");
        let sync = || sftp.sync_to(here.path(), text(&there)).compare(Compare::Checksum);
        assert_eq!(sync().await.unwrap().files, NAMES.len() as u64, "{shell}");
        fs::write(at(&there, NAMES[1]), "EQUAL").unwrap();
        let summary = sync().await.unwrap();
        let counts = (summary.files, summary.unchanged, summary.uncompared);
        assert_eq!(counts, (1, NAMES.len() as u64 - 1, 0), "{shell}: {summary:#?}");
        untouched(shell, &host);
        let asked = match shell {
            "fish" => 2,
            "tcsh" => 3,
            _ => 1,
        };
        assert_eq!(run_with(&server, "echo end"), asked, "{shell}");
        finish(sftp, server).await;
    }
}

/// POSIX has no `head -c`: the hash of nothing must not pass for that of a file.
#[tokio::test]
async fn whole_files_are_hashed_where_no_beginning_can_be() {
    let Some(host) = Host::with_plain_head() else { return println!("skipped: no sha256sum is installed") };
    let host = Arc::new(host);
    let server = serve_with(serving(&host)).await;
    let sftp = open(&server).await;
    let here = tempfile::tempdir().unwrap();
    let (from, there, bytes) = (here.path().join("from"), host.folder().join("to/from"), content(100_000));
    fs::write(&from, &bytes).unwrap();
    let sync = || sftp.sync_to(here.path(), text(there.parent().unwrap())).compare(Compare::Checksum);
    assert_eq!(sync().await.unwrap().files, 1);
    let again = sync().await.unwrap();
    assert_eq!((again.files, again.unchanged, again.uncompared), (0, 1, 0));
    let verified = sftp.put(&from, text(&there)).verify().await.unwrap().verified;
    assert!(matches!(verified, Verified::Sha256(_)), "{verified:?}");
    fs::write(&there, &bytes[..bytes.len() / 2]).unwrap();
    sftp.put(&from, text(&there)).resume().await.unwrap();
    assert!(fs::read(&there).unwrap() == bytes);
    finish(sftp, server).await;
}

/// Whatever takes the command lines of this account apart, it is no shell that is known.
#[tokio::test]
async fn without_a_known_shell_only_harmless_names_are_given_to_commands() {
    let bytes = content(1000);
    let host = Arc::new(Host::new());
    let behind = Arc::clone(&host);
    let server = serve_with(serving(&host).command_fn("*", move |mut call| {
        let behind = Arc::clone(&behind);
        async move {
            if !has(call.command(), b"echo end") {
                return behind.run(call).await;
            }
            match call.stdout().send("'sh' is not recognized\r\n").await {
                Ok(()) => Exit::Code(1),
                Err(_) => Exit::Silent,
            }
        }
    }))
    .await;
    let sftp = open(&server).await;
    there_and_back("unknown", &host, &sftp, b"plain", &bytes).await;
    let here = tempfile::tempdir().unwrap();
    let back = here.path().join("back");
    let before = run_with(&server, "");
    for name in NAMES.iter().filter(|name| **name != b"plain") {
        let there = at(host.folder(), name);
        fs::write(&there, &bytes).unwrap();
        let Verified::Impossible(why) = sftp.get(text(&there), &back).verify().await.unwrap().verified else {
            panic!("{name:?} was compared");
        };
        assert!(why.contains("not run by a POSIX shell") && why.contains("not recognized"), "{why}");
    }
    assert_eq!(run_with(&server, ""), before);
    untouched("unknown", &host);
    finish(sftp, server).await;
}

fn has(line: &[u8], part: &[u8]) -> bool {
    line.windows(part.len()).any(|window| window == part)
}

/// How many commands had this in their text.
fn run_with(server: &TestServer, part: &str) -> usize {
    server.record().commands().iter().filter(|command| command.text().contains(part)).count()
}
