//! Sockets to the host: what a program sees of what the agent tells, who waits, and what is given back.

use crate::account::Resource;
use crate::bench::{Bench, exit};
use crate::errno::Errno;
use crate::fs::SocketId;
use crate::limits::MAX_CHANNELS;
use crate::signal_tests::handle;
use crate::tests::{AT, call, map, steps};
use crate::user_memory::UserAddr;
use agent::kernel::{ChannelId, Event, ExitStatus, Input, Kernel as _, Over, Pid, Signal, View};
use core::time::Duration;
use fakes::user::Step::{self, *};
use hal::vsock::{Address, Direction, Port};
use std::vec;
use std::vec::Vec;

pub(crate) const READ: u64 = 0;
const WRITE: u64 = 1;
const WRITEV: u64 = 20;
const CLOSE: u64 = 3;
const SIGRETURN: u64 = 15;
pub(crate) const PAUSE: u64 = 34;
pub(crate) const SOCKET: u64 = 41;
pub(crate) const CONNECT: u64 = 42;
const ACCEPT: u64 = 43;
pub(crate) const BIND: u64 = 49;
const LISTEN: u64 = 50;
const GETSOCKNAME: u64 = 51;
const GETSOCKOPT: u64 = 55;

const EINTR: i64 = -4;
const ENOMEM: i64 = -12;
pub(crate) const EACCES: i64 = -13;
const ENFILE: i64 = -23;
const ECONNRESET: i64 = -104;
const ETIMEDOUT: i64 = -110;
const EPIPE: i64 = -32;
const EADDRNOTAVAIL: i64 = -99;
const EALREADY: i64 = -114;
const EINPROGRESS: i64 = -115;

pub(crate) const NAME: u64 = AT + 256;
pub(crate) const PLACE: u64 = AT + 512;
pub(crate) const NONBLOCK: u64 = 0o4000;
pub(crate) const ANY: u32 = u32::MAX;

/// A `sockaddr_vm`.
pub(crate) fn name(cid: u32, port: u32) -> Vec<u8> {
    let mut bytes = vec![40, 0, 0, 0];
    bytes.extend(port.to_le_bytes());
    bytes.extend(cid.to_le_bytes());
    bytes.extend([0; 4]);
    bytes
}

/// A socket at descriptor `fd` and the host's port 5000 as a name.
pub(crate) fn socket(fd: i64, flags: u64) -> Vec<Step> {
    vec![
        call(SOCKET, &[40, 1 | flags, 0]),
        Expect(fd),
        Store(NAME, name(2, 5000)),
    ]
}

fn connect() -> Step {
    call(CONNECT, &[0, NAME, 16])
}

/// A program that connects a socket and then does something with it.
fn connected(then: Vec<Step>) -> Vec<Step> {
    steps(vec![
        map(1, 3),
        socket(0, 0),
        vec![connect(), Expect(0)],
        then,
    ])
}

/// A socket that listens on port 7000, with room for `backlog` connections that nobody has accepted.
fn listener(backlog: u64) -> Vec<Step> {
    vec![
        call(SOCKET, &[40, 1, 0]),
        Expect(0),
        Store(NAME, name(ANY, 7000)),
        call(BIND, &[0, NAME, 16]),
        Expect(0),
        call(LISTEN, &[0, backlog]),
        Expect(0),
    ]
}

const LOCAL: Address = Address {
    cid: 3,
    port: Port(0x1234),
};

impl Bench {
    /// Takes the dial the agent is told of.
    fn dialled(&mut self) -> ChannelId {
        self.settle();
        match self.kernel.next_event() {
            Some(Event::Dial(channel, Port(5000), patience)) => {
                assert_eq!(patience, Duration::from_secs(2));
                channel
            }
            other => panic!("nobody dials: {other:?}"),
        }
    }

    /// Takes a dial and accepts it; the program has something to say then.
    fn accepted(&mut self) -> ChannelId {
        let channel = self.dialled();
        self.kernel.connected(channel, LOCAL);
        self.channel_ready(channel);
        channel
    }

