//! Through real servers to another, by jump hosts and by a command; what it carries compared with ssh.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustle_session::{AgentSource, ErrorKind, HostSetup, HostSetupBuilder};
use rustle_tests::{Interop, Scratch, Server, interop, output_of};

/// Carries its standard streams to a host and port, as `nc` does.
const RELAY: &str = r"
import os, socket, sys, threading
far = socket.create_connection((sys.argv[1], int(sys.argv[2])))
print('connected', file=sys.stderr, flush=True)
def there():
    while piece := os.read(0, 65536):
        far.sendall(piece)
    far.shutdown(socket.SHUT_WR)
threading.Thread(target=there, daemon=True).start()
while piece := far.recv(65536):
    os.write(1, piece)
";

/// Four servers, each with a key, a host key and a `known_hosts` file of its own, under one configuration.
struct Way {
    servers: Vec<Server>,
    folder: Scratch,
    config: PathBuf,
}

const NAMES: [&str; 4] = ["a", "b", "c", "web"];

impl Way {
    /// `extra` is added to the `sshd_config` of the server of this name, and `lines` to the top of the configuration.
    fn new(interop: &Interop, lines: &str, extra: (&str, &str)) -> Self {
        let folder = Scratch::new();
        let mut config = format!("{lines}\n");
        let mut servers = Vec::new();
        for name in NAMES {
            let sshd_config = if extra.0 == name { extra.1 } else { "" };
            let server = Server::configured(interop, sshd_config);
            let port = server.sshd().port();
            let known = format!("[127.0.0.1]:{port} {}\n", server.sshd().host_key().public_line());
            let known = folder.write(format!("known_hosts_{name}"), known);
            config.push_str(&format!(
                "Host {name}\n HostName 127.0.0.1\n Port {port}\n User {}\n IdentityFile {}\n UserKnownHostsFile {}\n",
                server.user(),
                server.key().path().display(),
                known.display(),
            ));
            servers.push(server);
        }
        config.push_str("Host *\n GlobalKnownHostsFile none\n IdentityAgent none\n IdentitiesOnly yes\n");
        let config = folder.write("config", config);
        Self { servers, folder, config }
    }

    fn setup(&self) -> HostSetupBuilder {
        HostSetup::builder("web").config_file(&self.config).agent(AgentSource::None)
    }

    fn ssh(&self, arguments: &[&str]) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(&self.config).args(arguments);
        ssh
    }

    async fn is_idle(&self) {
        for server in &self.servers {
            server.sshd().wait_until_idle().await;
        }
    }
}

#[test]
fn three_real_servers_lead_to_a_fourth_each_by_its_own_key_and_known_hosts() {
    interop(|interop| async move {
        let chain = "Host web\n ProxyJump c\nHost c\n ProxyJump b\nHost b\n ProxyJump a\n";
        for (lines, option) in [(chain, None), ("", Some("ProxyJump=a,b,c"))] {
            let way = Way::new(&interop, lines, ("", ""));
            let mut setup = way.setup();
            if let Some(option) = option {
                setup = setup.option(option);
            }
            let session = setup.load().await.unwrap().connect().await.unwrap();
            // Who connected is in the environment: it is the last jump host, from this machine.
            let line = "echo ${SSH_CONNECTION%% *} through three; head -c 3000000 /dev/zero | wc -c";
            let ours = session.output(line).await.unwrap();
            assert!(ours.status.success());
            let mut arguments = vec!["web", line];
            if option.is_some() {
                arguments.splice(0..0, ["-J", "a,b,c"]);
            }
            let ssh = output_of(&mut way.ssh(&arguments));
            assert_eq!(ours.stdout_text(), String::from_utf8_lossy(&ssh.stdout), "{ssh:?}");
            assert_eq!(ours.stdout_text(), "127.0.0.1 through three\n3000000\n");
            let depth = std::iter::successors(Some(&session), |above| above.jump_host()).count();
            assert_eq!(depth, 4);
            session.close(Duration::from_secs(20)).await;
            way.is_idle().await;
            // Dropped, it leaves nothing behind either.
            drop(setup.load().await.unwrap().connect().await.unwrap());
            way.is_idle().await;
        }
    });
}

#[test]
fn a_real_server_that_lets_nobody_through_is_named_and_so_is_one_that_is_not_reached() {
    interop(|interop| async move {
        let chain = "Host web\n ProxyJump b\nHost b\n ProxyJump a\n";
        let way = Way::new(&interop, chain, ("b", "AllowTcpForwarding no"));
        let error = way.setup().load().await.unwrap().connect().await.unwrap_err();
        assert_eq!((error.kind(), error.jump_host()), (ErrorKind::ChannelProhibited, Some("b")), "{error}");
        assert!(!error.is_retryable());

        let way = Way::new(&interop, chain, ("", ""));
        // Nobody listens on a port that sshd has given up.
        let unreached = way.setup().option("Port=1").load().await.unwrap().connect().await.unwrap_err();
        assert_eq!((unreached.kind(), unreached.jump_host()), (ErrorKind::ChannelTarget, Some("b")));
        assert!(unreached.is_retryable());

        // A host key that is not the one on record, and a login that is refused, on the way.
        let other = way.servers[3].sshd().host_key().public_line();
        let port = way.servers[0].sshd().port();
        way.folder.write("known_hosts_a", format!("[127.0.0.1]:{port} {other}\n"));
        let changed = way.setup().load().await.unwrap().connect().await.unwrap_err();
        assert_eq!((changed.kind(), changed.jump_host()), (ErrorKind::HostKeyChanged, Some("a")));
        let way = Way::new(&interop, chain, ("a", "AuthorizedKeysFile none"));
        let stranger = way.setup().load().await.unwrap().connect().await.unwrap_err();
        assert_eq!((stranger.kind(), stranger.jump_host()), (ErrorKind::AuthenticationFailed, Some("a")));
    });
}

#[test]
fn a_command_carries_the_connection_to_a_real_server() {
    interop(|interop| async move {
        let way = Way::new(&interop, "", ("", ""));
        let relay = way.folder.write("relay.py", RELAY);
        let mut commands = vec![format!("python3 {} %h %p", relay.display())];
        match Command::new("nc").arg("-h").output() {
            Ok(_) => commands.push("nc %h %p".to_owned()),
            Err(_) => println!("skipped: no nc on this machine; the suite's own relay stands for it"),
        }
        // ssh itself, as people had it before ProxyJump.
        commands.push(format!("ssh -F {} -W %h:%p a", way.config.display()));
        for command in commands {
            let setup = way.setup().option(format!("ProxyCommand={command}"));
            let session = setup.load().await.unwrap().connect().await.unwrap();
            let bytes = vec![7; 2_000_000];
            let copy = session.line("cat").stdin(bytes.clone()).output().await.unwrap();
            assert!(copy.stdout == bytes, "{command}");
            session.close(Duration::from_secs(20)).await;
            way.is_idle().await;
        }
    });
}
