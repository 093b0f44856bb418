//! The recorded frames of the reference guest and its host (`tests/data/gcs`, gcs-protocol §14), how ours are compared with
//! them, and the one list of where ours are meant to differ.

use crate::stage::*;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// One recorded frame.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) name: String,
    pub(crate) message: u32,
    pub(crate) id: u64,
    pub(crate) body: String,
}

/// A member of a recorded response that ours is meant to have otherwise.
struct Difference {
    /// The recorded response.
    frame: &'static str,
    /// The member, as a JSON pointer.
    member: &'static str,
    /// What ours has there, as JSON; `None` when ours has no such member.
    ours: Option<&'static str>,
    /// How the row of the README's table of intended differences begins, where the reason stands.
    row: &'static str,
}

const ZERO_GUID: Option<&str> = Some("\"00000000-0000-0000-0000-000000000000\"");
const NAMESPACES: &str = "`NamespaceAddRequestSupported` is absent";
const ACTIVITY: &str = "an activity id that is no GUID is answered with the zero GUID";

const DETAILS: &str = "a process list tells names, times and memory";
const METRICS: &str = "`LCOWMetrics` tell what there is";

const DIFFERENCES: &[Difference] = &[
    Difference {
        frame: "main-00-negotiate-response",
        member: "/Capabilities/GuestDefinedCapabilities/NamespaceAddRequestSupported",
        ours: None,
        row: NAMESPACES,
    },
    Difference {
        frame: "negotiate-range-3-9-response",
        member: "/Capabilities/GuestDefinedCapabilities/NamespaceAddRequestSupported",
        ours: None,
        row: NAMESPACES,
    },
    Difference {
        frame: "lowercase-keys-response",
        member: "/ActivityId",
        ours: ZERO_GUID,
        row: ACTIVITY,
    },
    Difference {
        frame: "start-duplicate-keys-response",
        member: "/ActivityId",
        ours: ZERO_GUID,
        row: ACTIVITY,
    },
    Difference {
        frame: "start-lone-surrogate-response",
        member: "/ActivityId",
        ours: ZERO_GUID,
        row: ACTIVITY,
    },
    Difference {
        frame: "main-05-properties-processlist-response",
        member: "/Properties/ProcessList/0/ImageName",
        ours: Some("\"sh\""),
        row: DETAILS,
    },
    Difference {
        frame: "properties-processlist-statistics-memory-response",
        member: "/Properties/ProcessList/0/ImageName",
        ours: Some("\"sh\""),
        row: DETAILS,
    },
    Difference {
        frame: "main-06-properties-statistics-response",
        member: "/Properties/LCOWMetrics/hugetlb",
        ours: None,
        row: METRICS,
    },
    Difference {
        frame: "main-06-properties-statistics-response",
        member: "/Properties/LCOWMetrics/memory/mapped_file",
        ours: None,
        row: METRICS,
    },
    Difference {
        frame: "main-06-properties-statistics-response",
        member: "/Properties/LCOWMetrics/memory/inactive_anon",
        ours: None,
        row: METRICS,
    },
    Difference {
        frame: "main-06-properties-statistics-response",
        member: "/Properties/LCOWMetrics/memory/active_anon",
        ours: None,
        row: METRICS,
    },
    Difference {
        frame: "main-06-properties-statistics-response",
        member: "/Properties/LCOWMetrics/memory/inactive_file",
        ours: None,
        row: METRICS,
    },
    Difference {
        frame: "main-06-properties-statistics-response",
        member: "/Properties/LCOWMetrics/memory/active_file",
        ours: None,
        row: METRICS,
    },
    Difference {
        frame: "properties-processlist-statistics-memory-response",
        member: "/Properties/LCOWMetrics/hugetlb",
        ours: None,
        row: METRICS,
    },
    Difference {
        frame: "properties-processlist-statistics-memory-response",
        member: "/Properties/LCOWMetrics/memory/mapped_file",
        ours: None,
        row: METRICS,
    },
    Difference {
        frame: "properties-processlist-statistics-memory-response",
        member: "/Properties/LCOWMetrics/memory/inactive_anon",
        ours: None,
        row: METRICS,
    },
    Difference {
        frame: "properties-processlist-statistics-memory-response",
        member: "/Properties/LCOWMetrics/memory/active_anon",
        ours: None,
        row: METRICS,
    },
    Difference {
        frame: "properties-processlist-statistics-memory-response",
        member: "/Properties/LCOWMetrics/memory/inactive_file",
        ours: None,
        row: METRICS,
    },
    Difference {
        frame: "properties-processlist-statistics-memory-response",
        member: "/Properties/LCOWMetrics/memory/active_file",
        ours: None,
        row: METRICS,
    },
];

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/gcs")
}

pub(crate) fn load(name: &str) -> Recorded {
    let text = fs::read_to_string(directory().join(format!("{name}.json"))).expect(name);
    let value: Value = serde_json::from_str(&text).expect(name);
    Recorded {
        name: name.into(),
        message: u32::from_str_radix(&value["type_hex"].as_str().unwrap()[2..], 16).unwrap(),
        id: value["id"].as_u64().unwrap(),
        body: value["body"].as_str().unwrap().into(),
    }
}

