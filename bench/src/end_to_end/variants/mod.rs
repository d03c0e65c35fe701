//! Defines the variants, which are methods to carry traffic between two hosts, and sets them up.

mod act_nat;
mod empty;
mod ipip;
pub mod iptables;
mod l2tp;
mod nft;
mod openvpn;
mod rewrite;
mod side;
mod vxlan;
mod wireguard;
mod wireguard_kernel;
mod wireguard_keys;

use std::net::Ipv4Addr;

use anyhow::Result;
use testkit::lab::{A_PRIVATE, A_PUBLIC, B_PRIVATE, B_PUBLIC, Lab};
use testkit::rewrite_command::Rewrite;

use crate::processor::Processor;
use side::{Side, sides};

/// A method to connect two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Plain traffic between public addresses.
    Direct,
    /// A second copy of `Direct`, which shows the noise.
    Control,
    /// `Direct` with empty programs.
    Empty,
    /// `rewrite attach`.
    Rewrite,
    /// `rewrite attach --ingress xdp`.
    RewriteXdp,
    /// Routes, and NAT by iptables.
    Iptables,
    /// nft rules that rewrite the addresses, without conntrack.
    Nft,
    /// tc's NAT action, which rewrites the addresses.
    ActNat,
    /// The kernel's VXLAN tunnel.
    Vxlan,
    /// The kernel's IP-in-IP tunnel, with the smallest header.
    IpIp,
    /// The kernel's L2TPv3 tunnel.
    L2tp,
    /// The kernel's WireGuard, encrypted.
    WireGuardKernel,
    /// OpenVPN, an encrypted tunnel in userspace.
    OpenVpn,
    /// WireGuard in userspace, encrypted.
    WireGuard,
}

impl Variant {
    /// All variants, in the order of measurement.
    pub const ALL: [Self; 14] = [
        Self::Direct,
        Self::Control,
        Self::Empty,
        Self::Rewrite,
        Self::RewriteXdp,
        Self::Iptables,
        Self::Nft,
        Self::ActNat,
        Self::Vxlan,
        Self::IpIp,
        Self::L2tp,
        Self::WireGuardKernel,
        Self::OpenVpn,
        Self::WireGuard,
    ];

    /// The variants to measure. An emulated processor is slow, so the variants with a program in userspace
    /// are left out.
    pub fn measured(emulated: bool) -> impl Iterator<Item = Self> {
        let all = Self::ALL.into_iter();
        all.filter(move |variant| !(emulated && matches!(variant, Self::OpenVpn | Self::WireGuard)))
    }

    /// The variant's name in a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Control => "direct again",
            Self::Empty => "empty programs (tc)",
            Self::Rewrite => "rewrite (tc)",
            Self::RewriteXdp => "rewrite (XDP ingress)",
            Self::Iptables => "iptables trick",
            Self::Nft => "nft stateless",
            Self::ActNat => "tc act_nat",
            Self::Vxlan => "vxlan",
            Self::IpIp => "ipip",
            Self::L2tp => "L2TPv3",
            Self::WireGuardKernel => "WireGuard in the kernel",
            Self::OpenVpn => "OpenVPN",
            Self::WireGuard => "WireGuard in userspace",
        }
    }

    /// True if the variant needs features that a machine may lack and rewrite does not need.
    pub const fn is_optional(self) -> bool {
        !matches!(self, Self::Direct | Self::Control | Self::Rewrite | Self::RewriteXdp)
    }

    /// Sets the variant up on both hosts. The variant's processes run on `processor`.
    pub fn set_up(self, lab: &Lab, rewrite: &Rewrite, processor: Processor) -> Result<Endpoints> {
        match self {
            Self::Direct | Self::Control => Ok(Endpoints::public()),
            Self::Empty => empty::set_up(lab),
            Self::Rewrite => rewrite::set_up(lab, rewrite),
            Self::RewriteXdp => rewrite::set_up_xdp(lab, rewrite),
            Self::Iptables => iptables::set_up(lab),
            Self::Nft => nft::set_up(lab),
            Self::ActNat => act_nat::set_up(lab),
            Self::Vxlan => vxlan::set_up(lab),
            Self::IpIp => ipip::set_up(lab),
            Self::L2tp => l2tp::set_up(lab),
            Self::WireGuardKernel => wireguard_kernel::set_up(lab),
            Self::OpenVpn => openvpn::set_up(lab, processor),
            Self::WireGuard => wireguard::set_up(lab, processor),
        }
    }

    /// Deletes the state that the variant keeps about finished traffic.
    pub fn flush_state(self, lab: &Lab) -> Result<()> {
        if self == Self::Iptables { iptables::flush_conntrack(lab) } else { Ok(()) }
    }
}

/// Both hosts' addresses for traffic over a variant, and the variant's processes or links.
pub struct Endpoints {
    /// A's address, as B sees it.
    pub a: Ipv4Addr,
    /// B's address, as A dials it.
    pub b: Ipv4Addr,
    /// The variant's processes, or the links of its programs. Dropping this field ends the processes, or detaches the
    /// programs.
    _running: Option<Box<dyn Send>>,
}

impl Endpoints {
    /// The endpoints of plain traffic between public addresses, without any setup.
    fn public() -> Self {
        Self { a: A_PUBLIC, b: B_PUBLIC, _running: None }
    }

    /// The endpoints of a variant that carries private addresses without a process.
    fn private() -> Self {
        Self { a: A_PRIVATE, b: B_PRIVATE, _running: None }
    }

    /// The endpoints of a variant that carries private addresses until `running` is dropped.
    fn private_by(running: impl Send + 'static) -> Self {
        Self { _running: Some(Box::new(running)), ..Self::private() }
    }
}
