//! ModifySettings: every kind of resource, what is refused of it, and when it is answered.

use crate::stage::*;
use agent::kernel::{CpuWeight, Holder, LoadError, Pid, Refusal, UNLIMITED};
use agent::limits::{DISK_WAIT_MS, MAX_MODIFICATIONS, UNMOUNT_WAIT_MS};
use core::time::Duration;
use serde_json::{Value, json};

fn request(verb: &str, resource: &str, settings: &Value) -> Value {
    let request = json!({"RequestType": verb, "ResourceType": resource, "Settings": settings});
    json!({"ContainerId": NULL_ID, "ActivityId": NULL_ID, "Request": request})
}

fn ask(verb: &str, resource: &str, settings: &Value) -> Frame {
    Stage::negotiated().ask(MODIFY, &request(verb, resource, settings))
}

/// Asks for something that succeeds, and returns the change it came to.
fn change(verb: &str, resource: &str, settings: &Value) -> Option<String> {
    let mut stage = Stage::negotiated();
    let response = stage.ask(MODIFY, &request(verb, resource, settings));
    assert_eq!(response.result(), 0, "{resource} {settings}");
    stage.kernel.changes.pop().map(|change| change.change)
}

fn error(reason: &'static str) -> LoadError {
    LoadError {
        errno: 5,
        reason,
        path: "/m".try_into().unwrap(),
        holder: None,
    }
}

const DISK: &str = "MappedVirtualDisk";

#[test]
fn a_disk_is_mounted_as_it_is_asked_for() {
    for (settings, expected) in [
        (
            json!({"MountPath": "/m"}),
            "Mount(Scsi(0, 0), Whole, Kept, \"/m\")",
        ),
        (
            json!({"MountPath": "/m", "Lun": 63, "Controller": 3, "Filesystem": "ext4", "EnsureFilesystem": true}),
            "Mount(Scsi(3, 63), Whole, Kept, \"/m\")",
        ),
        (
            json!({"MountPath": "/m", "ReadOnly": true, "Partition": 2, "Options": ["rw", "rshared"]}),
            "Mount(Scsi(0, 0), Partition(2), Refused, \"/m\")",
        ),
        (
            json!({"MountPath": "/m", "Options": ["ro"], "VerityInfo": null, "Encrypted": false}),
            "Mount(Scsi(0, 0), Whole, Refused, \"/m\")",
        ),
        (
            json!({"MountPath": "/m", "BlockDev": true, "ReadOnly": true, "Partition": 1}),
            "BlockDevice(Scsi(0, 0), Partition(1), \"/m\")",
        ),
        // Nothing to mount, but the disk is to be there.
        (json!({}), "Mount(Scsi(0, 0), Whole, Kept, \"\")"),
    ] {
        assert_eq!(change("Add", DISK, &settings).unwrap(), expected);
        assert_eq!(change("", DISK, &settings).unwrap(), expected);
    }
}

#[test]
fn what_is_not_done_with_a_disk_is_refused_by_its_name() {
    for (member, value, name) in [
        ("Encrypted", json!(true), "MappedVirtualDisk.Encrypted"),
        (
            "VerityInfo",
            json!({"RootDigest": "00"}),
            "MappedVirtualDisk.VerityInfo",
        ),
        ("VerityInfo", json!({}), "MappedVirtualDisk.VerityInfo"),
        (
            "Filesystem",
            json!("xfs"),
            "MappedVirtualDisk.Filesystem other than ext4",
        ),
        ("Options", json!(["noatime"]), "mount option \"noatime\""),
        ("Options", json!(["rshared", "ro", ""]), "mount option \"\""),
    ] {
        let mut settings = json!({"MountPath": "/m"});
        settings[member] = value;
        let response = ask("Add", DISK, &settings);
        assert_eq!(response.result(), NOT_IMPLEMENTED, "{settings}");
        assert_eq!(response.error(), format!("not supported: {name}"));
        assert_eq!(response.body["ErrorRecords"][0]["FileName"], "plan.rs");
    }
}

