//! Tells dependants' build scripts which `ring` this is, and the crate whether `graviola` exists for the
//! target.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::metadata=backend=pure");
    println!("cargo::rustc-check-cfg=cfg(has_graviola)");
    // The same targets as the dependency's in Cargo.toml.
    let target = |key: &str| env::var(format!("CARGO_CFG_TARGET_{key}")).unwrap_or_default();
    match (target("ARCH").as_str(), target("ENDIAN").as_str()) {
        ("x86_64", _) | ("aarch64", "little") => println!("cargo::rustc-cfg=has_graviola"),
        _ => {}
    }
}
