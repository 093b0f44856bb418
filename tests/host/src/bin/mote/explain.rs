//! What became of a VM whose connection ended.

use crate::failure::Failure;
use mote_host::Vm;
use std::time::Duration;

/// The connection may end a moment before the VM is known to have.
const MOMENT: Duration = Duration::from_secs(2);

/// Adds to a failure that is about the connection what is known of the VM; others stay as they are.
pub(crate) fn explain(vm: &Vm, failure: Failure) -> Failure {
    if !failure.is_bridge_ended {
        return failure;
    }
    let end = match vm.wait(MOMENT) {
        Ok(exit) => exit.to_string(),
        Err(_) => "the VM is still running".into(),
    };
    let mut text = format!("the VM failed: {failure}\n{end}");
    for (heading, words) in [
        ("the guest's console", vm.console()),
        ("the VMM and the vsock back end", vm.vmm_words()),
    ] {
        if !words.trim().is_empty() {
            text.push_str(&format!("\n{heading}:\n{}", words.trim_end()));
        }
    }
    Failure::new(text)
}
