//! Links between programs and interfaces, by pin and by id. aya 0.14 closes links; it can't detach one
//! that somebody else holds as well.

use std::ffi::CString;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr;

use nix::libc;

/// Linux, include/uapi/linux/bpf.h, enum bpf_cmd.
const BPF_OBJ_GET: libc::c_long = 7;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_LINK_GET_FD_BY_ID: libc::c_long = 30;
const BPF_LINK_DETACH: libc::c_long = 34;

/// Words that have room for struct bpf_link_info of every kernel so far (Linux 6.18: 64 bytes).
const INFO_WORDS: usize = 32;

/// A link. Dropping it closes the descriptor and leaves the program where it is, as long as there is a
/// pin or another descriptor.
#[derive(Debug)]
pub struct BpfLink(OwnedFd);

/// The part of struct bpf_link_info that tcx and XDP have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// The link's id, as in `bpftool link show id`.
    pub id: u32,
    /// The id of the program that it runs.
    pub program: u32,
    /// The index of the interface; 0 once it is detached (Linux 6.6, kernel/bpf/tcx.c,
    /// tcx_link_fill_info; Linux 5.9, net/core/dev.c, bpf_xdp_link_fill_link_info).
    pub interface: u32,
}

#[repr(C)]
struct ObjGet {
    path: u64,
    fd: u32,
    flags: u32,
}

#[repr(C)]
struct GetFdById {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

#[repr(C)]
struct GetInfo {
    fd: u32,
    length: u32,
    info: u64,
}

#[repr(C)]
struct Detach {
    fd: u32,
}

impl BpfLink {
    /// The link that is pinned at `path`.
    ///
    /// # Errors
    /// The kernel's: ENOENT if there is no pin.
    pub fn pinned(path: &Path) -> io::Result<Self> {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let mut get = ObjGet { path: path.as_ptr() as u64, fd: 0, flags: 0 };
        // SAFETY: `get` is what the command takes; the path is terminated and outlives the call.
        unsafe { open(BPF_OBJ_GET, &mut get) }
    }

    /// The link with this id.
    ///
    /// # Errors
    /// The kernel's: EPERM without CAP_SYS_ADMIN (Linux, kernel/bpf/syscall.c, bpf_link_get_fd_by_id).
    pub fn by_id(id: u32) -> io::Result<Self> {
        let mut get = GetFdById { id, next_id: 0, open_flags: 0 };
        // SAFETY: `get` is what the command takes, and holds no pointer.
        unsafe { open(BPF_LINK_GET_FD_BY_ID, &mut get) }
    }

    /// Asks the kernel about it.
    ///
    /// # Errors
    /// The kernel's: EINVAL if it is no link.
    pub fn info(&self) -> io::Result<LinkInfo> {
        let mut words = [0_u32; INFO_WORDS];
        let length = size_of_val(&words) as u32;
        let mut get = GetInfo { fd: self.number(), length, info: words.as_mut_ptr() as u64 };
        // SAFETY: `get` is what the command takes; `info` has room for `length` bytes, which are zero, and
        // outlives the call.
        unsafe { call(BPF_OBJ_GET_INFO_BY_FD, &mut get)? };
        // The type, the id, the program's id and, behind a gap, the interface's index.
        let [_, id, program, _, interface, ..] = words;
        Ok(LinkInfo { id, program, interface })
    }

    /// Takes its program from the interface, whoever else holds the link (Linux 5.9, commit
    /// 73b11c2ab072). One that is detached already stays so.
    ///
    /// # Errors
    /// The kernel's: EINVAL if it is no link.
    pub fn detach(&self) -> io::Result<()> {
        let mut detach = Detach { fd: self.number() };
        // SAFETY: `detach` is what the command takes, and holds no pointer.
        unsafe { call(BPF_LINK_DETACH, &mut detach) }.map(drop)
    }

    fn number(&self) -> u32 {
        self.0.as_raw_fd().cast_unsigned()
    }
}

/// # Safety
/// `attributes` is what `command` takes; what it points to is valid for the call. `command` returns a new
/// descriptor.
unsafe fn open<T>(command: libc::c_long, attributes: &mut T) -> io::Result<BpfLink> {
    // SAFETY: as the caller says.
    let fd = unsafe { call(command, attributes)? };
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made it, and nobody else knows of it.
    Ok(BpfLink(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// # Safety
/// `attributes` is what `command` takes; what it points to is valid for the call.
unsafe fn call<T>(command: libc::c_long, attributes: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: as the caller says; the size is that of `attributes`.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_mut(attributes), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
