//! A key's fingerprint as a picture, as `ssh-keygen -lv` draws it.
//!
//! A bishop starts in the middle of a board and moves by two bits of the fingerprint at a time, along the wall where it
//! would leave the board; a square is the darker the more often it was visited.

use crate::key::PublicKey;

const WIDTH: usize = 17;
const HEIGHT: usize = 9;
/// From never visited to visited very often.
const SHADES: &[u8] = b" .o+=*BOX@%&#/^";
const START: char = 'S';
const END: char = 'E';

impl PublicKey {
    /// The picture of the SHA-256 fingerprint: eleven lines, the last without its newline (`VisualHostKey`).
    ///
    /// ```
    /// use rustle_trust::PublicKey;
    ///
    /// let key = PublicKey::from_openssh(
    ///     "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
    /// )?;
    /// let picture = key.randomart();
    /// assert!(picture.starts_with("+--[ED25519 256]--+\n") && picture.ends_with("\n+----[SHA256]-----+"));
    /// # Ok::<(), rustle_trust::Error>(())
    /// ```
    #[must_use]
    pub fn randomart(&self) -> String {
        let (visits, end) = walk(self.fingerprint_sha256().as_bytes());
        let (kind, bits) = self.short_name_and_bits();
        let mut picture = border(&format!("[{kind} {bits}]"));
        for (y, row) in visits.iter().enumerate() {
            picture.push_str("\n|");
            for (x, count) in row.iter().enumerate() {
                let shade = SHADES.get(*count).or(SHADES.last()).copied().unwrap_or(b' ');
                picture.push(match (x, y) {
                    place if place == end => END,
                    (x, y) if x == WIDTH / 2 && y == HEIGHT / 2 => START,
                    _ => char::from(shade),
                });
            }
            picture.push('|');
        }
        picture.push('\n');
        picture.push_str(&border("[SHA256]"));
        picture
    }
}

/// How often each square was visited, and where the walk ends.
fn walk(bytes: &[u8]) -> ([[usize; WIDTH]; HEIGHT], (usize, usize)) {
    let mut visits = [[0; WIDTH]; HEIGHT];
    let (mut x, mut y) = (WIDTH / 2, HEIGHT / 2);
    for byte in bytes {
        for pair in [byte & 3, byte >> 2 & 3, byte >> 4 & 3, byte >> 6] {
            x = if pair & 1 == 1 { (x + 1).min(WIDTH - 1) } else { x.saturating_sub(1) };
            y = if pair & 2 == 2 { (y + 1).min(HEIGHT - 1) } else { y.saturating_sub(1) };
            if let Some(count) = visits.get_mut(y).and_then(|row| row.get_mut(x)) {
                *count += 1;
            }
        }
    }
    (visits, (x, y))
}

fn border(title: &str) -> String {
    let left = WIDTH.saturating_sub(title.len()) / 2;
    format!("+{}{title:-<width$}+", "-".repeat(left), width = WIDTH - left)
}