#[test]
fn a_controller_and_a_unit_are_refused_above_their_last() {
    for (settings, error) in [
        (json!({"Controller": 4}), "Controller is above 3"),
        (json!({"Lun": 64}), "Lun is above 63"),
    ] {
        for (verb, resource) in [("Add", DISK), ("Remove", DISK), ("Remove", "SCSIDevice")] {
            let response = ask(verb, resource, &settings);
            assert_eq!(response.result(), INVALID_ARGUMENT);
            assert_eq!(response.error(), error);
        }
    }
}

#[test]
fn settings_of_wrong_types_and_ranges_are_no_readable_request() {
    for (resource, settings) in [
        (DISK, json!({"Lun": 256})),
        (DISK, json!({"Lun": -1})),
        (DISK, json!({"Lun": 1.0})),
        (DISK, json!({"ReadOnly": 1})),
        (DISK, json!({"MountPath": ["/m"]})),
        (DISK, json!({"MountPath": "/m\u{0}"})),
        (DISK, json!({"Options": "ro"})),
        (DISK, json!([])),
        (DISK, json!("x")),
        ("SCSIDevice", json!({"Controller": "0"})),
        ("VPMemDevice", json!({"DeviceNumber": 4_294_967_296_u64})),
        ("VPMemDevice", json!({"MappingInfo": 4096})),
        (
            "VPMemDevice",
            json!({"MappingInfo": {"DeviceOffsetInBytes": -1}}),
        ),
        ("CombinedLayers", json!({"Layers": {}})),
        ("CombinedLayers", json!({"Layers": ["/m"]})),
        ("CombinedLayers", json!({"Layers": [{"Path": 1}]})),
        ("CombinedLayers", json!({"Layers": [{"Path": "\u{0}"}]})),
        ("MappedDirectory", json!({"MountPath": 1})),
    ] {
        for verb in ["Add", "Remove"] {
            let response = ask(verb, resource, &settings);
            assert_eq!(response.result(), INVALID_JSON, "{resource} {settings}");
            assert!(
                response.error().contains("Settings") || response.error().contains("MappingInfo"),
                "{}",
                response.error()
            );
        }
    }
}

#[test]
fn settings_that_are_missing_are_no_readable_request() {
    for resource in [
        DISK,
        "SCSIDevice",
        "VPMemDevice",
        "CombinedLayers",
        "MappedDirectory",
        "Network",
        "VPCIDevice",
        "SecurityPolicy",
        "SecurityPolicyFragment",
        "ContainerConstraints",
    ] {
        for request in [
            json!({"ResourceType": resource}),
            json!({"ResourceType": resource, "Settings": null}),
        ] {
            let body = json!({"ContainerId": NULL_ID, "Request": request});
            let response = Stage::negotiated().ask(MODIFY, &body);
            assert_eq!(response.result(), INVALID_JSON, "{resource}");
            assert_eq!(response.error(), "missing: Settings");
        }
    }
}

#[test]
fn members_are_found_in_any_case_and_order_and_the_last_one_wins() {
    let mut stage = Stage::negotiated();
    let body = r#"{"request":{"settings":{"LUN":1,"mountpath":"/a","MountPath":"/b\u002fc","other":[{}],"Lun":2,"lun":null},
        "RESOURCETYPE":"Bogus","resourcetype":"MappedVirtualDisk","Settings":null,"requestType":null},"containerid":"00000000-0000-0000-0000-000000000000"}"#;
    assert_eq!(stage.ask_text(MODIFY, body).result(), 0);
    assert_eq!(
        stage.kernel.changes[0].change,
        "Mount(Scsi(0, 2), Whole, Kept, \"/b/c\")"
    );
}

