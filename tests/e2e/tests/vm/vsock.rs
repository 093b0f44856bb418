//! Programs speak with their host over vsock(7), whoever dials, and touch nothing that is not theirs.

use crate::stream::pattern;
use e2e::{Bed, DEADLINE, MACHINES, Tree, config, vsock_program};
use mote_host::vm::Vsock;
use mote_host::{ContainerConfig, Machine, Process, ProcessConfig};
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::thread;

const PROGRAM: &str = "/bin/vsock-program";

/// The port that a test's program dials, and the one that it listens on.
const HOST_PORT: u32 = 5000;
const GUEST_PORT: u32 = 7000;

/// What is under way at once.
const BLOCK_BYTES: usize = 48 * 1024;

/// A machine with the program. Its back end is always the same one: with the host's own, ports are those of all machines, each
/// has another number, and who is not there is told otherwise.
fn boot(machine: Machine) -> Bed {
    let tree = Tree::with_busybox();
    tree.copy(vsock_program(), PROGRAM.trim_start_matches('/'));
    Bed::boot(config(machine).vsock(Vsock::Daemon).disk(tree.image()))
}

fn start(bed: &Bed, args: &[&str]) -> (Process, BufReader<mote_host::StdioStream>) {
    let words = [&[PROGRAM], args].concat();
    let process = bed
        .guest
        .create_process(&ProcessConfig::new(words))
        .expect("runs");
    let said = BufReader::new(process.stdout().expect("asked for"));
    (process, said)
}

fn kill(process: &Process) {
    process.kill().expect("there to be killed");
    assert_eq!(process.wait_timeout(DEADLINE).expect("ends"), 137);
}

fn line(said: &mut impl BufRead) -> String {
    let mut line = String::new();
    said.read_line(&mut line).expect("readable");
    line.trim_end().to_owned()
}

/// Sends bytes to somebody who gives them back, block by block; returns the digest of what came. Not all at once:
/// vhost-device-vsock 0.3.0 gives the host nothing of what waits for it while the host itself has something to send.
fn echoed(stream: &UnixStream, bytes: &[u8]) -> [u8; 32] {
    let mut back = vec![0; bytes.len()];
    for (out, back) in bytes.chunks(BLOCK_BYTES).zip(back.chunks_mut(BLOCK_BYTES)) {
        (&*stream).write_all(out).expect("taken");
        (&*stream).read_exact(back).expect("given back");
    }
    Sha256::digest(&back).into()
}

#[test]
fn a_program_dials_its_host_and_megabytes_go_both_ways_on_every_machine() {
    let bytes = pattern(8 << 20);
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    for machine in MACHINES {
        let bed = boot(machine);
        let listener = bed.vm.ports().listen(HOST_PORT).expect("free");
        let (process, mut said) = start(&bed, &["echo", "5000"]);
        let stream = listener.accept(DEADLINE).expect("listens").expect("dials");
        let names = line(&mut said);
        assert!(names.starts_with("Ok((3, "), "{names}");
        assert!(names.ends_with("Ok((2, 5000))"), "{names}");
        assert_eq!(echoed(&stream, &bytes), digest, "{machine:?}");
        stream.shutdown(Shutdown::Both).expect("open");
        assert_eq!(process.wait_timeout(DEADLINE).expect("ends"), 0);
        bed.assert_alive();
    }
}

#[test]
fn a_program_is_dialled_on_every_machine_and_a_port_nobody_has_is_refused() {
    let bytes = pattern(4 << 20);
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    for machine in MACHINES {
        let bed = boot(machine);
        let ports = bed.vm.ports();
        ports.dial(GUEST_PORT).expect_err("nobody listens");
        let (process, mut said) = start(&bed, &["serve", "7000", "3"]);
        assert_eq!(line(&mut said), "listening Ok((4294967295, 7000))");
        ports
            .dial(GUEST_PORT + 1)
            .expect_err("nobody listens there");
        for _ in 0..3 {
            let stream = ports.dial(GUEST_PORT).expect("it listens");
            assert_eq!(line(&mut said), "Ok((3, 7000)) from 2");
            assert_eq!(echoed(&stream, &bytes), digest, "{machine:?}");
        }
        assert_eq!(process.wait_timeout(DEADLINE).expect("ends"), 0);
        ports.dial(GUEST_PORT).expect_err("nobody listens any more");
        bed.assert_alive();
    }
}

