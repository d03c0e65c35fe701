//! The eBPF objects that are carried within the binary: the one that the build script builds, and the one of
//! the version before.

/// The ELF object that holds the programs and the definitions of their maps.
pub static EBPF_OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/rewrite.o"));

/// The object of ABI 2, for the way back to the version before (tunnel-user/abi2/README.md).
pub static PREVIOUS_OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/abi2/rewrite.o"));

#[cfg(test)]
mod tests {
    use aya_obj::Object;

    use super::*;
    use crate::dataplane::upgrade::previous_abi::{SHAPES, Settings};
    use crate::plan::attach_point::Program;

    #[test]
    fn the_object_of_the_version_before_has_its_shapes() {
        let object = Object::parse(PREVIOUS_OBJECT).expect("an object");
        for (name, kind, key, value) in SHAPES {
            let map = object.maps.get(name).unwrap_or_else(|| panic!("no map {name}"));
            let found = (map.map_type(), map.key_size(), map.value_size());
            assert_eq!(found, (kind as u32, key, value), "{name}");
        }
        for program in Program::ALL {
            assert!(object.programs.contains_key(program.name()), "no {}", program.name());
        }
        assert_eq!(size_of::<Settings>(), 8);
    }
}
