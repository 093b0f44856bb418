//! Sockets between programs: bounds, rings over page ends, and what is given back. What each call answers is compared
//! with Linux by `tests/programs/conform`.

use crate::bed::Bed;
use agent::kernel::View;
use hal::limits::PAGE_BYTES;
use kernel::account::Resource;
use kernel::errno::Errno;
use kernel::fs::{
    Family, OpenFlags, PIPE_BYTES, Readiness, Shut, SocketId, SocketKind, SocketType,
};
use kernel::limits::{
    ACCOUNT_SHARE, MAX_BACKLOG, MAX_MESSAGES, MAX_RIGHTS, MAX_SOCKETS, SPARE_MESSAGES, WORK_NAMINGS,
};
use kernel::wait::{Stall, WakeKey};

/// The pod most sockets here are of.
const ALONE: View = View::UTILITY_VM;

fn bed() -> Bed {
    Bed::mounted(256, vec![])
}

const fn of(pod: View, kind: SocketKind) -> SocketType {
    SocketType {
        family: Family::Unix,
        kind,
        pod,
    }
}

impl Bed {
    fn socket_pair(&mut self, kind: SocketKind) -> [(i32, SocketId); 2] {
        let table = self.table;
        let (one, other) = self
            .run(|files, context| {
                let of = of(ALONE, kind);
                Ok(files.open_socket_pair(context, table, of, OpenFlags::empty())?)
            })
            .unwrap();
        [one, other].map(|fd| (fd, self.socket(fd)))
    }

    fn socket(&mut self, fd: i32) -> SocketId {
        let id = self.description(fd);
        self.files.socket_of(id).unwrap()
    }

    fn open_socket(&mut self, kind: SocketKind) -> (i32, SocketId) {
        self.open_socket_in(ALONE, kind)
    }

    fn open_socket_in(&mut self, pod: View, kind: SocketKind) -> (i32, SocketId) {
        let table = self.table;
        let fd = self
            .run(|files, context| {
                let of = of(pod, kind);
                Ok(files.open_socket(context, table, of, OpenFlags::empty())?)
            })
            .unwrap();
        (fd, self.socket(fd))
    }

    fn bind(&mut self, id: SocketId, name: &[u8]) -> Result<(), Errno> {
        self.at(|files, context, start| files.bind_socket(context, start, id, name, 0o777))
    }

    fn find(&mut self, asker: SocketId, name: &[u8]) -> Result<SocketId, Errno> {
        self.at(|files, context, start| files.find_socket(context, start, asker, name))
    }

    /// Sends one message of at most a page.
    fn send(&mut self, from: SocketId, bytes: &[u8], fds: &[i32]) -> Result<(), Stall> {
        let table = self.table;
        let to = self.files.prepare_send(from, None, bytes.len())?;
        self.with_page(bytes, |files, context, span| {
            let put = files.put_into_socket(context, to, span)?;
            let rights = files.hold_rights(context, table, to, fds);
            rights
                .and_then(|rights| files.finish_send(context, from, to, put, rights))
                .map_err(|errno| {
                    files.take_back_from_socket(context, to, put);
                    errno.into()
                })
        })
    }

    /// Takes the next message; how many bytes and open files it had. The files are given back.
    fn receive(&mut self, at: SocketId) -> Result<Option<(usize, usize)>, Stall> {
        let Some(message) = self.files.next_message(at)? else {
            return Ok(None);
        };
        let len = message.len;
        let count = self
            .run(|files, context| {
                let rights = files.take_message(context, at, len);
                let count = rights.len();
                files.release_rights(context, rights);
                Ok(count)
            })
            .unwrap();
        Ok(Some((len, count)))
    }

    fn frames(&self) -> u64 {
        self.used(Resource::KernelFrames)
    }

    /// A listening socket with an abstract name.
    fn listener(&mut self, name: &[u8], backlog: usize) -> (i32, SocketId) {
        let (fd, id) = self.open_socket(SocketKind::Stream);
        self.bind(id, name).unwrap();
        self.files.listen(id, backlog).unwrap();
        (fd, id)
    }

