//! Computes the digests of a cluster's members. Hosts whose files agree on the names and the addresses of all members
//! have equal digests.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::model::{Family, MemberName, Private, Public};
use crate::plan::membership::Membership;

/// The length of a digest in bytes: the first bytes of a SHA-256.
pub const DIGEST_LEN: usize = 8;

/// The digests of the members with IPv4 addresses and of the members with IPv6 addresses. A host with addresses of only
/// one family leaves the other family out, so each family has a separate digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digests {
    /// The digest of the members with IPv4 addresses.
    pub v4: [u8; DIGEST_LEN],
    /// The digest of the members with IPv6 addresses.
    pub v6: [u8; DIGEST_LEN],
}

impl Digests {
    /// The digests of all members: this host's own members and the peers.
    #[must_use]
    pub fn of(membership: &Membership) -> Self {
        Self { v4: of_family(membership, Family::Ipv4), v6: of_family(membership, Family::Ipv6) }
    }
}

fn of_family(membership: &Membership, family: Family) -> [u8; DIGEST_LEN] {
    let own = membership.identity.members().iter().flat_map(|own| {
        own.mappings().map(|mapping| (&own.name, mapping.private(), mapping.public()))
    });
    let peers = membership.peers.iter().flat_map(|peer| {
        peer.addresses.iter().map(|addresses| (&peer.name, addresses.private, addresses.public))
    });
    let of_family = |(_, private, _): &(&MemberName, Private, Public)| private.0.family() == family;
    let mut members: Vec<_> = own.chain(peers).filter(of_family).collect();
    members.sort();
    let (mut hash, mut line) = (Sha256::new(), String::new());
    for (name, private, public) in members {
        line.clear();
        let _ = writeln!(line, "{name} {private} {public}");
        hash.update(&line);
    }
    let mut digest = [0; DIGEST_LEN];
    digest.copy_from_slice(&hash.finalize()[..DIGEST_LEN]);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBERS: [&str; 3] = [
        "[[member]]\nname = \"a\"\nprivate = [\"10.0.0.1\", \"fd00::1\"]\n\
         public = [\"198.51.100.2\", \"2001:db8::2\"]\n",
        "[[member]]\nname = \"b\"\nprivate = [\"10.0.0.2\", \"fd00::2\"]\n\
         public = [\"203.0.113.2\", \"2001:db8:b::2\"]\n",
        "[[member]]\nname = \"c\"\nprivate = \"10.0.0.3\"\npublic = \"192.0.2.2\"\n",
    ];

    fn digests(text: &str, own: &str) -> Digests {
        Digests::of(&Membership::of_text(text, &[own]))
    }

    #[test]
    fn all_members_of_one_file_have_the_same_digest_in_any_order() {
        let [a, b, c] = MEMBERS;
        let [text, turned] = [[a, b, c].concat(), [c, a, b].concat()];
        let of_a = digests(&text, "a");
        assert_eq!(digests(&turned, "b"), of_a);
        // Member c has no IPv6 addresses, so c leaves its peers' IPv6 addresses out.
        assert_eq!(digests(&text, "c").v4, of_a.v4);
        assert_ne!(digests(&text, "c").v6, of_a.v6);
    }

    #[test]
    fn each_name_and_each_address_counts_in_its_family() {
        let text = MEMBERS.concat();
        let before = digests(&text, "a");
        for (from, to, changes) in [
            ("203.0.113.2", "203.0.113.3", [true, false]),
            ("10.0.0.3", "10.0.0.4", [true, false]),
            ("2001:db8:b::2", "2001:db8:b::3", [false, true]),
            ("\"b\"", "\"d\"", [true, true]),
            ("198.51.100.2", "198.51.100.9", [true, false]),
        ] {
            let after = digests(&text.replace(from, to), "a");
            assert_eq!([after.v4 != before.v4, after.v6 != before.v6], changes, "{from} > {to}");
        }
    }
}
