//! Files that are watched: who pays, what outlives what, and who is woken. What each event says is compared with Linux by
//! `tests/programs/conform`.

use crate::bed::{Bed, Disk, image, pattern};
use kernel::account::{Account, Resource};
use kernel::errno::Errno;
use kernel::fs::{Event, LONGEST_EVENT_BYTES, Last, NotifierId, OpenFlags, Readiness, Wanted};
use kernel::limits::{ACCOUNT_SHARE, MAX_NOTIFIERS};
use kernel::wait::WakeKey;
use std::fs;

const RW: OpenFlags = OpenFlags::RDWR;

const MODIFY: u32 = 0x2;
const ATTRIB: u32 = 0x4;
const CREATE: u32 = 0x100;
const DELETE_SELF: u32 = 0x400;
const UNMOUNT: u32 = 0x2000;
const IGNORED: u32 = 0x8000;

fn bed() -> Bed {
    let disk = Disk::new(image(8, &["-b", "1024"], |root| {
        fs::create_dir_all(root.join("dir")).unwrap();
        fs::write(root.join("dir/file"), pattern(10_000)).unwrap();
    }));
    Bed::mounted(2048, vec![disk])
}

impl Bed {
    fn try_notifier(&mut self) -> Result<i32, Errno> {
        let table = self.table;
        self.run(|files, context| Ok(files.open_notifier(context, table, OpenFlags::empty())?))
    }

    fn notifier(&mut self) -> (i32, NotifierId) {
        let fd = self.try_notifier().unwrap();
        (fd, self.notifier_of(fd))
    }

    fn notifier_of(&self, fd: i32) -> NotifierId {
        match self.files.event_of(self.description(fd)).unwrap() {
            (_, Event::Watches(id, _)) => id,
            other => panic!("{other:?}"),
        }
    }

    fn watch(&mut self, id: NotifierId, path: &str) -> Result<i32, Errno> {
        let place = self.walk(path, Last::Follow)?;
        let number = self.run(|files, context| {
            Ok(files.add_watch(context, id, place.by_ref(), Wanted::EVENTS)?)
        });
        self.release(place);
        number
    }

    /// Takes all events: the watch and what happened.
    fn told(&mut self, id: NotifierId) -> Vec<(i32, u32)> {
        let mut events = vec![];
        let mut bytes = [0; LONGEST_EVENT_BYTES];
        while self.files.oldest_event(id, &mut bytes) > 0 {
            let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            events.push((word(0) as i32, word(4)));
            self.files.take_event(id);
        }
        events
    }

    fn used(&self, resource: Resource) -> u64 {
        self.accounts.get(self.account).unwrap().used(resource)
    }
}

#[test]
fn a_watch_outlives_the_name_its_file_was_found_by() {
    let mut bed = bed();
    let (_, id) = bed.notifier();
    let file = bed.watch(id, "/dir/file").unwrap();
    let directory = bed.watch(id, "/dir").unwrap();
    // All that the disk has, too, is forgotten.
    for nth in 0..400 {
        assert_eq!(bed.stat(&format!("/none{nth}")), Err(Errno::ENOENT));
    }
    bed.forget_clean();
    bed.chmod("/dir/file", 0o600).unwrap();
    assert_eq!(bed.told(id), [(directory, ATTRIB), (file, ATTRIB)]);
    assert_eq!(bed.watch(id, "/dir/file"), Ok(file), "it is the same file");
}

#[test]
fn a_file_without_a_name_is_gone_when_only_those_who_watch_it_are_left() {
    let mut bed = bed();
    let (fd, id) = bed.notifier();
    let (_, other) = bed.notifier();
    let first = bed.watch(id, "/dir/file").unwrap();
    let second = bed.watch(other, "/dir/file").unwrap();
    let open = bed.open("/dir/file", RW).unwrap();
    bed.unlink("/dir/file").unwrap();
    bed.told(id);
    bed.told(other);
    // The one that goes does not end the other.
    bed.close(fd);
    bed.write(open, Some(0), b"x").unwrap();
    assert_eq!(bed.told(other), [(second, MODIFY)]);
    bed.close(open);
    let told = bed.told(other);
    assert_eq!(told[1..], [(second, DELETE_SELF), (second, IGNORED)]);
    let _ = first;
    bed.forget_clean();
    assert_eq!(bed.used(Resource::Interests), 0);
    assert_eq!(bed.used(Resource::FileFrames), 0);
}