    fn connect(&mut self, id: SocketId, to: SocketId) -> Result<(), Stall> {
        self.once(|files, context| files.connect(context, id, to))
    }
}

#[test]
fn a_datagram_finds_room_as_a_whole_or_waits() {
    let mut bed = bed();
    let [(_, one), (_, other)] = bed.socket_pair(SocketKind::Datagram);
    for _ in 0..PIPE_BYTES / PAGE_BYTES {
        bed.send(one, &[7; PAGE_BYTES], &[]).unwrap();
    }
    let full = Stall::wait(WakeKey::SocketWritable(other.index()));
    assert_eq!(bed.send(one, b"x", &[]), Err(full));
    assert_eq!(bed.receive(other), Ok(Some((PAGE_BYTES, 0))));
    assert_eq!(bed.files.prepare_send(one, None, PAGE_BYTES + 1), Err(full));
    bed.send(one, &[8; PAGE_BYTES], &[]).unwrap();
    assert_eq!(
        bed.files.prepare_send(one, None, PIPE_BYTES + 1),
        Err(Errno::EMSGSIZE.into())
    );
}

#[test]
fn so_many_messages_wait_and_no_more() {
    let mut bed = bed();
    let [(_, one), (_, other)] = bed.socket_pair(SocketKind::Sequenced);
    for _ in 0..MAX_MESSAGES {
        bed.send(one, b"", &[]).unwrap();
    }
    let full = Stall::wait(WakeKey::SocketWritable(other.index()));
    assert_eq!(bed.send(one, b"", &[]), Err(full));
    assert_eq!(bed.receive(other), Ok(Some((0, 0))));
    bed.send(one, b"", &[]).unwrap();
}

#[test]
fn a_connection_for_which_there_is_no_open_file_waits_on() {
    let mut bed = bed();
    let (_, listener) = bed.listener(b"\0here", 1);
    let (_, client) = bed.open_socket(SocketKind::Stream);
    bed.connect(client, listener).unwrap();
    let table = bed.table;
    let accept = |bed: &mut Bed| {
        bed.once(|files, context| files.accept(context, table, listener, OpenFlags::empty()))
    };
    bed.limit(Resource::Files, bed.used(Resource::Files));
    assert_eq!(accept(&mut bed), Err(Errno::ENFILE.into()));
    bed.limit(Resource::Files, bed.used(Resource::Files) + 1);
    accept(&mut bed).unwrap();
}

#[test]
fn places_for_messages_and_files_in_them_are_paid_for_and_given_back() {
    let mut bed = bed();
    let [(one_fd, one), (other_fd, other)] = bed.socket_pair(SocketKind::Datagram);
    let used = |bed: &Bed| bed.used(Resource::Messages);
    bed.send(one, b"", &[]).unwrap();
    assert_eq!(used(&bed), 1);
    let (reader, writer) = bed.pipe();
    bed.send(one, b"", &[reader, writer]).unwrap();
    assert_eq!(used(&bed), 2 + 2);
    assert_eq!(bed.receive(other), Ok(Some((0, 0))));
    assert_eq!(bed.receive(other), Ok(Some((0, 2))));
    assert_eq!(used(&bed), 2, "a few places are kept");
    for _ in 0..=SPARE_MESSAGES {
        bed.send(one, b"x", &[]).unwrap();
    }
    assert_eq!(used(&bed), 2 * SPARE_MESSAGES as u64);
    for _ in 0..=SPARE_MESSAGES {
        assert_eq!(bed.receive(other), Ok(Some((1, 0))));
    }
    assert_eq!(used(&bed), 0, "many are not");
    for from in [one, other] {
        bed.send(from, b"left", &[reader]).unwrap();
    }
    assert_eq!(used(&bed), 4);
    bed.close(one_fd);
    assert_eq!(used(&bed), 2);
    bed.close(other_fd);
    assert_eq!((used(&bed), bed.frames()), (0, 0));
}

