//! The recorded frames of ModifySettings (gcs-protocol §11, §14).

use crate::frames::*;
use crate::stage::*;

/// Every resource is refused by name, and the host rolls back.
#[test]
fn resources_are_refused() {
    let mut stage = Stage::negotiated();
    for name in [
        "error-modify-bad-request-type",
        "error-modify-settings-missing",
        "error-modify-unknown-resource",
        "modify-combinedlayers-add",
        "modify-combinedlayers-remove",
        "modify-containerconstraints-update",
        "modify-mappeddirectory-add",
        "modify-mappeddirectory-remove",
        "modify-mappedvirtualdisk-add-blockdev",
        "modify-mappedvirtualdisk-add-readonly",
        "modify-mappedvirtualdisk-add-scratch",
        "modify-mappedvirtualdisk-remove",
        "modify-network-add",
        "modify-network-remove",
        "modify-network-remove-unknown",
        "modify-podcgroupmemorylimit-update",
        "modify-scsidevice-remove",
        "modify-scsidevice-remove-zero",
        "modify-securitypolicy-add",
        "modify-securitypolicyfragment-add",
        "modify-vpci-add",
        "modify-vpmem-add-mapped",
        "modify-vpmem-add",
        "modify-vpmem-remove",
    ] {
        assert_eq!(play(&mut stage, name).result(), NOT_IMPLEMENTED, "{name}");
    }
    assert_eq!(load("modify-response").message, 0x2010_0a01);
}
