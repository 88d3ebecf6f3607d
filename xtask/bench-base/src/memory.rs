//! What this process takes of the machine's memory.

use std::time::Duration;

/// Waits until nothing is under way any more, and prints the memory that is resident then, in KiB.
pub(crate) async fn rest_and_print(seconds: u64) -> Result<(), crate::Problem> {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    println!("{}", kibibytes("/proc/self/smaps_rollup", "Rss:")?);
    Ok(())
}

/// A number that the system keeps of this process.
pub(crate) fn kibibytes(file: &str, name: &str) -> Result<u64, crate::Problem> {
    let text = std::fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("the system does not tell")?;
    Ok(line.split_whitespace().next().ok_or("the system tells nothing")?.parse()?)
}