#[test]
fn an_account_has_so_many_messages_and_what_finds_no_place_is_not_sent() {
    let mut bed = bed();
    let [(_, one), (_, other)] = bed.socket_pair(SocketKind::Stream);
    let (file, _) = bed.pipe();
    let full = Err(Errno::ENOMEM.into());
    bed.limit(Resource::Messages, 0);
    assert_eq!(bed.send(one, b"a", &[]), full);
    bed.limit(Resource::Messages, 1);
    bed.send(one, b"b", &[]).unwrap();
    bed.send(one, b"c", &[]).unwrap();
    let files = bed.used(Resource::Files);
    bed.limit(Resource::Messages, 2);
    assert_eq!(bed.send(one, b"d", &[file]), full, "a place and a file");
    assert_eq!(bed.used(Resource::Files), files);
    bed.limit(Resource::Messages, 3);
    bed.send(one, b"e", &[file]).unwrap();
    assert_eq!(bed.receive(other), Ok(Some((2, 0))), "b and c");
    assert_eq!(bed.receive(other), Ok(Some((1, 1))), "e");
    assert_eq!(bed.used(Resource::Messages), 2);
}

#[test]
fn bytes_of_a_stream_need_one_message_however_many_are_sent() {
    let mut bed = bed();
    let [(_, one), (_, other)] = bed.socket_pair(SocketKind::Stream);
    for _ in 0..2 * MAX_MESSAGES {
        bed.send(one, b"ab", &[]).unwrap();
    }
    assert_eq!(bed.receive(other), Ok(Some((4 * MAX_MESSAGES, 0))));
}

#[test]
fn what_is_taken_back_leaves_the_bytes_before_it_and_no_frame() {
    let mut bed = bed();
    let [(_, one), (_, other)] = bed.socket_pair(SocketKind::Datagram);
    for (before, count) in [
        (0, 1),
        (0, PAGE_BYTES),
        (1, PAGE_BYTES - 1),
        (1, PAGE_BYTES),
        (PAGE_BYTES, PAGE_BYTES),
        (PAGE_BYTES - 1, 2),
    ] {
        if before > 0 {
            bed.send(one, &vec![1; before], &[]).unwrap();
        }
        let held = bed.frames();
        let to = bed.files.prepare_send(one, None, count).unwrap();
        bed.with_page(&vec![2; count], |files, context, span| {
            let put = files.put_into_socket(context, to, span)?;
            assert_eq!(put, count);
            files.take_back_from_socket(context, to, put);
            Ok(())
        })
        .unwrap();
        assert_eq!(bed.frames(), held, "{before} {count}");
        if before > 0 {
            assert_eq!(bed.receive(other), Ok(Some((before, 0))));
        }
    }
    assert_eq!(bed.frames(), 0);
}

#[test]
fn a_socket_that_goes_gives_back_its_frames_and_the_files_in_its_queue() {
    let mut bed = bed();
    let (reader, writer) = bed.pipe();
    let [(one_fd, one), (other_fd, _)] = bed.socket_pair(SocketKind::Stream);
    let files = bed.used(Resource::Files);
    bed.send(one, b"take this", &[writer]).unwrap();
    bed.close(writer);
    let id = bed.description(reader);
    assert_eq!(bed.files.readiness(id), Readiness::empty());
    bed.close(other_fd);
    assert_eq!(bed.files.readiness(id), Readiness::HANG_UP);
    assert_eq!(bed.frames(), 0);
    bed.close(one_fd);
    let left = bed.used(Resource::Files);
    assert_eq!(left, files - 3);
}

#[test]
fn sockets_in_queues_never_form_a_circle() {
    let mut bed = bed();
    let refused = Err(Errno::ETOOMANYREFS.into());
    let [(a_fd, a), (b_fd, b)] = bed.socket_pair(SocketKind::Stream);
    let [(c_fd, c), (d_fd, d)] = bed.socket_pair(SocketKind::Stream);
    // Into its own queue.
    assert_eq!(bed.send(a, b"x", &[b_fd]), refused);
    // c lies in b's queue now, so b is not sent, and nothing is sent to c.
    bed.send(a, b"x", &[c_fd]).unwrap();
    assert_eq!(bed.send(c, b"x", &[b_fd]), refused);
    assert_eq!(bed.send(d, b"x", &[a_fd]), refused);
    // Once it was received, it is as any other.
    assert_eq!(bed.receive(b), Ok(Some((1, 1))));
    bed.send(d, b"x", &[a_fd]).unwrap();
    bed.send(c, b"x", &[b_fd]).unwrap();
    for fd in [a_fd, b_fd, c_fd, d_fd] {
        bed.close(fd);
    }
    assert_eq!(bed.frames(), 0);
    assert!(bed.files.socket(d).is_err() || bed.files.socket(c).is_err());
}

