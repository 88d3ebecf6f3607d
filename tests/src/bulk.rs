//! Large data that never repeats and whose hash is known: lost, doubled or swapped pieces show.

use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};

use sha2::{Digest, Sha256};

/// So many bytes of the numbers from 1 on, one a line, as `seq` writes them.
#[derive(Debug, Clone, Copy)]
pub struct Bulk {
    bytes: u64,
    sha256: &'static str,
}

impl Bulk {
    /// 10 MiB.
    pub const MIB_10: Self =
        Self { bytes: 10 << 20, sha256: "074150f329f71f11632523dd98c722bd8f635fa343a447aac9010065c3a8266a" };
    /// 128 MiB.
    pub const MIB_128: Self =
        Self { bytes: 128 << 20, sha256: "a6f71079ba65eae080ae5a04c8d989c790eb5a5dca10760251e1dff4f7fbfd09" };
    /// 256 MiB.
    pub const MIB_256: Self =
        Self { bytes: 256 << 20, sha256: "fb06e0b6265289f9bda73bc32bf9bcdfb6497c352195439a85b509c81259ebd3" };
    /// 1 GiB.
    pub const GIB: Self =
        Self { bytes: 1 << 30, sha256: "5d4406b85df2402c69b2d17c415f342960e73bc32a2385730f19e023b1900ca9" };

    /// How many bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Their SHA-256 in hex.
    #[must_use]
    pub fn sha256(&self) -> &'static str {
        self.sha256
    }

    /// The line of shell that writes them.
    #[must_use]
    pub fn line(&self) -> String {
        format!("seq 1 999999999 | head -c {}", self.bytes)
    }

    /// A process on this side that writes them to its standard output.
    ///
    /// # Panics
    /// Where it cannot be started.
    #[must_use]
    pub fn local(&self) -> Child {
        let mut shell = Command::new("sh");
        shell.args(["-c", &self.line()]).stdin(Stdio::null()).stdout(Stdio::piped());
        shell.spawn().unwrap_or_else(|error| panic!("sh: {error}"))
    }
}

/// Counts and hashes a stream as it passes.
#[derive(Default)]
pub struct Tally {
    bytes: u64,
    hash: Sha256,
}

impl Tally {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next piece.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
    }

    /// Asserts that exactly this passed, whole and in order.
    ///
    /// # Panics
    /// Where it did not.
    pub fn assert_is(self, expected: &Bulk) {
        assert_eq!(self.bytes, expected.bytes, "bytes passed");
        assert_eq!(hex(&self.hash.finalize()), expected.sha256, "of {} bytes", expected.bytes);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
