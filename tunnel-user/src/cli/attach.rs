//! Defines the arguments of `attach` and `run`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::RequiredInterfaceArg;
use crate::config::{DEFAULT_PATH, NetworkName};
use crate::model::{Drain, DrainProblem};
use crate::ops::attach::request::Request;
use crate::plan::attach_point::{Hook, Ingress};
use crate::plan::vlan::Vlan;
use crate::trial::ConfirmWithin;

/// The arguments of `attach` and `run`.
#[derive(Args, Debug)]
pub struct AttachArgs {
    /// The interface.
    #[command(flatten)]
    pub on: RequiredInterfaceArg,
    /// The file, the same on every host
    #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH)]
    pub config: PathBuf,
    /// Name of this host's member, if this host's addresses do not identify it; repeat the option on a gateway, which
    /// stands in front of the hosts that have the private addresses
    #[arg(long = "self", value_name = "NAME")]
    pub self_names: Vec<String>,
    /// The place of the ingress program; by default its present place, else tc
    #[arg(long, value_enum)]
    pub ingress: Option<IngressArg>,
    /// Frames to handle: only untagged frames (none), because tagged frames belong to another network; tagged and
    /// untagged frames (any); or only frames whose one tag is this VLAN (ID). By default the present choice, else none
    #[arg(long, value_name = "none|any|ID")]
    pub vlan: Option<Vlan>,
    /// Set no routes to the peers' private addresses: you set these routes yourself
    #[arg(long)]
    pub no_routes: bool,
    /// The interface's network, by its name in the file; needed if no network in the file lists the interface
    #[arg(long, value_name = "NAME")]
    pub network: Option<NetworkName>,
    /// Accept packets from peers' former addresses for this time, such as 30s; by default the file's time
    #[arg(long, value_name = "TIME", value_parser = drain)]
    pub drain: Option<Drain>,
    /// The tc hook: tcx if the kernel has it, else clsact
    #[arg(long, value_enum, default_value_t = HookArg::Auto)]
    pub hook: HookArg,
}

impl AttachArgs {
    /// The request of an attach.
    pub fn request(self, verbose: bool) -> Request {
        Request {
            interface: self.on.into_name(),
            config: self.config,
            self_names: self.self_names,
            no_routes: self.no_routes,
            hook: self.hook.wanted(),
            ingress: self.ingress.map(IngressArg::wanted),
            verbose,
            drain: self.drain,
            network: self.network,
            vlan: self.vlan,
        }
    }
}

/// The arguments of `attach` alone.
#[derive(Args, Debug)]
pub struct AttachCommand {
    /// The attach.
    #[command(flatten)]
    pub attach: AttachArgs,
    /// Print the steps and the changes, and the connections that attach can end; change nothing. Exits with 7 if attach
    /// would change something
    #[arg(long, conflicts_with = "confirm_within")]
    pub dry_run: bool,
    /// Roll back after this time (60s, 5m), unless you run `rewrite confirm` first: a first attach is detached again
    #[arg(long, value_name = "TIME")]
    pub confirm_within: Option<ConfirmWithin>,
    /// As JSON (docs/json.md)
    #[arg(long)]
    pub json: bool,
}

/// The place of the ingress program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IngressArg {
    /// Traffic control, on any interface
    Tc,
    /// XDP in the driver, on Ethernet
    Xdp,
    /// XDP in the kernel's generic path, for drivers without XDP
    XdpGeneric,
}

impl IngressArg {
    /// The requested place.
    pub const fn wanted(self) -> Ingress {
        match self {
            Self::Tc => Ingress::Tc,
            Self::Xdp => Ingress::Xdp,
            Self::XdpGeneric => Ingress::XdpGeneric,
        }
    }
}

/// The kernel's mechanism that runs the programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HookArg {
    /// tcx where the kernel has it, else clsact
    Auto,
    /// Links (Linux 6.6 and later)
    Tcx,
    /// Filters of a clsact qdisc
    Clsact,
}

impl HookArg {
    /// The requested hook, if there is one.
    pub const fn wanted(self) -> Option<Hook> {
        match self {
            Self::Auto => None,
            Self::Tcx => Some(Hook::Tcx),
            Self::Clsact => Some(Hook::Clsact),
        }
    }
}

/// Parses a drain time; the error names the fault.
pub fn drain(text: &str) -> Result<Drain, String> {
    text.parse().map_err(|problem: DrainProblem| format!("{problem}; {}", problem.help()))
}
