//! Is a Linux executable static? A static one asks for no interpreter (`PT_INTERP`), so it runs anywhere.

use crate::outcome::Failure;

const PT_INTERP: u32 = 3;
/// `\x7fELF`, 64 bits, little-endian: the only kind that we build.
const MAGIC: [u8; 6] = [0x7f, b'E', b'L', b'F', 2, 1];

/// Reads the program headers of a 64-bit little-endian ELF file.
pub(crate) fn is_static(bytes: &[u8]) -> Result<bool, Failure> {
    if !bytes.starts_with(&MAGIC) {
        return Err(Failure::new("not a 64-bit little-endian ELF file"));
    }
    let table = number(bytes, 32, 8)?;
    let size = number(bytes, 54, 2)?;
    let count = number(bytes, 56, 2)?;
    for index in 0..count {
        let kind = number(bytes, table + index * size, 4)?;
        if kind == u64::from(PT_INTERP) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn number(bytes: &[u8], offset: u64, width: usize) -> Result<u64, Failure> {
    let field = usize::try_from(offset).ok().and_then(|start| bytes.get(start..start.checked_add(width)?));
    let field = field.ok_or_else(|| Failure::new("the ELF file is cut short"))?;
    Ok(field.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF header with program headers of the given kinds right behind it.
    fn elf(kinds: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(&MAGIC);
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = u8::try_from(kinds.len()).unwrap();
        for kind in kinds {
            bytes.extend(kind.to_le_bytes());
            bytes.extend([0; 52]);
        }
        bytes
    }

    #[test]
    fn an_executable_with_an_interpreter_is_not_static() {
        assert!(!is_static(&elf(&[6, PT_INTERP, 1])).unwrap());
        assert!(is_static(&elf(&[6, 1, 2])).unwrap());
    }

    #[test]
    fn what_is_no_elf_file_or_is_cut_short_is_refused() {
        assert!(is_static(b"MZ").is_err());
        assert!(is_static(&elf(&[6, 1])[..70]).is_err());
    }
}
