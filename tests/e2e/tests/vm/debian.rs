//! Unmodified programs of a distribution, dynamically linked: what they say in the VM is what they say on the host.

use e2e::{Bed, config, debian_disk, on_debian_host};
use mote_host::{Machine, ProcessConfig};
use std::collections::{BTreeMap, BTreeSet};

/// Memory for what is run here: python and sixteen programs at once.
const MEMORY_MIB: u32 = 256;

fn boot() -> Bed {
    Bed::boot(
        config(Machine::Microvm)
            .disk(debian_disk())
            .memory_mib(MEMORY_MIB),
    )
}

fn process(args: &[&str]) -> ProcessConfig {
    let config = ProcessConfig::new(args.iter().copied());
    e2e::ENVIRONMENT
        .iter()
        .fold(config, |config, (name, value)| config.env(*name, *value))
}

/// Runs a script in the VM and on the host, and compares what they say.
fn same(args: &[&str]) {
    let bed = boot();
    let expected = on_debian_host(args);
    let found = bed.run(&process(args), b"");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(
        (text(&found.stdout), found.exit_code),
        (text(&expected.stdout), expected.exit_code),
        "{args:?} in the VM (left) and on the host (right)\nthe VM's stderr:\n{}\nthe host's stderr:\n{}",
        text(&found.stderr),
        text(&expected.stderr),
    );
    let alive = bed.output(&["/bin/echo", "alive"]);
    assert_eq!(alive.stdout, b"alive\n", "{alive:?}");
}

#[test]
fn bash_runs_pipelines_here_documents_traps_substitutions_and_jobs() {
    same(&["/bin/bash", "/scripts/shell.bash"]);
}

#[test]
fn find_xargs_tar_gzip_xz_awk_and_sort_work_on_many_files_at_once() {
    same(&["/scripts/files.sh"]);
}

#[test]
fn python_makes_threads_children_and_shared_memory() {
    same(&["/usr/bin/python3", "/scripts/processes.py"]);
}

#[test]
fn perl_makes_children_pipes_and_handles_signals() {
    same(&["/scripts/processes.pl"]);
}

#[test]
fn perl_talks_over_sockets_by_its_own_modules() {
    same(&["/scripts/sockets.pl"]);
}

#[test]
fn bash_stops_its_jobs_and_lets_them_go_on_in_the_background_and_in_front() {
    same(&["/bin/bash", "/scripts/jobs.bash"]);
}

#[test]
fn each_run_of_a_program_finds_itself_its_library_heap_and_stack_elsewhere() {
    const RUNS: usize = 6;
    let bed = boot();
    let mut places: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for _ in 0..RUNS {
        let maps = bed.output(&["/bin/cat", "/proc/self/maps"]);
        let maps = String::from_utf8(maps.stdout).expect("text");
        for name in ["/cat", "/libc.so.6", "[heap]", "[stack]", "[vdso]"] {
            let first = maps.lines().find(|line| line.ends_with(name));
            let first = first.unwrap_or_else(|| panic!("no {name} in\n{maps}"));
            let (start, _) = first.split_once('-').expect("a range");
            places.entry(name).or_default().insert(start.to_owned());
        }
    }
    // Each has 2^20 places or more: two of six are one at most once in so many runs that nobody sees it.
    for (name, places) in places {
        assert_eq!(places.len(), RUNS, "{name}: {places:?}");
    }
}

#[test]
fn make_builds_a_project_in_parallel_whose_static_programs_on_musl_run() {
    same(&["/scripts/make.sh"]);
}

#[test]
fn a_program_on_musl_s_shared_library_is_compiled_and_run_by_its_loader() {
    same(&["/scripts/musl.sh"]);
}

#[test]
fn a_static_go_program_runs_a_hundred_goroutines() {
    same(&["/usr/bin/goroutines"]);
}

/// Runs a script in the VM that needs `/proc` and `/dev`, which are not there where the tree is entered on the host, and compares
/// what it says with what is known to be true.
fn says(args: &[&str], expected: &str) {
    let output = boot().run(&process(args), b"");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        (text.as_ref(), output.exit_code),
        (expected, 0),
        "{output:?}"
    );
}

#[test]
fn procps_tells_of_processes_threads_memory_and_the_machine() {
    says(
        &["/bin/bash", "/scripts/procps.bash"],
        include_str!("../../scripts/procps.expected"),
    );
}

#[test]
fn what_a_user_tries_first_works() {
    says(
        &["/bin/bash", "/scripts/everyday.bash"],
        include_str!("../../scripts/everyday.expected"),
    );
}

#[test]
fn python_s_processes_loops_databases_and_terminals_work() {
    says(
        &["/usr/bin/python3", "/scripts/modules.py"],
        include_str!("../../scripts/modules.expected"),
    );
}
