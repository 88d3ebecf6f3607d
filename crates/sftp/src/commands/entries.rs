//! What is done to one name, and whole files at once.

use bytes::Bytes;

use crate::commands::{Commands, Of, entry_operand, operand, script, stat};
use crate::error::{Error, ErrorKind, Result};
use crate::files::space::{self, Space};
use crate::metadata::{Metadata, SetMetadata};
use crate::path::{checked, join};

impl Commands {
    pub(crate) async fn metadata(&self, path: &[u8]) -> Result<Metadata> {
        self.described("stat", script::STAT, path, &operand("stat", path)?).await
    }

    pub(crate) async fn symlink_metadata(&self, path: &[u8]) -> Result<Metadata> {
        self.described("lstat", script::LSTAT, path, &operand("lstat", path)?).await
    }

    async fn described(
        &self,
        operation: &'static str,
        script: &str,
        path: &[u8],
        operand: &[u8],
    ) -> Result<Metadata> {
        let of = Of { operation, path };
        let line = self.run(of, script, &[operand]).await?;
        stat::metadata(&line).ok_or_else(|| nonsense(of))
    }

    pub(crate) async fn exists(&self, path: &[u8]) -> Result<bool> {
        let of = Of { operation: "stat", path };
        match self.run(of, script::EXISTS, &[&operand("stat", path)?]).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn set_metadata(&self, path: &[u8], changes: &SetMetadata) -> Result<()> {
        let of = Of { operation: "setstat", path };
        let changes = changes.attributes("setstat").map_err(|error| error.at(path))?;
        let text = |value: Option<String>| value.unwrap_or_default().into_bytes();
        let owner = changes.uid().zip(changes.gid()).map(|(uid, gid)| format!("{uid}:{gid}"));
        self.run(
            of,
            script::SET,
            &[
                &operand("setstat", path)?,
                &text(changes.size().map(|size| size.to_string())),
                &text(changes.permissions().map(|mode| format!("{:o}", mode & 0o7777))),
                &text(owner),
                &text(changes.accessed().map(touch_time)),
                &text(changes.modified().map(touch_time)),
            ],
        )
        .await
        .map(drop)
    }

    pub(crate) async fn create_dir(&self, path: &[u8]) -> Result<()> {
        self.change("mkdir", script::MAKE_DIR, path).await
    }

    /// Makes a directory, or finds one there. Of `mode`, what the mask leaves. With `fill`, one that is there is opened to its
    /// owner.
    pub(crate) async fn merge_dir(&self, path: &[u8], mode: u32, fill: bool) -> Result<()> {
        let parameters = (entry_operand("mkdir", path)?, format!("{mode:o}").into_bytes());
        let fill: &[u8] = if fill { b"fill" } else { b"" };
        let of = Of { operation: "mkdir", path };
        self.run(of, script::MERGE_DIR, &[&parameters.0, &parameters.1, fill]).await.map(drop)
    }

    pub(crate) async fn create_dir_all(&self, path: &[u8]) -> Result<()> {
        self.change("mkdir", script::MAKE_DIRS, path).await
    }

    pub(crate) async fn remove_file(&self, path: &[u8]) -> Result<()> {
        self.change("remove", script::REMOVE, path).await
    }

    pub(crate) async fn remove_dir(&self, path: &[u8]) -> Result<()> {
        self.change("rmdir", script::REMOVE_DIR, path).await
    }

    pub(crate) async fn remove_dir_all(&self, path: &[u8]) -> Result<()> {
        let operand = entry_operand("rmdir", path)?;
        // As long as it takes: a tree may have millions of names.
        self.run_for(Of { operation: "rmdir", path }, script::REMOVE_TREE, &[&operand], None).await.map(drop)
    }

    async fn change(&self, operation: &'static str, script: &str, path: &[u8]) -> Result<()> {
        let operand = entry_operand(operation, path)?;
        self.run(Of { operation, path }, script, &[&operand]).await.map(drop)
    }

    pub(crate) async fn rename(&self, from: &[u8], to: &[u8]) -> Result<()> {
        let parameters = (entry_operand("rename", from)?, entry_operand("rename", to)?);
        let script = script::rename(self.programs());
        let of = Of { operation: "rename", path: from };
        // Where `mv` has to copy, it writes under the name that counts: ended half-way, it would leave half a file there.
        self.run_for(of, &script, &[&parameters.0, &parameters.1], None).await.map(drop)
    }

    /// Content and permissions.
    pub(crate) async fn copy(&self, from: &[u8], to: &[u8]) -> Result<u64> {
        let parameters = (operand("copy", from)?, operand("copy", to)?);
        let mode = self.metadata(from).await?.permissions();
        let of = Of { operation: "copy", path: to };
        // As long as it takes: one that is ended half-way leaves half a file.
        let length = self.run_for(of, script::COPY, &[&parameters.0, &parameters.1], None).await?;
        if let Some(mode) = mode {
            self.set_metadata(to, &SetMetadata::new().permissions(mode)).await?;
        }
        let length = std::str::from_utf8(&length).ok().and_then(|text| text.trim().parse().ok());
        length.ok_or_else(|| nonsense(of))
    }

    pub(crate) async fn space(&self, path: &[u8]) -> Result<Space> {
        let of = Of { operation: "df", path };
        let answer = self.run(of, script::SPACE, &[&operand("df", path)?]).await?;
        let lines = answer.split(|byte| *byte == b'\n').skip(1);
        lines.into_iter().find_map(space::read_df).ok_or_else(|| nonsense(of))
    }

    pub(crate) async fn hard_link(&self, original: &[u8], link: &[u8]) -> Result<()> {
        let parameters = (entry_operand("link", original)?, entry_operand("link", link)?);
        let of = Of { operation: "link", path: link };
        self.run(of, script::HARD_LINK, &[&parameters.0, &parameters.1]).await.map(drop)
    }

    pub(crate) async fn symlink(&self, target: &[u8], link: &[u8]) -> Result<()> {
        let (target, place) = (checked("symlink", target)?, entry_operand("symlink", link)?);
        let of = Of { operation: "symlink", path: link };
        self.run(of, script::SYMLINK, &[&target, &place]).await.map(drop)
    }

    pub(crate) async fn read_link(&self, path: &[u8]) -> Result<Bytes> {
        let of = Of { operation: "readlink", path };
        if !self.programs().reads_links() {
            let text = "the server has no program `readlink`";
            return Err(Error::new(ErrorKind::Unsupported, of.operation, text).at(path));
        }
        let line = self.run(of, script::READ_LINK, &[&entry_operand("readlink", path)?]).await?;
        line.strip_suffix(b"\n").map(Bytes::copy_from_slice).ok_or_else(|| nonsense(of))
    }

    pub(crate) async fn canonicalize(&self, path: &[u8]) -> Result<Bytes> {
        let of = Of { operation: "realpath", path };
        let meant = match path {
            b"~" => Bytes::from_static(b"./"),
            [b'~', b'/', rest @ ..] => Bytes::from([b"./", rest].concat()),
            [b'~', below @ ..] => return self.below_home(of, below).await,
            path => Bytes::copy_from_slice(path),
        };
        self.real_path(&meant).await
    }

    /// The same of a path that means what it says: a listed name may begin with `~`.
    pub(crate) async fn real_path(&self, path: &[u8]) -> Result<Bytes> {
        let of = Of { operation: "realpath", path };
        let meant = entry_operand("realpath", path)?;
        let answer = self.run(of, &script::real(self.programs()), &[&meant]).await?;
        real(of, &answer, &meant)
    }

    /// What begins with another account's name, at whose home it begins.
    async fn below_home(&self, of: Of<'_>, path: &[u8]) -> Result<Bytes> {
        let end = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
        let (account, below) = path.split_at(end);
        let is_letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
        let is_name = |byte: &u8| is_letter(byte) || byte.is_ascii_digit() || b".-".contains(byte);
        if !(account.first().is_some_and(is_letter) && account.iter().all(is_name)) {
            let text = "a name that no account has which commands could be asked for";
            return Err(Error::new(ErrorKind::NotFound, of.operation, text).at(of.path));
        }
        let mut below = checked(of.operation, below)?;
        while below.ends_with(b"/") {
            below.truncate(below.len() - 1);
        }
        let script = [script::HOME_OF, &script::real(self.programs())].concat();
        let answer = self.run(of, &script, &[account, &below]).await?;
        real(of, &answer, &below)
    }
}

/// What [`script::real`] says of this path.
fn real(of: Of<'_>, answer: &[u8], path: &[u8]) -> Result<Bytes> {
    match answer.strip_suffix(b"\n") {
        Some([b'w', b'\n', whole @ ..]) => Ok(Bytes::copy_from_slice(whole)),
        Some([b'p', b'\n', parent @ ..]) => {
            match path.rsplit(|byte| *byte == b'/').next().unwrap_or_default() {
                // The parent of a home that is not there is no place for anybody.
                b"" => {
                    let text = "the account's home is not there";
                    Err(Error::new(ErrorKind::NotFound, of.operation, text).at(of.path))
                }
                name => Ok(join(parent, name)),
            }
        }
        _ => Err(nonsense(of)),
    }
}

/// An answer that no script of ours gives.
pub(super) fn nonsense(of: Of<'_>) -> Error {
    Error::new(ErrorKind::Protocol, of.operation, "what the command printed makes no sense").at(of.path)
}

/// Seconds since 1970 as `touch -t` has them, in UTC: `[[CC]YY]MMDDhhmm[.SS]`.
pub(super) fn touch_time(seconds: u32) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    // Years that begin with March, so that a leap day is the last: by eras of 400 years, from 0000-03-01 on.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, after) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + after;
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}.{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_to_touch_in_its_way() {
        for (seconds, text) in [
            (0, "197001010000.00"),
            (951_782_399, "200002282359.59"),
            (951_782_400, "200002290000.00"),
            (1_700_000_000, "202311142213.20"),
            (u32::MAX, "210602070628.15"),
        ] {
            assert_eq!(touch_time(seconds), text);
        }
    }
}
