//! The name of a file of the host as one of this side.

use std::ffi::OsString;

/// The same bytes.
#[cfg(unix)]
pub(super) fn local_name(name: &[u8]) -> Result<OsString, &'static str> {
    use std::os::unix::ffi::OsStringExt;

    Ok(OsString::from_vec(name.to_vec()))
}

/// The same text, where it means a file and that file alone: `a:b` would be a stream of `a`, and `a.` would be `a`.
#[cfg(not(unix))]
pub(super) fn local_name(name: &[u8]) -> Result<OsString, &'static str> {
    const REFUSED: &str = "the name means something else on this system: give the file another one";
    let text = str::from_utf8(name).map_err(|_| "the name is not Unicode, as names are on this system")?;
    let forbidden = |char: char| char.is_control() || r#"<>:"\|?*"#.contains(char);
    let stem = text.split('.').next().unwrap_or(text).trim_end().to_ascii_lowercase();
    let port = stem.strip_prefix("com").or_else(|| stem.strip_prefix("lpt"));
    let is_device = ["con", "prn", "aux", "nul", "conin$", "conout$"].contains(&stem.as_str())
        // The superscripts count as digits there.
        || port.is_some_and(|number| matches!(number.as_bytes(), [b'0'..=b'9']) || ["¹", "²", "³"].contains(&number));
    if text.contains(forbidden) || text.ends_with(['.', ' ']) || is_device {
        return Err(REFUSED);
    }
    Ok(text.into())
}
