//! Queries the ids of the programs that an interface runs by tcx, and the ids of their links.
//!
//! aya's query also opens each program by its id, which needs CAP_SYS_ADMIN (Linux, kernel/bpf/syscall.c,
//! bpf_prog_get_fd_by_id). A query of the ids alone needs only CAP_NET_ADMIN (bpf_prog_query).

use std::io;
use std::mem::size_of;

use nix::libc;
use tunnel_common::outcome::Direction;

/// Linux, include/uapi/linux/bpf.h, enum bpf_cmd.
const BPF_PROG_QUERY: libc::c_long = 16;
/// Linux 6.6, include/uapi/linux/bpf.h, enum bpf_attach_type.
const BPF_TCX_INGRESS: u32 = 46;
const BPF_TCX_EGRESS: u32 = 47;
/// The largest number of programs of one interface and direction (Linux, include/linux/bpf_mprog.h, BPF_MPROG_MAX).
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
    /// The program's id.
    pub id: u32,
    /// The id of the program's link; 0 if the program is attached without a link (Linux 6.6, kernel/bpf/mprog.c,
    /// bpf_mprog_query).
    pub link: u32,
}

/// The programs that the interface of index `link` runs in a direction, in the order in which they run.
///
/// # Errors
/// The kernel's errors; EINVAL if the kernel has no tcx (before Linux 6.6), ENODEV if the interface does not exist.
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
    // SAFETY: `query` is the command's struct, and the call passes its size. The kernel writes to `query`, and at most
    // `count` ids each to `ids` and `links`; all three outlive the call.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_QUERY, &raw mut query, size_of::<Query>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let count = usize::try_from(query.count).unwrap_or(0).min(PROGRAMS_MAX);
    let both = ids.into_iter().zip(links).take(count);
    Ok(both.map(|(id, link)| TcxProgram { id, link }).collect())
}
