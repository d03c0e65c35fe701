//! SCTP ([RFC 9260]), whose checksum does not cover the addresses.
//!
//! [RFC 9260]: https://www.rfc-editor.org/rfc/rfc9260

/// The IP protocol number.
pub const PROTOCOL: u8 = 132;

const CHECKSUM: usize = 8;

/// A packet as fields.
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

    /// The same with other ports.
    #[must_use]
    pub fn ports(mut self, source: u16, destination: u16) -> Self {
        self.source = source;
        self.destination = destination;
        self
    }

    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
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

/// CRC32c, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut remainder = u32::MAX;
    for byte in bytes {
        remainder ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = remainder & 1 == 1;
            remainder >>= 1;
            if carry {
                remainder ^= 0x82f6_3b78;
            }
        }
    }
    !remainder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_crc32c() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
