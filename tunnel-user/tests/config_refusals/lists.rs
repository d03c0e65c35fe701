//! Tests lists of addresses, and the constraints between the lists of one member.

use super::{Case, Expected, assert_refused, case, with};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "an empty list",
            &with("private", "[]"),
            &[Expected(8, "private is an empty list", "add an address")],
        ),
        case(
            "an empty list of underlays",
            &with("underlay", "[]"),
            &[Expected(10, "underlay is an empty list", "leave the key out")],
        ),
        case(
            "two of one family",
            &with("private", "[\n\"10.0.0.2\",\n\"10.0.0.3\",\n]"),
            &[Expected(
                10,
                "private lists a second IPv4 address, 10.0.0.3",
                "at most one private IPv4",
            )],
        ),
        case(
            "two of one family of three",
            &with("public", "[\"2001:db8::1\", \"203.0.113.2\", \"2001:db8::2\"]"),
            &[Expected(9, "a second IPv6 address, 2001:db8::2", "at most one public IPv6")],
        ),
        case(
            "wrong addresses in a list",
            &with("private", "[\n\"10.0.0.256\",\n\"fd00::1::2\"]"),
            &[
                Expected(9, "more than 255", "from 0 to 255"),
                Expected(10, "\"fd00::1::2\" is not an IP address", "such as"),
            ],
        ),
        case(
            "private is IPv4, public IPv6",
            &with("public", "\"2001:db8::2\""),
            &[Expected(9, "family mismatch: private is IPv4, public is IPv6", "the same family")],
        ),
        case(
            "private is both, public IPv4",
            &with("private", "[\"10.0.0.2\", \"fd00::2\"]"),
            &[Expected(
                9,
                "family mismatch: private is IPv4 and IPv6, public is IPv4",
                "the same family",
            )],
        ),
        case(
            "underlay of another family",
            &with("underlay", "\"fd00::5\""),
            &[Expected(
                10,
                "family mismatch: private is IPv4, underlay is IPv6",
                "the same family",
            )],
        ),
        case(
            "prefixes that are not equally long",
            "[[member]]\nname = \"a\"\nprivate = \"10.0.0.0/24\"\npublic = \"203.0.113.0/25\"\n\
             [[member]]\nname = \"b\"\nprivate = \"10.0.1.0\"\npublic = \"198.51.100.0/24\"\nunderlay = \"172.31.0.0/31\"\n",
            &[
                Expected(
                    4,
                    "private 10.0.0.0/24 has a prefix of 24 bits, public 203.0.113.0/25 one of 25",
                    "equally long",
                ),
                Expected(
                    8,
                    "private 10.0.1.0 has a prefix of 32 bits, public 198.51.100.0/24 one of 24",
                    "keeps the host part",
                ),
                Expected(9, "underlay 172.31.0.0/31 one of 31", "equally long"),
            ],
        ),
        case(
            "prefixes of one family that are not equally long, beside the other family",
            "[[member]]\nname = \"a\"\nprivate = [\"10.0.0.1\", \"fd00::/64\"]\npublic = [\"192.0.2.1\", \"2001:db8::/65\"]\n\
             [[member]]\nname = \"b\"\nprivate = \"10.0.0.2\"\npublic = \"192.0.2.2\"\n",
            &[Expected(
                4,
                "private fd00::/64 has a prefix of 64 bits, public 2001:db8::/65 one of 65",
                "equally long",
            )],
        ),
        case(
            "an underlay that is written out and as wrong as the public address",
            "[[member]]\nname = \"a\"\nprivate = \"10.0.0.0/24\"\npublic = \"203.0.113.0/25\"\nunderlay = \"203.0.113.0/25\"\n\
             [[member]]\nname = \"b\"\nprivate = \"10.0.1.0\"\npublic = \"192.0.2.2\"\n",
            &[
                Expected(4, "public 203.0.113.0/25 one of 25", "equally long"),
                Expected(5, "underlay 203.0.113.0/25 one of 25", "equally long"),
            ],
        ),
    ]
}

#[test]
fn addresses_that_do_not_fit_together_in_a_member_are_refused() {
    assert_refused(&cases());
}