/// The names of all recorded frames.
fn names() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.strip_suffix(".json").expect("a frame").to_owned())
        .collect();
    names.sort();
    names
}

/// Every recorded request, by name.
pub(crate) fn requests() -> Vec<Recorded> {
    names()
        .iter()
        .filter(|name| name.ends_with("-request"))
        .map(|name| load(name))
        .collect()
}

impl Recorded {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        frame(self.message, self.id, self.body.as_bytes())
    }

    /// Returns a member of the body, null when there is none.
    pub(crate) fn member(&self, name: &str) -> Value {
        serde_json::from_str::<Value>(&self.body).map_or(Value::Null, |body| body[name].clone())
    }
}

/// Sends a recorded request under its recorded id.
pub(crate) fn send(stage: &mut Stage, name: &str) {
    stage.send_bytes(&load(&format!("{name}-request")).bytes());
}

/// Sends a recorded request under its recorded id and returns the response.
pub(crate) fn play(stage: &mut Stage, name: &str) -> Frame {
    send(stage, name);
    let response = stage
        .receive()
        .unwrap_or_else(|| panic!("{name}: no response"));
    assert_eq!(response.id, load(&format!("{name}-request")).id, "{name}");
    response
}

/// Sends a recorded request; its response is as recorded.
pub(crate) fn assert_plays(stage: &mut Stage, name: &str) {
    let response = play(stage, name);
    assert_like(&format!("{name}-response"), &response);
}

/// As [`assert_plays`], with another number for the process that the request names.
pub(crate) fn assert_plays_renumbered(stage: &mut Stage, name: &str, theirs: u32, ours: u32) {
    let mut request = load(&format!("{name}-request"));
    request.body = request.body.replace(&theirs.to_string(), &ours.to_string());
    stage.send_bytes(&request.bytes());
    assert_like(&format!("{name}-response"), &stage.receive().unwrap());
}

/// Compares a response with the recorded one, member by member, except error texts, the position in error records, and what
/// [`DIFFERENCES`] names.
pub(crate) fn assert_like(name: &str, ours: &Frame) {
    let theirs = load(name);
    assert_eq!(ours.message, theirs.message, "{name}");
    let mut expected = comparable(&serde_json::from_str(&theirs.body).unwrap());
    for difference in DIFFERENCES {
        if difference.frame == name {
            difference.apply(&mut expected);
        }
    }
    assert_eq!(comparable(&ours.body), expected, "{name}");
}

impl Difference {
    /// Makes of what they answered what we do.
    fn apply(&self, body: &mut Value) {
        let (place, member) = self.member.rsplit_once('/').expect("a pointer");
        let place = body.pointer_mut(place).and_then(Value::as_object_mut);
        let place = place.unwrap_or_else(|| panic!("{}{}", self.frame, self.member));
        match self.ours {
            Some(ours) => {
                let ours: Value = serde_json::from_str(ours).expect("JSON");
                let theirs = place.insert(member.into(), ours.clone());
                assert_ne!(theirs, Some(ours), "{}", self.member);
            }
            None => assert_ne!(place.remove(member), None, "{}", self.member),
        }
    }
}

fn comparable(body: &Value) -> Value {
    let mut body = body.clone();
    let Some(members) = body.as_object_mut() else {
        return body;
    };
    if let Some(properties) = members.get_mut("Properties")
        && let Some(text) = properties.as_str()
    {
        *properties = serde_json::from_str(text).expect("JSON in a string");
    }
    if members.contains_key("ErrorMessage") {
        members.insert("ErrorMessage".into(), json!("…"));
    }
    if let Some(records) = members
        .get_mut("ErrorRecords")
        .and_then(Value::as_array_mut)
    {
        for record in records {
            let record = record.as_object_mut().unwrap();
            for position in ["FileName", "Line", "Message"] {
                assert!(record.contains_key(position));
                record.insert(position.into(), json!("…"));
            }
            record.remove("StackTrace");
            record.remove("FunctionName");
        }
    }
    body
}

#[test]
fn each_intended_difference_is_a_row_of_the_readme() {
    let readme = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).unwrap();
    for difference in DIFFERENCES {
        let row = format!("\n| {}", difference.row);
        assert!(readme.contains(&row), "{}: {row}", difference.frame);
    }
}

/// A frame that nobody plays would go unnoticed.
#[test]
fn every_recorded_frame_is_played() {
    let sources = [
        include_str!("recorded.rs"),
        include_str!("modify_frames.rs"),
    ];
    for name in names() {
        let pair = name
            .strip_suffix("-request")
            .or_else(|| name.strip_suffix("-response"))
            .unwrap_or(&name);
        let quoted = [format!("\"{pair}\""), format!("\"{name}\"")];
        let played = sources
            .iter()
            .any(|source| quoted.iter().any(|quoted| source.contains(quoted)));
        assert!(played, "{name}");
    }
}