#[test]
fn connections_wait_to_be_accepted_and_go_with_who_was_to_accept_them() {
    let bed = boot(Machine::Microvm);
    let ports = bed.vm.ports();
    let (process, mut said) = start(&bed, &["serve", "7000", "1"]);
    assert_eq!(line(&mut said), "listening Ok((4294967295, 7000))");
    // One is served, four wait, and what is sent meanwhile waits with them.
    let mut streams = vec![ports.dial(GUEST_PORT).expect("it listens")];
    assert_eq!(line(&mut said), "Ok((3, 7000)) from 2");
    streams.extend((0..4).map(|_| ports.dial(GUEST_PORT).expect("there is room to wait")));
    for stream in &mut streams {
        stream.write_all(b"hello").expect("taken");
    }
    drop(streams.remove(0));
    assert_eq!(process.wait_timeout(DEADLINE).expect("ends"), 0);
    for mut stream in streams {
        let mut rest = Vec::new();
        // Closed or reset, as the back end says it.
        let _ = stream.read_to_end(&mut rest);
        assert_eq!(rest, b"", "nobody was there to answer");
    }
    bed.assert_alive();
}

#[test]
fn a_host_that_reads_nothing_stalls_its_program_alone_and_gets_everything_later() {
    const BYTES: usize = 8 << 20;
    let bed = boot(Machine::Microvm);
    let listener = bed.vm.ports().listen(HOST_PORT).expect("free");
    let (process, mut said) = start(&bed, &["send", "5000", &BYTES.to_string()]);
    let mut stream = listener.accept(DEADLINE).expect("listens").expect("dials");
    for _ in 0..20 {
        bed.assert_alive();
        bed.guest.dump_stacks().expect("answered");
    }
    assert!(process.exit_code().is_err(), "it cannot have sent 8 MiB");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("readable");
    let block: Vec<u8> = (0..65536).map(|at: u32| (at % 251) as u8).collect();
    assert_eq!(all.len(), BYTES);
    assert!(all.chunks(65536).all(|chunk| chunk == block));
    assert_eq!(line(&mut said), "all");
    assert_eq!(process.wait_timeout(DEADLINE).expect("ends"), 0);
}

#[test]
fn a_program_that_reads_nothing_stalls_its_host_alone() {
    let bed = boot(Machine::Microvm);
    let ports = bed.vm.ports();
    let (process, mut said) = start(&bed, &["serve", "7000", "1"]);
    line(&mut said);
    let _served = ports.dial(GUEST_PORT).expect("it listens");
    line(&mut said);
    let waiting = ports.dial(GUEST_PORT).expect("it listens");
    // Nobody has accepted that one, so that what is sent to it waits, and at last its sender.
    let (tell, told) = mpsc::channel();
    let mut writer = waiting.try_clone().expect("a descriptor");
    let sender = thread::spawn(move || {
        let block = vec![7; 1 << 20];
        while writer.write_all(&block).is_ok() {
            tell.send(()).expect("listened to");
        }
    });
    for _ in 0..20 {
        bed.assert_alive();
    }
    assert!(
        told.try_iter().count() < 16,
        "16 MiB cannot have found room"
    );
    kill(&process);
    sender.join().expect("it is told that nobody is there");
    drop(waiting);
    bed.assert_alive();
}

#[test]
fn poll_tells_each_step_of_a_connection() {
    let bed = boot(Machine::Microvm);
    let listener = bed.vm.ports().listen(HOST_PORT).expect("free");
    let (process, mut said) = start(&bed, &["poll", "5000"]);
    let mut stream = listener.accept(DEADLINE).expect("listens").expect("dials");
    let mut byte = [0];
    stream.read_exact(&mut byte).expect("told to write");
    stream.write_all(b"hello").expect("taken");
    stream.read_exact(&mut byte).expect("told to close");
    stream.shutdown(Shutdown::Both).expect("open");
    let mut text = String::new();
    said.read_to_string(&mut text).expect("readable");
    let expected = "\
idle: OUT
connect: EINPROGRESS
connected: OUT
SO_ERROR: Ok(0)
again: EISCONN
read: EAGAIN
bytes: IN OUT
FIONREAD: 5
read: hello
closed: IN OUT RDHUP
read: Ok(0)
write: EPIPE
";
    assert_eq!(text, expected);
    assert_eq!(process.wait_timeout(DEADLINE).expect("ends"), 0);
}

