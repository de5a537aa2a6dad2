//! What of a CPU decides how a runtime arranges weights for it.

/// The features of this CPU that kernels are chosen by, and its model where the system tells. Two CPUs that differ in
/// neither run the same kernels.
pub(super) fn description() -> String {
    let mut parts = vec![std::env::consts::ARCH.to_owned()];
    parts.extend(features().into_iter().map(str::to_owned));
    parts.extend(model());
    parts.join(" ")
}

/// Asked of the CPU itself, so that an emulated one tells its own.
#[cfg(target_arch = "x86_64")]
fn features() -> Vec<&'static str> {
    use std::arch::is_x86_feature_detected as has;
    let all = [
        ("avx2", has!("avx2")),
        ("fma", has!("fma")),
        ("f16c", has!("f16c")),
        ("avxvnni", has!("avxvnni")),
        ("avx512f", has!("avx512f")),
        ("avx512bw", has!("avx512bw")),
        ("avx512vl", has!("avx512vl")),
        ("avx512vnni", has!("avx512vnni")),
        ("avx512bf16", has!("avx512bf16")),
        ("avx512fp16", has!("avx512fp16")),
    ];
    all.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
}

/// Asked of the CPU itself, so that an emulated one tells its own.
#[cfg(target_arch = "aarch64")]
fn features() -> Vec<&'static str> {
    use std::arch::is_aarch64_feature_detected as has;
    let all = [
        ("neon", has!("neon")),
        ("dotprod", has!("dotprod")),
        ("i8mm", has!("i8mm")),
        ("fp16", has!("fp16")),
        ("bf16", has!("bf16")),
        ("sve", has!("sve")),
        ("sve2", has!("sve2")),
    ];
    all.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn features() -> Vec<&'static str> {
    Vec::new()
}

/// Maker and model, as `/proc/cpuinfo` states them; each different line once, because cores may differ.
fn model() -> Vec<String> {
    const KEYS: [&str; 5] = ["vendor_id", "cpu family", "model", "CPU implementer", "CPU part"];
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let part = format!("{}={}", key.trim(), value.trim());
        if KEYS.contains(&key.trim()) && !lines.contains(&part) {
            lines.push(part);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_cpu_is_the_same_twice() {
        assert_eq!(super::description(), super::description());
        assert!(super::description().starts_with(std::env::consts::ARCH));
    }
}
