//! Connections between a program and its host (vsock(7)), tried from the program's side.
//!
//! | command | |
//! |---|---|
//! | `echo PORT` | dials the host and gives back what comes, until the host's end |
//! | `serve PORT COUNT` | takes so many connections of the host's, one after the other, and gives back what comes on each |
//! | `send PORT BYTES` | sends so many bytes and closes; says how many found somebody |
//! | `poll PORT` | dials without waiting and says what poll tells at each step |
//! | `take PORT` | dials as often as it may, says how often, and holds all until its standard input ends |
//! | `refused` | says what each thing that cannot be is answered with |
//!
//! What it says stands on standard output. The exit code is 0, or 101 with a panic where the kernel surprised it.

mod refused;
mod socket;

use hostile::call::name;
use socket::Socket;
use std::io::{Read, Write};

/// How much is read and written at once.
const BLOCK_BYTES: usize = 64 * 1024;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |word: &str| word.parse::<u32>().expect("a number");
    match words[..] {
        ["echo", port] => {
            let socket = dial(number(port));
            println!("{:?} {:?}", socket.own_name(), socket.peer_name());
            echo(socket);
        }
        ["serve", port, count] => serve(number(port), number(count)),
        ["send", port, bytes] => send(number(port), number(bytes)),
        ["poll", port] => poll(number(port)),
        ["take", port] => take(number(port)),
        ["refused"] => refused::run(),
        _ => panic!("unknown command: {words:?}"),
    }
}

/// Dials the host, which takes it.
fn dial(port: u32) -> Socket {
    let socket = Socket::new(0).expect("a socket");
    let dialled = socket.connect(libc::VMADDR_CID_HOST, port);
    dialled.unwrap_or_else(|errno| panic!("connect: {}", name(errno)));
    socket
}

/// Gives back what comes, until the end.
fn echo(socket: Socket) {
    let mut stream = socket.into_file();
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let carried = stream
            .read(&mut block)
            .and_then(|count| stream.write_all(&block[..count]).map(|()| count));
        match carried {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                println!("{}", name(error.raw_os_error().unwrap_or(0)));
                return;
            }
        }
    }
}

fn serve(port: u32, count: u32) {
    let socket = Socket::new(0).expect("a socket");
    socket
        .bind(libc::VMADDR_CID_ANY, port)
        .unwrap_or_else(|errno| panic!("bind: {}", name(errno)));
    socket.listen(4).expect("it has a port");
    println!("listening {:?}", socket.own_name());
    for _ in 0..count {
        let accepted = socket.accept().expect("somebody comes");
        let (cid, _) = accepted.peer_name().expect("connected");
        println!("{:?} from {cid}", accepted.own_name());
        echo(accepted);
    }
}

fn send(port: u32, bytes: u32) {
    let mut stream = dial(port).into_file();
    let block: Vec<u8> = (0..BLOCK_BYTES).map(|at| (at % 251) as u8).collect();
    let mut sent = 0;
    while sent < bytes as usize {
        let count = (bytes as usize - sent).min(BLOCK_BYTES);
        match stream.write(&block[..count]) {
            Ok(count) => sent += count,
            Err(error) => {
                println!("{}", name(error.raw_os_error().unwrap_or(0)));
                return;
            }
        }
    }
    println!("all");
}

fn poll(port: u32) {
    let socket = Socket::new(libc::SOCK_NONBLOCK).expect("a socket");
    println!("idle: {}", socket.poll(0));
    let dialled = socket.connect(libc::VMADDR_CID_HOST, port);
    println!("connect: {}", name(dialled.expect_err("it does not wait")));
    println!("connected: {}", socket.poll(-1));
    println!("SO_ERROR: {:?}", socket.error());
    let again = socket.connect(libc::VMADDR_CID_HOST, port);
    println!("again: {}", name(again.expect_err("it stands")));
    println!(
        "read: {}",
        name(socket.read(&mut [0]).expect_err("nothing"))
    );
    // The host writes when it is told to.
    assert_eq!(socket.write(b"!"), Ok(1));
    println!("bytes: {}", socket.wait_for(libc::POLLIN));
    println!("FIONREAD: {}", socket.readable());
    let mut bytes = [0; 16];
    let count = socket.read(&mut bytes).expect("bytes");
    println!("read: {}", String::from_utf8_lossy(&bytes[..count]));
    // It closes when it is told so.
    assert_eq!(socket.write(b"!"), Ok(1));
    println!("closed: {}", socket.wait_for(libc::POLLIN));
    println!("read: {:?}", socket.read(&mut bytes));
    let broken = loop {
        // That it reads no more may be told later than that it writes no more.
        if let Err(errno) = socket.write(b"!") {
            break errno;
        }
    };
    println!("write: {}", name(broken));
}

fn take(port: u32) {
    let mut held = Vec::new();
    loop {
        let socket = Socket::new(0).expect("a socket");
        match socket.connect(libc::VMADDR_CID_HOST, port) {
            Ok(()) => held.push(socket),
            Err(errno) => {
                println!("{} {}", held.len(), name(errno));
                break;
            }
        }
    }
    let mut end = Vec::new();
    std::io::stdin().read_to_end(&mut end).expect("readable");
}
