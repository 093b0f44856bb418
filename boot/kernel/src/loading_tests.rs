//! Programs from files: spawn to exit over an initrd, and everything that can be wrong with a file.

use crate::bench::{Bench, exit};
use agent::kernel::{
    Credentials, End, Event, ExitStatus, Kernel as _, LoadError, OutputStream, Pid, ProcessLimits,
    Program, Stdio, StringList, View, Writes,
};
use fakes::user::Step::{self, *};
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

/// Address of the program's first segment, and of its entry.
pub(crate) const BASE: u64 = 0x40_0000;
pub(crate) const ENTRY: u64 = BASE + 0x1000;
/// Address of the writable segment: `DATA` at its start, zeroes from `DATA_BYTES` on.
pub(crate) const WRITABLE: u64 = 0x40_3000;
const DATA: &[u8] = b"data of the program";

/// A static program: headers, a page of code, a page of data with a zeroed tail of two pages.
pub(crate) fn program() -> Vec<u8> {
    let mut file = vec![0; 0x2000 + DATA.len()];
    file[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\x00");
    put(&mut file, 16, &2_u16.to_le_bytes());
    put(&mut file, 18, &62_u16.to_le_bytes());
    put(&mut file, 20, &1_u32.to_le_bytes());
    put(&mut file, 24, &ENTRY.to_le_bytes());
    put(&mut file, 32, &64_u64.to_le_bytes());
    put(&mut file, 52, &64_u16.to_le_bytes());
    put(&mut file, 54, &56_u16.to_le_bytes());
    put(&mut file, 56, &3_u16.to_le_bytes());
    let length = DATA.len() as u64;
    let segments = [
        (4_u32, 0_u64, BASE, 0x1000_u64, 0x1000_u64),
        (5, 0x1000, ENTRY, 0x1000, 0x1000),
        (6, 0x2000, WRITABLE, length, 0x2010),
    ];
    for (nth, (flags, offset, address, in_file, in_memory)) in segments.into_iter().enumerate() {
        let at = 64 + 56 * nth;
        put(&mut file, at, &1_u32.to_le_bytes());
        put(&mut file, at + 4, &flags.to_le_bytes());
        put(&mut file, at + 8, &offset.to_le_bytes());
        put(&mut file, at + 16, &address.to_le_bytes());
        put(&mut file, at + 32, &in_file.to_le_bytes());
        put(&mut file, at + 40, &in_memory.to_le_bytes());
        put(&mut file, at + 48, &0x1000_u64.to_le_bytes());
    }
    put(&mut file, 0x2000, DATA);
    file
}

pub(crate) fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// An initrd of these files: path, mode, content.
pub(crate) fn archive(files: &[(&str, u32, &[u8])]) -> &'static [u8] {
    let mut out = Vec::new();
    let end: (&str, u32, &[u8]) = ("TRAILER!!!", 0, &[]);
    for (nth, (path, mode, content)) in files.iter().chain([&end]).enumerate() {
        let fields = [
            nth as u32 + 1,
            *mode,
            0,
            0,
            1,
            0,
            content.len() as u32,
            0,
            0,
            0,
            0,
            path.len() as u32 + 1,
            0,
        ];
        out.extend_from_slice(b"070701");
        for field in fields {
            out.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        out.extend_from_slice(path.as_bytes());
        out.push(0);
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out.leak()
}

fn bench(file: &[u8]) -> Bench {
    large_bench(file, 1024)
}

pub(crate) fn large_bench(file: &[u8], frames: usize) -> Bench {
    Bench::with_initrd(
        frames,
        archive(&[
            ("bin", 0o040_755, &[]),
            ("bin/test", 0o100_755, file),
            ("bin/private", 0o100_644, file),
            ("other", 0o040_755, &[]),
            ("other/found", 0o100_755, file),
        ]),
    )
}

fn spawn(bench: &mut Bench, args: &[u8], env: &[u8], cwd: &str) -> Pid {
    let limits = ProcessLimits::default();
    spawn_within(bench, limits, args, env, cwd)
}

fn spawn_within(
    bench: &mut Bench,
    limits: ProcessLimits,
    args: &[u8],
    env: &[u8],
    cwd: &str,
) -> Pid {
    let program = Program {
        args: StringList::from_packed(args).expect("it ends with NUL"),
        env: StringList::from_packed(env).expect("it ends with NUL"),
        cwd,
        credentials: Credentials::default(),
        user: "",
        terminal: false,
        limits,
    };
    bench
        .kernel
        .spawn(View::UTILITY_VM, &program)
        .expect("there is room")
}

#[expect(clippy::result_large_err, reason = "it is compared, not carried")]
fn load(bench: &mut Bench, args: &[u8], env: &[u8], cwd: &str) -> Result<Pid, LoadError> {
    let pid = spawn(bench, args, env, cwd);
    loaded(bench, pid)
}

#[expect(clippy::result_large_err, reason = "it is compared, not carried")]
fn loaded(bench: &mut Bench, pid: Pid) -> Result<Pid, LoadError> {
    bench.settle();
    match bench.kernel.next_event() {
        Some(Event::Loaded(loaded, result)) => {
            assert_eq!(loaded, pid);
            result.map(|()| pid)
        }
        other => panic!("the program was not loaded: {other:?}"),
    }
}

pub(crate) fn run(bench: &mut Bench, steps: Vec<Step>) -> ExitStatus {
    run_within(bench, ProcessLimits::default(), steps)
}

/// Plays a program that the agent starts with limits of its own.
pub(crate) fn run_within(bench: &mut Bench, limits: ProcessLimits, steps: Vec<Step>) -> ExitStatus {
    bench.kernel.user.program(ENTRY, steps);
    let pid = spawn_within(bench, limits, b"/bin/test\0", b"", "/");
    let pid = loaded(bench, pid).expect("it loads");
    bench.kernel.start(pid).expect("it is stopped");
    bench.settle();
    bench.status(pid)
}

fn error(file: &[u8]) -> LoadError {
    let mut bench = bench(file);
    load(&mut bench, b"/bin/test\0", b"", "/").expect_err("it is not a program")
}

#[test]
fn a_program_is_loaded_attached_started_and_ends() {
    let mut bench = bench(&program());
    bench
        .kernel
        .user
        .program(ENTRY, vec![Load(WRITABLE, DATA.to_vec()), exit(42)]);
    let pid = load(&mut bench, b"/bin/test\0", b"", "/").expect("it loads");
    let stdio = Stdio {
        stdin: End::Null,
        stdout: End::Pipe,
        stderr: End::Closed,
    };
    bench.kernel.attach(pid, stdio).expect("it is stopped");
    bench.settle();
    assert_eq!(bench.kernel.next_event(), None, "it was not started yet");
    bench.kernel.start(pid).expect("it is stopped");
    bench.settle();
    let mut ended = None;
    while let Some(event) = bench.kernel.next_event() {
        if let Event::Exited(_, status) = event {
            ended = Some(status);
        }
    }
    assert_eq!(ended, Some(ExitStatus::Exited(42)));
    let output = bench.kernel.output(pid, OutputStream::Stdout);
    assert!(output.ended && output.bytes.is_empty());
}

#[test]
fn what_lies_behind_a_segment_s_end_is_zero_and_the_file_stays_as_it_was() {
    let mut bench = bench(&program());
    let end = WRITABLE + DATA.len() as u64;
    let touch = |status| {
        vec![
            Load(end, vec![0; 0x2010 - DATA.len()]),
            Load(WRITABLE, DATA.to_vec()),
            Store(WRITABLE, b"DATA".to_vec()),
            Store(end + 5, vec![1]),
            exit(status),
        ]
    };
    assert_eq!(run(&mut bench, touch(1)), ExitStatus::Exited(1));
    assert_eq!(run(&mut bench, touch(2)), ExitStatus::Exited(2));
}

#[test]
fn code_cannot_be_written_and_data_cannot_be_executed() {
    let mut bench = bench(&program());
    let status = run(&mut bench, vec![Store(ENTRY, vec![0])]);
    assert_eq!(status.code(), 139);
    let status = run(&mut bench, vec![Fetch(WRITABLE)]);
    assert_eq!(status.code(), 139);
}

#[test]
fn the_stack_holds_arguments_environment_and_auxiliary_vector() {
    let mut bench = bench(&program());
    bench.kernel.user.program(
        ENTRY,
        vec![
            // argc, and argv[2], envp[2] as ends.
            LoadStack(0, 2_u64.to_le_bytes().to_vec()),
            LoadStack(24, 0_u64.to_le_bytes().to_vec()),
            LoadStack(48, 0_u64.to_le_bytes().to_vec()),
            // AT_PHDR and its value: the headers lie in the first segment.
            LoadStack(
                56,
                [3_u64.to_le_bytes(), (BASE + 64).to_le_bytes()].concat(),
            ),
            Do(|registers| assert_eq!(registers.rsp % 16, 0)),
            exit(0),
        ],
    );
    let pid = load(&mut bench, b"/bin/test\0two\0", b"A=1\0B=2\0", "/").expect("it loads");
    bench.kernel.start(pid).expect("it is stopped");
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Exited(0));
}

#[test]
fn a_name_without_a_slash_is_looked_for_in_path() {
    let mut bench = bench(&program());
    let found = load(&mut bench, b"found\0", b"PATH=/none:/bin:/other\0", "/");
    assert!(found.is_ok());
    let found = load(&mut bench, b"test\0", b"", "/");
    assert!(found.is_ok(), "in the default path");
    let missing = load(&mut bench, b"found\0", b"PATH=/bin\0", "/").expect_err("it is not there");
    assert_eq!((missing.errno, missing.path.as_str()), (2, "found"));
}

#[test]
fn a_file_that_may_not_be_executed_is_eacces_even_from_path() {
    let mut bench = bench(&program());
    let refused = load(&mut bench, b"/bin/private\0", b"", "/").expect_err("mode 644");
    assert_eq!(refused.errno, 13);
    let refused = load(&mut bench, b"private\0", b"", "/").expect_err("mode 644");
    assert_eq!(refused.errno, 13);
    let refused = load(&mut bench, b"/bin\0", b"", "/").expect_err("a directory");
    assert_eq!(refused.errno, 13);
}

#[test]
fn a_missing_program_names_what_was_looked_for() {
    let mut bench = bench(&program());
    let error = load(&mut bench, b"/no/such/file\0", b"", "/").expect_err("it is not there");
    assert_eq!(error.errno, 2);
    assert_eq!(error.reason, "no such file or directory");
    assert_eq!(error.path.as_str(), "/no/such/file");
}

#[test]
fn a_missing_working_directory_is_made_and_an_impossible_one_is_named() {
    let mut bench = bench(&program());
    assert!(load(&mut bench, b"/bin/test\0", b"", "/a/b/c").is_ok());
    let error = load(&mut bench, b"/bin/test\0", b"", "/bin/test/x").expect_err("a file");
    assert_eq!((error.errno, error.path.as_str()), (20, "/bin/test/x"));
}

#[test]
fn every_malformed_header_is_enoexec_with_its_reason() {
    let wrong: [(usize, &[u8], &str); 15] = [
        (0, b"!#", "not an ELF file"),
        (4, &[1], "class"),
        (5, &[2], "encoding"),
        (6, &[9], "identification version"),
        (7, &[9], "OS ABI"),
        (16, &[1], "type"),
        (18, &[40], "machine"),
        (20, &[0], "version"),
        (24, &[0, 0, 0], "entry point"),
        (32, &[0xff, 0xff, 0xff], "behind the end"),
        (52, &[0], "header size"),
        (54, &[0], "program header size"),
        (56, &[0, 0], "no program headers"),
        (56, &[0xff, 0xff], "MAX_PROGRAM_HEADERS"),
        (64 + 56 + 17, &[0], "overlap"),
    ];
    for (at, bytes, reason) in wrong {
        let mut file = program();
        put(&mut file, at, bytes);
        let error = error(&file);
        assert_eq!(error.errno, 8, "{at}");
        assert!(error.reason.contains(reason), "{at}: {}", error.reason);
    }
    assert!(error(b"\x7fELF").reason.contains("too short"));
    assert!(error(b"").reason.contains("too short"));
}

#[test]
fn loading_gives_back_everything_when_it_fails_or_is_taken_back() {
    let mut bench = bench(&program());
    let warm = load(&mut bench, b"/bin/test\0", b"", "/").expect("it loads");
    bench.kernel.abort(warm);
    bench.settle();
    let before = bench.free();
    for _ in 0..3 {
        let failed = load(&mut bench, b"/bin/none\0", b"", "/");
        assert!(failed.is_err());
        let loaded = load(&mut bench, b"/bin/test\0", b"", "/").expect("it loads");
        bench.kernel.abort(loaded);
        let early = spawn(&mut bench, b"/bin/test\0", b"", "/");
        bench.kernel.abort(early);
        bench.settle();
        assert_eq!(bench.kernel.next_event(), None);
    }
    assert_eq!(bench.free(), before);
}

#[test]
fn two_programs_share_the_pages_of_their_file() {
    let mut bench = bench(&program());
    let wait = vec![Load(WRITABLE, DATA.to_vec()), Step::Call(34, [0; 6])];
    bench.kernel.user.program(ENTRY, wait);
    let mut used = Vec::new();
    for _ in 0..3 {
        let before = bench.free();
        let pid = load(&mut bench, b"/bin/test\0", b"", "/").expect("it loads");
        bench.kernel.start(pid).expect("it is stopped");
        bench.settle();
        used.push(before - bench.free());
    }
    assert_eq!(used[1], used[2]);
    assert!(used[1] < used[0], "the first one read the file: {used:?}");
}

#[test]
fn a_container_s_view_is_charged_alone_and_vanishes_with_its_processes() {
    let mut bench = bench(&program());
    bench
        .kernel
        .user
        .program(ENTRY, vec![Step::Call(34, [0; 6])]);
    let warm = load(&mut bench, b"/bin/test\0", b"", "/").expect("it loads");
    bench.kernel.abort(warm);
    bench.settle();
    let view = bench
        .kernel
        .create_view("/", Writes::Kept, None)
        .expect("there is room");
    let program = Program {
        args: StringList::from_packed(b"/bin/test\0").expect("it ends with NUL"),
        env: StringList::default(),
        cwd: "/work",
        credentials: Credentials::default(),
        user: "",
        terminal: false,
        limits: ProcessLimits::default(),
    };
    let pid = bench.kernel.spawn(view, &program).expect("there is room");
    bench.settle();
    assert_eq!(bench.kernel.next_event(), Some(Event::Loaded(pid, Ok(()))));
    bench.kernel.start(pid).expect("it is stopped");
    bench.settle();
    assert!(bench.kernel.process(view, 0).is_some());
    assert!(bench.kernel.process(View::UTILITY_VM, 0).is_none());
    bench.kernel.remove_view(view);
    bench.settle();
    assert_eq!(bench.kernel.next_event(), None, "no event follows");
    assert!(bench.kernel.process(view, 0).is_none());
    assert_eq!(
        bench.kernel.spawn(view, &program),
        Err(agent::kernel::Refusal::NoView)
    );
}

#[test]
fn the_dump_names_every_process() {
    let mut bench = bench(&program());
    bench
        .kernel
        .user
        .program(ENTRY, vec![Step::Call(34, [0; 6])]);
    let pid = load(&mut bench, b"/bin/test\0", b"", "/").expect("it loads");
    bench.kernel.start(pid).expect("it is stopped");
    bench.settle();
    let mut text = String::new();
    bench.kernel.dump(&mut text).expect("a string takes all");
    assert!(text.contains("name=\"test\" running"), "{text}");
    assert!(text.contains("in pause"), "{text}");
}

#[test]
fn a_warm_spawn_asks_the_heap_for_nothing() {
    let mut bench = bench(&program());
    let mut counts = [0; 3];
    for count in &mut counts {
        bench
            .kernel
            .user
            .program(ENTRY, vec![Store(WRITABLE, vec![1]), exit(0)]);
        let before = fakes::alloc::calls();
        let pid = load(&mut bench, b"test\0one\0", b"PATH=/bin\0", "/").expect("it loads");
        let stdio = Stdio {
            stdin: End::Pipe,
            stdout: End::Pipe,
            stderr: End::Pipe,
        };
        bench.kernel.attach(pid, stdio).expect("it is stopped");
        bench.kernel.start(pid).expect("it is stopped");
        bench.settle();
        while bench.kernel.next_event().is_some() {}
        bench.kernel.release(pid);
        bench.settle();
        *count = fakes::alloc::calls() - before;
    }
    assert_eq!(counts[1..], [0, 0], "the first one makes the tables");
}

#[test]
fn a_long_list_of_directories_is_searched_in_many_turns() {
    let mut bench = bench(&program());
    let mut list = b"PATH=".to_vec();
    list.extend([b':'; 1000]);
    list.extend(b"/bin\0");
    let pid = spawn(&mut bench, b"test\0", &list, "/");
    let mut turns = 0;
    let loaded = loop {
        bench.kernel.run_slice(&bench.clock);
        turns += 1;
        if let Some(event) = bench.kernel.next_event() {
            break event;
        }
    };
    assert_eq!(loaded, Event::Loaded(pid, Ok(())));
    assert!(turns >= 1000 / crate::limits::LOAD_STEPS, "{turns} turns");
}

#[test]
fn a_program_that_can_be_anywhere_is_moved_down_too() {
    let mut file = program();
    // ET_DYN, every segment as high as it can be.
    let up = 0x7000_0000_0000_u64;
    put(&mut file, 16, &3_u16.to_le_bytes());
    put(&mut file, 24, &(ENTRY + up).to_le_bytes());
    for (nth, address) in [BASE, ENTRY, WRITABLE].into_iter().enumerate() {
        put(&mut file, 64 + 56 * nth + 16, &(address + up).to_le_bytes());
    }
    let mut bench = bench(&file);
    let pid = load(&mut bench, b"/bin/test\0", b"", "/").expect("it loads");
    let id = bench.id(pid);
    let system = &mut bench.kernel.system;
    let leader = system.process(id).expect("it is stopped").leader;
    let task = system.task_mut(leader.expect("it has a task"));
    let rip = task.expect("it has a task").context.registers.rip;
    assert!((0x5555_5555_4000..up).contains(&rip), "{rip:#x}");
}
