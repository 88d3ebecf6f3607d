//! Where a file has data, and where it has holes.

use std::fs::File;
use std::io;
use std::ops::Range;

/// The extents of a range of a file, in order. Where holes are not asked for or cannot be told, it is one.
#[derive(Debug)]
pub(super) struct Extents<'a> {
    file: &'a File,
    left: Range<u64>,
    has_holes: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) range: Range<u64>,
    pub(super) is_hole: bool,
}

impl<'a> Extents<'a> {
    pub(super) fn of(file: &'a File, range: Range<u64>, has_holes: bool) -> Self {
        Self { file, left: range, has_holes }
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Extent>> {
        if self.left.start >= self.left.end {
            return Ok(None);
        }
        let extent = match self.has_holes {
            true => self.first_of_many()?,
            false => Extent { range: self.left.clone(), is_hole: false },
        };
        self.left.start = extent.range.end;
        Ok(Some(extent))
    }

    #[cfg(target_os = "linux")]
    fn first_of_many(&self) -> io::Result<Extent> {
        use rustix::fs::{SeekFrom, seek};
        let Range { start, end } = self.left;
        let data = match seek(self.file, SeekFrom::Data(start)) {
            Ok(data) => data.min(end),
            // No data from here on.
            Err(rustix::io::Errno::NXIO) => end,
            Err(error) => return Err(error.into()),
        };
        if data > start {
            return Ok(Extent { range: start..data, is_hole: true });
        }
        let hole = seek(self.file, SeekFrom::Hole(start))?.min(end);
        // Whoever writes to the file meanwhile may fill a hole; the transfer ends with an error then, but it ends.
        Ok(Extent { range: start..hole.max(start + 1), is_hole: false })
    }

    #[cfg(not(target_os = "linux"))]
    fn first_of_many(&self) -> io::Result<Extent> {
        let _ = self.file;
        Ok(Extent { range: self.left.clone(), is_hole: false })
    }
}

impl Extent {
    pub(super) fn length(&self) -> u64 {
        self.range.end - self.range.start
    }
}
