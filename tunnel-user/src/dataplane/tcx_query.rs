//! The programs that an interface runs by tcx: only their ids and the ids of their links.
//!
//! aya's query also opens each program by its id, which takes CAP_SYS_ADMIN (Linux,
//! kernel/bpf/syscall.c, bpf_prog_get_fd_by_id). The ids take CAP_NET_ADMIN (bpf_prog_query).

use std::io;
use std::mem::size_of;

use nix::libc;
use tunnel_common::outcome::Direction;

/// Linux, include/uapi/linux/bpf.h, enum bpf_cmd.
const BPF_PROG_QUERY: libc::c_long = 16;
/// Linux 6.6, include/uapi/linux/bpf.h, enum bpf_attach_type.
const BPF_TCX_INGRESS: u32 = 46;
const BPF_TCX_EGRESS: u32 = 47;
/// The most programs of one interface and direction (Linux, include/linux/bpf_mprog.h,
/// BPF_MPROG_MAX).
const PROGRAMS_MAX: usize = 64;

/// The part of union bpf_attr for BPF_PROG_QUERY.
#[repr(C)]
struct Query {
    target_ifindex: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    count: u32,
    padding: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

/// One program that an interface runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcxProgram {
    /// Its id.
    pub id: u32,
    /// The id of its link; 0 if it was attached without one (Linux 6.6, kernel/bpf/mprog.c,
    /// bpf_mprog_query).
    pub link: u32,
}

/// The programs that the interface of index `link` runs in a direction, in their order.
///
/// # Errors
/// The kernel's: EINVAL without tcx (before Linux 6.6), ENODEV without the interface.
pub fn programs(link: u32, direction: Direction) -> io::Result<Vec<TcxProgram>> {
    let mut ids = [0_u32; PROGRAMS_MAX];
    let mut links = [0_u32; PROGRAMS_MAX];
    let mut query = Query {
        target_ifindex: link,
        attach_type: match direction {
            Direction::Egress => BPF_TCX_EGRESS,
            Direction::Ingress => BPF_TCX_INGRESS,
        },
        query_flags: 0,
        attach_flags: 0,
        prog_ids: ids.as_mut_ptr() as u64,
        count: PROGRAMS_MAX as u32,
        padding: 0,
        prog_attach_flags: 0,
        link_ids: links.as_mut_ptr() as u64,
        link_attach_flags: 0,
        revision: 0,
    };
    // SAFETY: `query` is the command's struct, of the size that is given; the kernel writes to it, and at most
    // `count` ids to `ids` and to `links`, which all outlive the call.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_QUERY, &raw mut query, size_of::<Query>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let count = usize::try_from(query.count).unwrap_or(0).min(PROGRAMS_MAX);
    let both = ids.into_iter().zip(links).take(count);
    Ok(both.map(|(id, link)| TcxProgram { id, link }).collect())
}
