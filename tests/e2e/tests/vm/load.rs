//! Many processes at once, and some that would like the machine for themselves.

use e2e::{Bed, DEADLINE, MACHINES, busybox_disk, config};
use mote_host::{Machine, Process, ProcessConfig};
use std::io::{Read, Write};

/// As many as the product promises.
pub(crate) const PROCESSES: usize = 64;

/// Checks that each of these gives a line back that it is given.
#[track_caller]
pub(crate) fn assert_all_echo(processes: &[Process]) {
    for (number, process) in processes.iter().enumerate() {
        let line = format!("process {number}\n");
        process
            .stdin()
            .expect("asked for")
            .write_all(line.as_bytes())
            .expect("taken");
        let mut back = vec![0; line.len()];
        process
            .stdout()
            .expect("asked for")
            .read_exact(&mut back)
            .expect("answered");
        assert_eq!(back, line.as_bytes());
    }
}

#[test]
fn sixty_four_processes_run_at_once() {
    for machine in MACHINES {
        let bed = Bed::boot(config(machine).disk(busybox_disk()).memory_mib(128));
        let processes: Vec<_> = (0..PROCESSES)
            .map(|_| {
                bed.guest
                    .create_process(&ProcessConfig::new(["/bin/busybox", "cat"]))
                    .unwrap_or_else(|error| panic!("{machine:?}: {error}"))
            })
            .collect();
        // All of them live and answer before the first one ends.
        assert_all_echo(&processes);
        let mut pids: Vec<u32> = processes.iter().map(Process::pid).collect();
        pids.sort_unstable();
        pids.dedup();
        assert_eq!(pids.len(), PROCESSES, "ids are unique");
        for process in &processes {
            assert_eq!(
                process
                    .output_within(b"", DEADLINE)
                    .expect("ended")
                    .exit_code,
                0
            );
        }
    }
}

#[test]
fn processes_come_and_go_many_times_over() {
    let bed = Bed::busybox();
    for _ in 0..300 {
        assert_eq!(bed.output(&["/programs/true"]).exit_code, 0);
    }
}

#[test]
fn more_processes_than_there_is_room_for_are_refused_with_the_limit() {
    let bed = Bed::boot(
        config(Machine::Microvm)
            .disk(busybox_disk())
            .memory_mib(128),
    );
    let mut processes = Vec::new();
    let error = loop {
        let config = ProcessConfig::new(["/programs/spin"]).without_stdio();
        match bed.guest.create_process(&config) {
            Ok(process) => processes.push(process),
            Err(error) => break error,
        }
        assert!(processes.len() < 10_000, "there is no limit");
    };
    assert!(
        processes.len() >= PROCESSES,
        "{} processes; then: {error}",
        processes.len()
    );
    assert!(error.hresult().is_some(), "{error}");
    for process in &processes {
        assert!(process.kill().expect("delivered"));
    }
    for process in &processes {
        assert_eq!(process.wait_timeout(DEADLINE).expect("ended"), 128 + 9);
    }
    bed.assert_alive();
}

#[test]
fn spinning_programs_do_not_keep_others_from_running() {
    let bed = Bed::busybox();
    let spinners: Vec<_> = (0..4)
        .map(|_| {
            bed.guest
                .create_process(&ProcessConfig::new(["/programs/spin"]).without_stdio())
                .expect("runs")
        })
        .collect();
    for _ in 0..20 {
        bed.guest.dump_stacks().expect("answered");
        bed.assert_alive();
    }
    for spinner in &spinners {
        assert!(spinner.exit_code().is_err(), "it spins for ever");
        assert!(spinner.kill().expect("delivered"));
    }
    for spinner in &spinners {
        assert_eq!(spinner.wait_timeout(DEADLINE).expect("ended"), 128 + 9);
    }
}

#[test]
fn a_program_that_wants_too_much_memory_is_refused_it_alone() {
    let bed = Bed::boot(config(Machine::Microvm).disk(busybox_disk()).memory_mib(32));
    let output = bed.output(&["/programs/memory", "512"]);
    assert_ne!(output.exit_code, 0);
    bed.assert_alive();
}

#[test]
fn registers_survive_the_company_of_others() {
    let bed = Bed::busybox();
    std::thread::scope(|scope| {
        for seed in 1..=4_u32 {
            let bed = &bed;
            scope.spawn(move || {
                let output = bed.output(&["/programs/fpu", "20", &seed.to_string()]);
                assert_eq!(
                    output.exit_code,
                    0,
                    "{}",
                    String::from_utf8_lossy(&output.stderr)
                );
            });
        }
    });
}
