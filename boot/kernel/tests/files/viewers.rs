//! Mappings that see what others write: when their pages have to be taken away.

use crate::bed::Bed;
use kernel::fs::{Last, OpenFlags};

const RW: OpenFlags = OpenFlags::RDWR;

#[test]
fn the_first_who_opens_a_seen_file_for_writing_takes_its_pages_away() {
    let mut bed = Bed::mounted(256, vec![]);
    let fd = bed.open("/file", RW | OpenFlags::CREAT).unwrap();
    let place = bed.walk("/file", Last::Keep).unwrap();
    bed.files.count_seen(place.by_ref(), 1);
    assert!(bed.files.is_written(place.by_ref()));
    let second = bed.open("/file", RW).unwrap();
    let viewer = |bed: &mut Bed, fd| {
        let id = bed.description(fd);
        let file = bed.files.viewed(id)?;
        bed.files.next_viewer(file)
    };
    assert_eq!(viewer(&mut bed, second), None, "it was written to already");
    bed.close(fd);
    bed.close(second);
    assert!(!bed.files.is_written(place.by_ref()));
    let reader = bed.open("/file", OpenFlags::empty()).unwrap();
    assert_eq!(viewer(&mut bed, reader), None, "readers change nothing");
    let fd = bed.open("/file", RW).unwrap();
    assert_eq!(viewer(&mut bed, fd), Some(0));
    let file = bed.files.viewed_at(place.by_ref()).unwrap();
    bed.files.set_next_viewer(file, None);
    bed.close(fd);
    bed.files.count_seen(place.by_ref(), -1);
    let fd = bed.open("/file", RW).unwrap();
    assert_eq!(viewer(&mut bed, fd), None, "nobody sees it any more");
    bed.release(place);
}

#[test]
fn whoever_cuts_a_file_that_is_seen_takes_its_pages_away() {
    let mut bed = Bed::mounted(256, vec![]);
    bed.write_all("/file", &[7; 100]).unwrap();
    let place = bed.walk("/file", Last::Keep).unwrap();
    bed.truncate("/file", 90).unwrap();
    assert_eq!(bed.files.viewed_at(place.by_ref()), None, "nobody sees it");
    bed.files.count_seen(place.by_ref(), 1);
    for longer in [90, 200] {
        bed.truncate("/file", longer).unwrap();
        assert_eq!(bed.files.viewed_at(place.by_ref()), None, "nothing is gone");
    }
    bed.truncate("/file", 199).unwrap();
    let file = bed.files.viewed_at(place.by_ref()).unwrap();
    assert_eq!(bed.files.next_viewer(file), Some(0));
    bed.files.set_next_viewer(file, None);
    bed.files.count_seen(place.by_ref(), -1);
    bed.files.map_writable(place.by_ref()).unwrap();
    bed.truncate("/file", 0).unwrap();
    assert_eq!(bed.files.viewed_at(place.by_ref()), Some(file));
    bed.release(place);
}
