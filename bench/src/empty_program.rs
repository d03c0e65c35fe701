//! The program that does nothing: what is left when it is subtracted is rewrite's own.

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use nix::libc;
use tests::test_run::Type;

/// `enum bpf_cmd` and `enum bpf_prog_type` (include/uapi/linux/bpf.h).
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_PROG_TYPE_XDP: u32 = 6;
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
}

/// Loads one.
///
/// # Errors
/// If the kernel refuses.
pub fn load(of: Type) -> io::Result<OwnedFd> {
    let (prog_type, verdict) = match of {
        Type::Tc => (BPF_PROG_TYPE_SCHED_CLS, TC_ACT_UNSPEC),
        Type::Xdp => (BPF_PROG_TYPE_XDP, XDP_PASS),
    };
    let program = [
        Instruction { code: MOVE, registers: 0, offset: 0, immediate: verdict },
        Instruction { code: EXIT, registers: 0, offset: 0, immediate: 0 },
    ];
    let license = c"GPL";
    let attributes = Attributes {
        prog_type,
        insn_cnt: 2,
        insns: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..Attributes::default()
    };
    // SAFETY: the struct is as long as said, and points to instructions and a string that outlive the
    // call.
    let fd = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const attributes, size_of::<Attributes>())
    };
    let Ok(fd @ 0..) = i32::try_from(fd) else { return Err(io::Error::last_os_error()) };
    // SAFETY: the kernel has just made it, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
