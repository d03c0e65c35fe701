//! Links between programs and interfaces, by pin and by id. aya 0.14 closes links; it can't detach a link that
//! somebody else holds as well.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::libc;

use super::bpf_call::{call, info, number, open, open_pinned};

/// Linux, include/uapi/linux/bpf.h, enum bpf_cmd.
const BPF_LINK_GET_FD_BY_ID: libc::c_long = 30;
const BPF_LINK_DETACH: libc::c_long = 34;

/// Words that have room for struct bpf_link_info of every kernel so far (Linux 6.18: 64 bytes).
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
    /// The id of the program that it runs.
    pub program: u32,
    /// The index of the interface; 0 once it is detached (Linux 6.6, kernel/bpf/tcx.c,
    /// tcx_link_fill_info; Linux 5.9, net/core/dev.c, bpf_xdp_link_fill_link_info).
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
    /// The kernel's: ENOENT if there is no pin.
    pub fn pinned(path: &Path) -> io::Result<Self> {
        open_pinned(path).map(Self)
    }

    /// The link with this id.
    ///
    /// # Errors
    /// The kernel's: EPERM without CAP_SYS_ADMIN (Linux, kernel/bpf/syscall.c, bpf_link_get_fd_by_id).
    pub fn by_id(id: u32) -> io::Result<Self> {
        let mut get = GetFdById { id, next_id: 0, open_flags: 0 };
        // SAFETY: `get` is the command's struct, and holds no pointer.
        unsafe { open(BPF_LINK_GET_FD_BY_ID, &mut get) }.map(Self)
    }

    /// Asks the kernel about it.
    ///
    /// # Errors
    /// The kernel's: EINVAL if it is no link.
    pub fn info(&self) -> io::Result<LinkInfo> {
        let mut words = [0_u32; INFO_WORDS];
        // SAFETY: the struct of a link is shorter than `words`, and holds no pointer for the kernel to follow.
        unsafe { info(&self.0, &mut words)? };
        // The type, the id, the program's id and, behind a gap, the interface's index.
        let [_, id, program, _, interface, ..] = words;
        Ok(LinkInfo { id, program, interface })
    }

    /// Takes its program from the interface, whoever else holds the link (Linux 5.9, commit 73b11c2ab072). A link
    /// that is detached already stays so.
    ///
    /// # Errors
    /// The kernel's: EINVAL if it is no link.
    pub fn detach(&self) -> io::Result<()> {
        let mut detach = Detach { fd: number(&self.0) };
        // SAFETY: `detach` is the command's struct, and holds no pointer.
        unsafe { call(BPF_LINK_DETACH, &mut detach) }.map(drop)
    }
}