    fn channel_ready(&mut self, channel: ChannelId) {
        self.settle();
        let event = self.kernel.next_event();
        assert_eq!(event, Some(Event::ChannelReady(channel)));
    }

    /// Frames of queues, and places for messages in them.
    fn queues(&self) -> [u64; 2] {
        let system = &self.kernel.system;
        let account = system.accounts.get(system.own_account).unwrap();
        [Resource::KernelFrames, Resource::Messages].map(|what| account.used(what))
    }

    /// How many sockets there are, each of which somebody pays for.
    pub(crate) fn sockets(&self) -> usize {
        let system = &self.kernel.system;
        let (count, views) = (system.files.sockets.count(), system.views.names());
        let accounts = views.filter_map(|view| Some(system.views.get(view)?.account));
        let accounts = accounts.filter_map(|account| system.accounts.get(account));
        let paid: u64 = accounts.map(|it| it.used(Resource::Sockets)).sum();
        assert_eq!(paid, count as u64);
        count
    }

    /// The socket behind a process's descriptor.
    pub(crate) fn socket(&self, pid: Pid, fd: i32) -> SocketId {
        let system = &self.kernel.system;
        let table = system.process(self.id(pid)).unwrap().files.unwrap();
        let (id, _) = system.files.description(table, fd).unwrap();
        system.files.socket_of(id).unwrap()
    }
}

#[test]
fn a_connection_is_made_carries_bytes_and_ends() {
    let mut bench = Bench::new(256);
    let queues = bench.queues();
    let pid = bench.run(connected(vec![
        Store(PLACE, 16_u32.to_le_bytes().to_vec()),
        call(GETSOCKNAME, &[0, NAME, PLACE]),
        Expect(0),
        Load(NAME, name(3, 0x1234)),
        Store(PLACE, b"to the host".to_vec()),
        call(WRITE, &[0, PLACE, 11]),
        Expect(11),
        call(READ, &[0, PLACE, 100]),
        Expect(14),
        Load(PLACE, b"to the program".to_vec()),
        call(READ, &[0, PLACE, 100]),
        Expect(0),
        exit(0),
    ]));
    let channel = bench.dialled();
    assert_eq!(bench.kernel.next_event(), None, "told once");
    bench.kernel.connected(channel, LOCAL);
    bench.channel_ready(channel);
    let sent = bench.kernel.sent(channel);
    assert_eq!((sent.bytes, sent.ended), (&b"to the host"[..], false));
    bench.kernel.take_sent(channel, 11);
    let taken = bench.kernel.deliver(channel, b"to the program");
    assert_eq!(taken, Input::Took(14));
    bench.settle();
    bench.kernel.hang_up(channel, Direction::Receive);
    bench.channel_ready(channel);
    assert_eq!(bench.status(pid), ExitStatus::Exited(0));
    assert!(bench.kernel.sent(channel).ended);
    assert_eq!(bench.kernel.deliver(channel, b"late"), Input::Broken);
    assert_eq!(bench.sockets(), 1, "the agent's end is the agent's");
    bench.kernel.end_channel(channel, Over::Closed);
    assert_eq!((bench.sockets(), bench.queues()), (0, queues));
    bench.kernel.end_channel(channel, Over::Closed);
}

#[test]
fn a_dial_that_comes_to_nothing_is_told_by_its_reason_and_may_be_tried_again() {
    for (how, errno) in [
        (Over::Refused, ECONNRESET),
        (Over::Reset, ECONNRESET),
        (Over::TimedOut, ETIMEDOUT),
        (Over::Full, EADDRNOTAVAIL),
    ] {
        let mut bench = Bench::new(256);
        let pid = bench.run(steps(vec![
            map(1, 3),
            socket(0, 0),
            vec![connect(), Expect(errno), connect(), Expect(0), exit(0)],
        ]));
        let first = bench.dialled();
        bench.kernel.end_channel(first, how);
        let second = bench.dialled();
        assert_ne!(first, second);
        bench.kernel.connected(second, LOCAL);
        bench.channel_ready(second);
        assert_eq!(bench.status(pid), ExitStatus::Exited(0));
        bench.kernel.end_channel(second, Over::Closed);
        assert_eq!(bench.sockets(), 0, "{how:?}");
    }
}

