//! When commands are chosen, and when not.

use std::sync::Arc;

use rustle_sftp::{ErrorKind, Files, Lack, Means};
use rustle_testserver::{Exit, Reply, Sftp as Tree, TestServer};

use crate::commands::host::{Host, files_of, hosts};
use crate::support::{login, serve, serve_with};

#[tokio::test]
async fn where_there_is_sftp_it_is_used() {
    let server = serve(Tree::memory().file("/a", "x")).await;
    let files = files_of(&server).await;
    assert_eq!((files.means(), files.lacks(), files.refusal().is_none()), (Means::Sftp, vec![], true));
    assert_eq!(files.sftp().unwrap().read("/a").await.unwrap(), files.read("/a").await.unwrap());
    files.close().await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_refused_subsystem_and_one_without_a_program_lead_to_commands() {
    let host = Arc::new(Host::new());
    let without_program = host.builder().subsystem_fn("sftp", async |_| Exit::Code(127));
    for server in [host.serve().await, serve_with(without_program).await] {
        let files = files_of(&server).await;
        assert_eq!(files.means(), Means::Commands);
        assert_eq!(files.refusal().unwrap().kind(), ErrorKind::Unavailable);
        assert!(files.sftp().is_none());
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn what_prints_in_place_of_sftp_is_told_and_not_gone_round() {
    let host = Arc::new(Host::new());
    let printing = host.builder().subsystem_fn("sftp", async |mut call: rustle_testserver::Call| {
        call.stdout().send("Welcome!\n").await.unwrap();
        Exit::SUCCESS
    });
    let server = serve_with(printing).await;
    let error = Files::open(&login(&server).await).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("Welcome!"), "{error}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_start_up_file_that_prints_before_each_command_is_told() {
    let host = Arc::new(Host::new());
    let server = serve_with(host.builder().startup_noise("Welcome!\n")).await;
    let error = Files::by_commands(&login(&server).await).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("Welcome!") && error.hint().is_some(), "{error}");
    server.stop().await.unwrap();
    let server = serve_with(host.builder().startup_noise_stderr("Welcome!\n")).await;
    let files = files_of(&server).await;
    assert!(!files.exists("none").await.unwrap());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_device_without_a_shell_is_named_by_what_it_says() {
    let server =
        serve_with(TestServer::builder().command_matching("*", Reply::stdout("% Invalid \x1b[2Jinput\n")))
            .await;
    let error = Files::open(&login(&server).await).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(text.contains("Invalid") && !text.contains('\x1b'), "{text}");
    assert!(error.hint().unwrap().contains("scp was asked as well"), "{error:?}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_a_host_lacks_is_said() {
    for (name, host) in hosts() {
        let server = host.serve().await;
        let files = files_of(&server).await;
        let lacks = files.lacks();
        assert!(lacks.contains(&Lack::Resume) && lacks.contains(&Lack::OpenFiles), "{name}");
        if name.contains("BSD") {
            use Lack::{OpenFiles, Resume, SafeRename, Storing};
            assert_eq!(lacks, [OpenFiles, Resume, Storing, SafeRename], "its stat and its sha256 are used");
        }
        let plain = name.starts_with("POSIX");
        for lack in [Lack::Times, Lack::Links, Lack::Verify, Lack::Storing, Lack::SafeRename] {
            if plain || name.starts_with("GNU") {
                assert_eq!(lacks.contains(&lack), plain, "{name}: {lack}");
            }
        }
        server.stop().await.unwrap();
    }
}
