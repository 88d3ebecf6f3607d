//! Which extensions a server has.

use crate::{extension::Extension, version::Hello};

/// A set of extensions: those that a server has in the version that there are types for here.
///
/// ```
/// use rustle_sftp_proto::{Extension, Extensions, Hello};
///
/// let hello = Hello::new().with(Extension::Fsync).with_pair("statvfs@openssh.com", "3");
/// let server = Extensions::of(&hello);
/// assert!(server.has(Extension::Fsync));
/// assert!(!server.has(Extension::StatVfs), "nobody knows what version 3 of it will be");
/// assert_eq!(server.iter().collect::<Vec<_>>(), [Extension::Fsync]);
///
/// // It announced the extension, and then it did not know the request.
/// assert_eq!(server.without(Extension::Fsync), Extensions::none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Extensions {
    bits: u32,
}

impl Extensions {
    /// No extension.
    #[must_use]
    pub const fn none() -> Self {
        Self { bits: 0 }
    }

    /// Those that were announced so that [`Hello::supports`] is true of them.
    #[must_use]
    pub fn of(hello: &Hello) -> Self {
        Extension::ALL.into_iter().filter(|extension| hello.supports(*extension)).collect()
    }

    /// Whether it is among them.
    #[must_use]
    pub const fn has(self, extension: Extension) -> bool {
        self.bits & bit(extension) != 0
    }

    /// With this one too.
    #[must_use]
    pub const fn with(self, extension: Extension) -> Self {
        Self { bits: self.bits | bit(extension) }
    }

    /// Without this one.
    #[must_use]
    pub const fn without(self, extension: Extension) -> Self {
        Self { bits: self.bits & !bit(extension) }
    }

    /// Each of them, in the order of [`Extension::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Extension> {
        Extension::ALL.into_iter().filter(move |extension| self.has(*extension))
    }
}

impl FromIterator<Extension> for Extensions {
    fn from_iter<I: IntoIterator<Item = Extension>>(extensions: I) -> Self {
        extensions.into_iter().fold(Self::none(), Self::with)
    }
}

const fn bit(extension: Extension) -> u32 {
    1 << extension as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_extension_has_a_bit_of_its_own() {
        for one in Extension::ALL {
            let set = Extensions::none().with(one);
            assert!(Extension::ALL.into_iter().all(|other| set.has(other) == (other == one)));
            assert_eq!(set.without(one), Extensions::none());
        }
        let all: Extensions = Extension::ALL.into_iter().collect();
        assert!(all.iter().eq(Extension::ALL));
    }
}
