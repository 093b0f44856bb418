//! What arguments are made of: descriptors that are open and not, pointers that are good, bad and at edges, lengths, flags.

use crate::random::Random;
use hostile::memory::{PAGE, cliff, pages, read_only};

/// Words of the memory that structures are read from and written to.
const WORDS: usize = PAGE / 8;

/// Names of files, from the folder that children work in.
const PATHS: [&[u8]; 20] = [
    b"a\0",
    b"b\0",
    b"c\0",
    b"d/e\0",
    b"d\0",
    b"d/\0",
    b".\0",
    b"..\0",
    b"/\0",
    b"\0",
    b"//tmp/./random-calls/../random-calls/a\0",
    b"/proc/self/fd/5\0",
    b"/proc/self/maps\0",
    b"/proc/self/status\0",
    b"/proc/self\0",
    b"/dev/null\0",
    b"/dev/zero\0",
    b"/dev/ptmx\0",
    b"/bin/busybox\0",
    b"/no/such/file\0",
];

/// Where a path of the pool begins, one behind the other.
const PATH_BYTES: usize = 64;

/// Addresses and numbers at which something ends.
const EDGES: [u64; 22] = [
    0,
    1,
    0xfff,
    0x1000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_efff,
    0x7fff_ffff_f000,
    0x7fff_ffff_ffff,
    0x8000_0000_0000,
    0xffff_8000_0000_0000,
    0xffff_8880_0010_0000,
    0xffff_ffff_8010_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_f000,
    0xffff_ffff_ffff_ff9c,
    0xffff_ffff_ffff_fffe,
    0xffff_ffff_ffff_ffff,
    0xfee0_0000,
];

/// Descriptors children have open, and some they have not.
const DESCRIPTORS: u64 = 32;

/// The memory of a child that its calls are about.
#[derive(Clone, Copy)]
pub(crate) struct Pool {
    writable: *mut u64,
    paths: *mut u8,
    read_only: *mut u8,
    cliff: *mut u8,
    /// Pages that calls may map over and take away, and nobody misses.
    spare: *mut u8,
}

/// Pages of `spare`.
const SPARE_PAGES: usize = 8;

impl Pool {
    /// Maps it.
    pub(crate) fn new() -> Self {
        let paths = pages(1);
        for (nth, path) in PATHS.iter().enumerate() {
            for (at, byte) in path.iter().enumerate() {
                // SAFETY: twenty paths of less than 64 bytes fit into the page.
                unsafe { paths.wrapping_add(nth * PATH_BYTES + at).write(*byte) };
            }
        }
        Self {
            writable: pages(4).cast(),
            paths,
            read_only: read_only(),
            cliff: cliff(),
            spare: pages(SPARE_PAGES),
        }
    }

    /// Writes some words of the memory anew, so that structures in it have other members.
    pub(crate) fn stir(&self, random: &mut Random) {
        for _ in 0..6 {
            let word = self.word(random);
            let place = random.below(64) as usize;
            // SAFETY: the place is inside of the pages. When a call has taken them away, this child ends.
            unsafe { self.writable.wrapping_add(place).write_volatile(word) };
        }
    }

    /// Returns where a path of the pool stands.
    pub(crate) fn path(&self, random: &mut Random) -> u64 {
        self.paths as u64 + random.below(PATHS.len() as u64) * PATH_BYTES as u64
    }

    /// Returns a place in the memory that can be written to.
    pub(crate) fn buffer(&self, random: &mut Random) -> u64 {
        self.writable as u64 + 8 * random.below(64)
    }

    /// Returns a page that nobody needs, or none at all.
    pub(crate) fn spare(&self, random: &mut Random) -> u64 {
        let page = random.below(SPARE_PAGES as u64 + 1);
        if page == 0 {
            return 0;
        }
        self.spare as u64 + (page - 1) * PAGE as u64
    }

    fn pointer(&self, random: &mut Random) -> u64 {
        let writable = self.writable as u64;
        match random.below(12) {
            0..4 => writable + 8 * random.below(64),
            4 => writable + random.below(4 * PAGE as u64),
            5 => writable + 4 * PAGE as u64 - random.below(32),
            6 | 7 => self.path(random),
            8 => self.read_only as u64 + random.below(WORDS as u64),
            9 => self.cliff as u64 - random.below(24),
            10 => 0,
            _ => random.of(&EDGES),
        }
    }

    /// Returns a descriptor, or what cannot be one.
    pub(crate) fn descriptor(&self, random: &mut Random) -> u64 {
        match random.below(16) {
            0 => u64::MAX,
            1 => libc::AT_FDCWD as u64,
            2 => random.of(&EDGES),
            _ => random.below(DESCRIPTORS),
        }
    }

    /// Returns any argument.
    pub(crate) fn word(&self, random: &mut Random) -> u64 {
        match random.below(16) {
            0..6 => self.pointer(random),
            6 | 7 => self.descriptor(random),
            8..11 => random.below(70),
            11 => (1 << random.below(64)) | (1 << random.below(24)),
            12 => (1_u64 << random.below(40)).wrapping_sub(random.below(3)),
            13 => random.of(&EDGES),
            14 => PAGE as u64 * random.below(40),
            _ => random.next(),
        }
    }
}
