//! Parses any text as one word of a file or a command line: an address or prefix, a bypass rule, a name.
#![no_main]

use std::net::IpAddr;

use fuzz::expect::assert_explained;
use libfuzzer_sys::fuzz_target;
use tunnel_user::model::{
    BypassRule, Family, MemberName, Prefix, parse_private, parse_public, parse_underlay,
};

fuzz_target!(|text: &str| {
    prefix(text);
    in_a_role(text);
    bypass_rule(text);
    member_name(text);
});

fn prefix(text: &str) {
    let (address, length) = text.split_once('/').unwrap_or((text, ""));
    let address = address.parse::<IpAddr>();
    match text.parse::<Prefix>() {
        Ok(prefix) => {
            let address = address.expect("the text before the slash is its address");
            assert_eq!(prefix.address(), address);
            assert_eq!(prefix.is_single(), prefix.length() == Family::of(address).bits());
            if text.contains('/') {
                assert_eq!(length, prefix.length().to_string());
            } else {
                assert!(prefix.is_single());
            }
            assert!(prefix.contains(address) && prefix.overlaps(&address.into()));
            assert_eq!(prefix.to_string().parse(), Ok(prefix));
            assert_eq!(Prefix::new(address, prefix.length()), Ok(prefix));
        }
        Err(problem) => {
            assert_explained(&problem, &problem.help());
            assert!(address.is_err() || text.contains('/'), "{text:?}: {problem}");
        }
    }
}

fn in_a_role(text: &str) {
    let prefix = text.parse::<Prefix>().ok();
    let private = parse_private(text).map(|private| private.0);
    let public = parse_public(text).map(|public| public.0);
    let underlay = parse_underlay(text).map(|underlay| underlay.0);
    assert_eq!(private.is_ok(), public.is_ok());
    assert!(underlay.is_ok() || private.is_err(), "{text:?}: right as private, not as underlay");
    for verdict in [private, public, underlay] {
        match verdict {
            Ok(range) => {
                assert_eq!(Some(range), prefix);
                let address = range.address();
                assert!(!address.is_loopback() && !address.is_multicast());
                assert!(!address.is_unspecified() && range.length() >= 8);
            }
            Err(problem) => assert_explained(&problem, &problem.help()),
        }
    }
}

fn bypass_rule(text: &str) {
    let is_right = text.split_once('/').is_some_and(|(protocol, port)| {
        ["tcp", "udp", "udplite", "dccp", "sctp"].contains(&protocol)
            && port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port)
    });
    match text.parse::<BypassRule>() {
        Ok(rule) => {
            assert!(is_right, "{text:?}: taken as {rule}");
            assert_eq!(rule.to_string(), text);
        }
        Err(problem) => {
            assert!(!is_right, "{text:?}: {problem}");
            assert_explained(&problem, &problem.help());
        }
    }
}

fn member_name(text: &str) {
    let is_right = (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && text.starts_with(|first: char| first.is_ascii_alphanumeric());
    match text.parse::<MemberName>() {
        Ok(name) => {
            assert!(is_right, "{text:?} is taken as a name");
            assert_eq!(name.as_str(), text);
        }
        Err(problem) => {
            assert!(!is_right, "{text:?}: {problem}");
            assert_explained(&problem, &problem.help());
        }
    }
}
