//! execve: what a new program gets, scripts, dynamic linkers, and that a caller stays what it was when it fails.

use crate::bench::{Bench, exit};
use crate::loading_tests::{BASE, ENTRY, WRITABLE, archive, program, put};
use crate::tests::{AT, PAGE, call, map, steps};
use agent::kernel::{
    Credentials, Event, ExitStatus, Kernel as _, Pid, ProcessLimits, Program, Signal, StringList,
    View,
};
use fakes::user::Step::{self, *};
use std::vec;
use std::vec::Vec;

const EXECVE: u64 = 59;
const EXECVEAT: u64 = 322;
const CLONE: u64 = 56;
const VFORK: u64 = 58;
const WAIT4: u64 = 61;
const SIGACTION: u64 = 13;
const OPEN: u64 = 2;
const FCNTL: u64 = 72;
const ENOENT: i64 = -2;
const E2BIG: i64 = -7;
const ENOEXEC: i64 = -8;
const EBADF: i64 = -9;
const EACCES: i64 = -13;
const EFAULT: i64 = -14;
const ELOOP: i64 = -40;

/// Where the second program begins, and the dynamic linker, in their files.
const SECOND: u64 = ENTRY + 0x200;
const LINKER: u64 = ENTRY + 0x400;

/// A program that begins somewhere else.
fn program_at(entry: u64) -> Vec<u8> {
    let mut file = program();
    put(&mut file, 24, &entry.to_le_bytes());
    file
}

/// A program whose third header names a dynamic linker instead of data.
fn linked(path: &[u8]) -> Vec<u8> {
    let mut file = program_at(SECOND);
    let at = 0x800;
    put(&mut file, at, path);
    put(&mut file, 64 + 112, &3_u32.to_le_bytes());
    put(&mut file, 64 + 112 + 8, &(at as u64).to_le_bytes());
    put(&mut file, 64 + 112 + 32, &(path.len() as u64).to_le_bytes());
    file
}

fn bench() -> Bench {
    let (first, second) = (program(), program_at(SECOND));
    let mut linker = program_at(LINKER);
    put(&mut linker, 16, &3_u16.to_le_bytes());
    let (good, missing) = (linked(b"/bin/ld\0"), linked(b"/bin/no\0"));
    let chain: Vec<(std::string::String, Vec<u8>)> = (1..=6)
        .map(|nth| {
            let before = if nth == 1 {
                "second".into()
            } else {
                std::format!("s{}", nth - 1)
            };
            (
                std::format!("bin/s{nth}"),
                std::format!("#!/bin/{before} arg\n").into_bytes(),
            )
        })
        .collect();
    let mut files: Vec<(&str, u32, &[u8])> = vec![
        ("bin", 0o040_755, &[]),
        ("bin/test", 0o100_755, &first),
        ("bin/second", 0o100_755, &second),
        ("bin/ld", 0o100_755, &linker),
        ("bin/linked", 0o100_755, &good),
        ("bin/unlinked", 0o100_755, &missing),
        ("bin/private", 0o100_644, &second),
        ("bin/text", 0o100_755, b"echo\n"),
    ];
    files.extend(
        chain
            .iter()
            .map(|(path, text)| (path.as_str(), 0o100_755, text.as_slice())),
    );
    Bench::with_initrd(2048, archive(&files))
}

/// Lays strings and a list of pointers to them at the writable segment; the path at its start.
fn lists(path: &str, arguments: &[&str], environment: &[&str]) -> Vec<Step> {
    let mut out = vec![Store(WRITABLE, [path.as_bytes(), b"\0"].concat())];
    let mut at = WRITABLE + 0x400;
    for (list, place) in [(arguments, ARGUMENTS), (environment, ENVIRONMENT)] {
        let mut pointers = Vec::new();
        for string in list {
            out.push(Store(at, [string.as_bytes(), b"\0"].concat()));
            pointers.extend(at.to_le_bytes());
            at += string.len() as u64 + 1;
        }
        pointers.extend(0_u64.to_le_bytes());
        out.push(Store(place, pointers));
    }
    out
}