#[test]
fn what_cannot_be_is_refused_by_its_name() {
    let bed = boot(Machine::Microvm);
    let output = bed.output(&[PROGRAM, "refused"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text, REFUSED, "{output:?}");
}

const REFUSED: &str = "\
datagrams: ENODEV
packets: ESOCKTNOSUPPORT
a protocol: EPROTONOSUPPORT
its own protocol: done
bind another machine: EADDRNOTAVAIL
bind the host: EADDRNOTAVAIL
bind a port of the session: EACCES
bind the log's port: EACCES
bind any port: done
bind: done
bind twice: EINVAL
bind what is bound: EADDRINUSE
connect a bound one: EADDRNOTAVAIL
listen: done
connect a listening one: EINVAL
listen without a port: EINVAL
accept without listening: EINVAL
dial this machine: ENETUNREACH
dial another one: ENETUNREACH
dial the bridge: EACCES
dial a stream: EACCES
dial the last port: EACCES
dial the entropy: EACCES
dial the log: EACCES
a short address: EINVAL
another family: EINVAL
an endless patience: ERANGE
a microsecond too many: ERANGE
a short patience: done
dial nobody: ETIMEDOUT
its error is told once: Ok(0)
read: ENOTCONN
write: ENOTCONN
shutdown: ENOTCONN
the other end: ENOTCONN
its own: Ok((4294967295, 4294967295))
patience: done
begin: EINPROGRESS
patience: done
begin: EINPROGRESS
begin again: EALREADY
under way: \"\"
over: OUT ERR
why: Ok(\"ETIMEDOUT\")
domain: Ok(40)
buffer: Ok(65536)
half a size: EINVAL
no option: ENOPROTOOPT
no level: ENOPROTOOPT
this machine: 0 3
";

#[test]
fn who_takes_all_connections_leaves_the_agent_its_own_and_others_theirs() {
    let bed = boot(Machine::Microvm);
    let listener = bed.vm.ports().listen(HOST_PORT).expect("free");
    let (end, ended) = mpsc::channel::<()>();
    let taker = thread::spawn(move || {
        let (mut count, mut held) = (0, Vec::new());
        while ended.try_recv().is_err() {
            if let Some(stream) = listener.accept(e2e::LOOK_AGAIN).expect("listens") {
                stream.set_nonblocking(true).expect("ours");
                held.push(stream);
                count += 1;
            }
            // Those at their end are let go: this process may not have any number open.
            held.retain(|mut stream| stream.read(&mut [0]).is_err());
        }
        count
    });
    let init = ProcessConfig::new([PROGRAM, "take", "5000"]);
    let container = bed
        .guest
        .create_container("taker", &ContainerConfig::new(&init))
        .expect("created");
    container.start().expect("started");
    let init = container
        .create_process(&ProcessConfig::init())
        .expect("runs");
    let mut said = BufReader::new(init.stdout().expect("asked for"));
    assert_eq!(line(&mut said), "64 EADDRNOTAVAIL");
    // Beside all those the agent's own find their places …
    let neighbours: Vec<Process> = (0..32)
        .map(|_| {
            let cat = ProcessConfig::new(["/bin/busybox", "cat"]);
            bed.guest.create_process(&cat).expect("runs")
        })
        .collect();
    // … and so do those of another container, here the utility VM.
    let mut other = start(&bed, &["take", "5000"]);
    let second = line(&mut other.1);
    assert!(second.ends_with(" EADDRNOTAVAIL"), "{second}");
    let count: u32 = second[..second.len() - 14].parse().expect("a number");
    assert!(count >= 16, "{second}");
    drop(neighbours);
    container.terminate().expect("ended");
    container.close();
    kill(&other.0);
    // What they had comes back.
    let output = loop {
        let output = bed.output(&[PROGRAM, "take", "5000"]);
        if output.stdout.starts_with(b"64 ") {
            break output;
        }
    };
    assert_eq!(output.exit_code, 0);
    end.send(()).expect("listened to");
    assert!(taker.join().expect("ends") >= 64);
    bed.assert_alive();
}