#[test]
fn instances_and_watches_are_paid_for_by_who_made_them() {
    let mut bed = bed();
    let before = bed.used(Resource::KernelFrames);
    let (fd, id) = bed.notifier();
    assert!(bed.used(Resource::KernelFrames) > before);
    bed.accounts
        .get_mut(bed.account)
        .unwrap()
        .set_limit(Resource::Interests, 2);
    let first = bed.watch(id, "/dir/file").unwrap();
    bed.watch(id, "/dir").unwrap();
    assert_eq!(bed.watch(id, "/"), Err(Errno::ENOSPC));
    assert_eq!(bed.watch(id, "/dir"), Ok(2), "it is watched already");
    bed.files.remove_watch(id, first).unwrap();
    while bed.tear_down() {}
    assert_eq!(bed.watch(id, "/"), Ok(3));
    assert_eq!(bed.used(Resource::Interests), 2);
    // Whoever closes it.
    let other = bed.accounts.insert(Account::unlimited()).unwrap();
    let own = core::mem::replace(&mut bed.account, other);
    bed.close(fd);
    bed.account = own;
    assert_eq!(bed.used(Resource::Interests), 0);
    assert_eq!(bed.used(Resource::KernelFrames), before);
}

#[test]
fn an_account_has_its_share_of_instances_and_others_have_theirs() {
    let mut bed = bed();
    let most = MAX_NOTIFIERS / ACCOUNT_SHARE;
    let fds: Vec<_> = (0..most).map(|_| bed.try_notifier().unwrap()).collect();
    let frames = bed.used(Resource::KernelFrames);
    assert_eq!(bed.try_notifier(), Err(Errno::EMFILE));
    assert_eq!(bed.used(Resource::KernelFrames), frames);
    let other = bed.accounts.insert(Account::unlimited()).unwrap();
    let own = core::mem::replace(&mut bed.account, other);
    bed.notifier();
    bed.account = own;
    bed.close(fds[0]);
    bed.try_notifier().unwrap();
}

#[test]
fn whoever_waits_is_woken_at_the_end_of_the_turn_and_the_heap_is_not_asked() {
    let mut bed = bed();
    let (fd, id) = bed.notifier();
    bed.watch(id, "/dir").unwrap();
    bed.watch(id, "/dir/file").unwrap();
    let (event, _) = bed.files.event_of(bed.description(fd)).unwrap();
    let key = WakeKey::Event(event.index());
    let file = bed.open("/dir/file", RW).unwrap();
    bed.write(file, Some(0), b"x").unwrap();
    while bed.tear_down() {}
    bed.told(id);
    bed.wakes.clear();
    let before = fakes::alloc::calls();
    bed.write(file, Some(1), b"y").unwrap();
    assert_eq!(fakes::alloc::calls(), before);
    let ready = Readiness::READ | Readiness::READ_NORMAL;
    let mut watch =
        kernel::fs::Watch::new(hal::clock::Instant::NEVER, hal::clock::Instant::ZERO, 0);
    assert_eq!(bed.files.look(bed.description(fd), &mut watch), ready);
    assert!(!bed.wakes.wakes(key));
    assert!(bed.tear_down());
    assert!(bed.wakes.wakes(key));
    assert_eq!(bed.told(id).len(), 2);
    assert_eq!(
        bed.files.look(bed.description(fd), &mut watch),
        Readiness::empty()
    );
}

#[test]
fn a_tree_that_is_unmounted_ends_its_watches() {
    let mut bed = bed();
    let over = bed.walk("/", Last::Follow).unwrap();
    let view = bed
        .run(|files, context| files.mount_view(context, over.by_ref()))
        .unwrap();
    let (_, id) = bed.notifier();
    let outside = bed.watch(id, "/dir").unwrap();
    let machine = bed.root.replace(view).unwrap();
    let inside = bed.watch(id, "/dir").unwrap();
    bed.write_all("/dir/new", b"").unwrap();
    assert!(bed.told(id).contains(&(inside, CREATE)));
    let view = bed.root.replace(machine).unwrap();
    bed.files.unmount_view(view);
    assert_eq!(bed.told(id), [(inside, UNMOUNT), (inside, IGNORED)]);
    while bed.tear_down() {}
    assert_eq!(bed.used(Resource::Interests), 1);
    bed.write_all("/dir/new", b"").unwrap();
    assert!(bed.told(id).contains(&(outside, CREATE)));
    bed.release(over);
}

#[test]
fn what_has_nothing_to_tell_is_not_watched() {
    let mut bed = bed();
    let (_, id) = bed.notifier();
    assert_eq!(bed.watch(id, "/proc/self"), Err(Errno::EOPNOTSUPP));
    assert_eq!(bed.used(Resource::Interests), 0);
}
