//! Finds the fields of the kernel's structs in the kernel's type information (BTF; Linux, Documentation/bpf/btf.rst).
//! aya-obj 0.3 does not expose the fields (docs/decisions/0055-trace-runs-beside-the-dataplane.md).

use std::fs;

use anyhow::{Context as _, Result, bail, ensure};

/// The running kernel's type information.
const PATH: &str = "/sys/kernel/btf/vmlinux";
/// The first two bytes, in the machine's byte order.
const MAGIC: u16 = 0xeb9f;
/// The length of a type's fixed part: its name, its kind with the number of its members, and its size.
const TYPE_LEN: usize = 12;
/// The length of a struct's member: its name, its type and its offset.
const MEMBER_LEN: usize = 12;
const STRUCT: u32 = 4;

/// The kernel's type information: a table of types, and the strings with their names.
pub(super) struct KernelBtf {
    bytes: Vec<u8>,
    types: usize,
    strings: usize,
}

impl KernelBtf {
    /// Reads the running kernel's type information.
    pub(super) fn read() -> Result<Self> {
        let bytes = fs::read(PATH)
            .with_context(|| format!("reading {PATH}: the kernel needs CONFIG_DEBUG_INFO_BTF"))?;
        Self::of(bytes).with_context(|| format!("reading {PATH}"))
    }

    fn of(bytes: Vec<u8>) -> Result<Self> {
        let magic = bytes.first_chunk().copied().map(u16::from_ne_bytes);
        ensure!(magic == Some(MAGIC), "it does not start with {MAGIC:#x}");
        // struct btf_header: hdr_len at 4, type_off at 8, str_off at 16; the offsets count from the header's end.
        let header = word(&bytes, 4)?;
        let at = |offset| Ok::<_, anyhow::Error>((header + word(&bytes, offset)?) as usize);
        let (types, strings) = (at(8)?, at(16)?);
        Ok(Self { bytes, types, strings })
    }

    /// The offsets in bytes of `fields` of the struct `name`.
    ///
    /// # Errors
    /// If there is no such struct, if it lacks a field, or if a field does not start at a byte.
    pub(super) fn offsets<const N: usize>(
        &self,
        name: &str,
        fields: [&str; N],
    ) -> Result<[u32; N]> {
        let members = self.members(name)?;
        let mut offsets = [0; N];
        for (offset, field) in offsets.iter_mut().zip(fields) {
            let found = members.chunks_exact(MEMBER_LEN).find_map(|member| {
                let name = word(member, 0).ok()?;
                (self.string(name) == Some(field.as_bytes())).then(|| word(member, 8))
            });
            let bits = found.with_context(|| format!("struct {name} has no field {field}"))??;
            ensure!(bits.is_multiple_of(8), "{name}.{field} does not start at a byte");
            *offset = bits / 8;
        }
        Ok(offsets)
    }

    fn members(&self, name: &str) -> Result<&[u8]> {
        let mut at = self.types;
        while at + TYPE_LEN <= self.strings {
            let (type_name, info) = (word(&self.bytes, at)?, word(&self.bytes, at + 4)?);
            // struct btf_type: the number of members is in bits 0 to 15, and the kind in bits 24 to 28. If bit 31 is
            // set, each member's offset shares its word with the size of a bit field.
            let (count, kind) = ((info & 0xffff) as usize, info >> 24 & 0x1f);
            let rest = at + TYPE_LEN;
            let end = rest + rest_len(kind, count)?;
            if kind == STRUCT && self.string(type_name) == Some(name.as_bytes()) {
                return self.bytes.get(rest..end).context("it is cut");
            }
            at = end;
        }
        bail!("it has no struct {name}")
    }

    fn string(&self, offset: u32) -> Option<&[u8]> {
        let rest = self.bytes.get(self.strings.checked_add(offset as usize)?..)?;
        rest.split(|byte| *byte == 0).next()
    }
}

/// The length in bytes of the data after a type's fixed part.
fn rest_len(kind: u32, count: usize) -> Result<usize> {
    Ok(match kind {
        // In order: pointer, forward declaration, typedef, volatile, const, restrict, function, float, type tag.
        2 | 7 | 8 | 9 | 10 | 11 | 12 | 16 | 18 => 0,
        // Integer, variable, declaration tag.
        1 | 14 | 17 => 4,
        // Array.
        3 => 12,
        // Enum, and a function's parameters.
        6 | 13 => 8 * count,
        // Struct, union, section, 64-bit enum.
        STRUCT | 5 | 15 | 19 => MEMBER_LEN * count,
        _ => bail!("it has a type of the unknown kind {kind}"),
    })
}

fn word(bytes: &[u8], offset: usize) -> Result<u32> {
    let word = bytes.get(offset..).and_then(<[u8]>::first_chunk).context("it is cut")?;
    Ok(u32::from_ne_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRINGS: &[u8] = b"\0int\0pair\0first\0second\0";

    fn btf(types: &[u32]) -> Vec<u8> {
        let types: Vec<u8> = types.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let header = [24, 0, types.len() as u32, types.len() as u32, STRINGS.len() as u32];
        let mut bytes = MAGIC.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        bytes.extend(header.iter().flat_map(|word| word.to_ne_bytes()));
        bytes.extend(types);
        bytes.extend(STRINGS);
        bytes
    }

    /// An int, an enum that has the struct's name, and `struct pair { int first; int second; }`.
    const PAIR: [u32; 18] =
        [1, 1 << 24, 4, 32, 5, 6 << 24 | 1, 4, 1, 0, 5, 4 << 24 | 2, 8, 10, 1, 0, 16, 1, 32];

    #[test]
    fn fields_have_their_offsets_in_bytes() {
        let btf = KernelBtf::of(btf(&PAIR)).unwrap();
        assert_eq!(btf.offsets("pair", ["second", "first"]).unwrap(), [4, 0]);
    }

    #[test]
    fn a_name_that_is_missing_is_named() {
        let btf = KernelBtf::of(btf(&PAIR)).unwrap();
        let field = btf.offsets("pair", ["third"]).unwrap_err().to_string();
        assert_eq!(field, "struct pair has no field third");
        let name = btf.offsets("sk_buff", ["len"]).unwrap_err().to_string();
        assert_eq!(name, "it has no struct sk_buff");
    }

    #[test]
    fn a_bit_field_within_a_byte_is_refused() {
        let mut types = PAIR;
        types[17] = 33;
        let btf = KernelBtf::of(btf(&types)).unwrap();
        assert!(btf.offsets("pair", ["second"]).is_err());
    }

    #[test]
    fn cut_bytes_and_unknown_kinds_are_refused() {
        let whole = btf(&PAIR);
        for len in 0..whole.len() - STRINGS.len() {
            let offsets = KernelBtf::of(whole[..len].to_vec())
                .and_then(|btf| btf.offsets("pair", ["second"]));
            assert!(offsets.is_err(), "{len}");
        }
        let mut types = PAIR;
        types[1] = 31 << 24;
        assert!(KernelBtf::of(btf(&types)).unwrap().offsets("pair", ["first"]).is_err());
    }
}
