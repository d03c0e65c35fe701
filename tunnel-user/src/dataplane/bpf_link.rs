//! Opens links between programs and interfaces by pin or by id, queries them, and detaches them. aya 0.14 can only
//! close a link: it can't detach a link that another process also holds.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::libc;

use super::bpf_call::{call, info, number, open, open_pinned};

/// Linux, include/uapi/linux/bpf.h, enum bpf_cmd.
const BPF_LINK_GET_FD_BY_ID: libc::c_long = 30;
const BPF_LINK_DETACH: libc::c_long = 34;

/// The size of a buffer for struct bpf_link_info, in 32-bit words: enough for every kernel so far (Linux 6.18: 64
/// bytes).
const INFO_WORDS: usize = 32;

/// A link. Dropping it closes the descriptor and leaves the program attached, as long as there is a pin or another
/// descriptor.
#[derive(Debug)]
pub struct BpfLink(OwnedFd);

/// The part of struct bpf_link_info that tcx and XDP have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// The link's id, as in `bpftool link show id`.
    pub id: u32,
    /// The id of the program that the link runs.
    pub program: u32,
    /// The interface's index; 0 once the link is detached (Linux 6.6, kernel/bpf/tcx.c, tcx_link_fill_info; Linux 5.9,
    /// net/core/dev.c, bpf_xdp_link_fill_link_info).
    pub interface: u32,
}

#[repr(C)]
struct GetFdById {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

#[repr(C)]
struct Detach {
    fd: u32,
}

impl BpfLink {
    /// The link that is pinned at `path`.
    ///
    /// # Errors
    /// The kernel's errors; ENOENT if there is no pin.
    pub fn pinned(path: &Path) -> io::Result<Self> {
        open_pinned(path).map(Self)
    }

    /// The link with this id.
    ///
    /// # Errors
    /// The kernel's errors; EPERM without CAP_SYS_ADMIN (Linux, kernel/bpf/syscall.c, bpf_link_get_fd_by_id).
    pub fn by_id(id: u32) -> io::Result<Self> {
        let mut get = GetFdById { id, next_id: 0, open_flags: 0 };
        // SAFETY: `get` is the command's struct, and holds no pointer.
        unsafe { open(BPF_LINK_GET_FD_BY_ID, &mut get) }.map(Self)
    }

    /// Asks the kernel for the link's ids and interface. The result is meaningless if the pin at the path of
    /// [`Self::pinned`] is a map or a program: the kernel then describes that object.
    ///
    /// # Errors
    /// The kernel's errors.
    pub fn info(&self) -> io::Result<LinkInfo> {
        let mut words = [0_u32; INFO_WORDS];
        // SAFETY: a link's struct is shorter than `words`, and holds no pointer for the kernel to follow.
        unsafe { info(&self.0, &mut words)? };
        // The words are the type, the link's id, the program's id and, after one word of padding, the interface's
        // index.
        let [_, id, program, _, interface, ..] = words;
        Ok(LinkInfo { id, program, interface })
    }

    /// Detaches the link's program from the interface, even if another process holds the link (Linux 5.9, commit
    /// 73b11c2ab072). No effect on a link that is already detached.
    ///
    /// # Errors
    /// The kernel's errors; EINVAL if the descriptor is not a link's.
    pub fn detach(&self) -> io::Result<()> {
        let mut detach = Detach { fd: number(&self.0) };
        // SAFETY: `detach` is the command's struct, and holds no pointer.
        unsafe { call(BPF_LINK_DETACH, &mut detach) }.map(drop)
    }
}
