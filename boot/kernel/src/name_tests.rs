//! Names of containers: what uname tells their programs.

use crate::bench::{Bench, exit};
use crate::limits::HOST_NAME_BYTES;
use crate::tests::{AT, call, map, steps};
use agent::kernel::{Event, ExitStatus, Kernel as _, Refusal, View, Writes};
use fakes::user::Step::*;
use std::vec;

const UNAME: u64 = 63;
/// Where the second field of a `struct utsname` is.
const NAME_AT: u64 = AT + 65;

/// Lets a program of a view look for a name.
fn tells(bench: &mut Bench, view: View, name: &str) {
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(0);
    let program = steps(vec![
        map(1, 3),
        vec![call(UNAME, &[AT]), Expect(0), Load(NAME_AT, bytes), exit(0)],
    ]);
    let pid = bench.run_in(view, program);
    bench.settle();
    let ended = bench.kernel.next_event();
    assert_eq!(
        ended,
        Some(Event::Exited(pid, ExitStatus::Exited(0))),
        "{name}"
    );
}

#[test]
fn a_container_has_its_own_name_else_its_pod_s_else_the_machine_s() {
    let mut bench = Bench::new(512);
    let mut make = |sandbox| {
        let made = bench.kernel.create_view("/", Writes::Kept, sandbox);
        made.expect("there is room")
    };
    let sandbox = make(None);
    let (inside, named, other) = (make(Some(sandbox)), make(Some(sandbox)), make(None));
    bench.kernel.name_view(sandbox, "pod").expect("it is short");
    bench.kernel.name_view(named, "own").expect("it is short");
    for (view, name) in [
        (sandbox, "pod"),
        (inside, "pod"),
        (named, "own"),
        (other, "mote"),
        (View::UTILITY_VM, "mote"),
    ] {
        tells(&mut bench, view, name);
    }
    bench.kernel.remove_view(sandbox);
    tells(&mut bench, inside, "mote");
    assert_eq!(
        bench.kernel.name_view(sandbox, "gone"),
        Err(Refusal::NoView)
    );
}

#[test]
fn a_name_has_as_many_bytes_as_linux_has_room_for() {
    for bytes in [HOST_NAME_BYTES - 1, HOST_NAME_BYTES, HOST_NAME_BYTES + 1] {
        let mut bench = Bench::new(512);
        let made = bench.kernel.create_view("/", Writes::Kept, None);
        let view = made.expect("there is room");
        let name = "n".repeat(bytes);
        let named = bench.kernel.name_view(view, &name);
        if bytes <= HOST_NAME_BYTES {
            assert_eq!(named, Ok(()));
            tells(&mut bench, view, &name);
        } else {
            let limit = Refusal::Limit("HOST_NAME_BYTES", HOST_NAME_BYTES);
            assert_eq!(named, Err(limit));
            tells(&mut bench, view, "mote");
        }
    }
}