const ARGUMENTS: u64 = WRITABLE + 0x100;
const ENVIRONMENT: u64 = WRITABLE + 0x300;

fn exec(path: &str, arguments: &[&str], environment: &[&str]) -> Vec<Step> {
    steps(vec![
        lists(path, arguments, environment),
        vec![call(EXECVE, &[WRITABLE, ARGUMENTS, ENVIRONMENT])],
    ])
}

fn start(bench: &mut Bench, first: Vec<Step>) -> Pid {
    bench.kernel.user.program(ENTRY, first);
    play(bench)
}

/// Plays what was laid as the first program.
fn play(bench: &mut Bench) -> Pid {
    let pid = load(bench);
    bench.kernel.start(pid).expect("it is stopped");
    bench.settle();
    pid
}

fn load(bench: &mut Bench) -> Pid {
    let program = Program {
        args: StringList::from_packed(b"/bin/test\0").expect("it ends with NUL"),
        env: StringList::default(),
        cwd: "/",
        credentials: Credentials::default(),
        user: "",
        terminal: false,
        limits: ProcessLimits::default(),
    };
    let spawned = bench.kernel.spawn(View::UTILITY_VM, &program);
    let pid = spawned.expect("there is room");
    bench.settle();
    assert_eq!(bench.kernel.next_event(), Some(Event::Loaded(pid, Ok(()))));
    pid
}

fn run(bench: &mut Bench, first: Vec<Step>) -> ExitStatus {
    let pid = start(bench, first);
    bench.status(pid)
}

/// Expects these bytes where the `nth` word of the stack points to.
fn string(nth: u64, text: &'static str) -> Vec<Step> {
    vec![LoadStackPointer(8 * nth, [text.as_bytes(), b"\0"].concat())]
}

#[test]
fn a_program_takes_the_place_of_another_with_arguments_and_environment() {
    let mut bench = bench();
    let first = steps(vec![
        vec![Store(WRITABLE + 0x1800, vec![9])],
        exec("/bin/second", &["name", "one", ""], &["A=1"]),
    ]);
    let second = steps(vec![
        vec![
            LoadStack(0, 3_u64.to_le_bytes().to_vec()),
            Do(|registers| {
                assert_eq!(registers.rsp % 16, 0);
                assert_eq!((registers.rbx, registers.fs_base), (0, 0));
            }),
        ],
        string(1, "name"),
        string(2, "one"),
        string(3, ""),
        string(5, "A=1"),
        // Memory is the new program's.
        vec![Load(WRITABLE + 0x1800, vec![0]), exit(4)],
    ]);
    bench.kernel.user.program(SECOND, second);
    assert_eq!(run(&mut bench, first), ExitStatus::Exited(4));
    assert_eq!(bench.kernel.system.spaces.len(), 0);
}

#[test]
fn an_empty_list_of_arguments_becomes_one_empty_name() {
    let mut bench = bench();
    let first = vec![
        Store(WRITABLE, b"/bin/second\0".to_vec()),
        call(EXECVE, &[WRITABLE, 0, 0]),
    ];
    let second = steps(vec![
        vec![LoadStack(0, 1_u64.to_le_bytes().to_vec())],
        string(1, ""),
        vec![LoadStack(16, vec![0; 16]), exit(0)],
    ]);
    bench.kernel.user.program(SECOND, second);
    assert_eq!(run(&mut bench, first), ExitStatus::Exited(0));
}

