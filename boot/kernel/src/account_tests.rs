//! Containers with limits: what they may use, what they are told to have used, and who ends when memory runs out.

use crate::bench::{Bench, exit};
use crate::limits::MAX_MEMORY_KILLS;
use crate::tests::{AT, PAGE, call, map, steps};
use agent::kernel::{
    CpuWeight, Credentials, Event, ExitStatus, Kernel as _, Limits, Pid, ProcessLimits, Program,
    Refusal, Signal, StringList, UNLIMITED, Usage, View, Writes,
};
use core::time::Duration;
use fakes::user::Step::{self, *};
use std::vec;
use std::vec::Vec;

const PAUSE: u64 = 34;
const NANOSLEEP: u64 = 35;

const KILLED: ExitStatus = ExitStatus::Killed(Signal::KILL);

fn memory(pages: u64) -> Limits {
    Limits {
        memory_bytes: Some(pages * PAGE),
        ..Limits::default()
    }
}

fn weight(shares: u64) -> Limits {
    Limits {
        cpu_weight: Some(CpuWeight::from_shares(shares)),
        ..Limits::default()
    }
}

fn program(terminal: bool) -> Program<'static> {
    Program {
        args: StringList::from_packed(b"/x\0").expect("it ends with NUL"),
        env: StringList::default(),
        cwd: "",
        credentials: Credentials::default(),
        user: "",
        terminal,
        limits: ProcessLimits::default(),
    }
}

/// A process that was killed for memory, its view, and the bytes that were too much.
type Killed = (Pid, View, Option<u64>);

impl Bench {
    fn container(&mut self, limits: Limits) -> View {
        let view = self
            .kernel
            .create_view("/", Writes::Kept, None)
            .expect("there is room");
        self.kernel.set_limits(view, limits).expect("kept");
        view
    }

    fn usage(&self, view: View) -> Usage {
        self.kernel.usage(view).expect("it is there")
    }

    fn work(&mut self, slices: usize) {
        for _ in 0..slices {
            self.kernel.run_slice(&self.clock);
        }
    }

    /// Returns who was killed for memory since the last time, with the number of bytes that was too much, and who ended.
    fn killed(&mut self) -> (Vec<Killed>, Vec<(Pid, ExitStatus)>) {
        let (mut killed, mut ended) = (Vec::new(), Vec::new());
        for event in core::iter::from_fn(|| self.kernel.next_event()) {
            match event {
                Event::OutOfMemory(kill) => {
                    killed.push((kill.pid, kill.view, kill.over.map(|(_, limit)| limit)));
                }
                Event::Exited(pid, status) => ended.push((pid, status)),
                _ => {}
            }
        }
        (killed, ended)
    }

    fn ended(&mut self) -> Vec<(Pid, ExitStatus)> {
        core::iter::from_fn(|| self.kernel.next_event())
            .filter_map(|event| match event {
                Event::Exited(pid, status) => Some((pid, status)),
                _ => None,
            })
            .collect()
    }
}

/// Touches `pages` pages.
fn touch(pages: u64) -> Vec<Step> {
    let stores = (0..pages).map(|page| Store(AT + page * PAGE, vec![1]));
    steps(vec![map(pages, 3), stores.collect()])
}

fn touch_and_wait(pages: u64) -> Vec<Step> {
    steps(vec![touch(pages), vec![call(PAUSE, &[])]])
}

#[test]
fn a_container_gets_memory_below_and_at_its_limit_and_not_above() {
    let mut bench = Bench::new(1024);
    let view = bench.container(memory(UNLIMITED / PAGE));
    let pid = bench.run_in(view, touch_and_wait(40));
    bench.settle();
    let needs = bench.usage(view).memory_bytes / PAGE;
    bench.kernel.signal(pid, Signal::KILL).expect("it lives");
    bench.settle();
    bench.kernel.release(pid);
    for (limit, survives) in [(needs - 1, false), (needs, true), (needs + 1, true)] {
        let view = bench.container(memory(limit));
        let pid = bench.run_in(view, touch_and_wait(40));
        bench.settle();
        bench.ended();
        assert_eq!(bench.kernel.process(view, 0).is_some(), survives, "{limit}");
        let usage = bench.usage(view);
        assert!(usage.memory_peak_bytes <= limit * PAGE);
        assert_eq!(usage.memory_failures > 0, !survives);
        assert_eq!(usage.memory_kills, u64::from(!survives));
        assert_eq!(usage.memory_limit_bytes, limit * PAGE);
        bench.kernel.abort(pid);
        bench.kernel.remove_view(view);
        bench.settle();
    }
}

