//! Standard streams carry everything, wait for slow readers, and stop nobody else.

use e2e::{Bed, DEADLINE, MACHINES, busybox_disk, config};
use mote_host::ProcessConfig;
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::thread;

/// Bytes that tell each place from its neighbours.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32)
        .map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn sixteen_mebibytes_of_input_have_the_hosts_digest_on_every_machine() {
    let input = pattern(16 * 1024 * 1024);
    let expected = hexadecimal(&Sha256::digest(&input));
    for machine in MACHINES {
        let bed = Bed::boot(config(machine).disk(busybox_disk()));
        let output = bed.run(&ProcessConfig::new(["/bin/busybox", "sha256sum"]), &input);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.starts_with(&expected), "{machine:?}: {text}");
    }
}

#[test]
fn what_goes_in_comes_out() {
    let bed = Bed::busybox();
    for length in [0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 5_000_000] {
        let input = pattern(length);
        let output = bed.run(&ProcessConfig::new(["/bin/busybox", "cat"]), &input);
        assert!(
            output.stdout == input,
            "{} bytes instead of {length}",
            output.stdout.len()
        );
        assert_eq!(output.exit_code, 0);
    }
}

#[test]
fn output_is_complete_when_the_exit_code_comes() {
    let bed = Bed::busybox();
    let output = bed.output(&["/programs/writer", "8"]);
    assert_eq!(
        output.exit_code,
        0,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.stdout.len(), 8 * 1024 * 1024);
    let block: Vec<u8> = (0..65536_u32).map(|index| (index % 251) as u8).collect();
    assert!(output.stdout.chunks(65536).all(|chunk| chunk == block));
}

#[test]
fn a_host_that_never_reads_stalls_its_program_and_nobody_else() {
    let bed = Bed::busybox();
    let stalled = bed
        .guest
        .create_process(&ProcessConfig::new(["/programs/writer", "64"]))
        .expect("runs");
    for _ in 0..20 {
        bed.assert_alive();
        bed.guest.dump_stacks().expect("answered");
    }
    assert!(
        stalled.exit_code().is_err(),
        "it cannot have written 64 MiB"
    );
    // What was held back is not lost.
    let mut stdout = stalled.stdout().expect("asked for");
    let mut count = 0;
    let mut buffer = vec![0; 1 << 20];
    while let Ok(more @ 1..) = stdout.read(&mut buffer) {
        count += more;
    }
    assert_eq!(count, 64 * 1024 * 1024);
    stalled.close();
    assert_eq!(stalled.wait_timeout(DEADLINE).expect("ended"), 0);
}

#[test]
fn a_stalled_program_can_be_killed() {
    let bed = Bed::busybox();
    let stalled = bed
        .guest
        .create_process(&ProcessConfig::new(["/programs/writer", "64"]))
        .expect("runs");
    assert!(stalled.kill().expect("delivered"));
    stalled.close();
    assert_eq!(stalled.wait_timeout(DEADLINE).expect("ended"), 128 + 9);
}

#[test]
fn a_host_that_closes_output_ends_the_writer() {
    let bed = Bed::busybox();
    let process = bed
        .guest
        .create_process(&ProcessConfig::new(["/programs/writer", "1000"]))
        .expect("runs");
    let mut stdout = process.stdout().expect("asked for");
    stdout.read_exact(&mut [0; 1000]).expect("it writes");
    process.close();
    let code = process.wait_timeout(DEADLINE).expect("ended");
    assert_ne!(code, 0, "it cannot have written 1000 MiB");
    bed.assert_alive();
}

#[test]
fn a_program_that_does_not_read_leaves_its_input_unread() {
    let bed = Bed::busybox();
    let output = bed.run(
        &ProcessConfig::new(["/bin/busybox", "head", "-c", "5"]),
        &pattern(4 * 1024 * 1024),
    );
    assert_eq!(output.stdout, &pattern(5)[..]);
    assert_eq!(output.exit_code, 0);
    bed.assert_alive();
}

#[test]
fn streams_that_were_not_asked_for_are_the_null_device() {
    let bed = Bed::busybox();
    let config = ProcessConfig::new(["/bin/busybox", "cat"]).without_stdin();
    let output = bed.run(&config, b"");
    assert_eq!((output.exit_code, output.stdout.len()), (0, 0));
    let config = ProcessConfig::new(["/bin/busybox", "echo", "into nothing"]).without_stdio();
    assert_eq!(bed.run(&config, b"").exit_code, 0);
}

#[test]
fn an_interactive_program_answers_line_by_line() {
    let bed = Bed::busybox();
    let process = bed
        .guest
        .create_process(&ProcessConfig::new(["/bin/busybox", "cat"]))
        .expect("runs");
    let (mut stdin, mut stdout) = (
        process.stdin().expect("asked for"),
        process.stdout().expect("asked for"),
    );
    for number in 0..100 {
        let line = format!("line {number}\n");
        stdin.write_all(line.as_bytes()).expect("taken");
        let mut back = vec![0; line.len()];
        stdout.read_exact(&mut back).expect("answered");
        assert_eq!(back, line.as_bytes());
    }
    process.close_stdin().expect("open");
    assert_eq!(stdout.read(&mut [0]).expect("the end"), 0);
    process.close();
    assert_eq!(process.wait_timeout(DEADLINE).expect("ended"), 0);
}

#[test]
fn many_streams_flow_at_once() {
    let bed = Bed::busybox();
    let input = pattern(1_000_000);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let output = bed.run(&ProcessConfig::new(["/bin/busybox", "cat"]), &input);
                assert!(output.stdout == input);
            });
        }
    });
}
