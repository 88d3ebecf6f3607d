//! What a flow asks of the heap.
//!
//! Each packet of a flow is a block of its own, taken by the connection's loop and given back by who reads it, and a window of
//! them may be on its way. The heap of glibc gives its end back to the system where more than 128 KiB of it are free, and takes
//! it again page by page: 90 000 page faults a GiB, a quarter of the processor time of a forwarded port. It learns from what it
//! sees: once a large block was freed, it keeps twice as much (mallopt(3), `M_MMAP_THRESHOLD`). So one is freed here, once in a
//! process and not before something large is carried. To other heaps that is a block that nobody has touched.

use std::hint::black_box;
use std::sync::Once;

/// A connection that has carried less carries no flow.
const FLOW: u64 = 1024 * 1024;

/// Twice this is kept: a window of OpenSSH's (2 MiB) as packets, and as much between them.
const LARGE: usize = 2 * 1024 * 1024;

/// A connection has carried so many bytes one way.
pub(super) fn carried(bytes: u64) {
    static LEARNT: Once = Once::new();
    if bytes >= FLOW {
        LEARNT.call_once(learn);
    }
}

fn learn() {
    let mut large: Vec<u8> = Vec::new();
    // Where there is no room for it, nothing is learnt.
    let _ = large.try_reserve_exact(LARGE);
    drop(black_box(large));
}

#[cfg(test)]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod tests {
    use std::fs;

    use super::*;

    /// Of this thread alone, since it began.
    fn page_faults() -> u64 {
        let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        fields.split_whitespace().nth(7).unwrap().parse().unwrap()
    }

    #[test]
    fn packets_that_come_and_go_cost_no_page_faults() {
        const PACKET: usize = 32 * 1024;
        const ROUNDS: u64 = 20;

        carried(FLOW);
        let window = || -> Vec<Vec<u8>> { (0..48).map(|_| black_box(vec![7; PACKET])).collect() };
        drop(window());
        let before = page_faults();
        for _ in 0..ROUNDS {
            drop(window());
        }
        let faults = page_faults() - before;
        // A page for each 4 KiB of each packet would be 384 a round.
        assert!(faults < 10 * ROUNDS, "{faults} page faults");
    }
}
