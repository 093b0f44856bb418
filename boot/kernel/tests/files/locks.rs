//! Locks of files: what is held, who is in the way, and the bounds of the table.

use crate::bed::Bed;
use kernel::account::Resource;
use kernel::errno::Errno;
use kernel::fs::{InodeId, LAST_BYTE, Lock, LockKind, LockOwner, OpenFlags};
use kernel::limits::{ACCOUNT_SHARE, MAX_LOCKS};
use kernel::wait::WakeKey;

const RW: OpenFlags = OpenFlags::RDWR;

fn bed() -> (Bed, i32, InodeId) {
    let mut bed = Bed::mounted(256, vec![]);
    let fd = bed.open("/file", RW | OpenFlags::CREAT).unwrap();
    let file = bed.files.locked_file(bed.description(fd)).unwrap();
    (bed, fd, file)
}

fn lock(owner: LockOwner, kind: LockKind, start: u64, last: u64) -> Lock {
    Lock {
        owner,
        kind,
        start,
        last,
        pid: 7,
    }
}

fn set(bed: &mut Bed, file: InodeId, lock: Lock) -> Result<(), Errno> {
    bed.run(|files, context| Ok(files.set_lock(context, file, lock)?))
}

fn clear(bed: &mut Bed, file: InodeId, lock: Lock) -> Result<(), Errno> {
    bed.run(|files, context| Ok(files.clear_lock(context, file, &lock)?))
}

fn held(bed: &Bed) -> u64 {
    bed.accounts.get(bed.account).unwrap().used(Resource::Locks)
}

#[test]
fn neighbours_of_one_kind_become_one_lock_and_a_hole_makes_two() {
    let (mut bed, fd, file) = bed();
    let own = LockOwner::File(bed.description(fd));
    let table = LockOwner::Table(bed.table);
    for (start, last) in [(0, 4), (10, 14), (5, 9)] {
        set(&mut bed, file, lock(own, LockKind::Shared, start, last)).unwrap();
    }
    assert_eq!(held(&bed), 1);
    let wanted = lock(table, LockKind::Exclusive, 0, LAST_BYTE);
    let found = bed.files.find_conflict(file, &wanted).unwrap();
    assert_eq!((found.start, found.last), (0, 14));
    clear(&mut bed, file, lock(own, LockKind::Shared, 7, 8)).unwrap();
    assert_eq!(held(&bed), 2);
    for (start, last, is_free) in [(7, 8, true), (6, 7, false), (8, 9, false), (15, 15, true)] {
        let wanted = lock(table, LockKind::Exclusive, start, last);
        let found = bed.files.find_conflict(file, &wanted);
        assert_eq!(found.is_none(), is_free, "{start} to {last}");
    }
    set(&mut bed, file, lock(own, LockKind::Exclusive, 0, LAST_BYTE)).unwrap();
    assert_eq!(held(&bed), 1);
    bed.close(fd);
    assert_eq!(held(&bed), 0);
}

#[test]
fn a_lock_that_goes_wakes_whoever_waits_for_the_file() {
    let (mut bed, fd, file) = bed();
    let own = LockOwner::Whole(bed.description(fd));
    set(&mut bed, file, Lock::whole(own, LockKind::Shared, 7)).unwrap();
    bed.wakes.clear();
    set(&mut bed, file, Lock::whole(own, LockKind::Exclusive, 7)).unwrap();
    assert!(bed.wakes.wakes(WakeKey::Lock(file.index())));
    bed.wakes.clear();
    bed.close(fd);
    assert!(bed.wakes.wakes(WakeKey::Lock(file.index())));
}

#[test]
fn an_account_has_its_share_of_locks_and_not_one_more() {
    let (mut bed, fd, file) = bed();
    let own = LockOwner::File(bed.description(fd));
    let most = (MAX_LOCKS / ACCOUNT_SHARE) as u64;
    let byte = |nth: u64| lock(own, LockKind::Shared, 2 * nth, 2 * nth);
    for nth in 0..most - 1 {
        set(&mut bed, file, byte(nth)).unwrap();
    }
    // A hole in the last one that fits would make two of it.
    let long = lock(own, LockKind::Shared, 2 * most, 2 * most + 2);
    set(&mut bed, file, long).unwrap();
    assert_eq!(held(&bed), most);
    let middle = lock(own, LockKind::Shared, 2 * most + 1, 2 * most + 1);
    assert_eq!(clear(&mut bed, file, middle), Err(Errno::ENOLCK));
    assert_eq!(set(&mut bed, file, byte(4 * most)), Err(Errno::ENOLCK));
    assert_eq!(held(&bed), most, "what was refused changed nothing");
    let table = LockOwner::Table(bed.table);
    let wanted = lock(table, LockKind::Exclusive, 2 * most + 1, 2 * most + 1);
    assert!(bed.files.find_conflict(file, &wanted).is_some());
    clear(&mut bed, file, byte(0)).unwrap();
    clear(&mut bed, file, middle).unwrap();
    assert!(bed.files.find_conflict(file, &wanted).is_none());
    bed.close(fd);
    assert_eq!(held(&bed), 0);
}

#[test]
fn a_descriptor_that_closes_takes_its_tables_locks_and_no_others() {
    let (mut bed, fd, file) = bed();
    let own = LockOwner::File(bed.description(fd));
    let table = LockOwner::Table(bed.table);
    set(&mut bed, file, lock(own, LockKind::Exclusive, 0, 0)).unwrap();
    set(&mut bed, file, lock(table, LockKind::Exclusive, 1, 1)).unwrap();
    let second = bed.open("/file", RW).unwrap();
    let other = LockOwner::File(bed.description(second));
    bed.close(second);
    let wanted = |byte| lock(other, LockKind::Shared, byte, byte);
    assert!(bed.files.find_conflict(file, &wanted(0)).is_some());
    assert!(bed.files.find_conflict(file, &wanted(1)).is_none());
}

#[test]
fn the_last_byte_there_can_be_has_no_neighbour() {
    let (mut bed, fd, file) = bed();
    let own = LockOwner::File(bed.description(fd));
    set(
        &mut bed,
        file,
        lock(own, LockKind::Shared, LAST_BYTE, LAST_BYTE),
    )
    .unwrap();
    set(&mut bed, file, lock(own, LockKind::Shared, 0, 0)).unwrap();
    assert_eq!(held(&bed), 2);
    clear(&mut bed, file, lock(own, LockKind::Shared, 1, LAST_BYTE)).unwrap();
    assert_eq!(held(&bed), 1);
}

#[test]
fn a_lock_of_a_file_that_is_gone_is_refused_and_not_paid_for() {
    let (mut bed, fd, file) = bed();
    let owner = LockOwner::File(bed.description(fd));
    bed.unlink("/file").unwrap();
    bed.close(fd);
    let wanted = Lock::whole(owner, LockKind::Shared, 7);
    assert_eq!(set(&mut bed, file, wanted), Err(Errno::EBADF));
    assert_eq!(held(&bed), 0);
}