#[test]
fn layers_are_taken_in_their_order_whatever_else_they_have() {
    let mut stage = Stage::negotiated();
    let body = r#"{"ContainerId":"00000000-0000-0000-0000-000000000000","Request":{"ResourceType":"CombinedLayers","Settings":{
        "Layers":[ {"Id":"1","Path":"\u002fa","PathType":"x","Cache":{"Path":"no"}},{"path":"/b","Path":"/c"} , {"P\u0061th":"/d","Path":null}],
        "ContainerRootPath":"/r","ContainerId":"x"}}}"#;
    assert_eq!(stage.ask_text(MODIFY, body).result(), 0);
    assert_eq!(
        stage.kernel.changes[0].change,
        "Unite([\"/a\", \"/c\", \"/d\"], \"\", \"/r\")"
    );
}

#[test]
fn layers_without_what_they_need_are_refused_by_the_member() {
    for (settings, member) in [
        (json!({}), "CombinedLayers.ContainerRootPath"),
        (json!({"ContainerRootPath": "/r"}), "CombinedLayers.Layers"),
        (
            json!({"ContainerRootPath": "/r", "Layers": []}),
            "CombinedLayers.Layers",
        ),
        (
            json!({"ContainerRootPath": "/r", "Layers": [{"Path": "/a"}, {}]}),
            "Path of one of CombinedLayers.Layers",
        ),
        (
            json!({"ContainerRootPath": "/r", "Layers": [null]}),
            "Path of one of CombinedLayers.Layers",
        ),
    ] {
        let response = ask("Add", "CombinedLayers", &settings);
        assert_eq!(response.result(), INVALID_ARGUMENT);
        assert_eq!(response.error(), format!("missing: {member}"));
    }
}

#[test]
fn persistent_memory_is_mounted_read_only_and_not_with_verity() {
    assert_eq!(
        change(
            "Add",
            "VPMemDevice",
            &json!({"DeviceNumber": 7, "MountPath": "/p"})
        )
        .unwrap(),
        "Mount(Pmem(7), Whole, Refused, \"/p\")"
    );
    let window = json!({"MountPath": "/p", "MappingInfo": {"DeviceSizeInBytes": 8192}});
    assert_eq!(
        change("Add", "VPMemDevice", &window).unwrap(),
        "Mount(Pmem(0), Window { start: 0, bytes: 8192 }, Refused, \"/p\")"
    );
    let verity = json!({"MountPath": "/p", "VerityInfo": {"Version": 1}});
    let response = ask("Add", "VPMemDevice", &verity);
    assert_eq!(response.result(), NOT_IMPLEMENTED);
    assert_eq!(response.error(), "not supported: VPMemDevice.VerityInfo");
}

#[test]
fn what_is_removed_is_unmounted_and_without_a_path_nothing_is() {
    for (resource, member) in [
        (DISK, "MountPath"),
        ("VPMemDevice", "MountPath"),
        ("MappedDirectory", "MountPath"),
        ("CombinedLayers", "ContainerRootPath"),
    ] {
        let mut settings = json!({});
        assert_eq!(change("Remove", resource, &settings), None);
        settings[member] = json!("/m");
        assert_eq!(
            change("Remove", resource, &settings).unwrap(),
            "Unmount(\"/m\")"
        );
    }
    assert_eq!(
        change("Remove", "SCSIDevice", &json!({"Lun": 2})).unwrap(),
        "Eject(Scsi(0, 2))"
    );
}

#[test]
fn a_verb_that_is_not_for_a_resource_is_refused() {
    for (verb, resource) in [
        ("Update", DISK),
        ("PreAdd", DISK),
        ("add", DISK),
        ("Update", "VPMemDevice"),
        ("Update", "CombinedLayers"),
        ("Update", "MappedDirectory"),
        ("Add", "SCSIDevice"),
        ("Update", "SCSIDevice"),
        ("Add", "PodCgroupMemoryLimit"),
        ("Remove", "PodCgroupMemoryLimit"),
    ] {
        let response = ask(verb, resource, &json!({}));
        assert_eq!(response.result(), FAIL, "{verb} {resource}");
        assert_eq!(
            response.error(),
            format!("RequestType \"{verb}\" is not for ResourceType \"{resource}\"")
        );
    }
}

