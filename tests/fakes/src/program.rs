//! A program file that loads; what it does is the processor's affair.

/// Where the program has its text; a page of data follows.
pub const CODE: u64 = 0x40_0000;

/// A static program: one page of text at [`CODE`], and a page of data behind it of which the file has a part.
#[must_use]
pub fn executable() -> Vec<u8> {
    const HEADERS: u64 = 64 + 2 * 56;
    let half = u16::to_le_bytes;
    let word = u32::to_le_bytes;
    let long = u64::to_le_bytes;
    let mut file = [
        b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0",
        &half(2)[..],
        &half(62),
        &word(1),
        &long(CODE),
        &long(64),
        &long(0),
        &word(0),
        &half(64),
        &half(56),
        &half(2),
        &half(64),
        &half(0),
        &half(0),
    ]
    .concat();
    for (flags, offset, address, file_bytes, memory_bytes) in [
        (5, 0, CODE, HEADERS + 16, HEADERS + 16),
        (6, HEADERS, CODE + 0x1000 + HEADERS, 16, 0x2000),
    ] {
        file.extend([word(1), word(flags)].concat());
        file.extend(
            [offset, address, address, file_bytes, memory_bytes, 0x1000]
                .map(long)
                .concat(),
        );
    }
    file.extend([0x90; 16]);
    file
}
