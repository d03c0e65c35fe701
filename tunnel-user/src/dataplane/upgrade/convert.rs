//! Converts the values of ABI 2 into this version's values, and back, without side effects.

use tunnel_common::ABI_VERSION;
use tunnel_common::attachment::Attachment;
use tunnel_common::counters::{Count, PeerCounters};
use tunnel_common::outcome::{Reason, ReasonCounters};
use tunnel_common::peers::{Peer, ROLE_FORMER};
use tunnel_common::settings::{ETHERNET_HEADER_LEN, Settings, VLAN_ANY, VLAN_NONE};

use super::previous_abi as previous;
use crate::plan::peer_entries::tied;
use crate::plan::range::Address;

/// Converts a peer's entry from ABI 2 to this version.
#[must_use]
pub fn peer_forth<A: Address>(old: &previous::Peer<A>) -> Peer<A> {
    let is_former = old.role == ROLE_FORMER;
    tied(Peer {
        private: old.private,
        public: old.public,
        local_private: old.self_private,
        local_underlay: old.self_underlay,
        tie: A::default(),
        slot: old.slot,
        role: old.role,
        length: old.length,
        use_former_source: old.unaware,
        awaited: 0,
        direct: old.direct,
        replies_native: old.plain,
        public_flows: old.public_flows,
        bypass: old.bypass,
        grace_until: if is_former { 0 } else { old.until },
        expires_at: if is_former { old.until } else { 0 },
    })
}

/// Converts a peer's entry from this version to ABI 2.
#[must_use]
pub fn peer_back<A: Address>(new: &Peer<A>) -> previous::Peer<A> {
    previous::Peer {
        private: new.private,
        public: new.public,
        self_private: new.local_private,
        self_underlay: new.local_underlay,
        slot: new.slot,
        role: new.role,
        length: new.length,
        unaware: new.use_former_source,
        reserved: 0,
        direct: new.direct,
        plain: new.replies_native,
        public_flows: new.public_flows,
        bypass: new.bypass,
        until: if new.role == ROLE_FORMER { new.expires_at } else { new.grace_until },
    }
}

/// Converts settings from ABI 2 to this version. With the result, this version's programs act like ABI 2's programs:
/// they handle every tagged frame, and guard no address.
#[must_use]
pub const fn settings_forth(old: &previous::Settings) -> Settings {
    let is_ethernet = old.link_header_len == ETHERNET_HEADER_LEN;
    Settings {
        link_header_len: old.link_header_len,
        ipv4: old.ipv4,
        ipv6: old.ipv6,
        prefixes_v4: old.prefixes_v4,
        prefixes_v6: old.prefixes_v6,
        gateway: old.gateway,
        bypass: old.bypass,
        moved: old.moved,
        vlan: if is_ethernet { VLAN_ANY } else { VLAN_NONE },
        reserved: 0,
        vlan_id: 0,
        guarded_v4: [0; 4],
        guarded_v6: [0; 16],
    }
}

/// Converts settings from this version to ABI 2. Drops the guarded addresses and the choice of the VLANs to handle: ABI
/// 2 has no fields for them.
#[must_use]
pub const fn settings_back(new: &Settings) -> previous::Settings {
    previous::Settings {
        link_header_len: new.link_header_len,
        ipv4: new.ipv4,
        ipv6: new.ipv6,
        prefixes_v4: new.prefixes_v4,
        prefixes_v6: new.prefixes_v6,
        gateway: new.gateway,
        bypass: new.bypass,
        moved: new.moved,
    }
}

/// Converts an attachment's record from ABI 2 to this version. The record of an attach that was killed early keeps the
/// ABI version 0.
#[must_use]
pub const fn attachment_forth(old: &previous::Attachment) -> Attachment {
    Attachment {
        abi_version: if old.abi_version == 0 { 0 } else { ABI_VERSION },
        ifindex: old.ifindex,
        attached_at: old.attached_at,
        changed_at: old.changed_at,
        settings: settings_forth(&old.settings),
        hook: old.hook,
        ingress: old.ingress,
        clsact_added: old.clsact_added,
        routes_managed: old.routes_managed,
        arp_announce_set: old.arp_announce_set,
        arp_announce_before: old.arp_announce_before,
        verbose: old.verbose,
        arp_ignore_set: 0,
        drain: old.drain,
        arp_ignore_before: 0,
        reserved: [0; 3],
        version: old.version,
        network: old.network,
        digest_v4: [0; 8],
        digest_v6: [0; 8],
        revision: 0,
        reserved_end: [0; 4],
    }
}

