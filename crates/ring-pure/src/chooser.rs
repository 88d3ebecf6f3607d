//! CPU features in, [`Backend`] out.
//!
//! `graviola` asserts at each call that the CPU has what it was written for, and panics otherwise. So its
//! list is checked here first, in full: a CPU that lacks any of it takes RustCrypto. Real ones do: Haswell
//! has no ADX, and virtual machines often hide AVX.

use crate::backend::Backend;

/// What `graviola` 0.4 needs on x86_64. Its `verify_cpu_features` asserts aes, pclmulqdq, bmi1, adx, avx and
/// avx2; it counts on ssse3 as implied by avx; bmi2 every CPU with adx has, and its documentation asks for
/// it.
const X86_64: &[&str] = &["aes", "pclmulqdq", "ssse3", "avx", "avx2", "adx", "bmi1", "bmi2"];

/// What `graviola` 0.4 asserts on aarch64.
const AARCH64: &[&str] = &["neon", "aes", "pmull", "sha2"];

/// The kinds of CPU that the choice tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code, reason = "a target has one architecture and never builds the others"))]
pub(crate) enum Architecture {
    X86_64,
    Aarch64,
    /// `graviola` does not exist here.
    Other,
}

impl Architecture {
    /// The features without which `graviola` panics; none where it does not exist.
    const fn needed(self) -> Option<&'static [&'static str]> {
        match self {
            Self::X86_64 => Some(X86_64),
            Self::Aarch64 => Some(AARCH64),
            Self::Other => None,
        }
    }
}

/// What a CPU can do, as far as the choice depends on it.
#[derive(Clone, Debug)]
pub(crate) struct CpuFeatures {
    architecture: Architecture,
    present: Vec<&'static str>,
}

impl CpuFeatures {
    /// The CPU this runs on, with what the operating system lets a process use of it.
    pub(crate) fn detect() -> Self {
        let (architecture, probes) = probe();
        let present = probes.iter().filter(|(_, found)| *found).map(|(name, _)| *name).collect();
        Self { architecture, present }
    }
}

/// The fastest implementation of AES-GCM that runs on such a CPU.
pub(crate) fn choose(cpu: &CpuFeatures) -> Backend {
    match cpu.architecture.needed() {
        Some(needed) if needed.iter().all(|feature| cpu.present.contains(feature)) => Backend::Graviola,
        _ => Backend::RustCrypto,
    }
}

#[cfg(all(has_graviola, target_arch = "x86_64"))]
fn probe() -> (Architecture, Vec<(&'static str, bool)>) {
    use std::arch::is_x86_feature_detected as detected;

    let probes = vec![
        ("aes", detected!("aes")),
        ("pclmulqdq", detected!("pclmulqdq")),
        ("ssse3", detected!("ssse3")),
        ("avx", detected!("avx")),
        ("avx2", detected!("avx2")),
        ("adx", detected!("adx")),
        ("bmi1", detected!("bmi1")),
        ("bmi2", detected!("bmi2")),
    ];
    (Architecture::X86_64, probes)
}

#[cfg(all(has_graviola, target_arch = "aarch64"))]
fn probe() -> (Architecture, Vec<(&'static str, bool)>) {
    use std::arch::is_aarch64_feature_detected as detected;

    let probes = vec![
        ("neon", detected!("neon")),
        ("aes", detected!("aes")),
        ("pmull", detected!("pmull")),
        ("sha2", detected!("sha2")),
    ];
    (Architecture::Aarch64, probes)
}

#[cfg(not(has_graviola))]
fn probe() -> (Architecture, Vec<(&'static str, bool)>) {
    (Architecture::Other, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(architecture: Architecture) -> CpuFeatures {
        let present = architecture.needed().unwrap_or_default().to_vec();
        CpuFeatures { architecture, present }
    }

    #[test]
    fn a_cpu_with_every_feature_takes_graviola() {
        assert_eq!(choose(&complete(Architecture::X86_64)), Backend::Graviola);
        assert_eq!(choose(&complete(Architecture::Aarch64)), Backend::Graviola);
    }

    #[test]
    fn each_masked_feature_takes_rustcrypto() {
        for (architecture, count) in [(Architecture::X86_64, 8), (Architecture::Aarch64, 4)] {
            let mut masked = 0;
            for feature in architecture.needed().unwrap() {
                let mut cpu = complete(architecture);
                cpu.present.retain(|present| present != feature);
                assert_eq!(choose(&cpu), Backend::RustCrypto, "{architecture:?} without {feature}");
                masked += 1;
            }
            assert_eq!(masked, count);
        }
    }

    #[test]
    fn features_beyond_the_needed_change_nothing() {
        let mut cpu = complete(Architecture::X86_64);
        cpu.present.push("avx512f");
        assert_eq!(choose(&cpu), Backend::Graviola);
        cpu.present.retain(|feature| *feature != "adx");
        assert_eq!(choose(&cpu), Backend::RustCrypto);
    }

    #[test]
    fn one_architecture_s_features_do_not_serve_another() {
        for architecture in [Architecture::X86_64, Architecture::Aarch64] {
            let cpu = CpuFeatures { architecture, present: Vec::new() };
            assert_eq!(choose(&cpu), Backend::RustCrypto);
        }
        let cpu = CpuFeatures { architecture: Architecture::Other, present: [X86_64, AARCH64].concat() };
        assert_eq!(choose(&cpu), Backend::RustCrypto);
    }

    #[test]
    fn every_needed_feature_is_probed_for() {
        let (architecture, probes) = probe();
        let probed: Vec<_> = probes.iter().map(|(name, _)| *name).collect();
        assert_eq!(probed, architecture.needed().unwrap_or_default());
    }

    #[cfg(all(has_graviola, target_os = "linux", target_arch = "x86_64"))]
    #[test]
    fn detection_agrees_with_the_kernel() {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap();
        let listed: Vec<_> = flags.split_whitespace().collect();
        for feature in X86_64 {
            let found = CpuFeatures::detect().present.contains(feature);
            assert_eq!(found, listed.contains(feature), "{feature}");
        }
    }
}
