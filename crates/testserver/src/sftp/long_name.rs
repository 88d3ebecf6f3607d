//! A line as of `ls -l`, which NAME carries for people.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut, Bytes, BytesMut};

use crate::storage::{Attributes, FileKind};

/// Mode, links, owner, group, size, time (in UTC) and name, in the columns that OpenSSH's server has.
pub(super) fn line(name: &[u8], file: &Attributes, user: &str, group: &str, now: SystemTime) -> Bytes {
    let columns = format!(
        "{} {:>3} {user:<8} {group:<8} {:>8} {} ",
        mode(file.kind, file.mode),
        file.links,
        file.size,
        time(file.modified, now),
    );
    let mut line = BytesMut::with_capacity(columns.len() + name.len());
    line.put_slice(columns.as_bytes());
    line.put_slice(name);
    line.freeze()
}

fn mode(kind: FileKind, mode: u32) -> String {
    let kind = match kind {
        FileKind::File => '-',
        FileKind::Directory => 'd',
        FileKind::Symlink => 'l',
        FileKind::Other => '?',
    };
    let bit = |bit: u32, letter: char| if mode & bit == 0 { '-' } else { letter };
    // Set-user-id, set-group-id and the sticky bit share the place of an x.
    let special = |special: u32, x: u32, both: char, alone: char| match (mode & special != 0, mode & x != 0) {
        (true, true) => both,
        (true, false) => alone,
        (false, _) => bit(x, 'x'),
    };
    [
        kind,
        bit(0o400, 'r'),
        bit(0o200, 'w'),
        special(0o4000, 0o100, 's', 'S'),
        bit(0o040, 'r'),
        bit(0o020, 'w'),
        special(0o2000, 0o010, 's', 'S'),
        bit(0o004, 'r'),
        bit(0o002, 'w'),
        special(0o1000, 0o001, 't', 'T'),
    ]
    .iter()
    .collect()
}

/// With the time of day for the last half year, with the year for all else.
fn time(at: SystemTime, now: SystemTime) -> String {
    const HALF_A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60 / 2);
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = date(seconds / DAY);
    let month = MONTHS.get(month).unwrap_or(&"");
    let recent = now.duration_since(at).is_ok_and(|age| age < HALF_A_YEAR);
    if recent {
        format!("{month} {day:>2} {:02}:{:02}", seconds % DAY / 3600, seconds % 3600 / 60)
    } else {
        format!("{month} {day:>2}  {year:>4}")
    }
}

/// Seconds in a day.
const DAY: u64 = 24 * 60 * 60;

/// Year, month from 0 and day from 1 of a day since 1970. Years are counted one by one: there are a few hundred.
fn date(mut days: u64) -> (u64, usize, u64) {
    let leap = |year: u64| (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    // The calendar repeats every 400 years, of 146 097 days.
    let mut year = 1970 + days / 146_097 * 400;
    days %= 146_097;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let february = 28 + u64::from(leap(year));
    let mut month = 0;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn file(kind: FileKind, mode: u32, modified: u64) -> Attributes {
        Attributes {
            kind,
            mode,
            size: 4096,
            allocated: 0,
            uid: 0,
            gid: 0,
            links: 2,
            accessed: at(0),
            modified: at(modified),
            inode: None,
        }
    }

    #[test]
    fn a_line_looks_like_that_of_ls() {
        // 29 February 2024, 23:59:58.
        let leap_day = 1_709_251_198;
        let show = |kind, mode, now| {
            let line = line(b"n\xff", &file(kind, mode, leap_day), "alice", "staff", at(now));
            String::from_utf8_lossy(&line).into_owned()
        };
        assert_eq!(
            show(FileKind::Directory, 0o1755, leap_day + 60),
            "drwxr-xr-t   2 alice    staff        4096 Feb 29 23:59 n\u{fffd}"
        );
        assert_eq!(
            show(FileKind::File, 0o6644, leap_day + 365 * DAY),
            "-rwSr-Sr--   2 alice    staff        4096 Feb 29  2024 n\u{fffd}"
        );
        // From the future.
        assert!(show(FileKind::Symlink, 0o777, 0).starts_with("lrwxrwxrwx "));
        assert!(show(FileKind::Symlink, 0o777, 0).contains("Feb 29  2024"));
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(date(0), (1970, 0, 1));
        assert_eq!(date(59), (1970, 2, 1));
        // 31 December 2000, 1 January 2001 and 1 March 2100, which was no leap year.
        assert_eq!(date(11_322), (2000, 11, 31));
        assert_eq!(date(11_323), (2001, 0, 1));
        assert_eq!(date(47_541), (2100, 2, 1));
        assert_eq!(date(146_097), (2370, 0, 1));
    }
}