#[test]
fn a_container_over_its_limit_loses_its_fattest_process_and_nobody_else_does() {
    let mut bench = Bench::new(2048);
    let (small, other) = (bench.container(memory(200)), bench.container(memory(200)));
    let neighbour = bench.run_in(other, touch_and_wait(100));
    let own = bench.run(touch_and_wait(100));
    let thin = bench.run_in(small, touch_and_wait(20));
    let fat = bench.run_in(small, touch_and_wait(120));
    bench.settle();
    assert!(bench.ended().is_empty());
    // It asks for little, but the fat one has what is missing.
    let asker = bench.run_in(small, touch_and_wait(60));
    bench.settle();
    let over = Some(200 * PAGE);
    assert_eq!(
        bench.killed(),
        (vec![(fat, small, over)], vec![(fat, KILLED)])
    );
    let usage = bench.usage(small);
    assert_eq!(usage.memory_kills, 1);
    assert!(usage.memory_bytes <= 200 * PAGE);
    for pid in [neighbour, own, thin, asker] {
        assert!(
            bench.kernel.signal(pid, Signal::KILL).is_ok(),
            "{pid:?} lives"
        );
    }
    assert_eq!(bench.usage(other).memory_kills, 0);
}

#[test]
fn who_is_to_be_ended_for_memory_can_be_said_but_nobody_is_exempt() {
    for (adjustments, is_first) in [
        ([0, 0], false),
        ([0, -1000], true),
        ([100, 0], true),
        ([10, 0], false),
        ([-1000, -1000], false),
    ] {
        let mut bench = Bench::new(2000);
        let small = bench.container(memory(250));
        let thin = bench.run_in(small, touch_and_wait(60));
        let fat = bench.run_in(small, touch_and_wait(120));
        bench.settle();
        for (pid, adjustment) in [thin, fat].into_iter().zip(adjustments) {
            let id = bench.id(pid);
            let process = bench.kernel.system.process_mut(id).expect("it lives");
            process.blame.adjustment = adjustment;
        }
        let asker = bench.run_in(small, touch_and_wait(80));
        let id = bench.id(asker);
        let process = bench.kernel.system.process_mut(id).expect("it lives");
        process.blame.adjustment = -1000;
        bench.settle();
        let ended = if is_first { thin } else { fat };
        let (killed, _) = bench.killed();
        assert_eq!(killed[0].0, ended, "{adjustments:?}");
    }
}

#[test]
fn a_machine_without_frames_ends_the_fattest_of_the_account_that_has_the_most() {
    let mut bench = Bench::new(700);
    let [hog, other, third] = [0; 3].map(|_| bench.container(Limits::default()));
    let thin = bench.run_in(hog, touch_and_wait(20));
    let fat = bench.run_in(hog, touch_and_wait(300));
    bench.settle();
    let innocent = bench.run_in(other, touch_and_wait(200));
    let late = bench.run_in(third, touch_and_wait(200));
    bench.settle();
    assert_eq!(
        bench.killed(),
        (vec![(fat, hog, None)], vec![(fat, KILLED)])
    );
    for pid in [thin, innocent, late] {
        assert!(
            bench.kernel.signal(pid, Signal::KILL).is_ok(),
            "{pid:?} lives"
        );
    }
    bench.settle();
    assert_eq!(bench.usage(hog).memory_kills, 1);
    assert_eq!(bench.usage(hog).memory_failures, 0, "it had no limit");
    assert_eq!(bench.usage(View::UTILITY_VM).memory_kills, 1);
}

#[test]
fn nobody_is_killed_for_memory_whom_the_agent_would_not_hear_of() {
    for count in MAX_MEMORY_KILLS - 1..=MAX_MEMORY_KILLS + 1 {
        let mut bench = Bench::new(2048);
        let mut expected = Vec::new();
        for _ in 0..count {
            let view = bench.container(memory(60));
            expected.push((
                bench.run_in(view, touch_and_wait(100)),
                view,
                Some(60 * PAGE),
            ));
        }
        // Nothing is asked of the kernel meanwhile.
        for _ in 0..1000 {
            bench.kernel.run_slice(&bench.clock);
        }
        let (mut killed, _) = bench.killed();
        assert_eq!(killed.len(), count.min(MAX_MEMORY_KILLS));
        bench.settle();
        killed.extend(bench.killed().0);
        killed.sort_by_key(|&(pid, ..)| pid);
        assert_eq!(killed, expected);
    }
}

