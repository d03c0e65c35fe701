//! Describes the cluster file as a JSON schema, for editors and checks in pipelines.
//!
//! The loader reads keys one by one, so that each problem has its place in the file, and its structs hold these places.
//! The structs here hold the same keys without places. The tests of tunnel-user compare the schema with the loader on
//! all files that they have. A schema sees one value at a time: duplicates, overlaps and pairs are the loader's.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use schemars::{JsonSchema, schema_for};
use tunnel_user::model::Drain;

/// The schema as text. A line feed ends it.
pub fn text() -> Result<String> {
    let schema = serde_json::to_string_pretty(&schema_for!(Cluster));
    Ok(schema.context("printing the schema")? + "\n")
}

/// The cluster file of rewrite, the same on every host: /etc/rewrite/cluster.toml.
#[derive(JsonSchema)]
#[schemars(title = "The cluster file of rewrite", deny_unknown_fields)]
#[expect(dead_code, reason = "the schema alone is used")]
struct Cluster {
    /// The hosts of the cluster.
    #[schemars(length(min = 2))]
    member: Vec<Member>,
    /// The networks, the preferred one first.
    #[schemars(default)]
    network: Vec<Network>,
    /// The ports that stay as they are in all traffic between members.
    #[schemars(default)]
    bypass: Vec<BypassRule>,
    /// The time for which a host accepts packets from a peer's former address, from "0s" to a day: "30s", "5m".
    #[schemars(default = "default_drain")]
    drain: String,
    /// A number that the operator raises with each change of the file.
    #[schemars(range(min = 1))]
    revision: Option<u32>,
}

/// A host of the cluster.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "the schema alone is used")]
struct Member {
    /// The member's name.
    name: Name,
    /// The member's identity: the addresses that its software binds and dials.
    private: Addresses,
    /// The addresses at which the others reach the member.
    public: OnNetworks,
    /// The addresses of the member's own interface, if that is behind a 1:1 NAT. The default is `public`.
    underlay: Option<OnNetworks>,
    /// True if hosts accept packets with the member's private address as source.
    #[schemars(default)]
    direct: bool,
    /// The ports that stay as they are in all traffic of this member.
    #[schemars(default)]
    bypass: Vec<BypassRule>,
}

/// A network over which members reach each other.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "the schema alone is used")]
struct Network {
    /// The network's name, which `public` and `underlay` of the members use.
    name: Name,
    /// The interface on this network, or several where hosts differ.
    interface: Interfaces,
}

/// 1 to 63 letters, digits, `.`, `_` or `-`, a letter or digit first.
#[derive(JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[schemars(transparent)]
struct Name(#[schemars(regex(pattern = r"^[0-9A-Za-z][0-9A-Za-z._-]{0,62}$"))] String);

/// An IPv4 or IPv6 address, or a prefix such as 10.0.2.0/24.
#[derive(JsonSchema)]
#[schemars(transparent)]
#[expect(dead_code, reason = "the schema alone is used")]
struct Address(#[schemars(regex(pattern = r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"))] String);

/// An address or a prefix, or one of each family.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "the schema alone is used")]
enum Addresses {
    One(Address),
    Both(#[schemars(length(min = 1, max = 2))] Vec<Address>),
}

/// Addresses, or a table of the addresses on each network.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "the schema alone is used")]
enum OnNetworks {
    OnFirst(Addresses),
    OnEach(BTreeMap<Name, Addresses>),
}

/// The name of an interface, or several names.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "the schema alone is used")]
enum Interfaces {
    One(String),
    Several(#[schemars(length(min = 1))] Vec<String>),
}

/// A protocol and a port from 1 to 65535, such as tcp/22.
#[derive(JsonSchema)]
#[schemars(transparent)]
#[expect(dead_code, reason = "the schema alone is used")]
struct BypassRule(
    #[schemars(regex(pattern = r"^(tcp|udp|udplite|dccp|sctp)/[1-9][0-9]{0,4}$"))] String,
);

/// The `drain` of a file without one.
fn default_drain() -> String {
    Drain::default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_in_packaging_is_that_of_the_structs() {
        let kept = include_str!("../../cluster.schema.json");
        assert_eq!(
            kept,
            text().expect("a schema"),
            "`cargo run --package reference -- target/reference` writes the new one: copy it to packaging"
        );
    }
}
