//! Loads a tc program (TCX_PASS) or an XDP program (XDP_PASS), given as raw instructions, that passes every packet.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::PathBuf;

use anyhow::{Context, Result};
use nix::libc;
use testkit::netns::Namespace;

use crate::hooks::foreign_pin;

/// `enum bpf_cmd` and `enum bpf_prog_type` (include/uapi/linux/bpf.h).
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_OBJ_PIN: libc::c_long = 6;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;
const BPF_PROG_TYPE_XDP: u32 = 6;
/// `r0 = 0; exit` as two `struct bpf_insn`; 0 is TCX_PASS.
const TCX_PASS: [u64; 2] = [0xb7, 0x95];
/// `r0 = 2; exit`; 2 is XDP_PASS.
const XDP_PASS: [u64; 2] = [0x2_0000_00b7, 0x95];

/// The part of `union bpf_attr` that BPF_PROG_LOAD takes, up to the program's name.
#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

/// The part of `union bpf_attr` that BPF_OBJ_PIN takes.
#[repr(C)]
struct Pin {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

/// Loads the tc program under the name `pass_all`, and pins it at a path unique to `host`. Returns the path.
pub fn load_passing(host: &Namespace) -> Result<PathBuf> {
    load(host, BPF_PROG_TYPE_SCHED_CLS, &TCX_PASS)
}

/// Loads the XDP program in the same way.
pub fn load_passing_xdp(host: &Namespace) -> Result<PathBuf> {
    load(host, BPF_PROG_TYPE_XDP, &XDP_PASS)
}

fn load(host: &Namespace, prog_type: u32, instructions: &[u64]) -> Result<PathBuf> {
    let mut prog_name = [0; 16];
    prog_name[..8].copy_from_slice(b"pass_all");
    let load = Load {
        prog_type,
        insn_cnt: instructions.len() as u32,
        insns: instructions.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name,
    };
    let fd = i32::try_from(bpf(BPF_PROG_LOAD, &load).context("load a program")?)?;
    // SAFETY: the kernel has just made the descriptor, and nobody else has it.
    let program = unsafe { OwnedFd::from_raw_fd(fd) };
    let path = foreign_pin(host, "pass_all")?;
    let name = CString::new(path.display().to_string())?;
    let pin = Pin {
        pathname: name.as_ptr() as u64,
        bpf_fd: program.as_raw_fd().cast_unsigned(),
        file_flags: 0,
    };
    bpf(BPF_OBJ_PIN, &pin).with_context(|| format!("pin {}", path.display()))?;
    Ok(path)
}

fn bpf<A>(command: libc::c_long, attributes: &A) -> io::Result<libc::c_long> {
    // SAFETY: the size is the struct's, and the targets of its pointers outlive the call.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<A>())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