/// Converts an attachment's record from this version to ABI 2. ABI 2 does not record arp_ignore: the caller restores
/// arp_ignore beforehand.
#[must_use]
pub const fn attachment_back(new: &Attachment) -> previous::Attachment {
    previous::Attachment {
        abi_version: if new.abi_version == 0 { 0 } else { previous::VERSION },
        ifindex: new.ifindex,
        attached_at: new.attached_at,
        changed_at: new.changed_at,
        settings: settings_back(&new.settings),
        hook: new.hook,
        ingress: new.ingress,
        clsact_added: new.clsact_added,
        routes_managed: new.routes_managed,
        arp_announce_set: new.arp_announce_set,
        arp_announce_before: new.arp_announce_before,
        verbose: new.verbose,
        reserved: 0,
        drain: new.drain,
        reserved_word: 0,
        version: new.version,
        network: new.network,
    }
}

/// Converts a peer's counters from ABI 2, which keeps no times, to this version.
#[must_use]
pub fn counters_forth(old: &previous::PeerCounters) -> PeerCounters {
    PeerCounters { egress: old.egress, ingress: old.ingress, ..PeerCounters::default() }
}

/// Converts a peer's counters from this version to ABI 2, and drops the times and the routers' errors.
#[must_use]
pub const fn counters_back(new: &PeerCounters) -> previous::PeerCounters {
    previous::PeerCounters { egress: new.egress, ingress: new.ingress }
}

/// Converts counts from ABI 2 to this version. Each count keeps its reason.
#[must_use]
pub fn reasons_forth(old: &previous::ReasonCounters) -> ReasonCounters {
    let mut new = ReasonCounters::default();
    for (reason, count) in previous::REASONS.iter().zip(old) {
        *new.get_mut(*reason) = *count;
    }
    new
}

/// Converts counts from this version to ABI 2, and drops the reasons that ABI 2 lacks.
#[must_use]
pub fn reasons_back(new: &ReasonCounters) -> previous::ReasonCounters {
    previous::REASONS.map(|reason| new.get(reason))
}

/// The reasons that ABI 2 lacks.
pub fn reasons_lost() -> impl Iterator<Item = Reason> {
    Reason::ALL.iter().copied().filter(|reason| !previous::REASONS.contains(reason))
}

/// `counted` plus the increase from `before` to `now`.
#[must_use]
pub const fn caught_up(counted: Count, before: Count, now: Count) -> Count {
    counted.plus(Count {
        packets: now.packets.wrapping_sub(before.packets),
        bytes: now.bytes.wrapping_sub(before.bytes),
    })
}

#[cfg(test)]
mod tests {
    use aya::Pod;

    use super::*;

    fn read<T: Pod>(bytes: &[u8]) -> T {
        assert_eq!(bytes.len(), size_of::<T>());
        // SAFETY: every bit pattern is a value, and `bytes` is as long as `T`.
        unsafe { bytes.as_ptr().cast::<T>().read_unaligned() }
    }

    fn bytes<T: Pod>(value: &T) -> Vec<u8> {
        let place = std::ptr::from_ref(value).cast::<u8>();
        // SAFETY: `T` has no padding.
        unsafe { std::slice::from_raw_parts(place, size_of::<T>()) }.to_vec()
    }

    fn number(number: u32) -> [u8; 4] {
        number.to_ne_bytes()
    }

    /// An IPv4 peer of ABI 2: the peer's private and public address, this host's private and underlay address, the
    /// slot, the role and the other single bytes, and the time.
    fn old_v4(role: u8) -> Vec<u8> {
        let addresses = [10, 0, 0, 2, 203, 0, 113, 2, 10, 0, 0, 1, 198, 51, 100, 2];
        let flags = [role, 32, 1, 0, 1, 1, 1, 3];
        [&addresses[..], &number(7), &flags, &number(1_060)].concat()
    }

    fn new_v4(role: u8, grace_until: u32, expires_at: u32) -> Vec<u8> {
        let addresses = [10, 0, 0, 2, 203, 0, 113, 2, 10, 0, 0, 1, 198, 51, 100, 2];
        let flags = [role, 32, 1, 0, 1, 1, 1, 3];
        let (slot, tie) = (number(7), [0; 4]);
        [&addresses[..], &tie, &slot, &flags, &number(grace_until), &number(expires_at)].concat()
    }

    #[test]
    fn a_peer_of_ipv4_goes_forth_and_back() {
        for (role, grace_until, expires_at) in [(1, 1_060, 0), (2, 1_060, 0), (3, 0, 1_060)] {
            let new = peer_forth::<[u8; 4]>(&read(&old_v4(role)));
            assert_eq!(bytes(&new), new_v4(role, grace_until, expires_at), "role {role}");
            assert_eq!(bytes(&peer_back(&new)), old_v4(role), "role {role}");
        }
    }

