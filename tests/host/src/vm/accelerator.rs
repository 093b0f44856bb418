//! Whether this host's processor can run the guest itself.

use std::fs;

/// Returns whether KVM can be used. /dev/kvm alone says little: it opens on hosts whose processor cannot run a guest with
/// it.
pub(super) fn is_kvm_usable() -> bool {
    let has_extension = fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| {
        text.lines()
            .find(|line| line.starts_with("flags"))
            .is_some_and(|flags| {
                flags
                    .split_ascii_whitespace()
                    .any(|flag| flag == "vmx" || flag == "svm")
            })
    });
    has_extension
        && fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/kvm")
            .is_ok()
}
