//! Defines the arguments of `rewrite peer`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::InterfaceArg;
use super::attach::drain;
use super::interface::OnlyInterfaceArg;
use crate::config::NetworkName;
use crate::model::{
    BypassProblem, BypassRule, Drain, MemberName, Private, Public, parse_private, parse_public,
};
use crate::ops::save_peer::Save;
use crate::plan::peer_edit::Edit;
use crate::trial::ConfirmWithin;

/// The subcommands of `rewrite peer`.
#[derive(Debug, Subcommand)]
pub enum PeerCommand {
    /// List the running peers
    #[command(after_help = "Examples:\n  rewrite peer list\n  rewrite peer list eth0\n  \
        rewrite peer list --json")]
    List {
        /// The interface.
        #[command(flatten)]
        on: OnlyInterfaceArg,
        /// As JSON (docs/json.md)
        #[arg(long)]
        json: bool,
    },
    /// Add a peer
    #[command(after_help = "\
Examples:
  rewrite peer add srvc --private 10.0.0.3 --public 192.0.2.3
  rewrite peer add srvc --private 10.0.0.3,fd00::3 --public 192.0.2.3,2001:db8::3
  rewrite peer add net3 --private 10.3.0.0/24 --public 203.0.113.0/24 --bypass tcp/22
  rewrite peer add srvc --private 10.0.0.3 --public 192.0.2.3 --save    to the file as well")]
    Add {
        /// The peer's name
        name: MemberName,
        /// The peer's private address, to which software connects: an address or a prefix of one or both families
        #[arg(
            long, value_name = "ADDRESS", value_parser = private, value_delimiter = ',',
            required = true
        )]
        private: Vec<Private>,
        /// The peer's public address, of the same families
        #[arg(
            long, value_name = "ADDRESS", value_parser = public, value_delimiter = ',',
            required = true
        )]
        public: Vec<Public>,
        /// Also accept native packets from the peer's private addresses
        #[arg(long)]
        direct: bool,
        /// Leave packets of this protocol and port alone, such as tcp/22
        #[arg(long, value_name = "PROTOCOL/PORT", value_parser = rule, value_delimiter = ',')]
        bypass: Vec<BypassRule>,
        /// Saving to the file.
        #[command(flatten)]
        save: SaveArgs,
        /// The interface.
        #[command(flatten)]
        on: InterfaceArg,
        /// As JSON (docs/json.md)
        #[arg(long)]
        json: bool,
    },
    /// Change a peer's public address, bypass rules, network, or acceptance of native packets
    #[command(after_help = "\
Examples:
  rewrite peer set srvb --public 192.0.2.9      keep the address of the other family
  rewrite peer set srvb --public 192.0.2.9 --drain 5m
  rewrite peer set srvb --public 192.0.2.9 --confirm-within 60s
  rewrite peer set srvb --public 192.0.2.9 --save    in the file as well
  rewrite peer set srvb --drain 0s              stop accepting its former address
  rewrite peer set srvb --network ib            send its traffic by another network
  rewrite peer set --all --network ib
  rewrite peer set --all --network ib --confirm-within 60s
  rewrite peer set srvb --bypass tcp/22,udp/53  replace its rules
  rewrite peer set srvb --no-bypass")]
    Set {
        /// The peer's name, or a private address
        #[arg(required_unless_present = "all")]
        peer: Option<String>,
        /// The changes.
        #[command(flatten)]
        properties: Properties,
        /// The network.
        #[command(flatten)]
        by: NetworkArg,
        /// Roll back after this time (60s, 5m), unless you run `rewrite confirm` first
        #[arg(long, value_name = "TIME", conflicts_with = "save")]
        confirm_within: Option<ConfirmWithin>,
        /// Saving to the file.
        #[command(flatten)]
        save: SaveArgs,
        /// The interface.
        #[command(flatten)]
        on: InterfaceArg,
        /// As JSON (docs/json.md)
        #[arg(long)]
        json: bool,
    },
    /// Remove a peer
    #[command(after_help = "\
