//! Blocks of a file, in buffers that come back to be filled again.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// A block that was read, with room in front of it.
///
/// The room is for what a packet has before its data: with the head put there, head and data leave as one piece and
/// the data is never copied.
#[derive(Debug)]
pub(crate) struct Block {
    offset: u64,
    buffer: Buffer,
}

/// Buffers of one size. Those that are free are kept, up to a number; the others are given back to the system.
#[derive(Debug)]
pub(super) struct Pool {
    free: Mutex<Vec<Vec<u8>>>,
    most_free: usize,
}

#[derive(Debug)]
struct Buffer {
    // All of it was written to once, so that no length of it needs to be cleared again.
    memory: Vec<u8>,
    end: usize,
    pool: Arc<Pool>,
}

impl Block {
    /// Where in the file it begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn data(&self) -> &[u8] {
        self.buffer.as_ref()
    }

    pub(crate) fn len(&self) -> usize {
        self.buffer.end
    }

    /// The data. Its memory is filled again once the last slice of it is dropped.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self.buffer)
    }
}

impl Pool {
    pub(super) fn new(most_free: usize) -> Arc<Self> {
        Arc::new(Self { free: Mutex::default(), most_free })
    }

    /// A block at `offset` of up to `size` bytes: `fill` puts them in and says how many there are.
    pub(super) fn block<E>(
        self: &Arc<Self>,
        offset: u64,
        size: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<Block, E> {
        let freed = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let memory = freed.filter(|freed| freed.len() == size).unwrap_or_else(|| vec![0; size]);
        let mut buffer = Buffer { memory, end: size, pool: Arc::clone(self) };
        let filled = fill(&mut buffer.memory)?;
        buffer.end = filled.min(size);
        Ok(Block { offset, buffer })
    }

    fn give_back(&self, memory: Vec<u8>) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < self.most_free {
            free.push(memory);
        }
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.end]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.give_back(mem::take(&mut self.memory));
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn filled(pool: &Arc<Pool>, text: &[u8]) -> Block {
        let fill = |room: &mut [u8]| {
            room[..text.len()].copy_from_slice(text);
            Ok::<_, Infallible>(text.len())
        };
        pool.block(0, 8, fill).unwrap()
    }

    #[test]
    fn a_buffer_is_filled_again_once_nobody_has_a_slice_of_it() {
        let pool = Pool::new(1);
        let first = filled(&pool, b"data");
        let place = first.data().as_ptr();
        let slice = first.into_bytes().slice(1..2);
        let second = filled(&pool, b"x");
        assert_ne!(second.data().as_ptr(), place);
        drop(slice);
        assert_eq!(filled(&pool, b"y").data().as_ptr(), place);
    }

    #[test]
    fn no_more_buffers_stay_than_were_asked_for() {
        let pool = Pool::new(2);
        drop([filled(&pool, b"a"), filled(&pool, b"b"), filled(&pool, b"c")]);
        assert_eq!(pool.free.lock().unwrap().len(), 2);
    }
}