#[test]
fn a_listening_socket_is_not_sent_while_connections_to_it_hold_files() {
    let mut bed = bed();
    let (listener_fd, listener) = bed.listener(b"\0one", 4);
    let (_, client) = bed.open_socket(SocketKind::Stream);
    bed.connect(client, listener).unwrap();
    let [(_, a), _] = bed.socket_pair(SocketKind::Stream);
    let (reader, _) = bed.pipe();
    bed.send(client, b"x", &[reader]).unwrap();
    let refused = Err(Errno::ETOOMANYREFS.into());
    assert_eq!(bed.send(a, b"x", &[listener_fd]), refused);
    let (other_fd, other) = bed.listener(b"\0other", 4);
    bed.send(a, b"x", &[other_fd]).unwrap();
    let (_, late) = bed.open_socket(SocketKind::Stream);
    bed.connect(late, other).unwrap();
    assert_eq!(bed.send(late, b"x", &[reader]), refused);
}

#[test]
fn more_open_files_than_a_message_takes_are_refused() {
    let mut bed = bed();
    let [(_, one), _] = bed.socket_pair(SocketKind::Stream);
    let (reader, _) = bed.pipe();
    bed.send(one, b"x", &vec![reader; MAX_RIGHTS]).unwrap();
    let refused = Err(Errno::EINVAL.into());
    assert_eq!(bed.send(one, b"x", &vec![reader; MAX_RIGHTS + 1]), refused);
}

#[test]
fn so_many_connections_wait_to_be_accepted_and_no_more() {
    let mut bed = bed();
    let (fd, listener) = bed.listener(b"\0one", usize::MAX);
    for _ in 0..MAX_BACKLOG {
        let (_, client) = bed.open_socket(SocketKind::Stream);
        bed.connect(client, listener).unwrap();
    }
    let (_, late) = bed.open_socket(SocketKind::Stream);
    let full = Stall::wait(WakeKey::SocketWritable(listener.index()));
    assert_eq!(bed.connect(late, listener), Err(full));
    let table = bed.table;
    let accepted = bed
        .run(|files, context| files.accept(context, table, listener, OpenFlags::empty()))
        .unwrap();
    bed.connect(late, listener).unwrap();
    bed.close(accepted);
    bed.close(fd);
    assert_eq!(
        bed.files.next_message(late).unwrap_err(),
        Errno::ECONNRESET.into()
    );
}

#[test]
fn an_abstract_name_is_known_inside_its_pod_alone() {
    const NAME: &[u8] = b"\0name";
    let mut bed = bed();
    let pods = [(0, 0), (1, 0), (1, 1)].map(|(index, generation)| View { index, generation });
    for kind in [
        SocketKind::Stream,
        SocketKind::Datagram,
        SocketKind::Sequenced,
    ] {
        // Each of them has the name for itself, the one whose slot was used before included.
        let bound = pods.map(|pod| {
            let [(_, asker), (fd, id)] = [0; 2].map(|_| bed.open_socket_in(pod, kind));
            assert_eq!(bed.find(asker, NAME), Err(Errno::ECONNREFUSED));
            bed.bind(id, NAME).unwrap();
            (asker, fd, id)
        });
        for (asker, _, id) in bound {
            assert_eq!(bed.find(asker, NAME), Ok(id));
            assert_eq!(bed.bind(asker, NAME), Err(Errno::EADDRINUSE));
        }
        for (_, fd, _) in bound {
            bed.close(fd);
        }
    }
}