#[test]
fn a_caller_stays_what_it_was_when_execve_fails() {
    let mut bench = bench();
    let failing = |path: &str, errno| steps(vec![exec(path, &["x"], &[]), vec![Expect(errno)]]);
    let mut first = steps(vec![
        failing("/bin/none", ENOENT),
        failing("/bin/private", EACCES),
        failing("/bin", EACCES),
        failing("/bin/text", ENOEXEC),
        failing("/bin/unlinked", ENOENT),
        failing("/bin/s6", ELOOP),
    ]);
    first.extend([
        call(EXECVE, &[0, ARGUMENTS, 0]),
        Expect(EFAULT),
        Store(WRITABLE, b"/bin/second\0".to_vec()),
        call(EXECVE, &[WRITABLE, 8, 0]),
        Expect(EFAULT),
        Store(ARGUMENTS, 8_u64.to_le_bytes().to_vec()),
        call(EXECVE, &[WRITABLE, ARGUMENTS, 0]),
        Expect(EFAULT),
        exit(3),
    ]);
    let before = {
        run(&mut bench, vec![exit(0)]);
        bench.kernel.system.shown.len()
    };
    assert_eq!(run(&mut bench, first), ExitStatus::Exited(3));
    assert_eq!(bench.kernel.system.shown.len(), before);
    assert_eq!(bench.kernel.system.spaces.len(), 0);
}

#[test]
fn a_script_is_run_by_its_interpreter_with_its_path_as_argument() {
    let mut bench = bench();
    let second = steps(vec![
        vec![LoadStack(0, 4_u64.to_le_bytes().to_vec())],
        string(1, "/bin/second"),
        string(2, "arg"),
        string(3, "/bin/s1"),
        string(4, "own"),
        vec![exit(0)],
    ]);
    bench.kernel.user.program(SECOND, second);
    let first = exec("/bin/s1", &["dropped", "own"], &["E=2"]);
    assert_eq!(run(&mut bench, first), ExitStatus::Exited(0));
}

#[test]
fn five_scripts_lead_to_a_program_and_six_to_nothing() {
    let mut bench = bench();
    bench.kernel.user.program(
        SECOND,
        vec![LoadStack(0, 11_u64.to_le_bytes().to_vec()), exit(0)],
    );
    assert_eq!(
        run(&mut bench, exec("/bin/s5", &["x"], &[])),
        ExitStatus::Exited(0)
    );
    let too_many = steps(vec![
        exec("/bin/s6", &["x"], &[]),
        vec![Expect(ELOOP), exit(1)],
    ]);
    assert_eq!(run(&mut bench, too_many), ExitStatus::Exited(1));
}

#[test]
fn a_dynamic_linker_begins_and_learns_where_the_program_is() {
    let mut bench = bench();
    let program = Program {
        args: StringList::from_packed(b"/bin/linked\0").expect("it ends with NUL"),
        env: StringList::default(),
        cwd: "/",
        credentials: Credentials::default(),
        user: "",
        terminal: false,
        limits: ProcessLimits::default(),
    };
    let spawned = bench.kernel.spawn(View::UTILITY_VM, &program);
    let pid = spawned.expect("there is room");
    bench.settle();
    assert_eq!(bench.kernel.next_event(), Some(Event::Loaded(pid, Ok(()))));
    // The linker can be anywhere: its steps are laid where it was mapped.
    let id = bench.id(pid);
    let system = &mut bench.kernel.system;
    let leader = system.process(id).expect("it is stopped").leader;
    let task = system.task_mut(leader.expect("it has a task"));
    let rip = task.expect("it has a task").context.registers.rip;
    assert!(rip > 0x7000_0000_0000, "where mmap places things: {rip:#x}");
    let bias = rip - LINKER;
    let words = |kind: u64, value: u64| [kind.to_le_bytes(), value.to_le_bytes()].concat();
    // argc, one argument, two ends; then the vector begins with AT_PHDR.
    let vector = vec![
        LoadStack(32, words(3, BASE + 64)),
        LoadStack(32 + 16 * 4, words(7, bias)),
        LoadStack(32 + 16 * 6, words(9, SECOND)),
        exit(5),
    ];
    bench.kernel.user.program(rip, vector);
    bench.kernel.start(pid).expect("it is stopped");
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Exited(5));
}

