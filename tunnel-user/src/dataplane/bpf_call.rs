//! Makes the bpf(2) calls that aya 0.14 lacks: loads a program from its instructions, opens a pinned object, and
//! queries an object by its descriptor. A query by id would need CAP_SYS_ADMIN.

use std::ffi::CString;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr;

use nix::libc;

/// Linux, include/uapi/linux/bpf.h, enum bpf_cmd.
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_OBJ_GET: libc::c_long = 7;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;

#[repr(C)]
struct ObjGet {
    path: u64,
    fd: u32,
    flags: u32,
}

#[repr(C)]
struct GetInfo {
    fd: u32,
    length: u32,
    info: u64,
}

/// The fields of `union bpf_attr` for BPF_PROG_LOAD, up to the traced program.
#[repr(C)]
#[derive(Default)]
pub(super) struct ProgramLoad {
    pub(super) program_type: u32,
    pub(super) instruction_count: u32,
    pub(super) instructions: u64,
    pub(super) license: u64,
    pub(super) log_level: u32,
    pub(super) log_size: u32,
    pub(super) log: u64,
    pub(super) kernel_version: u32,
    pub(super) flags: u32,
    pub(super) name: [u8; 16],
    pub(super) interface: u32,
    pub(super) attach_type: u32,
    pub(super) btf: u32,
    pub(super) function_size: u32,
    pub(super) functions: u64,
    pub(super) function_count: u32,
    pub(super) line_size: u32,
    pub(super) lines: u64,
    pub(super) line_count: u32,
    pub(super) traced_function: u32,
    pub(super) traced_program: u32,
    pub(super) padding: u32,
}

/// Loads a program.
///
/// # Errors
/// The kernel's errors.
///
/// # Safety
/// The pointers in `load` are valid for the call, with the counts and sizes beside them; the license is terminated.
pub(super) unsafe fn load_program(load: &mut ProgramLoad) -> io::Result<OwnedFd> {
    // SAFETY: `load` is the command's struct; the caller guarantees its pointers.
    unsafe { open(BPF_PROG_LOAD, load) }
}

/// Opens the object that is pinned at `path`.
///
/// # Errors
/// The kernel's errors; ENOENT if there is no pin.
pub(super) fn open_pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut get = ObjGet { path: path.as_ptr() as u64, fd: 0, flags: 0 };
    // SAFETY: `get` is the command's struct; the path is terminated and outlives the call.
    unsafe { open(BPF_OBJ_GET, &mut get) }
}

/// Asks the kernel to write a link's or a program's description to `info`.
///
/// # Errors
/// The kernel's errors; EINVAL if `fd` is not the descriptor of a BPF object.
///
/// # Safety
/// `info` is the kernel's struct for the object of `fd`, or has the first fields of that struct. The pointers in
/// `info` are valid for the call.
pub(super) unsafe fn info<T>(fd: &OwnedFd, info: &mut T) -> io::Result<()> {
    let length = size_of::<T>() as u32;
    let mut get = GetInfo { fd: number(fd), length, info: ptr::from_mut(info) as u64 };
    // SAFETY: `get` is the command's struct; `info` has room for `length` bytes, and outlives the call.
    unsafe { call(BPF_OBJ_GET_INFO_BY_FD, &mut get) }.map(drop)
}

pub(super) fn number(fd: &OwnedFd) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// # Safety
/// `attributes` is the struct of `command`; its pointers are valid for the call. `command` returns a new
/// descriptor.
pub(super) unsafe fn open<T>(command: libc::c_long, attributes: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: the caller guarantees the requirements of `call`.
    let fd = unsafe { call(command, attributes)? };
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just created the descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// # Safety
/// `attributes` is the struct of `command`; its pointers are valid for the call.
pub(super) unsafe fn call<T>(
    command: libc::c_long,
    attributes: &mut T,
) -> io::Result<libc::c_long> {
    // SAFETY: the caller guarantees the struct and its pointers; the call passes the size of `attributes`.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_mut(attributes), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