#[test]
fn who_does_not_wait_is_told_later_and_once() {
    let mut bench = Bench::new(256);
    let error = |errno: i32| {
        vec![
            Store(PLACE, 4_u32.to_le_bytes().to_vec()),
            call(GETSOCKOPT, &[0, 1, 4, PLACE + 8, PLACE]),
            Expect(0),
            Load(PLACE + 8, errno.to_le_bytes().to_vec()),
        ]
    };
    let pid = bench.run(steps(vec![
        map(1, 3),
        socket(0, NONBLOCK),
        vec![connect(), Expect(EINPROGRESS), connect(), Expect(EALREADY)],
        vec![
            // POLLOUT
            Store(PLACE, vec![0, 0, 0, 0, 4, 0, 0, 0]),
            call(7, &[PLACE, 1, u64::MAX]),
            Expect(1),
            Load(PLACE, vec![0, 0, 0, 0, 4, 0, 12, 0]),
        ],
        error(110),
        error(0),
        vec![exit(0)],
    ]));
    let channel = bench.dialled();
    bench.kernel.end_channel(channel, Over::TimedOut);
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Exited(0));
    assert_eq!(bench.sockets(), 0);
}

#[test]
fn a_signal_ends_the_wait_for_the_host_and_a_further_call_goes_on_with_it() {
    let mut bench = Bench::new(256);
    let pid = bench.run(steps(vec![
        // 0-4 set up, 5-7 make the socket; 13 is the handler, 14 its restorer.
        handle(10, 13, 14, 0x1000_0000),
        socket(0, 0),
        vec![connect(), Expect(EINTR), connect(), Expect(0), exit(0)],
        vec![Return, call(SIGRETURN, &[])],
    ]));
    let channel = bench.dialled();
    bench
        .kernel
        .signal(pid, Signal::from_number(10).unwrap())
        .unwrap();
    bench.settle();
    bench.kernel.connected(channel, LOCAL);
    bench.channel_ready(channel);
    assert_eq!(bench.status(pid), ExitStatus::Exited(0));
}

#[test]
fn a_reset_is_read_once_behind_what_came_and_writing_breaks() {
    let mut bench = Bench::new(256);
    let pid = bench.run(steps(vec![
        map(1, 3),
        // SIGPIPE ignored.
        vec![
            Store(PLACE, 1_u64.to_le_bytes().to_vec()),
            Store(PLACE + 8, vec![0; 24]),
            call(13, &[13, PLACE, 0, 8]),
            Expect(0),
        ],
        socket(0, 0),
        vec![
            connect(),
            Expect(0),
            call(WRITE, &[0, NAME, 16]),
            Expect(16),
            call(READ, &[0, PLACE, 4]),
            Expect(4),
            call(READ, &[0, PLACE, 4]),
            Expect(ECONNRESET),
            call(READ, &[0, PLACE, 4]),
            Expect(0),
            call(WRITE, &[0, PLACE, 4]),
            Expect(EPIPE),
            exit(0),
        ],
    ]));
    let channel = bench.accepted();
    assert_eq!(bench.kernel.deliver(channel, b"rest"), Input::Took(4));
    bench.kernel.end_channel(channel, Over::Reset);
    assert!(
        bench.kernel.sent(channel).bytes.is_empty(),
        "its id is void"
    );
    bench.settle();
    assert_eq!(bench.status(pid), ExitStatus::Exited(0));
    assert_eq!(bench.sockets(), 0, "the program's end was the last");
}

