//! The bridge drops; the guest dials again, and what runs lives on.

use e2e::{Bed, DEADLINE};
use mote_host::ProcessConfig;
use mote_host::frame::HEADER_BYTES;
use std::io::{Read, Write};

#[test]
fn processes_live_on_when_the_host_hangs_up() {
    let bed = Bed::busybox();
    let process = bed
        .guest
        .create_process(&ProcessConfig::new(["/bin/busybox", "cat"]))
        .expect("runs");
    for round in 0..3 {
        let last = if round == 0 {
            bed.guest.clone()
        } else {
            bed.vm.connect().expect("dialled again")
        };
        last.close();
        let (mut stdin, mut stdout) = (
            process.stdin().expect("asked for"),
            process.stdout().expect("asked for"),
        );
        stdin.write_all(b"still here").expect("taken");
        let mut back = [0; 10];
        stdout.read_exact(&mut back).expect("answered");
        assert_eq!(&back, b"still here");
    }
    let guest = bed.vm.connect().expect("dialled again");
    let found = guest.open_process(process.pid()).expect("sent");
    process.close_stdin().expect("open");
    assert_eq!(
        process
            .stdout()
            .expect("asked for")
            .read(&mut [0])
            .expect("the end"),
        0
    );
    process.close();
    assert_eq!(found.wait_timeout(DEADLINE).expect("ended"), 0);
}

#[test]
fn an_exit_code_is_kept_while_nobody_is_connected() {
    let bed = Bed::busybox();
    let process = bed
        .guest
        .create_process(&ProcessConfig::new([
            "/bin/busybox",
            "sh",
            "-c",
            "read line; exit 42",
        ]))
        .expect("runs");
    bed.guest.close();
    process.close_stdin().expect("open");
    for mut stream in [process.stdout(), process.stderr()].into_iter().flatten() {
        assert_eq!(stream.read(&mut [0]).expect("the end"), 0);
    }
    process.close();
    let guest = bed.vm.connect().expect("dialled again");
    let found = guest.open_process(process.pid()).expect("sent");
    assert_eq!(found.wait_timeout(DEADLINE).expect("ended"), 42);
}

#[test]
fn a_host_that_hangs_up_inside_a_frame_is_dialled_again() {
    let bed = Bed::busybox();
    bed.guest.close();
    for cut in [1, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 5] {
        let mut stream = bed.vm.accept_bridge(DEADLINE).expect("dialled");
        let frame = crate::wire::request(0x1010_0b01, 0, crate::wire::NEGOTIATE);
        stream.write_all(&frame[..cut]).expect("taken");
    }
    let guest = bed.vm.connect().expect("dialled again");
    guest.dump_stacks().expect("answered");
}

#[test]
fn a_container_lives_on_when_the_host_hangs_up() {
    let bed = Bed::busybox();
    let init = ProcessConfig::new(["/bin/busybox", "cat"]);
    let config = mote_host::ContainerConfig::new(&init);
    let container = bed.guest.create_container("c", &config).expect("created");
    let process = container
        .create_process(&ProcessConfig::init())
        .expect("runs");
    bed.guest.close();
    let guest = bed.vm.connect().expect("dialled again");
    let again = guest.open_container("c").expect("registered");
    let found = again.open_process(process.pid()).expect("sent");
    let list = again.process_list().expect("listed");
    assert_eq!(list[0].pid, process.pid());
    again.terminate().expect("delivered");
    process.close();
    assert_eq!(found.wait_timeout(DEADLINE).expect("ended"), 137);
    assert!(matches!(
        again.wait_timeout(DEADLINE).expect("notified"),
        mote_host::ContainerExit::Notified(mote_host::ExitType::Forced)
    ));
    guest.delete_container_state("c").expect("deleted");
}
