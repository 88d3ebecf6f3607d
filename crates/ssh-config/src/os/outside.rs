//! What the configuration may ask of the machine beside files: commands, the name service, the interfaces.

use std::env;
use std::io::{self, Read};
use std::net::IpAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::{AddressFamily, FoundHost};

/// A command of `Match exec` may take so long: it stands between a person and every connection. ssh has no limit.
const COMMAND_TIME: Duration = Duration::from_secs(30);
/// Between two looks at a command that runs: at first it has probably ended already.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// More than any version of ssh has to say.
const LONGEST_VERSION: u64 = 4_096;

/// Runs a line by the user's shell, as ssh does: with its errors shown, and nothing else.
pub(super) fn run(line: &str) -> io::Result<bool> {
    let child = shell(line).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
    let status = ended(child, COMMAND_TIME)?;
    match status.code() {
        Some(code) => Ok(code == 0),
        None => Err(io::Error::other(format!("it was ended by something else ({status})"))),
    }
}

#[cfg(not(windows))]
fn shell(line: &str) -> Command {
    let shell = env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into());
    let mut command = Command::new(shell);
    command.arg("-c").arg(line);
    command
}

#[cfg(windows)]
fn shell(line: &str) -> Command {
    use std::os::windows::process::CommandExt as _;

    let shell = env::var_os("ComSpec").unwrap_or_else(|| "cmd.exe".into());
    let mut command = Command::new(shell);
    // The line is the shell's own language and goes there as it is, between the quotes that `/s` takes off.
    command.raw_arg("/d /s /c \"").raw_arg(line).raw_arg("\"");
    command
}

/// Waits for a process, for so long at most; then it is killed.
fn ended(mut child: Child, limit: Duration) -> io::Result<ExitStatus> {
    let mut waited = Duration::ZERO;
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if waited >= limit {
            child.kill()?;
            child.wait()?;
            let message = format!("it took longer than {} s", limit.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        thread::sleep(pause);
        waited += pause;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Asks the system's resolver, which has limits of its own (`resolv.conf`: usually 5 s twice for each server).
#[cfg(unix)]
pub(super) fn look_up(name: &str, family: AddressFamily) -> io::Result<Option<FoundHost>> {
    use dns_lookup::{AddrFamily, AddrInfoHints, LookupErrorKind, SockType, getaddrinfo};

    /// `AI_CANONNAME`, which has this value on every Unix.
    const CANONICAL_NAME: i32 = 2;

    let address = match family {
        AddressFamily::Inet => AddrFamily::Inet.into(),
        AddressFamily::Inet6 => AddrFamily::Inet6.into(),
        _ => 0,
    };
    let hints = AddrInfoHints {
        flags: CANONICAL_NAME,
        address,
        socktype: SockType::Stream.into(),
        ..AddrInfoHints::default()
    };
    let mut answers = match getaddrinfo(Some(name), None, Some(hints)) {
        Ok(answers) => answers,
        Err(error) if matches!(error.kind(), LookupErrorKind::NoName | LookupErrorKind::NoData) => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let Some(first) = answers.next().transpose()? else { return Ok(None) };
    Ok(Some(match first.canonname {
        Some(canonical) => FoundHost::new().canonical_name(canonical),
        None => FoundHost::new(),
    }))
}

/// Asks the system's resolver by the standard library, which tells no aliases.
#[cfg(not(unix))]
pub(super) fn look_up(name: &str, family: AddressFamily) -> io::Result<Option<FoundHost>> {
    use std::net::ToSocketAddrs as _;

    /// `WSAHOST_NOT_FOUND` and `WSANO_DATA`.
    const NOT_FOUND: [i32; 2] = [11_001, 11_004];

    let mut addresses = match (name, 0).to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(error) if error.raw_os_error().is_some_and(|code| NOT_FOUND.contains(&code)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let fits = |address: std::net::SocketAddr| match family {
        AddressFamily::Inet => address.is_ipv4(),
        AddressFamily::Inet6 => address.is_ipv6(),
        _ => true,
    };
    Ok(addresses.any(fits).then(|| FoundHost::new().with_unknown_aliases()))
}

/// Those of interfaces that are up.
pub(super) fn interface_addresses() -> io::Result<Vec<IpAddr>> {
    // What a system does not tell of its state is taken for up.
    let up = |interface: &if_addrs::Interface| interface.oper_status != if_addrs::IfOperStatus::Down;
    Ok(if_addrs::get_if_addrs()?
        .iter()
        .filter(|interface| up(interface))
        .map(if_addrs::Interface::ip)
        .collect())
}

/// What the ssh of this machine says of itself, up to the comma; nothing where there is none.
pub(super) fn ssh_version() -> Option<String> {
    let mut command = Command::new("ssh");
    command.arg("-V").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let said = child.stderr.take();
    ended(child, COMMAND_TIME).ok()?;
    let mut text = String::new();
    said?.take(LONGEST_VERSION).read_to_string(&mut text).ok()?;
    let version = text.lines().next()?.split(',').next()?.trim();
    (!version.is_empty()).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_succeeds_or_does_not() {
        assert!(run("exit 0").unwrap());
        assert!(!run("exit 3").unwrap());
        if cfg!(unix) {
            // No input, and what it prints is nobody's.
            assert!(run("test -z \"$(cat)\" && echo unseen").unwrap());
            assert!(run("kill -9 $$").is_err());
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_command_that_does_not_end_is_killed() {
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        let error = ended(child, Duration::from_millis(30)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn this_machine_is_known() {
        assert!(look_up("localhost", AddressFamily::Any).unwrap().is_some());
        assert!(interface_addresses().unwrap().iter().any(IpAddr::is_loopback));
    }
}
