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
        bed.files.next_viewer(id)
    };
    assert_eq!(viewer(&mut bed, second), None, "it was written to already");
    bed.close(fd);
    bed.close(second);
    assert!(!bed.files.is_written(place.by_ref()));
    let reader = bed.open("/file", OpenFlags::empty()).unwrap();
    assert_eq!(viewer(&mut bed, reader), None, "readers change nothing");
    let fd = bed.open("/file", RW).unwrap();
    assert_eq!(viewer(&mut bed, fd), Some(0));
    let id = bed.description(fd);
    bed.files.set_next_viewer(id, None);
    bed.close(fd);
    bed.files.count_seen(place.by_ref(), -1);
    let fd = bed.open("/file", RW).unwrap();
    assert_eq!(viewer(&mut bed, fd), None, "nobody sees it any more");
    bed.release(place);
}
