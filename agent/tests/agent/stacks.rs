//! DumpStacks (gcs-protocol §7.10): what agent and kernel know, and where it ends.

use crate::stage::*;
use agent::limits::{MAX_FRAME_BYTES, STACKS_BYTES};

fn stacks(stage: &mut Stage) -> String {
    let response = stage.ask(DUMP, &base(NULL_ID));
    assert_eq!(response.result(), 0);
    response.body["GuestStacks"].as_str().unwrap().to_owned()
}

#[test]
fn stacks_tell_of_agent_and_kernel() {
    let mut stage = Stage::negotiated();
    stage.container("x");
    let text = stacks(&mut stage);
    for part in [
        "agent: session 1",
        "container x",
        "process 101: init",
        "stdin",
        "kernel: idle",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn the_body_of_the_request_is_not_looked_at() {
    let mut stage = Stage::negotiated();
    for body in ["", "{", "null", "no json", "{\"ContainerId\":\"nobody\"}"] {
        assert_eq!(stage.ask_text(DUMP, body).result(), 0, "{body}");
    }
}

#[test]
fn a_text_is_whole_below_and_at_its_room_and_cut_with_a_note_of_how_much_above() {
    let mut stage = Stage::negotiated();
    stage.kernel.report = String::new();
    let own = stacks(&mut stage);
    // A line end takes two bytes of the response.
    let room = STACKS_BYTES - own.len() - own.matches('\n').count();
    for (length, cut) in [(room - 1, 0), (room, 0), (room + 1, 1), (room + 1000, 1000)] {
        stage.kernel.report = "x".repeat(length);
        let text = stacks(&mut stage);
        let note = format!("[cut: {cut} bytes more; STACKS_BYTES = {STACKS_BYTES}]");
        assert_eq!(
            text.contains(&note),
            cut > 0,
            "{length}: {}",
            &text[text.len() - 90..]
        );
        assert_eq!(
            text.matches('x').count(),
            length - cut + usize::from(own.contains('x')) * own.matches('x').count()
        );
    }
}

#[test]
fn bytes_that_are_escaped_count_as_what_they_become() {
    let mut stage = Stage::negotiated();
    for piece in ["<\n", "\u{1}", "\u{2028}", "\"", "\u{20ac}"] {
        stage.kernel.report = piece.repeat(70_000);
        let response = stage.ask(DUMP, &base(NULL_ID));
        let length = response.text.len();
        assert!(length + 16 <= MAX_FRAME_BYTES, "{length}");
        assert!(
            length + 16 > MAX_FRAME_BYTES - 2048,
            "{length} of {piece:?}"
        );
        let text = response.body["GuestStacks"].as_str().unwrap();
        let kept = text.matches(piece).count();
        let whole = 70_000 * piece.len();
        assert!(
            text.contains(&format!("[cut: {} bytes", whole - kept * piece.len()))
                || piece.len() > 1
        );
    }
}
