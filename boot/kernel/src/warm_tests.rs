//! Once a program is in the caches, processes and containers come and go without a call of the heap: one after the other,
//! many at once, and while those before are still being taken down.

use crate::bench::Bench;
use crate::limits::{FRAMES_PER_PROCESS, ready_processes};
use crate::loading_tests::{ENTRY, WRITABLE, large_bench, program};
use agent::kernel::{
    Credentials, End, Event, Kernel as _, OutputStream, Pid, ProcessLimits, Program, Signal, Stdio,
    StringList, View, Writes,
};
use fakes::user::Step::{self, *};
use std::vec;
use std::vec::Vec;

/// As many as the product promises.
const PROCESSES: usize = 64;

/// Spawns `count` processes in `view`: loaded, with pipes, started, waiting for a signal.
fn start_many(bench: &mut Bench, view: View, count: usize, pids: &mut Vec<Pid>) {
    let program = Program {
        args: StringList::from_packed(b"/bin/test\0one\0").expect("it ends with NUL"),
        env: StringList::from_packed(b"PATH=/bin\0").expect("it ends with NUL"),
        cwd: "/other",
        credentials: Credentials::default(),
        user: "",
        terminal: false,
        limits: ProcessLimits::default(),
    };
    let first = pids.len();
    for _ in 0..count {
        pids.push(bench.kernel.spawn(view, &program).expect("there is room"));
    }
    bench.settle();
    for &pid in &pids[first..] {
        let stdio = Stdio {
            stdin: End::Pipe,
            stdout: End::Pipe,
            stderr: End::Pipe,
        };
        bench.kernel.attach(pid, stdio).expect("it was loaded");
        bench.kernel.start(pid).expect("it is stopped");
        bench.kernel.offer_input(pid, b"input");
    }
    while bench.kernel.next_event().is_some() {}
}

/// Kills processes and forgets each when it has ended, as the agent does, without waiting until their memory is taken down.
fn end_many(bench: &mut Bench, pids: &mut Vec<Pid>) {
    for &pid in &*pids {
        bench.kernel.signal(pid, Signal::KILL).expect("it lives");
    }
    while !pids.is_empty() {
        assert!(bench.kernel.run_slice(&bench.clock), "all of them end");
        while let Some(event) = bench.kernel.next_event() {
            let Event::Exited(pid, _) = event else {
                continue;
            };
            for stream in [OutputStream::Stdout, OutputStream::Stderr] {
                bench.kernel.close_output(pid, stream);
            }
            bench.kernel.close_input(pid);
            bench.kernel.release(pid);
            pids.retain(|&known| known != pid);
        }
    }
}

/// A bench with a program in its caches, and a list of so many processes.
fn warm_bench(frames: usize) -> (Bench, Vec<Pid>) {
    let mut bench = large_bench(&program(), frames);
    bench.kernel.user.program(
        ENTRY,
        vec![Store(WRITABLE, vec![1]), Step::Call(34, [0; 6])],
    );
    let mut pids = Vec::with_capacity(2 * PROCESSES);
    start_many(&mut bench, View::UTILITY_VM, 1, &mut pids);
    bench.settle();
    end_many(&mut bench, &mut pids);
    bench.settle();
    (bench, pids)
}

#[test]
fn warm_processes_at_once_ask_the_heap_for_nothing_however_many_and_however_they_overlap() {
    let (mut bench, mut pids) = warm_bench(80 * FRAMES_PER_PROCESS);
    for round in 0..4 {
        let before = fakes::alloc::calls();
        // Those of the round before are still being taken down.
        start_many(&mut bench, View::UTILITY_VM, PROCESSES, &mut pids);
        end_many(&mut bench, &mut pids);
        assert_eq!(fakes::alloc::calls() - before, 0, "round {round}");
    }
}

