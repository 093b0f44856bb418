//! Tries system calls one by one and prints what each answered, a line for a check:
//!
//! ```text
//! socket | an unknown family | EAFNOSUPPORT
//! socketpair | a stream | 0
//! ```
//!
//! The same program runs on Linux, which is the oracle, and in mote; the lines are compared by `tests/e2e`. So a line never
//! holds what may differ between two runs of Linux: no process ids, no addresses, no times. `conform` runs every family of
//! calls, `conform FAMILY…` some, `conform -FAMILY…` all but some, each in a process of its own (`conform --family FAMILY`):
//! no handler, timer or child of one is seen by the next. The exit code is 0; a family that could not be set up ends the
//! program with a panic, which no oracle has.

mod address;
mod advice;
mod attribute;
mod capability;
mod check;
mod child;
mod closed;
mod cut;
mod descriptor;
mod epoll;
mod event;
mod exec;
mod fifo;
mod file;
mod frame;
mod full;
mod group;
mod handle;
mod identity;
mod interrupt;
mod io_priority;
mod limit;
mod lock;
mod mask;
mod memory;
mod nameless;
mod open;
mod owner;
mod path;
mod poll;
mod priority;
mod process;
mod refusal;
mod relative;
mod resolve;
mod shape;
mod siginfo;
mod signal;
mod slash;
mod socket;
mod splice;
mod stranger;
mod task;
mod thread;
mod time;
mod timer;
mod told;
mod user;
mod variant;
mod wait;
mod walk;
mod xattr;

use std::process::Command;

/// The families of calls, by the name they are asked for.
const FAMILIES: &[(&str, fn())] = &[
    ("address", address::run),
    ("advice", advice::run),
    ("attribute", attribute::run),
    ("barred", walk::closed),
    ("capability", capability::run),
    ("closed", closed::run),
    ("cut", cut::run),
    ("descriptor", descriptor::run),
    ("epoll", epoll::run),
    ("event", event::run),
    ("exec", exec::run),
    ("fifo", fifo::run),
    ("file", file::run),
    ("frame", frame::run),
    ("full", full::run),
    ("group", group::run),
    ("identity", identity::run),
    ("interrupt", interrupt::run),
    ("limit", limit::run),
    ("io_priority", io_priority::run),
    ("lock", lock::run),
    ("memory", memory::run),
    ("nameless", nameless::run),
    ("open", open::run),
    ("owner", owner::run),
    ("path", path::run),
    ("poll", poll::run),
    ("priority", priority::run),
    ("process", process::run),
    ("refusal", refusal::run),
    ("relative", relative::run),
    ("resolve", resolve::run),
    ("siginfo", siginfo::run),
    ("signal", signal::run),
    ("slash", slash::run),
    ("socket", socket::run),
    ("splice", splice::run),
    ("stranger", stranger::run),
    ("task", task::run),
    ("thread", thread::run),
    ("time", time::run),
    ("timer", timer::run),
    ("told", told::run),
    ("user", user::run),
    ("variant", variant::run),
    ("wait", wait::run),
    ("walk", walk::run),
    ("xattr", xattr::run),
];

fn main() {
    let arguments: Vec<_> = std::env::args_os().collect();
    // What the family `exec` executes: it tells what it was given by its exit code. Without arguments it has an empty
    // name.
    let is_counting = |argument: &std::ffi::OsString| argument == "--count" || argument.is_empty();
    if arguments.iter().take(2).any(is_counting) {
        let variables = std::env::vars_os().count();
        std::process::exit(((arguments.len() * 10 + variables) & 0xff) as i32);
    }
    // What the family `identity` executes, itself or by a script: it tells on whose behalf it acts.
    if let Some(at) = arguments.iter().position(|argument| argument == "--ids") {
        let case = arguments.get(at + 1).and_then(|case| case.to_str());
        return identity::tell(case.unwrap_or_default());
    }
    // What the family `capability` executes: it tells what it can do.
    if arguments.get(1).is_some_and(|argument| argument == "--can") {
        return capability::tell();
    }
    // What the family `nameless` keeps running.
    if arguments
        .get(1)
        .is_some_and(|argument| argument == "--sleep")
    {
        std::thread::sleep(std::time::Duration::from_secs(600));
    }
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let [option, wanted] = &wanted[..]
        && option == "--family"
    {
        let (name, run) = FAMILIES
            .iter()
            .find(|(name, _)| name == wanted)
            .expect("a family");
        return check::in_folder(name, *run);
    }
    let own = std::env::current_exe().expect("/proc is there");
    let is_asked = |name: &str| wanted.iter().any(|it| it == name);
    let are_all_asked = wanted.iter().all(|it| it.starts_with('-'));
    for (name, _) in FAMILIES {
        if !is_asked(&format!("-{name}")) && (are_all_asked || is_asked(name)) {
            let ended = Command::new(&own).args(["--family", name]).status();
            assert!(ended.expect("it runs").success(), "{name}");
        }
    }
}
