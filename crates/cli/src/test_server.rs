//! `test-server`: the embedded server as a process of its own, for tests in any language.

mod driver;

use std::io::Read;

use rustle_testserver::{TestServer, User};
use secrecy::ExposeSecret;
use serde::Serialize;

use crate::failure::{Failure, IO, Stop};
use crate::plan::{OtherCommands, TestServerPlan};
use crate::printer::Printer;
use crate::signals::Signals;

/// The line that tells how to reach it.
#[derive(Serialize)]
struct Announcement<'a> {
    address: String,
    host: String,
    port: u16,
    host_key: String,
    known_hosts: String,
    users: [Login<'a>; 1],
}

#[derive(Serialize)]
struct Login<'a> {
    name: &'a str,
    /// Left out where the caller has it already.
    password: Option<&'a str>,
}

/// Runs the server until standard input ends or a signal comes.
///
/// # Cancel safety
/// Dropped, the server ends.
pub(crate) async fn run(plan: &TestServerPlan, printer: &mut Printer) -> Result<u8, Stop> {
    let mut signals = Signals::listen()?;
    let made = random_password()?;
    let given = plan.password.as_ref().map(crate::password_file::PasswordFile::read).transpose()?;
    let password = given.as_ref().map_or(made.as_str(), |given| given.expose_secret());
    let mut user = User::new(&plan.login).password(password);
    for key in authorized_keys(plan)? {
        user = user.public_key(key);
    }
    let mut builder = TestServer::builder().user(user).builtins().sftp_temp_dir().direct_tcpip();
    if plan.others == OtherCommands::RunWithShell {
        builder = builder.shell();
    }
    let server = builder.start().await.map_err(|error| refused(&error))?;
    let address = server.addr();
    printer.json(&Announcement {
        address: address.to_string(),
        host: address.ip().to_string(),
        port: address.port(),
        host_key: server.host_key_openssh(),
        known_hosts: server.known_hosts_line().trim_end().to_owned(),
        users: [Login { name: &plan.login, password: given.is_none().then_some(made.as_str()) }],
    })?;
    let code = tokio::select! {
        () = driver::end_of_input() => 0,
        signal = signals.next() => signal.exit_code(),
    };
    server.stop().await.map_err(|error| refused(&error))?;
    Ok(code)
}

/// 128 bits, for whoever reads the announcement.
pub(crate) fn random_password() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::new(IO, format!("the system gives no random bytes: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn authorized_keys(plan: &TestServerPlan) -> Result<Vec<String>, Failure> {
    let Some(path) = &plan.authorized_keys else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::io(format!("the file {} cannot be read", path.display()), &error))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

pub(crate) fn refused(error: &rustle_testserver::Error) -> Failure {
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    Failure::new("TEST_SERVER", message)
}

/// Reads standard input to its end and throws it away. Blocks.
fn drain() {
    let mut buffer = [0; 1024];
    let mut input = std::io::stdin().lock();
    while matches!(input.read(&mut buffer), Ok(count) if count > 0) {}
}
