//! Loads eBPF programs of a few instructions, given as machine code.

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use nix::libc;
use testkit::test_run::Type;

/// `enum bpf_cmd` and `enum bpf_prog_type` (include/uapi/linux/bpf.h).
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_PROG_TYPE_XDP: u32 = 6;
/// The size of a program's name in bytes, including the terminating zero.
const NAME_LEN: usize = 16;
/// `TC_ACT_UNSPEC` and `XDP_PASS`: the return values of rewrite's programs for packets that they do not
/// change.
const TC_ACT_UNSPEC: i32 = -1;
const XDP_PASS: i32 = 2;
/// `BPF_ALU64 | BPF_MOV | BPF_K` and `BPF_JMP | BPF_EXIT`.
const MOVE: u8 = 0xb7;
const EXIT: u8 = 0x95;

/// `struct bpf_insn`. Both registers share one byte: the destination is in the lower half.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Instruction {
    /// The opcode.
    pub code: u8,
    /// The source and the destination register.
    pub registers: u8,
    /// The memory offset.
    pub offset: i16,
    /// The immediate operand.
    pub immediate: i32,
}

/// The part of `union bpf_attr` that BPF_PROG_LOAD takes, up to the program's name.
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

/// Loads a program that runs these instructions and leaves its packet unchanged.
///
/// # Errors
/// If the kernel rejects the program, or the name is too long.
pub fn load(of: Type, name: &str, instructions: &[Instruction]) -> io::Result<OwnedFd> {
    let (prog_type, verdict) = match of {
        Type::Tc => (BPF_PROG_TYPE_SCHED_CLS, TC_ACT_UNSPEC),
        Type::Xdp => (BPF_PROG_TYPE_XDP, XDP_PASS),
    };
    let end = [
        Instruction { code: MOVE, registers: 0, offset: 0, immediate: verdict },
        Instruction { code: EXIT, registers: 0, offset: 0, immediate: 0 },
    ];
    let program = [instructions, &end].concat();
    let license = c"GPL";
    let mut prog_name = [0; NAME_LEN];
    let room = prog_name[..NAME_LEN - 1].get_mut(..name.len());
    room.ok_or(io::ErrorKind::InvalidInput)?.copy_from_slice(name.as_bytes());
    let attributes = Attributes {
        prog_type,
        insn_cnt: program.len() as u32,
        insns: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        prog_name,
        ..Attributes::default()
    };
    // SAFETY: the attributes point to instructions and a string that outlive the call.
    unsafe { bpf(BPF_PROG_LOAD, &attributes) }
}

/// Runs a bpf command that returns a new descriptor.
///
/// # Safety
/// The memory to which the attributes point must outlive the call.
pub unsafe fn bpf<A>(command: libc::c_long, attributes: &A) -> io::Result<OwnedFd> {
    // SAFETY: the length is the size of `attributes`, and the caller guarantees that the pointers in
    // `attributes` are valid.
    let fd = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<A>())
    };
    let Ok(fd @ 0..) = i32::try_from(fd) else { return Err(io::Error::last_os_error()) };
    // SAFETY: the kernel has just made the descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