#[test]
fn resources_there_can_be_none_of_are_refused_by_name() {
    for resource in [
        "Network",
        "VPCIDevice",
        "SecurityPolicy",
        "SecurityPolicyFragment",
        "MappedDirectory",
    ] {
        let response = ask("Add", resource, &json!({}));
        assert_eq!(response.result(), NOT_IMPLEMENTED);
        assert_eq!(
            response.error(),
            format!("not supported: ModifySettings of {resource}")
        );
    }
}

#[test]
fn resources_of_windows_and_unknown_ones_are_none() {
    for resource in [
        "NetworkNamespace",
        "HvSocket",
        "MappedVirtualDiskForContainerScratch",
        "WCOWBlockCims",
        "CWCOWCombinedLayers",
        "mappedvirtualdisk",
        "",
    ] {
        let response = ask("Add", resource, &json!({}));
        assert_eq!(response.result(), FAIL, "{resource}");
        assert_eq!(
            response.error(),
            format!("ResourceType \"{resource}\" cannot be modified here")
        );
    }
}

#[test]
fn a_container_has_no_resource_but_its_constraints() {
    let mut stage = Stage::negotiated();
    stage.create("x");
    for resource in [DISK, "CombinedLayers", "Network", "PodCgroupMemoryLimit"] {
        for (id, result) in [("x", FAIL), ("nobody", NO_CONTAINER)] {
            if resource == "PodCgroupMemoryLimit" && id == "nobody" {
                continue;
            }
            let mut request = request("Add", resource, &json!({"MountPath": "/m"}));
            request["ContainerId"] = json!(id);
            let response = stage.ask(MODIFY, &request);
            assert_eq!(response.result(), result, "{resource} of {id}");
        }
    }
    assert!(stage.kernel.changes.is_empty());
}

#[test]
fn constraints_are_of_a_container_that_is_there() {
    for id in [NULL_ID, "nobody"] {
        let mut request = request("Update", "ContainerConstraints", &json!({"Linux": {}}));
        request["ContainerId"] = json!(id);
        let response = Stage::negotiated().ask(MODIFY, &request);
        assert_eq!(response.result(), NO_CONTAINER);
    }
}

#[test]
fn a_change_is_answered_when_it_has_ended_and_others_go_on_meanwhile() {
    let mut stage = Stage::negotiated();
    stage.kernel.changes_at_once = false;
    let ids = ["/a", "/b", "/c"]
        .map(|path| stage.send(MODIFY, &request("Add", DISK, &json!({"MountPath": path}))));
    stage.assert_silent();
    assert_eq!(stage.ask(START, &base("x")).result(), 0);
    stage.kernel.end_change(1, Ok(()));
    stage.run();
    assert_eq!(stage.receive().unwrap().id, ids[1]);
    stage.assert_silent();
    stage.kernel.end_change(2, Err(error("it holds no ext4")));
    stage.kernel.end_change(0, Ok(()));
    stage.run();
    let answers = [stage.receive().unwrap(), stage.receive().unwrap()];
    assert_eq!(
        answers.each_ref().map(|frame| (frame.id, frame.result())),
        [(ids[0], 0), (ids[2], FAIL)]
    );
    assert_eq!(
        answers[1].error(),
        "MappedVirtualDisk \"/m\": it holds no ext4"
    );
    let record = &answers[1].body["ErrorRecords"][0];
    assert_eq!(record["Result"], answers[1].body["Result"]);
    assert_eq!(record["Message"], answers[1].body["ErrorMessage"]);
    assert_eq!(record["ModuleName"], "gcs");
}

