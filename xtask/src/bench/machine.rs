//! The machine of a run, in a line: a ratio means little without it.

use std::fmt;
use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use crate::outcome::Failure;
use crate::shell;

/// The machine, and how busy it was.
pub(super) struct Machine {
    cores: usize,
    model: String,
    gibibytes: u64,
    kernel: String,
    openssh: String,
    rustc: String,
    load: String,
}

/// Asks the system.
pub(super) fn describe() -> Result<Machine, Failure> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let model = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown CPU".into());
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let kibibytes: u64 = memory
        .and_then(|text| text.split(' ').next().and_then(|number| number.parse().ok()))
        .unwrap_or_default();
    // `ssh -V` prints to standard error.
    let version = shell::capture(Command::new("ssh").arg("-V"))?;
    let version = String::from_utf8_lossy(&version.stderr).into_owned();
    let rustc = shell::capture_ok(Command::new("rustc").arg("--version").current_dir(shell::root()))?;
    Ok(Machine {
        cores: available_parallelism().map_or(1, usize::from),
        model,
        gibibytes: (kibibytes + (1 << 19)) >> 20,
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        openssh: version.split([' ', ',']).next().unwrap_or_default().trim().to_owned(),
        rustc: rustc.split(' ').take(2).collect::<Vec<_>>().join(" ").trim().to_owned(),
        load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
    })
}

impl Machine {
    pub(super) fn cores(&self) -> usize {
        self.cores
    }

    /// The load average of the minute before.
    pub(super) fn load(&self) -> &str {
        &self.load
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cores of {}, {} GiB RAM, Linux {}, {}, {}; client and server on the same machine, over loopback, \
             aes256-gcm@openssh.com.",
            self.cores, self.model, self.gibibytes, self.kernel, self.openssh, self.rustc
        )
    }
}

/// Takes so much memory, writes to it and gives it back. A virtual machine may have given its host what is free: who needs it
/// next waits for it, three times as long as for the work itself.
pub(super) fn have_memory(bytes: u64) {
    std::hint::black_box(vec![1_u8; usize::try_from(bytes).unwrap_or_default()]);
}

/// The value of the first line `name : value`.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "model\t\t: 2\nmodel name\t: Some CPU @ 2 GHz\nMemTotal:       24689304 kB\n";
        assert_eq!(field(text, "model name").as_deref(), Some("Some CPU @ 2 GHz"));
        assert_eq!(field(text, "model").as_deref(), Some("2"));
        assert_eq!(field(text, "MemTotal").as_deref(), Some("24689304 kB"));
        assert_eq!(field(text, "Mem"), None);
    }
}
