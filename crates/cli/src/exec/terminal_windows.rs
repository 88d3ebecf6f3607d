//! The console that this program runs at: what the far side's terminal is to be like, and handing keystrokes on as they
//! come.

use std::io;
use std::time::Duration;

use winapi_util::HandleRef;
use winapi_util::console::{mode, screen_buffer_info, set_mode};

use super::far::Far;
use crate::streams::RawLines;

/// `ENABLE_PROCESSED_INPUT`, `ENABLE_LINE_INPUT` and `ENABLE_ECHO_INPUT`.
const COOKED: u32 = 0x0001 | 0x0002 | 0x0004;
/// `ENABLE_VIRTUAL_TERMINAL_INPUT`: keys come as a terminal sends them.
const KEYS_AS_SEQUENCES: u32 = 0x0200;
/// `ENABLE_PROCESSED_OUTPUT` and `ENABLE_VIRTUAL_TERMINAL_PROCESSING`.
const SHOWS_SEQUENCES: u32 = 0x0001 | 0x0004;

/// No event tells of a console's size, so it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A terminal as large as this console.
pub(super) fn like_ours() -> Far {
    let name = std::env::var("TERM").unwrap_or_else(|_| "xterm-256color".to_owned());
    Far::new(name, size().unwrap_or((80, 24)), [])
}

fn size() -> Option<(u32, u32)> {
    let window = screen_buffer_info(HandleRef::stdout()).ok()?.window_rect();
    let length = |from: i16, to: i16| u32::try_from(i32::from(to) - i32::from(from) + 1).ok();
    Some((length(window.left, window.right)?, length(window.top, window.bottom)?))
}

/// This program's console while every keystroke goes to the far side. Dropped, it is as it was.
pub(super) struct Raw {
    input: u32,
    /// None where output is no console.
    output: Option<u32>,
    /// As the far side knows it.
    size: (u32, u32),
    _lines: RawLines,
}

impl Raw {
    /// # Errors
    /// Standard input is no console, or cannot be set.
    pub(super) fn enter(far: &Far) -> io::Result<Self> {
        let input = mode(HandleRef::stdin())?;
        let output = mode(HandleRef::stdout()).ok();
        let entered = Self { input, output, size: far.size(), _lines: RawLines::begin() };
        set_mode(HandleRef::stdin(), (input & !COOKED) | KEYS_AS_SEQUENCES)?;
        if let Some(output) = output {
            set_mode(HandleRef::stdout(), output | SHOWS_SEQUENCES)?;
        }
        Ok(entered)
    }

    /// The next size in characters, columns first.
    ///
    /// # Cancel safety
    /// No change is lost.
    pub(super) async fn resized(&mut self) -> (u32, u32) {
        loop {
            if let Some(size) = size().filter(|size| *size != self.size) {
                self.size = size;
                return size;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing can be done about a console that is gone.
        let _ = set_mode(HandleRef::stdin(), self.input);
        if let Some(output) = self.output {
            let _ = set_mode(HandleRef::stdout(), output);
        }
    }
}
