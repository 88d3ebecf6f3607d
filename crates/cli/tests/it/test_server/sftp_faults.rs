//! Faults of a script in the answers to SFTP requests: each kind by its name, seen at a client.

use std::time::{Duration, Instant};

use super::file_client::{
    ATTRS, Client, DATA, FOR_READING, FOR_WRITING, HANDLE, NAME, OPEN, OPENDIR, READ, READDIR, STAT, STATUS,
    WRITE, number, text,
};
use super::served::Served;

async fn with(fault: &str) -> (Served, Client) {
    let script = format!(
        r#"
        [[users]]
        name = "alice"
        password = "wonderland"
        [sftp]
        serve = "memory"
        files = [{{ path = "/f", text = "0123456789" }}]
        [[faults]]
        {fault}
        "#
    );
    let server = Served::script(&script).await;
    let client = Client::start(&server).await;
    (server, client)
}

/// The fault has happened; and so the server ends well.
async fn struck((server, client): (Served, Client)) {
    drop(client);
    server.stop().await;
}

async fn stat(client: &mut Client, path: &str) -> u8 {
    client.ask(STAT, &[&text(path)]).await.0
}

#[tokio::test]
async fn replies_are_lost_held_doubled_or_late() {
    let (server, mut client) = with("kind = \"sftp_lose_reply\"\nsftp_request = \"stat\"\nonce = true").await;
    client.send(STAT, &[&text("/none")]).await;
    assert_eq!(stat(&mut client, "/f").await, ATTRS);
    struck((server, client)).await;
    let (server, mut client) = with("kind = \"sftp_hold_reply\"\nsftp_request = \"stat\"\nnth = 1").await;
    client.send(STAT, &[&text("/f")]).await;
    client.send(STAT, &[&text("/none")]).await;
    assert_eq!([client.packet().await[0], client.packet().await[0]], [STATUS, ATTRS]);
    struck((server, client)).await;
    let (server, mut client) = with("kind = \"sftp_duplicate_reply\"\nsftp_request = \"any\"").await;
    client.send(STAT, &[&text("/f")]).await;
    assert_eq!(client.packet().await, client.packet().await);
    struck((server, client)).await;
    let (server, mut client) =
        with("kind = \"sftp_delay\"\nsftp_request = \"stat\"\ntime = \"250ms\"\nonce = true").await;
    let start = Instant::now();
    assert_eq!(stat(&mut client, "/f").await, ATTRS);
    assert!(start.elapsed() >= Duration::from_millis(250), "{:?}", start.elapsed());
    struck((server, client)).await;
}

#[tokio::test]
async fn replies_are_other_than_they_should_be() {
    let (server, mut client) = with("kind = \"sftp_wrong_kind\"\nsftp_request = \"stat\"").await;
    assert_eq!(stat(&mut client, "/f").await, HANDLE);
    struck((server, client)).await;
    let (server, mut client) = with("kind = \"sftp_wrong_id\"\nsftp_request = \"stat\"").await;
    client.send(STAT, &[&text("/f")]).await;
    assert_eq!(client.packet().await[..5], [ATTRS, 0x80, 0, 0, 7]);
    struck((server, client)).await;
    let fault =
        "kind = \"sftp_status\"\nsftp_request = \"write\"\ncode = 4\ntext = \"disk full\"\nonce = true";
    let (server, mut client) = with(fault).await;
    let file = client.open("/new", FOR_WRITING).await.unwrap();
    let mut write = async || client.ask(WRITE, &[&file, &0u64.to_be_bytes(), &text("x")]).await;
    let (sort, status) = write().await;
    assert_eq!((sort, number(&status), &status[8..17]), (STATUS, 4, &b"disk full"[..]));
    assert_eq!(number(&write().await.1), 0);
    struck((server, client)).await;
    let (server, mut client) =
        with("kind = \"sftp_short_read\"\nsftp_request = \"read\"\nbytes = 3\nonce = true").await;
    let file = client.open("/f", FOR_READING).await.unwrap();
    let mut read = async || client.ask(READ, &[&file, &0u64.to_be_bytes(), &100u32.to_be_bytes()]).await;
    assert_eq!(read().await, (DATA, text("012")));
    assert_eq!(read().await, (DATA, text("0123456789")));
    struck((server, client)).await;
    let (server, mut client) = with("kind = \"sftp_close_channel\"\nsftp_request = \"stat\"").await;
    client.send(STAT, &[&text("/f")]).await;
    assert!(client.ends().await);
    struck((server, client)).await;
}

#[tokio::test]
async fn lengths_lie_and_names_are_hostile() {
    let (server, mut client) =
        with("kind = \"sftp_packet_length\"\nsftp_request = \"stat\"\nlength = 4294967295").await;
    client.send(STAT, &[&text("/f")]).await;
    assert_eq!(client.bytes(4).await, [255; 4]);
    struck((server, client)).await;
    let (server, mut client) = with("kind = \"sftp_length_past_end\"\nsftp_request = \"open\"").await;
    let (sort, handle) = client.ask(OPEN, &[&text("/f"), &FOR_READING.to_be_bytes(), &[0; 4]]).await;
    assert_eq!((sort, usize::try_from(number(&handle)).unwrap()), (HANDLE, handle.len() - 4 + 1));
    struck((server, client)).await;
    for (key, name) in [("name = \"../escape\"", &b"../escape"[..]), ("name_base64 = \"AP8=\"", b"\x00\xff")]
    {
        let (server, mut client) =
            with(&format!("kind = \"sftp_name\"\nsftp_request = \"readdir\"\n{key}")).await;
        let (_, handle) = client.ask(OPENDIR, &[&text("/")]).await;
        let (sort, names) = client.ask(READDIR, &[&handle]).await;
        // How many there are, then the first name with its length.
        assert_eq!((sort, &names[8..8 + name.len()]), (NAME, name), "{key}");
        struck((server, client)).await;
    }
}

#[tokio::test]
async fn a_server_that_has_no_such_faults_takes_none() {
    let fault = "{\"kind\": \"sftp_lose_reply\", \"sftp_request\": \"stat\"}";
    let server = Served::script("[sftp]\nserve = \"none\"\n").await;
    let answer = server.post("/faults", fault).await;
    assert_eq!((answer.status, answer.json["error"]["code"].as_str()), (409, Some("NOT_WITH_THIS_SERVER")));
    assert!(answer.json["error"]["hint"].as_str().unwrap().contains("sftp.serve"), "{answer:?}");
    server.stop().await;
    let server = Served::start(&[]).await;
    assert_eq!(server.post("/faults", fault).await.status, 200);
    assert_eq!(server.post("/expect-unfired", "").await.status, 200);
    server.stop().await;
}
