//! The program that does nothing: what is left when it is subtracted is rewrite's own.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use nix::libc;
use nix::net::if_::if_nametoindex;
use tests::lab::PUBLIC_INTERFACE;
use tests::netns::Namespace;
use tests::test_run::Type;

/// `enum bpf_cmd`, `enum bpf_prog_type` and `enum bpf_attach_type` (include/uapi/linux/bpf.h).
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
const BPF_TCX_INGRESS: u32 = 46;
const BPF_TCX_EGRESS: u32 = 47;
/// Bytes of a program's name, with a zero at the end.
const NAME_LEN: usize = 16;
/// `TC_ACT_UNSPEC` and `XDP_PASS`: what rewrite's programs return for what they leave alone.
const TC_ACT_UNSPEC: i32 = -1;
const XDP_PASS: i32 = 2;
/// `BPF_ALU64 | BPF_MOV | BPF_K` and `BPF_JMP | BPF_EXIT`.
const MOVE: u8 = 0xb7;
const EXIT: u8 = 0x95;

/// `struct bpf_insn`, its two registers in one byte.
#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// What BPF_PROG_LOAD takes of `union bpf_attr`, up to the program's flags.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; NAME_LEN],
}

/// What BPF_LINK_CREATE takes of it.
#[repr(C)]
#[derive(Default)]
struct LinkAttributes {
    prog_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
}

/// Where a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// tc, on the way out.
    TcxEgress,
    /// tc, on the way in.
    TcxIngress,
    /// XDP, in the driver or not, as the kernel likes.
    Xdp,
}

impl Place {
    /// The type of the programs there.
    const fn of(self) -> Type {
        match self {
            Self::TcxEgress | Self::TcxIngress => Type::Tc,
            Self::Xdp => Type::Xdp,
        }
    }
}

/// Loads one.
///
/// # Errors
/// If the kernel refuses, or the name does not fit.
pub fn load(of: Type, name: &str) -> io::Result<OwnedFd> {
    let (prog_type, verdict) = match of {
        Type::Tc => (BPF_PROG_TYPE_SCHED_CLS, TC_ACT_UNSPEC),
        Type::Xdp => (BPF_PROG_TYPE_XDP, XDP_PASS),
    };
    let program = [
        Instruction { code: MOVE, registers: 0, offset: 0, immediate: verdict },
        Instruction { code: EXIT, registers: 0, offset: 0, immediate: 0 },
    ];
    let license = c"GPL";
    let mut prog_name = [0; NAME_LEN];
    let room = prog_name[..NAME_LEN - 1].get_mut(..name.len());
    room.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(name.as_bytes());
    let attributes = Attributes {
        prog_type,
        insn_cnt: 2,
        insns: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        prog_name,
        ..Attributes::default()
    };
    // SAFETY: it points to instructions and a string that outlive the call.
    unsafe { bpf(BPF_PROG_LOAD, &attributes) }
}

/// Loads one and attaches it to a host's public interface, until the link is dropped.
///
/// # Errors
/// If the kernel refuses: it has tcx since Linux 6.6.
pub fn attach(host: &Namespace, place: Place, name: &str) -> Result<OwnedFd> {
    host.enter(|| link(&load(place.of(), name)?, if_nametoindex(PUBLIC_INTERFACE)?, place))?
        .context("attach the empty program (tcx: Linux 6.6)")
}

/// In this thread's network namespace.
fn link(program: &OwnedFd, interface: u32, place: Place) -> io::Result<OwnedFd> {
    let attributes = LinkAttributes {
        prog_fd: program.as_raw_fd().cast_unsigned(),
        target_ifindex: interface,
        attach_type: match place {
            Place::TcxEgress => BPF_TCX_EGRESS,
            Place::TcxIngress => BPF_TCX_INGRESS,
            Place::Xdp => BPF_XDP,
        },
        flags: 0,
    };
    // SAFETY: it points to nothing.
    unsafe { bpf(BPF_LINK_CREATE, &attributes) }
}

/// A command that makes a descriptor.
///
/// # Safety
/// What the attributes point to outlives the call.
unsafe fn bpf<A>(command: libc::c_long, attributes: &A) -> io::Result<OwnedFd> {
    // SAFETY: the struct is as long as said; the caller answers for what it points to.
    let fd = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<A>())
    };
    let Ok(fd @ 0..) = i32::try_from(fd) else { return Err(io::Error::last_os_error()) };
    // SAFETY: the kernel has just made it, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
