//! Ports of sockets to the host: whose they are, and who gets one that has no wish.

use crate::bench::{Bench, exit};
use crate::errno::Errno;
use crate::fs::{Host, SocketId, UNBOUND};
use crate::limits::WORK_NAMINGS;
use crate::tests::{call, map, steps};
use crate::vsock_tests::{
    ANY, BIND, CONNECT, EACCES, NAME, NONBLOCK, PAUSE, PLACE, READ, SOCKET, name, socket,
};
use crate::wait::Stall;
use agent::config::Config;
use agent::kernel::ExitStatus;
use fakes::user::Step::*;
use std::vec;

impl Bench {
    /// Binds a socket to any port, for one turn.
    fn bind_any(&mut self, socket: SocketId, tried: &mut u64) -> Result<(), Stall> {
        let parts = self.kernel.system.own_file_parts();
        let sockets = &mut parts.files.sockets;
        sockets.bind_vsock(&parts.context, socket, &UNBOUND, tried)
    }
}

#[test]
fn ports_of_the_session_and_of_others_are_not_given() {
    let mut bench = Bench::new(256);
    let bind = |fd: u64, port: u32, answer: i64| {
        vec![
            Store(NAME, name(ANY, port)),
            call(BIND, &[fd, NAME, 16]),
            Expect(answer),
        ]
    };
    let dial = |port: u32| {
        vec![
            Store(NAME, name(2, port)),
            call(CONNECT, &[0, NAME, 16]),
            Expect(EACCES),
        ]
    };
    let status = bench.finish(steps(vec![
        map(1, 3),
        socket(0, NONBLOCK),
        socket(1, NONBLOCK),
        dial(1),
        dial(109),
        dial(0x4000_0000),
        dial(ANY - 1),
        bind(0, 109, EACCES),
        bind(0, 0x3fff_ffff, 0),
        bind(1, 0x4000_0000, EACCES),
        bind(1, 0x3fff_ffff, -98),
        vec![call(READ, &[1, PLACE, 1]), Expect(-107), exit(0)],
    ]));
    assert_eq!(status, ExitStatus::Exited(0));
    assert_eq!(bench.sockets(), 0);
}

#[test]
fn a_turn_tries_some_ports_only_for_who_has_no_wish_and_the_next_one_goes_on() {
    for (taken, turns) in [(WORK_NAMINGS - 1, 1), (WORK_NAMINGS, 2)] {
        let mut bench = Bench::new(256);
        let bound = (0..taken as u64).flat_map(|fd| {
            vec![
                call(SOCKET, &[40, 1, 0]),
                Expect(fd as i64),
                Store(NAME, name(ANY, 1025 + fd as u32)),
                call(BIND, &[fd, NAME, 16]),
                Expect(0),
            ]
        });
        let last = socket(taken as i64, 0);
        let wait = vec![call(PAUSE, &[])];
        let pid = bench.run(steps(vec![map(1, 3), bound.collect(), last, wait]));
        bench.settle();
        let (socket, mut tried) = (bench.socket(pid, taken as i32), 0);
        for _ in 1..turns {
            assert_eq!(bench.bind_any(socket, &mut tried), Err(Stall::AGAIN));
        }
        assert_eq!(bench.bind_any(socket, &mut tried), Ok(()));
        assert_eq!(tried, taken as u64 + 1);
        let address = bench.kernel.system.files.socket_address(socket, false);
        assert_eq!(address, Ok(&name(ANY, 1025 + taken as u32)[2..]));
    }
}

#[test]
fn nobody_gets_a_port_where_the_session_has_them_all() {
    let mut bench = Bench::new(256);
    let config = Config::from_command_line("mote.bridge_port=1024").unwrap();
    bench.kernel.system.files.sockets.set_host(Host {
        cid: 3,
        reserved: config.reserved_ports(),
    });
    let wait = vec![call(PAUSE, &[])];
    let pid = bench.run(steps(vec![map(1, 3), socket(0, 0), wait]));
    bench.settle();
    let (socket, mut tried) = (bench.socket(pid, 0), 0);
    let end = loop {
        match bench.bind_any(socket, &mut tried) {
            Err(Stall::AGAIN) => {}
            end => break end,
        }
    };
    assert_eq!(end, Err(Errno::EADDRNOTAVAIL.into()));
}
