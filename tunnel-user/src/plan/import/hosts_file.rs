//! Reads the addresses and names of hosts(5).

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Finding, Found, FoundHost};
use crate::model::MemberName;

/// The path of the file.
pub const PATH: &str = "/etc/hosts";

/// The first name of each address, without the loopback addresses.
#[must_use]
pub fn names(text: &str) -> BTreeMap<IpAddr, String> {
    let mut names = BTreeMap::new();
    for (_, line) in entries(text) {
        if let Ok((address, name)) = entry(line) {
            names.entry(address).or_insert_with(|| name.to_owned());
        }
    }
    names
}

/// The hosts of the file, each with the private address that the file has for it. Names each line that is no host of
/// a cluster.
#[must_use]
pub fn found(text: &str) -> Found {
    let mut found = Found::default();
    for (number, line) in entries(text) {
        match entry(line) {
            Ok((private, name)) => found.hosts.push(FoundHost {
                name: Some(name.to_owned()),
                is_self: false,
                private,
                public: None,
            }),
            Err(why) => {
                let place = format!("hosts line {number}");
                found.findings.push(Finding::not_understood(place, line, why));
            }
        }
    }
    found
}

/// The lines with an entry, with their numbers.
fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(text.lines());
    let entries = lines.map(|(number, line)| (number, line.split('#').next().unwrap_or("").trim()));
    entries.filter(|(_, line)| !line.is_empty())
}

/// The address and the first name of a line.
fn entry(line: &str) -> Result<(IpAddr, &str), &'static str> {
    let mut words = line.split_whitespace();
    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
    let address = address.ok_or("the line does not begin with an address")?;
    let is_multicast =
        address.is_multicast() || address == IpAddr::from([0xfe00, 0, 0, 0, 0, 0, 0, 0]);
    if address.is_loopback() || address.is_unspecified() || is_multicast {
        return Err("it is not the address of a host of a cluster");
    }
    let name = words.next().ok_or("the line has no name")?;
    MemberName::try_from(name).map_err(|_| "the name is not a member's name")?;
    Ok((address, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
127.0.0.1 localhost
127.0.1.1 srva.example srva
::1 localhost ip6-localhost
fe00::0 ip6-localnet
ff02::1 ip6-allnodes

10.0.0.1 srva srva.example   # the cable
10.0.0.2\tsrvb
fd00::2 srvb
10.0.0.3
ten.0.0.4 srvd
10.0.0.5 _srve
";

    #[test]
    fn named_hosts_are_found_and_other_lines_are_named() {
        let found = found(TEXT);
        let hosts: Vec<_> = found
            .hosts
            .iter()
            .map(|host| format!("{} {}", host.private, host.name.as_deref().unwrap_or_default()))
            .collect();
        assert_eq!(hosts, ["10.0.0.1 srva", "10.0.0.2 srvb", "fd00::2 srvb"]);
        let whys: Vec<_> =
            found.findings.iter().map(|f| format!("{}: {}", f.place, f.why)).collect();
        assert_eq!(
            whys[5..],
            [
                "hosts line 10: the line has no name",
                "hosts line 11: the line does not begin with an address",
                "hosts line 12: the name is not a member's name",
            ]
        );
    }

    #[test]
    fn the_first_name_of_an_address_counts() {
        let names = names("10.0.0.1 a b\n10.0.0.1 c\n127.0.0.1 localhost\n");
        assert_eq!(names.into_values().collect::<Vec<_>>(), ["a"]);
    }
}
