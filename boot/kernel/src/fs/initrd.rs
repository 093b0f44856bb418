//! The initrd: a cpio archive in memory (newc, Linux Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! An index of its entries is made once, at the first look-up. The archive is hostile: every length is checked, what is
//! damaged ends the archive there.

use crate::errno::Errno;
use crate::fs::attributes::{Attributes, Kind};
use crate::fs::base::{Found, Origin};
use crate::fs::device::device_number;
use crate::limits::{INITRD_BUCKETS, MAX_INITRD_ENTRIES, NAME_BYTES, PATH_BYTES};
use alloc::vec::Vec;
use core::time::Duration;
use hal::limits::PAGE_BYTES;

/// The root directory's entry.
pub(super) const ROOT: u32 = 0;

const HEADER_BYTES: usize = 110;
const TRAILER: &[u8] = b"TRAILER!!!";

/// `st_dev` of the archive's files.
const DEVICE: u64 = device_number(1, 0);

/// One file of the archive.
#[derive(Clone, Debug)]
struct Entry {
    parent: u32,
    name: &'static [u8],
    data: &'static [u8],
    mode: u16,
    uid: u32,
    gid: u32,
    links: u32,
    seconds: u32,
    special: u64,
    /// The next entry with the same hash.
    chain: u32,
}

/// The archive and its index.
#[derive(Debug)]
pub(super) struct Initrd {
    bytes: &'static [u8],
    index: Index,
}

/// All entries, found by directory and name. Entry 0 is the root.
#[derive(Debug)]
struct Index {
    entries: Vec<Entry>,
    /// Heads of the chains; 0, the root, ends one.
    buckets: [u32; INITRD_BUCKETS],
}

/// A member of the archive as it stands there.
struct Member {
    path: &'static [u8],
    entry: Entry,
    next: usize,
}

impl Initrd {
    pub(super) const fn new(bytes: &'static [u8]) -> Self {
        Self {
            bytes,
            index: Index {
                entries: Vec::new(),
                buckets: [ROOT; INITRD_BUCKETS],
            },
        }
    }

    pub(super) const fn is_present(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Makes the index, if there is none yet.
    ///
    /// # Errors
    ///
    /// ENOMEM, or EINVAL when the archive does not begin with a member.
    pub(super) fn index(&mut self) -> Result<(), Errno> {
        if !self.index.entries.is_empty() {
            return Ok(());
        }
        let made = self.read();
        if made.is_err() {
            self.index.entries.clear();
            self.index.buckets.fill(ROOT);
        }
        made
    }

    fn read(&mut self) -> Result<(), Errno> {
        let root = Entry {
            parent: ROOT,
            name: b"",
            data: b"",
            mode: Kind::Directory as u16 | 0o755,
            uid: 0,
            gid: 0,
            links: 2,
            seconds: 0,
            special: 0,
            chain: ROOT,
        };
        self.index.push(root)?;
        let mut at = 0;
        loop {
            let member = match member(self.bytes, at) {
                Some(member) => member,
                None if at == 0 => return Err(Errno::EINVAL),
                None => {
                    log::warn!("initrd damaged at byte {at}; what follows is left out");
                    break;
                }
            };
            if member.path == TRAILER {
                break;
            }
            at = member.next;
            self.index.place(member.path, member.entry)?;
        }
        Ok(())
    }

    fn get(&self, entry: u32) -> Option<&Entry> {
        self.index.entries.get(entry as usize)
    }

    pub(super) fn attributes(&self, entry: u32) -> Option<Attributes> {
        let known = self.get(entry)?;
        let time = Duration::from_secs(known.seconds.into());
        Some(Attributes {
            kind: Kind::from_mode(known.mode)?,
            permissions: known.mode & 0o7777,
            uid: known.uid,
            gid: known.gid,
            size: known.data.len() as u64,
            links: known.links.max(1),
            number: u64::from(entry) + 1,
            device: DEVICE,
            special: known.special,
            blocks: known.data.len().div_ceil(512) as u64,
            accessed: time,
            modified: time,
            changed: time,
        })
    }

    /// Returns the content of a file or the target of a link.
    pub(super) fn data(&self, entry: u32) -> &'static [u8] {
        self.get(entry).map_or(&[], |entry| entry.data)
    }

