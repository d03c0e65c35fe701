//! Tests packets with false lengths and versions.

use super::*;

#[test]
fn a_payload_length_can_lie() {
    for length in [0, 1, 27, 65_535] {
        let honest = ipv6(Udp::new(payload(20)));
        let bytes = honest.clone().payload_length(length).to_bytes();
        assert_eq!(bytes[4..6], length.to_be_bytes());
        let honest = honest.to_bytes();
        assert_eq!(honest[4..6], [0, 28]);
        assert_eq!((&bytes[..4], &bytes[6..]), (&honest[..4], &honest[6..]));
    }
}

#[test]
fn a_version_can_lie() {
    for version in 0..=15 {
        let honest = ipv6(Udp::new(payload(20))).traffic_class(0xff).flow_label(0xf_ffff);
        let bytes = honest.clone().version(version).to_bytes();
        assert_eq!(bytes[0], version << 4 | 0x0f);
        assert_eq!(bytes[1..], honest.to_bytes()[1..]);
    }
}