#[test]
fn a_full_socket_holds_the_host_back_and_tells_of_room() {
    let mut bench = Bench::new(256);
    let pid = bench.run(connected(vec![
        call(READ, &[0, AT, 4096]),
        Expect(4096),
        call(PAUSE, &[]),
    ]));
    let channel = bench.dialled();
    let block = vec![7; 100_000];
    assert_eq!(bench.kernel.deliver(channel, &block), Input::Took(65536));
    assert_eq!(bench.kernel.deliver(channel, &block), Input::Took(0));
    bench.settle();
    assert_eq!(bench.kernel.next_event(), None, "there is no room");
    bench.kernel.connected(channel, LOCAL);
    bench.channel_ready(channel);
    assert_eq!(bench.kernel.deliver(channel, &block), Input::Took(4096));
    bench.kernel.signal(pid, Signal::KILL).unwrap();
    bench.channel_ready(channel);
    assert_eq!(bench.kernel.deliver(channel, &block), Input::Broken);
    bench.kernel.end_channel(channel, Over::Closed);
    assert_eq!(bench.sockets(), 0);
}

#[test]
fn a_host_whose_bytes_find_no_memory_is_cut_off_and_the_program_told() {
    let mut bench = Bench::new(256);
    let queues = bench.queues();
    let pid = bench.run(connected(vec![
        call(READ, &[0, PLACE, 4]),
        Expect(ENOMEM),
        call(READ, &[0, PLACE, 4]),
        Expect(0),
        exit(0),
    ]));
    let channel = bench.dialled();
    bench.kernel.connected(channel, LOCAL);
    let system = &mut bench.kernel.system;
    let account = system.accounts.get_mut(system.own_account).unwrap();
    account.set_limit(Resource::Messages, 0);
    assert_eq!(bench.kernel.deliver(channel, b"lost"), Input::Broken);
    bench.channel_ready(channel);
    assert_eq!(bench.status(pid), ExitStatus::Exited(0));
    bench.kernel.end_channel(channel, Over::Closed);
    assert_eq!((bench.sockets(), bench.queues()), (0, queues));
}

#[test]
fn the_host_reaches_a_listener_until_enough_wait_and_closing_it_ends_them() {
    let mut bench = Bench::new(256);
    assert_eq!(bench.kernel.admit(Port(7000), Port(1)), None, "nobody");
    let pid = bench.run(steps(vec![
        map(1, 3),
        listener(2),
        vec![
            call(ACCEPT, &[0, 0, 0]),
            Expect(1),
            call(READ, &[1, PLACE, 4]),
            Expect(4),
            call(READ, &[1, PLACE, 4]),
            Expect(0),
            call(CLOSE, &[0]),
            Expect(0),
            call(PAUSE, &[]),
        ],
    ]));
    bench.settle();
    assert_eq!(bench.kernel.admit(Port(7001), Port(1)), None);
    let first = bench.kernel.admit(Port(7000), Port(1)).expect("it listens");
    bench.settle();
    let second = bench.kernel.admit(Port(7000), Port(2)).expect("one waits");
    let third = bench.kernel.admit(Port(7000), Port(3)).expect("two wait");
    assert_eq!(bench.kernel.admit(Port(7000), Port(4)), None, "enough wait");
    bench.kernel.connected(first, LOCAL);
    assert_eq!(bench.kernel.deliver(first, b"take"), Input::Took(4));
    assert_eq!(bench.kernel.deliver(second, b"kept"), Input::Took(4));
    bench.kernel.hang_up(first, Direction::Receive);
    bench.settle();
    for channel in [second, third] {
        assert_eq!(
            bench.kernel.next_event(),
            Some(Event::ChannelReady(channel))
        );
        assert_eq!(bench.kernel.deliver(channel, &[]), Input::Broken);
        bench.kernel.end_channel(channel, Over::Closed);
    }
    assert_eq!(bench.kernel.admit(Port(7000), Port(5)), None);
    bench.kernel.signal(pid, Signal::KILL).unwrap();
    bench.settle();
    bench.channel_ready(first);
    bench.kernel.end_channel(first, Over::Closed);
    assert_eq!(bench.sockets(), 0);
}

