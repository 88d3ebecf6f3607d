//! The `Cargo.toml` of each member of the workspace, as it was written.

use std::path::Path;

use toml::Table;

use crate::outcome::Failure;
use crate::shell;
use crate::tidy::source;

/// One member's manifest.
pub(super) struct Manifest {
    path: String,
    package: String,
    table: Table,
}

impl Manifest {
    pub(super) fn parse(path: &str, text: &str) -> Result<Self, Failure> {
        let table: Table = text.parse().map_err(|error| Failure::new(format!("{path}: {error}")))?;
        let name = table.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
        Ok(Self { path: path.to_owned(), package: name.unwrap_or_default().to_owned(), table })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The package's name.
    pub(super) fn package(&self) -> &str {
        &self.package
    }

    /// The packages it asks for, those for one platform included, under their own names. Without the ones that only
    /// its tests use, unless asked for.
    pub(super) fn dependencies(&self, of: Kinds) -> Vec<&str> {
        let platforms = self.table.get("target").and_then(toml::Value::as_table);
        let tables = std::iter::once(&self.table)
            .chain(platforms.into_iter().flatten().filter_map(|(_, platform)| platform.as_table()));
        let sections: &[&str] = match of {
            Kinds::Shipped => &["dependencies", "build-dependencies"],
            Kinds::All => &["dependencies", "build-dependencies", "dev-dependencies"],
        };
        tables
            .flat_map(|table| sections.iter().filter_map(|section| table.get(*section)?.as_table()))
            .flatten()
            .map(|(key, wanted)| wanted.get("package").and_then(toml::Value::as_str).unwrap_or(key))
            .collect()
    }
}

/// Which dependencies.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kinds {
    /// What users of the package get too.
    Shipped,
    /// Those of its tests as well.
    All,
}

/// Reads every member's manifest. The crates under `tests/dependants` are outside of the workspace on purpose.
pub(super) fn read_all(root: &Path) -> Result<Vec<Manifest>, Failure> {
    let paths = source::files(root, |name| name == "Cargo.toml")?;
    let members = paths.iter().filter(|path| *path != "Cargo.toml" && !path.starts_with("tests/dependants/"));
    members.map(|path| Manifest::parse(path, &shell::read(&root.join(path))?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renamed_and_platform_dependencies_are_seen() {
        let text = "[package]\nname = \"a\"\n[dependencies]\nx = { package = \"b\", version = \"1\" }\n\
                    [target.'cfg(unix)'.dependencies]\nc = \"1\"\n[dev-dependencies]\nd.workspace = true";
        let manifest = Manifest::parse("crates/a/Cargo.toml", text).unwrap();
        assert_eq!(manifest.package(), "a");
        assert_eq!(manifest.dependencies(Kinds::Shipped), ["b", "c"]);
        assert_eq!(manifest.dependencies(Kinds::All), ["b", "d", "c"]);
    }
}
