//! Debian packages that CI installs; nobody else's machine is touched.

use std::process::Command;
use std::sync::OnceLock;

use crate::outcome::Failure;
use crate::shell;

/// Makes sure the packages are installed. Returns those that are missing: on CI none, elsewhere the caller
/// skips what needs them and names them.
pub(crate) fn ensure(packages: &[&str]) -> Result<Vec<String>, Failure> {
    let missing = missing(packages);
    if missing.is_empty() || !shell::on_ci() {
        return Ok(missing);
    }
    if shell::find_program("apt-get").is_none() || !shell::is_root() {
        return Err(Failure::new(format!(
            "CI needs the Debian packages {} and can only install them as root with apt-get",
            missing.join(" ")
        )));
    }
    update_once()?;
    shell::run(apt_get().args(["install", "-y", "-qq", "--no-install-recommends"]).args(&missing))?;
    Ok(Vec::new())
}

fn missing(packages: &[&str]) -> Vec<String> {
    packages.iter().filter(|package| !is_installed(package)).map(|&package| package.to_owned()).collect()
}

fn is_installed(package: &str) -> bool {
    shell::capture(Command::new("dpkg-query").args(["-W", "-f=${db:Status-Status}", package]))
        .is_ok_and(|out| out.stdout == b"installed")
}

fn update_once() -> Result<(), Failure> {
    static UPDATED: OnceLock<()> = OnceLock::new();
    if UPDATED.get().is_none() {
        shell::run(apt_get().args(["update", "-qq"]))?;
        UPDATED.get_or_init(|| ());
    }
    Ok(())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    // RUNLEVEL=1 keeps invoke-rc.d from starting the services of a freshly installed package (an sshd on port 22).
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    command
}