Examples:
  rewrite peer remove srvc
  rewrite peer remove srvc --save               from the file as well")]
    Remove {
        /// The peer's name, or a private address
        peer: String,
        /// Saving to the file.
        #[command(flatten)]
        save: SaveArgs,
        /// The interface.
        #[command(flatten)]
        on: InterfaceArg,
        /// As JSON (docs/json.md)
        #[arg(long)]
        json: bool,
    },
}

/// The file that a change is written to.
#[derive(Args, Debug)]
#[group(multiple = true)]
pub struct SaveArgs {
    /// Also write the change to the file; its comments and its order stay
    #[arg(long)]
    save: bool,
    /// The file for --save; by default the file that the daemon follows, else /etc/rewrite/cluster.toml
    #[arg(long, value_name = "FILE", requires = "save")]
    config: Option<PathBuf>,
}

impl SaveArgs {
    /// The request to write the file; `None` without --save.
    pub fn request(self) -> Option<Save> {
        let Self { save, config } = self;
        save.then_some(Save { config })
    }
}

/// The network for the traffic.
#[derive(Args, Debug)]
pub struct NetworkArg {
    /// Send the traffic through this network of the file; an interface on the network must be attached
    #[arg(long, value_name = "NAME", conflicts_with_all = ["Properties", "SaveArgs", "InterfaceArg"])]
    pub network: Option<NetworkName>,
    /// Move the traffic with all peers
    #[arg(long, requires = "network", conflicts_with = "peer")]
    pub all: bool,
}

/// The parts of a peer that can be changed.
#[derive(Args, Debug)]
#[group(multiple = true)]
pub struct Properties {
    /// The peer's new public address; the address of the other family stays
    #[arg(long, value_name = "ADDRESS", value_parser = public, value_delimiter = ',')]
    public: Vec<Public>,
    /// Also accept native packets from the peer's private addresses
    #[arg(long, value_name = "true|false")]
    direct: Option<bool>,
    /// Replace the peer's bypass rules: leave packets of this protocol and port alone
    #[arg(long, value_name = "PROTOCOL/PORT", value_parser = rule, value_delimiter = ',')]
    bypass: Vec<BypassRule>,
    /// Remove the peer's own bypass rules
    #[arg(long, conflicts_with = "bypass")]
    no_bypass: bool,
    /// Accept packets from the peer's former address for this time, such as 30s; 0s without --public stops accepting
    /// these packets now
    #[arg(long, value_name = "TIME", value_parser = drain)]
    drain: Option<Drain>,
}

impl Properties {
    /// True if no property changes.
    pub fn is_empty(&self) -> bool {
        let Self { public, direct, bypass, no_bypass, drain } = self;
        let no_rules = bypass.is_empty() && !no_bypass;
        public.is_empty() && direct.is_none() && no_rules && drain.is_none()
    }

    /// The edit of the peer named `peer`.
    pub fn edit(self, peer: String) -> Edit {
        let rules: BTreeSet<_> = self.bypass.into_iter().collect();
        let bypass = (self.no_bypass || !rules.is_empty()).then_some(rules);
        Edit::Set { peer, public: self.public, direct: self.direct, bypass, drain: self.drain }
    }
}

fn private(text: &str) -> Result<Private, String> {
    parse_private(text).map_err(|problem| format!("{problem}; {}", problem.help()))
}

fn public(text: &str) -> Result<Public, String> {
    parse_public(text).map_err(|problem| format!("{problem}; {}", problem.help()))
}

fn rule(text: &str) -> Result<BypassRule, String> {
    text.parse().map_err(|problem: BypassProblem| format!("{problem}; {}", problem.help()))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::Cli;

    #[test]
    fn a_change_on_trial_is_not_saved() {
        let set = ["rewrite", "peer", "set", "srvb", "--direct", "true"];
        let is_taken = |more: &[&str]| Cli::try_parse_from([&set[..], more].concat()).is_ok();
        assert!(is_taken(&["--save"]));
        assert!(is_taken(&["--confirm-within", "60s"]));
        assert!(!is_taken(&["--confirm-within", "60s", "--save"]));
    }
}
