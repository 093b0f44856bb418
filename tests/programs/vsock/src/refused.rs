//! What cannot be, and what it is answered with.

use crate::socket::{Answer, Socket, address};
use hostile::call::name;
use libc::{AF_VSOCK, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, SOL_SOCKET};
use libc::{VMADDR_CID_ANY, VMADDR_CID_HOST, VMADDR_CID_LOCAL, VMADDR_PORT_ANY};
use std::fs::File;
use std::os::fd::AsRawFd;

/// SO_VM_SOCKETS_BUFFER_SIZE and SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW (linux/vm_sockets.h).
const BUFFER_SIZE: i32 = 0;
const CONNECT_TIMEOUT: i32 = 8;

/// IOCTL_VM_SOCKETS_GET_LOCAL_CID.
const GET_LOCAL_CID: u64 = 0x7b9;

fn say<T>(what: &str, answer: Answer<T>) {
    match answer {
        Ok(_) => println!("{what}: done"),
        Err(errno) => println!("{what}: {}", name(errno)),
    }
}

fn socket() -> Socket {
    Socket::new(0).expect("a socket")
}

pub(crate) fn run() {
    say("datagrams", Socket::of(AF_VSOCK, SOCK_DGRAM, 0));
    say("packets", Socket::of(AF_VSOCK, SOCK_SEQPACKET, 0));
    say("a protocol", Socket::of(AF_VSOCK, SOCK_STREAM, 7));
    say(
        "its own protocol",
        Socket::of(AF_VSOCK, SOCK_STREAM, AF_VSOCK),
    );

    for (what, cid, port) in [
        ("bind another machine", 77, 5000),
        ("bind the host", VMADDR_CID_HOST, 5000),
        ("bind a port of the session", VMADDR_CID_ANY, 0x4000_0001),
        ("bind the log's port", VMADDR_CID_ANY, 109),
        ("bind any port", VMADDR_CID_ANY, VMADDR_PORT_ANY),
    ] {
        say(what, socket().bind(cid, port));
    }
    let one = socket();
    say("bind", one.bind(VMADDR_CID_ANY, 5000));
    say("bind twice", one.bind(VMADDR_CID_ANY, 5001));
    say("bind what is bound", socket().bind(VMADDR_CID_ANY, 5000));
    say("connect a bound one", one.connect(VMADDR_CID_HOST, 5000));
    say("listen", one.listen(1));
    say(
        "connect a listening one",
        one.connect(VMADDR_CID_HOST, 5000),
    );
    say("listen without a port", socket().listen(1));
    say("accept without listening", socket().accept());

    for (what, cid, port) in [
        ("dial this machine", VMADDR_CID_LOCAL, 5000),
        ("dial another one", 77, 5000),
        ("dial the bridge", VMADDR_CID_HOST, 0x4000_0000),
        ("dial a stream", VMADDR_CID_HOST, 0x4000_0001),
        ("dial the last port", VMADDR_CID_HOST, u32::MAX - 1),
        ("dial the entropy", VMADDR_CID_HOST, 1),
        ("dial the log", VMADDR_CID_HOST, 109),
    ] {
        say(what, socket().connect(cid, port));
    }
    let short = address(VMADDR_CID_HOST, 5000);
    say("a short address", socket().connect_to(&short, 15));
    let mut other = short;
    other.svm_family = libc::AF_INET as libc::sa_family_t;
    say("another family", socket().connect_to(&other, 16));

    let quick = socket();
    let time = |tv_sec, tv_usec| libc::timeval { tv_sec, tv_usec };
    let set = |time| quick.set_option(AF_VSOCK, CONNECT_TIMEOUT, &time);
    say("an endless patience", set(time(-1, 0)));
    say("a microsecond too many", set(time(0, 1_000_000)));
    say("a short patience", set(time(0, 100_000)));
    say("dial nobody", quick.connect(VMADDR_CID_HOST, 4999));
    println!("its error is told once: {:?}", quick.error());
    say("read", quick.read(&mut [0]));
    say("write", quick.write(b"!"));
    say("shutdown", quick.shutdown(libc::SHUT_RDWR));
    say("the other end", quick.peer_name());
    println!("its own: {:?}", quick.own_name());
    // One that is under way for as long as this takes, and one that is soon over.
    let [patient, late] = [time(3600, 0), time(0, 100_000)].map(|patience| {
        let socket = Socket::new(libc::SOCK_NONBLOCK).expect("a socket");
        say(
            "patience",
            socket.set_option(AF_VSOCK, CONNECT_TIMEOUT, &patience),
        );
        say("begin", socket.connect(VMADDR_CID_HOST, 4999));
        socket
    });
    say("begin again", patient.connect(VMADDR_CID_HOST, 4999));
    println!("under way: {:?}", patient.poll(0));
    drop(patient);
    println!("over: {}", late.poll(-1));
    println!("why: {:?}", late.error().map(name));

    let domain = quick.option::<i32>(SOL_SOCKET, libc::SO_DOMAIN);
    println!("domain: {domain:?}");
    let size = quick.option::<u64>(AF_VSOCK, BUFFER_SIZE);
    println!("buffer: {size:?}");
    say("half a size", quick.option::<u32>(AF_VSOCK, BUFFER_SIZE));
    say("no option", quick.option::<u64>(AF_VSOCK, 99));
    say("no level", quick.option::<u64>(99, 0));
    let device = File::open("/dev/vsock").expect("it is there");
    let mut cid = 0_u32;
    // SAFETY: the request writes one number of 32 bits.
    let done = unsafe { libc::ioctl(device.as_raw_fd(), GET_LOCAL_CID, &raw mut cid) };
    println!("this machine: {done} {cid}");
}
