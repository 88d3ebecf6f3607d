//! Processes of this machine: which are there, and ending them by their ids.

use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::tool::output_of;

/// What is ended lives for no tenth of this, unless nothing ends it.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// The processes whose command line contains this text.
#[must_use]
pub fn with_text(text: &str) -> Vec<u32> {
    let found = output_of(Command::new("pgrep").args(["-f", "--", text]));
    String::from_utf8_lossy(&found.stdout).lines().filter_map(|line| line.parse().ok()).collect()
}

/// Asserts that soon no process has this text in its command line: on a busy machine that may take a while. Those
/// that still do are ended, so that a failed test leaves none.
///
/// # Panics
/// When there are any.
pub async fn assert_none_left(text: &str) {
    let deadline = Instant::now() + GONE_WITHIN;
    let mut left = with_text(text);
    while !left.is_empty() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
        left = with_text(text);
    }
    let lines: Vec<String> = left.iter().map(|&process| command_line(process)).collect();
    for process in &left {
        kill(*process);
    }
    assert!(left.is_empty(), "still there after {GONE_WITHIN:?}: {lines:#?}");
}

/// All that descends from a process, nearest first.
#[must_use]
pub fn descendants(of: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if let Some(parent) = parent(process) {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = vec![of];
    let mut next = 0;
    while let Some(process) = found.get(next) {
        found.extend(children.remove(process).unwrap_or_default());
        next += 1;
    }
    found.split_off(1)
}

/// Ends a process; one that is gone already is no error.
pub fn kill(process: u32) {
    if let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        let _ = kill_process(process, Signal::KILL);
    }
}

/// The arguments of a process, for messages.
#[must_use]
pub fn command_line(process: u32) -> String {
    let bytes = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    format!("{process}: {}", String::from_utf8_lossy(&bytes).replace('\0', " "))
}

fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may hold anything; the state and the parent follow the last one.
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}
