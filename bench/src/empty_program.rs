//! Loads and attaches an empty program, which does nothing. Rewrite's own cost is rewrite's measurement
//! minus the empty program's measurement.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use nix::libc;
use nix::net::if_::if_nametoindex;
use testkit::lab::PUBLIC_INTERFACE;
use testkit::netns::Namespace;
use testkit::test_run::Type;

use crate::raw_program;

/// `enum bpf_cmd` and `enum bpf_attach_type` (include/uapi/linux/bpf.h).
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_XDP: u32 = 37;
const BPF_TCX_INGRESS: u32 = 46;
const BPF_TCX_EGRESS: u32 = 47;

/// The part of `union bpf_attr` that BPF_LINK_CREATE takes.
#[repr(C)]
#[derive(Default)]
struct LinkAttributes {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
}

/// A program's attach point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachPoint {
    /// tcx at egress.
    TcxEgress,
    /// tcx at ingress.
    TcxIngress,
    /// XDP, in native or generic mode as the kernel chooses.
    Xdp,
}

impl AttachPoint {
    /// The type of the programs at this attach point.
    const fn of(self) -> Type {
        match self {
            Self::TcxEgress | Self::TcxIngress => Type::Tc,
            Self::Xdp => Type::Xdp,
        }
    }
}

/// Loads an empty program.
///
/// # Errors
/// If the kernel rejects the program, or the name is too long.
pub fn load(of: Type, name: &str) -> io::Result<OwnedFd> {
    raw_program::load(of, name, &[])
}

/// Attaches an empty program to a host's public interface. Dropping the returned link detaches the program.
///
/// # Errors
/// If the kernel rejects the program or the link. tcx needs Linux 6.6.
pub fn attach(host: &Namespace, point: AttachPoint, name: &str) -> Result<OwnedFd> {
    host.enter(|| link(&load(point.of(), name)?, if_nametoindex(PUBLIC_INTERFACE)?, point))?
        .context("attach the empty program (tcx: Linux 6.6)")
}

/// Attaches a program to an interface of this thread's network namespace.
fn link(program: &OwnedFd, interface: u32, point: AttachPoint) -> io::Result<OwnedFd> {
    let attributes = LinkAttributes {
        prog_fd: program.as_raw_fd().cast_unsigned(),
        target_ifindex: interface,
        attach_type: match point {
            AttachPoint::TcxEgress => BPF_TCX_EGRESS,
            AttachPoint::TcxIngress => BPF_TCX_INGRESS,
            AttachPoint::Xdp => BPF_XDP,
        },
        flags: 0,
    };
    // SAFETY: the attributes contain no pointer.
    unsafe { raw_program::bpf(BPF_LINK_CREATE, &attributes) }
}
