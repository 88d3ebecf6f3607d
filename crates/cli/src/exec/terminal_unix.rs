//! The terminal that this program runs at: what the far side's is to be like, and handing keystrokes on as they come.

use std::fs::File;
use std::io;

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize,
    tcsetattr,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::far::Far;
use crate::streams::{RawLines, stdin};

/// Without waiting for what is on its way out, which nobody may be taking any more: an emulator that hangs, a line that
/// was stopped.
const AT_ONCE: OptionalActions = OptionalActions::Now;

/// Characters and flags of a terminal by their codes in RFC 4254 section 8 (42 is of RFC 8160).
const CHARACTERS: [(u8, SpecialCodeIndex); 11] = [
    (1, SpecialCodeIndex::VINTR),
    (2, SpecialCodeIndex::VQUIT),
    (3, SpecialCodeIndex::VERASE),
    (4, SpecialCodeIndex::VKILL),
    (5, SpecialCodeIndex::VEOF),
    (6, SpecialCodeIndex::VEOL),
    (7, SpecialCodeIndex::VEOL2),
    (8, SpecialCodeIndex::VSTART),
    (9, SpecialCodeIndex::VSTOP),
    (10, SpecialCodeIndex::VSUSP),
    (14, SpecialCodeIndex::VLNEXT),
];
const INPUT: [(u8, InputModes); 11] = [
    (30, InputModes::IGNPAR),
    (31, InputModes::PARMRK),
    (32, InputModes::INPCK),
    (33, InputModes::ISTRIP),
    (34, InputModes::INLCR),
    (35, InputModes::IGNCR),
    (36, InputModes::ICRNL),
    (38, InputModes::IXON),
    (39, InputModes::IXANY),
    (40, InputModes::IXOFF),
    (41, InputModes::IMAXBEL),
];
const LOCAL: [(u8, LocalModes); 9] = [
    (50, LocalModes::ISIG),
    (51, LocalModes::ICANON),
    (53, LocalModes::ECHO),
    (54, LocalModes::ECHOE),
    (55, LocalModes::ECHOK),
    (56, LocalModes::ECHONL),
    (57, LocalModes::NOFLSH),
    (58, LocalModes::TOSTOP),
    (59, LocalModes::IEXTEN),
];
const OUTPUT: [(u8, OutputModes); 5] = [
    (70, OutputModes::OPOST),
    (72, OutputModes::ONLCR),
    (73, OutputModes::OCRNL),
    (74, OutputModes::ONOCR),
    (75, OutputModes::ONLRET),
];

/// A terminal like this one, where standard input is one.
pub(super) fn like_ours() -> Far {
    let name = std::env::var("TERM").unwrap_or_default();
    let own = stdin().ok();
    let size = own.as_ref().and_then(size_of).unwrap_or((0, 0));
    // Where it is none, it has no modes.
    let modes = own.and_then(|own| tcgetattr(&own).ok()).map(|modes| coded(&modes));
    Far::new(name, size, modes.into_iter().flatten())
}

/// Each mode by its code.
fn coded(modes: &Termios) -> Vec<(u8, u32)> {
    let mut coded = Vec::new();
    for (code, index) in CHARACTERS {
        // 255 says that there is none, where the system has 0 for that.
        let character = match modes.special_codes[index] {
            0 => 255,
            character => u32::from(character),
        };
        coded.push((code, character));
    }
    coded.extend(INPUT.map(|(code, flag)| (code, modes.input_modes.contains(flag).into())));
    coded.extend(LOCAL.map(|(code, flag)| (code, modes.local_modes.contains(flag).into())));
    coded.extend(OUTPUT.map(|(code, flag)| (code, modes.output_modes.contains(flag).into())));
    coded.extend([(128, modes.input_speed()), (129, modes.output_speed())]);
    coded
}

fn size_of(terminal: &File) -> Option<(u32, u32)> {
    let size = tcgetwinsize(terminal).ok()?;
    Some((size.ws_col.into(), size.ws_row.into()))
}

/// This program's terminal while every keystroke goes to the far side. Dropped, it is as it was.
pub(super) struct Raw {
    terminal: File,
    before: Termios,
    resized: Signal,
    /// As the far side knows it.
    size: (u32, u32),
    _lines: RawLines,
}

impl Raw {
    /// # Errors
    /// Standard input is no terminal, or cannot be set.
    pub(super) fn enter(far: &Far) -> io::Result<Self> {
        let terminal = stdin()?;
        let before = tcgetattr(&terminal)?;
        let resized = signal(SignalKind::window_change())?;
        let mut raw = before.clone();
        raw.make_raw();
        let entered = Self { terminal, before, resized, size: far.size(), _lines: RawLines::begin() };
        // What was typed ahead stays.
        tcsetattr(&entered.terminal, AT_ONCE, &raw)?;
        Ok(entered)
    }

    /// The next size in characters, columns first.
    ///
    /// # Cancel safety
    /// No change is lost.
    pub(super) async fn resized(&mut self) -> (u32, u32) {
        loop {
            // First without waiting: it may have changed before this program listened for that.
            if let Some(size) = size_of(&self.terminal).filter(|size| *size != self.size) {
                self.size = size;
                return size;
            }
            if self.resized.recv().await.is_none() {
                return std::future::pending().await;
            }
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(&self.terminal, AT_ONCE, &self.before);
    }
}
