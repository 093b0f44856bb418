//! What the VMM hands over at a PVH entry (xen.git `xen/include/public/arch-x86/hvm/start_info.h`), copied out.
//!
//! Everything the start info points to lies in memory that the map calls usable RAM, so it is copied before any page
//! is handed out. The VMM is trusted with our memory, not with our parser: every address and count is checked.

use super::memory_map::{MemoryMap, Range};
use crate::limits::{COMMAND_LINE_BYTES, MAX_MEMORY_ENTRIES};
use core::fmt;

/// `XEN_HVM_START_MAGIC_VALUE`.
const MAGIC: u32 = 0x336e_c578;

/// `XEN_HVM_MEMMAP_TYPE_RAM`.
const TYPE_RAM: u32 = 1;

/// Physical memory as start-up can read it.
pub trait PhysicalMemory {
    /// Copies `into.len()` bytes from `physical`; `None` when they are not all within reach.
    fn read(&self, physical: u64, into: &mut [u8]) -> Option<()>;
}

/// What the VMM told us, in our own memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartInfo {
    /// All RAM, whole pages, without what the VMM reserves. The image and the module still lie in it.
    pub ram: MemoryMap,
    /// The first module: the initial RAM disk.
    pub module: Option<Range>,
    /// The kernel command line.
    pub command_line: heapless::String<COMMAND_LINE_BYTES>,
    /// Physical address of the ACPI root pointer, when the VMM gives one.
    pub rsdp: Option<u64>,
}

/// Why the start info is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// A structure lies outside the memory that the entry code maps: its name and address.
    OutOfReach(&'static str, u64),
    /// The structure is not a start info.
    BadMagic(u32),
    /// The structure is of version 0, which has no memory map.
    NoMemoryMap,
    /// The memory map has more than [`MAX_MEMORY_ENTRIES`] entries, or more separate ranges than we keep.
    MemoryMapTooLong(u32),
    /// The command line is longer than [`COMMAND_LINE_BYTES`].
    CommandLineTooLong,
    /// The command line is not UTF-8 at this byte.
    CommandLineNotUtf8(usize),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfReach(what, address) => write!(f, "{what} at {address:#x} is out of reach"),
            Self::BadMagic(magic) => write!(f, "start info has magic {magic:#x}"),
            Self::NoMemoryMap => f.write_str("start info is of version 0 and has no memory map"),
            Self::MemoryMapTooLong(entries) => write!(
                f,
                "memory map of {entries} entries is too long (limit {MAX_MEMORY_ENTRIES})"
            ),
            Self::CommandLineTooLong => {
                write!(f, "command line is longer than {COMMAND_LINE_BYTES} bytes")
            }
            Self::CommandLineNotUtf8(at) => write!(f, "command line is not UTF-8 at byte {at}"),
        }
    }
}

impl StartInfo {
    /// Reads the start info at `address` and everything it points to into `self`.
    ///
    /// # Errors
    ///
    /// [`StartError`] says what is wrong; `self` is then incomplete.
    pub fn read(&mut self, memory: &impl PhysicalMemory, address: u64) -> Result<(), StartError> {
        // magic, version, flags, nr_modules, modlist, cmdline, rsdp, memmap, memmap_entries, reserved
        let header: [u8; 56] = fetch(memory, address, "start info")?;
        let magic = u32_at(&header, 0);
        if magic != MAGIC {
            return Err(StartError::BadMagic(magic));
        }
        if u32_at(&header, 4) == 0 {
            return Err(StartError::NoMemoryMap);
        }
        self.ram = read_memory_map(memory, u64_at(&header, 40), u32_at(&header, 48))?;
        self.module = if u32_at(&header, 12) == 0 {
            None
        } else {
            let entry: [u8; 32] = fetch(memory, u64_at(&header, 16), "module list")?;
            let module = Range::new(u64_at(&entry, 0), u64_at(&entry, 8));
            (!module.is_empty()).then_some(module)
        };
        self.rsdp = Some(u64_at(&header, 32)).filter(|&address| address != 0);
        self.read_command_line(memory, u64_at(&header, 24))
    }

