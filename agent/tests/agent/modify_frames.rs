//! The recorded frames of ModifySettings (gcs-protocol §11, §14).

use crate::frames::*;
use crate::stage::*;
use serde_json::Value;

const ID: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";

/// Resources there can be none of here are refused by name, and the host rolls back.
#[test]
fn what_there_can_be_none_of_is_refused() {
    let mut stage = Stage::negotiated();
    for name in [
        "modify-mappeddirectory-add",
        "modify-network-add",
        "modify-securitypolicy-add",
        "modify-securitypolicyfragment-add",
        "modify-vpci-add",
    ] {
        assert_eq!(play(&mut stage, name).result(), NOT_IMPLEMENTED, "{name}");
    }
}

#[test]
fn modifications_are_answered_as_recorded() {
    let mut stage = Stage::negotiated();
    stage.create(ID);
    assert_plays(&mut stage, "modify-containerconstraints-update");
    for name in [
        "error-modify-bad-request-type",
        "error-modify-settings-missing",
        "error-modify-unknown-resource",
        "modify-network-remove-unknown",
    ] {
        assert_plays(&mut stage, name);
    }
    for name in [
        "modify-combinedlayers-add",
        "modify-combinedlayers-remove",
        "modify-mappeddirectory-remove",
        "modify-mappedvirtualdisk-add-blockdev",
        "modify-mappedvirtualdisk-add-readonly",
        "modify-mappedvirtualdisk-add-scratch",
        "modify-mappedvirtualdisk-remove",
        "modify-network-remove",
        "modify-podcgroupmemorylimit-update",
        "modify-scsidevice-remove",
        "modify-scsidevice-remove-zero",
        "modify-vpmem-add",
        "modify-vpmem-add-mapped",
        "modify-vpmem-remove",
    ] {
        let response = play(&mut stage, name);
        let theirs: Value = serde_json::from_str(&load("modify-response").body).unwrap();
        assert_eq!(response.body, theirs, "{name}");
    }
    let changes: Vec<_> = stage.kernel.changes.iter().map(|c| &c.change[..]).collect();
    let bundle = format!("/run/gcs/c/{ID}");
    assert_eq!(
        changes,
        [
            &format!(
                "Unite([\"/run/mounts/scsi/m0\"], \"{bundle}/scratch/{ID}\", \"{bundle}/rootfs\")"
            )[..],
            &format!("Unmount(\"{bundle}/rootfs\")"),
            "Unmount(\"/mounts/m0\")",
            "BlockDevice(Scsi(0, 2), Whole, \"/run/mounts/scsi/m2\")",
            "Mount(Scsi(0, 0), Whole, Refused, \"/run/mounts/scsi/m0\")",
            "Mount(Scsi(0, 1), Partition(1), Kept, \"/run/mounts/scsi/m1\")",
            "Unmount(\"/run/mounts/scsi/m1\")",
            "Eject(Scsi(0, 1))",
            "Eject(Scsi(0, 0))",
            "Mount(Pmem(0), Whole, Refused, \"/run/layers/p0\")",
            "Mount(Pmem(1), Window { start: 4096, bytes: 8192 }, Refused, \"/run/layers/p1-0-4096\")",
            "Unmount(\"/run/layers/p0\")",
        ]
    );
}
