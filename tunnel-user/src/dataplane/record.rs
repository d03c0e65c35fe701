//! Decodes and encodes the pinned records of local members, and text fields that are padded with zeros.

use std::collections::BTreeSet;

use tunnel_common::local_members::{LocalAddresses, LocalMember};
use tunnel_common::members::NAME_LEN;

use crate::model::text::unpadded;
use crate::model::{Mapping, NameProblem, Private, Public, Underlay};
use crate::plan::identity::OwnMember;
use crate::plan::range::{Address, Range};

/// `text`, cut or padded with zeros to a field's length.
#[must_use]
pub fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [0; N];
    for (byte, place) in text.bytes().zip(field.iter_mut()) {
        *place = byte;
    }
    field
}

/// The record of a local member. `added` holds the private addresses that attach added to the loopback interface.
#[must_use]
pub fn encode_local(own: &OwnMember, added: &BTreeSet<Private>) -> LocalMember {
    LocalMember {
        name: padded::<NAME_LEN>(own.name.as_str()),
        v4: encode_addresses(own.v4, added),
        v6: encode_addresses(own.v6, added),
    }
}

fn encode_addresses<A: Address>(
    mapping: Option<Mapping>,
    added: &BTreeSet<Private>,
) -> LocalAddresses<A> {
    let encoded = mapping.and_then(|mapping| {
        let private = Range::<A>::of(mapping.private().0)?;
        Some(LocalAddresses {
            private: private.address,
            public: A::of(mapping.public().0.address())?,
            underlay: A::of(mapping.underlay().0.address())?,
            length: private.length,
            loopback_address_added: u8::from(added.contains(&mapping.private())),
            reserved: [0; 2],
        })
    });
    encoded.unwrap_or_default()
}

/// The member in a record, and the member's private addresses that attach added to the loopback interface.
///
/// # Errors
/// If the name is invalid.
pub fn decode_local(record: &LocalMember) -> Result<(OwnMember, Vec<Private>), NameProblem> {
    let name = unpadded(&record.name).parse()?;
    let (v4, v4_added) = decode_addresses(&record.v4);
    let (v6, v6_added) = decode_addresses(&record.v6);
    let added = v4_added.into_iter().chain(v6_added).collect();
    Ok((OwnMember { name, v4, v6 }, added))
}

fn decode_addresses<A: Address>(record: &LocalAddresses<A>) -> (Option<Mapping>, Option<Private>) {
    if record.length == 0 {
        return (None, None);
    }
    let prefix = |address| Range { address, length: record.length }.prefix();
    let private = Private(prefix(record.private));
    let mapping =
        Mapping::new(private, Public(prefix(record.public)), Underlay(prefix(record.underlay)));
    (mapping, (record.loopback_address_added == 1).then_some(private))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(private: &str, public: &str, underlay: &str) -> Option<Mapping> {
        let prefix = |text: &str| text.parse().expect(text);
        Mapping::new(Private(prefix(private)), Public(prefix(public)), Underlay(prefix(underlay)))
    }

    #[test]
    fn what_is_recorded_is_read_back() {
        let own = OwnMember {
            name: "srva".parse().expect("a name"),
            v4: mapping("10.0.0.1", "198.51.100.2", "172.31.0.5"),
            v6: mapping("fd00::1", "2001:db8::2", "2001:db8::2"),
        };
        let added: BTreeSet<_> = own.v6.map(|mapping| mapping.private()).into_iter().collect();
        let record = encode_local(&own, &added);
        assert_eq!((record.v4.length, record.v4.underlay), (32, [172, 31, 0, 5]));
        assert_eq!((record.v4.loopback_address_added, record.v6.loopback_address_added), (0, 1));
        assert_eq!(decode_local(&record), Ok((own, added.into_iter().collect())));
    }

    #[test]
    fn a_prefix_and_a_family_that_is_missing_are_read_back() {
        let own = OwnMember {
            name: "net".parse().expect("a name"),
            v4: None,
            v6: mapping("fd00:1::/64", "2001:db8:1::/64", "2001:db8:1::/64"),
        };
        let record = encode_local(&own, &BTreeSet::new());
        assert_eq!((record.v4.length, record.v6.length), (0, 64));
        assert_eq!(decode_local(&record), Ok((own, Vec::new())));
    }

    #[test]
    fn a_record_without_a_name_is_refused() {
        let own = OwnMember { name: "a".parse().expect("a name"), v4: None, v6: None };
        let record = LocalMember { name: [0; NAME_LEN], ..encode_local(&own, &BTreeSet::new()) };
        assert_eq!(decode_local(&record), Err(NameProblem::Empty));
    }
}