    #[test]
    fn a_single_peer_of_ipv6_is_tied_and_a_prefix_is_not() {
        let (private, public) = ([0xfd; 16], [0x20; 16]);
        for (length, tie) in [(128, tunnel_common::peers::tie(private, public)), (64, [0; 16])] {
            let flags = [2, length, 0, 0, 0, 0, 0, 0];
            let addresses = [private, public, [1; 16], [2; 16]].concat();
            let old = [&addresses[..], &number(3), &flags, &number(9)].concat();
            let expected =
                [&addresses[..], &tie, &number(3), &flags, &number(9), &number(0)].concat();
            let new = peer_forth::<[u8; 16]>(&read(&old));
            assert_eq!(bytes(&new), expected);
            assert_eq!(bytes(&peer_back(&new)), old);
        }
    }

    /// A complete record of ABI 2, byte by byte.
    fn old_attachment(abi_version: u32) -> Vec<u8> {
        let mut version = [0; 32];
        version[..5].copy_from_slice(b"0.1.0");
        let mut network = [0; 64];
        network[..2].copy_from_slice(b"ib");
        [
            &number(abi_version)[..],
            &number(5),
            &1_700_000_000_u64.to_ne_bytes(),
            &1_700_000_060_u64.to_ne_bytes(),
            &[14, 1, 0, 1, 0, 0, 1, 1],
            &[2, 1, 1, 1, 1, 9, 1, 0],
            &number(30),
            &number(0),
            &version,
            &network,
        ]
        .concat()
    }

    #[test]
    fn the_record_goes_forth_and_back() {
        let old = old_attachment(2);
        let new = bytes(&attachment_forth(&read(&old)));
        assert_eq!(new.len(), 192);
        assert_eq!(new[..24], [&number(3), &old[4..24]].concat());
        // The settings keep their values, with every tag handled and no address guarded.
        assert_eq!(new[24..32], [14, 1, 0, 1, 0, 0, 1, 1]);
        assert_eq!(new[32..56], [&[1, 0, 0, 0][..], &[0; 20]].concat());
        // The hook, and the record of the changes that attach made, without arp_ignore; then the drain.
        assert_eq!(new[56..64], [2, 1, 1, 1, 1, 9, 1, 0]);
        assert_eq!(new[64..72], [&number(30)[..], &[0; 4]].concat());
        assert_eq!(new[72..168], old[48..]);
        // The digests and the revision, which ABI 2 does not have.
        assert_eq!(new[168..], [0; 24]);
        assert_eq!(bytes(&attachment_back(&read(&new))), old);
    }

    #[test]
    fn the_record_of_an_attach_that_was_killed_early_stays_one() {
        assert_eq!(attachment_forth(&read(&old_attachment(0))).abi_version, 0);
        let new = attachment_forth(&read(&old_attachment(0)));
        assert_eq!(attachment_back(&new).abi_version, 0);
    }

    #[test]
    fn an_interface_without_a_link_header_has_no_tags() {
        let old: previous::Settings = read(&[0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(settings_forth(&old).vlan, VLAN_NONE);
    }

    fn count(packets: u64) -> Count {
        Count { packets, bytes: 100 * packets }
    }

    #[test]
    fn each_count_stays_with_its_reason() {
        let mut old: previous::ReasonCounters = [Count::default(); 15];
        for (place, packets) in old.iter_mut().zip(1..) {
            *place = count(packets);
        }
        let new = reasons_forth(&old);
        // Each count equals the reason's place in ABI 2: spoofed is the tenth, stray-reset (there unsettled-reset) the
        // eleventh.
        assert_eq!(new.foreign_source, count(1));
        assert_eq!((new.spoofed, new.stray_reset), (count(10), count(11)));
        assert_eq!((new.truncated, new.write_failed), (count(12), count(15)));
        assert_eq!(new.private_destination, Count::default());
        assert_eq!(reasons_back(&new), old);
    }

    #[test]
    fn reasons_that_the_version_before_lacks_are_named() {
        let lost: Vec<_> = reasons_lost().map(Reason::name).collect();
        assert_eq!(lost, ["private-destination", "port-conflict", "contended", "probe-answered"]);
    }

    #[test]
    fn what_was_counted_meanwhile_is_added() {
        assert_eq!(caught_up(count(12), count(10), count(13)), count(15));
    }
}
