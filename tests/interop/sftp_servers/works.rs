//! Each server works as it stands, by OpenSSH's client and by a session of ours: what fails elsewhere is not the server's.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output};
use std::time::Duration;

use rustle_session::Session;
use rustle_sftp_proto::{ClientPacket, Extension, Framer, Hello, Limits, ServerPacket};
use rustle_tests::{Bulk, Scratch, output_of, run};
use tokio::io::AsyncWriteExt;

use super::{OddNames, Proof, SftpServer, at_each_sftp_server};

#[test]
fn openssh_puts_lists_and_gets_files_and_is_refused_what_the_account_may_not() {
    let folder = Scratch::new();
    let bulk = folder.join("bulk");
    let status = Command::new("sh")
        .args(["-c", &Bulk::MIB_10.line()])
        .stdout(fs::File::create(&bulk).unwrap())
        .status();
    assert!(status.unwrap().success());
    at_each_sftp_server(async |server| {
        let (root, back) = (server.root(), folder.join("back"));
        let there = root.join("a file");
        let lines = format!(
            "put \"{bulk}\" \"{there}\"\nls -1 \"{root}\"\nget \"{there}\" \"{back}\"\n",
            bulk = bulk.display(),
            there = there.display(),
            root = root.display(),
            back = back.display(),
        );
        let done = sftp(server, &folder, &lines);
        assert!(done.status.success(), "{}", said(&done));
        assert!(said(&done).contains(&format!("\n{}\n", there.display())), "{}", said(&done));
        let content = fs::read(&bulk).unwrap();
        assert!(fs::read(&there).unwrap() == content && fs::read(&back).unwrap() == content);
        fs::remove_file(back).unwrap();

        let refused = sftp(server, &folder, format!("put \"{}\" /etc/refused\n", bulk.display()));
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        assert!(said(&refused).contains("ermission denied"), "{}", said(&refused));
    });
}

#[test]
fn a_session_of_ours_is_had_and_what_is_known_of_each_server_is_so() {
    let folder = Scratch::new();
    at_each_sftp_server(async |server| {
        let (software, session) = (server.software(), server.session().await);
        let method = match server.proof() {
            Proof::Key(_) => "publickey",
            Proof::Password(_) => "password",
        };
        assert_eq!(session.method(), method, "{software:?}");

        let command = session.raw("echo a command").output().await;
        let ran = command.is_ok_and(|output| output.stdout_text() == "a command\n");
        assert_eq!(ran, software.runs_commands(), "{software:?}");

        let hello = hello(&session).await;
        assert_eq!(hello.version(), 3, "{software:?}");
        for extension in Extension::ALL {
            assert_eq!(hello.supports(extension), software.has(extension), "{software:?}: {extension}");
        }
        session.close(Duration::from_secs(20)).await;

        let one = folder.write("one", "one");
        let mut lines = format!("put {} {}/caf", one.display(), server.root().display()).into_bytes();
        lines.extend(b"\xe9\n");
        let done = sftp(server, &folder, lines);
        let names: Vec<OsString> =
            fs::read_dir(server.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let odd_names = match (done.status.success(), names.iter().map(|name| name.as_bytes()).next()) {
            (true, Some(b"caf\xe9")) => OddNames::Kept,
            (true, Some(_)) => OddNames::Replaced,
            _ => OddNames::Refused,
        };
        assert_eq!(odd_names, software.odd_names(), "{software:?}: {names:?}, {}", said(&done));
    });
}

/// What the server says first.
async fn hello(session: &Session) -> Hello {
    let mut child = session.subsystem("sftp").spawn().await.unwrap();
    let (mut input, mut output) = (child.take_stdin().unwrap(), child.take_stdout().unwrap());
    input.write_all(&ClientPacket::Init(Hello::new()).encode().unwrap().to_bytes()).await.unwrap();
    let mut framer = Framer::new(Limits::default());
    let packet = loop {
        framer.push(output.chunk().await.unwrap().expect("an answer"));
        if let Some(packet) = framer.next_packet().unwrap() {
            break packet;
        }
    };
    match ServerPacket::decode(packet, framer.limits()).unwrap() {
        ServerPacket::Version(hello) => hello,
        other => panic!("{other:?}"),
    }
}

/// Runs these lines by OpenSSH's client.
fn sftp(server: &SftpServer, folder: &Scratch, lines: impl AsRef<[u8]>) -> Output {
    let known = format!("[127.0.0.1]:{} {}\n", server.port(), server.host_key().public_line());
    let known = folder.write("known_hosts", known);
    let mut sftp = Command::new("sftp");
    // -b would have it ask for nothing.
    sftp.args(["-q", "-F/dev/null", "-oBatchMode=no"]);
    sftp.arg(format!("-oUserKnownHostsFile={}", known.display())).arg("-oGlobalKnownHostsFile=/dev/null");
    sftp.arg(format!("-oPort={}", server.port())).arg("-b").arg(folder.write("batch", lines));
    sftp.env_remove("SSH_AUTH_SOCK").env_remove("DISPLAY").env("LC_ALL", "C");
    match server.proof() {
        Proof::Key(key) => {
            sftp.arg("-oIdentitiesOnly=yes").arg(format!("-oIdentityFile={}", key.path().display()));
        }
        Proof::Password(password) => {
            let (text, script) =
                (folder.write("askpass.text", "#!/bin/sh\necho \"$ANSWER\"\n"), folder.join("askpass"));
            // Another process writes what is run: a copy of our own descriptor, in a process that a test beside this
            // one is just starting, would make it "text file busy".
            run(Command::new("install").args(["-m", "700"]).args([&text, &script]));
            sftp.arg("-oPreferredAuthentications=password").env("ANSWER", password);
            sftp.env("SSH_ASKPASS", script).env("SSH_ASKPASS_REQUIRE", "force");
        }
    }
    output_of(sftp.arg(format!("{}@127.0.0.1", server.user())))
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
