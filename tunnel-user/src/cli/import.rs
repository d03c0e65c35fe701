//! Defines the arguments of `rewrite import` and `rewrite init`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::commands::{import, init};
use crate::config::DEFAULT_PATH;
use crate::model::MemberName;
use crate::ops::import::Target;
use crate::plan::import::{Source, hosts_file};

/// The source of an import.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SourceArg {
    /// The NAT rules of iptables
    Iptables,
    /// The rules of nft, with connection tracking or without
    Nft,
    /// VXLAN tunnels
    Vxlan,
    /// IPIP tunnels
    Ipip,
    /// WireGuard tunnels
    Wireguard,
    /// The node list of corosync.conf
    Corosync,
    /// The peers of GlusterFS
    Gluster,
    /// The hosts with a name in /etc/hosts
    Hosts,
}

impl SourceArg {
    const fn source(self) -> Source {
        match self {
            Self::Iptables => Source::Iptables,
            Self::Nft => Source::Nft,
            Self::Vxlan => Source::Vxlan,
            Self::Ipip => Source::Ipip,
            Self::Wireguard => Source::Wireguard,
            Self::Corosync => Source::Corosync,
            Self::Gluster => Source::Gluster,
            Self::Hosts => Source::Hosts,
        }
    }
}

/// The arguments that both commands take.
#[derive(Args, Debug)]
pub struct NewFileArgs {
    /// The name of this host's member; by default its name in /etc/hosts, else its hostname
    #[arg(long = "self", value_name = "NAME")]
    pub self_name: Option<MemberName>,
    /// The file that names addresses
    #[arg(long, value_name = "FILE", default_value = hosts_file::PATH)]
    hosts: PathBuf,
    /// Replace the new file if it exists already
    #[arg(long)]
    force: bool,
    /// As JSON (docs/json.md)
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `import`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// The source
    #[arg(long, value_enum, value_name = "SOURCE")]
    from: SourceArg,
    /// The source's text, in place of this host's own; `-` is standard input
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Write the cluster file there; by default, it is printed
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The arguments that both commands take.
    #[command(flatten)]
    pub new: NewFileArgs,
}

impl ImportArgs {
    /// The request of these arguments.
    pub fn request(&self) -> import::Request {
        let NewFileArgs { self_name, hosts, force, .. } = &self.new;
        import::Request {
            source: self.from.source(),
            input: self.input.clone(),
            hosts: hosts.clone(),
            self_name: self_name.clone(),
            target: Target { out: self.out.clone(), force: *force },
        }
    }
}

/// The arguments of `init`.
#[derive(Args, Debug)]
pub struct InitArgs {
    /// Write the cluster file there
    #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH)]
    pub out: PathBuf,
    /// The arguments that both commands take.
    #[command(flatten)]
    pub new: NewFileArgs,
}

impl InitArgs {
    /// The request of these arguments.
    pub fn request(&self) -> init::Request {
        let NewFileArgs { self_name, hosts, force, .. } = &self.new;
        init::Request {
            hosts: hosts.clone(),
            self_name: self_name.clone(),
            target: Target { out: Some(self.out.clone()), force: *force },
        }
    }
}
