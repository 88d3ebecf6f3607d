//! SFTP of a script: what is there, who serves it, and with what limits.

use super::file_client::{
    ATTRS, Client, EXTENDED, FOR_WRITING, NAME, READLINK, STAT, SYMLINK, WRITE, number, text,
};
use super::served::Served;

const ALICE: &str = "[[users]]\nname = \"alice\"\npassword = \"wonderland\"\n";

#[tokio::test]
async fn files_are_there_as_the_script_says() {
    for serve in ["memory", "directory"] {
        // Real files have none on Windows, where a script that asks for one is refused.
        let mode = if serve == "memory" || cfg!(unix) { "mode = 0o440" } else { "" };
        let script = format!(
            r#"
            {ALICE}
            [sftp]
            serve = "{serve}"
            [[sftp.files]]
            path = "/etc/motd"
            text = "hello"
            {mode}
            [[sftp.files]]
            path = "/bin.dat"
            base64 = "AP8="
            [[sftp.files]]
            path = "/empty"
            directory = true
            "#
        );
        let server = Served::script(&script).await;
        let mut client = Client::start(&server).await;
        assert_eq!(client.content("/etc/motd").await, b"hello", "{serve}");
        assert_eq!(client.content("/bin.dat").await, [0, 255], "{serve}");
        let (sort, attributes) = client.ask(STAT, &[&text("/empty")]).await;
        assert_eq!(sort, ATTRS, "{serve}");
        // Flags, size, owner and group, then the mode.
        assert_eq!(number(&attributes[20..]) & 0o170_000, 0o040_000, "{serve}");
        // Modes of real files are the system's own affair on Windows.
        if serve == "memory" {
            let (_, attributes) = client.ask(STAT, &[&text("/etc/motd")]).await;
            assert_eq!(number(&attributes[20..]), 0o100_440);
        }
        drop(client);
        server.stop().await;
    }
    let link = "files = [{ path = \"/link\", symlink = \"motd\" }]";
    let server = Served::script(&format!("{ALICE}[sftp]\nserve = \"memory\"\n{link}\n")).await;
    let mut client = Client::start(&server).await;
    let (sort, names) = client.ask(READLINK, &[&text("/link")]).await;
    assert_eq!((sort, &names[8..12]), (NAME, &b"motd"[..]));
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn sftp_has_the_limits_of_the_script() {
    let script = format!(
        r#"
        {ALICE}
        [sftp]
        serve = "memory"
        quota = "1KiB"
        binary_handles = true
        extensions = ["limits@openssh.com", "fsync@openssh.com"]
        max_packet = "40KiB"
        max_read = "20KiB"
        max_write = "10KiB"
        max_handles = 2
        "#
    );
    let server = Served::script(&script).await;
    let mut client = Client::start(&server).await;
    let version = String::from_utf8_lossy(&client.version).into_owned();
    assert!(version.contains("fsync@openssh.com") && !version.contains("posix-rename"), "{version:?}");
    let (_, limits) = client.ask(EXTENDED, &[&text("limits@openssh.com")]).await;
    let limits: Vec<u64> =
        limits.chunks(8).map(|number| u64::from_be_bytes(number.try_into().unwrap())).collect();
    assert_eq!(limits, [40 * 1024, 20 * 1024, 10 * 1024, 2]);
    let first = client.open("/a", FOR_WRITING).await.unwrap();
    assert!(std::str::from_utf8(&first[4..]).is_err(), "{first:?}");
    let zero = 0u64.to_be_bytes();
    let (_, small) = client.ask(WRITE, &[&first, &zero, &text(&"x".repeat(1000))]).await;
    let (_, large) = client.ask(WRITE, &[&first, &zero, &text(&"x".repeat(2000))]).await;
    assert!(number(&small) == 0 && number(&large) != 0, "{small:?} {large:?}");
    client.open("/b", FOR_WRITING).await.unwrap();
    assert!(client.open("/c", FOR_WRITING).await.is_err());
    drop(client);
    server.stop().await;

    let file = "files = [{ path = \"/a\", text = \"there\" }]";
    let server = Served::script(&format!("{ALICE}[sftp]\nread_only = true\n{file}\n")).await;
    let mut client = Client::start(&server).await;
    assert_eq!(client.content("/a").await, b"there");
    // SSH_FX_PERMISSION_DENIED
    assert_eq!(client.open("/b", FOR_WRITING).await, Err(3));
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn files_have_the_names_sizes_times_and_owners_of_the_script() {
    let script = format!(
        r#"
        {ALICE}
        [sftp]
        serve = "memory"
        umask = 0o077
        without_extensions = ["posix-rename@openssh.com"]
        [[sftp.files]]
        path_base64 = "L25hbWUt/w=="
        text = "ten bytes and more"
        size = "1KiB"
        modified = 1700000001
        uid = 7
        gid = 8
        "#
    );
    let server = Served::script(&script).await;
    let mut client = Client::start(&server).await;
    let version = String::from_utf8_lossy(&client.version).into_owned();
    assert!(version.contains("fsync@openssh.com") && !version.contains("posix-rename"), "{version:?}");
    let path = [&[0, 0, 0, 7][..], b"/name-\xff"].concat();
    let (sort, attributes) = client.ask(STAT, &[&path]).await;
    assert_eq!(sort, ATTRS, "{attributes:?}");
    // Flags, size in eight bytes, owner and group, mode, and the times of access and change.
    let fields: Vec<u32> = attributes.chunks(4).map(number).collect();
    assert_eq!(fields[1..5], [0, 1024, 7, 8]);
    assert_eq!(fields[7], 1_700_000_001);
    client.open("/new", FOR_WRITING).await.unwrap();
    let (_, attributes) = client.ask(STAT, &[&text("/new")]).await;
    assert_eq!(number(&attributes[20..]), 0o100_600);
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_directory_of_the_scripts_is_served_by_either_engine() {
    for engine in ["native", "independent"] {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("fixtures")).unwrap();
        std::fs::write(directory.path().join("fixtures/there"), "before").unwrap();
        let script = format!("{ALICE}[sftp]\ndirectory = \"fixtures\"\nengine = \"{engine}\"\n");
        let server = Served::script_in(directory, &script, &[]).await;
        let mut client = Client::start(&server).await;
        assert_eq!(client.content("/there").await, b"before", "{engine}");
        // The independent engine has three extensions, and this is none of them.
        let version = String::from_utf8_lossy(&client.version).into_owned();
        assert_eq!(version.contains("statvfs@openssh.com"), engine == "native", "{version:?}");
        drop(client);
        server.stop().await;
    }
}

#[tokio::test]
async fn links_are_made_in_the_order_of_the_script() {
    for (keys, link, target) in [
        ("serve = \"memory\"", "/two", &b"/one"[..]),
        ("serve = \"memory\"\nlink_order = \"openssh\"", "/two", b"/one"),
        ("serve = \"memory\"\nlink_order = \"draft\"", "/one", b"/two"),
    ] {
        let server = Served::script(&format!("{ALICE}[sftp]\n{keys}\n")).await;
        let mut client = Client::start(&server).await;
        let (_, status) = client.ask(SYMLINK, &[&text("/one"), &text("/two")]).await;
        assert_eq!(number(&status), 0, "{keys}");
        let (sort, names) = client.ask(READLINK, &[&text(link)]).await;
        assert_eq!((sort, &names[8..12]), (NAME, target), "{keys}");
        drop(client);
        server.stop().await;
    }
}

#[tokio::test]
async fn noise_comes_before_the_first_packet_and_before_no_command() {
    let server = Served::script(&format!("{ALICE}[sftp]\nbanner_noise = \"Welcome!\"\n")).await;
    let mut client = Client::begin(&server).await;
    assert_eq!(client.bytes(8).await, b"Welcome!");
    // SSH_FXP_VERSION
    assert_eq!(client.packet().await[..5], [2, 0, 0, 0, 3]);
    drop(client);
    let session = server.session("alice", "wonderland").await;
    assert_eq!(super::served::output(&session, "echo a").await, "a\n");
    server.stop().await;
}