#[test]
fn an_accepted_connection_knows_the_names_its_listener_knows() {
    let mut bed = bed();
    let [ours, theirs] = [1, 2].map(|index| View {
        index,
        generation: 0,
    });
    let (_, listener) = bed.open_socket_in(ours, SocketKind::Stream);
    bed.bind(listener, b"\0ours").unwrap();
    bed.files.listen(listener, 1).unwrap();
    // One of another pod can only have found it by a file; which way it came does not matter here.
    let (_, client) = bed.open_socket_in(theirs, SocketKind::Stream);
    bed.connect(client, listener).unwrap();
    let table = bed.table;
    let fd = bed
        .run(|files, context| files.accept(context, table, listener, OpenFlags::empty()))
        .unwrap();
    let accepted = bed.socket(fd);
    assert_eq!(bed.find(accepted, b"\0ours"), Ok(listener));
    assert_eq!(bed.find(client, b"\0ours"), Err(Errno::ECONNREFUSED));
}

#[test]
fn half_a_connection_can_end() {
    let mut bed = bed();
    let [(_, one), (_, other)] = bed.socket_pair(SocketKind::Stream);
    let writing = Shut {
        reading: false,
        writing: true,
    };
    bed.run(|files, context| Ok(files.shut_socket(context, one, writing)?))
        .unwrap();
    assert_eq!(bed.receive(other), Ok(None));
    assert_eq!(bed.send(one, b"x", &[]), Err(Errno::EPIPE.into()));
    bed.send(other, b"back", &[]).unwrap();
    assert_eq!(bed.receive(one), Ok(Some((4, 0))));
}

#[test]
fn an_account_has_half_of_all_sockets_and_gets_back_each_that_goes() {
    let mut bed = bed();
    let most = (MAX_SOCKETS / ACCOUNT_SHARE) as u64;
    let used = |bed: &Bed| bed.used(Resource::Sockets);
    let [(first, _), (second, _)] = bed.socket_pair(SocketKind::Stream);
    let (bound, listener) = bed.open_socket(SocketKind::Stream);
    bed.bind(listener, b"\0here").unwrap();
    bed.files.listen(listener, MAX_BACKLOG).unwrap();
    // One that is accepted, one that is not, and one that is refused.
    let clients = [0; 2].map(|_| bed.open_socket(SocketKind::Stream));
    for (_, client) in clients {
        bed.connect(client, listener).unwrap();
    }
    let table = bed.table;
    let accepted = bed
        .run(|files, context| files.accept(context, table, listener, OpenFlags::empty()))
        .unwrap();
    assert_eq!(used(&bed), 7);
    let account = bed.account;
    let payer = bed.accounts.get_mut(account).unwrap();
    payer.charge(Resource::Sockets, most - 8).unwrap();
    let (last, client) = bed.open_socket(SocketKind::Stream);
    assert_eq!(used(&bed), most);
    assert_eq!(bed.connect(client, listener), Err(Errno::ENFILE.into()));
    let refused = bed.run(|files, context| {
        let of = of(ALONE, SocketKind::Datagram);
        Ok(files.open_socket(context, table, of, OpenFlags::empty())?)
    });
    assert_eq!(refused, Err(Errno::ENFILE));
    assert_eq!(used(&bed), most);
    let payer = bed.accounts.get_mut(account).unwrap();
    payer.refund(Resource::Sockets, most - 8);
    for fd in [
        first,
        second,
        bound,
        last,
        accepted,
        clients[0].0,
        clients[1].0,
    ] {
        bed.close(fd);
    }
    assert_eq!(used(&bed), 0);
}

#[test]
fn a_turn_tries_some_names_only_for_who_has_no_wish_and_the_next_one_goes_on() {
    for (taken, turns) in [(WORK_NAMINGS - 1, 1), (WORK_NAMINGS, 2)] {
        let mut bed = bed();
        for nth in 1..=taken {
            let (_, id) = bed.open_socket(SocketKind::Datagram);
            bed.bind(id, format!("\0{nth:05x}").as_bytes()).unwrap();
        }
        let (_, id) = bed.open_socket(SocketKind::Datagram);
        let before = bed.stalls;
        bed.bind(id, b"").unwrap();
        assert_eq!(bed.stalls - before, turns - 1, "{taken} taken");
        let name = format!("\0{:05x}", taken + 1);
        assert_eq!(bed.files.socket_address(id, false), Ok(name.as_bytes()));
    }
}
