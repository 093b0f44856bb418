//! CRC-32C as ext4 uses it for metadata: Castagnoli polynomial, bits reflected, no final inversion.

const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = (value >> 1) ^ ((value & 1) * POLYNOMIAL);
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
};

/// Returns the checksum of `bytes` behind what `seed` is the checksum of; the first seed is all ones.
#[must_use]
pub(crate) fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(seed, |crc, &byte| {
        TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_check_value_of_rfc_3720() {
        // The published value has the final inversion that ext4 leaves out.
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
    }

    #[test]
    fn continues_from_a_seed() {
        assert_eq!(
            crc32c(crc32c(!0, b"12345"), b"6789"),
            crc32c(!0, b"123456789")
        );
    }
}