#[test]
fn one_container_has_its_share_of_connections_and_others_theirs() {
    let mut bench = Bench::new(1024);
    let other = bench
        .kernel
        .create_view("/", agent::kernel::Writes::Kept, None)
        .unwrap();
    let listens = |port: u32| {
        let mut own = listener(128);
        own[2] = Store(NAME, name(ANY, port));
        own
    };
    for (view, port) in [(View::UTILITY_VM, 7000), (other, 7001)] {
        let wait = vec![call(PAUSE, &[])];
        bench.run_in(view, steps(vec![map(1, 3), listens(port), wait]));
        bench.settle();
    }
    for port in [7000, 7001] {
        for nth in 0..MAX_CHANNELS {
            assert!(bench.kernel.admit(Port(port), Port(9)).is_some(), "{nth}");
        }
        assert_eq!(bench.kernel.admit(Port(port), Port(9)), None);
    }
}

#[test]
fn a_list_of_buffers_that_becomes_shorter_while_its_sender_waits_ends_the_call() {
    const LIST: u64 = AT + 1024;
    let mut bench = Bench::new(256);
    let buffers = |len: u64| [AT, len].map(u64::to_le_bytes).concat().repeat(20);
    let pid = bench.run(connected(vec![
        Store(LIST, buffers(4096)),
        call(WRITEV, &[0, LIST, 20]),
        Expect(65536),
        exit(0),
    ]));
    let channel = bench.accepted();
    let system = &mut bench.kernel.system;
    let space = system
        .process(system.table.find(pid).unwrap())
        .unwrap()
        .space;
    system
        .write_user(space, UserAddr(LIST), &buffers(10))
        .unwrap();
    bench.kernel.take_sent(channel, 65536);
    bench.channel_ready(channel);
    assert_eq!(bench.status(pid), ExitStatus::Exited(0));
}

#[test]
fn an_account_pays_for_either_end_of_a_connection() {
    for (most, errno) in [(0, ENFILE), (1, EINPROGRESS), (2, EINPROGRESS)] {
        let mut bench = Bench::new(256);
        let account = bench.kernel.system.own_account;
        let limit = |bench: &mut Bench, most| {
            let account = bench.kernel.system.accounts.get_mut(account).unwrap();
            account.set_limit(Resource::Sockets, most);
        };
        limit(&mut bench, 2 + most);
        let pid = bench.run(steps(vec![
            map(1, 3),
            listener(2),
            socket(1, NONBLOCK),
            vec![
                call(CONNECT, &[1, NAME, 16]),
                Expect(errno),
                call(PAUSE, &[]),
            ],
        ]));
        bench.settle();
        assert_eq!(bench.sockets() as u64, 2 + most.min(1));
        // Two more are needed for one that is accepted.
        limit(&mut bench, 3 + most.min(1));
        assert_eq!(bench.kernel.admit(Port(7000), Port(1)), None);
        assert_eq!(bench.sockets() as u64, 2 + most.min(1), "nothing is left");
        limit(&mut bench, 4 + most.min(1));
        assert!(bench.kernel.admit(Port(7000), Port(1)).is_some());
        assert_eq!(bench.sockets() as u64, 4 + most.min(1));
        bench.kernel.signal(pid, Signal::KILL).unwrap();
        bench.settle();
        while let Some(event) = bench.kernel.next_event() {
            if let Event::Dial(channel, ..) | Event::ChannelReady(channel) = event {
                bench.kernel.end_channel(channel, Over::Closed);
            }
        }
        assert_eq!(bench.sockets(), 0);
    }
}

#[test]
fn an_end_without_fault_does_not_hide_that_bytes_found_no_memory() {
    let mut bench = Bench::new(256);
    let pid = bench.run(connected(vec![call(PAUSE, &[])]));
    let channel = bench.dialled();
    bench.kernel.connected(channel, LOCAL);
    bench.settle();
    let system = &mut bench.kernel.system;
    let account = system.accounts.get_mut(system.own_account).unwrap();
    account.set_limit(Resource::KernelFrames, 0);
    assert_eq!(bench.kernel.deliver(channel, b"lost"), Input::Broken);
    bench.kernel.end_channel(channel, Over::Closed);
    let socket = bench.socket(pid, 0);
    let socket = bench.kernel.system.files.socket_mut(socket).unwrap();
    assert_eq!(socket.take_error(), Some(Errno::ENOMEM));
}
