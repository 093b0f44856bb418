//! What the VMM hands over at the start: the start info with its memory map, and the command line.

use super::Target;
use agent::Config;
use hal::virtio::command_line::mmio_slots;
use hal::x86::pvh::{PhysicalMemory, StartInfo};

pub(super) const START_INFO: Target = Target {
    name: "start-info",
    about: "the PVH start info, its memory map, module and command line",
    corpus: || vec![memory()],
    words: &[
        b"\x01\0\0\0",
        b"\x02\0\0\0",
        b"\x78\xc5\x6e\x33",
        b"\0\x10\0\0\0\0\0\0",
        b"\xff\x0f\0\0\0\0\0\0",
    ],
    weight: 1,
    max_bytes: 1024,
    run: read_start_info,
};

pub(super) const COMMAND_LINE: Target = Target {
    name: "words",
    about: "the kernel command line, as the agent and the device search read it",
    corpus: || LINES.map(|line| line.as_bytes().to_vec()).into(),
    words: &[
        b"virtio_mmio.device=",
        b"mote.",
        b" -- ",
        b" -e ",
        b"/bin/vsockexec",
        b"/bin/gcs",
        b"-loglevel",
        b"@",
        b":",
        b"0x",
        b"=",
        b"512",
        b"4K",
        b"18446744073709551615",
        b"18446744073709551616",
        b"-1",
        b"+1",
        b" ",
        b"\t",
    ],
    weight: 1,
    max_bytes: 512,
    run: read_command_line,
};

/// What QEMU, hcsshim and Firecracker write.
const LINES: [&str; 3] = [
    "panic=-1 quiet -- -e 1 /bin/vsockexec -e 109 /bin/gcs -v4 -log-format json -loglevel debug",
    "virtio_mmio.device=512@0xfeb00e00:12 virtio_mmio.device=512@0xfeb00c00:11",
    "reboot=k panic=1 virtio_mmio.device=4K@0xc0001000:5",
];

/// Where the bytes of an input stand in the guest's memory; a multiple of a page, and not 0, which means absent.
const BASE: u64 = 0x1000;

/// A start info with two modules' worth of everything (xen.git `start_info.h`), as QEMU lays it out.
fn memory() -> Vec<u8> {
    let long = u64::to_le_bytes;
    let word = u32::to_le_bytes;
    let [module, map, line] = [64, 128, 256].map(|offset| BASE + offset);
    let mut bytes = [
        &word(0x336e_c578)[..],
        &word(1),
        &word(0),
        &word(1),
        &long(module),
        &long(line),
        &long(0xf_0000),
        &long(map),
        &word(4),
        &word(0),
    ]
    .concat();
    bytes.resize(64, 0);
    bytes.extend([long(0x20_0000), long(0x1000), long(0), long(0)].concat());
    bytes.resize(128, 0);
    for (address, size, kind) in [
        (0, 0x9_fc00, 1),
        (0x9_fc00, 0x400, 2),
        (0x10_0000, 0x3f0_0000, 1),
        (0, 0, 0),
    ] {
        bytes.extend([&long(address)[..], &long(size), &word(kind), &word(0)].concat());
    }
    bytes.resize(256, 0);
    bytes.extend(LINES[1].bytes());
    bytes.push(0);
    bytes
}

/// Memory that holds the input at [`BASE`] and nothing else.
struct Memory<'a>(&'a [u8]);

impl PhysicalMemory for Memory<'_> {
    fn read(&self, physical: u64, into: &mut [u8]) -> Option<()> {
        let start = usize::try_from(physical.checked_sub(BASE)?).ok()?;
        into.copy_from_slice(self.0.get(start..start.checked_add(into.len())?)?);
        Some(())
    }
}

fn read_start_info(bytes: &[u8]) {
    let mut info = StartInfo::default();
    match info.read(&Memory(bytes), BASE) {
        Ok(()) => {
            let mut end = None;
            for range in info.ram.ranges() {
                assert!(range.start < range.end, "an empty range of RAM");
                assert!(
                    range.start % 4096 == 0 && range.end % 4096 == 0,
                    "RAM that is not whole pages"
                );
                assert!(
                    end.is_none_or(|end| end < range.start),
                    "ranges of RAM that touch or are not sorted"
                );
                end = Some(range.end);
            }
            read_command_line(info.command_line.as_bytes());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn read_command_line(bytes: &[u8]) {
    let Ok(line) = str::from_utf8(bytes) else {
        return;
    };
    for slot in mmio_slots(line) {
        match slot {
            Ok(slot) => assert!(slot.base % 4 == 0, "registers at {:#x}", slot.base),
            Err(bad) => assert!(
                line.contains(bad.0),
                "a parameter that is not there is called bad"
            ),
        }
    }
    if let Err(error) = Config::from_command_line(line) {
        assert!(
            line.contains(error.0),
            "an option that is not there is called bad: {}",
            error.0
        );
    }
}