#[test]
fn descriptors_close_and_handlers_are_forgotten_and_what_is_ignored_stays() {
    let mut bench = bench();
    let action = |handler: u64| [handler, 0, 0, 0].map(u64::to_le_bytes).concat();
    let at = WRITABLE + 0x1000;
    let first = steps(vec![
        vec![
            Store(at, b"/bin/test\0".to_vec()),
            call(OPEN, &[at, 0o2_000_000]),
            Expect(3),
            call(OPEN, &[at, 0]),
            Expect(4),
            Store(at, action(ENTRY)),
            call(SIGACTION, &[10, at, 0, 8]),
            Store(at, action(1)),
            call(SIGACTION, &[12, at, 0, 8]),
        ],
        exec("/bin/second", &["x"], &[]),
    ]);
    let second = vec![
        call(FCNTL, &[3, 1]),
        Expect(EBADF),
        call(FCNTL, &[4, 1]),
        Expect(0),
        call(SIGACTION, &[10, 0, at, 8]),
        Load(at, vec![0; 8]),
        call(SIGACTION, &[12, 0, at, 8]),
        Load(at, vec![1, 0]),
        exit(0),
    ];
    bench.kernel.user.program(SECOND, second);
    assert_eq!(run(&mut bench, first), ExitStatus::Exited(0));
}

#[test]
fn other_threads_end_and_the_caller_becomes_the_first() {
    let mut bench = bench();
    let exec = exec("/bin/second", &["x"], &[]);
    let clone = vec![
        call(CLONE, &[0x1_0f00, WRITABLE + 0x1800, 0, 0, 0]),
        Branch(|registers| registers.rax == 0, 3),
        call(34, &[]),
    ];
    let second = vec![
        call(186, &[]),
        Do(|registers| registers.rbx = registers.rax),
        call(39, &[]),
        Do(|registers| assert_eq!(registers.rbx, registers.rax)),
        exit(6),
    ];
    bench.kernel.user.program(SECOND, second);
    assert_eq!(
        run(&mut bench, steps(vec![clone, exec])),
        ExitStatus::Exited(6)
    );
    let own = bench.kernel.system.own_account;
    let account = bench.kernel.system.accounts.get(own).expect("it stays");
    assert_eq!(account.used(crate::account::Resource::Tasks), 0);
}

#[test]
fn the_parent_of_vfork_goes_on_when_its_child_has_become_another_program() {
    let mut bench = bench();
    bench
        .kernel
        .user
        .program(SECOND, vec![call(24, &[]), exit(8)]);
    let child = exec("/bin/second", &["x"], &[]);
    let parent = vec![
        Load(WRITABLE, b"/bin/second".to_vec()),
        call(WAIT4, &[u64::MAX, WRITABLE + 0x1000, 0, 0]),
        Load(WRITABLE + 0x1000, vec![0, 8]),
        exit(0),
    ];
    let program = steps(vec![
        vec![
            call(VFORK, &[]),
            Branch(|registers| registers.rax == 0, 2 + parent.len()),
        ],
        parent,
        child,
    ]);
    assert_eq!(run(&mut bench, program), ExitStatus::Exited(0));
}

#[test]
fn strings_are_as_long_as_they_may_be_and_no_longer() {
    use crate::limits::{MAX_ARGUMENTS, STRING_BYTES};
    let mut bench = bench();
    let at = 0x1000_0000_u64;
    let bytes = (MAX_ARGUMENTS as u64 + 2) * 8 + STRING_BYTES as u64 + 0x2000;
    let map = vec![
        call(9, &[at, bytes, 3, 0x32, u64::MAX, 0]),
        Expect(at as i64),
    ];
    let text = at + 0x1000;
    let last = text + STRING_BYTES as u64 - 1;
    let try_one = |errno| vec![call(EXECVE, &[WRITABLE, at, 0]), Expect(errno)];
    let first = steps(vec![
        map,
        lists("/bin/second", &[], &[]),
        vec![
            Store(at, [text, text, last, 0].map(u64::to_le_bytes).concat()),
            Store(text, vec![b'a'; STRING_BYTES]),
        ],
        try_one(E2BIG),
        // Each fits now, and two together, but no further byte.
        vec![Store(last, vec![0])],
        try_one(E2BIG),
        vec![Store(at + 16, vec![0; 8]), call(EXECVE, &[WRITABLE, at, 0])],
    ]);
    bench
        .kernel
        .user
        .program(SECOND, vec![LoadStack(0, vec![2, 0]), exit(2)]);
    assert_eq!(run(&mut bench, first), ExitStatus::Exited(2));
}

