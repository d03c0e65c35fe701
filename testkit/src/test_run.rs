//! Runs a BPF program by BPF_PROG_TEST_RUN, with two settings that aya does not offer: the flag that makes the
//! kernel check the skb's checksum state, and the length of the frame's linear part.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::time::Duration;

use nix::libc;

/// The command's number in `enum bpf_cmd` (include/uapi/linux/bpf.h).
const BPF_PROG_TEST_RUN: libc::c_long = 10;
/// Gives the skb CHECKSUM_COMPLETE. The kernel fails the run if the skb's sum does not match the packet
/// after the program's writes (Linux 6.16, net/bpf/test_run.c, commit a3cfe84cca28).
const BPF_F_TEST_SKB_CHECKSUM_COMPLETE: u32 = 1 << 2;

/// The size of `struct __sk_buff` and the offsets of its fields, in bytes.
const SKB_LEN: usize = 192;
const SKB_DATA_END: usize = 80;
const SKB_GSO_SEGS: usize = 164;
const SKB_GSO_SIZE: usize = 176;
/// The size of `struct xdp_md` and the offset of its field `data_end`, in bytes.
const XDP_LEN: usize = 24;
const XDP_DATA_END: usize = 4;

/// The anonymous struct `test` in `union bpf_attr`.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
    flags: u32,
    cpu: u32,
    batch_size: u32,
    padding: u32,
}

/// The state in which a frame reaches a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Way {
    /// The number of GSO segments; 0 for a frame without GSO. For tc programs only.
    pub segments: u32,
    /// True if the skb has a sum over the packet (CHECKSUM_COMPLETE), which the kernel checks. For tc programs only.
    pub has_sum: bool,
    /// The number of the frame's bytes that a program can access directly; all bytes if `None`.
    pub linear: Option<u32>,
}

/// The type of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A tc program: its context is an skb.
    Tc,
    /// An XDP program: its context is an XDP buffer.
    Xdp,
}

/// The outcome of a program's run on a frame.
#[derive(Clone, Debug)]
pub struct Ran {
    /// The program's return value.
    pub returned: u32,
    /// The output frame.
    pub frame: Vec<u8>,
}

/// Runs a program once.
///
/// # Errors
/// EINVAL if the kernel does not accept the frame or `way`; EBADMSG if the sum over the packet is wrong after the run.
pub fn run(program: BorrowedFd<'_>, of: Type, frame: &[u8], way: Way) -> io::Result<Ran> {
    repeat(program, of, frame, way, 1).map(|(ran, _)| ran)
}

/// Runs a program repeatedly, each time on the output frame of the previous run. Returns the last run's outcome, and
/// the mean time of a run as the kernel measured it.
///
/// # Errors
/// The errors of [`run`].
pub fn repeat(
    program: BorrowedFd<'_>,
    of: Type,
    frame: &[u8],
    way: Way,
    times: u32,
) -> io::Result<(Ran, Duration)> {
    let context = context(of, frame.len() as u32, way);
    let mut after = vec![0; frame.len() + 256];
    let mut attributes = Attributes {
        prog_fd: program.as_raw_fd() as u32,
        data_size_in: frame.len() as u32,
        data_size_out: after.len() as u32,
        data_in: frame.as_ptr() as u64,
        data_out: after.as_mut_ptr() as u64,
        repeat: times,
        ctx_size_in: context.len() as u32,
        ctx_in: if context.is_empty() { 0 } else { context.as_ptr() as u64 },
        flags: if way.has_sum { BPF_F_TEST_SKB_CHECKSUM_COMPLETE } else { 0 },
        ..Attributes::default()
    };
    // SAFETY: the length is the struct's, and the struct points to buffers that have the lengths given
    // in it and outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_TEST_RUN,
            &raw mut attributes,
            size_of::<Attributes>(),
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    after.truncate(attributes.data_size_out as usize);
    let ran = Ran { returned: attributes.retval, frame: after };
    Ok((ran, Duration::from_nanos(attributes.duration.into())))
}

/// The context of a frame of `len` bytes. The context is empty if the kernel's default is right, since older kernels
/// accept no context for XDP.
fn context(of: Type, len: u32, way: Way) -> Vec<u8> {
    let mut fields = Vec::new();
    let context_len = match of {
        Type::Tc => {
            if let Some(size) = len.checked_div(way.segments) {
                fields.extend([(SKB_GSO_SEGS, way.segments), (SKB_GSO_SIZE, size)]);
            }
            fields.extend(way.linear.map(|linear| (SKB_DATA_END, linear)));
            SKB_LEN
        }
        Type::Xdp => {
            fields.extend(way.linear.map(|linear| (XDP_DATA_END, linear)));
            XDP_LEN
        }
    };
    if fields.is_empty() {
        return Vec::new();
    }
    let mut context = vec![0; context_len];
    for (offset, value) in fields {
        context[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
    }
    context
}
