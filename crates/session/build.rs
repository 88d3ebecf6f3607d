//! Refuses to build silently on the C `ring`: tells the dependant which lines to add.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(pure_ring)");
    // Set by the stand-in's own build script, through `links`; the real ring has no such value.
    if std::env::var_os("DEP_RUSTLE_RING_PURE_BACKEND").is_some() {
        println!("cargo::rustc-cfg=pure_ring");
    } else if std::env::var_os("CARGO_FEATURE_ACCEPT_RING_COMPILED_FROM_C").is_none() {
        for line in [
            "rustle-session is pure Rust, but this build would take the `ring` that is compiled from C and assembly.",
            "A [patch] of one workspace does not reach the crates that depend on it, so add these lines",
            "to the Cargo.toml at the root of YOUR workspace:",
            "    [patch.crates-io]",
            "    ring = { path = \"<where rustle is>/crates/ring-pure\" }",
            "(or `git = \"<rustle's repository>\"` in place of the path).",
            "To use the C `ring` knowingly, enable the feature `accept-ring-compiled-from-c` of rustle-session instead.",
        ] {
            println!("cargo::error={line}");
        }
    }
}