    fn read_command_line(
        &mut self,
        memory: &impl PhysicalMemory,
        address: u64,
    ) -> Result<(), StartError> {
        self.command_line.clear();
        if address == 0 {
            return Ok(());
        }
        let mut bytes = heapless::Vec::<u8, COMMAND_LINE_BYTES>::new();
        for at in 0.. {
            let [byte] = fetch(memory, address.saturating_add(at), "command line")?;
            if byte == 0 {
                break;
            }
            bytes
                .push(byte)
                .map_err(|_| StartError::CommandLineTooLong)?;
        }
        self.command_line = heapless::String::from_utf8(bytes)
            .map_err(|error| StartError::CommandLineNotUtf8(error.valid_up_to()))?;
        Ok(())
    }
}

/// Adds up the RAM entries, then takes everything else out of them: where the list contradicts itself, the reservation
/// counts.
fn read_memory_map(
    memory: &impl PhysicalMemory,
    address: u64,
    entries: u32,
) -> Result<MemoryMap, StartError> {
    if entries as usize > MAX_MEMORY_ENTRIES {
        return Err(StartError::MemoryMapTooLong(entries));
    }
    let entry = |index: u32| -> Result<(Range, u32), StartError> {
        let address = address.saturating_add(u64::from(index) * 24);
        let bytes: [u8; 24] = fetch(memory, address, "memory map")?;
        Ok((
            Range::new(u64_at(&bytes, 0), u64_at(&bytes, 8)),
            u32_at(&bytes, 16),
        ))
    };
    let mut map = MemoryMap::new();
    for index in 0..entries {
        if let (range, TYPE_RAM) = entry(index)? {
            map.add(range.inward())
                .map_err(|_| StartError::MemoryMapTooLong(entries))?;
        }
    }
    for index in 0..entries {
        let (range, kind) = entry(index)?;
        if kind != TYPE_RAM && !range.is_empty() {
            map.remove(range.outward())
                .map_err(|_| StartError::MemoryMapTooLong(entries))?;
        }
    }
    Ok(map)
}