#[test]
fn the_kernel_is_told_how_long_it_may_wait() {
    let mut stage = Stage::negotiated();
    let settings = json!({"MountPath": "/m"});
    stage.ask(MODIFY, &request("Add", DISK, &settings));
    stage.ask(MODIFY, &request("Remove", DISK, &settings));
    let waits = [DISK_WAIT_MS, UNMOUNT_WAIT_MS].map(Duration::from_millis);
    for (change, wait) in stage.kernel.changes.iter().zip(waits) {
        assert_eq!(change.deadline, stage.now + wait);
    }
}

#[test]
fn a_change_the_kernel_refuses_is_answered_at_once() {
    let mut stage = Stage::negotiated();
    for (refusal, result) in [
        (Refusal::Limit("MAX_CHANGES", 64), FAIL),
        (Refusal::Unsupported("that"), NOT_IMPLEMENTED),
        (Refusal::OutOfMemory, FAIL),
    ] {
        stage.kernel.refusal = Some(refusal);
        let response = stage.ask(MODIFY, &request("Add", DISK, &json!({"MountPath": "/m"})));
        assert_eq!(response.result(), result);
    }
}

#[test]
fn modifications_are_kept_up_to_their_limit_and_one_more_is_refused_by_its_name() {
    let mut stage = Stage::negotiated();
    stage.kernel.changes_at_once = false;
    let request = request("Add", DISK, &json!({"MountPath": "/m"}));
    for _ in 0..MAX_MODIFICATIONS {
        stage.send(MODIFY, &request);
    }
    stage.assert_silent();
    let response = stage.ask(MODIFY, &request);
    assert_eq!(response.result(), FAIL);
    assert_eq!(
        response.error(),
        format!("limit reached: MAX_MODIFICATIONS = {MAX_MODIFICATIONS}")
    );
    stage.kernel.end_change(0, Ok(()));
    stage.run();
    stage.receive().unwrap();
    stage.send(MODIFY, &request);
    stage.assert_silent();
}

#[test]
fn stacks_tell_of_changes_under_way() {
    let mut stage = Stage::negotiated();
    stage.kernel.changes_at_once = false;
    let id = stage.send(MODIFY, &request("Add", DISK, &json!({"MountPath": "/m"})));
    let stacks = stage.ask(DUMP, &base(NULL_ID));
    let text = stacks.body["GuestStacks"].as_str().unwrap();
    assert!(
        text.contains(&format!("seq={id} changes MappedVirtualDisk")),
        "{text}"
    );
}

#[test]
fn a_new_host_learns_nothing_of_an_earlier_ones_changes() {
    let mut stage = Stage::negotiated();
    stage.kernel.changes_at_once = false;
    for path in ["/a", "/b"] {
        stage.send(MODIFY, &request("Add", DISK, &json!({"MountPath": path})));
    }
    stage.hang_up();
    stage.kernel.end_change(1, Ok(()));
    stage.run();
    stage.next_id = 0;
    let response = stage.ask(NEGOTIATE, &json!({"MaximumVersion": 4}));
    assert_eq!(response.result(), 0);
    stage.assert_silent();
    assert!(stage.kernel.changes[0].is_given_up);
    assert!(!stage.kernel.changes[1].is_given_up);
}

#[test]
fn a_host_that_resumes_gets_the_answers_it_is_owed() {
    let mut stage = Stage::negotiated();
    stage.kernel.changes_at_once = false;
    let id = stage.send(MODIFY, &request("Add", DISK, &json!({"MountPath": "/a"})));
    stage.hang_up();
    stage.kernel.end_change(0, Ok(()));
    stage.run();
    stage.assert_silent();
    let response = stage.ask(NEGOTIATE, &json!({"MaximumVersion": 4}));
    assert_eq!(response.result(), 0);
    let answer = stage.receive().unwrap();
    assert_eq!((answer.id, answer.result()), (id, 0));
}

