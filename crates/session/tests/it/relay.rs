//! What a `ProxyCommand` in the tests runs: this test program itself, once more.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

/// Which port [`carries`] leads to.
const PORT: &str = "RUSTLE_TEST_RELAY_TO";

/// Carries its standard streams to a port, as `nc` does. What the test harness prints before is what a server may say
/// before its identification (RFC 4253 section 4.2).
#[test]
fn carries() {
    let Ok(port) = std::env::var(PORT) else { return };
    let mut out = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
    let mut back = out.try_clone().unwrap();
    let there = std::thread::spawn(move || {
        let mut buffer = [0; 32 * 1024];
        while let Ok(count @ 1..) = std::io::stdin().read(&mut buffer) {
            out.write_all(&buffer[..count]).unwrap();
        }
        let _ = out.shutdown(Shutdown::Write);
    });
    // The harness has begun a line.
    println!();
    let mut buffer = [0; 32 * 1024];
    while let Ok(count @ 1..) = back.read(&mut buffer) {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&buffer[..count]).unwrap();
        stdout.flush().unwrap();
    }
    drop(there);
}

/// The line that runs [`carries`].
pub(crate) fn line_to(port: u16) -> String {
    let program = std::env::current_exe().unwrap().display().to_string();
    let arguments = "relay::carries --exact --nocapture --test-threads=1";
    if cfg!(windows) {
        format!("set {PORT}={port}&& \"{program}\" {arguments}")
    } else {
        format!("env {PORT}={port} '{program}' {arguments}")
    }
}

/// Waits until the process that wrote its number to a file is gone.
#[cfg(unix)]
pub(crate) async fn is_gone(file: &std::path::Path) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let number = std::fs::read_to_string(file).unwrap();
    // A process that nobody has waited for yet has ended all the same.
    let runs = || {
        let status = std::process::Command::new("ps").args(["-o", "stat=", "-p", number.trim()]).output();
        let status = String::from_utf8(status.unwrap().stdout).unwrap();
        !status.trim().is_empty() && !status.trim().starts_with('Z')
    };
    while runs() {
        assert!(std::time::Instant::now() < deadline, "{} still runs", number.trim());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