    /// Returns what lies in page `index` of a file, less than a page at its end.
    pub(super) fn page(&self, entry: u32, index: u32) -> &'static [u8] {
        let data = self.data(entry);
        let start = (index as usize * PAGE_BYTES).min(data.len());
        &data[start..data.len().min(start + PAGE_BYTES)]
    }

    /// Finds a name in a directory.
    pub(super) fn find(&self, directory: u32, name: &[u8]) -> Option<u32> {
        self.index.find(directory, name)
    }

    /// Returns the first entry of a directory at or behind `cookie`.
    pub(super) fn entry(&self, directory: u32, cookie: u64) -> Option<Found> {
        let from = usize::try_from(cookie).ok()?.max(1);
        let (index, found) = self
            .index
            .entries
            .iter()
            .enumerate()
            .skip(from)
            .find(|(_, entry)| entry.parent == directory)?;
        Some(Found {
            name: heapless::Vec::from_slice(found.name).ok()?,
            kind: (found.mode >> 12) as u8,
            origin: Origin::Initrd(index as u32),
            next: index as u64 + 1,
        })
    }
}

impl Index {
    fn find(&self, directory: u32, name: &[u8]) -> Option<u32> {
        let mut next = self.buckets[bucket(directory, name)];
        while next != ROOT {
            let entry = self.entries.get(next as usize)?;
            if entry.parent == directory && entry.name == name {
                return Some(next);
            }
            next = entry.chain;
        }
        None
    }

    fn push(&mut self, mut entry: Entry) -> Result<u32, Errno> {
        if self.entries.len() >= MAX_INITRD_ENTRIES {
            log::warn!("initrd has more than {MAX_INITRD_ENTRIES} entries");
            return Err(Errno::ENOMEM);
        }
        self.entries.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        let number = self.entries.len() as u32;
        if number != ROOT {
            let head = &mut self.buckets[bucket(entry.parent, entry.name)];
            entry.chain = core::mem::replace(head, number);
        }
        self.entries.push(entry);
        Ok(number)
    }

    /// Puts a member where its path says; directories on the way that are missing are made. A path that leads upward
    /// is left out.
    fn place(&mut self, path: &'static [u8], entry: Entry) -> Result<(), Errno> {
        let mut directory = ROOT;
        let mut parts = path
            .split(|&byte| byte == b'/')
            .filter(|part| !part.is_empty() && *part != b".")
            .peekable();
        while let Some(name) = parts.next() {
            if name == b".." || name.len() > NAME_BYTES {
                return Ok(());
            }
            let known = self.find(directory, name);
            let entry = Entry {
                parent: directory,
                name,
                ..entry.clone()
            };
            if parts.peek().is_some() {
                directory = match known {
                    Some(known) if is_directory(&self.entries[known as usize]) => known,
                    Some(_) => return Ok(()),
                    None => self.push(Entry {
                        mode: Kind::Directory as u16 | 0o755,
                        data: b"",
                        links: 2,
                        special: 0,
                        ..entry
                    })?,
                };
                continue;
            }
            self.put(known, entry)?;
            return Ok(());
        }
        // The path is the root itself: take over its owner and permissions.
        if is_directory(&entry) {
            self.entries[ROOT as usize] = entry;
        }
        Ok(())
    }

    /// Puts an entry in, in place of an earlier one of its name; but a directory keeps what is in it.
    fn put(&mut self, known: Option<u32>, entry: Entry) -> Result<(), Errno> {
        let Some(known) = known.map(|known| &mut self.entries[known as usize]) else {
            return self.push(entry).map(|_number| ());
        };
        if is_directory(known) == is_directory(&entry) {
            let chain = known.chain;
            *known = Entry { chain, ..entry };
        }
        Ok(())
    }
}

