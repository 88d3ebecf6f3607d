//! What user certificates allow.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use russh::{
    Channel,
    client::Msg,
    keys::{
        Certificate, PrivateKey,
        ssh_key::{
            certificate::{Builder, CertType},
            rand_core::UnwrapErr,
        },
    },
};
use rustle_testserver::{Call, Exit, ForwardState, Target, TestServer, User};

use crate::{
    authentication::new_key,
    client::{Client, collect},
};

struct Issuer {
    authority: PrivateKey,
    key: PrivateKey,
}

/// What a certificate says beside its principal.
#[derive(Default)]
struct Says<'a> {
    critical: &'a [(&'a str, &'a str)],
    extensions: &'a [&'a str],
    /// From and to, in seconds from now.
    valid: Option<(i64, i64)>,
}

fn seconds_from_now(seconds: i64) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    now.saturating_add_signed(seconds)
}

impl Issuer {
    fn new() -> Self {
        Self { authority: new_key(), key: new_key() }
    }

    fn user(&self) -> User {
        User::new("erin").certificate_authority(self.authority.public_key().to_openssh().unwrap())
    }

    fn certificate(&self, says: &Says<'_>) -> Certificate {
        let (from, to) = says.valid.unwrap_or((-60, 3600));
        let mut builder = Builder::new_with_random_nonce(
            &mut UnwrapErr(getrandom::SysRng),
            self.key.public_key().key_data().clone(),
            seconds_from_now(from),
            seconds_from_now(to),
        )
        .unwrap();
        builder.cert_type(CertType::User).unwrap();
        builder.valid_principal("erin").unwrap();
        for (name, value) in says.critical {
            builder.critical_option(*name, *value).unwrap();
        }
        for name in says.extensions {
            builder.extension(*name, "").unwrap();
        }
        builder.sign(&self.authority).unwrap()
    }

    /// A client that has shown a certificate, if that was enough.
    async fn login(&self, server: &TestServer, says: &Says<'_>) -> Option<Client> {
        let mut client = Client::connect(server).await.unwrap();
        let key = Arc::new(self.key.clone());
        let shown = client.handle.authenticate_openssh_cert("erin", key, self.certificate(says)).await;
        shown.unwrap().success().then_some(client)
    }
}

#[tokio::test]
async fn dates_and_critical_options_decide_who_gets_in() {
    let issuer = Issuer::new();
    let server = TestServer::builder().user(issuer.user()).start().await.unwrap();
    let cases: [(Says<'_>, bool); 7] = [
        (Says::default(), true),
        (Says { valid: Some((-7200, -3600)), ..Says::default() }, false),
        (Says { valid: Some((3600, 7200)), ..Says::default() }, false),
        (Says { critical: &[("source-address", "10.0.0.0/8,127.0.0.1/32")], ..Says::default() }, true),
        (Says { critical: &[("source-address", "10.0.0.0/8")], ..Says::default() }, false),
        (Says { critical: &[("force-command", "true")], ..Says::default() }, true),
        (Says { critical: &[("never-heard-of@example.com", "")], ..Says::default() }, false),
    ];
    for (n, (says, welcome)) in cases.iter().enumerate() {
        assert_eq!(issuer.login(&server, says).await.is_some(), *welcome, "case {n}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn forced_command_stands_in_the_place_of_any_other() {
    let issuer = Issuer::new();
    let server = TestServer::builder()
        .user(issuer.user())
        .command_fn("forced", async |mut call: Call| {
            let original = call.env().iter().find(|(name, _)| name == "SSH_ORIGINAL_COMMAND");
            let told = original.map_or("none", |(_, text)| text).to_owned();
            call.stdout().send(told).await.unwrap();
            Exit::SUCCESS
        })
        .start()
        .await
        .unwrap();
    let says = Says { critical: &[("force-command", "forced")], ..Says::default() };
    let client = issuer.login(&server, &says).await.unwrap();
    assert_eq!(client.output("rm -rf /").await.text(), "rm -rf /");
    let shell = client.open().await;
    shell.request_shell(true).await.unwrap();
    assert_eq!(collect(shell).await.text(), "none");
    let subsystem = client.open().await;
    subsystem.request_subsystem(true, "sftp").await.unwrap();
    assert_eq!(collect(subsystem).await.text(), "sftp");
    assert!(server.record().commands().iter().all(|command| command.text() == "forced"));
    server.stop().await.unwrap();
}

async fn terminal(client: &Client) -> Channel<Msg> {
    let channel = client.open().await;
    channel.request_pty(true, "xterm", 80, 24, 0, 0, &[]).await.unwrap();
    channel.agent_forward(true).await.unwrap();
    channel.request_x11(true, false, "MIT-MAGIC-COOKIE-1", "00", 0).await.unwrap();
    channel.exec(true, "true").await.unwrap();
    channel
}

#[tokio::test]
async fn what_no_extension_permits_is_refused() {
    let issuer = Issuer::new();
    let server = TestServer::builder()
        .user(issuer.user())
        .builtins()
        .agent_forwarding()
        .x11_forwarding()
        .tcpip_forward_scripted()
        .forward_target("*", None, Target::echo())
        .start()
        .await
        .unwrap();
    let bare = issuer.login(&server, &Says::default()).await.unwrap();
    assert_eq!(collect(terminal(&bare).await).await.code, Some(0));
    bare.handle.tcpip_forward("", 0).await.unwrap_err();
    assert!(bare.handle.channel_open_direct_tcpip("host", 1, "", 0).await.is_err());
    let record = server.record();
    let refused = ["pty-req", "auth-agent-req@openssh.com", "x11-req"];
    assert_eq!(record.channels()[0].refused_requests(), refused);
    assert_eq!(record.forwards()[0].state(), ForwardState::Refused);
    assert_eq!(record.commands()[0].pty(), None);

    let extensions =
        ["permit-X11-forwarding", "permit-agent-forwarding", "permit-port-forwarding", "permit-pty"];
    let permitted =
        issuer.login(&server, &Says { extensions: &extensions, ..Says::default() }).await.unwrap();
    assert_eq!(collect(terminal(&permitted).await).await.code, Some(0));
    permitted.handle.tcpip_forward("", 0).await.unwrap();
    permitted.handle.channel_open_direct_tcpip("host", 1, "", 0).await.unwrap();
    let record = server.record();
    assert!(record.channels()[1].refused_requests().is_empty(), "{record}");
    assert!(record.commands()[1].pty().is_some());
    server.stop().await.unwrap();
}
