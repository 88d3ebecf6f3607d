//! SFTP over the server's directory by both engines, with the client half of russh-sftp.

use russh_sftp::client::SftpSession;
use rustle_testserver::{CommandKind, Sftp, SftpEngine, TestServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Client, LIMIT, alice};

const ENGINES: [SftpEngine; 2] = [SftpEngine::Native, SftpEngine::Independent];

async fn serve(engine: SftpEngine) -> TestServer {
    TestServer::builder().user(alice()).sftp(Sftp::temp_dir().engine(engine)).start().await.unwrap()
}

async fn session(client: &Client) -> SftpSession {
    let channel = client.open().await;
    channel.request_subsystem(true, "sftp").await.unwrap();
    SftpSession::new(channel.into_stream()).await.unwrap()
}

#[tokio::test]
async fn files_and_directories_are_made_read_listed_and_removed() {
    for engine in ENGINES {
        make_read_list_and_remove(serve(engine).await).await;
    }
}

async fn make_read_list_and_remove(server: TestServer) {
    let client = Client::alice(&server).await;
    let sftp = session(&client).await;
    assert_eq!(sftp.canonicalize(".").await.unwrap(), "/");
    sftp.create_dir("/dir").await.unwrap();
    let data: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut file = sftp.create("/dir/file").await.unwrap();
    file.write_all(&data).await.unwrap();
    file.shutdown().await.unwrap();
    assert_eq!(std::fs::read(server.directory().join("dir/file")).unwrap(), data);

    let mut back = Vec::new();
    sftp.open("/dir/file").await.unwrap().read_to_end(&mut back).await.unwrap();
    assert!(back == data);
    assert_eq!(sftp.metadata("/dir/file").await.unwrap().size, Some(data.len() as u64));
    let names: Vec<String> = sftp.read_dir("/dir").await.unwrap().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["file"]);

    sftp.rename("/dir/file", "/dir/moved").await.unwrap();
    assert!(sftp.remove_dir("/dir").await.is_err(), "a directory that is not empty was removed");
    sftp.remove_file("/dir/moved").await.unwrap();
    sftp.remove_dir("/dir").await.unwrap();
    assert_eq!(std::fs::read_dir(server.directory()).unwrap().count(), 0);
    sftp.close().await.unwrap();
    server.wait_until(|record| record.processes_running() == 0, LIMIT).await.unwrap();
    assert_eq!(server.record().command("sftp").unwrap().kind(), CommandKind::Subsystem);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn nothing_outside_the_directory_can_be_reached() {
    for engine in ENGINES {
        look_outside(serve(engine).await).await;
    }
}

async fn look_outside(server: TestServer) {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "x").unwrap();
    let client = Client::alice(&server).await;
    let sftp = session(&client).await;
    let up = format!("/../../../../..{}/secret", outside.path().display());
    assert!(sftp.read(&up).await.is_err());
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(outside.path(), server.directory().join("link")).unwrap();
        assert!(sftp.read("/link/secret").await.is_err());
        assert!(sftp.create("/link/new").await.is_err());
        assert!(sftp.symlink_metadata("/link").await.unwrap().is_symlink());
    }
    server.stop().await.unwrap();
}