fn fetch<const N: usize>(
    memory: &impl PhysicalMemory,
    address: u64,
    what: &'static str,
) -> Result<[u8; N], StartError> {
    let mut bytes = [0; N];
    memory
        .read(address, &mut bytes)
        .ok_or(StartError::OutOfReach(what, address))?;
    Ok(bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("the structure is larger"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("the structure is larger"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// Memory from address 0x1000 on.
    struct Memory(Vec<u8>);

    const BASE: u64 = 0x1000;

    impl PhysicalMemory for Memory {
        fn read(&self, physical: u64, into: &mut [u8]) -> Option<()> {
            let start = usize::try_from(physical.checked_sub(BASE)?).ok()?;
            let end = start.checked_add(into.len())?;
            into.copy_from_slice(self.0.get(start..end)?);
            Some(())
        }
    }

    struct Setup {
        magic: u32,
        version: u32,
        modules: u32,
        command_line: Vec<u8>,
        entries: Vec<(u64, u64, u32)>,
        entry_count: Option<u32>,
    }

    impl Default for Setup {
        fn default() -> Self {
            Self {
                magic: MAGIC,
                version: 1,
                modules: 0,
                command_line: b"console=ttyS0".to_vec(),
                entries: vec![(0, 0x9fc00, 1), (0x10_0000, 0x3f0_0000, 1)],
                entry_count: None,
            }
        }
    }

    impl Setup {
        fn read(&self) -> Result<StartInfo, StartError> {
            let mut bytes = vec![0; 0x100];
            bytes[0..4].copy_from_slice(&self.magic.to_le_bytes());
            bytes[4..8].copy_from_slice(&self.version.to_le_bytes());
            bytes[12..16].copy_from_slice(&self.modules.to_le_bytes());
            bytes[16..24].copy_from_slice(&(BASE + 0x40).to_le_bytes());
            bytes[32..40].copy_from_slice(&0xe0000_u64.to_le_bytes());
            bytes[0x40..0x48].copy_from_slice(&0x200_0000_u64.to_le_bytes());
            bytes[0x48..0x50].copy_from_slice(&0x1234_u64.to_le_bytes());
            let map = BASE + bytes.len() as u64;
            bytes[40..48].copy_from_slice(&map.to_le_bytes());
            let count = self.entry_count.unwrap_or(self.entries.len() as u32);
            bytes[48..52].copy_from_slice(&count.to_le_bytes());
            for &(start, size, kind) in &self.entries {
                bytes.extend(start.to_le_bytes());
                bytes.extend(size.to_le_bytes());
                bytes.extend(u64::from(kind).to_le_bytes());
            }
            let at = BASE + bytes.len() as u64;
            bytes[24..32].copy_from_slice(&at.to_le_bytes());
            bytes.extend(&self.command_line);
            bytes.push(0);
            let mut info = StartInfo::default();
            info.read(&Memory(bytes), BASE).map(|()| info)
        }
    }

    #[test]
    fn reads_what_a_vmm_writes() {
        let info = Setup {
            modules: 1,
            ..Setup::default()
        }
        .read()
        .unwrap();
        assert_eq!(info.command_line.as_str(), "console=ttyS0");
        assert_eq!(info.module, Some(Range::new(0x200_0000, 0x1234)));
        assert_eq!(info.rsdp, Some(0xe0000));
        assert_eq!(
            info.ram.ranges(),
            [Range::new(0, 0x9f000), Range::new(0x10_0000, 0x3f0_0000)]
        );
    }

    #[test]
    fn takes_reservations_out_of_ram_wherever_they_stand_in_the_list() {
        let info = Setup {
            entries: vec![
                (0xfd_0000_0000, 0x3_0000_0000, 2),
                (0x10_0800, 0x100, 2),
                (0x10_0000, 0x10_0000, 1),
                (0, 0, 0),
            ],
            ..Setup::default()
        }
        .read()
        .unwrap();
        assert_eq!(info.ram.ranges(), [Range::new(0x10_1000, 0xf_f000)]);
    }

    #[test]
    fn survives_entries_that_wrap() {
        let info = Setup {
            entries: vec![
                (u64::MAX - 5, u64::MAX, 1),
                (0x1000, u64::MAX, 2),
                (0, 0x2000, 1),
            ],
            ..Setup::default()
        }
        .read()
        .unwrap();
        assert_eq!(info.ram.ranges(), [Range::new(0, 0x1000)]);
    }

    #[test]
    fn refuses_what_is_not_a_start_info() {
        let setup = Setup {
            magic: 7,
            ..Setup::default()
        };
        assert_eq!(setup.read(), Err(StartError::BadMagic(7)));
        let setup = Setup {
            version: 0,
            ..Setup::default()
        };
        assert_eq!(setup.read(), Err(StartError::NoMemoryMap));
    }

    #[test]
    fn refuses_a_memory_map_longer_than_its_limit_or_than_memory() {
        let too_long = MAX_MEMORY_ENTRIES as u32 + 1;
        let setup = Setup {
            entry_count: Some(too_long),
            ..Setup::default()
        };
        assert_eq!(setup.read(), Err(StartError::MemoryMapTooLong(too_long)));
        let setup = Setup {
            entry_count: Some(MAX_MEMORY_ENTRIES as u32),
            command_line: Vec::new(),
            ..Setup::default()
        };
        assert!(matches!(
            setup.read(),
            Err(StartError::OutOfReach("memory map", _))
        ));
    }

    #[test]
    fn takes_a_command_line_of_exactly_its_limit() {
        let setup = |bytes| Setup {
            command_line: vec![b'x'; bytes],
            ..Setup::default()
        };
        let below = setup(COMMAND_LINE_BYTES - 1).read().unwrap();
        assert_eq!(below.command_line.len(), COMMAND_LINE_BYTES - 1);
        let at = setup(COMMAND_LINE_BYTES).read().unwrap();
        assert_eq!(at.command_line.len(), COMMAND_LINE_BYTES);
        assert_eq!(
            setup(COMMAND_LINE_BYTES + 1).read(),
            Err(StartError::CommandLineTooLong)
        );
    }

    #[test]
    fn names_the_byte_where_a_command_line_is_not_utf8() {
        let setup = Setup {
            command_line: b"abc\xff".to_vec(),
            ..Setup::default()
        };
        assert_eq!(setup.read(), Err(StartError::CommandLineNotUtf8(3)));
    }

    #[test]
    fn a_structure_out_of_reach_is_named() {
        let mut info = StartInfo::default();
        let nothing = Memory(Vec::new());
        assert_eq!(
            info.read(&nothing, 0),
            Err(StartError::OutOfReach("start info", 0))
        );
        assert_eq!(
            info.read(&nothing, u64::MAX),
            Err(StartError::OutOfReach("start info", u64::MAX))
        );
    }
}