/// Returns the chain of a name (FNV-1a).
fn bucket(directory: u32, name: &[u8]) -> usize {
    let hash = name.iter().fold(0x811c_9dc5 ^ directory, |hash, &byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    (hash ^ hash >> 16) as usize % INITRD_BUCKETS
}

const fn is_directory(entry: &Entry) -> bool {
    entry.mode & 0o170_000 == Kind::Directory as u16
}

/// Parses the member at `at`; `None` when it is damaged or cut off.
fn member(bytes: &'static [u8], at: usize) -> Option<Member> {
    let header = bytes.get(at..at.checked_add(HEADER_BYTES)?)?;
    if &header[..6] != b"070701" && &header[..6] != b"070702" {
        return None;
    }
    let field = |nth: usize| {
        let digits = core::str::from_utf8(&header[6 + nth * 8..14 + nth * 8]).ok()?;
        // `from_str_radix` takes a sign, which no header has.
        digits
            .bytes()
            .all(|digit| digit.is_ascii_hexdigit())
            .then(|| u32::from_str_radix(digits, 16).ok())?
    };
    let name_bytes = field(11)? as usize;
    if name_bytes == 0 || name_bytes > PATH_BYTES {
        return None;
    }
    let name_at = at + HEADER_BYTES;
    let name = bytes.get(name_at..name_at + name_bytes)?;
    let (&0, path) = name.split_last()? else {
        return None;
    };
    // Header with name and data are each padded to four bytes, counted from the archive's start.
    let data_at = (name_at + name_bytes).next_multiple_of(4);
    let data_end = data_at.checked_add(field(6)? as usize)?;
    let data = bytes.get(data_at..data_end)?;
    let mode = field(1)? as u16;
    let is_trailer = path == TRAILER;
    if Kind::from_mode(mode).is_none() && !is_trailer {
        return None;
    }
    let entry = Entry {
        parent: ROOT,
        name: b"",
        data,
        mode,
        uid: field(2)?,
        gid: field(3)?,
        links: field(4)?,
        seconds: field(5)?,
        special: device_number(field(9)?, field(10)?),
        chain: ROOT,
    };
    Some(Member {
        path,
        entry,
        next: data_end.next_multiple_of(4),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::vec;

    fn archive(members: &[(&str, u16, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![];
        for &(path, mode, data) in members.iter().chain(&[("TRAILER!!!", 0, &b""[..])]) {
            let name = path.len() + 1;
            bytes.extend_from_slice(
                format!(
                    "070701{:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{name:08x}{:08x}",
                    7, 0, 0, 1, 0, data.len(), 0, 0, 0, 0, 0
                )
                .as_bytes(),
            );
            bytes.extend_from_slice(path.as_bytes());
            bytes.push(0);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes.extend_from_slice(data);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    fn indexed(bytes: Vec<u8>) -> Result<Initrd, Errno> {
        let mut initrd = Initrd::new(bytes.leak());
        initrd.index().map(|()| initrd)
    }

    #[test]
    fn finds_files_by_their_path() {
        let initrd = indexed(archive(&[
            (".", 0o040_700, b""),
            ("bin", 0o040_755, b""),
            ("bin/true", 0o100_755, b"ELF"),
        ]))
        .unwrap();
        let bin = initrd.find(ROOT, b"bin").unwrap();
        let program = initrd.find(bin, b"true").unwrap();
        assert_eq!(initrd.data(program), b"ELF");
        assert_eq!(initrd.attributes(ROOT).unwrap().permissions, 0o700);
        assert_eq!(initrd.attributes(program).unwrap().mode(), 0o100_755);
        assert!(initrd.find(ROOT, b"true").is_none());
    }

    #[test]
    fn makes_directories_that_are_missing_and_leaves_out_what_leads_upward() {
        let initrd = indexed(archive(&[
            ("/a/b//c", 0o100_644, b"x"),
            ("../evil", 0o100_644, b"x"),
            ("a/../evil", 0o100_644, b"x"),
        ]))
        .unwrap();
        let a = initrd.find(ROOT, b"a").unwrap();
        let b = initrd.find(a, b"b").unwrap();
        assert!(initrd.find(b, b"c").is_some());
        assert_eq!(initrd.index.entries.len(), 4);
    }

    #[test]
    fn every_cut_and_every_changed_byte_ends_in_an_index_or_an_error() {
        let whole = archive(&[("a", 0o040_755, b""), ("a/b", 0o100_644, b"data")]);
        for end in 0..whole.len() {
            let _either = indexed(whole[..end].to_vec());
        }
        for at in 0..whole.len() {
            for value in [0, b'0', b'f', b'+', 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let _either = indexed(bytes);
            }
        }
    }

    #[test]
    fn refuses_what_is_no_archive() {
        assert_eq!(indexed(vec![0; 512]).err(), Some(Errno::EINVAL));
        assert_eq!(indexed(b"070707".to_vec()).err(), Some(Errno::EINVAL));
    }
}
