//! Builds SCTP packets ([RFC 9260]), whose checksum does not cover the addresses.
//!
//! [RFC 9260]: https://www.rfc-editor.org/rfc/rfc9260

use super::setters::port_setter;

/// The IP protocol number.
pub const PROTOCOL: u8 = 132;

const CHECKSUM: usize = 8;

/// The fields of a packet.
#[derive(Clone, Debug)]
pub struct Sctp {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// The chunks.
    pub chunks: Vec<u8>,
}

impl Sctp {
    /// A packet with `chunks`.
    #[must_use]
    pub fn new(chunks: Vec<u8>) -> Self {
        Self { source: 40000, destination: 2905, chunks }
    }

    port_setter!();

    /// The packet's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(12 + self.chunks.len());
        bytes.extend(self.source.to_be_bytes());
        bytes.extend(self.destination.to_be_bytes());
        bytes.extend(0x0bad_cafe_u32.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(&self.chunks);
        let checksum = crc32c(&bytes).to_le_bytes();
        bytes[CHECKSUM..CHECKSUM + 4].copy_from_slice(&checksum);
        bytes
    }
}

/// The polynomial of CRC32c, in reversed bit order.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The CRC of each single byte.
const BY_BYTE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = divided(byte as u32);
        byte += 1;
    }
    table
};

const fn divided(mut remainder: u32) -> u32 {
    let mut bit = 0;
    while bit < 8 {
        let carry = remainder & 1 == 1;
        remainder >>= 1;
        if carry {
            remainder ^= POLYNOMIAL;
        }
        bit += 1;
    }
    remainder
}

/// The CRC32c of `bytes`.
fn crc32c(bytes: &[u8]) -> u32 {
    let step =
        |remainder: u32, byte: &u8| remainder >> 8 ^ BY_BYTE[usize::from(remainder as u8 ^ byte)];
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_crc32c() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