#[test]
fn a_call_that_fills_untouched_pages_is_held_to_the_limit_too() {
    let mut bench = Bench::new(1024);
    let view = bench.container(memory(60));
    // 100 pages of /dev/zero's like are not needed: clock_gettime into each.
    let mut program = map(100, 3);
    program.extend((0..100).map(|page| call(228, &[1, AT + page * PAGE])));
    program.push(exit(0));
    let pid = bench.run_in(view, program);
    bench.settle();
    assert_eq!(bench.ended(), [(pid, KILLED)]);
    assert_eq!(bench.finish(vec![exit(0)]), ExitStatus::Exited(0));
}

#[test]
fn a_container_that_is_full_is_told_so_and_loses_nobody_over_a_new_program() {
    let mut bench = Bench::new(1024);
    let view = bench.container(Limits::default());
    let pid = bench.run_in(view, touch_and_wait(40));
    bench.settle();
    let used = bench.usage(view).memory_bytes;
    bench
        .kernel
        .set_limits(view, memory(used / PAGE))
        .expect("kept");
    assert_eq!(
        bench.kernel.spawn(view, &program(false)),
        Err(Refusal::OutOfMemory)
    );
    bench.settle();
    assert!(bench.ended().is_empty());
    assert!(bench.kernel.signal(pid, Signal::TERM).is_ok());
}

#[test]
fn a_process_whose_terminal_is_refused_leaves_nothing_behind() {
    let mut bench = Bench::new(1024);
    let view = bench.container(Limits::default());
    let spawned = bench.kernel.spawn(view, &program(false));
    let alone = spawned.expect("there is room");
    let used = bench.usage(view).memory_bytes;
    bench.kernel.signal(alone, Signal::KILL).expect("it lives");
    bench.settle();
    bench.kernel.release(alone);
    bench.settle();
    let empty = bench.usage(view);
    // Without a terminal it fits, with one it does not.
    let limits = Limits {
        tasks: Some(1),
        ..memory(used / PAGE + 1)
    };
    bench.kernel.set_limits(view, limits).expect("kept");
    for _ in 0..2 {
        let refused = bench.kernel.spawn(view, &program(true));
        assert_eq!(refused, Err(Refusal::OutOfMemory));
        bench.settle();
        let usage = bench.usage(view);
        assert_eq!(usage.tasks, 0);
        assert_eq!(usage.memory_bytes, empty.memory_bytes);
    }
    let entry = bench.kernel.system.views.get(view).expect("it is there");
    assert_eq!(entry.init, 0, "it is nobody's first process");
}

#[test]
fn processes_are_made_below_and_at_the_limit_and_refused_by_name_above() {
    let mut bench = Bench::new(1024);
    let view = bench.container(Limits {
        tasks: Some(3),
        ..Limits::default()
    });
    let pids: Vec<_> = (0..3)
        .map(|_| bench.run_in(view, vec![call(PAUSE, &[])]))
        .collect();
    bench.settle();
    assert_eq!(
        bench.kernel.spawn(view, &program(false)),
        Err(Refusal::Limit("pids.limit", 3))
    );
    let usage = bench.usage(view);
    assert_eq!((usage.tasks, usage.tasks_limit), (3, 3));
    bench
        .kernel
        .signal(pids[0], Signal::KILL)
        .expect("it lives");
    bench.settle();
    assert_eq!(bench.usage(view).tasks, 3, "an ended process counts");
    bench.kernel.release(pids[0]);
    assert_eq!(bench.usage(view).tasks, 2);
    bench.run_in(view, vec![exit(0)]);
    bench.settle();
    assert_eq!(bench.usage(View::UTILITY_VM).tasks, 3, "the whole machine");
}

#[test]
fn limits_of_a_view_that_is_gone_are_refused() {
    let mut bench = Bench::new(256);
    let view = bench.container(Limits::default());
    bench.kernel.remove_view(view);
    assert_eq!(
        bench.kernel.set_limits(view, memory(1)),
        Err(Refusal::NoView)
    );
    assert_eq!(bench.kernel.usage(view), None);
}

#[test]
fn programs_of_containers_share_the_processor_by_weight() {
    for (one, other) in [(1024, 1024), (1024, 4096), (2, 262_144)] {
        let mut bench = Bench::new(1024);
        let (a, b) = (bench.container(weight(one)), bench.container(weight(other)));
        let spin = || vec![Spin(Duration::from_millis(1)), Jump(0)];
        for view in [a, b, b, b] {
            bench.run_in(view, spin());
        }
        bench.work(20_000);
        let had = |view| {
            let usage = bench.usage(view);
            (usage.user_time + usage.kernel_time).as_secs_f64()
        };
        let (had_a, had_b) = (had(a), had(b));
        assert!(had_a > 0.0);
        let share = had_b / (had_a + had_b);
        let expected = other as f64 / (one + other) as f64;
        assert!((share - expected).abs() < 0.02, "{share} for {expected}");
    }
}

