//! The identification line (RFC 4253 section 4.2).

use crate::raw::transport::{Broken, Role, Transport};

/// As RFC 4253 section 4.2 limits it, its end included.
const LONGEST_IDENTIFICATION: usize = 255;

impl Transport {
    /// Takes it off the input; says whether it was there.
    pub(super) fn read_identification(&mut self) -> Result<bool, Broken> {
        loop {
            let Some(end) = self.input.iter().position(|byte| *byte == b'\n') else {
                // Its end is still to come.
                if self.input.len() >= LONGEST_IDENTIFICATION {
                    return Err(Broken::new("an identification line without end"));
                }
                return Ok(false);
            };
            if end >= LONGEST_IDENTIFICATION {
                return Err(Broken::new("an identification line that is too long"));
            }
            let line = self.input.split_to(end + 1);
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.starts_with(b"SSH-2.0-") {
                self.their_identification = Some(line.to_vec());
                return Ok(true);
            }
            // A server may say more before it; a client may not, RFC 4253 section 4.2.
            if matches!(self.role, Role::Server(_)) {
                return Err(Broken::new("the peer does not say that it speaks SSH 2.0"));
            }
        }
    }
}
