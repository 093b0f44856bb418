//! What one account takes of the tables that all share: never so much that others find none.

use crate::bed::Bed;
use kernel::account::{Account, Resource};
use kernel::errno::Errno;
use kernel::fs::{Control, EpollId, OpenFlags};

fn bed() -> Bed {
    Bed::mounted(256, vec![])
}

fn try_pipe(bed: &mut Bed) -> Result<(i32, i32), Errno> {
    let table = bed.table;
    bed.run(|files, context| Ok(files.open_pipe(context, table, OpenFlags::empty())?))
}

#[test]
fn an_account_has_its_share_of_pipes_and_others_have_theirs() {
    let mut bed = bed();
    bed.limit(Resource::Pipes, 2);
    let first = try_pipe(&mut bed).unwrap();
    try_pipe(&mut bed).unwrap();
    let before = bed.used(Resource::Files);
    assert_eq!(try_pipe(&mut bed), Err(Errno::ENFILE));
    assert_eq!(bed.used(Resource::Files), before);
    let own = bed.account;
    bed.account = bed.accounts.insert(Account::unlimited()).unwrap();
    let (reader, writer) = try_pipe(&mut bed).unwrap();
    // Whoever closes it, who made it gets it back.
    let other = core::mem::replace(&mut bed.account, own);
    bed.close(reader);
    bed.close(writer);
    let other = bed.accounts.get(other).unwrap();
    assert_eq!(other.used(Resource::Pipes), 0);
    assert_eq!(bed.used(Resource::Pipes), 2);
    bed.close(first.0);
    assert_eq!(try_pipe(&mut bed), Err(Errno::ENFILE), "one end is open");
    bed.close(first.1);
    try_pipe(&mut bed).unwrap();
}

#[test]
fn a_named_pipe_is_paid_for_while_an_end_is_open() {
    let mut bed = bed();
    bed.at(|files, context, start| files.make_node(context, start, b"/fifo", 0o010_644, 0))
        .unwrap();
    let flags = OpenFlags::RDWR | OpenFlags::NONBLOCK;
    bed.limit(Resource::Pipes, 0);
    assert_eq!(bed.open("/fifo", flags), Err(Errno::ENFILE));
    bed.limit(Resource::Pipes, 1);
    let fd = bed.open("/fifo", flags).unwrap();
    let again = bed.open("/fifo", flags).unwrap();
    assert_eq!(bed.used(Resource::Pipes), 1);
    bed.close(fd);
    assert_eq!(bed.used(Resource::Pipes), 1);
    bed.close(again);
    assert_eq!(bed.used(Resource::Pipes), 0);
}

fn control(bed: &mut Bed, list: EpollId, fd: i32, control: Control) -> Result<(), Errno> {
    let id = bed.description(fd);
    bed.run(|files, context| Ok(files.control_epoll(context, list, fd, id, control)?))
}

#[test]
fn files_in_lists_are_paid_for_until_they_leave_and_with_the_list() {
    let mut bed = bed();
    let table = bed.table;
    let list = bed
        .run(|files, context| Ok(files.open_epoll(context, table, OpenFlags::RDWR)?))
        .unwrap();
    let id = bed.files.epoll_of(bed.description(list)).unwrap();
    bed.limit(Resource::Interests, 2);
    let (reader, writer) = bed.pipe();
    let (more, other) = bed.pipe();
    let add = Control::Add(1, 0);
    control(&mut bed, id, reader, add).unwrap();
    control(&mut bed, id, writer, add).unwrap();
    assert_eq!(control(&mut bed, id, more, add), Err(Errno::ENOSPC));
    control(&mut bed, id, writer, Control::Remove).unwrap();
    assert_eq!(bed.used(Resource::Interests), 1);
    control(&mut bed, id, more, add).unwrap();
    // One that was closed leaves when the list grows.
    bed.close(more);
    control(&mut bed, id, other, add).unwrap();
    assert_eq!(bed.used(Resource::Interests), 2);
    bed.close(list);
    assert_eq!(bed.used(Resource::Interests), 0);
}
