//! Names that stand in memory alone: who pays for them, and that all of it comes back.

use crate::bed::{Bed, Disk, image};
use kernel::account::Resource;
use kernel::errno::Errno;
use kernel::limits::{NAME_MEMORY_BYTES, SHORT_NAME_BYTES};
use std::fs;

fn bed() -> Bed {
    let disk = Disk::new(image(1, &["-b", "1024"], |root| {
        fs::create_dir(root.join("dir")).unwrap();
        for file in ["one", "two", "three"] {
            fs::write(root.join("dir").join(file), file).unwrap();
        }
    }));
    Bed::mounted(2048, vec![disk])
}

impl Bed {
    /// Names the account is charged for.
    fn names(&mut self) -> u64 {
        while self.tear_down() {}
        let account = self.accounts.get(self.account).unwrap();
        account.used(Resource::Names)
    }
}

#[test]
fn a_name_is_charged_when_it_is_written_and_given_back_when_it_is_gone() {
    let mut bed = bed();
    let before = bed.names();
    bed.list("/dir").unwrap();
    bed.read_all("/dir/one").unwrap();
    assert_eq!(bed.names(), before, "looking costs nothing");
    bed.make_directory("/dir/new").unwrap();
    bed.write_all("/dir/new/file", b"content").unwrap();
    bed.link("/dir/new/file", "/dir/new/second").unwrap();
    bed.symlink("/dir/new/link", "file").unwrap();
    assert_eq!(bed.names() - before, 4);
    bed.rename("/dir/new/file", "/dir/new/moved").unwrap();
    assert_eq!(bed.names() - before, 4, "the same name elsewhere");
    bed.rename("/dir/new/second", "/dir/new/link").unwrap();
    assert_eq!(bed.names() - before, 3, "one over another");
    for name in ["moved", "link"] {
        bed.unlink(&format!("/dir/new/{name}")).unwrap();
    }
    bed.remove_directory("/dir/new").unwrap();
    assert_eq!(bed.names(), before);
}

#[test]
fn what_is_changed_or_removed_of_a_source_is_charged_once() {
    let mut bed = bed();
    let before = bed.names();
    for _ in 0..3 {
        bed.chmod("/dir/one", 0o600).unwrap();
        bed.write_all("/dir/one", b"new").unwrap();
        assert_eq!(bed.names() - before, 1, "changed");
    }
    for round in 0..3 {
        bed.unlink("/dir/two").unwrap();
        assert_eq!(bed.names() - before, 2, "the mark that it is gone: {round}");
        bed.write_all("/dir/two", b"again").unwrap();
        assert_eq!(bed.names() - before, 2, "it is made in place of the mark");
    }
    bed.rename("/dir/three", "/dir/two").unwrap();
    assert_eq!(bed.names() - before, 3, "where it was, and where it is");
}

#[test]
fn long_names_and_long_targets_cost_more() {
    let mut bed = bed();
    let before = bed.names();
    for (name, target, names) in [
        (SHORT_NAME_BYTES, SHORT_NAME_BYTES, 1),
        (SHORT_NAME_BYTES + 1, 1, 2),
        (255, NAME_MEMORY_BYTES - 255, 2),
        (255, NAME_MEMORY_BYTES - 254, 3),
        (1, NAME_MEMORY_BYTES, 2),
        (1, NAME_MEMORY_BYTES + 1, 3),
        (1, 4095, 9),
    ] {
        let path = format!("/dir/{}", "n".repeat(name));
        bed.symlink(&path, &"t".repeat(target)).unwrap();
        assert_eq!(bed.names() - before, names, "{name} {target}");
        bed.unlink(&path).unwrap();
        assert_eq!(bed.names(), before, "{name} {target}");
    }
}

#[test]
fn names_count_as_memory_and_end_at_its_limit_below_at_and_above() {
    let mut bed = bed();
    bed.names();
    let account = bed.accounts.get_mut(bed.account).unwrap();
    let memory = account.memory();
    account.set_memory_limit(memory + 3 * NAME_MEMORY_BYTES as u64);
    for name in ["/dir/a", "/dir/b", "/dir/c"] {
        bed.make_directory(name).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(bed.make_directory("/dir/d"), Err(Errno::ENOMEM));
        assert_eq!(bed.symlink("/dir/d", "x"), Err(Errno::ENOMEM));
        assert_eq!(bed.link("/dir/one", "/dir/d"), Err(Errno::ENOMEM));
        assert_eq!(bed.write_all("/dir/d", b""), Err(Errno::ENOMEM));
    }
    let account = bed.accounts.get(bed.account).unwrap();
    assert!(account.counters.memory_failures >= 12);
    // What is there can still be removed, and gives room.
    bed.remove_directory("/dir/b").unwrap();
    bed.make_directory("/dir/d").unwrap();
    assert_eq!(bed.make_directory("/dir/e"), Err(Errno::ENOMEM));
    // Marks are made whatever the limit: nobody is kept from removing.
    for name in ["one", "two", "three"] {
        bed.unlink(&format!("/dir/{name}")).unwrap();
    }
    assert_eq!(bed.make_directory("/dir/e"), Err(Errno::ENOMEM));
}

/// Removes everything in a directory.
fn clear(bed: &mut Bed, directory: &str) {
    for name in bed.list(directory).unwrap() {
        let path = format!("{directory}/{name}");
        if name == "." || name == ".." || bed.unlink(&path).is_ok() {
            continue;
        }
        clear(bed, &path);
        bed.remove_directory(&path).unwrap();
    }
}

#[test]
fn any_order_of_changes_ends_at_nothing_when_everything_is_removed() {
    let mut bed = bed();
    let before = bed.names();
    let mut seed = 1_u32;
    let mut dice = |most: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) % most
    };
    let names = ["a", "b", "c", "d/a", "d/b", "d"].map(|name| format!("/tmp/{name}"));
    for _ in 0..2000 {
        let (one, other) = (&names[dice(6) as usize], &names[dice(6) as usize]);
        // Most of these are refused at any moment, which must cost nothing.
        let _ = match dice(8) {
            0 => bed.make_directory(one),
            1 => bed.write_all(one, b"x"),
            2 => bed.symlink(one, &"t".repeat(dice(2000) as usize + 1)),
            3 => bed.link(one, other),
            4 | 5 => bed.rename(one, other),
            6 => bed.unlink(one),
            _ => bed.remove_directory(one),
        };
    }
    clear(&mut bed, "/tmp");
    assert_eq!(bed.names(), before);
}