/// Linux resources, in the envelope of ModifySettings and in that of UpdateContainer.
fn envelopes(id: &str, resources: &Value) -> [(u32, Value); 2] {
    let mut modify = request(
        "Update",
        "ContainerConstraints",
        &json!({"Windows": {}, "Linux": resources}),
    );
    modify["ContainerId"] = json!(id);
    let update =
        json!({"ContainerId": id, "ActivityId": NULL_ID, "Resources": resources.to_string()});
    [(MODIFY, modify), (UPDATE, update)]
}

#[test]
fn constraints_become_limits_of_the_containers_view() {
    let resources = json!({"memory": {"limit": 268_435_456}, "pids": {"limit": 10}, "cpu": {"shares": 512, "quota": -1}});
    for (message, body) in envelopes("x", &resources) {
        let mut stage = Stage::negotiated();
        stage.create("x");
        let before = stage.kernel.limits.len();
        let response = stage.ask(message, &body);
        assert_eq!(response.result(), 0, "{}", response.error());
        let (view, limits) = stage.kernel.limits[before];
        assert_eq!(view.index, 1);
        assert_eq!(limits.memory_bytes, Some(268_435_456));
        assert_eq!(limits.tasks, Some(10));
        assert_eq!(limits.cpu_weight, Some(CpuWeight::from_shares(512)));
        assert_eq!(limits.cpu_quota_us, Some(UNLIMITED));
        assert_eq!(stage.kernel.limits.len(), before + 1);
    }
}

#[test]
fn a_constraint_that_cannot_be_kept_is_refused_by_name_and_none_is_set() {
    let resources = json!({"memory": {"limit": 268_435_456}, "cpu": {"cpus": "1-3"}});
    for (message, body) in envelopes("x", &resources) {
        let mut stage = Stage::negotiated();
        stage.create("x");
        let before = stage.kernel.limits.len();
        let response = stage.ask(message, &body);
        assert_eq!(response.result(), NOT_IMPLEMENTED);
        assert!(response.error().contains("cpus"), "{}", response.error());
        assert_eq!(stage.kernel.limits.len(), before);
    }
}

#[test]
fn constraints_of_wrong_types_are_no_readable_request() {
    for (message, body) in envelopes("x", &json!({"memory": {"limit": "1"}})) {
        let mut stage = Stage::negotiated();
        stage.create("x");
        assert_eq!(stage.ask(message, &body).result(), INVALID_JSON);
    }
}

#[test]
fn an_update_of_a_container_that_is_not_there_is_refused() {
    for id in [NULL_ID, "nobody"] {
        for (message, body) in envelopes(id, &json!({})) {
            let response = Stage::negotiated().ask(message, &body);
            assert_eq!(response.result(), NO_CONTAINER);
        }
    }
}

/// §11: what is in use is refused, and the host is told whom to end or to take away first.
#[test]
fn a_refusal_names_the_process_the_container_or_the_tree_that_is_in_the_way() {
    let mut stage = Stage::negotiated();
    stage.create("pod/x");
    let view = stage.kernel.at(101).view;
    let gone = agent::kernel::View {
        generation: 9,
        ..view
    };
    for (holder, by) in [
        (None, ""),
        (Some(Holder::Process(Pid(101))), " by process 101"),
        (Some(Holder::View(view)), " by container pod/x"),
        (Some(Holder::View(gone)), " by a container that is deleted"),
        (
            Some(Holder::Tree("/run/root".try_into().unwrap())),
            " by what is at /run/root",
        ),
    ] {
        stage.kernel.change_error = Some(LoadError {
            holder,
            ..error("it is in use")
        });
        let settings = json!({"MountPath": "/m"});
        let response = stage.ask(MODIFY, &request("Remove", DISK, &settings));
        assert_eq!(response.result(), FAIL);
        assert_eq!(response.error(), format!("{DISK} \"/m\": it is in use{by}"));
    }
}