#[test]
fn warm_containers_ask_the_heap_for_nothing() {
    let (mut bench, mut pids) = warm_bench(80 * FRAMES_PER_PROCESS);
    let mut views = Vec::with_capacity(agent::limits::MAX_CONTAINERS);
    for round in 0..3 {
        let before = fakes::alloc::calls();
        for _ in 0..agent::limits::MAX_CONTAINERS {
            let view = bench
                .kernel
                .create_view("/", Writes::Kept, None)
                .expect("there is room");
            start_many(&mut bench, view, 2, &mut pids);
            views.push(view);
        }
        bench.settle();
        end_many(&mut bench, &mut pids);
        for view in views.drain(..) {
            bench.kernel.remove_view(view);
        }
        assert_eq!(fakes::alloc::calls() - before, 0, "round {round}");
    }
}

#[test]
fn a_small_machine_s_heap_is_asked_only_beyond_what_its_ram_carries() {
    let (mut bench, mut pids) = warm_bench(1024);
    let ready = ready_processes(1024);
    let before = fakes::alloc::calls();
    start_many(&mut bench, View::UTILITY_VM, ready, &mut pids);
    bench.settle();
    assert_eq!(fakes::alloc::calls() - before, 0);
    start_many(&mut bench, View::UTILITY_VM, 1, &mut pids);
    end_many(&mut bench, &mut pids);
    bench.settle();
    let before = fakes::alloc::calls();
    start_many(&mut bench, View::UTILITY_VM, ready + 1, &mut pids);
    end_many(&mut bench, &mut pids);
    assert_eq!(fakes::alloc::calls() - before, 0, "then it is warm again");
}

#[test]
fn an_ended_process_keeps_its_credentials_until_it_is_released_but_no_signal_actions() {
    let (mut bench, mut pids) = warm_bench(1024);
    let shares = |bench: &Bench| {
        let table = &bench.kernel.system.table;
        (table.actions.len(), table.identities.len())
    };
    assert_eq!(shares(&bench), (0, 0));
    start_many(&mut bench, View::UTILITY_VM, 2, &mut pids);
    assert_eq!(shares(&bench), (2, 2));
    bench
        .kernel
        .signal(pids[0], Signal::KILL)
        .expect("it lives");
    bench.settle();
    assert_eq!(shares(&bench), (1, 2));
    bench.kernel.release(pids[0]);
    assert_eq!(shares(&bench), (1, 1));
    pids.remove(0);
    end_many(&mut bench, &mut pids);
    assert_eq!(shares(&bench), (0, 0));
}

#[test]
fn warm_terminals_ask_the_heap_for_nothing_neither_made_nor_typed_into() {
    let (mut bench, mut pids) = warm_bench(80 * FRAMES_PER_PROCESS);
    let program = Program {
        args: StringList::from_packed(b"/bin/test\0one\0").expect("it ends with NUL"),
        env: StringList::from_packed(b"PATH=/bin\0").expect("it ends with NUL"),
        cwd: "/other",
        credentials: Credentials::default(),
        user: "",
        terminal: true,
        limits: ProcessLimits::default(),
    };
    for round in 0..3 {
        let before = fakes::alloc::calls();
        for _ in 0..PROCESSES {
            let pid = bench.kernel.spawn(View::UTILITY_VM, &program);
            pids.push(pid.expect("there is room"));
        }
        bench.settle();
        for &pid in &pids {
            let stdio = Stdio {
                stdin: End::Pipe,
                stdout: End::Pipe,
                stderr: End::Null,
            };
            bench.kernel.attach(pid, stdio).expect("it was loaded");
            bench.kernel.start(pid).expect("it is stopped");
            bench.kernel.resize(pid, 24, 80).expect("it has one");
            bench.kernel.offer_input(pid, b"typed\r");
            let seen = bench.kernel.output(pid, OutputStream::Stdout).bytes.len();
            assert_eq!(seen, b"typed\r\n".len());
            bench.kernel.consume(pid, OutputStream::Stdout, seen);
        }
        while bench.kernel.next_event().is_some() {}
        end_many(&mut bench, &mut pids);
        assert_eq!(fakes::alloc::calls() - before, 0, "round {round}");
    }
}