#[test]
fn a_file_is_executed_by_its_descriptor() {
    let mut bench = bench();
    let at = WRITABLE + 0x1000;
    let first = vec![
        Store(at, b"/bin/second\0".to_vec()),
        call(OPEN, &[at, 0]),
        Expect(3),
        Store(at, vec![0]),
        call(EXECVEAT, &[3, at, 0, 0, 0]),
        Expect(ENOENT),
        call(EXECVEAT, &[3, at, 0, 0, 0x1000]),
    ];
    bench.kernel.user.program(SECOND, vec![exit(7)]);
    assert_eq!(run(&mut bench, first), ExitStatus::Exited(7));
}

#[test]
fn a_warm_fork_with_execve_asks_the_heap_for_nothing() {
    let mut bench = bench();
    bench
        .kernel
        .user
        .program(SECOND, vec![Store(WRITABLE, vec![1]), exit(8)]);
    let child = exec("/bin/second", &["x", "y"], &["E=1"]);
    let parent = vec![call(WAIT4, &[u64::MAX, WRITABLE + 0x1000, 0, 0]), exit(0)];
    let program = steps(vec![
        vec![
            call(57, &[]),
            Branch(|registers| registers.rax == 0, 2 + parent.len()),
        ],
        parent,
        child,
    ]);
    run(&mut bench, program.clone());
    bench.kernel.user.program(ENTRY, program);
    let mut counts = [0; 2];
    for count in &mut counts {
        let before = fakes::alloc::calls();
        let pid = play(&mut bench);
        *count = fakes::alloc::calls() - before;
        assert_eq!(bench.status(pid), ExitStatus::Exited(0));
    }
    assert_eq!(counts, [0, 0]);
}

#[test]
fn a_caller_that_ends_for_want_of_memory_takes_the_program_it_was_becoming_with_it() {
    let mut ends = Vec::new();
    for spare in 0..80 {
        let mut bench = bench();
        // The arguments are in pages that nobody has touched.
        let pages = (8..32).map(|page| AT + page * PAGE).chain([0]);
        let arguments = pages.flat_map(u64::to_le_bytes);
        let touched = (0..8).map(|page| Store(AT + page * PAGE, vec![1]));
        let first = steps(vec![
            map(32, 3),
            touched.collect(),
            lists("/bin/second", &[], &[]),
            vec![
                Store(ARGUMENTS, arguments.collect()),
                call(EXECVE, &[WRITABLE, ARGUMENTS, ENVIRONMENT]),
                exit(1),
            ],
        ]);
        bench.kernel.user.program(ENTRY, first);
        bench.kernel.user.program(SECOND, vec![exit(0)]);
        let pid = load(&mut bench);
        let _held = bench.hold_all_but(spare);
        bench.kernel.start(pid).expect("it is stopped");
        bench.settle();
        ends.push(bench.status(pid));
        let system = &bench.kernel.system;
        assert_eq!((system.spaces.len(), system.shown.len()), (0, 0), "{spare}");
    }
    // Too little for the first pages of the new program is an error; too little for the caller's arguments is the end.
    let mut behind = ends.iter().skip_while(|end| **end != ExitStatus::Exited(1));
    assert!(behind.any(|end| *end == ExitStatus::Killed(Signal::KILL)));
    assert_eq!(ends.last(), Some(&ExitStatus::Exited(0)));
}
