//! Reads the kernel's counters of a network namespace.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};

use crate::netns::Namespace;

/// A namespace's kernel counters from `/proc/net/snmp`, `netstat` and `snmp6`, under names such as
/// `Tcp.InCsumErrors`, `IpExt.InCsumErrors` and `Udp6InCsumErrors`. TCP's counters cover both families.
///
/// # Errors
/// When the counters can't be read.
pub fn snmp(namespace: &Namespace) -> Result<BTreeMap<String, i64>> {
    let mut counters = BTreeMap::new();
    for file in ["snmp", "netstat"] {
        let path = format!("/proc/thread-self/net/{file}");
        let text = namespace
            .enter(|| fs::read_to_string(&path))?
            .with_context(|| format!("read {path} in {}", namespace.name()))?;
        parse_snmp(&text, &mut counters).with_context(|| format!("parse {path}"))?;
    }
    let path = "/proc/thread-self/net/snmp6";
    let text = namespace
        .enter(|| fs::read_to_string(path))?
        .with_context(|| format!("read {path} in {}", namespace.name()))?;
    parse_snmp6(&text, &mut counters).with_context(|| format!("parse {path}"))?;
    Ok(counters)
}

/// The nonzero counters of packets that the kernel dropped for a wrong checksum.
///
/// # Errors
/// When the counters can't be read.
pub fn checksum_errors(namespace: &Namespace) -> Result<BTreeMap<String, i64>> {
    let mut counters = snmp(namespace)?;
    counters.retain(|name, count| name.ends_with("InCsumErrors") && *count != 0);
    Ok(counters)
}

/// Requires that `tried` succeeded and that no namespace has counted a wrong checksum since its creation. The error
/// reports both kinds of failure.
///
/// # Errors
/// When `tried` is an error, or a namespace has counted a wrong checksum.
pub fn require_right_checksums(tried: Result<()>, namespaces: &[&Namespace]) -> Result<()> {
    let mut counted = Vec::new();
    for namespace in namespaces {
        let errors = checksum_errors(namespace)?;
        if !errors.is_empty() {
            let role = namespace.name().rsplit('-').next().unwrap_or_default();
            counted.push(format!("{role} counted {errors:?}"));
        }
    }
    if counted.is_empty() {
        return tried;
    }
    let counted = counted.join(", ");
    ensure!(tried.is_err(), "all arrived in the end, but {counted}");
    tried.context(counted)
}

/// Parses `snmp6`, which has one counter per line.
fn parse_snmp6(text: &str, counters: &mut BTreeMap<String, i64>) -> Result<()> {
    for line in text.lines() {
        let (name, value) = line.split_once(char::is_whitespace).context("a line of one word")?;
        let value = value.trim().parse().with_context(|| format!("{name} is {value}"))?;
        counters.insert(name.to_owned(), value);
    }
    Ok(())
}

/// Parses pairs of lines: the names of a protocol's counters, then their values.
fn parse_snmp(text: &str, counters: &mut BTreeMap<String, i64>) -> Result<()> {
    let mut lines = text.lines();
    while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
        let (protocol, names) = names.split_once(": ").context("a line without protocol")?;
        let (_, values) = values.split_once(": ").context("a line without protocol")?;
        for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
            let value = value.parse().with_context(|| format!("{protocol}.{name} is {value}"))?;
            counters.insert(format!("{protocol}.{name}"), value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_by_protocol_and_name() {
        let mut counters = BTreeMap::new();
        let text = "Tcp: MaxConn InCsumErrors\nTcp: -1 7\nUdp: InCsumErrors\nUdp: 0\n";
        parse_snmp(text, &mut counters).expect("two pairs of lines");
        assert_eq!(counters["Tcp.MaxConn"], -1);
        assert_eq!(counters["Tcp.InCsumErrors"], 7);
        assert_eq!(counters["Udp.InCsumErrors"], 0);
    }

    #[test]
    fn counters_of_ipv6_by_name() {
        let mut counters = BTreeMap::new();
        let text = "Udp6InErrors                    \t3\nUdp6InCsumErrors\t7\n";
        parse_snmp6(text, &mut counters).expect("two lines");
        assert_eq!(counters["Udp6InErrors"], 3);
        assert_eq!(counters["Udp6InCsumErrors"], 7);
    }
}