#[test]
fn a_sleeper_wakes_at_its_time_beside_sixty_programs_that_spin() {
    let mut bench = Bench::new(4096);
    let (crowd, idle) = (
        bench.container(weight(262_144)),
        bench.container(Limits::default()),
    );
    for _ in 0..60 {
        bench.run_in(crowd, vec![Spin(Duration::from_millis(1)), Jump(0)]);
    }
    bench.work(200);
    let before = bench.kernel.system.now;
    let pid = bench.run_in(
        idle,
        steps(vec![
            map(1, 3),
            vec![
                Store(
                    AT,
                    [0_u64.to_le_bytes(), 50_500_000_u64.to_le_bytes()].concat(),
                ),
                call(NANOSLEEP, &[AT, 0]),
                exit(0),
            ],
        ]),
    );
    let mut slices = 0;
    while bench.ended() != [(pid, ExitStatus::Exited(0))] {
        bench.work(1);
        slices += 1;
        assert!(slices < 1000, "it never woke");
    }
    let took = bench.kernel.system.now.since(before);
    assert!(
        took >= Duration::from_micros(50_500) && took < Duration::from_micros(62_000),
        "{took:?}"
    );
}

#[test]
fn a_quota_holds_a_container_back_and_lets_the_machine_sleep_meanwhile() {
    let mut bench = Bench::new(1024);
    let view = bench.container(Limits {
        cpu_quota_us: Some(10_000),
        cpu_period_us: Some(100_000),
        ..Limits::default()
    });
    bench.run_in(view, vec![Spin(Duration::from_millis(1)), Jump(0)]);
    let mut slept = Duration::ZERO;
    let end = hal::clock::Instant::from_millis(5_000);
    while bench.kernel.system.now < end {
        if bench.kernel.run_slice(&bench.clock) {
            continue;
        }
        let now = bench.kernel.system.now;
        let next = bench.kernel.next_deadline();
        assert!(next > now, "it asks to be called at once, and does nothing");
        slept += next.since(now);
        bench.clock.advance(next.since(now));
    }
    assert!(slept > Duration::from_millis(4_300), "{slept:?}");
    let usage = bench.usage(view);
    let had = usage.user_time + usage.kernel_time;
    assert!(
        had > Duration::from_millis(450) && had < Duration::from_millis(550),
        "{had:?}"
    );
    assert!(usage.throttling.throttled_periods >= 45, "{usage:?}");
}

#[test]
fn what_a_container_has_used_is_told_as_it_is() {
    let mut bench = Bench::new(1024);
    let view = bench.container(Limits::default());
    let before = bench.usage(view);
    assert_eq!((before.tasks, before.faults), (0, 0));
    assert_eq!(before.memory_limit_bytes, UNLIMITED);
    let program = steps(vec![
        vec![Spin(Duration::from_millis(500))],
        touch(30),
        vec![call(PAUSE, &[])],
    ]);
    let pid = bench.run_in(view, program);
    bench.settle();
    let usage = bench.usage(view);
    assert!(usage.user_time >= Duration::from_millis(500));
    assert!(usage.user_time < Duration::from_millis(501));
    assert_eq!(usage.tasks, 1);
    // Thirty pages, the stack and the program; their tables besides.
    assert!(
        (32..48).contains(&(usage.program_bytes / PAGE)),
        "{usage:?}"
    );
    assert!((31..36).contains(&usage.faults), "{usage:?}");
    assert_eq!(usage.major_faults, 0);
    assert_eq!(
        usage.memory_bytes,
        usage.program_bytes + usage.file_bytes + usage.kernel_bytes
    );
    assert_eq!(bench.usage(View::UTILITY_VM).user_time, usage.user_time);
    bench.kernel.signal(pid, Signal::KILL).expect("it lives");
    bench.settle();
    bench.kernel.release(pid);
    let after = bench.usage(view);
    assert_eq!((after.tasks, after.program_bytes), (0, 0));
    assert_eq!(after.user_time, usage.user_time);
    assert_eq!(after.memory_peak_bytes, usage.memory_peak_bytes);
    // What a container has done is still counted when it is gone.
    bench.kernel.remove_view(view);
    bench.settle();
    assert_eq!(bench.usage(View::UTILITY_VM).user_time, usage.user_time);
}
